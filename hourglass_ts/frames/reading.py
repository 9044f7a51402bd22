"""The user's columns → arrays sorted by series and time, with every fault of the data found on the way.

Faults are gathered and raised together at the end, so that a user mends a file once.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import DataError, Problem, raise_problem, raise_problems
from hourglass_ts.frames.axes import SHOWN, find_axes
from hourglass_ts.frames.calendars import Calendar, show_time
from hourglass_ts.frames.columns import Times, holds_numbers, is_readable, to_codes, to_numbers, to_text, to_times
from hourglass_ts.frames.roles import Roles, Source


@dataclass(frozen=True)
class Rows:
    """The given rows, checked, sorted by (series, time), on their calendars.

    Per row: codes (series 0, 1, 2…), times, steps (since the series' first row), values (rows, targets), origin (the
    row's position in the user's frame). Per series: starts (its first row), calendars, constants (its static values).
    """

    time_label: Hashable
    codes: np.ndarray
    times: pd.Index
    steps: np.ndarray
    values: np.ndarray
    covariates: dict[Hashable, np.ndarray]
    constants: dict[Hashable, np.ndarray]
    origin: np.ndarray
    starts: np.ndarray
    calendars: tuple[Calendar, ...]
    notes: tuple[str, ...]


class _Faults:
    """Gathers problems, and knows how to name the series and the time of a row of the user's frame."""

    def __init__(self, source: Source, roles: Roles, times: Times) -> None:
        self.source, self.roles, self.times = source, roles, times
        self.problems: list[Problem] = []

    def series(self, row: int) -> Hashable:
        """Name a row's series by its plain id, or a tuple of several; None when there are no id columns."""
        ids = tuple(_plain(self.source[label].iloc[row]) for label in self.roles.series)
        return ids[0] if len(ids) == 1 else ids or None

    def at(self, row: int) -> str:
        """Name a row's time; its position where it has none."""
        if self.times.missing[row]:
            return f"row {row}"
        return show_time(self.times.values[row])

    def add(self, row: int, found: str, expected: str, hint: str, column: Hashable) -> None:
        """Note a problem first met in `row`."""
        self.problems.append(Problem(found, expected, hint, column, self.series(row), self.at(row)))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def read_rows(source: Source, roles: Roles, time: pd.Series, freq: Any) -> Rows:
    """Read and check all columns that have a role. Raises one DataError with every fault found."""
    times = to_times(time)
    faults = _Faults(source, roles, times)
    values = _targets(source, roles, faults)
    covariates = {label: _covariate(source, label, faults) for label in roles.covariates}
    codes = to_codes([source[label] for label in roles.series], len(values))
    # A row without time and target says nothing; files often end with some.
    blank = times.missing & np.isnan(values).all(axis=1) & (times.fault is None)
    _check_ids(roles, codes, faults, blank)
    _check_times(roles, times, faults, blank)
    notes = (f"{blank.sum():,} row(s) without a time and a target left out",) if blank.any() else ()

    kept = np.flatnonzero((codes >= 0) & ~times.missing)
    kept = kept[_sort(codes[kept], times.values[kept])]
    codes, moments = codes[kept], times.values[kept]
    kept, codes, moments = _drop_duplicates(kept, codes, moments, roles, faults)
    if len(kept) == 0:
        raise_problems(DataError, faults.problems)
    codes = np.cumsum(np.diff(codes, prepend=codes[0]) > 0)  # a series may have lost all its rows: close the ranks
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    axes = find_axes(
        moments, codes, times.freq if freq is None else freq, roles.time, lambda code: faults.series(kept[starts[code]])
    )
    faults.problems += axes.problems
    values = values[kept]
    _check_empty(values, codes, kept[starts], roles, faults)
    constants = {
        label: _constant(covariates[label][kept], codes, kept, starts, label, faults) for label in roles.static
    }
    raise_problems(DataError, faults.problems)
    calendars = tuple(calendar for calendar in axes.calendars if calendar is not None)
    kept_covariates = {label: cells[kept] for label, cells in covariates.items()}
    return Rows(
        roles.time, codes, moments, axes.steps, values, kept_covariates, constants, kept, starts, calendars, notes
    )


def _targets(source: Source, roles: Roles, faults: _Faults) -> np.ndarray:
    columns = []
    for label in roles.target:
        column = source[label]
        values, bad = to_numbers(column)
        if bad.size:
            found = f"{bad.size:,} cell(s) that are no numbers, first {_cell(column, bad[0])}"
            hint = "Convert the column with pd.to_numeric(..., errors='coerce'), or drop those rows."
            faults.add(int(bad[0]), found, "numbers", hint, label)
        columns.append(_finite(values, label, faults))
    return np.stack(columns, axis=1)


def _cell(column: pd.Series, row: int) -> str:
    return f"{_plain(column.iloc[row])!r} ({column.dtype})"


def _finite(values: np.ndarray, label: Hashable, faults: _Faults) -> np.ndarray:
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        row = int(infinite[0])
        hint = "Replace them with NaN, or correct them."
        faults.add(row, f"{infinite.size:,} infinite value(s), first {values[row]}", "finite numbers", hint, label)
    return values


def _covariate(source: Source, label: Hashable, faults: _Faults) -> np.ndarray:
    column = source[label]
    cells = read_covariate(column, label, not holds_numbers(column), faults.problems)
    return _finite(cells, label, faults) if cells.dtype != object else cells


def read_covariate(
    column: pd.Series, label: Hashable, as_text: bool, problems: list[Problem], rows: np.ndarray | None = None
) -> np.ndarray:
    """Give a covariate as float64, or as objects of str; note a problem when it is neither (in `rows`, if given)."""
    if not is_readable(column):
        hint = "Turn times into numbers first, e.g. .dt.dayofweek or .dt.total_seconds()."
        problems.append(Problem(f"dtype {column.dtype}", "numbers or categories", hint, column=label))
        return np.full(len(column), np.nan)
    if as_text:
        return to_text(column)
    values, bad = to_numbers(column)
    if rows is not None:
        bad = np.intersect1d(bad, rows)
        infinite = rows[np.isinf(values[rows])]
        if infinite.size:
            problems.append(
                Problem(f"{infinite.size} infinite value(s)", "finite numbers", "Correct them.", column=label)
            )
    if bad.size:
        found = f"{bad.size:,} cell(s) that are no numbers, first {_cell(column, bad[0])}"
        problems.append(Problem(found, "numbers, as in the data of the fit", "Convert the column.", column=label))
    return values


def _check_ids(roles: Roles, codes: np.ndarray, faults: _Faults, blank: np.ndarray) -> None:
    lost = np.flatnonzero((codes < 0) & ~blank)
    if lost.size:
        labels = roles.series[0] if len(roles.series) == 1 else roles.series
        found, hint = f"{lost.size:,} row(s) without a series id", "Fill the id, or drop the rows."
        faults.add(int(lost[0]), found, "an id in every row", hint, labels)


def _check_times(roles: Roles, times: Times, faults: _Faults, blank: np.ndarray) -> None:
    if times.fault is not None:
        found, expected, hint = times.fault
        if times.row is None:
            faults.problems.append(Problem(found, expected, hint, column=roles.time))
        else:
            faults.add(times.row, found, expected, hint, roles.time)
    lost = np.flatnonzero(times.missing & ~blank)
    if lost.size and times.fault is None:
        hint = "Fill the time, or drop the rows with dropna."
        faults.add(int(lost[0]), f"{lost.size:,} row(s) without a time", "a time in every row", hint, roles.time)


def _moments(times: pd.Index) -> np.ndarray:
    return times.asi8 if isinstance(times, pd.DatetimeIndex) else times.to_numpy("int64")


def _sort(codes: np.ndarray, times: pd.Index) -> np.ndarray | slice:
    moments = _moments(times)
    later = (codes[1:] > codes[:-1]) | ((codes[1:] == codes[:-1]) & (moments[1:] >= moments[:-1]))
    return slice(None) if later.all() else np.lexsort((moments, codes))


def _drop_duplicates(
    kept: np.ndarray, codes: np.ndarray, times: pd.Index, roles: Roles, faults: _Faults
) -> tuple[np.ndarray, np.ndarray, pd.Index]:
    """Note rows with the same series and time, and go on without them, to find the other faults too."""
    moments = _moments(times)
    again = np.zeros(len(kept), dtype=bool)
    again[1:] = (codes[1:] == codes[:-1]) & (moments[1:] == moments[:-1])
    if not again.any():
        return kept, codes, times
    row = int(kept[np.flatnonzero(again)[0]])
    labels = [*roles.series, roles.time]
    hint = f"Drop or average them, e.g. df.drop_duplicates({labels!r})."
    if not roles.series:
        hint += " If the frame holds several series, pass `series=`."
    one = "one row per series and time" if roles.series else "one row per time"
    faults.add(
        row,
        f"{again.sum():,} duplicate row(s) (same {'series and ' if roles.series else ''}time)",
        one,
        hint,
        roles.time,
    )
    return kept[~again], codes[~again], times[~again]


def _check_empty(values: np.ndarray, codes: np.ndarray, first: np.ndarray, roles: Roles, faults: _Faults) -> None:
    """Note series that never have a target."""
    for place, label in enumerate(roles.target):
        filled = np.bincount(codes[~np.isnan(values[:, place])], minlength=len(first)) > 0
        empty = np.flatnonzero(~filled)
        if empty.size:
            names = ", ".join(repr(faults.series(int(first[code]))) for code in empty[:SHOWN])
            whose = f" in {empty.size} series: {names}{', …' if empty.size > SHOWN else ''}" if roles.series else ""
            hint = "Drop them, or check how the target is read."
            faults.problems.append(Problem(f"no value at all{whose}", "one value or more", hint, column=label))


def _constant(
    cells: np.ndarray, codes: np.ndarray, kept: np.ndarray, starts: np.ndarray, label: Hashable, faults: _Faults
) -> np.ndarray:
    """Give each series' static value; note the first series in which it varies."""
    known = np.flatnonzero(~pd.isna(cells))
    constant = np.full(len(starts), np.nan if cells.dtype.kind == "f" else None, dtype=cells.dtype)
    constant[codes[known[::-1]]] = cells[known[::-1]]
    varying = known[cells[known] != constant[codes[known]]]
    if varying.size:
        row = int(varying[0])
        found = f"a static column that varies: {_plain(constant[codes[row]])!r}, then {_plain(cells[row])!r}"
        faults.add(int(kept[row]), found, "one value per series", "Make it `past` or `known`, or correct it.", label)
    return constant


def align_times(wanted: pd.Index, column: pd.Series, label: Hashable) -> tuple[np.ndarray, np.ndarray]:
    """Give wanted and given times as integers that can be compared; given rows without a time match nothing."""
    times = to_times(column)
    if times.fault is not None:
        found, expected, hint = times.fault
        raise_problem(DataError, Problem(found, expected, hint, column=label, at=f"row {times.row or 0} of `known`"))
    given = times.values
    dated = isinstance(wanted, pd.DatetimeIndex)
    same = dated == isinstance(given, pd.DatetimeIndex)
    if not same or (getattr(wanted, "tz", None) is None) != (getattr(given, "tz", None) is None):
        hint = "Give `known` the time column's own dtype and time zone."
        raise_problem(DataError, Problem(f"{given.dtype} in `known`", f"{wanted.dtype}", hint, column=label))
    if isinstance(wanted, pd.DatetimeIndex) and isinstance(given, pd.DatetimeIndex):
        finest = "ns" in (wanted.unit, given.unit)
        wanted, given = (times.as_unit("ns" if finest else "us") for times in (wanted, given))
    moments = _moments(given).copy()
    moments[times.missing] = np.iinfo("int64").min
    return _moments(wanted), moments
