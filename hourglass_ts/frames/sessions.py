"""Exchange sessions, from the exchange_calendars package: the days on which an exchange trades, and its half days.

Days are integers since 1970. The package is an extra and slow to import: it is imported here alone, and when used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import DataError, MissingExtraError, Problem, raise_problem
from hourglass_ts.frames.wording import show_day

if TYPE_CHECKING:
    from types import ModuleType

_CODE = re.compile(r"[A-Z]{3,6}|24/[57]|us_futures")  # how exchange_calendars writes codes and aliases
_EARLIEST, _LATEST = pd.Timestamp("1900-01-01"), pd.Timestamp("2099-12-31")  # where it sets no bounds of its own
_BUSINESS_DAYS, _FEW_HOLIDAYS, _MANY_HOLIDAYS = 261, 5, 25  # a year
_LONGEST_CLOSURE = 200  # days; New York closed for four months in 1914


@dataclass(frozen=True)
class Sessions:
    """One exchange's sessions: sorted days, whether each ends early, and the days between which the table holds."""

    days: np.ndarray
    is_half: np.ndarray
    first_known: int
    last_known: int


def exchange_code(name: str) -> str | None:
    """Give the code of an exchange or of an alias; None where there is none. Raises MissingExtraError.

    Example:
        >>> exchange_code("NYSE"), exchange_code("weekly")
        ('XNYS', None)
    """
    if not _CODE.fullmatch(name):
        return None
    library = _exchange_calendars()
    return library.resolve_alias(name) if name in library.get_calendar_names(include_aliases=True) else None


def sessions_between(code: str, first: int, last: int) -> Sessions:
    """Give a table that holds at least the sessions from `first` to `last`, as far as the exchange's is known.

    Example:
        >>> table = sessions_between("XNYS", 15695, 15700)  # 2012-12-21 to 26
        >>> shown = (table.days >= 15695) & (table.days <= 15700)
        >>> table.days[shown].tolist(), table.is_half[shown].tolist()
        ([15695, 15698, 15700], [False, True, False])
    """
    low, high = _bounds(code)
    start, end = max(first, low), min(last, high)
    if _default(code).days[0] <= start and end <= _default(code).days[-1]:
        return _default(code)
    decades = (_timestamp(day).year // 10 * 10 for day in (min(start, high), max(end, low)))
    return _decades(code, *decades)


def known_sessions(code: str, first: int, last: int, margin: int) -> Sessions:
    """Give the table around some days, all of which it must know, and as far as known `margin` days more.

    Raises DataError for days outside the table.
    """
    table = sessions_between(code, first - margin, last + margin)
    if first < table.first_known or last > table.last_known:
        found = f"days from {show_day(first)} to {show_day(last)}"
        expected, hint = _within(code, table)
        raise_problem(DataError, Problem(found, expected, hint))
    return table


def session_days(code: str, first: int, last: int, more: int = 0) -> np.ndarray:
    """Give the sessions from `first` to `last` and `more` after that. Raises DataError where the table ends before."""
    table = sessions_between(code, first, last + (2 * more + _LONGEST_CLOSURE if more > 0 else 0))
    start, stop = np.searchsorted(table.days, [first, last + 1])
    stop += max(more, 0)
    if stop > len(table.days):
        found = f"steps after {show_day(table.last_known)}, where the table of exchange {code!r} ends"
        expected = f"at most {len(table.days) - stop + more} steps after {show_day(last)}"
        hint = "Install a newer exchange_calendars, or pass a shorter horizon."
        raise_problem(DataError, Problem(found, expected, hint))
    return table.days[start:stop]


def no_session(code: str, day: int) -> tuple[str, str]:
    """Say what was expected instead of a day without a session, and what to do about it."""
    table = sessions_between(code, day - _LONGEST_CLOSURE, day + _LONGEST_CLOSURE)
    if not table.first_known <= day <= table.last_known:
        return _within(code, table)
    place = int(np.searchsorted(table.days, day))
    if place < len(table.days) and table.days[place] == day:
        hint = "Drop the time of day with .dt.normalize(), of aware times after .dt.tz_convert to the exchange's zone."
        return "one time of day in all rows", hint
    near = " or ".join(show_day(near) for near in table.days[max(place - 1, 0) : place + 1])
    return f"sessions of {code!r}, here {near}", "Drop the rows, correct their times, or pass another `freq=`."


def holiday_hint(missing: int, steps: int) -> str:
    """Suggest exchange sessions to whoever has business days of which a few are missing every year; "" to others.

    Example:
        >>> holiday_hint(123, 3393)
        "123 missing business days in 13 years; if these are exchange holidays, pass freq='XNYS' or another exchange"
    """
    years = steps / _BUSINESS_DAYS
    if years < 1 or not _FEW_HOLIDAYS <= missing / years <= _MANY_HOLIDAYS:
        return ""
    span = "a year" if years < 1.5 else f"{years:.0f} years"
    days = f"{missing:,} missing business days in {span}"
    return f"{days}; if these are exchange holidays, pass freq='XNYS' or another exchange"


def _within(code: str, table: Sessions) -> tuple[str, str]:
    expected = (
        f"days from {show_day(table.first_known)} to {show_day(table.last_known)}, the table of exchange {code!r}"
    )
    return expected, "Install a newer exchange_calendars, leave those days out, or do without the exchange."


def _exchange_calendars() -> ModuleType:
    try:
        import exchange_calendars
    except ImportError as error:
        raise MissingExtraError(
            'Exchange sessions need exchange_calendars: pip install "hourglass_ts[calendars]"'
        ) from error
    return exchange_calendars


@lru_cache(maxsize=32)
def _default(code: str) -> Sessions:
    return _sessions(code, _exchange_calendars().get_calendar(code))


@lru_cache(maxsize=32)
def _decades(code: str, first: int, last: int) -> Sessions:
    """Read whole decades, so that calls with other days find them made already."""
    low, high = (_timestamp(day) for day in _bounds(code))
    start, end = max(pd.Timestamp(first, 1, 1), low), min(pd.Timestamp(last + 9, 12, 31), high)
    return _sessions(code, _exchange_calendars().get_calendar(code, start=start, end=end))


@lru_cache(maxsize=32)
def _bounds(code: str) -> tuple[int, int]:
    kind = type(_exchange_calendars().get_calendar(code))
    low, high = kind.bound_min() or _EARLIEST, kind.bound_max() or _LATEST
    return int(_days(pd.DatetimeIndex([low]))[0]), int(_days(pd.DatetimeIndex([high]))[0])


def _sessions(code: str, calendar: Any) -> Sessions:
    days = _days(calendar.sessions)
    return Sessions(days, np.isin(days, _days(calendar.early_closes)), *_bounds(code))


def _days(times: pd.DatetimeIndex) -> np.ndarray:
    return times.to_numpy().astype("datetime64[D]").astype("int64")


def _timestamp(day: int) -> pd.Timestamp:
    return pd.Timestamp(np.datetime64(int(day), "D"))
