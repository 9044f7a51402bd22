"""Long-horizon models of the project's environment: naive ones, the closed-form ridge, and HourGlass as a user has it.

Each is fitted by its constructor, and forecasts (n, horizon, n_channels) from origins (n,). `drift` goes on along the
line from the first to the last value of the context. `ridge` is fitted on the training part with the strengths that
validation chose, `ridge+validation` again on both parts. `hourglass` is fitted on all rows before the test, of which
it takes its own validation tail; `hourglass-no-floor` is its network alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from long_data import season, times
from long_horizon import Part, Windows

from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.network.floor import LinearFloor, Stretch

PROBES = 32  # vectors that a floor is asked at a time


class Fitted(Protocol):
    """A model that is ready to forecast."""

    facts: dict[str, Any]

    def forecast(self, origins: np.ndarray) -> np.ndarray:
        """Forecasts (n, horizon, n_channels)."""
        ...


def fit(model: str, data: str, windows: Windows, budget: float, seed: int) -> Fitted:
    """Fit one of `MODELS`."""
    return MODELS[model](data, windows, budget, seed)


@dataclass
class Rule:
    """What needs no fit: contexts (n, context, n_channels) and leads (horizon,) → forecasts."""

    windows: Windows
    rule: Callable[[np.ndarray, np.ndarray], np.ndarray]
    facts: dict[str, Any] = field(default_factory=lambda: {"parameters": 0})

    def forecast(self, origins: np.ndarray) -> np.ndarray:
        """Forecasts (n, horizon, n_channels)."""
        return self.rule(self.windows.inputs(origins), np.arange(1, self.windows.horizon + 1))


def last_value(inputs: np.ndarray, leads: np.ndarray) -> np.ndarray:
    """The last value."""
    return np.repeat(inputs[:, -1:], len(leads), axis=1)


def last_season(length: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The last season, over and over."""
    return lambda inputs, leads: inputs[:, (leads - 1) % length - length]


def line(inputs: np.ndarray, leads: np.ndarray) -> np.ndarray:
    """The line through the context's first and last value."""
    slope = (inputs[:, -1:] - inputs[:, :1]) / (inputs.shape[1] - 1)
    return inputs[:, -1:] + slope * leads[:, None]


class Ridge:
    """`LinearFloor` alone: a common map, and for channels that earn it one of their own."""

    def __init__(self, windows: Windows, *, refit: bool) -> None:
        self.windows = windows
        begun = time.process_time()
        self.floor = LinearFloor(windows.context, windows.horizon, windows.n_channels)
        training = stretches(windows, "training")
        report = self.floor.fit(training, stretches(windows, "validation"))
        curve = [[time.process_time() - begun, report.floor_error]]
        if refit:
            self.floor.refit(stretches(windows, "training", until=windows.test))
        self.maps = [affine_map(self.floor, code) for code in range(windows.n_channels)]
        n_maps = 1 + int((self.floor.map_of_series >= 0).sum())
        self.facts = {
            "curve": curve,
            "parameters": n_maps * windows.context * windows.horizon,
            "chosen": {
                "ridges": [f"{ridge.context}{' and level' * ridge.level}" for ridge in report.ridges],
                "common_strengths": _plain(report.common_strengths),
                "own_strengths": {str(code): _plain(own) for code, own in report.own_strengths.items()},
            },
        }

    def forecast(self, origins: np.ndarray) -> np.ndarray:
        """Forecasts (n, horizon, n_channels)."""
        inputs = self.windows.inputs(origins)
        made = [inputs[..., code] @ weights + offset for code, (weights, offset) in enumerate(self.maps)]
        return np.stack(made, axis=-1)


def affine_map(floor: LinearFloor, code: int) -> tuple[np.ndarray, np.ndarray]:
    """The weights (context, horizon) and offset (horizon,) of a channel's floor: its answers to 0 and to unit vectors.

    The floor itself would copy its map for every window.
    """
    vectors = torch.cat([torch.zeros(1, floor.context), torch.eye(floor.context)]).split(PROBES)
    with torch.no_grad():
        answers = torch.cat(
            [floor(part, torch.ones_like(part, dtype=torch.bool), torch.full((len(part),), code)) for part in vectors]
        ).numpy()
    return answers[1:] - answers[0], answers[0]


def stretches(windows: Windows, part: Part, until: int | None = None) -> list[Stretch]:
    """Every channel's windows of a part, or all with targets before row `until`."""
    origins = windows.origins(part)
    first, stop = origins[0], origins[-1] + windows.horizon + 1
    if until is not None:
        first, stop = windows.context - 1, until
    begin = first + 1 - windows.context
    places = torch.arange(windows.context - 1, stop - begin - windows.horizon)
    observed = torch.ones(stop - begin, dtype=torch.bool)
    values = torch.from_numpy(windows.values[begin:stop])
    return [Stretch(code, values[:, code].contiguous(), observed, places) for code in range(windows.n_channels)]


class HourGlass:
    """`HourGlassForecaster` on a wide frame, with its defaults: what a user gets who names horizon and context."""

    def __init__(self, data: str, windows: Windows, budget: float, seed: int, *, floor: bool = True) -> None:
        self.windows = windows
        names = [f"channel{code:03d}" for code in range(windows.n_channels)]
        self.frame = pd.DataFrame(windows.values.astype(np.float64), columns=names)
        self.frame.insert(0, "time", times(data, len(self.frame)))
        self.model = HourGlassForecaster(
            windows.horizon,
            context=windows.context,
            quantiles=(),
            time_budget=budget,
            seed=seed,
            progress=False,
            floor=floor,
        )
        self.model.fit(self.frame.iloc[: windows.test], time="time", target=None)
        network = self.model.trained_.model
        self.facts = {
            "parameters": sum(part.numel() for part in (*network.parameters(), *network.buffers())),
            "share": self.model.share_,
        }

    def forecast(self, origins: np.ndarray) -> np.ndarray:
        """Forecasts (n, horizon, n_channels), for neighbouring origins in order: rows far from them are not read."""
        first, last = origins[0] + 1 - self.windows.context, origins[-1] + self.windows.horizon
        rows = self.frame.iloc[first : last + 1]
        made = self.model.forecast_from(rows, list(self.frame["time"].iloc[origins]))
        shape = (len(origins), self.windows.n_channels, self.windows.horizon)
        return made["forecast"].to_numpy().reshape(shape).transpose(0, 2, 1)


def _plain(strengths: Sequence[float]) -> list[float | str]:
    return [strength if math.isfinite(strength) else "infinite" for strength in strengths]


MODELS: dict[str, Callable[[str, Windows, float, int], Fitted]] = {
    "naive": lambda data, windows, budget, seed: Rule(windows, last_value),
    "seasonal-naive": lambda data, windows, budget, seed: Rule(windows, last_season(season(data))),
    "drift": lambda data, windows, budget, seed: Rule(windows, line),
    "ridge": lambda data, windows, budget, seed: Ridge(windows, refit=False),
    "ridge+validation": lambda data, windows, budget, seed: Ridge(windows, refit=True),
    "hourglass": HourGlass,
    "hourglass-no-floor": lambda *cell: HourGlass(*cell, floor=False),
}
