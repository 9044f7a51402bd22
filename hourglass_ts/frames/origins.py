"""Looking at a panel from an origin in its past: the rows up to it, and the rows to forecast after it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.frames.columns import to_times
from hourglass_ts.frames.roles import OBSERVED, STEP, TIME, UNIT, VALUE, Roles, Source, resolve
from hourglass_ts.frames.schema import Panel, future_rows


@dataclass(frozen=True)
class View:
    """What a panel shows at `origin`: the units that had begun by then, each up to its last observation.

    units (n,): their numbers in the panel.  starts, ends (n,): the table rows of their first and last step in view.
    """

    panel: Panel
    origin: Any
    units: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def past(self) -> Panel:
        """The panel that `check_frame` would make of the rows in view, its units numbered anew."""
        lengths = self.ends + 1 - self.starts
        rows = _ranges(self.starts, lengths)
        table = self.panel.table.take(rows).reset_index(drop=True)
        table[UNIT] = np.repeat(np.arange(len(self.units)), lengths)
        table[STEP] = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        keys = self.panel.keys.iloc[self.units].reset_index(drop=True)
        calendars = tuple(self.panel.calendars[unit] for unit in self.units)
        return replace(self.panel, keys=keys, table=table, calendars=calendars)

    @property
    def is_whole(self) -> bool:
        """Whether every unit is in view from its first row on."""
        return bool((self.starts == unit_bounds(self.panel)[0][self.units]).all())

    def goes_on(self, horizon: int) -> bool:
        """Whether the panel has a row for every step of the horizon of every unit in view."""
        _, last = unit_bounds(self.panel)
        return bool((self.ends + horizon <= last[self.units]).all())

    def future(self, horizon: int, known: pd.DataFrame | None = None) -> pd.DataFrame:
        """The rows that follow, as `future_rows` gives them.

        known: what was known of the known columns at the origin; None takes what the panel itself holds.
        """
        if known is not None or not self.goes_on(horizon):
            return future_rows(self.past(), horizon, known)
        after = _ranges(self.ends + 1, np.full(len(self.ends), horizon))
        columns: dict[Hashable, Any] = {UNIT: np.repeat(np.arange(len(self.units)), horizon)}
        columns[STEP] = np.repeat(self.ends + 1 - self.starts, horizon) + np.tile(np.arange(horizon), len(self.units))
        rows = self.panel.table[[TIME, *self.panel.roles.known]].take(after).reset_index(drop=True)
        return pd.concat([pd.DataFrame(columns), rows], axis=1)


def view_from(
    panel: Panel, origin: Any, horizon: int, *, among: np.ndarray, given_known: bool, start: Any = None
) -> View:
    """What `panel` shows at `origin`: nothing later, and with `start` nothing earlier than that.

    among (n_units,): the units to look at.  given_known: the known columns after the origin come from elsewhere. Where
    they are the panel's own, units whose rows end less than `horizon` steps after the view are left out, since their
    known values are missing.
    """
    table = panel.table
    first, last = unit_bounds(panel)
    seen = np.flatnonzero(table[OBSERVED].to_numpy() & (pd.Index(table[TIME]) <= origin))
    place = np.searchsorted(seen, last, side="right") - 1
    ends = np.where(place >= 0, seen[np.maximum(place, 0)] if seen.size else -1, -1)
    usable = among & (ends >= first)
    if panel.given_roles.known and not given_known:
        usable &= ends + horizon <= last
    starts = first if start is None else _first_from(panel, start, first)
    usable &= starts <= ends
    units = np.flatnonzero(usable)
    return View(panel, origin, units, _first_observed(panel, starts[units]), ends[units])


def seen_from(views: Sequence[View]) -> Panel:
    """The panel of some views, with every value blotted out that lies after the last of them.

    Of units that are in no view the first value remains, since none may be empty.
    """
    panel = views[0].panel
    last = unit_bounds(panel)[0]
    for view in views:
        last[view.units] = np.maximum(last[view.units], view.ends)
    later = np.arange(len(panel.table)) > last[panel.table[UNIT].to_numpy()]
    seen = panel.table[OBSERVED].to_numpy() & ~later
    return replace(panel, table=panel.table.assign(**{VALUE: panel.table[VALUE].where(~later), OBSERVED: seen}))


def unit_bounds(panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    """The table rows of every unit's first and last step."""
    lengths = np.bincount(panel.table[UNIT].to_numpy(), minlength=len(panel.keys))
    last = np.cumsum(lengths) - 1
    return last + 1 - lengths, last


def on_clock(moment: Any, times: pd.Index) -> Any:
    """Give a time as those of an axis have it: one without a zone is read on the wall clock of theirs.

    In the hour that an autumn night has twice, it is the later one.

    Example:
        >>> on_clock("2024-01-01", pd.date_range("2024-01-01", periods=2, tz="Europe/Berlin"))
        Timestamp('2024-01-01 00:00:00+0100', tz='Europe/Berlin')
    """
    if not isinstance(times, pd.DatetimeIndex) or times.tz is None or pd.Timestamp(moment).tz is not None:
        return moment
    return pd.Timestamp(moment).tz_localize(times.tz, ambiguous=False, nonexistent="shift_backward")


def panel_times(panel: Panel) -> pd.Index:
    """Every time that the panel has a row for, once, in order: what origins and folds are counted in."""
    return pd.Index(panel.table[TIME].unique()).sort_values()


def row_times(df: pd.DataFrame, roles: Roles) -> pd.Index:
    """The time of every row of a user's frame, of the type that the panel of this frame has."""
    _, time, _ = resolve(Source(df), roles)
    return to_times(time).values


def _first_from(panel: Panel, start: Any, first: np.ndarray) -> np.ndarray:
    """Each unit's first table row at `start` or later."""
    earlier = np.flatnonzero(pd.Index(panel.table[TIME]) < start)
    return first + np.bincount(panel.table[UNIT].to_numpy()[earlier], minlength=len(panel.keys))


def _first_observed(panel: Panel, starts: np.ndarray) -> np.ndarray:
    """The first table row from each start on that was observed."""
    seen = np.flatnonzero(panel.table[OBSERVED].to_numpy())
    return seen[np.minimum(np.searchsorted(seen, starts), len(seen) - 1)] if len(seen) else starts


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """`starts[i]` and the `lengths[i]` − 1 numbers after it, for all i in a row."""
    return np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
