"""Fitting and forecasting the folds of a backtest, in one process or several, each result noted as it comes in."""

from __future__ import annotations

import inspect
import re
import time
import traceback
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from hourglass_ts.errors import DataError, HourGlassError, Problem, raise_problem
from hourglass_ts.evaluate.folds import Fold
from hourglass_ts.evaluate.ledger import Ledger
from hourglass_ts.forecast.rolling import Timeline, new_copy, rolling_forecasts
from hourglass_ts.forecast.truth import Truth
from hourglass_ts.frames.schema import TIME, UNIT
from hourglass_ts.frames.vintages import Vintages

LEAST_CHUNK, CHUNKS = 25, 4  # folds forecast, and then noted, at a time; such parts of a fit's folds for each process


@dataclass(frozen=True)
class Failure:
    """A fit or a forecast that ended in an error: of which model, in which folds, and what it said."""

    model: str
    folds: tuple[int, ...]
    error: str


@dataclass(frozen=True)
class Bench:
    """What all folds share: the data, the covariates' vintages, what came true, and how many processes may run."""

    timeline: Timeline
    vintages: Vintages | None
    truth: Truth
    gap: int
    horizon: int
    jobs: int


def run_folds(
    bench: Bench,
    models: Mapping[str, Any],
    folds: Sequence[Fold],
    ledger: Ledger,
    advance: Callable[[int], None],
) -> list[Failure]:
    """Fit and forecast all that the ledger does not have, in parallel; returns what failed.

    As many fits as there are processes run at a time, and then the forecasts of those, so that few fitted models are
    held at once.
    """
    failures: list[Failure] = []
    work = [
        (name, fit, left)
        for name in models
        for fit, own in groupby(folds, key=lambda fold: fold.fit)
        if (left := [fold for fold in own if fold.number not in ledger.done(name)])
    ]
    parallel = Parallel(n_jobs=bench.jobs, return_as="generator")
    for batch in _batches(work, max(bench.jobs, 1)):
        fits = [
            delayed(_fit)(bench, models[name], left[0], _place(ledger.folder, name, fit)) for name, fit, left in batch
        ]
        tasks, about = [], []
        for (name, fit, left), (fitted, seconds, error) in zip(batch, parallel(fits), strict=True):
            if error:
                failures.append(Failure(name, tuple(fold.number for fold in left), error))
                advance(len(left))
                continue
            ledger.add_fit(name, fit, seconds)
            for chunk in _batches(left, max(LEAST_CHUNK, -(-len(left) // (CHUNKS * max(bench.jobs, 1))))):
                tasks.append(delayed(_forecast)(bench, fitted, chunk))
                about.append((name, chunk))
        for (name, chunk), (rows, seconds, errors) in zip(about, parallel(tasks), strict=True):
            failures += [Failure(name, tuple(numbers), error) for error, numbers in errors.items()]
            ledger.add_forecasts(name, rows, seconds)
            advance(len(chunk))
    return failures


def _fit(bench: Bench, model: Any, fold: Fold, place: Path | None) -> tuple[Any, float, str]:
    """The fitted model, seconds, and what went wrong. With a place, the model is kept there, and taken from there."""
    began = time.perf_counter()
    try:
        kept = place is not None and hasattr(model, "save") and hasattr(type(model), "load")
        if kept and place is not None and place.exists():
            return type(model).load(place), 0.0, ""
        fitted = _fit_on(bench, model, bench.timeline.between(fold.fit_start, fold.fit_end), fold)
        if not hasattr(fitted, "forecast"):
            found = f"a {type(fitted).__name__} from {type(model).__name__}.fit"
            raise_problem(DataError, Problem(found, "the fitted model", "Return self."))
        if kept and place is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            fitted.save(place)
    except Exception as error:  # any model may be scored, and one that fails must not cost the others
        return None, 0.0, _told(error)
    return fitted, time.perf_counter() - began, ""


def _fit_on(bench: Bench, model: Any, rows: pd.DataFrame, fold: Fold) -> Any:
    """A fitted copy; where the model refuses the rows, one without the series that have just begun."""
    copy, arguments = new_copy(model), bench.timeline.arguments
    if bench.vintages is not None and "vintages" in inspect.signature(copy.fit).parameters:
        arguments["vintages"] = bench.vintages
    try:
        return copy.fit(rows, **arguments)
    except DataError:
        grown = _without_young(bench, rows, fold)
        if len(grown) == len(rows) or not len(grown):
            raise
        return new_copy(model).fit(grown, **arguments)


def _without_young(bench: Bench, rows: pd.DataFrame, fold: Fold) -> pd.DataFrame:
    """The rows of a fit, without series that have fewer than two horizons of steps in them: too few to learn from."""
    keys, panel = list(bench.timeline.roles.series), bench.truth.panel
    times = pd.Index(panel.table[TIME])
    inside = (times <= fold.fit_end) & (times >= (times.min() if fold.fit_start is None else fold.fit_start))
    steps = np.bincount(panel.table[UNIT].to_numpy()[inside], minlength=len(panel.keys))
    young = panel.keys[keys][steps < 2 * bench.horizon].drop_duplicates()
    if not keys or not len(young):
        return rows
    own = pd.MultiIndex.from_frame(rows[keys].astype(object))
    return rows[~own.isin(pd.MultiIndex.from_frame(young.astype(object)))]


def _forecast(
    bench: Bench, fitted: Any, folds: Sequence[Fold]
) -> tuple[dict[int, dict[str, np.ndarray]], float, dict[str, list[int]]]:
    """The scored rows of every fold, seconds, and for every error the folds that it cost."""
    began = time.perf_counter()
    try:
        rows = _scored(bench, fitted, folds)
    except Exception as error:  # anybody's model
        if len(folds) == 1:
            return {}, 0.0, {_told(error): [folds[0].number]}
        rows = {}
        errors: dict[str, list[int]] = {}
        for fold in folds:  # one that fails must not cost those beside it
            own, _, wrong = _forecast(bench, fitted, [fold])
            rows |= own
            for text, numbers in wrong.items():
                errors.setdefault(text, []).extend(numbers)
        return rows, time.perf_counter() - began, errors
    return rows, time.perf_counter() - began, {}


def _scored(bench: Bench, fitted: Any, folds: Sequence[Fold]) -> dict[int, dict[str, np.ndarray]]:
    """The rows of every fold that have an actual value."""
    origins = [fold.origin for fold in folds]
    starts = [fold.start for fold in folds]
    frame = rolling_forecasts(fitted, bench.timeline, origins, vintages=bench.vintages, starts=starts)
    rows = bench.truth.scored_rows(frame, bench.gap, bench.horizon)
    given = rows.pop("row")
    fold_of = pd.Index(origins).get_indexer(pd.Index(frame["origin"]))[given] if len(frame) else given
    return {
        fold.number: {name: column[fold_of == place] for name, column in rows.items()}
        for place, fold in enumerate(folds)
    }


def _told(error: Exception) -> str:
    if isinstance(error, HourGlassError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _place(folder: Path | None, model: str, fit: int) -> Path | None:
    """Where a fit is kept: names that differ in other signs alone have other places."""
    plain = f"{re.sub(r'[^0-9A-Za-z_-]+', '-', model)[:40]}-{zlib.crc32(model.encode()):08x}-{fit}"
    return None if folder is None else folder / "fits" / plain


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for place in range(0, len(items), size):
        yield items[place : place + size]
