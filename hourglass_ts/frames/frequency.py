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
    on_days = bool((wall - wall.normalize() == wall[0] - wall[0].normalize()).all())
    # Daily and coarser steps live on the wall clock, finer ones in absolute time (a summer-time day has 23 hours).
    clock = wall if on_days else times.tz_convert("UTC") if times.tz is not None else times
    found = pd.infer_freq(clock) if len(clock) >= 3 else None
    if found is not None and not found.endswith("bh"):
        return found
    if on_days:
        return _infer_days(wall)
    step = common_step(np.diff(clock.as_unit("ns").asi8))
    return to_offset(pd.Timedelta(step, unit="ns")).freqstr


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
    if edge is None:
        return None
    step = common_step(np.diff(months.astype("int64")))
    size, letter = next((size, letter) for size, letter in ((12, "Y"), (3, "Q"), (1, "M")) if step % size == 0)
    business, side = ("B", edge[1]) if len(edge) == 2 else ("", edge)
    anchor = "" if letter == "M" else "-" + MONTHS[int(months[0].astype("int64")) % 12]
    return f"{_times(step // size)}{business}{letter}{side}{anchor}"


def _times(count: int) -> str:
    return "" if count == 1 else str(count)
