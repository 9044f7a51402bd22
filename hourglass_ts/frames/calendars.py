"""One series' regular time axis: from a frequency to step numbers and back, and to the times that come next.

Two conversions carry everything: `Calendar.steps` (times → how many steps after an anchor) and `Calendar.at` (anchor
and steps → times). Both work on whole arrays, with another anchor for every row, so that thousands of series cost
as much as one.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import BaseOffset

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem
from hourglass_ts.frames.frequency import DAYS, coarse_hint, infer_freq
from hourglass_ts.frames.sessions import exchange_code, no_session, session_days
from hourglass_ts.frames.wording import show_gaps, show_time

_BARE_WEEK = re.compile(r"(\d*)W$")  # "W" without a weekday: the series' own
_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_LONGEST_SEASON = 288  # steps; a finer series' season is the hour or the minute, not the day
_YEARLY = {"W": 52, "WOM": 12, "LWOM": 12, "SME": 24, "SMS": 24, "BHYE": 2, "HYE": 2, "M": 12, "Q": 4, "Y": 1}


@dataclass(frozen=True)
class Calendar:
    """One series' regular time axis. Plain fields; any time on the axis can serve as its anchor.

    kind: "integer", "datetime" or "sessions". freq: an integer step, a pandas alias, or an exchange's code ("XNYS").
    tz: time zone name, None for naive times. weekmask, holidays: of custom business days (alias "C") alone.
    Steps shorter than a day are absolute time; days and longer ones keep the wall clock.

    Example:
        >>> Calendar("datetime", "B").after(pd.Timestamp("2021-01-01"), 2).strftime("%a %d").tolist()
        ['Mon 04', 'Tue 05']
    """

    kind: str
    freq: str | int
    tz: str | None = None
    weekmask: str | None = None
    holidays: tuple[str, ...] = ()

    def grid(self, first: Any, last: Any) -> pd.Index:
        """Give all times from `first` to `last`, both included. Raises DataError if `last` is on another grid."""
        anchor, end = _index([first]), _index([last])
        steps, fits = self.steps(end, anchor)
        if not fits[0] or steps[0] < 0:
            raise_problem(DataError, off_grid(self, anchor.append(end), np.array([True, False])))
        return self.at(anchor.repeat(steps[0] + 1), np.arange(steps[0] + 1))

    def after(self, last: Any, n: int) -> pd.Index:
        """Give the `n` times right after `last`. Raises DataError if `last` itself is not on the calendar."""
        anchor = _index([last])
        fits = self.steps(anchor, anchor)[1]
        if not fits[0]:
            raise_problem(DataError, off_grid(self, anchor, fits))
        return self.at(anchor.repeat(n), np.arange(1, n + 1))

    @property
    def season_length(self) -> int:
        """Steps in the natural season: a day for hours, a week for days, a year for weeks and longer; 1 for integers.

        Steps finer than five minutes take the hour, or the minute (minutely 60).
        """
        offset = self.offset
        if offset is None:
            return 1 if self.kind == "integer" else 7 if self.freq == "24/7" else 5
        if (step := step_nanoseconds(offset)) is not None:
            for season in ("1D", "7D", "1h", "1min", "1s"):
                span = pd.Timedelta(season).value
                if 1 < (length := span // gcd(span, step)) <= _LONGEST_SEASON:
                    return length
            return 1
        name = offset.rule_code.split("-")[0]
        if name == "C":
            whole = (self.weekmask or "1111100").count("1")
        elif name in ("D", "B"):
            whole = {"D": 7, "B": 5}[name]
        else:
            whole = _YEARLY.get(name) or next((_YEARLY[letter] for letter in "MQY" if letter in name), 1)
        return whole // gcd(whole, offset.n)

    @property
    def offset(self) -> BaseOffset | None:
        """The pandas offset of one step; None for integers and exchange sessions."""
        return None if self.kind != "datetime" else _offset(str(self.freq), self.weekmask, self.holidays)

    def steps(self, times: pd.Index, anchors: pd.Index) -> tuple[np.ndarray, np.ndarray]:
        """Count the steps from each row's anchor to its time: (int64 steps, bool "the time is on the grid")."""
        offset = self.offset
        if self.kind == "integer":
            gap = times.to_numpy("int64") - anchors.to_numpy("int64")
            return gap // self.freq, gap % self.freq == 0
        times, anchors = _datetimes(self, times), _datetimes(self, anchors)
        if (span := step_nanoseconds(offset)) is not None:
            gap, step = times.asi8 - anchors.as_unit(times.unit).asi8, _in_unit(span, times)
            return gap // step, gap % step == 0
        (days, clock), (origin, start) = _split(times), _split(anchors)
        if (width := _days(offset)) is not None:
            gap = days - origin
            steps, fits = gap // width, gap % width == 0
            if (weekday := getattr(offset, "weekday", None)) is not None:
                fits &= (origin + 3) % 7 == weekday
        else:
            base = self._open_days(int(min(days.min(), origin.min())), int(max(days.max(), origin.max())))
            (place, fits), (zero, anchored) = _place(base, days), _place(base, origin)
            steps = (place - zero) // self._stride
            fits &= anchored & ((place - zero) % self._stride == 0)
        late = fits & (clock != start)
        fits &= ~late
        if times.tz is not None and late.any():  # a wall time that summer time skipped stands an hour later
            fits[late] = self.at(anchors[late], steps[late]) == times[late]
        return steps, fits

    def at(self, anchors: pd.Index, steps: np.ndarray) -> pd.Index:
        """Give the time that lies `steps` after each row's anchor, in the anchors' own dtype."""
        offset = self.offset
        if self.kind == "integer":
            return pd.Index(anchors.to_numpy("int64") + steps * int(self.freq))
        anchors = _datetimes(self, anchors)
        if (span := step_nanoseconds(offset)) is not None:
            return _from_absolute(anchors.asi8 + steps * _in_unit(span, anchors), anchors)
        origin, clock = _split(anchors)
        if len(origin) == 0:
            return anchors
        if (width := _days(offset)) is not None:
            days = origin + steps * width
        else:
            base = self._open_days(int(origin.min()), int(origin.max()))
            place = _place(base, origin)[0] + steps * self._stride
            base = self._open_days(int(origin.min()), int(origin.max()), int(place.max()) + 1 - len(base))
            days = base[place]
        wall = days.astype("datetime64[D]").astype(clock.dtype.str.replace("m8", "M8")) + clock
        # A skipped wall time moves forward; of a repeated one the first is meant.
        first = np.ones(len(wall), dtype=bool)
        return pd.DatetimeIndex(wall).tz_localize(anchors.tz, nonexistent="shift_forward", ambiguous=first)

    @property
    def is_daily(self) -> bool:
        """Whether one step is a day, an open day, a session, or shorter: holidays do not fall between two steps."""
        longer = self.offset is not None and step_nanoseconds(self.offset) is None
        return self.kind != "integer" and not (longer and str(self.freq).lstrip("0123456789") not in ("D", "B", "C"))

    @property
    def _stride(self) -> int:
        """How many open days one step takes."""
        return 1 if self.offset is None else self.offset.n

    def _open_days(self, first: int, last: int, more: int = 0) -> np.ndarray:
        """Give every day that a step of one could reach from `first` to `last`, and `more` after that, since 1970."""
        if self.kind == "sessions":
            return session_days(str(self.freq), first, last, more)
        return _base_days(self.offset, first, last, more)

    def own_weekday(self, first: Any) -> Calendar:
        """Anchor a plain "W" at the weekday of a series' first time; any other calendar is returned unchanged."""
        bare = _BARE_WEEK.match(str(self.freq))
        if self.kind != "datetime" or bare is None:
            return self
        return Calendar("datetime", f"{bare[1]}W-{DAYS[pd.Timestamp(first).dayofweek]}", self.tz)

    def to_json(self) -> dict[str, Any]:
        """Give the fields as plain JSON values."""
        return {**asdict(self), "holidays": list(self.holidays)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Calendar:
        """Rebuild what `to_json` gave.

        Example:
            >>> Calendar.from_json(Calendar("integer", 5).to_json())
            Calendar(kind='integer', freq=5, tz=None, weekmask=None, holidays=())
        """
        return cls(**{**fields, "holidays": tuple(fields.get("holidays", ()))})

    @classmethod
    def from_freq(cls, freq: Any, tz: str | None = None) -> Calendar:
        """Read a user's `freq`: a positive int, a pandas alias, offset or timedelta, or an exchange's code or alias.

        Raises SettingsError; MissingExtraError for an exchange without exchange_calendars.

        Example:
            >>> Calendar.from_freq("NYSE").after(pd.Timestamp("2012-12-24"), 2).strftime("%a %d").tolist()
            ['Wed 26', 'Thu 27']
        """
        problem = Problem(
            f"freq={freq!r}",
            "a positive integer, a pandas alias or offset such as 'h', '15min', 'B', 'MS', or an exchange ('XNYS')",
            "Pass such a `freq`; days off go into pd.offsets.CustomBusinessDay(holidays=[...]).",
        )
        if isinstance(freq, (int, np.integer)) and not isinstance(freq, bool):
            if freq < 1:
                raise_problem(SettingsError, problem)
            return cls("integer", int(freq))
        try:
            offset = to_offset(freq)
            calendar = cls("datetime", freq if isinstance(freq, str) else offset.freqstr, tz)
            if isinstance(offset, pd.offsets.CustomBusinessDay) and not isinstance(freq, str):
                open_days = "".join("1" if is_open else "0" for is_open in offset.calendar.weekmask)
                days_off = tuple(np.datetime_as_string(offset.calendar.holidays, unit="D").tolist())
                calendar = cls("datetime", offset.freqstr, tz, open_days, days_off)
            elif not _BARE_WEEK.match(offset.freqstr) and to_offset(offset.freqstr) != offset:
                raise_problem(SettingsError, problem)  # its alias would forget a part of it
        except (ValueError, TypeError) as error:
            if isinstance(freq, str) and (code := exchange_code(freq)) is not None:
                return cls("sessions", code, tz)
            raise SettingsError(str(problem)) from error
        if offset is None or offset.n < 1 or isinstance(offset, pd.offsets.BusinessHour):
            raise_problem(SettingsError, problem)
        return calendar


def infer_calendar(times: pd.Index, freq: Any = None, column: Hashable = None, series: Hashable = None) -> Calendar:
    """Find the calendar of one series from its distinct times, or check the `freq` that the user gives.

    times: int64, or datetimes with or without time zone; any order, with gaps. Raises DataError naming `column` and
    `series` when a time lies off the grid, or when a single time leaves the frequency open.

    Example:
        >>> infer_calendar(pd.DatetimeIndex(["2020-01-01 00:00", "2020-01-01 01:00", "2020-01-01 05:00"])).freq
        'h'
    """
    times = times.sort_values()
    guess = infer_freq(times) if freq is None else freq
    if guess is None:
        raise_problem(DataError, no_frequency(column, series, times[0]))
    calendar = Calendar.from_freq(guess, zone_name(times)).own_weekday(times[0])
    if (calendar.kind == "integer") != (not isinstance(times, pd.DatetimeIndex)):
        raise_problem(SettingsError, wrong_kind(calendar, times))
    fits = calendar.steps(times, times[:1].repeat(len(times)))[1]
    if not fits.all():
        raise_problem(DataError, off_grid(calendar, times, fits, freq is None, column, series))
    return calendar


def no_frequency(column: Hashable, series: Hashable, first: Any, count: int = 1) -> Problem:
    """Say that a single time tells no frequency (or does not fit the one of the other series)."""
    more = f" (and {count - 1} more such series)" if count > 1 else ""
    return Problem(
        f"a single row{more}",
        "two rows or more to see the frequency",
        "Pass `freq=`.",
        column,
        series,
        show_time(first),
    )


def wrong_kind(calendar: Calendar, times: pd.Index) -> Problem:
    """Say that integer times need an integer `freq`, and datetimes an alias."""
    wanted = "a pandas alias such as 'h' or 'D'" if isinstance(times, pd.DatetimeIndex) else "an integer step"
    return Problem(f"freq={calendar.freq!r} with {times.dtype} times", wanted, "Change `freq`, or the time column.")


def off_grid(
    calendar: Calendar,
    times: pd.Index,
    fits: np.ndarray,
    inferred: bool = False,
    column: Hashable = None,
    series: Hashable = None,
) -> Problem:
    """Say which of a series' sorted times lie off the grid of its first, where the grid is, and how it was found."""
    bad = np.flatnonzero(~fits)
    time, anchor = times[bad[0]], times[:1]
    others = f" and {len(bad) - 1:,} more" if fits[0] and len(bad) > 1 else ""
    evidence = f", among {show_gaps(times)}" if inferred else ""
    found = f"time {show_time(time)}{others}{evidence}"
    if calendar.kind == "sessions":
        expected, hint = no_session(str(calendar.freq), int(_split(times[bad[:1]])[0][0]))
    else:
        expected = f"steps of {calendar.freq!r} from {show_time(anchor[0])}{_neighbours(calendar, time, anchor)}"
        hint = coarse_hint(times) if inferred else ""
    hint = hint or "Correct the time, or pass `freq=` (a pandas alias or offset, an exchange's code, or an int)."
    return Problem(found, expected, hint, column, series, show_time(time))


def _neighbours(calendar: Calendar, time: Any, anchor: pd.Index) -> str:
    if not calendar.steps(anchor, anchor)[1][0]:
        return ", on which the series' first time does not lie either"
    step = calendar.steps(_index([time]), anchor)[0]
    near = [show_time(calendar.at(anchor, step + k)[0]) for k in (0, 1)]
    return f", here {near[0]} or {near[1]}"


def zone_name(times: pd.Index) -> str | None:
    """Give the name from which pandas can rebuild the time zone of `times`; None for naive or integer times."""
    zone = getattr(times, "tz", None)
    if zone is None:
        return None
    name = str(getattr(zone, "key", None) or getattr(zone, "zone", None) or zone)
    try:
        pd.DatetimeTZDtype(tz=name)
    except (TypeError, KeyError, ValueError) as error:
        problem = Problem(f"time zone {name}", "a zone with a name", "Use .dt.tz_convert('Europe/Berlin') or similar.")
        raise DataError(str(problem)) from error
    return name


@lru_cache(maxsize=256)
def _offset(freq: str, weekmask: str | None, holidays: tuple[str, ...]) -> BaseOffset:
    offset = to_offset(freq)
    if weekmask is None and not holidays:
        return offset
    return pd.offsets.CustomBusinessDay(n=offset.n, weekmask=weekmask or "1111100", holidays=list(holidays))


def step_nanoseconds(offset: BaseOffset) -> int | None:
    """Give the length of a step in absolute time; None for days and longer, which keep the wall clock."""
    # `Day` is a fixed span in pandas 2 and a calendar day in pandas 3; here it is a calendar day always.
    if isinstance(offset, pd.offsets.Tick) and not isinstance(offset, pd.offsets.Day):
        return pd.Timedelta(offset).value
    return None


def _days(offset: BaseOffset) -> int | None:
    if isinstance(offset, pd.offsets.Day):
        return offset.n
    return 7 * offset.n if isinstance(offset, pd.offsets.Week) else None


def _datetimes(calendar: Calendar, times: pd.Index) -> pd.DatetimeIndex:
    if not isinstance(times, pd.DatetimeIndex):
        raise_problem(SettingsError, wrong_kind(calendar, times))
    return times


def _in_unit(span: int, times: pd.DatetimeIndex) -> int:
    step, rest = divmod(span, _NANOSECONDS[times.unit])
    if rest:
        found = f"steps of {span} ns with times in whole {times.unit}"
        problem = Problem(found, "times at least as fine as `freq`", "Convert them with .astype('datetime64[ns]').")
        raise_problem(SettingsError, problem)
    return step


def _index(times: list[Any]) -> pd.Index:
    return pd.DatetimeIndex(times) if isinstance(times[0], pd.Timestamp) else pd.Index(times)


def _from_absolute(values: np.ndarray, like: pd.DatetimeIndex) -> pd.DatetimeIndex:
    times = pd.DatetimeIndex(values.view(f"M8[{like.unit}]"))
    return times if like.tz is None else times.tz_localize("UTC").tz_convert(like.tz)


def local_days(times: pd.DatetimeIndex) -> np.ndarray:
    """Give the dates that times have on their own wall clock, in days since 1970."""
    return times.tz_localize(None).to_numpy().astype("datetime64[D]").astype("int64")


def _split(times: pd.DatetimeIndex) -> tuple[np.ndarray, np.ndarray]:
    """Split wall times into days since 1970 and the time of day."""
    wall = times.tz_localize(None).to_numpy()
    days = wall.astype("datetime64[D]")
    return days.astype("int64"), wall - days


def rows_by_calendar(calendars: Sequence[Calendar], owner: np.ndarray) -> Iterator[tuple[Calendar, np.ndarray]]:
    """Give each distinct calendar with the rows whose owner (rows,) has it; those without rows are left out."""
    numbers = {calendar: number for number, calendar in enumerate(dict.fromkeys(calendars))}
    which = np.array([numbers[calendar] for calendar in calendars])[owner]
    for calendar, number in numbers.items():
        rows = np.flatnonzero(which == number)
        if rows.size:
            yield calendar, rows


def anchor_rows(times: pd.Index, starts: np.ndarray) -> np.ndarray:
    """Give each series' first row whose wall clock no change to summer time has moved: the one with the earliest clock.

    times (rows,): of all series, one after another; starts (series,): their first rows.
    """
    if getattr(times, "tz", None) is None or len(starts) == 0:
        return starts
    clock = _split(times)[1].astype("int64")
    earliest = np.minimum.reduceat(clock, starts)
    counts = np.diff(starts, append=len(times))
    rows = np.flatnonzero(clock == np.repeat(earliest, counts))
    return rows[np.searchsorted(rows, starts)]


def _base_days(offset: BaseOffset, first: int, last: int, more: int = 0) -> np.ndarray:
    """Give every day of the offset, taken singly, from `first` to `last` and `more` after that, in days since 1970."""
    start, end = pd.Timestamp(np.datetime64(first, "D")), pd.Timestamp(np.datetime64(last, "D"))
    parts = [pd.date_range(start, end, freq=offset.base)]
    if more > 0:
        parts.append(pd.date_range(end + pd.Timedelta(days=1), periods=more, freq=offset.base))
    return np.concatenate([part.to_numpy().astype("datetime64[D]").astype("int64") for part in parts])


def _place(base: np.ndarray, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(base) == 0:
        return np.zeros(len(days), dtype="int64"), np.zeros(len(days), dtype=bool)
    place = np.searchsorted(base, days, side="right") - 1
    return place, base[np.maximum(place, 0)] == days
