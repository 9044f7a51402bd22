"""Rows of a station → one row per interval, each variable in its own way, and no row from what comes after it.

A row's time is when its values were complete, as stations write it. So an interval goes from its start, which it does
not hold, to its end, which it is named by: the day that is written 2020-01-02 00:00 is the first of January. Months
are "MS" for rows within the day, and "ME" for daily rows that are written on their day; the other way round they are
refused, as they would be a day off. Weeks end when their last day begins, or with the daily row that is written on it:
from Monday to Sunday they are "W-MON" for rows within the day, and "W" for daily ones.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from hourglass_ts.errors import Problem
from hourglass_ts.frames.atmosphere.times import Places, localised
from hourglass_ts.frames.atmosphere.wind import mean_direction
from hourglass_ts.frames.calendars import step_nanoseconds
from hourglass_ts.frames.wording import show_span

AGGREGATES = ("mean", "sum", "max", "min", "median", "first", "last", "direction")
LEAST_SHARE = 0.75
"""Of an interval's rows that a column needs for a value; a sum needs them all."""
RECENT = 100
"""Steps whose median tells how far a series' rows are apart, so that it may change."""
_DAYS = {pd.offsets.Day: 1, pd.offsets.Week: 7, pd.offsets.MonthEnd: 31, pd.offsets.MonthBegin: 31}
_ORIGIN = pd.Timestamp("2000-01-01")


def resample_problems(rule: Any) -> list[Problem]:
    """Give the problem, if any, of what is to be a rule."""
    if rule is None or interval_days(rule) is not None:
        return []
    expected = "an interval such as '10min', 'h', '6h', 'D', 'W' or 'ME', or None"
    return [Problem(f"resample={rule!r}", expected, "Pass one of them.")]


def interval_days(rule: Any) -> int | None:
    """Give how many days an interval lasts at most, and at least one; None for what is no rule."""
    try:
        offset = to_offset(rule)
    except (ValueError, TypeError):
        return None
    if not isinstance(rule, str) or offset is None or offset.n < 1:
        return None
    if (step := step_nanoseconds(offset)) is not None:
        return max(1, -(-pd.Timedelta(step) // pd.Timedelta(days=1)))
    return next((days for kind, days in _DAYS.items() if isinstance(offset, kind) and offset.n == 1), None)


def interval_ends(times: pd.DatetimeIndex, rule: str) -> pd.DatetimeIndex:
    """Give the end of the interval that each time lies in, itself included; days and longer by the local date.

    Example:
        >>> interval_ends(pd.DatetimeIndex(["2020-01-01 00:00", "2020-01-01 00:10"]), "h").hour.tolist()
        [0, 1]
    """
    offset = to_offset(rule)
    if (nanoseconds := step_nanoseconds(offset)) is not None:
        origin = _ORIGIN if times.tz is None else _ORIGIN.tz_localize(times.tz)
        step = pd.Timedelta(nanoseconds)
        return (origin + -((origin - times) // step) * step).as_unit(times.unit)
    days, starts_day = times.tz_localize(None).normalize(), _starts_day(times)
    days = days.where(starts_day, days + pd.Timedelta(days=1))
    distinct, place = np.unique(days, return_inverse=True)
    ends = pd.DatetimeIndex([offset.rollforward(day) for day in pd.DatetimeIndex(distinct)]).as_unit(times.unit)[place]
    return ends if times.tz is None else localised(ends, times.tz)


def _starts_day(times: pd.DatetimeIndex) -> np.ndarray:
    """Whether each time (n,) is the first of its local date: midnight, or what follows where clocks skip midnight."""
    days = times.tz_localize(None).normalize()
    return np.asarray((days if times.tz is None else localised(days, times.tz)) == times)


def rule_notes(places: Places, rule: str | None) -> tuple[list[str], list[Problem]]:
    """Give a note on weeks of rows within the day, and a problem where a rule's months would be a day off."""
    times = pd.DatetimeIndex(places.frame[places.time])
    within, offset = ~_starts_day(times), to_offset(rule)
    if isinstance(offset, pd.offsets.MonthEnd) and within.any():
        found, hint = "rows within the day, whose months would end a day early", 'Pass resample="MS".'
        expected = f"daily rows, written on their day, for resample={rule!r}"
        return [], [Problem(found, expected, hint, column=places.time, **places.first(within))]
    if isinstance(offset, pd.offsets.MonthBegin) and not within.any() and times.nunique() > 1:
        off = np.asarray(interval_ends(times, str(rule)) != times)
        if off.any():
            found, hint = "daily rows, whose months would hold the next one's first day", 'Pass resample="ME".'
            expected = f"rows within the day for resample={rule!r}"
            return [], [Problem(found, expected, hint, column=places.time, **places.first(off))]
    if isinstance(offset, pd.offsets.Week) and within.any():
        return [f'resample={rule!r}: weeks end when their last day begins; from Monday to Sunday they are "W-MON"'], []
    return [], []


def resampled(
    places: Places, rule: str, aggregates: Mapping[Hashable, str], speeds: Mapping[Hashable, Hashable]
) -> tuple[pd.DataFrame, list[str]]:
    """Give one row per series and interval, with notes; rows that lie on its ends alone come back as they are.

    aggregates: of the columns of numbers; all others take their last value.  speeds: by label of a direction.

    A column without three quarters of an interval's rows is NaN there, a sum without one of them. How many there are to
    be follows from the median of a series' last 100 steps; its first row has the step of its second. A last interval
    whose end no row has reached is left out.
    """
    order = np.lexsort([pd.DatetimeIndex(places.frame[places.time]).asi8, places.codes()])
    rows = Places(places.frame.iloc[order].reset_index(drop=True), places.time, places.keys)
    frame, codes, times = rows.frame, rows.codes(), pd.DatetimeIndex(rows.frame[rows.time])
    ends = interval_ends(times, rule)
    group = pd.DataFrame({"code": codes, "end": ends}).groupby(["code", "end"], sort=False).ngroup().to_numpy()
    last = np.flatnonzero(np.diff(group, append=-1))  # of every interval
    lengths, distances = _lengths(times[last], rule), _distances(codes, times)[last]
    wanted = np.where(np.isnan(distances), 1.0, np.maximum(1.0, np.round(lengths / distances)))
    columns: dict[Hashable, Any] = {}
    for label in frame.columns:
        if label == rows.time:
            columns[label] = ends[last]
        elif label in rows.keys:
            columns[label] = frame[label].iloc[last].array
        elif label not in aggregates:
            columns[label] = frame[label].groupby(group).last().array
        else:
            speed = frame[speeds[label]].to_numpy(np.float64) if label in speeds else None
            columns[label] = _one_each(frame[label], group, aggregates[label], speed, wanted)
    made = pd.DataFrame(dict(enumerate(columns.values()))).set_axis(frame.columns, axis=1)
    made.attrs = dict(frame.attrs)
    notes = [f"resample={rule!r}: a row's time is the end of its interval, which holds the rows after the last end"]
    if others := [label for label in frame.columns if label not in (rows.time, *rows.keys, *aggregates)]:
        shown = ", ".join(map(repr, others[:4])) + (", …" if len(others) > 4 else "")
        notes.append(f"{shown}: the last value of each interval; pass aggregate= for another way of numbers")
    if (far := distances > lengths).mean() > 0.5:
        notes.append(f"rows lie {show_span(int(distances[far][0]))} apart, farther than resample={rule!r}")
    made, found = _without_open(made, rows, last, ends, wanted)
    return made, notes + found


def _distances(codes: np.ndarray, times: pd.DatetimeIndex) -> np.ndarray:
    """How far the rows of each row's series lie apart (n,), in nanoseconds, as the rows up to it tell; NaN of one."""
    steps = pd.Series(np.diff(times.as_unit("ns").asi8, prepend=0).astype(np.float64))
    steps[np.diff(codes, prepend=-1) != 0] = np.nan
    known = steps.where(steps.notna(), steps.groupby(codes).bfill(limit=1))
    return known.groupby(codes).rolling(RECENT, min_periods=1).median().to_numpy()


def _lengths(times: pd.DatetimeIndex, rule: str) -> np.ndarray:
    """How long, in nanoseconds, the interval of each time is."""
    ends = interval_ends(times, rule)
    offset = to_offset(rule)
    if (step := step_nanoseconds(offset)) is not None:
        return np.full(len(times), float(step))
    wall = ends.tz_localize(None)
    starts = pd.DatetimeIndex([day - offset for day in wall.unique()])[wall.unique().get_indexer(wall)]
    starts = starts if times.tz is None else localised(starts, times.tz)
    return (ends - starts).as_unit("ns").asi8.astype(np.float64)


def _one_each(
    column: pd.Series, group: np.ndarray, how: str, speed: np.ndarray | None, wanted: np.ndarray
) -> np.ndarray:
    """The value (n_intervals,) of each interval; NaN where too few rows have one. group (n,): numbers of intervals."""
    values = column.to_numpy(np.float64, na_value=np.nan)
    seen = ~np.isnan(values)
    if how == "direction":
        made = mean_direction(values, speed, group, len(wanted))
        seen |= False if speed is None else speed == 0
    else:
        made = pd.Series(values).groupby(group).agg(how).to_numpy(copy=True)
    count = np.bincount(group[seen], minlength=len(wanted))
    made[count < (wanted if how == "sum" else LEAST_SHARE * wanted)] = np.nan
    return made


def _without_open(
    made: pd.DataFrame, rows: Places, last: np.ndarray, ends: pd.DatetimeIndex, wanted: np.ndarray
) -> tuple[pd.DataFrame, list[str]]:
    """Leave out each series' last interval where its rows end before it does, and note what came of the others."""
    count = np.diff(last, prepend=-1)
    is_final = np.diff(rows.codes()[last], append=-1) != 0
    is_open = is_final & np.asarray(ends[last] > pd.DatetimeIndex(rows.frame[rows.time])[last])
    thin = ~is_open & (count < LEAST_SHARE * wanted)
    places = Places(made, rows.time, rows.keys)
    notes = []
    if is_open.any():
        notes.append(f"{int(is_open.sum())} last interval(s) not over yet and left out, {places.text(is_open)}")
    if thin.any():
        text = f"{int(thin.sum()):,} interval(s) hold less than {LEAST_SHARE:.0%} of their rows, and no value"
        notes.append(f"{text}, {places.text(thin)}")
    return made[~is_open].reset_index(drop=True), notes
