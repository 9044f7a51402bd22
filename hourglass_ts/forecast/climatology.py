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
from hourglass_ts.frames.harmonics import CYCLES, cycles_in, least_squares, wall_seconds, waves
from hourglass_ts.frames.schema import TIME, UNIT, Panel


class Climatology(PanelForecaster):
    """The mean and the harmonics of year, week and day, by least squares for every series.

    A cycle counts where the training rows span it twice and have two steps in each of its harmonics' periods or more;
    without one the forecast is the mean. Times are read from the wall clock. It forecasts far ahead as well as near,
    and never looks at the last value.

    season: steps of a cycle of another kind, and the only one for integer times; None for none.
    cycles: which of year, week and day may count.

    Example:
        >>> df = pd.DataFrame({"t": range(8), "y": [1.0, 3.0] * 4})
        >>> model = Climatology(horizon=2, season=2).fit(df, time="t", target="y")
        >>> model.forecast()["forecast"].round(6).tolist()
        [1.0, 3.0]
    """

    def __init__(
        self, horizon: int, season: int | None = None, freq: Any = None, cycles: Sequence[str] = tuple(CYCLES)
    ) -> None:
        self.horizon = horizon
        self.season = season
        self.freq = freq
        self.cycles = cycles

    def _setting_problems(self) -> list[Problem]:
        problems = count_problems(horizon=self.horizon, **({} if self.season is None else {"season": self.season}))
        listed = [self.cycles] if isinstance(self.cycles, str) else list(self.cycles)
        if isinstance(self.cycles, str) or not set(listed) <= set(CYCLES):
            problems.append(Problem(f"cycles={self.cycles!r}", f"some of {tuple(CYCLES)}", "Pass a list of them."))
        return problems

    def _fit_panel(self, panel: Panel) -> None:
        times = pd.Index(panel.table[TIME])
        clocks = _by_unit(wall_seconds(times), panel)
        usual = [CYCLES[name] for name in self.cycles] if isinstance(times, pd.DatetimeIndex) else []
        self.cycles_ = [cycles_in(clock, usual, self.season) for clock in clocks]
        self.weights_ = [
            least_squares(waves(clock, cycles), values)
            for clock, cycles, values in zip(clocks, self.cycles_, unit_values(panel), strict=True)
        ]

    def _forecast_panel(self, panel: Panel, codes: np.ndarray, future: pd.DataFrame) -> dict[str, np.ndarray]:
        clock, units = wall_seconds(pd.Index(future[TIME])), future[UNIT].to_numpy()
        forecast = np.full((len(codes), self.horizon_), np.nan)
        for unit, code in enumerate(codes):
            course = waves(clock[units == unit], self.cycles_[code]) @ self.weights_[code]
            forecast[unit, : len(course)] = course
        return {"forecast": forecast}


def _by_unit(values: np.ndarray, panel: Panel) -> list[np.ndarray]:
    return np.split(values, np.cumsum(np.bincount(panel.table[UNIT].to_numpy()))[:-1])
