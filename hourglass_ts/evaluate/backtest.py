"""Backtests: any forecaster over the origins of a last stretch, with naive, seasonal naive and ridge beside it."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import pandas as pd
from sklearn.base import BaseEstimator

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem, raise_problems
from hourglass_ts.evaluate.folds import Fold, FoldPlan
from hourglass_ts.evaluate.ledger import Ledger
from hourglass_ts.evaluate.result import Backtest, Run
from hourglass_ts.evaluate.running import Bench, Failure, run_folds
from hourglass_ts.evaluate.scores import POINT_SCORES
from hourglass_ts.forecast.baselines import Naive, RidgeFloor, SeasonalNaive
from hourglass_ts.forecast.checks import count_problems
from hourglass_ts.forecast.piping import check_order, freq_of, tidied
from hourglass_ts.forecast.rolling import Timeline, new_copy
from hourglass_ts.forecast.truth import Truth
from hourglass_ts.frames.roles import Roles
from hourglass_ts.frames.schema import TIME, Panel, check_frame
from hourglass_ts.frames.vintages import Vintages

OWN_LABELS = ("model", "fold", "origin", "lead", "actual", "forecast", "n", "WQL", *POINT_SCORES)
NAIVE, SEASONAL_NAIVE, RIDGE = "naive", "seasonal naive", "ridge"


def backtest(
    models: Any,
    df: pd.DataFrame,
    *,
    time: Hashable = None,
    target: Any = None,
    series: Any = None,
    known: Any = None,
    past: Any = None,
    static: Any = None,
    freq: Any = None,
    horizon: int | None = None,
    folds: int | Sequence[Any] = 8,
    stride: int | None = None,
    gap: int = 0,
    embargo: int = 0,
    window: int | None = None,
    refit: bool | int = False,
    vintages: pd.DataFrame | None = None,
    issued: Hashable = None,
    season: int | None = None,
    jobs: int = 1,
    folder: str | Path | None = None,
    progress: bool = True,
) -> Backtest:
    """Forecast a held-out last stretch from many origins, with naive, seasonal naive and ridge beside every model.

    Args:
        models: one forecaster, several, or a dict by name. Anything with `fit` and `forecast`; copies are fitted.
        df, time, target, series, known, past, static, freq: as in `HourGlassForecaster.fit`. Where a model has a
            pipeline, all models get the frame in its tidy columns and its frequency, and the ridge beside them goes
            through it, too (the first such model's).
        horizon: leads to score; None takes the models'.
        folds: how many origins, the last one horizon before the end of the data; or the origins themselves.
        stride: steps from origin to origin; None takes the horizon, and shorter ones show how forecasts are revised.
        gap: leads 1 … gap are not scored.  embargo: steps between a fit's rows and its first origin.  For a target
            that spans s steps, such as a 5-day return, pass s − 1 for both: the overlapping rows are purged.
        window: steps to fit on and to forecast from (rolling); None takes all (expanding).
        refit: False fits once before the first fold, True in every fold, n in every n-th.
        vintages, issued: rows of the known columns with the time at which each became known: a forecast sees the
            newest ones up to its origin. None takes the known columns of `df`.
        season: steps, of seasonal naive and MASE; None takes each series' natural one.
        jobs: processes.  folder: keeps finished folds, and goes on with them after a kill; fitted models that can be
            saved are kept, too.  progress: show a bar.

    Raises:
        DataError: folds that do not fit, or data that `fit` refuses; all problems in one. SettingsError: settings.

    Example:
        >>> df = pd.DataFrame({"t": range(40), "y": [1.0, 2.0, 4.0, 2.0] * 10})
        >>> result = backtest({}, df, time="t", target="y", horizon=2, folds=3, season=4, progress=False)
        >>> result.scores[["model", "n", "MAE"]].round(2).values.tolist()
        [['naive', 6, 0.83], ['seasonal naive', 6, 0.0], ['ridge', 6, 0.01]]
    """
    models = _named(models)
    own = len(models)
    horizon = _horizon(models, horizon)
    plan = FoldPlan(horizon, folds, stride, gap, embargo, window, refit)
    plan.check()
    optional = {} if season is None else {"season": season}
    raise_problems(SettingsError, count_problems(jobs=jobs, **optional))
    roles = Roles.from_arguments(time, target, series, known, past, static)
    piped = next((model for model in models.values() if getattr(model, "pipeline", None) is not None), None)
    df, freq = tidied(piped, df, roles), freq_of(piped) if freq is None else freq
    panel = check_frame(df, roles, freq)
    raise_problems(DataError, _label_problems(panel))
    timeline = Timeline.of(df, panel.roles)
    truth = Truth.of(panel)
    laid = plan.lay(truth.times)
    check_order(piped, timeline.between(None, laid[0].fit_end), panel.roles, "scores")
    issues = _vintages(vintages, issued, panel)
    for name, model in {
        NAIVE: Naive(horizon, freq),
        SEASONAL_NAIVE: SeasonalNaive(horizon, season, freq),
        RIDGE: RidgeFloor(horizon, freq=freq, transform=_transform(models), pipeline=getattr(piped, "pipeline", None)),
    }.items():
        models.setdefault(name, model)

    place = None if folder is None else Path(folder)
    fingerprint = "" if place is None else _fingerprint(timeline, models, laid, plan, vintages)
    ledger = Ledger(place, fingerprint)
    with _progress(len(models) * len(laid), progress) as advance:
        advance(sum(len(ledger.done(name)) for name in models))
        bench = Bench(timeline, issues, truth, gap, horizon, jobs)
        failures = run_folds(bench, models, laid, ledger, advance)
    rows = _rows(ledger, list(models))
    costs = pd.DataFrame([{"model": name, **ledger.costs(name)} for name in models])
    ledger.close()
    _tell_of_failures(failures, list(models)[:own], rows)
    settings = {name: _shown(model) for name, model in models.items()}
    settings |= {name: str(value) for name, value in asdict(plan).items() if not isinstance(value, (list, pd.Index))}
    run = Run(tuple(models), own, tuple(laid), plan, truth, season, costs, tuple(failures), settings)
    return Backtest(run, rows)


def _named(models: Any) -> dict[str, Any]:
    """Models by name: a mapping as it is, one or several others by their classes' names."""
    if isinstance(models, Mapping):
        named = {str(name): model for name, model in models.items()}
    else:
        listed = list(models) if isinstance(models, (list, tuple)) else [models]
        names = [type(model).__name__ for model in listed]
        named = dict(zip(names, listed, strict=True))
        if len(named) < len(listed):
            double = next(name for name in names if names.count(name) > 1)
            found = f"{names.count(double)} models of class {double}"
            raise_problem(SettingsError, Problem(found, "a name for each", 'Pass a dict, such as {"small": ...}.'))
    problems = [
        Problem(f"{name!r} without fit and forecast", "a forecaster", "Give it both, or wrap it in an adapter.")
        for name, model in named.items()
        if not (hasattr(model, "fit") and hasattr(model, "forecast")) or isinstance(model, type)
    ]
    raise_problems(SettingsError, problems)
    return named


def _horizon(models: Mapping[str, Any], horizon: int | None) -> int:
    """The horizon that is scored: the given one, or the shortest of the models'."""
    own = {name: getattr(model, "horizon", None) for name, model in models.items()}
    given = [steps for steps in own.values() if steps is not None]
    if horizon is None and not given:
        hint = "Pass horizon=."
        raise_problem(SettingsError, Problem("no horizon, and models that do not say theirs", "steps to score", hint))
    steps = min(given) if horizon is None else horizon
    problems = count_problems(horizon=steps)
    problems += [
        Problem(f"horizon={steps}", f"at most the {mine} steps of {name!r}", "Pass a shorter one.")
        for name, mine in own.items()
        if not problems and mine is not None and mine < steps
    ]
    raise_problems(SettingsError, problems)
    return int(steps)


def _transform(models: Mapping[str, Any]) -> str | None:
    """The transform that the models agree on, for the ridge beside them: it is to have the same chances."""
    transforms = {getattr(model, "transform", None) for model in models.values()}
    return transforms.pop() if len(transforms) == 1 else None


def _label_problems(panel: Panel) -> list[Problem]:
    labels = [*panel.keys.columns[: len(panel.roles.series)], panel.roles.time]
    return [
        Problem("a name that the backtest's own columns have", "another name", "Rename it.", column=label)
        for label in labels
        if label in OWN_LABELS
    ]


def _vintages(vintages: pd.DataFrame | None, issued: Hashable, panel: Panel) -> Vintages | None:
    if (vintages is None) != (issued is None):
        found = "vintages without issued" if issued is None else "issued without vintages"
        expected = "both: the issues of the known columns, and the column that says when each was issued"
        raise_problem(SettingsError, Problem(found, expected, "Pass the other one, too."))
    if vintages is None:
        return None
    roles = panel.roles
    if not roles.known:
        found = "vintages, and no known columns"
        raise_problem(SettingsError, Problem(found, "the known columns named", "Pass known=[...]."))
    issues = Vintages(vintages, issued, roles.time, roles.series)
    issues.check(roles.known, pd.Index(panel.table[TIME]))
    return issues


def _fingerprint(
    timeline: Timeline,
    models: Mapping[str, Any],
    folds: Sequence[Fold],
    plan: FoldPlan,
    vintages: pd.DataFrame | None,
) -> str:
    """What makes this backtest another one than the last: data, models, folds."""
    digest = hashlib.sha256()
    for frame in (timeline.df, vintages):
        if frame is not None:
            digest.update(pd.util.hash_pandas_object(frame.astype(object), index=True).to_numpy().tobytes())
            digest.update(repr([str(label) for label in frame.columns]).encode())
    for name, model in models.items():
        digest.update(f"{name}={_faithful(name, new_copy(model))}".encode())
    digest.update(repr((timeline.roles, plan.gap, plan.horizon)).encode())
    digest.update(repr([(str(fold.origin), str(fold.start), fold.fit, str(fold.fit_end)) for fold in folds]).encode())
    return digest.hexdigest()


def _shown(model: Any) -> str:
    """A model with all its settings, the same in every process."""
    given = model.get_params(deep=False) if isinstance(model, BaseEstimator) else getattr(model, "__dict__", {})
    return f"{type(model).__name__}({', '.join(f'{name}={_shown_value(value)}' for name, value in given.items())})"


def _shown_value(value: Any) -> str:
    if hasattr(value, "fit") and hasattr(value, "forecast"):
        return _shown(value)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))  # where an object lies differs from process to process


def _faithful(name: str, model: Any) -> str:
    """A model's own digest, the same in every process, of all that it holds."""
    try:
        return str(joblib.hash(model))
    except Exception:  # what pickle cannot name, such as a class within a function
        try:
            return hashlib.sha256(cloudpickle.dumps(model)).hexdigest()
        except Exception as error:  # a lock, a socket, a handle: each refuses in its own way
            found = f"{name!r}, which cannot be told from other models ({type(error).__name__}: {error})"
            raise_problem(SettingsError, Problem(found, "a model that can be pickled", "Leave `folder` out."))


@contextmanager
def _progress(total: int, wanted: bool) -> Iterator[Callable[[int], None]]:
    """A bar that is told how many folds are done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("Backtest"), BarColumn(), MofNCompleteColumn(), TextColumn("folds ·"), TimeRemainingColumn())
    with Progress(*columns, transient=True, disable=not wanted) as bar:
        task = bar.add_task("", total=total)
        yield lambda n: bar.advance(task, n)


def _rows(ledger: Ledger, models: Sequence[str]) -> pd.DataFrame:
    """The scored rows of all models: model and fold, then what `Truth.scored_rows` gives."""
    parts = []
    for number, name in enumerate(models):
        for fold, rows in ledger.forecasts(name).items():
            if len(rows.get("forecast", ())):
                parts.append(pd.DataFrame({"model": number, "fold": fold, **rows}))
    if not parts:
        return pd.DataFrame(columns=["model", "fold", "unit", "time", "lead", "actual", "forecast"])
    frame = pd.concat(parts, ignore_index=True)
    levels = sorted((label for label in frame.columns if label.startswith("q")), key=lambda label: float(label[1:]))
    frame["model"] = pd.Categorical.from_codes(frame["model"], list(models))
    return frame[["model", "fold", "unit", "time", "lead", "actual", "forecast", *levels]]


def _tell_of_failures(failures: Sequence[Failure], own: Sequence[str], rows: pd.DataFrame) -> None:
    errors = {failure.model: f"Its first error: {failure.error}" for failure in reversed(failures)}
    present = set(rows.loc[rows["forecast"].notna(), "model"].unique())
    absent = {name: errors.get(name, "None meets an actual value.") for name in own if name not in present}
    problems = [Problem(f"no forecast of {name!r}", "one in some fold", text) for name, text in absent.items()]
    if len(absent) == len(own):
        raise_problems(DataError, problems[:3])
    for problem in (problem for name, problem in zip(absent, problems, strict=True) if name not in errors):
        warnings.warn(str(problem), stacklevel=4)
    for failure in failures:
        folds = f"fold {failure.folds[0]}" + (f" and {len(failure.folds) - 1} more" if len(failure.folds) > 1 else "")
        warnings.warn(f"{failure.model!r} failed in {folds}: {failure.error}", stacklevel=4)
