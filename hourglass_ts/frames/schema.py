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
from hourglass_ts.frames.calendars import Calendar, anchor_rows, rows_by_calendar
from hourglass_ts.frames.features import TimeFeature, feature_columns, label_problems
from hourglass_ts.frames.reading import Rows, align_times, read_covariate, read_rows
from hourglass_ts.frames.roles import OBSERVED, STEP, TIME, UNIT, VALUE, Roles, Source, resolve
from hourglass_ts.frames.sessions import holiday_hint
from hourglass_ts.frames.wording import show_time

__all__ = ["OBSERVED", "STEP", "TIME", "UNIT", "VALUE", "Panel", "Roles", "check_frame", "future_rows"]

SHOWN = 3  # units named one by one in notes and messages
FREE_ROWS, MOST_LAID_IN = 1_000_000, 20  # a grid may add this many rows, or this many times the given ones


@dataclass(frozen=True)
class Panel:
    """The checked data of all units; a unit is one (series, target column) pair.

    roles: with time and targets filled in, and the features' columns among the known ones.
    keys (n_units rows): the series columns, own dtype; with several targets also "target", the target's label.
    table (all units' full grids, sorted): UNIT int64, STEP int64 from 0 at the unit's first observed time, TIME,
        VALUE float64 (NaN where missing), OBSERVED bool, and each covariate: float64 or objects of str (None: missing).
    calendars: one per unit. features: they make columns from the time. notes: what was dropped, trimmed or laid in.
    """

    roles: Roles
    keys: pd.DataFrame
    table: pd.DataFrame
    calendars: tuple[Calendar, ...]
    notes: tuple[str, ...]
    features: tuple[TimeFeature, ...] = ()

    @property
    def given_roles(self) -> Roles:
        """The roles of the columns that a user's frame has: without those made from the time."""
        made = {label for feature in self.features for label in feature.labels}
        return replace(self.roles, known=tuple(label for label in self.roles.known if label not in made))


def check_frame(df: pd.DataFrame, roles: Roles, freq: Any = None, features: tuple[TimeFeature, ...] = ()) -> Panel:
    """Check a long or wide frame and lay it out on its calendars; the frame itself is never changed.

    freq: pandas alias or offset, an exchange, or int, for all series; a dict from series to those; None infers it.
    features: known columns to make from the time. TIME keeps the datetimes' unit and time zone; integers become int64;
    text, dates and periods (their starts) become datetimes. Raises one DataError with all faults found, SettingsError
    for a bad `freq` or feature.

    Example:
        >>> df = pd.DataFrame({"t": [1, 2, 4], "y": [1.0, 2.0, 4.0]})
        >>> panel = check_frame(df, Roles.from_arguments(time="t", target="y"))
        >>> panel.table[VALUE].tolist(), panel.notes
        ([1.0, 2.0, nan, 4.0], ('1 missing step laid in, first 3',))
    """
    source = Source(df)
    roles, time, notes = resolve(source, roles)
    raise_problems(SettingsError, label_problems(features, [label for _, label in roles.pairs()]))
    rows = read_rows(source, roles, time, freq)
    layout = _lay_out(rows, len(roles.target))
    table = _fill(rows, roles, layout)
    keys = _keys(source, rows, roles)
    calendars = tuple(rows.calendars[unit // len(roles.target)] for unit in range(len(keys)))
    made = feature_columns(features, calendars, table[UNIT].to_numpy(), pd.Index(table[TIME]))
    for label, column in made.items():
        table[label] = column
    panel = Panel(replace(roles, known=(*roles.known, *made)), keys, table, calendars, (*notes, *rows.notes), features)
    return replace(panel, notes=(*panel.notes, *_notes(layout, panel)))


@dataclass(frozen=True)
class _Layout:
    """Which given row each table row is. Per unit: `first` step (of its series), `length`, rows `trimmed` at its end.

    source (table rows): a row's number in `Rows`, -1 where a step is laid in; slice(None) where the rows are the table.
    """

    first: np.ndarray
    length: np.ndarray
    trimmed: np.ndarray
    source: np.ndarray | slice

    def absent(self) -> np.ndarray:
        """List the table rows that are laid in."""
        return np.flatnonzero(self.source < 0) if isinstance(self.source, np.ndarray) else np.array([], dtype="int64")


def _lay_out(rows: Rows, n_targets: int) -> _Layout:
    given, ends = len(rows.codes), np.append(rows.starts[1:], len(rows.codes))
    begin, end = np.empty((2, len(rows.starts), n_targets), dtype="int64")  # rows of the first and last observation
    for target in range(n_targets):
        seen = np.flatnonzero(~np.isnan(rows.values[:, target]))
        begin[:, target] = seen[np.searchsorted(seen, rows.starts)]
        end[:, target] = seen[np.searchsorted(seen, ends) - 1]
    first, trimmed = rows.steps[begin], ends[:, None] - 1 - end
    length = rows.steps[end] - first + 1
    total = int(length.sum())
    if total > given * n_targets * (1 + MOST_LAID_IN) + FREE_ROWS:
        hint = "Check the times for strays, or pass a coarser `freq=`."
        found = f"{given * n_targets:,} rows over {total:,} steps"
        expected = f"at most {MOST_LAID_IN} missing steps per row"
        raise_problem(DataError, Problem(found, expected, hint, column=rows.time_label))
    source: np.ndarray | slice = slice(None)
    if n_targets > 1 or total != given or (begin[:, 0] != rows.starts).any() or trimmed.any():
        source = np.full(total, -1, dtype="int32" if given < 2**31 else "int64")
        shift = _offset(length.ravel()).reshape(length.shape) - first
        for target in range(n_targets):
            inside = end[:, target] + 1 - begin[:, target]
            row = np.arange(inside.sum()) + np.repeat(begin[:, target] - _offset(inside), inside)
            source[rows.steps[row] + np.repeat(shift[:, target], inside)] = row
    return _Layout(first.ravel(), length.ravel(), trimmed.ravel(), source)


def _offset(length: np.ndarray) -> np.ndarray:
    """Give the place of each unit's first row when units of these lengths stand one after another."""
    return np.cumsum(length) - length


def _fill(rows: Rows, roles: Roles, layout: _Layout) -> pd.DataFrame:
    n_targets = len(roles.target)
    unit = np.repeat(np.arange(len(layout.length)), layout.length)
    step = np.arange(len(unit))
    step -= np.repeat(_offset(layout.length), layout.length)
    columns: dict[Hashable, Any] = {UNIT: unit, STEP: step, TIME: _times(rows, layout, unit, step, n_targets)}
    if n_targets == 1:
        value = _lay(rows.values[:, 0], rows, layout)
    else:
        value = rows.values[layout.source, unit % n_targets]
        value[layout.absent()] = np.nan
    columns |= {VALUE: value, OBSERVED: ~np.isnan(value)}
    for label, cells in rows.covariates.items():
        static = label in roles.static
        laid = rows.constants[label][unit // n_targets] if static else _lay(cells, rows, layout)
        columns[label] = pd.Series(laid, dtype=laid.dtype)  # the dtype keeps pandas from guessing `str`
    return _frame(columns)


def _lay(cells: np.ndarray, rows: Rows, layout: _Layout) -> np.ndarray:
    """Lay the rows' cells out on the table, never in memory that may be the user's."""
    if isinstance(layout.source, slice):
        return cells if rows.copied else cells.copy()
    laid = cells[layout.source]
    laid[layout.absent()] = np.nan if laid.dtype.kind == "f" else None
    return laid


def _times(rows: Rows, layout: _Layout, unit: np.ndarray, step: np.ndarray, n_targets: int) -> pd.Index:
    """Give each table row's time: the user's own where there is a row, the calendar's where one is laid in."""
    if isinstance(layout.source, slice):
        return rows.times if rows.copied else rows.times.copy(deep=True)
    times, absent = rows.times.array[layout.source], layout.absent()
    if absent.size:
        owner = unit[absent]
        code = owner // n_targets
        anchor = anchor_rows(rows.times, rows.starts)[code]
        steps = layout.first[owner] + step[absent] - rows.steps[anchor]
        times[absent] = times_at(rows.calendars, code, rows.times[anchor], steps).array
    return pd.Index(times)


def times_at(calendars: tuple[Calendar, ...], owner: np.ndarray, anchors: pd.Index, steps: np.ndarray) -> pd.Index:
    """Give the times `steps` after `anchors`, row by row, on the calendar of each row's owner."""
    order, parts = [], []
    for calendar, mine in rows_by_calendar(calendars, owner):
        order.append(mine)
        parts.append(calendar.at(anchors[mine], steps[mine]))
    joined = parts[0].append(parts[1:])
    return joined[np.argsort(np.concatenate(order))]


def _frame(columns: dict[Hashable, Any]) -> pd.DataFrame:
    # The columns are this module's own: a copy, which pandas makes to lay them side by side, would double the memory.
    frame = pd.DataFrame(dict(enumerate(columns.values())), copy=False)
    labels = np.empty(len(columns), dtype=object)
    labels[:] = list(columns)  # an array of objects, so that tuples stay labels
    frame.columns = pd.Index(labels, tupleize_cols=False)
    return frame


def _keys(source: Source, rows: Rows, roles: Roles) -> pd.DataFrame:
    series, targets = len(rows.starts), len(roles.target)
    first = np.repeat(rows.origin, targets)
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
    absent = layout.absent()
    empty = ~panel.table[OBSERVED].to_numpy()
    empty[absent] = False
    notes = _tell_places(absent, "missing step", "laid in", panel)
    notes += _tell_places(np.flatnonzero(empty), "row", "without a value", panel)
    notes += _tell(layout.trimmed, "trailing row", "without a target left out", panel)
    holes = np.bincount(panel.table[UNIT].to_numpy()[absent], minlength=len(panel.keys))
    business = [unit for unit, calendar in enumerate(panel.calendars) if calendar.freq == "B"]
    hints = (holiday_hint(int(holes[unit]), int(layout.length[unit])) for unit in business)
    return notes + [hint for hint in hints if hint][:1]


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
    known_times = pd.Index(table[TIME])
    anchor = anchor_rows(known_times, np.concatenate([[0], np.cumsum(length)[:-1]]))[unit]
    times = times_at(panel.calendars, unit, known_times[anchor], step - table[STEP].to_numpy()[anchor])
    _check_later(times, known_times[np.cumsum(length) - 1][unit], panel.roles.time)
    columns: dict[Hashable, Any] = {UNIT: unit, STEP: step, TIME: times}
    if panel.given_roles.known:
        columns |= _known_ahead(panel, known, unit, times)
    return _frame(columns | feature_columns(panel.features, panel.calendars, unit, times))


def _check_later(times: pd.Index, last: pd.Index, label: Hashable) -> None:
    """Refuse times that came round to the beginning of their type's range."""
    if (times <= last).any():
        found = f"times beyond the range of {times.dtype}, after {show_time(last[(times <= last).argmax()])}"
        hint = "Convert the times to a coarser unit, e.g. .astype('datetime64[s]'), or number the steps from 0."
        raise_problem(DataError, Problem(found, "a horizon within the range of the times' type", hint, column=label))


def _known_ahead(
    panel: Panel, known: pd.DataFrame | None, unit: np.ndarray, times: pd.Index
) -> dict[Hashable, pd.Series]:
    roles = panel.given_roles
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

    def add(place: int, found: str, expected: str, hint: str, label: Hashable) -> None:
        problems.append(Problem(found, expected, hint, label, at=f"row {place} of `known`"))

    columns = {}
    for label in roles.known:
        cells = read_covariate(source[label], label, panel.table[label].dtype == object, add, rows=row[row >= 0])
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
