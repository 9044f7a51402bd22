"""Monotone transforms of values, element by element, with their exact inverses; a power λ is fitted to each series."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import boxcox, boxcox1p, inv_boxcox, inv_boxcox1p

RELATIVE_NOISE = 1e-14
"""A spread this small beside the level is rounding: the series is constant."""
LARGEST = 1e300
MOST_POWER = 2.0
LEAST_POWERED = 1e-6
FEWEST_ROWS = 3
GOLDEN, SEARCH_STEPS = (5**0.5 - 1) / 2, 32


@dataclass(frozen=True)
class Transform:
    """A monotone map of (values, λ) and its inverse; those without a λ do not look at it.

    above: what values must be greater than.  instead: what to try where they are not.
    """

    forward: Callable[[np.ndarray, np.ndarray], np.ndarray]
    inverse: Callable[[np.ndarray, np.ndarray], np.ndarray]
    above: float = -np.inf
    instead: str = ""

    def limits(self, power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The ends of what `forward` can give: the inverse exists between them."""
        least = np.full_like(power, max(self.above, -LARGEST))
        with np.errstate(divide="ignore"):
            return self.forward(least, power), self.forward(np.full_like(power, LARGEST), power)


def yeo_johnson(values: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Box-Cox of 1 + x with λ above zero, of 1 − x with 2 − λ and the sign turned below."""
    size = np.abs(values)
    return np.where(values >= 0, boxcox1p(size, power), -boxcox1p(size, 2 - power))


def inverse_yeo_johnson(values: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Undo `yeo_johnson`."""
    size = np.abs(values)
    return np.where(values >= 0, inv_boxcox1p(size, power), -inv_boxcox1p(size, 2 - power))


TRANSFORMS: dict[str | None, Transform] = {
    None: Transform(lambda values, _: values, lambda values, _: values),
    "log": Transform(lambda x, _: np.log(x), lambda y, _: np.exp(y), 0.0, "transform='log1p' or 'yeo-johnson'"),
    "log1p": Transform(lambda x, _: np.log1p(x), lambda y, _: np.expm1(y), -1.0, "transform='yeo-johnson'"),
    "yeo-johnson": Transform(yeo_johnson, inverse_yeo_johnson),
    "box-cox": Transform(boxcox, inv_boxcox, 0.0, "transform='log1p' or 'yeo-johnson'"),
}


def fit_powers(
    values: np.ndarray, codes: np.ndarray, n_series: int, name: str | None
) -> tuple[np.ndarray | float, np.ndarray | float]:
    """λ and unit of each series, (n_series,) each: the likeliest λ in 0 … 2. 1 and 1 where none is fitted.

    It is scikit-learn's λ, found for all series at once. Beyond 0 … 2 a forecast a little too high is infinite (λ < 0),
    or one a little too low is 0 (λ > 2). A series of fewer than 3 values, or of equal ones, has λ = 1, which bends
    nothing. Box-Cox is of values divided by the unit, their geometric mean: this changes no λ, and keeps the digits of
    series far from 1.
    """
    if name not in ("yeo-johnson", "box-cox"):
        return 1.0, 1.0
    count = np.bincount(codes, minlength=n_series)
    unit, most = np.ones(n_series), np.full(n_series, MOST_POWER)
    if name == "box-cox":
        unit = np.exp(np.bincount(codes, np.log(values), minlength=n_series) / np.maximum(count, 1))
        least = np.ones(n_series)
        np.minimum.at(least, codes, values / unit[codes])
        most = np.minimum(most, np.log(LEAST_POWERED) / np.minimum(np.log(least), -RELATIVE_NOISE))
    _, spread = mean_and_deviation(values, codes, n_series)
    size = np.zeros(n_series)
    np.maximum.at(size, codes, np.abs(values))
    shapeless = (count < FEWEST_ROWS) | (spread <= RELATIVE_NOISE * size)
    power = _likeliest_powers(values / unit[codes], codes, most, TRANSFORMS[name].forward)
    return np.where(shapeless, 1.0, power), unit


def _likeliest_powers(
    values: np.ndarray, codes: np.ndarray, most: np.ndarray, forward: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """The λ of every series in 0 … `most` at which its transformed values are likeliest normal; by golden section."""
    count = np.bincount(codes, minlength=len(most))
    logs = np.log(values) if forward is boxcox else np.sign(values) * np.log1p(np.abs(values))
    slopes = np.bincount(codes, logs, minlength=len(most))

    def likelihood(power: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):  # what is tried on the way may overflow
            _, spread = mean_and_deviation(forward(values, power[codes]), codes, len(most))
            return np.nan_to_num((power - 1) * slopes - count * np.log(spread), nan=-np.inf, posinf=-np.inf)

    low, high = np.zeros_like(most), most
    for _ in range(SEARCH_STEPS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        go_left = likelihood(left) >= likelihood(right)
        low, high = np.where(go_left, low, left), np.where(go_left, right, high)
    candidates = np.stack([np.zeros_like(most), (low + high) / 2, most])
    scores = np.stack([likelihood(power) for power in candidates])
    best = np.take_along_axis(candidates, scores.argmax(0)[None], 0)[0]
    return np.where(np.isfinite(scores.max(0)), best, 1.0)


def mean_and_deviation(values: np.ndarray, codes: np.ndarray, n_series: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every series, in two passes; zeros where there is no value."""
    count = np.maximum(np.bincount(codes, minlength=n_series), 1)
    start = np.zeros(n_series)  # sums of differences from a series' own value keep their digits far from 0
    start[codes] = values
    centre = start + np.bincount(codes, values - start[codes], minlength=n_series) / count
    variance = np.bincount(codes, (values - centre[codes]) ** 2, minlength=n_series) / count
    return centre, np.sqrt(variance)
