"""Intervals of shares: the closed form against a bootstrap that is drawn, Wilson where values are independent."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from hourglass_ts.errors import DataError
from hourglass_ts.metrics import shares
from hourglass_ts.metrics.shares import binomial_interval, share_interval


def drawn_variance(hits: np.ndarray, counts: np.ndarray, block: int, n_boot: int = 20_000) -> float:
    """Of the linearised ratio, over circular block resamples of n / block whole blocks."""
    rng, n = np.random.default_rng(0), len(hits)
    excess = hits - hits.sum() / counts.sum() * counts
    starts = rng.integers(0, n, size=(n_boot, n // block))
    places = (starts[..., None] + np.arange(block)) % n
    return float(excess[places].sum(axis=(1, 2)).var() / counts.sum() ** 2)


@pytest.mark.parametrize("block", [1, 4, 10])
def test_the_variance_is_the_block_bootstraps(block: int) -> None:
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 6, size=100).astype(float)
    hits = rng.binomial(counts.astype(int), 0.8).astype(float)
    share, everything = hits.sum() / counts.sum(), counts.sum()
    n = shares._effective_number(hits, counts, share, block)
    drawn = share * (1 - share) / drawn_variance(hits, counts, block)
    assert n == pytest.approx(min(drawn, everything), rel=0.05)


def test_independent_values_have_wilsons_interval() -> None:
    hits = np.tile([1.0, 1.0, 0.0, 1.0], 25)
    found, wilson = share_interval(hits, np.ones(100), block=1), binomial_interval(75, 100)
    assert (found.estimate, found.low, found.high) == pytest.approx((wilson.estimate, wilson.low, wilson.high))


def test_repeated_values_count_once() -> None:
    rng = np.random.default_rng(2)
    once = (rng.random(60) < 0.9).astype(float)
    found, alone = (
        share_interval(np.repeat(once, 5), np.ones(300), block=25),
        share_interval(once, np.ones(60), block=1),
    )
    assert found.estimate == alone.estimate
    assert found.high - found.low == pytest.approx(alone.high - alone.low, rel=0.3)
    naive = binomial_interval(int(once.sum()) * 5, 300)
    assert found.high - found.low > 1.5 * (naive.high - naive.low)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_without_variance_has_a_width(share: float) -> None:
    found = share_interval(np.full(40, share), np.ones(40), block=4)
    assert found.estimate == share
    assert 0.2 < found.high - found.low < 0.4
    assert 0 <= found.low <= share <= found.high <= 1


def test_it_holds_what_it_promises_near_one() -> None:
    """The percentiles of the bootstrap hold 74 % here, with blocks as long."""
    rng, held = np.random.default_rng(3), 0
    for _ in range(300):
        noise = rng.normal(size=200)
        for place in range(1, 200):
            noise[place] = 0.8 * noise[place - 1] + 0.6 * noise[place]
        found = share_interval((noise[100:] < norm.ppf(0.95)).astype(float), np.ones(100), block=5)
        held += math.isnan(found.low) or found.low <= 0.95 <= found.high
    assert held / 300 > 0.86


def test_times_without_values_are_left_out() -> None:
    whole, holey = (
        ([1.0, 0.0, 1.0, 1.0], [1.0] * 4),
        ([1.0, 0.0, np.nan, 1.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0, 0.0, 1.0]),
    )
    assert share_interval(*whole, block=1) == share_interval(*holey, block=1)


@pytest.mark.parametrize("values", [[], [np.nan]])
def test_nothing_is_nan(values: list[float]) -> None:
    assert math.isnan(share_interval(values, values).estimate)


def test_one_block_has_no_ends() -> None:
    found = share_interval([1.0, 0.0, 1.0], [1.0] * 3, block=2)
    assert found.estimate == pytest.approx(2 / 3)
    assert math.isnan(found.low)


@pytest.mark.parametrize(
    ("hits", "counts", "words"),
    [([2.0], [1.0], "1 above its count"), ([-1.0], [1.0], "0 or more"), ([[1.0]], [[1.0]], "shape")],
)
def test_impossible_counts_are_refused(hits: list, counts: list, words: str) -> None:
    with pytest.raises(DataError, match=words):
        share_interval(hits, counts)
