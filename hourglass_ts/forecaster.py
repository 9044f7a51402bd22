"""`HourGlassForecaster`: fit on a DataFrame, forecast the future, save and load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import Problem
from hourglass_ts.forecast.neural import TrainedHourGlass, WindowPlan, rows_since
from hourglass_ts.forecast.protocol import PanelForecaster, count_problems
from hourglass_ts.forecast.storage import load_model, save_model
from hourglass_ts.forecast.training import TrainingSettings
from hourglass_ts.frames.schema import STEP, UNIT, Panel
from hourglass_ts.windows.normalise import check_transform


class HourGlassForecaster(PanelForecaster):
    """Forecast pandas series: a ridge floor, and a causal HourGlass transformer for what a line cannot learn.

    Args:
        horizon: steps to forecast.  context: steps of history to look at; None chooses by season and length.
        freq: pandas alias, offset or integer step; None infers it.
        shortening_factors: how strongly each level of the hourglass shortens; [1] does not.
        quantiles: levels of the `q…` columns; () for the point forecast alone.
        max_epochs: at most; training stops early on a validation tail of every series.  time_budget: seconds, or None.
        seed: same seed, same data, same forecast.  accelerator: Lightning's.  progress: show a bar.
        transform: "log" for positive series that change by rates.  floor: False leaves the naive forecast as the floor.
        patch, d_model, n_heads, d_ff, dropout: the network's sizes; patch None makes a dozen tokens of a short context.
        learning_rate: of Adam.

    Example:
        >>> df = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=60), "y": np.tile([1.0, 2.0, 4.0], 20)})
        >>> model = HourGlassForecaster(horizon=2, max_epochs=1, progress=False).fit(df, time="day", target="y")
        >>> list(model.forecast())
        ['day', 'forecast', 'q0.1', 'q0.5', 'q0.9']

    Fitted attributes: `share_` the network's share of the forecast; `notes_` what the data checks dropped or laid in.
    """

    def __init__(
        self,
        horizon: int,
        context: int | None = None,
        freq: Any = None,
        shortening_factors: Sequence[int] = (2, 2),
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        max_epochs: int = 20,
        time_budget: float | None = None,
        seed: int = 0,
        accelerator: str = "auto",
        progress: bool = True,
        *,
        transform: str | None = None,
        floor: bool = True,
        patch: int | None = None,
        d_model: int = 64,
        n_heads: int = 4,
        d_ff: int = 128,
        dropout: float = 0.0,
        learning_rate: float = 1e-3,
        patience: int = 4,
        steps_per_epoch: int = 100,
    ) -> None:
        self.horizon = horizon
        self.context = context
        self.freq = freq
        self.shortening_factors = shortening_factors
        self.quantiles = quantiles
        self.max_epochs = max_epochs
        self.time_budget = time_budget
        self.seed = seed
        self.accelerator = accelerator
        self.progress = progress
        self.transform = transform
        self.floor = floor
        self.patch = patch
        self.d_model = d_model
        self.n_heads = n_heads
        self.d_ff = d_ff
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.patience = patience
        self.steps_per_epoch = steps_per_epoch

    @property
    def share_(self) -> float:
        """The network's share of the forecast, fitted on validation: 0 leaves the floor, 1 takes all of it."""
        self._check_fitted()
        return self.trained_.share

    def save(self, directory: str | Path) -> None:
        """Write the fitted model into a new or replaced directory: safetensors, JSON and checksums; no pickle."""
        self._check_fitted()
        save_model(Path(directory), self.get_params(), self.history_, self.notes_, self.trained_)

    @classmethod
    def load(cls, directory: str | Path) -> HourGlassForecaster:
        """Read what `save` wrote; its forecasts are the same to the last bit."""
        params, panel, trained = load_model(Path(directory))
        model = cls(**params)
        model.trained_ = trained
        model.roles_, model.keys_, model.history_, model.notes_ = panel.roles, panel.keys, panel, panel.notes
        return model

    def _setting_problems(self) -> list[Problem]:
        counts = {
            name: getattr(self, name)
            for name in ("horizon", "max_epochs", "d_model", "n_heads", "d_ff", "patience", "steps_per_epoch")
        }
        counts |= {name: getattr(self, name) for name in ("context", "patch") if getattr(self, name) is not None}
        return [
            *count_problems(**counts),
            *_factor_problems(self.shortening_factors),
            *_quantile_problems(self.quantiles),
            *_number_problems(self.time_budget, self.learning_rate, self.dropout),
        ]

    def _fit_panel(self, panel: Panel) -> None:
        check_transform(panel, self.transform)
        plan = WindowPlan.of(panel, self.horizon, self.context)
        names = ("shortening_factors", "floor", "d_model", "n_heads", "d_ff", "dropout", "learning_rate")
        network = {name: getattr(self, name) for name in names}
        network["shortening_factors"] = [int(factor) for factor in self.shortening_factors]
        network["patch"] = self.patch
        self.trained_ = TrainedHourGlass.fit(
            panel,
            plan,
            quantiles=tuple(float(level) for level in self.quantiles),
            transform=self.transform,
            network=network,
            training=TrainingSettings(
                max_epochs=self.max_epochs,
                steps_per_epoch=self.steps_per_epoch,
                patience=self.patience,
                time_budget=self.time_budget,
                accelerator=self.accelerator,
                seed=self.seed,
                progress=self.progress,
            ),
        )

    def _history(self, panel: Panel) -> Panel:
        """The rows that a forecast can reach; those alone are kept and saved."""
        table = panel.table[rows_since(panel, self.trained_.plan.context)].reset_index(drop=True)
        table[STEP] = table.groupby(UNIT).cumcount().to_numpy()
        return replace(panel, table=table)

    def _forecast_panel(self, panel: Panel, codes: np.ndarray, future: pd.DataFrame) -> dict[str, np.ndarray]:
        check_transform(panel, self.transform)
        return self.trained_.forecast(panel, codes, future)


def _factor_problems(factors: Any) -> list[Problem]:
    listed = list(factors) if isinstance(factors, (list, tuple)) else []
    if listed and not count_problems(**{str(place): factor for place, factor in enumerate(listed)}):
        return []
    return [
        Problem(
            f"shortening_factors={factors!r}", "a list of integers of 1 or more", "Pass for example [2, 2], or [1]."
        )
    ]


def _quantile_problems(quantiles: Any) -> list[Problem]:
    levels = list(quantiles) if isinstance(quantiles, (list, tuple, np.ndarray)) else [None]
    inside = all(isinstance(level, (float, np.floating)) and 0 < level < 1 for level in levels)
    if inside and len(set(levels)) == len(levels):
        return []
    return [
        Problem(f"quantiles={quantiles!r}", "different numbers between 0 and 1", "Pass for example (0.1, 0.5, 0.9).")
    ]


def _number_problems(time_budget: Any, learning_rate: Any, dropout: Any) -> list[Problem]:
    problems = []
    if time_budget is not None and not (isinstance(time_budget, (int, float)) and time_budget > 0):
        problems.append(Problem(f"time_budget={time_budget!r}", "seconds above 0, or None", "Pass another."))
    if not (isinstance(learning_rate, (int, float)) and learning_rate > 0):
        problems.append(Problem(f"learning_rate={learning_rate!r}", "a number above 0", "Pass for example 1e-3."))
    if not (isinstance(dropout, (int, float)) and 0 <= dropout < 1):
        problems.append(Problem(f"dropout={dropout!r}", "a number from 0 to below 1", "Pass for example 0.1."))
    return problems
