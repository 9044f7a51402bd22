"""The windows of the long-horizon protocol, the same for every model, and how forecasts of them are scored.

The standardised rows of a data set are a file, which every model reads, in whatever environment it runs: this module
needs numpy alone. A window is named by its origin, the row of its last input; its targets are the rows after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

VALIDATION_WINDOWS = 2048  # windows of one channel that trained models are judged by; origins are thinned evenly to it
CHUNK_NUMBERS = 2_000_000  # forecast numbers held at a time
MOST_GROUPS = 400

Part = Literal["training", "validation", "test"]


@dataclass(frozen=True)
class Windows:
    """Every window of one context and horizon.

    values (n_rows, n_channels): standardised.  Targets of training lie before row `validation`, those of validation
    before row `test`, those of the test before row `end`; contexts may reach back into the part before.
    """

    values: np.ndarray
    validation: int
    test: int
    end: int
    context: int
    horizon: int

    @classmethod
    def read(cls, path: Path, context: int, horizon: int) -> Windows:
        """Read what `write` wrote."""
        with np.load(path) as file:
            bounds = {name: int(file[name]) for name in ("validation", "test", "end")}
            return cls(file["values"], **bounds, context=context, horizon=horizon)

    def write(self, path: Path) -> None:
        """Hand the rows over as a file."""
        bounds = {"validation": self.validation, "test": self.test, "end": self.end}
        np.savez(path, values=self.values.astype(np.float32), **bounds)

    @property
    def n_channels(self) -> int:
        """How many channels there are."""
        return self.values.shape[1]

    def origins(self, part: Part) -> np.ndarray:
        """Every origin of a part, stride 1."""
        first, stop = {
            "training": (0, self.validation),
            "validation": (self.validation, self.test),
            "test": (self.test, self.end),
        }[part]
        return np.arange(max(first - 1, self.context - 1), stop - self.horizon)

    def judges(self) -> np.ndarray:
        """The validation origins that every trained model is judged by: first to last, evenly thinned."""
        every = self.origins("validation")
        wanted = min(len(every), -(-VALIDATION_WINDOWS // self.n_channels))
        return every[np.linspace(0, len(every) - 1, wanted).round().astype(int)]

    def inputs(self, origins: np.ndarray) -> np.ndarray:
        """Contexts (n, context, n_channels)."""
        return self.values[origins[:, None] + np.arange(1 - self.context, 1)]

    def targets(self, origins: np.ndarray) -> np.ndarray:
        """What followed (n, horizon, n_channels)."""
        return self.values[origins[:, None] + np.arange(1, self.horizon + 1)]

    def chunks(self, origins: np.ndarray) -> list[np.ndarray]:
        """The origins in order, a bounded number of forecast numbers at a time."""
        size = max(1, CHUNK_NUMBERS // (self.horizon * self.n_channels))
        return [origins[begin : begin + size] for begin in range(0, len(origins), size)]


def score_test(forecast: Callable[[np.ndarray], np.ndarray], windows: Windows) -> dict[str, Any]:
    """MSE and MAE of all test windows, and of groups of neighbouring origins.

    forecast: origins (n,) → (n, horizon, n_channels).

    Raises:
        ValueError: a forecast has another shape, or a number that is none.
    """
    origins = windows.origins("test")
    squared, absolute = np.empty(len(origins)), np.empty(len(origins))
    done = 0
    for part in windows.chunks(origins):
        made, targets = forecast(part), windows.targets(part)
        if made.shape != targets.shape or not np.isfinite(made).all():
            raise ValueError(f"forecast of shape {made.shape}, finite {np.isfinite(made).all()}; {targets.shape} due")
        error = made.astype(np.float64) - targets
        place = slice(done, done + len(part))
        squared[place], absolute[place] = np.square(error).mean((1, 2)), np.abs(error).mean((1, 2))
        done += len(part)
    return {
        "mse": float(squared.mean()),
        "mae": float(absolute.mean()),
        "n_origins": len(origins),
        "n_groups": n_groups(len(origins)),
        "errors": group_means(squared),
        "absolute_errors": group_means(absolute),
    }


def n_groups(n_origins: int) -> int:
    """How many groups the origins fall into."""
    return min(MOST_GROUPS, n_origins)


def group_means(errors: np.ndarray) -> list[float]:
    """Means of neighbours: groups in order whose sizes differ by one at most, the same for every model."""
    return [float(f"{part.mean():.6g}") for part in np.array_split(errors, n_groups(len(errors)))]
