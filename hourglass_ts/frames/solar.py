"""Where the sun stands: its elevation, and how much of its light reaches level ground, known for any time ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from hourglass_ts.errors import Problem, SettingsError, raise_problem
from hourglass_ts.frames.atmosphere.times import localised
from hourglass_ts.frames.calendars import Calendar, step_nanoseconds

SAMPLES = 24  # of a day, for rows that are days or longer


def solar_elevation(times: pd.DatetimeIndex, latitude: float, longitude: float) -> np.ndarray:
    """The sun's elevation above the horizon in degrees (n,), without refraction; to half a degree, 1900 to 2100.

    times: with a zone, or in UTC.  latitude, longitude: degrees, north and east positive.
    Source: J. W. Spencer (1971), Fourier series representation of the position of the sun, Search 2 (5), 172; as in
    NOAA's "General Solar Position Calculations".

    Example:
        >>> solstice = pd.DatetimeIndex(["2020-06-20 12:00"])
        >>> solar_elevation(solstice, 51.48, 0.0).round().tolist()
        [62.0]
    """
    utc = times if times.tz is None else times.tz_convert("UTC").tz_localize(None)
    minutes = (utc.hour * 60 + utc.minute + utc.second / 60).to_numpy(np.float64)
    year_length = np.where(utc.is_leap_year, 366.0, 365.0)
    angle = 2 * np.pi * (utc.dayofyear.to_numpy() - 1 + (minutes - 720) / 1440) / year_length
    declination, equation_of_time = _spencer(angle)
    hour_angle = np.deg2rad((minutes + equation_of_time) / 4 + longitude - 180)
    north = np.deg2rad(latitude)
    sine = np.sin(north) * np.sin(declination) + np.cos(north) * np.cos(declination) * np.cos(hour_angle)
    return np.rad2deg(np.arcsin(np.clip(sine, -1, 1)))


def _spencer(angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Declination in radians and the equation of time in minutes, from the angle of the year in radians."""
    cos, sin = np.cos, np.sin
    declination = 0.006918 - 0.399912 * cos(angle) + 0.070257 * sin(angle)
    declination += -0.006758 * cos(2 * angle) + 0.000907 * sin(2 * angle)
    declination += -0.002697 * cos(3 * angle) + 0.00148 * sin(3 * angle)
    equation = 0.000075 + 0.001868 * cos(angle) - 0.032077 * sin(angle)
    equation += -0.014615 * cos(2 * angle) - 0.040849 * sin(2 * angle)
    return declination, 229.18 * equation


@dataclass(frozen=True)
class SolarElevationFeature:
    """Sine of the sun's elevation, and the same with 0 at night, as sunlight falls on level ground without clouds.

    Where a row is a day or longer, both are means over the day of its date; else they are of the row's time.

    latitude, longitude: degrees, north and east positive.  timezone: of times without one; None takes them for UTC.
    ends: whether a day or longer is named by its end, as by `WeatherPipeline(resample=...)`: means over the step
    before it.

    Example:
        >>> noon = pd.DatetimeIndex(["2020-06-20 12:00", "2020-06-21 00:00"])
        >>> SolarElevationFeature(51.48, 0.0).values(noon, Calendar("datetime", "h")).round(2).tolist()
        [[0.88, 0.88], [-0.26, 0.0]]
    """

    latitude: float
    longitude: float
    timezone: str | None = None
    ends: bool = False

    kind: ClassVar[str] = "solar-elevation"
    labels: ClassVar[tuple[str, ...]] = ("sun_sine", "sun_above_horizon")

    def values(self, times: pd.Index, calendar: Calendar) -> np.ndarray:
        """Give the two columns. Raises SettingsError for integer times."""
        if not isinstance(times, pd.DatetimeIndex):
            found = f"the sun's elevation with {times.dtype} times"
            raise_problem(SettingsError, Problem(found, "dates", "Convert them with pd.to_datetime."))
        if times.tz is None:
            times = localised(times, self.timezone or "UTC")
        if not _is_day_or_longer(calendar):
            return self._sines(times)
        if self.ends:
            return self._before(times, calendar.offset)
        days = localised(times.tz_localize(None).normalize(), times.tz)
        hours = (pd.Timedelta(days=1) / SAMPLES) * (np.arange(SAMPLES) + 0.5)
        return np.mean([self._sines(days + hour) for hour in hours], axis=0)

    def _before(self, times: pd.DatetimeIndex, offset: Any) -> np.ndarray:
        """Means over the step before each time."""
        starts = localised(times.tz_localize(None) - offset, times.tz)
        second = pd.Timestamp("2000-01-01") + offset
        count = SAMPLES * ((second + offset) - second).ceil("D").days
        lengths = times - starts
        return np.mean([self._sines(starts + lengths * ((k + 0.5) / count)) for k in range(count)], axis=0)

    def _sines(self, times: pd.DatetimeIndex) -> np.ndarray:
        sine = np.sin(np.deg2rad(solar_elevation(times, self.latitude, self.longitude)))
        return np.stack([sine, sine.clip(min=0)], axis=1)


def _is_day_or_longer(calendar: Calendar) -> bool:
    step = step_nanoseconds(calendar.offset)
    return step is None or pd.Timedelta(step) >= pd.Timedelta(days=1)
