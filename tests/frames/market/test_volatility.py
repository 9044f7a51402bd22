"""Variance from bars: figures of other libraries, of the papers by simulation, and a slow way to the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.frames.market import volatility
from tests.reference.bars import brownian_days, random_bars, slow_yang_zhang

BARS = pd.DataFrame(
    {
        "open": [100.0, 104.0, 101.5, 109.0, 107.0, 106.0],
        "high": [110.0, 106.5, 108.0, 112.0, 109.0, 111.5],
        "low": [95.0, 99.25, 100.0, 103.5, 104.0, 105.0],
        "close": [105.0, 101.0, 108.0, 107.0, 107.0, 111.0],
    }
)
N_DAYS, STEPS = 200_000, 32

OF_ONE: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "parkinson": lambda bars: volatility.parkinson(bars.high, bars.low),
    "garman-klass": lambda bars: volatility.garman_klass(bars.open, bars.high, bars.low, bars.close),
    "rogers-satchell": lambda bars: volatility.rogers_satchell(bars.open, bars.high, bars.low, bars.close),
}


@cache
def days(drift: float, jumps: float) -> pd.DataFrame:
    return brownian_days(N_DAYS, STEPS, drift, jumps)


def yang_zhang(bars: pd.DataFrame, window: int) -> pd.Series:
    return volatility.yang_zhang(bars.open, bars.high, bars.low, bars.close, bars.before, window)


# --- figures of other libraries ---

QUANTLIB = {  # 1.44: the squares of ParkinsonSigma(1) and GarmanKlassSigma5(1)
    "parkinson": [0.0077518091568, 0.0017927946603, 0.0021362713500, 0.0022468215709, 0.0007952705870, 0.0013012074193],
    "garman-klass": [
        *(0.0098267232756, 0.0021543813947, 0.0014731140075),
        *(0.0029822744413, 0.0011024791304, 0.0009832165672),
    ],
}
ML4T = {  # ml4t-engineer 0.2.1: the squares of rogers_satchell_volatility and yang_zhang_volatility, by period
    ("rogers-satchell", 3): [0.0042633129480040, 0.0020614730114120, 0.0017531453206882, 0.0016225587214073],
    ("rogers-satchell", 4): [0.0039379650979963, 0.0018340225824340, 0.0015033798207034],
    ("yang-zhang", 3): [0.0022022839378818, 0.0017773374016525, 0.0016566255826741],
    ("yang-zhang", 4): [0.0018803785820304, 0.0015598259617407],
}


@pytest.mark.parametrize("name", QUANTLIB)
def test_quantlibs_figures(name):
    np.testing.assert_allclose(OF_ONE[name](BARS), QUANTLIB[name], rtol=1e-9)


@pytest.mark.parametrize(("name", "window"), ML4T)
def test_figures_of_windows(name, window):
    if name == "yang-zhang":
        found = yang_zhang(BARS.assign(before=BARS["close"].shift(1)), window)
    else:
        found = OF_ONE[name](BARS).rolling(window).mean()
    np.testing.assert_allclose(found.dropna(), ML4T[name, window], rtol=1e-9)


def test_a_day_that_only_rises():
    bar = pd.DataFrame({"open": [1.0], "high": [math.e], "low": [1.0], "close": [math.e]})
    expected = {"parkinson": 1 / (4 * math.log(2)), "garman-klass": 1.5 - 2 * math.log(2), "rogers-satchell": 0.0}
    assert {name: estimate(bar)[0] for name, estimate in OF_ONE.items()} == pytest.approx(expected)


# --- figures of the papers ---


@pytest.mark.parametrize(
    ("name", "times"),
    # Parkinson's and Garman's papers give 5.2 for the first; exactly it is 2 / (9 ζ(3) / (16 ln² 2) − 1) = 4.91
    [("parkinson", 4.91), ("garman-klass", 7.4), ("rogers-satchell", 6.0)],
)
def test_efficiency_against_a_squared_return(name, times):
    bars = days(0.0, 0.0)
    squared = (np.log(bars.close / bars.open) ** 2).var()
    assert squared / OF_ONE[name](bars).var() == pytest.approx(times, rel=0.03)


@pytest.mark.parametrize(("window", "times"), [(2, 14.0), (22, 8.2)])
def test_the_peak_efficiency_of_yang_and_zhang(window, times):
    """1 + 1/k, where the part of the variance that comes overnight is k / (1 + k)."""
    k = 0.34 / (1.34 + (window + 1) / (window - 1))
    assert 1 + 1 / k == pytest.approx(times, rel=0.02)
    bars = days(0.0, k / (1 + k))
    apart = slice(window - 1, None, window)
    returns = np.log(bars.close / bars.before)
    usual = volatility.close_to_close(returns, window)[apart].var()
    assert usual / yang_zhang(bars, window)[apart].var() == pytest.approx(1 + 1 / k, rel=0.04)


@pytest.mark.parametrize("name", [*OF_ONE, "yang-zhang"])
def test_unbiased_without_drift(name):
    bars = days(0.0, 0.0)
    found = yang_zhang(bars, 5) if name == "yang-zhang" else OF_ONE[name](bars)
    assert found.mean() == pytest.approx(1.0, abs=0.006)


def test_a_drift_misleads_those_that_know_none():
    bars = days(1.0, 0.0)
    means = {name: estimate(bars).mean() for name, estimate in OF_ONE.items()}
    assert means["rogers-satchell"] == pytest.approx(1.0, abs=0.006)
    assert yang_zhang(bars, 10).mean() == pytest.approx(1.0, abs=0.006)
    assert means["parkinson"] > 1.3
    assert means["garman-klass"] > 1.1


def test_jumps_overnight_count_where_they_are_looked_at():
    bars = days(0.0, 0.4)
    jumps = volatility.overnight(bars.open, bars.before).mean()
    assert jumps == pytest.approx(0.4, abs=0.01)
    assert OF_ONE["garman-klass"](bars).mean() == pytest.approx(0.6, abs=0.01)
    assert yang_zhang(bars, 10).mean() == pytest.approx(1.0, abs=0.01)


# --- against a slow way ---


@pytest.mark.parametrize("window", [2, 5, 22])
def test_yang_zhang_equals_the_paper_window_by_window(window):
    bars = random_bars(70, ["A"]).assign(before=lambda bars: bars["close"].shift(1))
    bars.loc[30, "low"] = np.nan
    found = yang_zhang(bars, window)
    np.testing.assert_allclose(found, slow_yang_zhang(bars, window), rtol=1e-9)
    assert found.first_valid_index() == window


def test_close_to_close_is_the_sample_variance():
    returns = pd.Series(np.random.default_rng(0).normal(size=30))
    expected = [np.nan if end < 5 else np.var(returns[end - 5 : end], ddof=1) for end in range(1, 31)]
    np.testing.assert_allclose(volatility.close_to_close(returns, 5), expected, rtol=1e-12)
