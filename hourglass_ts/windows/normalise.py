"""Causal, invertible scaling of series: statistics of the training rows, one centre and one scale for each series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem, raise_problems
from hourglass_ts.frames.schema import TIME, UNIT, VALUE, Panel, unit_names

TRANSFORMS = (None, "log")
RELATIVE_NOISE = 1e-14
"""A spread this small beside the level is rounding: the series is constant."""


@dataclass(frozen=True)
class SeriesScaler:
    """Centre and scale per series, after an optional logarithm.

    centre, scale: (n_series,) float64, in the transformed space.  A constant series is measured in its own level, so
    that units do not matter; one of zeros, of no values, or of logarithms has scale 1.

    Example:
        >>> scaler = SeriesScaler.fit(np.array([1.0, 3.0]), np.array([0, 0]), n_series=1)
        >>> scaler.transform(np.array([5.0]), np.array([0])), scaler.invert(np.array([3.0]), np.array([0]))
        (array([3.]), array([5.]))
    """

    centre: np.ndarray
    scale: np.ndarray
    transform_name: str | None = None

    @classmethod
    def fit(
        cls, values: np.ndarray, codes: np.ndarray, n_series: int, transform_name: str | None = None
    ) -> SeriesScaler:
        """Statistics of `values` (n,) of the series `codes` (n,); NaN is left out. Two passes, in float64."""
        forward = _forward(values.astype(np.float64), transform_name)
        seen = np.isfinite(forward)
        forward, codes = forward[seen], codes[seen]
        count = np.maximum(np.bincount(codes, minlength=n_series), 1)
        start = np.zeros(n_series)  # sums of differences from a series' own value keep their digits far from 0
        start[codes] = forward
        centre = start + np.bincount(codes, forward - start[codes], minlength=n_series) / count
        variance = np.bincount(codes, (forward - centre[codes]) ** 2, minlength=n_series) / count
        scale = np.sqrt(variance)
        constant = scale <= RELATIVE_NOISE * np.abs(centre)
        level = np.where((centre != 0) & (transform_name is None), np.abs(centre), 1.0)
        scale[constant] = level[constant]
        return cls(centre, scale, transform_name)

    def transform(self, values: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Scale `values` (n, …) of the series `codes` (n,)."""
        centre, scale = self._of(codes, values.ndim)
        return (_forward(values, self.transform_name) - centre) / scale

    def invert(self, scaled: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Undo `transform`. It is monotone, so quantiles stay quantiles."""
        centre, scale = self._of(codes, scaled.ndim)
        plain = scaled * scale + centre
        return np.exp(plain) if self.transform_name == "log" else plain

    def _of(self, codes: np.ndarray, ndim: int) -> tuple[np.ndarray, np.ndarray]:
        shape = (len(codes), *[1] * (ndim - 1))
        return self.centre[codes].reshape(shape), self.scale[codes].reshape(shape)


def _forward(values: np.ndarray, transform_name: str | None) -> np.ndarray:
    return np.log(values) if transform_name == "log" else values


def transform_problems(transform_name: Any) -> list[Problem]:
    """The problem, if any, of an unknown transform."""
    if transform_name in TRANSFORMS:
        return []
    return [Problem(f"transform={transform_name!r}", f"one of {TRANSFORMS}", "Pass one of them.")]


def check_transform(panel: Panel, transform_name: str | None) -> None:
    """Raise a SettingsError for an unknown transform, and a DataError for values that it cannot take."""
    raise_problems(SettingsError, transform_problems(transform_name))
    refused = panel.table[panel.table[VALUE] <= 0] if transform_name == "log" else panel.table[:0]
    if len(refused):
        first = refused.iloc[0]
        name = unit_names(panel.keys, panel.roles, np.array([first[UNIT]]))[0]
        raise_problem(
            DataError,
            Problem(
                f"{len(refused)} values of 0 or less" + (f", first in {name}" if name else ""),
                "positive values, since transform='log'",
                "Leave the transform out.",
                column=panel.roles.target[0] if len(panel.roles.target) == 1 else None,
                at=first[TIME],
            ),
        )
