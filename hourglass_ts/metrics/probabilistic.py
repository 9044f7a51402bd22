"""Scores of probabilistic forecasts: quantiles, intervals, samples, distributions, probabilities of events.

What all of them do with shapes, NaN, weights and zero denominators stands in `hourglass_ts.metrics.arrays`. Forecasts
at several levels, and samples, have one axis more than `actual`: their last.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem, raise_problems
from hourglass_ts.metrics.arrays import (
    NAN,
    Floats,
    aligned,
    average,
    check_no_negative,
    check_shares,
    complete,
    missing,
    quotient,
    ratio,
)


def pinball(actual: ArrayLike, forecast: ArrayLike, quantile: float, *, weights: ArrayLike | None = None) -> float:
    """Mean pinball loss of a quantile forecast, in the target's unit; at 0.5 it is half the MAE.

    Raises:
        SettingsError: `quantile` is not between 0 and 1.

    Example:
        >>> pinball([10.0, 10.0], [8.0, 12.0], quantile=0.9)
        1.0
    """
    check_shares(quantile=quantile)
    (observed, predicted), weight = complete(weights, actual=actual, forecast=forecast)
    return average(_pinball_losses(observed, predicted, quantile), weight)


def weighted_quantile_loss(
    actual: ArrayLike, forecasts: ArrayLike, levels: ArrayLike, *, weights: ArrayLike | None = None
) -> float:
    """Twice the summed pinball loss over the summed size of the actual values, averaged over the levels.

    `forecasts` (..., n_levels) are the quantiles at `levels`, which increase between 0 and 1. GluonTS calls it the
    mean weighted quantile loss. A pair without all its quantiles is left out.

    Raises:
        SettingsError: the levels do not increase between 0 and 1.
        DataError: there is not one forecast per level.

    Example:
        >>> weighted_quantile_loss([10.0, 10.0], [[8.0, 12.0], [9.0, 14.0]], levels=[0.25, 0.75])
        0.1125
    """
    observed, losses, weight = _losses_of_levels(actual, forecasts, levels, weights)
    return ratio(2.0 * average(losses, weight), average(np.abs(observed), weight))


def crps_quantiles(
    actual: ArrayLike, forecasts: ArrayLike, levels: ArrayLike, *, weights: ArrayLike | None = None
) -> float:
    """Continuous ranked probability score from quantiles: twice the mean pinball loss over the levels, unweighted.

    An approximation of the integral over all levels (Laio & Tamea 2007): it converges to the CRPS when the levels grow
    many and lie evenly, as 1/2m, 3/2m, ... do. With few levels, compare it between forecasts of the same levels only.
    `forecasts` (..., n_levels), `levels` and errors as in `weighted_quantile_loss`.

    Example:
        >>> crps_quantiles([10.0], [[8.0, 12.0]], levels=[0.25, 0.75])
        1.0
    """
    _, losses, weight = _losses_of_levels(actual, forecasts, levels, weights)
    return 2.0 * average(losses, weight)


def crps_ensemble(actual: ArrayLike, samples: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Continuous ranked probability score of samples (..., n_samples), in the target's unit.

    The standard estimator, E|X - y| - E|X - X'| / 2 over all pairs of samples: the exact score of the distribution that
    puts equal mass on each sample (Gneiting & Raftery 2007, eq. 21). As an estimate of what the samples were drawn
    from it is too high by E|X - X'| / 2n. A pair without all its samples is left out.

    Example:
        >>> crps_ensemble([0.0], [[-1.0, 1.0]])
        0.5
    """
    (observed, drawn), weight = complete(weights, "samples", actual=actual, samples=samples)
    errors = np.sort(drawn - observed[..., np.newaxis], axis=-1)
    n_samples = errors.shape[-1]
    # Sorted, the k-th of n samples is the larger one in k pairs and the smaller one in n - 1 - k.
    signs = 2.0 * np.arange(n_samples) + 1.0 - n_samples
    return average(np.mean(np.abs(errors), axis=-1) - errors @ signs / n_samples**2, weight)


def crps_normal(actual: ArrayLike, mean: ArrayLike, deviation: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Continuous ranked probability score of normal forecasts, in the target's unit.

    `deviation` is the standard deviation; where it is 0 the score is the absolute error, its limit. Source: Gneiting &
    Raftery 2007, eq. 5 of section 4.2.

    Raises:
        DataError: a deviation is negative.

    Example:
        >>> round(crps_normal([0.0], [0.0], [1.0]), 6)
        0.233695
    """
    (observed, centre, spread), weight = complete(weights, actual=actual, mean=mean, deviation=deviation)
    check_no_negative(deviation=spread)
    error = observed - centre
    with np.errstate(all="ignore"):  # a standardised error may be infinite, and erf and exp know its limits
        z = error / spread
        scores = error * erf(z / np.sqrt(2.0)) + spread * (np.exp(-(z**2) / 2.0) * np.sqrt(2.0) - 1.0) / np.sqrt(np.pi)
    return average(np.where(spread > 0.0, scores, np.abs(error)), weight)


def interval_score(
    actual: ArrayLike, lower: ArrayLike, upper: ArrayLike, level: float, *, weights: ArrayLike | None = None
) -> float:
    """Winkler's score of intervals meant to hold the share `level`: width plus penalty, in the target's unit.

    The penalty is 2 / (1 - level) times the distance of the actual value from the interval (Gneiting & Raftery 2007,
    eq. 43). Lower is better; the interval's ends should be the quantiles (1 - level) / 2 and (1 + level) / 2.

    Raises:
        SettingsError: `level` is not between 0 and 1.

    Example:
        >>> interval_score([1.0, 5.0], lower=[0.0, 0.0], upper=[2.0, 4.0], level=0.5)
        5.0
    """
    check_shares(level=level)
    (observed, low, high), weight = complete(weights, actual=actual, lower=lower, upper=upper)
    outside = np.maximum(low - observed, 0.0) + np.maximum(observed - high, 0.0)
    return average(high - low + 2.0 / (1.0 - level) * outside, weight)


def coverage(actual: ArrayLike, lower: ArrayLike, upper: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Share of actual values inside the interval, its ends included, 0 to 1.

    Example:
        >>> coverage([1.0, 2.0, 3.0, 4.0], lower=[0.0, 2.0, 4.0, 3.0], upper=[2.0, 2.0, 5.0, 5.0])
        0.75
    """
    (observed, low, high), weight = complete(weights, actual=actual, lower=lower, upper=upper)
    inside = (low <= observed) & (observed <= high)
    return average(inside.astype(np.float64), weight)


def pit_quantiles(actual: ArrayLike, forecasts: ArrayLike, levels: ArrayLike) -> Floats:
    """Probability integral transform of each actual value: the level that quantile forecasts give it, 0 to 1.

    Linear between two quantiles. Beyond the outermost quantiles, where the forecast says no more, the middle of what is
    left: half the lowest level, and halfway from the highest to 1. A value at several quantiles at once, as at a point
    mass, gets the middle of their levels. Crossed quantiles are put in order first. Shaped as `actual`; NaN where the
    value or a quantile is. `forecasts` (..., n_levels), `levels` and errors as in `weighted_quantile_loss`.

    Example:
        >>> pit_quantiles([0.0, 2.5, 9.0], [[1.0, 2.0, 3.0]] * 3, levels=[0.2, 0.5, 0.8])
        array([0.1 , 0.65, 0.9 ])
    """
    taus = _increasing(levels)
    arrays = aligned("forecasts", actual=actual, forecasts=forecasts)
    _check_one_per_level(arrays["forecasts"], taus)
    value, quantiles = arrays["actual"][..., np.newaxis], np.sort(arrays["forecasts"], axis=-1)
    below, up_to = (quantiles < value).sum(axis=-1), (quantiles <= value).sum(axis=-1)

    last = len(taus) - 1
    left = np.take_along_axis(quantiles, np.clip(below - 1, 0, last)[..., np.newaxis], axis=-1)
    right = np.take_along_axis(quantiles, np.clip(below, 0, last)[..., np.newaxis], axis=-1)
    way = np.where((below == 0) | (below > last), 0.5, quotient(value - left, right - left)[..., 0])

    ends = np.concatenate([[0.0], taus, [1.0]])
    between = (1.0 - way) * ends[below] + way * ends[below + 1]
    tied = (ends[below + 1] + ends[up_to]) / 2.0
    return np.where(missing(arrays, "forecasts"), NAN, np.where(up_to > below, tied, between))


def pit_ensemble(actual: ArrayLike, samples: ArrayLike) -> Floats:
    """Probability integral transform of each actual value: the share of the samples (..., n_samples) below it.

    Samples equal to it count half. Shaped as `actual`; NaN where the value or a sample is.

    Example:
        >>> pit_ensemble([2.0, 9.0], [[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]])
        array([0.375, 1.   ])
    """
    arrays = aligned("samples", actual=actual, samples=samples)
    value, drawn = arrays["actual"][..., np.newaxis], arrays["samples"]
    share = (np.mean(drawn < value, axis=-1) + np.mean(drawn <= value, axis=-1)) / 2.0
    return np.where(missing(arrays, "samples"), NAN, share)


def brier(actual: ArrayLike, probability: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Mean squared error of the probability of an event, 0 to 1; `actual` is 1 where it happened, and 0 elsewhere.

    Raises:
        DataError: an actual value is neither 0 nor 1, or a probability is not from 0 to 1.

    Example:
        >>> brier([1, 0], [0.5, 0.5])
        0.25
    """
    happened, chance, weight = _events(actual, probability, weights)
    return average((chance - happened) ** 2, weight)


def brier_skill(actual: ArrayLike, probability: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """1 minus the Brier score over that of the base rate, the events' share in the same values; 1 is perfect.

    NaN where the event always or never happened: there the base rate is perfect itself. Errors as in `brier`.

    Example:
        >>> brier_skill([1, 0], [1.0, 0.5])
        0.5
    """
    happened, chance, weight = _events(actual, probability, weights)
    rate = average(happened, weight)
    return 1.0 - ratio(average((chance - happened) ** 2, weight), rate * (1.0 - rate))


def _events(
    actual: ArrayLike, probability: ArrayLike, weights: ArrayLike | None
) -> tuple[Floats, Floats, Floats | None]:
    (happened, chance), weight = complete(weights, actual=actual, probability=probability)
    wrong = [
        ("actual", happened[(happened != 0.0) & (happened != 1.0)], "1 where the event happened, 0 elsewhere"),
        ("probability", chance[(chance < 0.0) | (chance > 1.0)], "0 to 1"),
    ]
    raise_problems(
        DataError,
        [
            Problem(f"{name} with the value {values[0]:g}", expected, "Change it before scoring.")
            for name, values, expected in wrong
            if values.size
        ],
    )
    return happened, chance, weight


def _losses_of_levels(
    actual: ArrayLike, forecasts: ArrayLike, levels: ArrayLike, weights: ArrayLike | None
) -> tuple[Floats, Floats, Floats | None]:
    """Actual values (n,), their pinball losses averaged over the levels (n,), and weights."""
    taus = _increasing(levels)
    (observed, predicted), weight = complete(weights, "forecasts", actual=actual, forecasts=forecasts)
    _check_one_per_level(predicted, taus)
    return observed, _pinball_losses(observed[:, np.newaxis], predicted, taus).mean(axis=-1), weight


def _pinball_losses(observed: Floats, predicted: Floats, quantile: float | Floats) -> Floats:
    above = observed - predicted
    return np.maximum(quantile * above, (quantile - 1.0) * above)


def _increasing(levels: ArrayLike) -> Floats:
    taus = aligned(levels=levels)["levels"]
    rising = taus.ndim == 1 and taus.size > 0 and np.all(np.diff(taus, prepend=0.0, append=1.0) > 0.0)
    if not rising:
        problem = Problem(f"levels={levels!r}", "levels that increase between 0 and 1", "Pass, say, [0.1, 0.5, 0.9].")
        raise_problem(SettingsError, problem)
    return taus


def _check_one_per_level(forecasts: Floats, levels: Floats) -> None:
    if forecasts.shape[-1] != len(levels):
        found = f"{forecasts.shape[-1]} forecasts for {len(levels)} levels"
        problem = Problem(found, "as many", "Make the last axis of the forecasts that of the levels.")
        raise_problem(DataError, problem)
