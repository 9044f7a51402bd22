"""The forecasts that any model must beat: naive, seasonal naive, drift, climatology, ridge, and a random walk."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import torch

from hourglass_ts.errors import Problem
from hourglass_ts.forecast.checks import count_problems, quantile_names, quantile_problems
from hourglass_ts.forecast.piping import pipeline_problems
from hourglass_ts.forecast.plan import WindowPlan
from hourglass_ts.forecast.protocol import PanelForecaster
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
    seen = ~np.isnan(padded[::-1])
    newest = padded[::-1][seen.argmax(axis=0), np.arange(season)]
    return np.resize(np.where(seen.any(axis=0), newest, last), horizon)


class Drift(PanelForecaster):
    """The last value, going on with the mean change per step from the first value to the last.

    Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 5.2.

    Example:
        >>> df = pd.DataFrame({"t": [1, 2, 3], "y": [1.0, 2.0, 5.0]})
        >>> Drift(horizon=2).fit(df, time="t", target="y").forecast()["forecast"].tolist()
        [7.0, 9.0]
    """

    def __init__(self, horizon: int, freq: Any = None) -> None:
        self.horizon = horizon
        self.freq = freq

    def _fit_panel(self, panel: Panel) -> None:
        """There is nothing to learn."""

    def _forecast_panel(self, panel: Panel, codes: np.ndarray, future: pd.DataFrame) -> dict[str, np.ndarray]:
        # a unit's grid begins and ends with an observed value
        ends = [(values[0], values[-1], max(len(values) - 1, 1)) for values in unit_values(panel)]
        first, last, steps = (np.array(part)[:, None] for part in zip(*ends, strict=True))
        return {"forecast": last + (last - first) / steps * np.arange(1, self.horizon_ + 1)}


class EWMAWalk(PanelForecaster):
    """A random walk whose volatility is an exponentially weighted mean of squared changes: the last value, and width.

    The variance of a step is decay × the one before + (1 − decay) × change²; it grows with the number of steps ahead,
    and quantiles are a normal distribution's. A change over a hole counts as that many steps.
    Source: RiskMetrics Technical Document (1996), decay .94 for days.

    transform: "log" for prices, whose changes are rates.  quantiles: levels of the `q…` columns.

    Example:
        >>> df = pd.DataFrame({"t": range(5), "y": [1.0, 2.0, 1.0, 2.0, 1.0]})
        >>> model = EWMAWalk(horizon=2, quantiles=(0.5, 0.841344746)).fit(df, time="t", target="y")
        >>> model.forecast().iloc[:, 1:].round(3).values.tolist()
        [[1.0, 1.0, 2.0], [1.0, 1.0, 2.414]]
    """

    def __init__(
        self,
        horizon: int,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        decay: float = 0.94,
        transform: str | None = None,
        freq: Any = None,
    ) -> None:
        self.horizon = horizon
        self.quantiles = quantiles
        self.decay = decay
        self.transform = transform
        self.freq = freq

    def _setting_problems(self) -> list[Problem]:
        problems = [*count_problems(horizon=self.horizon), *quantile_problems(self.quantiles)]
        if not isinstance(self.decay, (int, float, np.number)) or not 0 < self.decay < 1:
            problems.append(Problem(f"decay={self.decay!r}", "a number between 0 and 1", "Pass for example 0.94."))
        if self.transform not in (None, "log"):
            problems.append(Problem(f"transform={self.transform!r}", 'None or "log"', "Pass one of them."))
        return problems

    def _output_names(self) -> tuple[str, ...]:
        return ("forecast", *quantile_names(self.quantiles))

    def _fit_panel(self, panel: Panel) -> None:
        check_transform(panel, self.transform)

    def _forecast_panel(self, panel: Panel, codes: np.ndarray, future: pd.DataFrame) -> dict[str, np.ndarray]:
        check_transform(panel, self.transform)
        is_log = self.transform == "log"
        values = [np.log(part) if is_log else part for part in unit_values(panel)]
        last = np.array([part[-1] for part in values])[:, None]
        deviation = np.array([self._deviation(part) for part in values])[:, None]
        width = deviation * np.sqrt(np.arange(1, self.horizon_ + 1))
        columns = {"forecast": last + 0 * width}
        columns |= {quantile_names([q])[0]: last + NormalDist().inv_cdf(q) * width for q in self.quantiles}
        return {name: np.exp(column) for name, column in columns.items()} if is_log else columns

    def _deviation(self, values: np.ndarray) -> float:
        seen = np.flatnonzero(~np.isnan(values))
        if len(seen) < 2:
            return 0.0
        squares = pd.Series(np.diff(values[seen]) ** 2 / np.diff(seen))
        return float(np.sqrt(squares.ewm(alpha=1 - self.decay).mean().iloc[-1]))


class RidgeFloor(PanelForecaster):
    """The linear floor alone: shrunken ridge maps of a window, λ chosen on a validation tail, then fitted on all rows.

    context: steps of a window; None chooses as `HourGlassForecaster` does.
    validation: steps of the tail; None takes a fifth of the longest series.
    transform: None, or "log" for positive series.  pipeline: as in `HourGlassForecaster`.
    """

    def __init__(
        self,
        horizon: int,
        context: int | None = None,
        validation: int | None = None,
        transform: str | None = None,
        freq: Any = None,
        pipeline: Any = None,
    ) -> None:
        self.horizon = horizon
        self.context = context
        self.validation = validation
        self.transform = transform
        self.freq = freq
        self.pipeline = pipeline

    def _setting_problems(self) -> list[Problem]:
        optional = {name: getattr(self, name) for name in ("context", "validation") if getattr(self, name) is not None}
        problems = count_problems(horizon=self.horizon, **optional) + transform_problems(self.transform)
        return problems + pipeline_problems(self.pipeline)

    def _prepare(self, panel: Panel) -> Panel:
        return lay_placeholders(panel)

    def _fit_panel(self, panel: Panel) -> None:
        check_transform(panel, self.transform)
        self.context_ = WindowPlan.of(panel, self.horizon, self.context).context
        units = panel.table[UNIT].to_numpy()
        observed = panel.table[VALUE].where(panel.table[OBSERVED]).to_numpy()
        self.scaler_ = SeriesScaler.fit(observed, units, len(panel.keys), self.transform)
        series = self._series(panel, np.arange(len(panel.keys)))
        longest = max(len(values) for values, _ in series)
        tail = self.validation or max(self.horizon, longest // 5)
        training, judges, everything = [], [], []
        for code, (values, observed) in enumerate(series):
            start = longest - len(values)
            last, cut = len(values) - 1 - self.horizon, len(values) - 1 - tail
            origins = torch.arange(min(self.context_ - 1, max(last, 0)), max(last + 1, 0))
            everything.append(Stretch(code, values, observed, origins, start))
            training.append(Stretch(code, values, observed, origins[origins + self.horizon <= cut], start))
            judges.append(Stretch(code, values, observed, origins[origins >= cut], start))
        self.floor_ = LinearFloor(self.context_, self.horizon, len(series))
        self.report_ = self.floor_.fit(training, judges)
        self.floor_.refit(everything)

    def _forecast_panel(self, panel: Panel, codes: np.ndarray, future: pd.DataFrame) -> dict[str, np.ndarray]:
        check_transform(panel, self.transform)
        past, present = torch.zeros(len(codes), self.context_), torch.zeros(len(codes), self.context_, dtype=torch.bool)
        for row, (values, _) in enumerate(self._series(panel, codes)):
            n = min(len(values), self.context_)
            past[row, self.context_ - n :] = values[len(values) - n :]
            present[row, self.context_ - n :] = True
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
