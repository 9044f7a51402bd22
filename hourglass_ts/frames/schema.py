"""A user's frame → a checked long table on a real calendar, with every missing step laid in and marked.

`check_frame` is the way in: resolve the roles, read and check every column, find the calendars, lay out the grid.
`future_rows` gives the rows that follow, with the covariates the user knows ahead.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem, raise_problems
from hourglass_ts.frames.calendars import Calendar, show_time
from hourglass_ts.frames.reading import Rows, align_times, read_covariate, read_rows
from hourglass_ts.frames.roles import OBSERVED, STEP, TIME, UNIT, VALUE, Roles, Source, resolve

__all__ = ["OBSERVED", "STEP", "TIME", "UNIT", "VALUE", "Panel", "Roles", "check_frame", "future_rows"]

SHOWN = 3  # units named one by one in notes and messages
FREE_ROWS, MOST_LAID_IN = 1_000_000, 20  # a grid may add this many rows, or this many times the given ones


@dataclass(frozen=True)
class Panel:
    """The checked data of all units; a unit is one (series, target column) pair.

    roles: with time and targets filled in.
    keys (n_units rows): the series columns, own dtype; with several targets also "target", the target's label.
    table (all units' full grids, sorted): UNIT int64, STEP int64 from 0 at the unit's first observed time, TIME,
        VALUE float64 (NaN where missing), OBSERVED bool, and each covariate: float64 or objects of str (None: missing).
    calendars: one per unit. notes: in words, what was dropped, trimmed or laid in.
    """

    roles: Roles
    keys: pd.DataFrame
    table: pd.DataFrame
    calendars: tuple[Calendar, ...]
    notes: tuple[str, ...]


def check_frame(df: pd.DataFrame, roles: Roles, freq: Any = None) -> Panel:
    """Check a long or wide frame and lay it out on its calendars; the frame itself is never changed.

    freq: pandas alias or offset, or int, for all series; None infers it. TIME keeps the datetimes' unit and time zone;
    integers become int64; text, dates and periods (their starts) become datetimes. Raises one DataError with all faults
    found, SettingsError for a bad `freq`.

    Example:
        >>> df = pd.DataFrame({"t": [1, 2, 4], "y": [1.0, 2.0, 4.0]})
        >>> panel = check_frame(df, Roles.from_arguments(time="t", target="y"))
        >>> panel.table[VALUE].tolist(), panel.notes
        ([1.0, 2.0, nan, 4.0], ('1 missing step laid in, first 3',))
    """
    source = Source(df)
    roles, time, notes = resolve(source, roles)
    rows = read_rows(source, roles, time, freq)
    layout = _lay_out(rows, len(roles.target))
    table = _fill(rows, roles, layout)
    keys = _keys(source, rows, roles)
    calendars = tuple(rows.calendars[unit // len(roles.target)] for unit in range(len(keys)))
    panel = Panel(roles, keys, table, calendars, (*notes, *rows.notes))
    return replace(panel, notes=(*panel.notes, *_notes(layout, panel)))


@dataclass(frozen=True)
class _Layout:
    """Where rows go. Per unit: `first` step (of its series) and `length`. Per given row inside: row, unit, place."""

    first: np.ndarray
    length: np.ndarray
    offset: np.ndarray  # place of each unit's first row in the table
    row: np.ndarray
    unit: np.ndarray
    place: np.ndarray
    trimmed: np.ndarray  # rows after each unit's last observed one


def _lay_out(rows: Rows, n_targets: int) -> _Layout:
    observed = ~np.isnan(rows.values)
    row, target = np.nonzero(observed)
    unit = rows.codes[row] * n_targets + target
    first = np.zeros(len(rows.calendars) * n_targets, dtype="int64")
    last = first.copy()
    first[unit[::-1]] = rows.steps[row[::-1]]  # rows are in time order, so the last one written is the earliest
    last[unit] = rows.steps[row]
    length = last - first + 1
    given, total = rows.values.size, int(length.sum())
    if total > given * (1 + MOST_LAID_IN) + FREE_ROWS:
        hint = "Check the times for strays, or pass a coarser `freq=`."
        expected = f"at most {MOST_LAID_IN} missing steps per row"
        raise_problem(
            DataError, Problem(f"{given:,} rows over {total:,} steps", expected, hint, column=rows.time_label)
        )
    offset = np.concatenate([[0], np.cumsum(length)[:-1]]).astype("int64")
    units = rows.codes[:, None] * n_targets + np.arange(n_targets)
    steps = rows.steps[:, None]
    row, target = np.nonzero((steps >= first[units]) & (steps <= last[units]))
    trimmed = np.bincount(units[steps > last[units]], minlength=len(first))
    unit = rows.codes[row] * n_targets + target
    return _Layout(first, length, offset, row, unit, offset[unit] + rows.steps[row] - first[unit], trimmed)


def _fill(rows: Rows, roles: Roles, layout: _Layout) -> pd.DataFrame:
    total, n_targets = int(layout.length.sum()), len(roles.target)
    unit = np.repeat(np.arange(len(layout.length)), layout.length)
    step = np.arange(total) - layout.offset[unit]
    value = np.full(total, np.nan)
    value[layout.place] = rows.values[layout.row, layout.unit % n_targets]
    columns: dict[Hashable, Any] = {UNIT: unit, STEP: step, TIME: _times(rows, layout, unit, step, n_targets)}
    columns |= {VALUE: value, OBSERVED: ~np.isnan(value)}
    for label, cells in rows.covariates.items():
        if label in roles.static:
            laid = rows.constants[label][unit // n_targets]
        else:
            laid = np.full(total, np.nan if cells.dtype.kind == "f" else None, dtype=cells.dtype)
            laid[layout.place] = cells[layout.row]
        columns[label] = pd.Series(laid, dtype=laid.dtype)  # the dtype keeps pandas from guessing `str`
    return _frame(columns)


def _times(rows: Rows, layout: _Layout, unit: np.ndarray, step: np.ndarray, n_targets: int) -> pd.Index:
    """Give each table row's time: the user's own where there is a row, the calendar's where one is laid in."""
    source = np.full(len(unit), -1)
    source[layout.place] = layout.row
    absent = np.flatnonzero(source < 0)
    if absent.size == 0:
        return rows.times[source]
    code = unit[absent] // n_targets
    laid_in = times_at(rows.calendars, code, rows.times[rows.starts[code]], layout.first[unit[absent]] + step[absent])
    times = rows.times.append(laid_in)
    source[absent] = len(rows.times) + np.arange(len(absent))
    return times[source]


def times_at(calendars: tuple[Calendar, ...], owner: np.ndarray, anchors: pd.Index, steps: np.ndarray) -> pd.Index:
    """Give the times `steps` after `anchors`, row by row, on the calendar of each row's owner."""
    numbers = {calendar: number for number, calendar in enumerate(dict.fromkeys(calendars))}
    which = np.array([numbers[calendar] for calendar in calendars])[owner]
    order, parts = [], []
    for calendar, number in numbers.items():
        mine = np.flatnonzero(which == number)
        if mine.size:
            order.append(mine)
            parts.append(calendar.at(anchors[mine], steps[mine]))
    joined = parts[0].append(parts[1:])
    return joined[np.argsort(np.concatenate(order))]


def _frame(columns: dict[Hashable, Any]) -> pd.DataFrame:
    frame = pd.DataFrame(dict(enumerate(columns.values())))
    labels = np.empty(len(columns), dtype=object)
    labels[:] = list(columns)  # an array of objects, so that tuples stay labels
    frame.columns = pd.Index(labels, tupleize_cols=False)
    return frame


def _keys(source: Source, rows: Rows, roles: Roles) -> pd.DataFrame:
    series, targets = len(rows.starts), len(roles.target)
    first = np.repeat(rows.origin[rows.starts], targets)
    keys: dict[Hashable, Any] = {label: source[label].iloc[first].reset_index(drop=True) for label in roles.series}
    if targets > 1:
        labels = np.empty(targets, dtype=object)
        labels[:] = list(roles.target)
        keys["target"] = pd.Series(np.tile(labels, series), dtype=object)
    return _frame(keys) if keys else pd.DataFrame(index=pd.RangeIndex(series * targets))


def unit_names(keys: pd.DataFrame, roles: Roles, units: np.ndarray) -> list[str]:
    """Name units for messages: "series 'A'", "series ('A', 2), target 'y'", or "" for the only one."""
    names = []
    for unit in units:
        ids = tuple(keys.iloc[unit, : len(roles.series)].astype(object))
        parts = [f"series {(ids[0] if len(ids) == 1 else ids)!r}"] if ids else []
        parts += [f"target {keys.iloc[unit, -1]!r}"] if len(roles.target) > 1 else []
        names.append(", ".join(parts))
    return names


def _notes(layout: _Layout, panel: Panel) -> list[str]:
    present = np.zeros(len(panel.table), dtype=bool)
    present[layout.place] = True
    observed = panel.table[OBSERVED].to_numpy()
    notes = _tell_places(np.flatnonzero(~present), "missing step", "laid in", panel)
    notes += _tell_places(np.flatnonzero(present & ~observed), "row", "without a value", panel)
    return notes + _tell(layout.trimmed, "trailing row", "without a target left out", panel)


def _tell_places(places: np.ndarray, noun: str, verb: str, panel: Panel) -> list[str]:
    unit = panel.table[UNIT].to_numpy()[places]
    counts = np.bincount(unit, minlength=len(panel.keys))
    shown = np.flatnonzero(counts)[:SHOWN]
    firsts = panel.table[TIME].iloc[places[np.searchsorted(unit, shown)]]
    return _tell(counts, noun, verb, panel, [f", first {show_time(first)}" for first in firsts])


def _tell(counts: np.ndarray, noun: str, verb: str, panel: Panel, details: list[str] | None = None) -> list[str]:
    """Say it unit by unit for the first few, and sum up the rest."""
    units = np.flatnonzero(counts)
    shown, rest = units[:SHOWN], units[SHOWN:]
    lines = [
        (f"{name}: " if name else "") + f"{_count(counts[unit], noun)} {verb}{detail}"
        for unit, name, detail in zip(
            shown, unit_names(panel.keys, panel.roles, shown), details or [""] * len(shown), strict=True
        )
    ]
    return lines + ([f"{len(rest):,} more series: {_count(counts[rest].sum(), noun)} {verb}"] if rest.size else [])


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("s" if number != 1 else "")


def future_rows(panel: Panel, horizon: int, known: pd.DataFrame | None = None) -> pd.DataFrame:
    """Give `horizon` rows per unit right after its last observed step: UNIT, STEP, TIME and the known covariates.

    known: a frame with the series columns, the time (column or index) and the known columns; other rows are ignored.
    Raises one DataError for all rows and values that are missing, SettingsError for a bad `horizon`.

    Example:
        >>> df = pd.DataFrame({"t": [1, 2, 3], "y": [1.0, 2.0, 4.0]})
        >>> future_rows(check_frame(df, Roles.from_arguments(time="t", target="y")), 2)[TIME].tolist()
        [4, 5]
    """
    table, units = panel.table, len(panel.keys)
    if isinstance(horizon, bool) or not isinstance(horizon, (int, np.integer)) or horizon < 1:
        hint = "Pass how many steps to forecast."
        raise_problem(SettingsError, Problem(f"horizon={horizon!r}", "a positive integer", hint))
    length = np.bincount(table[UNIT].to_numpy(), minlength=units)
    unit = np.repeat(np.arange(units), horizon)
    step = length[unit] + np.tile(np.arange(horizon), units)
    anchors = pd.Index(table[TIME].iloc[np.concatenate([[0], np.cumsum(length)[:-1]])])[unit]
    times = times_at(panel.calendars, unit, anchors, step)
    columns: dict[Hashable, Any] = {UNIT: unit, STEP: step, TIME: times}
    if panel.roles.known:
        columns |= _known_ahead(panel, known, unit, times)
    return _frame(columns)


def _known_ahead(
    panel: Panel, known: pd.DataFrame | None, unit: np.ndarray, times: pd.Index
) -> dict[Hashable, pd.Series]:
    roles = panel.roles
    span = f"{show_time(times.min())} to {show_time(times.max())}"
    if known is None:
        labels = ", ".join(repr(label) for label in roles.known)
        hint = f"Pass `known`, a frame with their rows from {span}."
        raise_problem(DataError, Problem(f"no future values of {labels}", "the known covariates ahead", hint))
    source = Source(known)
    here = Roles(time=roles.time, series=roles.series, known=roles.known)
    if roles.time not in source:
        here = Roles(series=roles.series, known=roles.known)
    raise_problems(DataError, source.missing(here))
    _, given_time, _ = resolve(source, Roles(time=here.time, target=roles.known, series=roles.series))
    wanted, given = align_times(times, given_time, roles.time)
    problems: list[Problem] = []
    row = _match(panel, source, unit, wanted, given, problems)
    columns = {}
    for label in roles.known:
        cells = read_covariate(source[label], label, panel.table[label].dtype == object, problems, rows=row[row >= 0])
        laid = np.append(cells, np.array([None if cells.dtype == object else np.nan], dtype=cells.dtype))[row]
        columns[label] = pd.Series(laid, dtype=laid.dtype)
        absent = np.flatnonzero(pd.isna(laid))
        if absent.size:
            name = unit_names(panel.keys, roles, unit[absent[:1]])[0]
            found = f"{absent.size} of {len(laid)} future values missing" + (f", first in {name}" if name else "")
            hint = "Add the rows to `known`, or fill them."
            problems.append(
                Problem(found, f"a value for every step, {span}", hint, label, None, show_time(times[absent[0]]))
            )
    raise_problems(DataError, problems)
    return columns


def _match(
    panel: Panel, source: Source, unit: np.ndarray, wanted: np.ndarray, given: np.ndarray, problems: list[Problem]
) -> np.ndarray:
    """Find each wanted row in the user's frame by series and time: its position, -1 where there is none."""
    want, have = {TIME: wanted}, {TIME: given}
    for number, label in enumerate(panel.roles.series):
        keys = panel.keys.iloc[:, number].astype(object)
        ids = pd.Index(keys.unique(), dtype=object)
        want[f"id{number}"] = ids.get_indexer(keys)[unit]
        have[f"id{number}"] = ids.get_indexer(pd.Index(source[label], dtype=object))
    left, right = pd.MultiIndex.from_frame(pd.DataFrame(want)), pd.MultiIndex.from_frame(pd.DataFrame(have))
    needed = right.isin(left)
    doubled = np.flatnonzero(needed & right.duplicated())
    if doubled.size:
        found = f"{doubled.size} duplicate row(s) (same series and time) in `known`, first at row {doubled[0]}"
        problems.append(Problem(found, "one row per series and time", "Drop them with drop_duplicates."))
    single = np.flatnonzero(needed & ~right.duplicated())
    place = right[single].get_indexer(left)
    return np.where(place >= 0, np.append(single, -1)[place], -1)
