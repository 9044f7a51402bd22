"""The user's columns → arrays sorted by series and time, with every fault of the data found on the way.

Faults are gathered and raised together at the end, so that a user mends a file once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import DataError, Problem, raise_problem, raise_problems
from hourglass_ts.frames.axes import SHOWN, find_axes
from hourglass_ts.frames.calendars import Calendar, show_time
from hourglass_ts.frames.columns import (
    Times,
    date_format,
    first_unhashable,
    holds_numbers,
    is_missing,
    is_readable,
    show_cell,
    to_codes,
    to_numbers,
    to_text,
    to_times,
)
from hourglass_ts.frames.frequency import repeats_an_hour
from hourglass_ts.frames.roles import Roles, Source

LARGEST = 1e100
"""Beyond, squares and sums leave float64."""


@dataclass(frozen=True)
class Rows:
    """The given rows, checked, sorted by (series, time), on their calendars.

    Per row: codes (series 0, 1, 2…), times, steps (since the series' first row), values (rows, targets), covariates.
    Per series: starts (its first row), origin (that row's position in the user's frame), calendars, constants (its
    static values). copied: False where the arrays of the rows may be the user's own memory; nothing may write to it.
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
    copied: bool


class _Faults:
    """Gathers problems, and knows how to name the series and the time of a row of the user's frame."""

    def __init__(self, source: Source, roles: Roles, times: Times) -> None:
        self.source, self.roles, self.times = source, roles, times
        self.problems: list[Problem] = []

    def series(self, row: int) -> Hashable:
        """Name a row's series by its plain id, or a tuple of several; None when it has none."""
        cells = [self.source[label].iloc[[row]] for label in self.roles.series]
        ids = tuple(None if is_missing(cell)[0] else _plain(cell.iloc[0]) for cell in cells)
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
    codes = _codes(source, roles, len(values), faults)
    # A row without time and target says nothing; files often end with some.
    blank = times.missing & (times.fault is None)
    blank[blank] = np.isnan(values[blank]).all(axis=1)
    _check_ids(roles, codes, faults, blank)
    _check_times(roles, times, faults, blank)
    notes = (f"{blank.sum():,} row(s) without a time and a target left out",) if blank.any() else ()

    order = _order(codes, times)
    order, codes, moments = _drop_duplicates(order, codes[order], times.values[order], roles, faults)
    if len(codes) == 0:
        raise_problems(DataError, faults.problems)
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    if codes[-1] >= len(starts):  # a series lost all its rows: close the ranks
        codes = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(codes)))
    origin = starts if isinstance(order, slice) else order[starts]
    if freq is None and (form := date_format(moments)) is not None:
        hint = f"Convert them with pd.to_datetime(..., format={form!r}), or pass freq=1 if they are numbers."
        faults.add(int(origin[0]), f"dates written as whole numbers, such as {moments[0]}", "times", hint, roles.time)
    axes = find_axes(
        moments, codes, times.freq if freq is None else freq, roles.time, lambda code: faults.series(int(origin[code]))
    )
    faults.problems += axes.problems
    values = values[order]
    _check_empty(values, codes, origin, roles, faults)
    covariates = {label: cells[order] for label, cells in covariates.items()}
    constants = {label: _constant(covariates[label], codes, order, starts, label, faults) for label in roles.static}
    raise_problems(DataError, faults.problems)
    calendars = tuple(calendar for calendar in axes.calendars if calendar is not None)
    copied = not isinstance(order, slice)
    return Rows(
        roles.time, codes, moments, axes.steps, values, covariates, constants, origin, starts, calendars, notes, copied
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
    # One target is looked at where it lies, not copied.
    return columns[0][:, None] if len(columns) == 1 else np.stack(columns, axis=1)


def _codes(source: Source, roles: Roles, rows: int, faults: _Faults) -> np.ndarray:
    try:
        return to_codes([source[label] for label in roles.series], rows)
    except TypeError:
        label = next(label for label in roles.series if first_unhashable(source[label]) is not None)
        place = first_unhashable(source[label]) or 0
        found, hint = f"ids such as {_cell(source[label], place)}", "Convert the column with .astype(str)."
        faults.problems.append(Problem(found, "ids such as text or numbers", hint, label, at=f"row {place}"))
        raise_problems(DataError, faults.problems)
        raise


def _name(labels: tuple[Hashable, ...]) -> Hashable:
    return labels[0] if len(labels) == 1 else labels


def _cell(column: pd.Series, row: int) -> str:
    return f"{show_cell(column.iloc[row])} ({column.dtype})"


def _finite(values: np.ndarray, label: Hashable, faults: _Faults) -> np.ndarray:
    huge = np.flatnonzero((values > LARGEST) | (values < -LARGEST))
    if huge.size:
        row = int(huge[0])
        hint = "Replace them with NaN, or correct them."
        kind = "infinite" if np.isinf(values[huge]).all() else "infinite or huge"
        expected = "finite numbers" if kind == "infinite" else f"numbers up to {LARGEST:g}"
        faults.add(row, f"{huge.size:,} {kind} value(s), first {values[row]}", expected, hint, label)
    return values


def _covariate(source: Source, label: Hashable, faults: _Faults) -> np.ndarray:
    column = source[label]
    cells = read_covariate(column, label, not holds_numbers(column), faults.add)
    return _finite(cells, label, faults) if cells.dtype != object else cells


def read_covariate(
    column: pd.Series, label: Hashable, as_text: bool, add: Callable[..., None], rows: np.ndarray | None = None
) -> np.ndarray:
    """Give a covariate as float64, or as objects of str; `add` a problem when it is neither (in `rows`, if given)."""
    if not is_readable(column):
        row = int(np.argmin(is_missing(column)))
        hint = "Turn times into numbers first, e.g. .dt.dayofweek or .dt.total_seconds()."
        add(row, f"times or complex numbers, such as {_cell(column, row)}", "numbers or categories", hint, label)
        return np.full(len(column), np.nan)
    if as_text:
        odd = first_unhashable(column)
        if odd is None:
            return to_text(column)
        add(odd, f"cells such as {_cell(column, odd)}", "numbers or text", "Use .astype(str).", label)
        return np.full(len(column), np.nan)
    values, bad = to_numbers(column)
    if rows is not None:
        bad = np.intersect1d(bad, rows)
        infinite = rows[np.isinf(values[rows])]
        if infinite.size:
            found = f"{infinite.size} infinite value(s)"
            add(int(infinite[0]), found, "finite numbers", "Correct them.", label)
    if bad.size:
        found = f"{bad.size:,} cell(s) that are no numbers, first {_cell(column, bad[0])}"
        add(int(bad[0]), found, "numbers, as in the data of the fit", "Convert the column.", label)
    return values


def _check_ids(roles: Roles, codes: np.ndarray, faults: _Faults, blank: np.ndarray) -> None:
    lost = np.flatnonzero((codes < 0) & ~blank)
    if lost.size:
        found, hint = f"{lost.size:,} row(s) without a series id", "Fill the id, or drop the rows."
        faults.add(int(lost[0]), found, "an id in every row", hint, _name(roles.series))


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
    moments = _moments(times.values)
    moments = moments[~times.missing] if times.missing.any() else moments
    if moments.size and int(moments.max()) - int(moments.min()) >= 2**63:  # differences would no longer fit
        low, high = (times.values[~times.missing][int(place)] for place in (moments.argmin(), moments.argmax()))
        hint = "Correct the times, or convert datetimes with .astype('datetime64[us]')."
        span = f"times from {show_time(low)} to {show_time(high)} ({times.values.dtype})"
        faults.problems.append(Problem(span, "a span of less than 2⁶³ units", hint, column=roles.time))
        raise_problems(DataError, faults.problems)


def _moments(times: pd.Index) -> np.ndarray:
    return times.asi8 if isinstance(times, pd.DatetimeIndex) else times.to_numpy("int64")


def _order(codes: np.ndarray, times: Times) -> np.ndarray | slice:
    """Order the rows that have a series and a time; slice(None), which copies nothing, where they lie in order."""
    kept = (codes >= 0) & ~times.missing
    rows = slice(None) if kept.all() else np.flatnonzero(kept)
    codes, moments = codes[rows], _moments(times.values)[rows]
    later = (codes[1:] > codes[:-1]) | ((codes[1:] == codes[:-1]) & (moments[1:] >= moments[:-1]))
    if later.all():
        return rows
    order = _argsort(codes, moments)
    return order if isinstance(rows, slice) else rows[order]


def _argsort(codes: np.ndarray, moments: np.ndarray) -> np.ndarray:
    low, high = int(moments.min()), int(moments.max())
    if (int(codes.max()) + 1) * (high - low + 1) >= 2**63:
        return np.lexsort((moments, codes))
    key = codes * (high - low + 1)  # one key where it fits: a third of the time
    key += moments
    key -= low
    return np.argsort(key, kind="stable")


def _drop_duplicates(
    order: np.ndarray | slice, codes: np.ndarray, times: pd.Index, roles: Roles, faults: _Faults
) -> tuple[np.ndarray | slice, np.ndarray, pd.Index]:
    """Note rows with the same series and time, and go on without them, to find the other faults too."""
    moments = _moments(times)
    again = np.zeros(len(codes), dtype=bool)
    again[1:] = (codes[1:] == codes[:-1]) & (moments[1:] == moments[:-1])
    if not again.any():
        return order, codes, times
    kept = np.arange(len(codes)) if isinstance(order, slice) else order
    row = int(kept[np.flatnonzero(again)[0]])
    labels = [*roles.series, roles.time]
    hint = f"Drop or average them, e.g. df.drop_duplicates({labels!r})."
    if not roles.series:
        hint += " If the frame holds several series, pass `series=`."
    one = "one row per series and time" if roles.series else "one row per time"
    if repeats_an_hour(times, again):
        hint = "This looks like daylight saving: make the times aware with .dt.tz_localize('…', ambiguous='infer')."
    faults.add(
        row,
        f"{again.sum():,} duplicate row(s) (same {'series and ' if roles.series else ''}time)",
        one,
        hint,
        roles.time,
    )
    return kept[~again], codes[~again], times[~again]


def _check_empty(values: np.ndarray, codes: np.ndarray, first: np.ndarray, roles: Roles, faults: _Faults) -> None:
    """Note series that never have a target, unless its cells are faulty anyway."""
    faulty = {problem.column for problem in faults.problems}
    for place, label in enumerate(roles.target):
        if label in faulty:
            continue
        filled = np.bincount(codes[~np.isnan(values[:, place])], minlength=len(first)) > 0
        empty = np.flatnonzero(~filled)
        if empty.size:
            names = ", ".join(repr(faults.series(int(first[code]))) for code in empty[:SHOWN])
            whose = f" in {empty.size} series: {names}{', …' if empty.size > SHOWN else ''}" if roles.series else ""
            hint = "Drop them, or check how the target is read."
            faults.problems.append(Problem(f"no value at all{whose}", "one value or more", hint, column=label))


def _constant(
    cells: np.ndarray,
    codes: np.ndarray,
    order: np.ndarray | slice,
    starts: np.ndarray,
    label: Hashable,
    faults: _Faults,
) -> np.ndarray:
    """Give each series' static value; note the first series in which it varies."""
    known = np.flatnonzero(~pd.isna(cells))
    constant = np.full(len(starts), np.nan if cells.dtype.kind == "f" else None, dtype=cells.dtype)
    constant[codes[known[::-1]]] = cells[known[::-1]]
    varying = known[cells[known] != constant[codes[known]]]
    if varying.size:
        row = int(varying[0])
        found = f"a static column that varies: {_plain(constant[codes[row]])!r}, then {_plain(cells[row])!r}"
        place = row if isinstance(order, slice) else int(order[row])
        faults.add(place, found, "one value per series", "Make it `past` or `known`, or correct it.", label)
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
