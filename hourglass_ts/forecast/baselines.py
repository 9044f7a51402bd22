"""The forecasts that any model must beat: naive, seasonal naive, and the closed-form ridge floor alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from hourglass_ts.errors import Problem
from hourglass_ts.forecast.protocol import PanelForecaster, count_problems
from hourglass_ts.frames.schema import OBSERVED, UNIT, VALUE, Panel
from hourglass_ts.network.floor import LinearFloor, Stretch
from hourglass_ts.windows.fill import lay_placeholders
from hourglass_ts.windows.normalise import SeriesScaler, check_transform, transform_problems


def unit_values(panel: Panel) -> list[np.ndarray]:
    """The values of every unit in time order, NaN where missing."""
    ends = np.cumsum(np.bincount(panel.table[UNIT].to_numpy(), minlength=len(panel.keys)))
    return np.split(panel.table[VALUE].to_numpy(), ends[:-1])


class Naive(PanelForecaster):
    """The last observed value, for every step ahead.

    Example:
        >>> df = pd.DataFrame({"t": [1, 2, 3], "y": [1.0, 2.0, 5.0]})
        >>> Naive(horizon=2).fit(df, time="t", target="y").forecast()["forecast"].tolist()
        [5.0, 5.0]
    """

    def __init__(self, horizon: int, freq: Any = None) -> None:
        self.horizon = horizon
        self.freq = freq

    def _fit_panel(self, panel: Panel) -> None:
        """There is nothing to learn."""

    def _forecast_panel(self, panel: Panel, codes: np.ndarray, future: pd.DataFrame) -> dict[str, np.ndarray]:
        last = np.array([values[~np.isnan(values)][-1] for values in unit_values(panel)])
        return {"forecast": np.repeat(last[:, None], self.horizon_, axis=1)}


class SeasonalNaive(PanelForecaster):
    """The value one season before; where that is missing, two seasons before, and so on, and at last the last value.

    season: steps; None takes the natural one of each series' calendar (24 for hours, 7 for days).
    """

    def __init__(self, horizon: int, season: int | None = None, freq: Any = None) -> None:
        self.horizon = horizon
        self.season = season
        self.freq = freq

    def _setting_problems(self) -> list[Problem]:
        return count_problems(horizon=self.horizon, **({} if self.season is None else {"season": self.season}))

    def _fit_panel(self, panel: Panel) -> None:
        """There is nothing to learn."""

    def _forecast_panel(self, panel: Panel, codes: np.ndarray, future: pd.DataFrame) -> dict[str, np.ndarray]:
        forecasts = [
            _seasonal(values, self.season or calendar.season_length, self.horizon_)
            for values, calendar in zip(unit_values(panel), panel.calendars, strict=True)
        ]
        return {"forecast": np.stack(forecasts)}


def _seasonal(values: np.ndarray, season: int, horizon: int) -> np.ndarray:
    last = values[~np.isnan(values)][-1]
    n_seasons = -(-len(values) // season)
    padded = np.concatenate([np.full(n_seasons * season - len(values), np.nan), values]).reshape(n_seasons, season)
    profile = pd.DataFrame(padded).ffill().iloc[-1].fillna(last).to_numpy()
    return np.resize(profile, horizon)


class RidgeFloor(PanelForecaster):
    """The linear floor alone: shrunken ridge maps of a window, λ chosen on a validation tail, then fitted on all rows.

    context: steps of a window.  validation: steps of the tail; None takes a fifth of the longest series.
    transform: None, or "log" for positive series.
    """

    def __init__(
        self,
        horizon: int,
        context: int = 64,
        validation: int | None = None,
        transform: str | None = None,
        freq: Any = None,
    ) -> None:
        self.horizon = horizon
        self.context = context
        self.validation = validation
        self.transform = transform
        self.freq = freq

    def _setting_problems(self) -> list[Problem]:
        optional = {} if self.validation is None else {"validation": self.validation}
        counts = count_problems(horizon=self.horizon, context=self.context, **optional)
        return counts + transform_problems(self.transform)

    def _prepare(self, panel: Panel) -> Panel:
        return lay_placeholders(panel)

    def _fit_panel(self, panel: Panel) -> None:
        check_transform(panel, self.transform)
        units = panel.table[UNIT].to_numpy()
        observed = panel.table[VALUE].where(panel.table[OBSERVED]).to_numpy()
        self.scaler_ = SeriesScaler.fit(observed, units, len(panel.keys), self.transform)
        series = self._series(panel, np.arange(len(panel.keys)))
        tail = self.validation or max(self.horizon, max(len(values) for values, _ in series) // 5)
        training, judges, everything = [], [], []
        for code, (values, observed) in enumerate(series):
            last, cut = len(values) - 1 - self.horizon, len(values) - 1 - tail
            origins = torch.arange(min(self.context - 1, max(last, 0)), max(last + 1, 0))
            everything.append(Stretch(code, values, observed, origins))
            training.append(Stretch(code, values, observed, origins[origins + self.horizon <= cut]))
            judges.append(Stretch(code, values, observed, origins[origins >= cut]))
        self.floor_ = LinearFloor(self.context, self.horizon, len(series))
        self.report_ = self.floor_.fit(training, judges)
        self.floor_.refit(everything)

    def _forecast_panel(self, panel: Panel, codes: np.ndarray, future: pd.DataFrame) -> dict[str, np.ndarray]:
        check_transform(panel, self.transform)
        past, present = torch.zeros(len(codes), self.context), torch.zeros(len(codes), self.context, dtype=torch.bool)
        for row, (values, _) in enumerate(self._series(panel, codes)):
            n = min(len(values), self.context)
            past[row, self.context - n :] = values[len(values) - n :]
            present[row, self.context - n :] = True
        scaled = self.floor_(past, present, torch.from_numpy(codes)).double().numpy()
        return {"forecast": self.scaler_.invert(scaled, codes)}

    def _series(self, panel: Panel, codes: np.ndarray) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Scaled values of every unit, placeholders in its holes, and where they were observed."""
        table = panel.table
        units = table[UNIT].to_numpy()
        scaled = torch.from_numpy(self.scaler_.transform(table[VALUE].to_numpy(), codes[units])).float()
        sizes = np.bincount(units, minlength=len(panel.keys)).tolist()
        observed = torch.from_numpy(table[OBSERVED].to_numpy(copy=True))
        return list(zip(scaled.split(sizes), observed.split(sizes), strict=True))
