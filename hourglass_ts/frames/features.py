"""Covariates that follow from the time alone, so that training rows and the rows ahead have them without a frame.

A `TimeFeature` gives columns for any times on a calendar. Those here are the holidays of a country or of a list, and
what an exchange's table says of a day; others join by the same protocol and an entry in `KINDS`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd

from hourglass_ts.errors import MissingExtraError, Problem, SettingsError, raise_problem
from hourglass_ts.frames.calendars import Calendar, local_days, rows_by_calendar
from hourglass_ts.frames.harmonics import HarmonicsFeature
from hourglass_ts.frames.sessions import exchange_code, known_sessions
from hourglass_ts.frames.solar import SolarElevationFeature

FARTHEST = 7  # days; a holiday farther away counts as this far
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}")
_COUNTRY = re.compile(r"([A-Z]{2})(?:-(\w+))?")


class TimeFeature(Protocol):
    """Columns that depend on the time and its calendar alone; a frozen dataclass of plain values, so that it is saved.

    kind: its name in saved models.
    """

    kind: ClassVar[str]

    @property
    def labels(self) -> tuple[str, ...]:
        """Its columns' names, the same for the same fields."""

    def values(self, times: pd.Index, calendar: Calendar) -> np.ndarray:
        """Give (n_times, n_labels) float64; no time influences the values of another."""


@dataclass(frozen=True)
class HolidayFeature:
    """Whether the local date is a holiday, and how many days, up to a week, the next one and the last one are away.

    country: such as "US", or "DE-BY" with a subdivision; needs the extra `calendars`. dates: ISO dates instead.

    Example:
        >>> feature = HolidayFeature(dates=("2024-12-25",))
        >>> feature.values(pd.date_range("2024-12-24", periods=3), Calendar("datetime", "D")).tolist()
        [[0.0, 1.0, 7.0], [1.0, 0.0, 0.0], [0.0, 7.0, 1.0]]
    """

    country: str | None = None
    dates: tuple[str, ...] = ()

    kind: ClassVar[str] = "holidays"
    labels: ClassVar[tuple[str, ...]] = ("holiday", "days_to_holiday", "days_since_holiday")

    def values(self, times: pd.Index, calendar: Calendar) -> np.ndarray:
        """Give the three columns. Raises SettingsError for integer times and steps longer than a day."""
        days = _days(times, calendar)
        if len(days) == 0:
            return np.zeros((0, len(self.labels)))
        off = self._days_off(int(days.min()), int(days.max()))
        after, before = np.searchsorted(off, days), np.searchsorted(off, days, side="right") - 1
        ahead, behind = off[after] - days, days - off[before]
        return np.stack([ahead == 0, ahead.clip(max=FARTHEST), behind.clip(max=FARTHEST)], axis=1).astype("float64")

    def _days_off(self, first: int, last: int) -> np.ndarray:
        """Give all holidays in sorted days since 1970, and one day before and after that is too far to matter."""
        if self.country is None:
            days = np.array(self.dates, dtype="datetime64[D]").astype("int64")
        else:
            first_year, last_year = (_year(day) for day in (first - FARTHEST, last + FARTHEST))
            days = _country_days(self.country, first_year, last_year)
        return np.concatenate([[min(first, *days[:1]) - FARTHEST], days, [max(last, *days[-1:]) + FARTHEST]])


@dataclass(frozen=True)
class SessionFeature:
    """What an exchange's table says of the local date: closed, a half day, and the closed days right before and after.

    exchange: such as "XNYS"; needs the extra `calendars`. `values` raises DataError for days outside its table. It
    knows surprising closures (2001-09-11), too: in a backtest they look known ahead.

    Example:
        >>> days = pd.DatetimeIndex(["2012-12-21", "2012-12-24", "2012-12-26"])
        >>> SessionFeature("XNYS").values(days, Calendar("sessions", "XNYS")).tolist()
        [[0.0, 0.0, 0.0, 2.0], [0.0, 1.0, 2.0, 1.0], [0.0, 0.0, 1.0, 0.0]]
    """

    exchange: str

    kind: ClassVar[str] = "sessions"
    labels: ClassVar[tuple[str, ...]] = ("closed", "half_day", "days_closed_before", "days_closed_after")

    def values(self, times: pd.Index, calendar: Calendar) -> np.ndarray:
        """Give the four columns. Raises SettingsError for integer times and steps longer than a day."""
        days = _days(times, calendar)
        if len(days) == 0:
            return np.zeros((0, len(self.labels)))
        table = known_sessions(self.exchange, int(days.min()), int(days.max()), FARTHEST)
        here = np.searchsorted(table.days, days)
        padded = np.concatenate([[days.min() - FARTHEST - 1], table.days, [days.max() + FARTHEST + 1] * 2])
        is_open = padded[here + 1] == days
        before, after = days - padded[here] - 1, padded[here + 1 + is_open] - days - 1
        half = is_open & np.append(table.is_half, False)[here]
        columns = [~is_open, half, before.clip(max=FARTHEST), after.clip(max=FARTHEST)]
        return np.stack(columns, axis=1).astype("float64")


@dataclass(frozen=True)
class TradingDayFeature:
    """The weekday, and how many sessions the month still has and has had, up to five.

    exchange: whose table of sessions counts, with the extra `calendars`; None counts Mondays to Fridays.

    Example:
        >>> days = pd.DatetimeIndex(["2024-05-30", "2024-05-31", "2024-06-03"])
        >>> TradingDayFeature().values(days, Calendar("datetime", "B"))[:, 4:].tolist()
        [[0.0, 1.0, 5.0], [1.0, 0.0, 5.0], [0.0, 5.0, 0.0]]
    """

    exchange: str | None = None

    kind: ClassVar[str] = "trading-days"
    labels: ClassVar[tuple[str, ...]] = (
        *("monday", "tuesday", "wednesday", "thursday", "friday"),
        "sessions_to_month_end",
        "sessions_since_month_start",
    )

    def values(self, times: pd.Index, calendar: Calendar) -> np.ndarray:
        """Give the seven columns. Raises SettingsError for integer times and steps longer than a day."""
        days = _days(times, calendar)
        if len(days) == 0:
            return np.zeros((0, len(self.labels)))
        sessions = self._sessions(int(days.min()) - MONTH, int(days.max()) + MONTH)
        month = sessions.astype("datetime64[D]").astype("datetime64[M]").astype("int64")
        own = days.astype("datetime64[D]").astype("datetime64[M]").astype("int64")
        place = np.searchsorted(sessions, days, side="right") - 1
        left = np.searchsorted(month, own, side="right") - 1 - place
        past = np.searchsorted(sessions, days) - np.searchsorted(month, own)
        weekday = (days + 3) % 7  # 1970-01-01 was a Thursday
        columns = [*(weekday == number for number in range(5)), left.clip(max=MOST), past.clip(max=MOST)]
        return np.stack(columns, axis=1).astype("float64")

    def _sessions(self, first: int, last: int) -> np.ndarray:
        if self.exchange is not None:
            return known_sessions(self.exchange, first + MONTH, last - MONTH, MONTH).days
        days = np.arange(first, last + 1)
        return days[(days + 3) % 7 < 5]


MONTH, MOST = 31, 5  # days around the given ones that hold their months; sessions that are counted
_ALL = (HolidayFeature, SessionFeature, TradingDayFeature, HarmonicsFeature, SolarElevationFeature)
KINDS: dict[str, Any] = {feature.kind: feature for feature in _ALL}


def feature_to_json(feature: Any) -> dict[str, Any]:
    """Give a feature as plain JSON values."""
    return {"kind": feature.kind, **asdict(feature)}


def feature_from_json(fields: Mapping[str, Any]) -> TimeFeature:
    """Rebuild what `feature_to_json` gave.

    Example:
        >>> feature_from_json(feature_to_json(HolidayFeature("US")))
        HolidayFeature(country='US', dates=())
    """
    own = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items() if name != "kind"}
    return KINDS[fields["kind"]](**own)


def label_problems(features: Iterable[TimeFeature], taken: Iterable[Hashable]) -> list[Problem]:
    """Give one problem for every label of a feature that is the label of another column too."""
    labels = [label for feature in features for label in feature.labels]
    everything = Counter([*taken, *labels])
    return [
        Problem("a column that is made from the time by this name", "another name", "Rename it.", column=label)
        for label in dict.fromkeys(labels)
        if everything[label] > 1
    ]


def feature_columns(
    features: Sequence[TimeFeature], calendars: Sequence[Calendar], owner: np.ndarray, times: pd.Index
) -> dict[Hashable, np.ndarray]:
    """Give every feature's columns at `times`, row by row on the calendar of the row's owner."""
    labels = [label for feature in features for label in feature.labels]
    laid = np.empty((len(labels), len(times)))
    for calendar, mine in rows_by_calendar(calendars, owner) if features else ():
        values = [feature.values(times[mine], calendar) for feature in features]
        laid[:, mine] = np.concatenate(values, axis=1).T
    return dict(zip(labels, laid, strict=True))


def holiday_features(holidays: Any) -> tuple[TimeFeature, ...]:
    """Read a user's `holidays`: a country ("US", "US-NY"), an exchange ("XNYS"), dates, or a dict of dates to names.

    Raises SettingsError; MissingExtraError where a country or an exchange needs a package that is not installed.

    Example:
        >>> holiday_features("DE-BY"), holiday_features(["2024-12-25"])
        ((HolidayFeature(country='DE-BY', dates=()),), (HolidayFeature(country=None, dates=('2024-12-25',)),))
    """
    if holidays is None:
        return ()
    if not isinstance(holidays, str):
        return (HolidayFeature(dates=iso_dates(holidays)),)
    if _COUNTRY.fullmatch(holidays):
        _country_days(holidays, 2024, 2024)  # it is known, or an error now
        return (HolidayFeature(holidays),)
    exchange = exchange_code(holidays)
    if exchange is None:
        raise_problem(SettingsError, _no_holidays(holidays))
    return (SessionFeature(exchange),)


def iso_dates(holidays: Any) -> tuple[str, ...]:
    """Give dates of any kind (text, date, Timestamp, datetime64; a dict's keys) as sorted ISO text."""
    try:
        days = pd.DatetimeIndex(list(holidays)).tz_localize(None).normalize().unique().sort_values()
        numbered = any(isinstance(day, (int, float, np.number)) for day in holidays)
        numbered |= any(isinstance(day, str) and not _ISO.match(day) for day in holidays)  # is 11/04 in April?
    except (TypeError, ValueError) as error:
        raise SettingsError(str(_no_holidays(holidays))) from error
    if numbered or days.hasnans or len(days) == 0:
        raise_problem(SettingsError, _no_holidays(holidays))
    return tuple(days.strftime("%Y-%m-%d"))


def _no_holidays(holidays: Any) -> Problem:
    expected = (
        "a country ('US', 'DE-BY'), an exchange ('XNYS'), a list of dates (text as 2024-12-25), or a dict of them"
    )
    return Problem(f"holidays={holidays!r}", expected, "Pass such `holidays`, or none.")


@lru_cache(maxsize=64)
def _country_days(country: str, first_year: int, last_year: int) -> np.ndarray:
    try:
        import holidays
    except ImportError as error:
        raise MissingExtraError(
            'Holidays of a country need the package holidays: pip install "hourglass_ts[calendars]"'
        ) from error
    name, _, subdivision = country.partition("-")
    try:
        table = holidays.country_holidays(name, subdiv=subdivision or None, years=range(first_year, last_year + 1))
    except NotImplementedError as error:  # how that package says that it does not know a place
        problem = Problem(
            f"holidays={country!r} ({error})",
            "a country or subdivision that the package holidays knows",
            "Correct it, or pass a list of dates.",
        )
        raise SettingsError(str(problem)) from error
    return np.sort(np.array(list(table), dtype="datetime64[D]").astype("int64"))


def _days(times: pd.Index, calendar: Calendar) -> np.ndarray:
    """Give the local days of times since 1970."""
    if not isinstance(times, pd.DatetimeIndex) or not calendar.is_daily:
        found = f"columns of holidays or of the day with steps of {calendar.freq!r}"
        hint = "Leave `holidays` out, or give their count per step as a `known` column."
        raise_problem(SettingsError, Problem(found, "steps of days, sessions, or shorter ones", hint))
    return local_days(times)


def _year(day: int) -> int:
    return pd.Timestamp(np.datetime64(int(day), "D")).year
