"""Every score against a reference written with plain loops."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourglass_ts import metrics
from hourglass_ts.errors import DataError, SettingsError

NAN = float("nan")
VALUE = st.one_of(st.just(NAN), st.just(0.0), st.floats(-1e6, 1e6, allow_subnormal=False))
PAIRS = st.lists(st.tuples(VALUE, VALUE), max_size=30)
TRIPLES = st.lists(st.tuples(VALUE, VALUE, VALUE), max_size=30)


def complete(rows):
    return [row for row in rows if not any(math.isnan(value) for value in row)]


def naive_mean(values):
    return math.fsum(values) / len(values) if values else NAN


def naive_smape(rows):
    terms = []
    for actual, forecast in complete(rows):
        if actual == 0 and forecast == 0:
            return NAN
        terms.append(200 * abs(actual - forecast) / (abs(actual) + abs(forecast)))
    return naive_mean(terms)


def naive_scale(history, season):
    pairs = [(history[t], history[t - season]) for t in range(season, len(history))]
    return naive_mean([abs(now - before) for now, before in complete(pairs)])


def naive_pinball(rows, quantile):
    losses = []
    for actual, forecast in complete(rows):
        losses.append(quantile * (actual - forecast) if actual >= forecast else (1 - quantile) * (forecast - actual))
    return naive_mean(losses)


def columns(rows, width):
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def assert_same(found, expected):
    assert isinstance(found, float)
    assert not math.isinf(found)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


@given(PAIRS)
def test_mae_equals_naive(rows):
    expected = naive_mean([abs(a - f) for a, f in complete(rows)])
    assert_same(metrics.mae(*columns(rows, 2)), expected)


@given(PAIRS)
def test_mse_equals_naive(rows):
    expected = naive_mean([(a - f) ** 2 for a, f in complete(rows)])
    assert_same(metrics.mse(*columns(rows, 2)), expected)


@given(PAIRS)
def test_smape_equals_naive(rows):
    assert_same(metrics.smape(*columns(rows, 2)), naive_smape(rows))


@given(PAIRS, st.lists(VALUE, max_size=20), st.integers(1, 25))
def test_mase_equals_naive(rows, history, season):
    scale = naive_scale(history, season)
    error = naive_mean([abs(a - f) for a, f in complete(rows)])
    expected = NAN if scale == 0 or math.isnan(scale) else error / scale
    assert_same(metrics.mase(*columns(rows, 2), history=history, season=season), expected)


@given(PAIRS, st.floats(0.01, 0.99))
def test_pinball_equals_naive(rows, quantile):
    assert_same(metrics.pinball(*columns(rows, 2), quantile=quantile), naive_pinball(rows, quantile))


@given(TRIPLES)
def test_coverage_equals_naive(rows):
    inside = [low <= actual <= high for actual, low, high in complete(rows)]
    assert_same(metrics.coverage(*columns(rows, 3)), naive_mean(inside))


@given(*[st.floats(0, 100, allow_subnormal=False)] * 4)
def test_owa_equals_naive(smape, mase, benchmark_smape, benchmark_mase):
    # Divisors that overflow a quotient are not scores; the smallest here is far below any.
    divisors = [0.0 if value < 1e-9 else value for value in (benchmark_smape, benchmark_mase)]
    expected = NAN if 0.0 in divisors else 0.5 * smape / divisors[0] + 0.5 * mase / divisors[1]
    assert_same(metrics.owa(smape, mase, *divisors), expected)


def test_assert_same_refuses_a_wrong_score():
    for wrong, right in [(1.0, 1.1), (NAN, 1.0), (1.0, NAN), (math.inf, math.inf)]:
        with pytest.raises(AssertionError):
            assert_same(wrong, right)


def test_smape_has_the_m4_definition():
    # Two values of the competition's own R code: mean(2 * |a - f| / (|a| + |f|)) * 100.
    assert metrics.smape([100.0, 200.0], [110.0, 180.0]) == pytest.approx((2000 / 210 + 4000 / 380) / 2)


ZERO_DENOMINATORS = {
    "smape of two zeros": lambda: metrics.smape([0.0, 1.0], [0.0, 1.0]),
    "mase of a constant history": lambda: metrics.mase([1.0], [2.0], [3.0, 3.0, 3.0]),
    "mase of a history of one season": lambda: metrics.mase([1.0], [2.0], [3.0, 4.0], season=2),
    "mase of an empty history": lambda: metrics.mase([1.0], [2.0], []),
    "owa against a perfect benchmark": lambda: metrics.owa(1.0, 1.0, 0.0, 1.0),
    "mae of nothing": lambda: metrics.mae([], []),
    "coverage of NaN alone": lambda: metrics.coverage([NAN], [0.0], [1.0]),
}


@pytest.mark.parametrize("score", ZERO_DENOMINATORS.values(), ids=ZERO_DENOMINATORS.keys())
def test_zero_denominator_is_nan_without_a_warning(score):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(score())


@pytest.mark.parametrize("container", [np.array, pd.Series, list, tuple], ids=lambda kind: kind.__name__)
def test_every_container_gives_the_same_score(container):
    assert metrics.mae(container([1.0, 2.0, NAN]), container([2.0, 4.0, 1.0])) == 1.5


def test_frames_score_over_all_values():
    actual = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, NAN]})
    assert metrics.mae(actual, actual + 2.0) == 2.0


def test_pandas_missing_values_are_left_out():
    actual = pd.Series([1, None, 3], dtype="Int64")
    assert metrics.mae(actual, pd.Series([2.0, 2.0, 5.0])) == 1.5


def test_position_counts_not_the_index():
    actual = pd.Series([1.0, 2.0], index=[0, 1])
    assert metrics.mae(actual, pd.Series([1.0, 2.0], index=[1, 0])) == 0.0


def test_crossed_interval_covers_nothing():
    assert metrics.coverage([1.0], lower=[2.0], upper=[0.0]) == 0.0


def test_inputs_are_not_changed():
    actual, forecast = np.array([1.0, NAN]), np.array([2.0, 3.0])
    before = actual.copy(), forecast.copy()
    metrics.mase(actual, forecast, history=actual)
    np.testing.assert_array_equal(actual, before[0])
    np.testing.assert_array_equal(forecast, before[1])


WRONG = [
    (lambda: metrics.mae([1.0, 2.0], [1.0]), DataError, r"shape \(2,\).*shape \(1,\)"),
    (lambda: metrics.mae(np.zeros(3), np.zeros((3, 1))), DataError, r"shape \(3,\).*shape \(3, 1\)"),
    (lambda: metrics.mse(["a"], [1.0]), DataError, "actual that is not numeric"),
    (lambda: metrics.mase([1.0], [1.0], [1.0], season=0), SettingsError, "season=0"),
    (lambda: metrics.mase([1.0], [1.0], np.zeros((3, 2))), DataError, r"shape \(3, 2\)"),
    (lambda: metrics.pinball([1.0], [1.0], 0.0), SettingsError, "quantile=0.0"),
    (lambda: metrics.pinball([1.0], [1.0], 90), SettingsError, "quantile=90"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
