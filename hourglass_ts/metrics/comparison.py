"""Is it more than luck? Intervals around scores, and tests between two forecasts of the same values.

Losses follow each other in time, and so do their errors: what is resampled here are blocks of neighbours. Losses of
many series at one origin are one draw, not many: average over the series first.

Rows in which a number is NaN are left out before anything else, and the gap closes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem, raise_problems
from hourglass_ts.metrics.arrays import (
    NAN,
    Floats,
    aligned,
    check_counts,
    check_no_negative,
    check_shares,
    missing,
    quotient,
    ratio,
)

AT_ONCE = 2**22  # numbers resampled in one go: it bounds the memory, whatever the number of values


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its interval; ends are NaN where the values are too few for one."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class DieboldMariano:
    """A test statistic and its two-sided p-value, or NaN for both and the reason why."""

    statistic: float
    p_value: float
    reason: str = ""


def mean_over_time(resamples: Floats) -> Floats:
    """The mean of each resample: (n_resamples, n) → (n_resamples,)."""
    return np.mean(resamples, axis=1)


def block_bootstrap(
    values: ArrayLike,
    statistic: Callable[[Floats], Floats] = mean_over_time,
    *,
    block: int | None = None,
    n_boot: int = 999,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a statistic of values in time order, from a circular block bootstrap.

    `values` are (n,) or (n, k), whose rows stay together; `statistic` takes resamples (n_resamples, n) or
    (n_resamples, n, k) and gives (n_resamples,). Blocks are `block` long, by default as `optimal_block_length` has it,
    of k columns the longest. With fewer than two blocks of values the ends are NaN. Under strong dependence the
    interval is too narrow: of AR(1) values with coefficient 0.6, one of 90 % held the mean in 83 % of 2,000 runs of 200
    values, and in 86 % of 1,000 runs of 1,000. Source: Politis & Romano 1992.

    Raises:
        DataError: `values` are not (n,) or (n, k).
        SettingsError: a setting is out of range, or `statistic` does not give one number per resample.

    Example:
        >>> interval = block_bootstrap([1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 1.0, 2.0], n_boot=200)
        >>> interval.estimate, bool(interval.low < 2.25 < interval.high)
        (2.25, True)
    """
    check_counts(n_boot=n_boot, block=1 if block is None else block)
    check_counts(0, seed=seed)
    check_shares(level=level)
    rows = _rows(values)
    if not len(rows):
        return Interval(NAN, NAN, NAN)
    estimate = float(_evaluate(statistic, rows[np.newaxis])[0])
    size = _block_of(rows) if block is None else block
    if len(rows) < 2 * size:
        return Interval(estimate, NAN, NAN)
    rng = np.random.default_rng(seed)
    batch = max(1, AT_ONCE // rows.size)
    sizes = [min(batch, n_boot - done) for done in range(0, n_boot, batch)]
    replicates = np.concatenate([_evaluate(statistic, _resample(rows, size, count, rng)) for count in sizes])
    low, high = np.quantile(replicates, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(estimate, float(low), float(high))


def optimal_block_length(values: ArrayLike) -> float:
    """How long the blocks of a circular bootstrap of values (n,) in time order should be; not rounded.

    From the autocovariances up to the lag after which they are noise: Politis & White 2004 with the correction of
    Patton, Politis & White 2009. At most 3 √n and n / 3, rounded up; 0 for values that never change.

    Raises:
        DataError: `values` are not one series.

    Example:
        >>> round(optimal_block_length([1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 1.0, 2.0]), 3)
        1.363
    """
    (series,) = _series(values=values)
    n = len(series)
    centred = series - series.mean() if n else series
    if n < 2 or not centred.any():
        return 0.0
    n_quiet = max(5, int(math.log10(n)))
    last = math.ceil(math.sqrt(n)) + n_quiet
    covariances = _autocovariances(centred, last)
    loud = np.abs(covariances[1:]) >= 2.0 * math.sqrt(math.log10(n) / n) * covariances[0]
    lags = np.arange(1, min(2 * _first_quiet(loud, n_quiet), last) + 1)

    taper = np.minimum(1.0, 2.0 * (1.0 - lags / lags[-1]))
    weighted = 2.0 * taper * covariances[lags]
    long_run = covariances[0] + weighted.sum()
    longest = math.ceil(min(3.0 * math.sqrt(n), n / 3.0))
    cubed = ratio(1.5 * n * float((lags * weighted).sum()) ** 2, float(long_run) ** 2)
    return float(longest) if math.isnan(cubed) else min(cubed ** (1.0 / 3.0), float(longest))


def skill(
    loss: ArrayLike,
    reference_loss: ArrayLike,
    *,
    block: int | None = None,
    n_boot: int = 999,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """1 minus the mean loss over that of a reference on the same values (n,) in time order; 1 is perfect.

    The interval resamples both losses together, in blocks as in `block_bootstrap`. NaN where the reference has no loss;
    the ends are NaN where it has none in some resample.

    Raises:
        DataError: a loss is negative (such losses have no ratio: see `diebold_mariano`), or shapes differ.
        SettingsError: a setting is out of range.

    Example:
        >>> skill([1.0, 2.0, 1.0, 2.0], [2.0, 4.0, 2.0, 4.0], block=2)
        Interval(estimate=0.5, low=0.5, high=0.5)
    """
    own, reference = _series(loss=loss, reference_loss=reference_loss)
    check_no_negative(loss=own, reference_loss=reference)
    if block is None and len(own):
        # What moves the ratio is, to first order, this difference.
        influence = own - reference * np.nan_to_num(quotient(own.mean(), reference.mean()))
        block = _whole(optimal_block_length(influence))
    both = np.stack([own, reference], axis=1)
    return block_bootstrap(both, _skill_of_means, block=block, n_boot=n_boot, level=level, seed=seed)


def diebold_mariano(loss_a: ArrayLike, loss_b: ArrayLike, horizon: int = 1) -> DieboldMariano:
    """Test that two forecasts of one series have equal expected loss; above 0, a loses more.

    Losses (n,) in time order, of forecasts `horizon` steps ahead, whose differences are thereby correlated up to lag
    horizon - 1: a rectangular kernel (Diebold & Mariano 1995), the small-sample factor of Harvey, Leybourne & Newbold
    1997, and Student's t with n - 1 degrees of freedom. NaN with the reason where the losses are equal or differ by a
    constant, n is not above the horizon, or the kernel's estimate of the long-run variance is not above 0.

    Raises:
        DataError: the losses are not two series of one length.
        SettingsError: `horizon` is no whole number of 1 or more.

    Example:
        >>> diebold_mariano([1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0, 1.0]).statistic
        2.32379000772445
    """
    check_counts(horizon=horizon)
    first, second = _series(loss_a=loss_a, loss_b=loss_b)
    difference, n = first - second, len(first)
    if n <= horizon:
        return DieboldMariano(NAN, NAN, f"{n} losses are too few for a horizon of {horizon}")
    if not difference.any():
        return DieboldMariano(NAN, NAN, "the losses are equal")
    covariances = _autocovariances(difference - difference.mean(), horizon - 1)
    long_run = float(covariances[0] + 2.0 * covariances[1:].sum())
    # What rounding leaves of a variance of 0.
    nothing = (8.0 * np.finfo(float).eps * max(np.abs(first).max(), np.abs(second).max())) ** 2
    if covariances[0] <= nothing:
        return DieboldMariano(NAN, NAN, "the losses differ by a constant")
    if long_run <= nothing:
        return DieboldMariano(NAN, NAN, "the estimate of the long-run variance is not above 0")
    correction = (n + 1.0 - 2.0 * horizon + horizon * (horizon - 1.0) / n) / n
    statistic = float(difference.mean() / math.sqrt(long_run / n) * math.sqrt(correction))
    return DieboldMariano(statistic, float(2.0 * stdtr(n - 1, -abs(statistic))))


def _skill_of_means(resamples: Floats) -> Floats:
    means = resamples.mean(axis=1)
    return 1.0 - quotient(means[:, 0], means[:, 1])


def _rows(values: ArrayLike) -> Floats:
    """Values (n,) or (n, k) without the rows that hold a NaN."""
    array = aligned(values=values)["values"]
    if array.ndim not in (1, 2) or 0 in array.shape[1:]:
        problem = Problem(f"values of shape {array.shape}", "(n,) or (n, k)", "Put time first.")
        raise_problem(DataError, problem)
    gaps = np.isnan(array)
    return array[~(gaps if array.ndim == 1 else gaps.any(axis=1))]


def _series(**columns: ArrayLike) -> list[Floats]:
    """Series of one length, without the places where one is NaN."""
    arrays = aligned(**columns)
    raise_problems(
        DataError,
        [
            Problem(f"{name} of shape {array.shape}", "one series in time order", "Average over series first.")
            for name, array in arrays.items()
            if array.ndim != 1
        ],
    )
    kept = ~missing(arrays)
    return [array[kept] for array in arrays.values()]


def _evaluate(statistic: Callable[[Floats], Floats], resamples: Floats) -> Floats:
    found = np.asarray(statistic(resamples), dtype=np.float64)
    if found.shape != (len(resamples),):
        expected = f"{(len(resamples),)}, one number per resample"
        problem = Problem(f"a statistic of shape {found.shape}", expected, "Reduce all axes but the first.")
        raise_problem(SettingsError, problem)
    return found


def _resample(rows: Floats, block: int, count: int, rng: np.random.Generator) -> Floats:
    """`count` resamples of the rows, from blocks that begin anywhere and go on from the end to the beginning."""
    n = len(rows)
    starts = rng.integers(n, size=(count, math.ceil(n / block), 1))
    places = (starts + np.arange(block)).reshape(count, -1)[:, :n]
    return np.take(np.concatenate([rows, rows[: block - 1]]), places, axis=0)


def _block_of(rows: Floats) -> int:
    columns = rows.reshape(len(rows), -1).T
    return max((_whole(optimal_block_length(column)) for column in columns), default=1)


def _whole(length: float) -> int:
    return max(1, math.ceil(length))


def _autocovariances(centred: Floats, last: int) -> Floats:
    """At the lags 0 to `last`, divided by n; 0 beyond the values."""
    n = len(centred)
    return np.array([centred[: max(0, n - lag)] @ centred[lag:] for lag in range(last + 1)]) / n


def _first_quiet(loud: np.ndarray, n_quiet: int) -> int:
    """The first lag, of 1, 2, ..., from which on `n_quiet` are not loud; without one, the last."""
    runs = np.lib.stride_tricks.sliding_window_view(loud, n_quiet).any(axis=1)
    return int(np.argmin(runs)) + 1 if not runs.all() else len(loud)
