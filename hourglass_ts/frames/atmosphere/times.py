"""The times of a weather frame: a zone for local clocks, which have an hour twice in autumn and lose one in spring."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import DataError, Problem, raise_problem
from hourglass_ts.frames.wording import show_gaps, show_time

SHOWN = 3  # series named one by one


@dataclass(frozen=True)
class Places:
    """The rows of a frame by series and time, and their names for notes and messages. keys: the series columns."""

    frame: pd.DataFrame
    time: Hashable
    keys: Sequence[Hashable]

    def name(self, row: int) -> Any:
        """The series of a row: its id, a tuple of several, or None where there is one series."""
        names = tuple(self.frame[label].iloc[row] for label in self.keys)
        return None if not names else names[0] if len(names) == 1 else names

    def first(self, rows: np.ndarray) -> dict[str, Any]:
        """Where the first of some rows (n,) of truth values is: `series` and `at` of a Problem."""
        row = int(np.argmax(rows))
        return {"series": self.name(row), "at": show_time(self.frame[self.time].iloc[row])}

    def text(self, rows: np.ndarray) -> str:
        """The same in words."""
        first = self.first(rows)
        return f"first at {first['at']}" + ("" if first["series"] is None else f" in {first['series']!r}")

    def codes(self) -> np.ndarray:
        """The number (n,) of each row's series, in the order of their first rows."""
        if not self.keys:
            return np.zeros(len(self.frame), dtype=np.int64)
        return self.frame.groupby(list(self.keys), sort=False, dropna=False, observed=True).ngroup().to_numpy()

    def by_series(self) -> list[np.ndarray]:
        """The numbers of each series' rows, in the order of their times."""
        codes = self.codes()
        order = np.lexsort([pd.DatetimeIndex(self.frame[self.time]).asi8, codes])
        return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(codes) else []


def localised(times: pd.DatetimeIndex, zone: Any) -> pd.DatetimeIndex:
    """Give naive times a zone: of a repeated hour the first is meant, and a skipped time stands an hour later."""
    return times.tz_localize(zone, nonexistent="shift_forward", ambiguous=np.ones(len(times), dtype=bool))


def with_zone(places: Places, zone: str | None, drop: bool) -> tuple[pd.DataFrame, list[str], list[Problem]]:
    """Give the frame with its times in a zone, a note on all that had to be decided, and what cannot be.

    zone: of the clock that naive times were read from; aware times are converted to it; None leaves them as they are.
    Of two rows with the same time in the hour that autumn repeats, the first is in summer time. A lone one is, too,
    unless winter time goes on at the step of the two rows before it, as in rows of three hours.
    drop: leave out rows whose time spring skips, and say so, instead of a problem.
    Raises a DataError where times are no dates.
    """
    frame, time = places.frame, places.time
    times = pd.Index(frame[time])
    if not isinstance(times, pd.DatetimeIndex):
        found = f"times of type {times.dtype}"
        raise_problem(DataError, Problem(found, "dates", "Convert them with pd.to_datetime.", column=time))
    if zone is None:
        return frame, [], []
    if times.tz is not None:
        return _with_times(frame, time, times.tz_convert(zone)), [], []
    summer, winter = (
        times.tz_localize(zone, ambiguous=np.full(len(times), first), nonexistent="NaT") for first in (True, False)
    )
    skipped = np.asarray(summer.isna())
    repeated = np.asarray(summer != winter) & ~skipped
    codes = places.codes()
    same = pd.DataFrame({"code": codes, "time": times}).groupby(["code", "time"])["time"]
    second = repeated & (same.cumcount().to_numpy() > 0)
    lone = repeated & (same.transform("size").to_numpy() == 1)
    second |= lone & _goes_on(pd.Series(summer.where(~second, winter)), pd.Series(winter), codes)
    notes, problems = [], []
    if lone.any():
        text = "in the hour that autumn repeats, there once: taken for summer time, or the series' next step"
        notes.append(f"{time!r}: {_rows(lone)} {text}, {places.text(lone)}")
    frame = _with_times(frame, time, summer.where(~second, winter))
    if skipped.any():
        found = f"{_rows(skipped)} at a time that {zone} skips in spring"
        if drop:
            notes.append(f"{time!r}: {found}, {places.text(skipped)}; left out")
        else:
            hint = 'Correct them or the zone, or pass WeatherPipeline(faults="nan"), which leaves them out.'
            problems.append(Problem(found, "times that there are", hint, column=time, **places.first(skipped)))
        frame = frame[~skipped].reset_index(drop=True)
    return frame, notes, problems


def gap_notes(places: Places) -> list[str]:
    """Say of the first series whose rows do not follow at one distance which gaps there are."""
    times, notes, more = pd.DatetimeIndex(places.frame[places.time]), list[str](), 0
    for rows in places.by_series():
        own = times[rows].unique()
        if len(np.unique(np.diff(own.asi8))) < 2:
            continue
        more += len(notes) == SHOWN
        if len(notes) < SHOWN:
            name = places.name(rows[0])
            notes.append(f"{places.time!r}{'' if name is None else f' of {name!r}'}: {show_gaps(own)}")
    return notes + ([f"{places.time!r}: gaps in {more:,} more series"] if more else [])


def _goes_on(read: pd.Series, winter: pd.Series, codes: np.ndarray) -> np.ndarray:
    """Whether winter time is as far from the row before as that is from its own."""
    before = read.groupby(codes).shift(1)
    return (winter - before == before - before.groupby(codes).shift(1)).to_numpy()


def _with_times(frame: pd.DataFrame, time: Hashable, times: pd.DatetimeIndex) -> pd.DataFrame:
    frame = frame.copy(deep=False)
    frame[time] = times
    return frame


def _rows(rows: np.ndarray) -> str:
    return f"{int(rows.sum()):,} row{'s' if rows.sum() != 1 else ''}"
