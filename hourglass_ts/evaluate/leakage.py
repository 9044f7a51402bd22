"""The leak audit: could a forecast have seen the future? Everything after a cutoff is altered; nothing else may change.

`audit` is for anything with `fit` and `forecast`, with the pipeline and the split around it; `audit_function` for any
function from a frame to forecasts. Networks and data sets of pytorch-forecasting have `audit_network` and
`audit_dataset`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any

import pandas as pd

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem
from hourglass_ts.evaluate.leaks.columns import column_checks
from hourglass_ts.evaluate.leaks.forecasts import Trial, forecast_checks, function_checks
from hourglass_ts.evaluate.leaks.pipeline import (
    Pipeline,
    hole_checks,
    known_checks,
    prepare_checks,
    split_by_time,
    split_checks,
)
from hourglass_ts.evaluate.leaks.result import PASSED, AuditResult, Check, Finding
from hourglass_ts.evaluate.leaks.worlds import Cut, with_other_rows, with_other_values
from hourglass_ts.frames.roles import Roles, Source, resolve

LEAST_STEPS = 24
"""How far ahead a covariate is compared with the target, at least."""


def audit(
    model: Any,
    df: pd.DataFrame,
    *,
    time: Hashable = None,
    target: Any = None,
    series: Any = None,
    known: Any = (),
    past: Any = (),
    static: Any = (),
    cutoff: Any = None,
    horizon: int | None = None,
    prepare: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
    split: Callable[[pd.DataFrame, Any], tuple[pd.DataFrame, pd.DataFrame]] | None = None,
    known_at: Hashable = None,
    seed: int = 0,
) -> AuditResult:
    """Audit a forecaster, and the way of the data to it: columns, `prepare`, `split`, fit and forecast.

    Args:
        model: has `fit` and `forecast`, or is a function that makes one. Copies are fitted; it stays as it is. None
            audits the way of the data alone.
        df: the whole frame, with rows after the cutoff.
        time, target, series, known, past, static: as in `fit`; covariates may be columns that `prepare` makes.
        cutoff: the last time that is past; None takes four fifths of the times.
        horizon: steps to forecast; None takes the model's own.
        prepare: your feature pipeline, run on the whole frame before the split.
        split: `split(frame, cutoff)` gives training rows, and the rows that are scored; None splits by time alone.
        known_at: the column that says when a row became known, where values are revised or arrive late.

    Raises:
        DataError, SettingsError: the frame or an argument cannot be used.

    Example:
        >>> from hourglass_ts.forecast.baselines import Naive
        >>> df = pd.DataFrame({"t": range(60), "y": [float(n * 7 % 11) for n in range(60)]})
        >>> audit(Naive(horizon=2), df, time="t", target="y").passed
        True
        >>> smooth = lambda frame: frame.assign(y=frame["y"].rolling(3, center=True, min_periods=1).mean())
        >>> audit(None, df, time="t", target="y", prepare=smooth).findings[["stage", "column"]].values.tolist()
        [['prepare', 'y']]
    """
    shape = _Shape.of(df, time)
    frame = shape.flat(df)
    roles = Roles.from_arguments(shape.time, target, series, *[_listed(given) for given in (known, past, static)])
    ahead = _steps_ahead(model, horizon)
    cut = Cut.of(frame, shape.time, roles.series, cutoff, known_at, ahead or 1)
    pipeline = Pipeline(cut, shape.around(prepare), shape.around_split(split, cut), seed)
    features = pipeline.features(frame)
    roles = resolve(Source(features), roles)[0]
    unknown = _unknown(frame, roles, known_at)
    altered = _altered_features(pipeline, frame, unknown, roles, seed)
    checks = column_checks(
        features,
        time=roles.time,
        target=roles.target,
        series=roles.series,
        known=roles.known,
        past=roles.past,
        steps=max(ahead or 1, LEAST_STEPS),
    )
    if prepare is not None:
        prepared = prepare_checks(pipeline, frame, features, unknown, seed)
        is_clean = all(check.verdict == PASSED for check in prepared)
        checks += prepared + (hole_checks(pipeline, frame, unknown, seed) if is_clean else [])
        checks += known_checks(pipeline, features, altered, roles.known, ahead or 1)
    checks += split_checks(pipeline, features, altered)
    if model is not None:
        trial = Trial(model, cut, roles, tuple(_unknown(features, roles, known_at)), seed)
        checks += _guarded_forecasts(
            trial, pipeline, features, altered, [f for check in checks for f in check.findings]
        )
    return AuditResult(tuple(checks))


def audit_function(
    function: Callable[[pd.DataFrame], pd.DataFrame],
    df: pd.DataFrame,
    *,
    time: Hashable = None,
    target: Any = None,
    series: Any = None,
    known: Any = (),
    cutoff: Any = None,
    known_at: Hashable = None,
    seed: int = 0,
) -> AuditResult:
    """Audit a whole program: `function(frame)` gives forecasts that are made at the cutoff, wherever the frame ends.

    Args:
        function: reads the whole frame, prepares, splits, fits, and returns a frame with the series and time columns
            and its forecasts.
        df, time, target, series, known, cutoff, known_at: as in `audit`.

    Raises:
        DataError, SettingsError: the frame or an argument cannot be used.

    Example:
        >>> df = pd.DataFrame({"t": range(60), "y": [float(n * 7 % 11) for n in range(60)]})
        >>> mean = lambda frame: pd.DataFrame({"t": [48], "forecast": [frame["y"].mean()]})
        >>> audit_function(mean, df, time="t", target="y", cutoff=47).findings["column"].tolist()[0]
        'y'
    """
    shape = _Shape.of(df, time)
    frame = shape.flat(df)
    roles = resolve(Source(frame), Roles.from_arguments(shape.time, target, series, _listed(known)))[0]
    cut = Cut.of(frame, shape.time, roles.series, cutoff, known_at)
    unknown = _unknown(frame, roles, known_at)
    return AuditResult(tuple(function_checks(shape.around(function), frame, cut, roles, unknown, seed)))


def _altered_features(
    pipeline: Pipeline, frame: pd.DataFrame, unknown: list[Hashable], roles: Roles, seed: int
) -> pd.DataFrame:
    """What the pipeline makes of other values after the cutoff: all columns', the targets', or of other rows."""
    targets = [label for label in unknown if label in roles.target]
    for labels in (unknown, targets):
        with suppress(Exception):  # a user's pipeline may refuse other values with any error
            return pipeline.features(with_other_values(frame, pipeline.cut, labels, seed))
    return pipeline.features(with_other_rows(frame, pipeline.cut, unknown, seed))


def _guarded_forecasts(
    trial: Trial, pipeline: Pipeline, features: pd.DataFrame, altered: pd.DataFrame, found: list[Finding]
) -> list[Check]:
    """A forecaster may refuse the rows of a leaking pipeline or split, which then is what there is to tell."""
    try:
        return forecast_checks(trial, pipeline, features, altered)
    except Exception as error:  # anybody's model
        if not found:
            raise
        return [Check("fit", "forecasts from these training rows", 0, open=f"{type(error).__name__}: {error}")]


def _unknown(frame: pd.DataFrame, roles: Roles, known_at: Hashable) -> list[Hashable]:
    """The columns that are not known beforehand: targets, past, and those of no role, which a pipeline may read."""
    fixed = {roles.time, known_at, *roles.series, *roles.known, *roles.static}
    others = [label for label in frame.columns if label not in fixed and label not in roles.target]
    return [*[label for label in roles.target if label in frame.columns], *others]


def _steps_ahead(model: Any, horizon: int | None) -> int | None:
    steps = getattr(model, "horizon", None) if horizon is None else horizon
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
        raise_problem(SettingsError, Problem(f"horizon={steps!r}", "an integer of 1 or more", "Pass another horizon."))
    return steps


def _listed(given: Any) -> Any:
    return None if isinstance(given, tuple) and not given else given


class _Shape:
    """Where a frame keeps its times: in a column, or in the index, which the audit lays out as columns for itself."""

    def __init__(self, time: Hashable, levels: list[Hashable]) -> None:
        self.time, self.levels = time, levels

    @classmethod
    def of(cls, df: Any, time: Hashable) -> _Shape:
        source = Source(df)
        if time is not None and time in source.columns:
            return cls(time, [])
        found, column, _ = resolve(source, Roles(time=time))
        if column.empty:
            raise_problem(DataError, Problem("no times", "a column or an index of times", "Pass time='…'."))
        names = [found.time if name is None else name for name in df.index.names]
        return cls(found.time, names)

    def flat(self, df: pd.DataFrame) -> pd.DataFrame:
        """The frame with its index as columns, where that holds the times."""
        return df.reset_index(names=self.levels) if self.levels else df

    def around(self, function: Callable[[pd.DataFrame], pd.DataFrame] | None) -> Callable[[pd.DataFrame], pd.DataFrame]:
        """The user's function on flat frames: it gets, and may return, frames of the user's own shape."""
        if function is None:
            return lambda frame: frame
        return lambda frame: self._flat_again(function(self._own(frame)))

    def around_split(
        self, split: Callable[[pd.DataFrame, Any], Any] | None, cut: Cut
    ) -> Callable[[pd.DataFrame, Any], Any]:
        """The user's split on flat frames."""
        if split is None:
            return lambda frame, cutoff: split_by_time(frame, cut)
        return lambda frame, cutoff: tuple(self._flat_again(part) for part in split(self._own(frame), cutoff))

    def _own(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame.set_index(self.levels) if self.levels else frame

    def _flat_again(self, frame: Any) -> Any:
        flat = isinstance(frame, pd.DataFrame) and self.levels and self.time not in frame.columns
        return self.flat(frame) if flat else frame
