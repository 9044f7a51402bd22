"""Shares with their intervals: how often an interval held, a threshold was passed, a sign was right."""

from __future__ import annotations

import math
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from hourglass_ts.errors import DataError, Problem, raise_problem
from hourglass_ts.metrics.arrays import NAN, Floats, aligned, check_counts, check_no_negative, check_shares
from hourglass_ts.metrics.comparison import Interval, optimal_block_length


def binomial_interval(n_inside: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's interval of a share, such as a coverage, when the `n` observations are independent; NaN for none.

    Where they are not, as with overlapping forecasts, use `share_interval`.

    Raises:
        DataError: the counts are no whole numbers, or not 0 <= n_inside <= n.
        SettingsError: `level` is not between 0 and 1.

    Example:
        >>> interval = binomial_interval(90, 100)
        >>> interval.estimate, round(interval.low, 3), round(interval.high, 3)
        (0.9, 0.826, 0.945)
    """
    check_shares(level=level)
    if not (isinstance(n_inside, Integral) and isinstance(n, Integral) and 0 <= n_inside <= n):
        problem = Problem(f"{n_inside} of {n}", "whole numbers, 0 <= n_inside <= n", "Count the observations.")
        raise_problem(DataError, problem)
    if n == 0:
        return Interval(NAN, NAN, NAN)
    return _wilson(float(n_inside / n), float(n), level)


def share_interval(hits: ArrayLike, counts: ArrayLike, *, block: int | None = None, level: float = 0.95) -> Interval:
    """The share Σ hits / Σ counts of values that depend on each other, with an interval that knows it.

    hits, counts (n,), in time order: how many of each time's values were hits. The variance is the circular block
    bootstrap's, in closed form (Künsch 1989; Politis and Romano 1992); the interval is Wilson's for as many independent
    values as have that variance. Near 0 and 1 that holds far better than the bootstrap's percentiles: of 95 % intervals
    for a share of .95 over 100 dependent times (autoregression of .8, blocks of 5) nine in ten held, and 74 % of those.
    `block`: times in a block, by default as `optimal_block_length` has it. With fewer than two blocks the ends are NaN.

    Raises:
        DataError: numbers that are negative, not of one shape (n,), or more hits than counts.
        SettingsError: `level` or `block` is out of range.

    Example:
        >>> found = share_interval([2, 1, 2, 2, 0, 2], [2, 2, 2, 2, 2, 2], block=1)
        >>> found.estimate, round(found.low, 2), round(found.high, 2)
        (0.75, 0.4, 0.93)
    """
    check_shares(level=level)
    check_counts(block=1 if block is None else block)
    given = aligned(hits=hits, counts=counts)
    check_no_negative(**given)
    inside, total = given["hits"], given["counts"]
    if inside.ndim != 1 or (inside > total).any():
        found = f"hits of shape {inside.shape}, the most {np.nanmax(inside - total, initial=0.0):g} above its count"
        problem = Problem(found, "one number (n,) for every time, at most its count", "Count the hits again.")
        raise_problem(DataError, problem)
    known = ~np.isnan(inside) & ~np.isnan(total) & (total > 0)
    inside, total = inside[known], total[known]
    if not len(total):
        return Interval(NAN, NAN, NAN)
    share = float(inside.sum() / total.sum())
    size = max(1, math.ceil(optimal_block_length(inside / total))) if block is None else block
    if len(total) < 2 * size:
        return Interval(share, NAN, NAN)
    return _wilson(share, _effective_number(inside, total, share, size), level)


def _effective_number(inside: Floats, total: Floats, share: float, block: int) -> float:
    """How many independent values have a share of the same variance: at most all, and blocks where none varies."""
    n, everything = len(total), float(total.sum())
    excess = np.cumsum(np.concatenate([[0.0], np.resize(inside - share * total, n + block - 1)]))
    sums = excess[block:] - excess[:-block]
    variance = float(np.mean(sums**2)) * n / block / everything**2
    if variance <= 0:
        return n / block
    return everything * min(1.0, share * (1.0 - share) / everything / variance)


def _wilson(share: float, n: float, level: float) -> Interval:
    z = float(ndtri((1.0 + level) / 2.0))
    centre = (share + z**2 / (2.0 * n)) / (1.0 + z**2 / n)
    reach = z / (1.0 + z**2 / n) * math.sqrt(share * (1.0 - share) / n + z**2 / (4.0 * n**2))
    # At a share of 0 or 1 rounding puts the end on its other side.
    low, high = max(0.0, centre - reach), min(1.0, centre + reach)
    return Interval(share, min(share, low), max(share, high))
