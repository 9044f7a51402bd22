"""Cycles of year, week and day as cosines and sines of the time: for mean courses, and as columns for a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from hourglass_ts.errors import Problem, SettingsError, raise_problem
from hourglass_ts.frames.calendars import Calendar

DAY = 86_400.0
YEAR = 365.2425 * DAY
CYCLES = {"year": (YEAR, 3), "week": (7 * DAY, 3), "day": (DAY, 4)}
"""Length in seconds, and how many harmonics describe it."""
MIN_CYCLES = 2

Cycle = tuple[float, int]
"""A length, and a number of harmonics: the k-th has the length / k."""


def wall_seconds(times: pd.Index) -> np.ndarray:
    """Seconds on the wall clock, which people's days follow; integers as they are."""
    if not isinstance(times, pd.DatetimeIndex):
        return times.to_numpy(np.float64)
    return times.tz_localize(None).to_numpy().astype("datetime64[ns]").astype(np.int64) / 1e9


def even_seconds(times: pd.DatetimeIndex) -> np.ndarray:
    """Seconds in UTC, which no clock change shifts against the sun; as they are written where they have no zone."""
    return wall_seconds(times if times.tz is None else times.tz_convert("UTC"))


def cycles_in(clock: np.ndarray, usual: Sequence[Cycle], season: int | None = None) -> list[Cycle]:
    """The cycles that sorted times span twice, with as many harmonics as their step can show: two steps a period.

    season: steps of one more cycle, or None.
    """
    if len(clock) < 2:
        return []
    step, span = float(np.median(np.diff(clock))), clock[-1] - clock[0]
    own = [] if season is None else [(season * step, season)]
    fitting = [(length, min(most, int(length / (2 * step)))) for length, most in [*usual, *own]]
    return [(length, most) for length, most in fitting if most >= 1 and span + step >= MIN_CYCLES * length]


def waves(clock: np.ndarray, cycles: Sequence[Cycle]) -> np.ndarray:
    """A column of ones, then cosine and sine of every harmonic of every cycle: (n, 1 + 2 × harmonics).

    Example:
        >>> waves(np.array([0.0, 6.0]), [(24.0, 1)]).round(2).tolist()
        [[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    """
    angles = [2 * np.pi * k * clock / length for length, most in cycles for k in range(1, most + 1)]
    return np.stack([np.ones(len(clock)), *(wave(angle) for angle in angles for wave in (np.cos, np.sin))], axis=1)


def least_squares(inputs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weights (n_inputs,) of inputs (n, n_inputs) for values (n,); rows whose value is NaN do not count."""
    seen = ~np.isnan(values)
    return np.linalg.lstsq(inputs[seen], values[seen], rcond=1e-9)[0]


@dataclass(frozen=True)
class HarmonicsFeature:
    """Where in the year and the day a time stands: cosine and sine of their first harmonics.

    year, day: how many harmonics. Times with a zone count in UTC: no clock change moves the day against the sun.

    Example:
        >>> morning = pd.DatetimeIndex(["2024-01-01 06:00"])
        >>> feature = HarmonicsFeature(day=1)
        >>> feature.labels, feature.values(morning, Calendar("datetime", "h")).round(6).tolist()
        (('day_cos_1', 'day_sin_1'), [[0.0, 1.0]])
    """

    year: int = 0
    day: int = 0

    kind: ClassVar[str] = "harmonics"

    @property
    def labels(self) -> tuple[str, ...]:
        """Such as `year_cos_1`, `year_sin_1`."""
        counts = {"year": self.year, "day": self.day}
        return tuple(
            f"{name}_{wave}_{k}" for name, most in counts.items() for k in range(1, most + 1) for wave in ("cos", "sin")
        )

    def values(self, times: pd.Index, calendar: Calendar) -> np.ndarray:
        """Give (n_times, n_labels). Raises SettingsError for integer times."""
        if not isinstance(times, pd.DatetimeIndex):
            found = f"harmonics of year and day with {times.dtype} times"
            raise_problem(SettingsError, Problem(found, "dates", "Convert them with pd.to_datetime."))
        return waves(even_seconds(times), [(YEAR, self.year), (DAY, self.day)])[:, 1:]
