"""Forecasts from frames with other futures: a forecaster, or any function, must forecast the same, to the last bit."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem
from hourglass_ts.evaluate.leaks.compare import ROUNDING, Change, changes, keyed
from hourglass_ts.evaluate.leaks.networks import audit_network
from hourglass_ts.evaluate.leaks.pipeline import Pipeline
from hourglass_ts.evaluate.leaks.result import Check, Finding
from hourglass_ts.evaluate.leaks.trials import outcomes, repeatable, summary
from hourglass_ts.evaluate.leaks.worlds import Cut
from hourglass_ts.forecast.neural import TrainedHourGlass
from hourglass_ts.frames.roles import Roles
from hourglass_ts.windows.dataset import window_dataset
from hourglass_ts.windows.encode import FLAG, WEIGHT

UNCERTAIN = "two runs on the same rows differ (not deterministic): nothing can be concluded"


@dataclass(frozen=True)
class Trial:
    """A forecaster, and how it is fitted.

    unknown: the columns that are not known beforehand.
    """

    model: Any
    cut: Cut
    roles: Roles
    unknown: tuple[Hashable, ...]
    seed: int

    def fitted(self, train: pd.DataFrame) -> Any:
        """A copy of the forecaster, fitted on the training rows."""
        roles, model = self.roles, fresh(self.model)
        several = {"known": roles.known, "past": roles.past, "static": roles.static}
        given: dict[str, Any] = {role: list(labels) for role, labels in several.items() if labels}
        given |= {
            role: _alone(labels) for role, labels in (("target", roles.target), ("series", roles.series)) if labels
        }
        with repeatable(self.seed):
            return model.fit(train.copy(), time=roles.time, **given) or model

    def future(self, frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """What `forecast` is given of the rows after the cutoff: the known columns, if there are any."""
        labels = [*self.roles.series, self.roles.time, *self.roles.known]
        return {"known": frame.loc[self.cut.after(frame), labels]} if self.roles.known else {}

    def next_forecasts(self, model: Any, frame: pd.DataFrame) -> pd.DataFrame:
        """What a fitted forecaster forecasts next, given the frame's known columns."""
        with repeatable(self.seed):
            return self.named(model.forecast(**self.future(frame)))

    def forecasts(self, train: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
        """Fit on training rows of a frame, and forecast what follows."""
        with warnings.catch_warnings():  # the first fit has said what there is to say
            warnings.simplefilter("ignore")
            return self.next_forecasts(self.fitted(train), frame)

    def named(self, forecasts: Any) -> pd.DataFrame:
        """Forecasts with rows named by series, time and target."""
        return _named(forecasts, self.roles)


def fresh(model: Any) -> Any:
    """An unfitted copy, or what a class or a function without arguments makes."""
    if isinstance(model, type) or (callable(model) and not hasattr(model, "fit")):
        model = model()
    if not (hasattr(model, "fit") and hasattr(model, "forecast")):
        found = f"a {type(model).__name__} without fit and forecast"
        raise_problem(SettingsError, Problem(found, "a forecaster", "Give it both, or use audit_function."))
    return clone(model) if hasattr(model, "get_params") else copy.deepcopy(model)


def _alone(labels: tuple[Hashable, ...]) -> Any:
    return labels[0] if len(labels) == 1 else list(labels)


def _named(forecasts: Any, roles: Roles) -> pd.DataFrame:
    labels = [*roles.series, roles.time]
    if not isinstance(forecasts, pd.DataFrame) or any(label not in forecasts.columns for label in labels):
        found = list(forecasts.columns) if isinstance(forecasts, pd.DataFrame) else f"a {type(forecasts).__name__}"
        hint = "Return one row per series and time."
        raise_problem(DataError, Problem(f"forecasts with {found}", f"a frame with the columns {labels}", hint))
    return keyed(forecasts, roles.series, roles.time, "target")


def forecast_checks(trial: Trial, pipeline: Pipeline, features: pd.DataFrame, altered: pd.DataFrame) -> list[Check]:
    """Forecast from training rows of both worlds, of another row order, and from inside frames that go on."""
    train, test = pipeline.parts(features)
    model = trial.fitted(train)
    forecasts = trial.next_forecasts(model, features)
    fit = _fit_check(trial, pipeline, forecasts, train, features, altered)
    if fit.open:
        return [fit]
    frame = pd.concat([train, test[trial.cut.after(test)]], ignore_index=True)
    order = _order_check(trial, forecasts, train, features)
    return [fit, order, *_going_on_checks(trial, model, frame), *_network_checks(model, trial.seed)]


def _fit_check(
    trial: Trial,
    pipeline: Pipeline,
    forecasts: pd.DataFrame,
    train: pd.DataFrame,
    features: pd.DataFrame,
    altered: pd.DataFrame,
) -> Check:
    name = "forecasts stay when all that follows the cutoff is altered"
    n_series, other = len(trial.roles.series), pipeline.parts(altered)[0]
    found = changes(forecasts, trial.forecasts(other, altered), n_series)
    if not found:
        return Check("fit", name, note="fitted anew on both, forecasts equal to the last bit")
    if changes(forecasts, trial.forecasts(train, features), n_series):
        return Check("fit", name, open=UNCERTAIN)
    same = _same_rows(train, other) and _same_rows(*[trial.future(f).get("known") for f in (features, altered)])
    why = "although it was given the same rows" if same else "since the rows that it was given differ"
    return Check("fit", name, 1, _findings("fit", name, found, why))


def _same_rows(one: pd.DataFrame | None, two: pd.DataFrame | None) -> bool:
    return one is two is None or (one is not None and two is not None and one.equals(two))


def _order_check(trial: Trial, forecasts: pd.DataFrame, train: pd.DataFrame, features: pd.DataFrame) -> Check:
    name = "forecasts do not depend on the order of the rows"
    order = np.random.default_rng(trial.seed).permutation(len(train))
    numbered = isinstance(train.index, pd.RangeIndex) or train.index.dtype.kind == "i"
    shuffled = train.iloc[order]
    found = changes(
        forecasts,
        trial.forecasts(shuffled.reset_index(drop=True) if numbered else shuffled, features),
        len(trial.roles.series),
        ROUNDING,
    )
    return Check("fit", name, 1, _findings("fit", name, found, "the same training rows in another order"))


def _going_on_checks(trial: Trial, model: Any, whole: pd.DataFrame) -> list[Check]:
    """Forecasters that forecast from an origin inside a longer frame must not read on."""
    if not hasattr(model, "forecast_from"):
        return []
    name, cut = "forecasts from the cutoff inside a longer frame stay", trial.cut
    plain = Cut(cut.time, cut.series, cut.cutoff)  # what the forecaster sees, it sees by time

    def forecasts(frame: pd.DataFrame) -> pd.DataFrame:
        with repeatable(trial.seed):
            return trial.named(model.forecast_from(frame, [cut.cutoff]))

    try:
        forecasts(whole)
    except Exception as error:  # anybody's model; what it raises is told
        return [Check("forecast", name, 0, open=f"forecast_from raised {type(error).__name__}: {error}")]
    return [_function_check("forecast", name, forecasts, whole, plain, trial.roles, trial.unknown, trial.seed)]


def _network_checks(model: Any, seed: int) -> tuple[Check, ...]:
    """The network inside our own forecaster, as it was just trained, on windows of made rows."""
    trained = getattr(model, "trained_", None)
    if not isinstance(trained, TrainedHourGlass):
        return ()
    plan, rng = trained.plan, np.random.default_rng(seed)
    frame = trained.encoder.example_frame(trained.n_series, plan.context + plan.horizon + 1)
    reals = frame.select_dtypes("float").columns
    frame[reals] = rng.normal(size=(len(frame), len(reals)))
    windows = window_dataset(
        frame.assign(**{FLAG: 1.0, WEIGHT: 1.0}),
        trained.encoder,
        n_series=trained.n_series,
        context=plan.context,
        horizon=plan.horizon,
        min_context=plan.min_context,
    )
    return audit_network(trained.model, windows, seed=seed).outcomes


def function_checks(
    function: Callable[[pd.DataFrame], pd.DataFrame],
    frame: pd.DataFrame,
    cut: Cut,
    roles: Roles,
    unknown: Sequence[Hashable],
    seed: int,
) -> list[Check]:
    """Run a function on frames with other futures; its forecasts must stay."""
    name = "forecasts stay when what follows the cutoff is altered"

    def forecasts(frame: pd.DataFrame) -> pd.DataFrame:
        with repeatable(seed):
            return _named(function(frame.copy()), roles)

    return [_function_check("forecast", name, forecasts, frame, cut, roles, unknown, seed)]


def _function_check(
    stage: str,
    name: str,
    forecasts: Callable[[pd.DataFrame], pd.DataFrame],
    frame: pd.DataFrame,
    cut: Cut,
    roles: Roles,
    unknown: Sequence[Hashable],
    seed: int,
) -> Check:
    n_series = len(roles.series)
    reference = forecasts(frame)
    if reference.empty:
        return Check(stage, name, 0, open="no forecast from the cutoff: later rows of known columns may be missing")
    if changes(reference, forecasts(frame), n_series):
        return Check(stage, name, open=UNCERTAIN)

    def run(altered: pd.DataFrame) -> list[Change]:
        other = forecasts(altered)
        return changes(reference, other.loc[other.index.isin(reference.index)], n_series)

    tried = [
        outcome
        for outcome in outcomes(frame, cut, unknown, seed, run)
        if not (roles.known and outcome.label == "rows removed")  # the known columns go with them
    ]
    findings: list[Finding] = []
    for outcome in tried:
        why = f"altered after the cutoff: {outcome.label}"
        findings += _findings(stage, name, outcome.changes or [], why, outcome.column)
    count = sum(outcome.changes is not None for outcome in tried)
    return Check(
        stage, name, count, tuple(findings), summary(tried), "" if count else "it raised in every altered case"
    )


def _findings(
    stage: str, check: str, found: Sequence[Change], why: str, column: Hashable = None
) -> tuple[Finding, ...]:
    """One finding for the change that is largest."""
    if not found:
        return ()
    worst = max(found, key=lambda change: change.effect)
    detail = f"{worst.unit} of {worst.column!r}; {why}"
    return (Finding(stage, check, column, worst.series, worst.first_time, worst.effect, detail),)
