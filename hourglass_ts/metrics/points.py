"""Scores of point forecasts: pure functions on arrays of numbers.

What all of them do with shapes, NaN, weights and zero denominators stands in `hourglass_ts.metrics.arrays`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from hourglass_ts.errors import DataError, Problem, raise_problem
from hourglass_ts.metrics.arrays import (
    NAN,
    Floats,
    aligned,
    average,
    check_counts,
    check_no_negative,
    complete,
    quotient,
    ratio,
)


def mae(actual: ArrayLike, forecast: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Mean absolute error, in the target's unit.

    Example:
        >>> mae([1.0, 2.0, float("nan")], [2.0, 4.0, 9.0])
        1.5
    """
    (observed, predicted), weight = complete(weights, actual=actual, forecast=forecast)
    return average(np.abs(observed - predicted), weight)


def mse(actual: ArrayLike, forecast: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Mean squared error, in the target's unit squared.

    Example:
        >>> mse([1.0, 2.0], [2.0, 4.0])
        2.5
    """
    (observed, predicted), weight = complete(weights, actual=actual, forecast=forecast)
    return average((observed - predicted) ** 2, weight)


def rmse(actual: ArrayLike, forecast: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Root mean squared error, in the target's unit.

    Example:
        >>> rmse([0.0, 0.0], [1.0, 7.0])
        5.0
    """
    return math.sqrt(mse(actual, forecast, weights=weights))


def bias(actual: ArrayLike, forecast: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Mean error, forecast minus actual, in the target's unit: above 0 the forecasts are too high.

    Example:
        >>> bias([1.0, 2.0], [2.0, 5.0])
        2.0
    """
    (observed, predicted), weight = complete(weights, actual=actual, forecast=forecast)
    return average(predicted - observed, weight)


def mape(actual: ArrayLike, forecast: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Mean absolute percentage error, in percent of the actual value, 0 or more.

    A pair whose actual is 0 has no percentage: it makes the score NaN rather than vanish from it.

    Example:
        >>> mape([1.0, 2.0], [2.0, 1.0])
        75.0
    """
    (observed, predicted), weight = complete(weights, actual=actual, forecast=forecast)
    return 100.0 * average(quotient(np.abs(observed - predicted), np.abs(observed)), weight)


def smape(actual: ArrayLike, forecast: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Symmetric mean absolute percentage error as in the M4 competition, in percent, 0 to 200.

    A pair of two zeros has no percentage: it makes the score NaN rather than vanish from it.

    Example:
        >>> smape([1.0, 1.0], [3.0, 1.0])
        50.0
    """
    (observed, predicted), weight = complete(weights, actual=actual, forecast=forecast)
    scale = np.abs(observed) + np.abs(predicted)
    return 200.0 * average(quotient(np.abs(observed - predicted), scale), weight)


def mase(
    actual: ArrayLike, forecast: ArrayLike, history: ArrayLike, season: int = 1, *, weights: ArrayLike | None = None
) -> float:
    """Mean absolute scaled error: the MAE over that of the seasonal naive forecast inside the training history.

    NaN when the history has no two observed values `season` steps apart, or never changes over a season. Source:
    Hyndman & Koehler 2006; the seasonal one is that of the M4 competition.

    Raises:
        SettingsError: `season` is less than 1.

    Example:
        >>> mase([5.0, 6.0], [6.0, 8.0], history=[1.0, 2.0, 3.0, 4.0])
        1.5
    """
    return ratio(mae(actual, forecast, weights=weights), seasonal_naive_mae(history, season))


def rmsse(
    actual: ArrayLike, forecast: ArrayLike, history: ArrayLike, season: int = 1, *, weights: ArrayLike | None = None
) -> float:
    """Root mean squared scaled error of the M5 competition: as `mase`, with squared errors and a root at the end.

    The competition's history begins at the first value that is not 0; cut it before.

    Raises:
        SettingsError: `season` is less than 1.

    Example:
        >>> rmsse([5.0, 6.0], [8.0, 9.0], history=[1.0, 2.0, 3.0, 4.0])
        3.0
    """
    return math.sqrt(ratio(mse(actual, forecast, weights=weights), seasonal_naive_mse(history, season)))


def seasonal_naive_mae(history: ArrayLike, season: int = 1) -> float:
    """Mean absolute change over `season` steps of one series in time order: what MASE divides by.

    Raises:
        SettingsError: `season` is less than 1.
        DataError: `history` is not one series.

    Example:
        >>> seasonal_naive_mae([1.0, 2.0, 4.0], season=2)
        3.0
    """
    return _seasonal_naive(mae, history, season)


def seasonal_naive_mse(history: ArrayLike, season: int = 1) -> float:
    """Mean squared change over `season` steps of one series in time order: what RMSSE divides by.

    Raises:
        SettingsError: `season` is less than 1.
        DataError: `history` is not one series.

    Example:
        >>> seasonal_naive_mse([1.0, 2.0, 4.0], season=2)
        9.0
    """
    return _seasonal_naive(mse, history, season)


def owa(smape: float, mase: float, benchmark_smape: float, benchmark_mase: float) -> float:
    """Overall weighted average of the M4 competition, from scores averaged over all series; below 1 is better.

    The competition's benchmark is Naive 2: naive on seasonally adjusted values.

    Example:
        >>> owa(smape=9.0, mase=1.0, benchmark_smape=10.0, benchmark_mase=2.0)
        0.7
    """
    return (ratio(smape, benchmark_smape) + ratio(mase, benchmark_mase)) / 2.0


def qlike(realised_variance: ArrayLike, variance: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Mean of log(variance) + realised / variance: the loss of a variance forecast; lower is better, below 0 too.

    `realised_variance` is an unbiased proxy, such as the squared return (Patton 2011). A forecast of 0 or less is no
    variance: it makes the score NaN.

    Raises:
        DataError: a realised variance is negative.

    Example:
        >>> qlike([1.0, 4.0], [1.0, 1.0])
        2.5
    """
    (realised, predicted), weight = complete(weights, realised_variance=realised_variance, variance=variance)
    check_no_negative(realised_variance=realised)
    variances = np.where(predicted > 0.0, predicted, NAN)
    return average(np.log(variances) + quotient(realised, variances), weight)


def _seasonal_naive(score: Callable[[Floats, Floats], float], history: ArrayLike, season: int) -> float:
    check_counts(season=season)
    values = aligned(history=history)["history"]
    if values.ndim != 1:
        problem = Problem(f"a history of shape {values.shape}", "one series", "Score series by series.")
        raise_problem(DataError, problem)
    return score(values[season:], values[:-season])
