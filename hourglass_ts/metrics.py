"""Scores of forecasts: pure functions on arrays of numbers.

Common to all of them:

- `actual` and `forecast` (arrays, Series, lists, of one shape) are compared position by position, whatever their index;
- a pair in which either side is NaN is left out;
- a score with nothing to compare, or with a zero denominator, is NaN: never an infinity, never a warning.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem

Floats = NDArray[np.float64]


def mae(actual: ArrayLike, forecast: ArrayLike) -> float:
    """Mean absolute error, in the target's unit.

    Example:
        >>> mae([1.0, 2.0, float("nan")], [2.0, 4.0, 9.0])
        1.5
    """
    observed, predicted = _complete(actual=actual, forecast=forecast)
    return _mean(np.abs(observed - predicted))


def mse(actual: ArrayLike, forecast: ArrayLike) -> float:
    """Mean squared error, in the target's unit squared.

    Example:
        >>> mse([1.0, 2.0], [2.0, 4.0])
        2.5
    """
    observed, predicted = _complete(actual=actual, forecast=forecast)
    return _mean((observed - predicted) ** 2)


def smape(actual: ArrayLike, forecast: ArrayLike) -> float:
    """Symmetric mean absolute percentage error as in the M4 competition, in percent, 0 to 200.

    A pair of two zeros has no percentage: it makes the score NaN rather than vanish from it.

    Example:
        >>> smape([1.0, 1.0], [3.0, 1.0])
        50.0
    """
    observed, predicted = _complete(actual=actual, forecast=forecast)
    scale = np.abs(observed) + np.abs(predicted)
    if not scale.all():
        return float("nan")
    return 200.0 * _mean(np.abs(observed - predicted) / scale)


def mase(actual: ArrayLike, forecast: ArrayLike, history: ArrayLike, season: int = 1) -> float:
    """Mean absolute scaled error: the MAE over that of the seasonal naive forecast inside the training history.

    NaN when the history has no two observed values `season` steps apart, or never changes over a season.

    Raises:
        SettingsError: `season` is less than 1.

    Example:
        >>> mase([5.0, 6.0], [6.0, 8.0], history=[1.0, 2.0, 3.0, 4.0])
        1.5
    """
    return _ratio(mae(actual, forecast), seasonal_naive_mae(history, season))


def seasonal_naive_mae(history: ArrayLike, season: int = 1) -> float:
    """Mean absolute change over `season` steps of one series in time order: what MASE divides by.

    Raises:
        SettingsError: `season` is less than 1.
        DataError: `history` is not one series.

    Example:
        >>> seasonal_naive_mae([1.0, 2.0, 4.0], season=2)
        3.0
    """
    if season < 1:
        problem = Problem(f"season={season}", "a number of steps, 1 or more", "Pass season=1 for no season.")
        raise_problem(SettingsError, problem)
    values = _floats(history, "history")
    if values.ndim != 1:
        problem = Problem(f"a history of shape {values.shape}", "one series", "Score series by series.")
        raise_problem(DataError, problem)
    return mae(values[season:], values[:-season])


def owa(smape: float, mase: float, benchmark_smape: float, benchmark_mase: float) -> float:
    """Overall weighted average of the M4 competition, from scores averaged over all series; below 1 is better.

    The competition's benchmark is Naive 2: naive on seasonally adjusted values.

    Example:
        >>> owa(smape=9.0, mase=1.0, benchmark_smape=10.0, benchmark_mase=2.0)
        0.7
    """
    return (_ratio(smape, benchmark_smape) + _ratio(mase, benchmark_mase)) / 2.0


def pinball(actual: ArrayLike, forecast: ArrayLike, quantile: float) -> float:
    """Mean pinball loss of a quantile forecast, in the target's unit; at 0.5 it is half the MAE.

    Raises:
        SettingsError: `quantile` is not between 0 and 1.

    Example:
        >>> pinball([10.0, 10.0], [8.0, 12.0], quantile=0.9)
        1.0
    """
    if not 0.0 < quantile < 1.0:
        problem = Problem(f"quantile={quantile}", "a level between 0 and 1", "Pass 0.9 for the 90 % quantile.")
        raise_problem(SettingsError, problem)
    observed, predicted = _complete(actual=actual, forecast=forecast)
    above = observed - predicted
    return _mean(np.maximum(quantile * above, (quantile - 1.0) * above))


def coverage(actual: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> float:
    """Share of actual values inside the interval, its ends included, 0 to 1.

    Example:
        >>> coverage([1.0, 2.0, 3.0, 4.0], lower=[0.0, 2.0, 4.0, 3.0], upper=[2.0, 2.0, 5.0, 5.0])
        0.75
    """
    observed, low, high = _complete(actual=actual, lower=lower, upper=upper)
    inside = (low <= observed) & (observed <= high)
    return _mean(inside.astype(np.float64))


def _complete(**columns: ArrayLike) -> list[Floats]:
    """All arrays at the places where none is NaN, flat.

    Shapes must be equal: numpy would stretch (n,) against (n, 1) to n × n and score that.
    """
    arrays = {name: _floats(values, name) for name, values in columns.items()}
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} of shape {array.shape}" for name, array in arrays.items())
        raise_problem(DataError, Problem(shapes, "equal shapes", "Align them before scoring."))
    observed = ~np.any([np.isnan(array) for array in arrays.values()], axis=0)
    return [array[observed] for array in arrays.values()]


def _floats(values: ArrayLike, name: str) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        problem = Problem(f"{name} that is not numeric ({error})", "numbers", "Convert it before scoring.")
        raise DataError(str(problem)) from error


def _mean(values: Floats) -> float:
    return float(np.mean(values)) if values.size else float("nan")


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator != 0 else float("nan")
