"""Which frequency a series' times have: from sorted, distinct times to a pandas alias or an integer step.

The answer is a best guess that may not fit every time; whoever asks checks it (`axes.py` does).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
TWO_WEEKS = 14  # days without any weekend before a daily series counts as business-daily
SPARSEST = 10  # a common divisor is believed when its grid has at most this many steps per row


def infer_freq(times: pd.Index) -> str | int | None:
    """Give the alias (datetimes) or step (integers) of sorted, distinct times; None for fewer than two.

    Example:
        >>> infer_freq(pd.Index([10, 20, 40, 50]))
        10
        >>> infer_freq(pd.DatetimeIndex(["2020-01-31", "2020-02-29", "2020-04-30", "2020-05-31"]))
        'ME'
    """
    if len(times) < 2:
        return None
    if not isinstance(times, pd.DatetimeIndex):
        return common_step(np.diff(times.to_numpy()))
    wall = times.tz_localize(None)
    on_days = _shares_clock(times, wall)
    # Daily and coarser steps live on the wall clock, finer ones in absolute time (a summer-time day has 23 hours).
    clock = wall if on_days else times.tz_convert("UTC") if times.tz is not None else times
    found = pd.infer_freq(clock) if len(clock) >= 3 else None
    if found is not None and not found.endswith("bh") and "WOM" not in found:  # pandas takes a last for a fourth Friday
        return found
    if on_days:
        return _infer_days(wall)
    step = common_step(np.diff(clock.as_unit("ns").asi8))
    return to_offset(pd.Timedelta(step, unit="ns")).freqstr


def _shares_clock(times: pd.DatetimeIndex, wall: pd.DatetimeIndex) -> bool:
    """Say whether all times have the same time of day; where summer time skips it, it may stand an hour later."""
    clocks = wall - wall.normalize()
    clock = clocks.min()
    others = clocks != clock
    if times.tz is None or others.mean() > 0.5:
        return not others.any()
    usual = (wall[others].normalize() + clock).tz_localize(times.tz, nonexistent="shift_forward", ambiguous="NaT")
    return bool((usual == times[others]).all())


def common_step(gaps: np.ndarray) -> int:
    """Give the step that explains the gaps between times: a frequent shortest one, a divisor, or the most common."""
    sizes, counts = np.unique(gaps, return_counts=True)
    shortest, common = int(sizes[0]), int(sizes[counts.argmax()])
    if counts[0] * 3 >= len(gaps) and not (sizes % shortest).any():
        return shortest
    divisor = int(np.gcd.reduce(sizes))
    # Rows with many holes may never show one single step; but one stray time must not make the whole grid finer.
    rare = counts.max() == 1 or counts.max() * 2 < len(gaps)
    if rare and gaps.sum() <= SPARSEST * len(gaps) * divisor:
        return divisor
    return common


def _infer_days(wall: pd.DatetimeIndex) -> str:
    days = wall.to_numpy().astype("datetime64[D]")
    gaps = np.diff(days.astype("int64"))
    if gaps.min() >= 28 and (monthly := _infer_months(days)) is not None:
        return monthly
    step = common_step(gaps)
    if step % 7 == 0:
        return f"{_times(step // 7)}W-{DAYS[wall[0].dayofweek]}"
    if step == 1 and gaps.sum() >= TWO_WEEKS and not is_weekend(days).any():
        return "B"
    return f"{_times(step)}D"


def is_weekend(days: np.ndarray) -> np.ndarray:
    """Say for each datetime64[D] whether it is a Saturday or a Sunday."""
    return (days.astype("int64") + 3) % 7 >= 5  # day 0 was a Thursday


def _infer_months(days: np.ndarray) -> str | None:
    months = days.astype("datetime64[M]")
    starts, ends = months.astype("datetime64[D]"), (months + 1).astype("datetime64[D]") - 1
    edges = {
        "S": starts,
        "E": ends,
        "BS": np.busday_offset(starts, 0, roll="forward"),
        "BE": np.busday_offset(ends, 0, roll="backward"),
    }
    edge = next((name for name, expected in edges.items() if (days == expected).all()), None)
    step = common_step(np.diff(months.astype("int64")))
    if edge is None:
        return _infer_week_of_month(days, starts, ends, step)
    size, letter = next((size, letter) for size, letter in ((12, "Y"), (3, "Q"), (1, "M")) if step % size == 0)
    business, side = ("B", edge[1]) if len(edge) == 2 else ("", edge)
    anchor = "" if letter == "M" else "-" + MONTHS[int(months[0].astype("int64")) % 12]
    return f"{_times(step // size)}{business}{letter}{side}{anchor}"


def _infer_week_of_month(days: np.ndarray, starts: np.ndarray, ends: np.ndarray, step: int) -> str | None:
    """Find days such as every third or every last Friday; None for others, and where the rows are too few to tell."""
    weekday, week = (days.astype("int64") + 3) % 7, (days - starts).astype("int64") // 7
    if len(days) <= 3 or np.ptp(weekday):
        return None
    if not np.ptp(week) and week[0] <= 3:
        return f"{_times(step)}WOM-{week[0] + 1}{DAYS[weekday[0]]}"
    is_last = (ends - days).astype("int64") < 7
    return f"{_times(step)}LWOM-{DAYS[weekday[0]]}" if is_last.all() else None


def repeats_an_hour(times: pd.Index, again: np.ndarray) -> bool:
    """Say whether all times that come `again` are an hour of a Sunday's night, as where clocks go back in autumn.

    times: sorted by series, then time; without a zone.

    Example:
        >>> local = pd.date_range("2021-10-31", periods=5, freq="h", tz="Europe/Berlin").tz_localize(None)
        >>> repeats_an_hour(local, local.duplicated())
        True
    """
    if not isinstance(times, pd.DatetimeIndex) or times.tz is not None:
        return False
    place = np.flatnonzero(again)
    repeated, following = times[place], times[np.minimum(place + 1, len(times) - 1)]
    at_night = (repeated.dayofweek == 6) & (repeated.hour <= 3)
    subdaily = (following > repeated) & (following - repeated <= pd.Timedelta("1h"))
    one_hour = repeated.floor("h").nunique() == repeated.normalize().nunique()
    return bool(at_night.all() and subdaily.all() and one_hour)


def coarse_hint(times: pd.Index) -> str:
    """Say what to do with times that come once a month, quarter or year without an alias, or skip an hour; "" if none.

    Example:
        >>> coarse_hint(pd.DatetimeIndex(["2021-01-15", "2021-02-15", "2021-03-15"]))
        "Stamp one row a month with .dt.to_period('M').dt.to_timestamp(), or pass `freq=`."
    """
    if not isinstance(times, pd.DatetimeIndex) or len(times) < 3:
        return ""
    hours = np.diff(times.asi8) / (pd.Timedelta("1h") // pd.Timedelta(1, unit=times.unit))
    typical, shortest = np.median(hours) / 24, hours.min() / 24
    for low, high, word, letter in ((28, 31, "month", "M"), (89, 92, "quarter", "Q"), (365, 366, "year", "Y")):
        if low <= typical <= high and shortest >= low:
            return f"Stamp one row a {word} with .dt.to_period('{letter}').dt.to_timestamp(), or pass `freq=`."
    off_day = (hours + 1) % 24  # 0, 1, 2: a day of 23, 24 or 25 hours, or several
    if hours.min() >= 23 and np.isin(off_day, (0, 1, 2)).all() and (off_day != 1).any():
        to_utc = "" if times.tz is not None else ".dt.tz_localize('UTC')"
        return f"They look like midnights where clocks change: convert with {to_utc}.dt.tz_convert('Europe/Berlin')."
    return ""


def _times(count: int) -> str:
    return "" if count == 1 else str(count)
