"""Climatology: the mean course of the year, the week and the day, learnt from the training rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import Problem
from hourglass_ts.forecast.baselines import unit_values
from hourglass_ts.forecast.checks import count_problems
from hourglass_ts.forecast.protocol import PanelForecaster
from hourglass_ts.frames.schema import TIME, UNIT, Panel

DAY = 86_400.0
CYCLES = {"year": (365.2425 * DAY, 3), "week": (7 * DAY, 3), "day": (DAY, 4)}
"""Length in seconds, and how many harmonics describe it."""
MIN_CYCLES = 2


class Climatology(PanelForecaster):
    """The mean and the harmonics of year, week and day, by least squares for every series.

    A cycle counts where the training rows span it twice and have two steps in each of its harmonics' periods or more;
    without one the forecast is the mean. Times are read from the wall clock. It forecasts far ahead as well as near,
    and never looks at the last value.

    season: steps of a cycle of another kind, and the only one for integer times; None for none.

    Example:
        >>> df = pd.DataFrame({"t": range(8), "y": [1.0, 3.0] * 4})
        >>> model = Climatology(horizon=2, season=2).fit(df, time="t", target="y")
        >>> model.forecast()["forecast"].round(6).tolist()
        [1.0, 3.0]
    """

    def __init__(self, horizon: int, season: int | None = None, freq: Any = None) -> None:
        self.horizon = horizon
        self.season = season
        self.freq = freq

    def _setting_problems(self) -> list[Problem]:
        return count_problems(horizon=self.horizon, **({} if self.season is None else {"season": self.season}))

    def _fit_panel(self, panel: Panel) -> None:
        times = pd.Index(panel.table[TIME])
        clocks = _by_unit(_clock(times), panel)
        usual = list(CYCLES.values()) if isinstance(times, pd.DatetimeIndex) else []
        self.cycles_ = [_cycles(clock, usual, self.season) for clock in clocks]
        self.weights_ = [
            _least_squares(_harmonics(clock, cycles), values)
            for clock, cycles, values in zip(clocks, self.cycles_, unit_values(panel), strict=True)
        ]

    def _forecast_panel(self, panel: Panel, codes: np.ndarray, future: pd.DataFrame) -> dict[str, np.ndarray]:
        clock, units = _clock(pd.Index(future[TIME])), future[UNIT].to_numpy()
        forecast = np.full((len(codes), self.horizon_), np.nan)
        for unit, code in enumerate(codes):
            course = _harmonics(clock[units == unit], self.cycles_[code]) @ self.weights_[code]
            forecast[unit, : len(course)] = course
        return {"forecast": forecast}


def _clock(times: pd.Index) -> np.ndarray:
    """Seconds on the wall clock; integers as they are."""
    if not isinstance(times, pd.DatetimeIndex):
        return times.to_numpy(np.float64)
    return times.tz_localize(None).to_numpy().astype("datetime64[ns]").astype(np.int64) / 1e9


def _by_unit(values: np.ndarray, panel: Panel) -> list[np.ndarray]:
    return np.split(values, np.cumsum(np.bincount(panel.table[UNIT].to_numpy()))[:-1])


def _cycles(clock: np.ndarray, usual: list[tuple[float, int]], season: int | None) -> list[tuple[float, int]]:
    """Length and number of harmonics of the cycles that a series is long and fine enough to show."""
    if len(clock) < 2:
        return []
    step, span = float(np.median(np.diff(clock))), clock[-1] - clock[0]
    own = [] if season is None else [(season * step, season)]
    fitting = [(length, min(most, int(length / (2 * step)))) for length, most in [*usual, *own]]
    return [(length, most) for length, most in fitting if most >= 1 and span + step >= MIN_CYCLES * length]


def _harmonics(clock: np.ndarray, cycles: Sequence[tuple[float, int]]) -> np.ndarray:
    """A column of ones, then cosine and sine of every harmonic of every cycle."""
    angles = [2 * np.pi * k * clock / length for length, most in cycles for k in range(1, most + 1)]
    return np.stack([np.ones(len(clock)), *(wave(angle) for angle in angles for wave in (np.cos, np.sin))], axis=1)


def _least_squares(inputs: np.ndarray, values: np.ndarray) -> np.ndarray:
    seen = ~np.isnan(values)
    return np.linalg.lstsq(inputs[seen], values[seen], rcond=1e-9)[0]
