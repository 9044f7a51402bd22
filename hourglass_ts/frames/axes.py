"""The calendars of many series at once: one frequency for all where it fits, its own for each where they differ."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import Problem, SettingsError, raise_problem
from hourglass_ts.frames.calendars import Calendar, anchor_rows, no_frequency, off_grid, wrong_kind, zone_name
from hourglass_ts.frames.frequency import TWO_WEEKS, infer_freq, is_weekend

SHOWN = 5  # series named in one error before the rest is counted


@dataclass(frozen=True)
class Axes:
    """The time axes of all series: `calendars` (series,), `steps` (rows,) since each series' first row, and faults."""

    calendars: tuple[Calendar | None, ...]
    steps: np.ndarray
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Rows:
    """The times of all series, sorted by series, then time, without duplicates."""

    times: pd.Index
    codes: np.ndarray
    starts: np.ndarray
    counts: np.ndarray

    def of(self, series: np.ndarray) -> _Rows:
        """Keep the rows of some series (ascending); their codes become 0, 1, 2…"""
        if len(series) == len(self.starts):
            return self
        counts = self.counts[series]
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        rows = np.repeat(self.starts[series] - starts, counts) + np.arange(counts.sum())
        return _Rows(self.times[rows], np.repeat(np.arange(len(series)), counts), starts, counts)

    def steps(self, calendar: Calendar) -> tuple[np.ndarray, np.ndarray]:
        """Count each row's steps since its series' first, and say whether it is on the grid."""
        anchors = self.times[anchor_rows(self.times, self.starts)].take(self.codes)
        steps, fits = calendar.steps(self.times, anchors)
        return steps - steps[self.starts][self.codes], fits

    def all_of(self, true: np.ndarray) -> np.ndarray:
        """Say per series whether all its rows are true."""
        return np.bincount(self.codes[~true], minlength=len(self.starts)) == 0


def find_axes(times: pd.Index, codes: np.ndarray, freq: Any, column: Hashable, name: Callable[[int], Hashable]) -> Axes:
    """Find each series' calendar and each row's step.

    times (rows,): int64 or datetimes; codes (rows,): 0, 1, 2… the series; both sorted by (series, time), no duplicates.
    `name(code)` gives a series' name for messages. A given `freq` holds for all series; a dict has one for each. Raises
    SettingsError for a bad `freq`; faults in the data come back as problems.
    """
    counts = np.bincount(codes)
    rows = _Rows(times, codes, np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
    search = _Search(rows, column, name)
    if freq is None:
        search.infer()
    elif isinstance(freq, Mapping):
        search.impose_each(freq)
    else:
        search.impose(freq, np.arange(len(counts)))
    return search.result()


class _Search:
    """Tries calendars on the series that have none yet."""

    def __init__(self, rows: _Rows, column: Hashable, name: Callable[[int], Hashable]) -> None:
        self.rows, self.column, self.name = rows, column, name
        self.zone = zone_name(rows.times)
        self.known: list[Calendar] = []
        self.chosen = np.full(len(rows.starts), -1)  # place in `known`
        self.problems: list[Problem] = []

    def impose_each(self, freqs: Mapping[Any, Any]) -> None:
        """Give every series the frequency that stands under its name."""
        names = [self.name(code) for code in range(len(self.chosen))]
        missing = [name for name in names if name not in freqs]
        if missing:
            found, expected = f"`freq` without {missing[0]!r}", "the frequency of every series"
            raise_problem(SettingsError, Problem(found, expected, "Add it to the dict.", self.column, missing[0]))
        alike: dict[str, list[int]] = {}
        for code, name in enumerate(names):
            alike.setdefault(repr(freqs[name]), []).append(code)
        for codes in alike.values():
            self.impose(freqs[names[codes[0]]], np.array(codes))

    def impose(self, freq: Any, series: np.ndarray) -> None:
        """Give series the user's frequency; a plain "W" takes each one's own weekday."""
        calendar = Calendar.from_freq(freq, self.zone)
        if (calendar.kind == "integer") == isinstance(self.rows.times, pd.DatetimeIndex):
            raise_problem(SettingsError, wrong_kind(calendar, self.rows.times))
        firsts = self.rows.times[self.rows.starts[series]]
        if calendar.own_weekday(firsts[0]) == calendar:
            self._check(calendar, series)
            return
        weekday = pd.DatetimeIndex(firsts).dayofweek.to_numpy()
        for day in np.unique(weekday):
            mine = np.flatnonzero(weekday == day)
            self._check(calendar.own_weekday(firsts[mine[0]]), series[mine])

    def infer(self) -> None:
        """Let the longest series propose a frequency; those it does not suit propose their own, longest first."""
        todo = np.arange(len(self.chosen))
        spare = np.full(len(self.chosen), -1)  # a calendar that fits but looks too fine
        while todo.size and self.rows.counts[todo].max() > 1 and len(self.problems) < SHOWN:
            lead = int(todo[self.rows.counts[todo].argmax()])
            own = self.rows.of(np.array([lead]))
            guess = infer_freq(own.times)
            calendar = Calendar.from_freq(guess, self.zone)
            rows = self.rows.of(todo)
            steps, fits = rows.steps(calendar)
            suits, coarse = rows.all_of(fits), _looks_coarser(calendar, rows, steps)
            place = len(self.known)
            mine = todo == lead
            if not suits[mine][0] and spare[lead] >= 0:
                self.chosen[lead] = spare[lead]
            elif not suits[mine][0]:
                own_fits = fits[rows.codes == np.flatnonzero(mine)[0]]
                self.problems.append(off_grid(calendar, own.times, own_fits, True, self.column, self.name(lead)))
            else:
                self.known.append(calendar)
                spare[todo[suits & coarse & (spare[todo] < 0)]] = place
                taken = suits & (~coarse | mine)
                self.chosen[todo[taken]] = place
                mine |= taken
            todo = todo[~mine]
        if todo.size and len(self.problems) < SHOWN:
            self._borrow(todo)

    def _borrow(self, single: np.ndarray) -> None:
        """Serve series of one row: a weekly frame lends its frequency on their own weekday; else ask for `freq`."""
        if self.known and str(self.known[0].freq).partition("-")[0].endswith("W"):
            freq = str(self.known[0].freq).partition("-")[0]
            for series in single:
                first = self.rows.times[self.rows.starts[series]]
                self._check(Calendar("datetime", freq, self.zone).own_weekday(first), np.array([series]))
        elif not self.problems:
            first = self.rows.times[self.rows.starts[single[0]]]
            self.problems.append(no_frequency(self.column, self.name(int(single[0])), first, len(single)))

    def _check(self, calendar: Calendar, series: np.ndarray) -> None:
        rows = self.rows.of(series)
        fits = rows.steps(calendar)[1]
        if calendar not in self.known:
            self.known.append(calendar)
        self.chosen[series] = self.known.index(calendar)
        bad = np.flatnonzero(~rows.all_of(fits))
        for code in bad[: SHOWN - len(self.problems)]:
            own, own_fits, name = self.rows.of(series[[code]]), fits[rows.codes == code], self.name(int(series[code]))
            self.problems.append(off_grid(calendar, own.times, own_fits, False, self.column, name))

    def result(self) -> Axes:
        steps = np.zeros(len(self.rows.codes), dtype="int64")
        for place, calendar in enumerate(self.known):
            rows = self.rows.of(np.flatnonzero(self.chosen == place))
            mine = slice(None) if rows is self.rows else self.chosen[self.rows.codes] == place
            steps[mine] = rows.steps(calendar)[0]
        calendars = tuple(self.known[place] if place >= 0 else None for place in self.chosen)
        return Axes(calendars, steps, tuple(self.problems))


def _looks_coarser(calendar: Calendar, rows: _Rows, steps: np.ndarray) -> np.ndarray:
    """Say per series whether it may have a coarser frequency: it never takes a single step, or never a weekend day."""
    series = len(rows.starts)
    gaps = np.diff(steps, prepend=steps[:1] if len(steps) else 0)
    gaps[rows.starts] = np.iinfo("int64").max
    coarse = (np.minimum.reduceat(gaps, rows.starts) > 1) & (rows.counts >= 4)
    if calendar.freq != "D":
        return coarse
    days = rows.times.tz_localize(None).to_numpy().astype("datetime64[D]")
    no_weekend = np.bincount(rows.codes[is_weekend(days)], minlength=series) == 0
    last = steps[rows.starts + rows.counts - 1]
    return coarse | (no_weekend & (last >= TWO_WEEKS))
