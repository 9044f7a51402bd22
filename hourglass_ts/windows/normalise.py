"""Causal, invertible scaling of series: statistics of the training rows, one centre and one scale for each series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem, raise_problems
from hourglass_ts.frames.calendars import show_time
from hourglass_ts.frames.schema import TIME, UNIT, VALUE, Panel, unit_names
from hourglass_ts.windows.transforms import RELATIVE_NOISE, TRANSFORMS, fit_powers, mean_and_deviation

SCALERS = ("standard", "robust", None)
NORMAL_QUARTILES = 1.3489795003921634
"""The quartiles of a normal distribution lie so many standard deviations apart."""


@dataclass(frozen=True)
class SeriesScaler:
    """Centre and scale per series, after an optional transform with a power λ of its own.

    centre, scale, power, unit: (n_series,) float64, the first two in the transformed space.  A constant series is
    measured in its own level, so that units do not matter; one of zeros, of no values, or transformed has scale 1.

    Example:
        >>> scaler = SeriesScaler.fit(np.array([1.0, 3.0]), np.array([0, 0]), n_series=1)
        >>> scaler.transform(np.array([5.0]), np.array([0])), scaler.invert(np.array([3.0]), np.array([0]))
        (array([3.]), array([5.]))
    """

    centre: np.ndarray
    scale: np.ndarray
    transform_name: str | None = None
    power: np.ndarray | float = 1.0
    unit: np.ndarray | float = 1.0

    @classmethod
    def fit(
        cls,
        values: np.ndarray,
        codes: np.ndarray,
        n_series: int,
        transform_name: str | None = None,
        scaler_name: str | None = "standard",
    ) -> SeriesScaler:
        """Statistics of `values` (n,) of the series `codes` (n,); NaN is left out. In float64.

        scaler_name: "standard" takes mean and standard deviation, "robust" median and quartiles, None neither.
        """
        seen = np.isfinite(values)
        values, codes = values[seen].astype(np.float64), codes[seen]
        power, unit = fit_powers(values, codes, n_series, transform_name)
        bent = cls(np.zeros(n_series), np.ones(n_series), transform_name, power, unit).transform(values, codes)
        if scaler_name is None:
            return cls(np.zeros(n_series), np.ones(n_series), transform_name, power, unit)
        centre, scale = (_robust if scaler_name == "robust" else mean_and_deviation)(bent, codes, n_series)
        constant = scale <= RELATIVE_NOISE * np.abs(centre)
        level = np.where((centre != 0) & (transform_name is None), np.abs(centre), 1.0)
        return cls(centre, np.where(constant, level, scale), transform_name, power, unit)

    def transform(self, values: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Scale `values` (n, …) of the series `codes` (n,)."""
        centre, scale, power, unit = self._of(codes, values.ndim)
        return (TRANSFORMS[self.transform_name].forward(values / unit, power) - centre) / scale

    def invert(self, scaled: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Undo `transform`. It is monotone, so quantiles stay quantiles; what is `beyond` its range goes to the end."""
        centre, scale, power, unit = self._of(codes, scaled.ndim)
        transform = TRANSFORMS[self.transform_name]
        return transform.inverse(np.clip(scaled * scale + centre, *transform.limits(power)), power) * unit

    def beyond(self, scaled: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Which of `scaled` (n, …) no value transforms to: below what Box-Cox makes of 0, say."""
        centre, scale, power, _ = self._of(codes, scaled.ndim)
        low, high = TRANSFORMS[self.transform_name].limits(power)
        return (scaled * scale + centre < low) | (scaled * scale + centre > high)

    def _of(self, codes: np.ndarray, ndim: int) -> list[np.ndarray]:
        """Centre, scale, power and unit of each row's series, to go with arrays of `ndim` dimensions."""
        shape, parts = (len(codes), *[1] * (ndim - 1)), (self.centre, self.scale, self.power, self.unit)
        return [np.broadcast_to(part, self.centre.shape)[codes].reshape(shape) for part in parts]


def _robust(values: np.ndarray, codes: np.ndarray, n_series: int) -> tuple[np.ndarray, np.ndarray]:
    """Median, and the quartiles' distance as a normal distribution's deviation; that itself where they coincide."""
    groups = pd.Series(values).groupby(codes)
    low, centre, high = (
        groups.quantile(q).reindex(range(n_series), fill_value=0.0).to_numpy() for q in (0.25, 0.5, 0.75)
    )
    scale = (high - low) / NORMAL_QUARTILES
    return centre, np.where(
        scale > RELATIVE_NOISE * np.abs(centre), scale, mean_and_deviation(values, codes, n_series)[1]
    )


def transform_problems(transform_name: Any, scaler_name: Any = "standard") -> list[Problem]:
    """One problem for an unknown transform, and one for an unknown scaler."""
    given = {"transform": (transform_name, tuple(TRANSFORMS)), "scaler": (scaler_name, SCALERS)}
    return [
        Problem(f"{name}={value!r}", f"one of {choices}", "Pass one of them.")
        for name, (value, choices) in given.items()
        if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices)
    ]


def check_transform(panel: Panel, transform_name: str | None) -> None:
    """Raise a SettingsError for an unknown transform, and a DataError for values that it cannot take."""
    raise_problems(SettingsError, transform_problems(transform_name))
    transform = TRANSFORMS[transform_name]
    refused = panel.table[panel.table[VALUE] <= transform.above]
    if len(refused):
        first = refused.iloc[0]
        name = unit_names(panel.keys, panel.roles, np.array([first[UNIT]]))[0]
        raise_problem(
            DataError,
            Problem(
                f"{len(refused)} values of {transform.above:g} or less" + (f", first in {name}" if name else ""),
                f"values above {transform.above:g}, since transform={transform_name!r}",
                f"Pass {transform.instead}, or leave the transform out.",
                column=panel.roles.target[0] if len(panel.roles.target) == 1 else None,
                at=show_time(first[TIME]),
            ),
        )
