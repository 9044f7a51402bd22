"""How messages write times, and the gaps between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

SHOWN = 4  # sizes of gaps named one by one
_UNITS = {"day": 86_400 * 10**9, "h": 3_600 * 10**9, "min": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def show_time(time: Any) -> str:
    """Write a time briefly: no midnight, no zero seconds; the offset stays for aware times."""
    if not isinstance(time, pd.Timestamp):
        return str(time)
    zone = time.strftime("%z")
    naive = time.tz_localize(None)
    if naive == naive.normalize() and not zone:
        return str(naive.date())
    return (naive.isoformat(sep=" ").removesuffix(":00") if naive.second == 0 else naive.isoformat(sep=" ")) + zone


def show_day(day: int) -> str:
    """Write a day that is counted since 1970."""
    return str(np.datetime64(int(day), "D"))


def show_span(nanoseconds: int) -> str:
    """Write a length of time in its two largest units.

    Example:
        >>> show_span(31_980 * 10**9), show_span(3 * 86_400 * 10**9)
        ('8 h 53 min', '3 days')
    """
    parts = []
    for unit, size in _UNITS.items():
        count, nanoseconds = divmod(nanoseconds, size)
        if count:
            parts.append(f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}")
    return " ".join(parts[:2]) or "0 s"


def show_gaps(times: pd.Index) -> str:
    """Say which gaps lie between sorted times, how often each, and after which time the rarer ones first stand.

    Example:
        >>> show_gaps(pd.DatetimeIndex(["2021-01-01", "2021-01-02", "2021-01-03", "2021-01-06"]))
        'gaps of 1 day (2 times), 3 days (1, first after 2021-01-03)'
    """
    sizes, first, counts = np.unique(gaps_between(times), return_index=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    write = show_span if isinstance(times, pd.DatetimeIndex) else str
    common, *rarer = order[:SHOWN]
    parts = [f"{write(int(sizes[common]))} ({_times(counts[common])})"]
    parts += [f"{write(int(sizes[k]))} ({counts[k]:,}, first after {show_time(times[first[k]])})" for k in rarer]
    rest = f", and {len(order) - SHOWN:,} more" if len(order) > SHOWN else ""
    return f"gaps of {', '.join(parts)}{rest}"


def gaps_between(times: pd.Index) -> np.ndarray:
    """Give the gaps of sorted times: of integers, or in nanoseconds; on the wall clock where all share the hour."""
    if not isinstance(times, pd.DatetimeIndex):
        return np.diff(times.to_numpy())
    wall = times.tz_localize(None)
    same_clock = bool((wall - wall.normalize() == wall[0] - wall[0].normalize()).all())
    gaps = np.diff((wall if same_clock else times).asi8)
    return gaps * (pd.Timedelta(1, unit=times.unit) // pd.Timedelta(1, unit="ns"))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
