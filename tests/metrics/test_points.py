"""Every point score against plain loops, and against libraries that many use."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import utilsforecast.losses as nixtla
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.metrics import points

NAN = float("nan")
# Quotients by numbers far below 1e-6 are no scores; 0 itself is there.
VALUE = st.one_of(st.just(NAN), st.just(0.0), st.floats(1e-6, 1e6), st.floats(-1e6, -1e-6))
PAIRS = st.lists(st.tuples(VALUE, VALUE), max_size=30)
WEIGHTED = st.lists(st.tuples(VALUE, VALUE, st.one_of(st.just(NAN), st.just(0.0), st.floats(1e-3, 1e3))), max_size=30)
few = settings(max_examples=60, phases=[Phase.explicit, Phase.generate], deadline=None)


def complete(rows):
    return [row for row in rows if not any(math.isnan(value) for value in row)]


def naive_mean(terms):
    """Of (term, weight); a term that is NaN makes it NaN."""
    total = math.fsum(weight for _, weight in terms)
    return math.fsum(term * weight for term, weight in terms) / total if total else NAN


def naive_score(rows, term):
    """`term` of every complete (actual, forecast, weight) that counts, averaged."""
    return naive_mean([(term(a, f), w) for a, f, w in complete(rows) if w])


def share(part, whole):
    return part / whole if whole else NAN


TERMS = {
    "mae": (points.mae, lambda a, f: abs(a - f)),
    "mse": (points.mse, lambda a, f: (a - f) ** 2),
    "bias": (points.bias, lambda a, f: f - a),
    "mape": (points.mape, lambda a, f: 100 * share(abs(a - f), abs(a))),
    "smape": (points.smape, lambda a, f: 200 * share(abs(a - f), abs(a) + abs(f))),
}
EVERY_TERM = pytest.mark.parametrize(("score", "term"), TERMS.values(), ids=TERMS.keys())


def naive_scale(history, season, power):
    pairs = [(history[t], history[t - season]) for t in range(season, len(history))]
    return naive_mean([(abs(now - before) ** power, 1) for now, before in complete(pairs)])


def columns(rows, width):
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def assert_same(found, expected):
    assert isinstance(found, float)
    assert not math.isinf(found)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


@EVERY_TERM
@given(rows=PAIRS)
@few
def test_score_equals_naive(score, term, rows):
    assert_same(score(*columns(rows, 2)), naive_score([(a, f, 1.0) for a, f in rows], term))


@EVERY_TERM
@given(rows=WEIGHTED)
@few
def test_weighted_score_equals_naive(score, term, rows):
    actual, forecast, weights = columns(rows, 3)
    assert_same(score(actual, forecast, weights=weights), naive_score(rows, term))


@given(WEIGHTED)
@few
def test_rmse_equals_naive(rows):
    actual, forecast, weights = columns(rows, 3)
    expected = naive_score(rows, lambda a, f: (a - f) ** 2) ** 0.5
    assert_same(points.rmse(actual, forecast, weights=weights), expected)


@given(WEIGHTED, st.lists(VALUE, max_size=20), st.integers(1, 25))
@few
def test_scaled_errors_equal_naive(rows, history, season):
    actual, forecast, weights = columns(rows, 3)
    for score, power in [(points.mase, 1), (points.rmsse, 2)]:
        error = naive_score(rows, lambda a, f, power=power: abs(a - f) ** power)
        expected = share(error, naive_scale(history, season, power)) ** (1 / power)
        assert_same(score(actual, forecast, history=history, season=season, weights=weights), expected)


@given(st.lists(VALUE, max_size=20), st.integers(1, 25))
@few
def test_seasonal_naive_equals_naive(history, season):
    assert_same(points.seasonal_naive_mae(history, season), naive_scale(history, season, 1))
    assert_same(points.seasonal_naive_mse(history, season), naive_scale(history, season, 2))


@given(WEIGHTED)
@few
def test_qlike_equals_naive(rows):
    rows = [(abs(r), v, w) for r, v, w in rows]
    realised, variance, weights = columns(rows, 3)
    expected = naive_score(rows, lambda r, v: math.log(v) + r / v if v > 0 else NAN)
    assert_same(points.qlike(realised, variance, weights=weights), expected)


@given(*[st.floats(0, 100, allow_subnormal=False)] * 4)
@few
def test_owa_equals_naive(smape, mase, benchmark_smape, benchmark_mase):
    # Divisors that overflow a quotient are not scores; the smallest here is far below any.
    divisors = [0.0 if value < 1e-9 else value for value in (benchmark_smape, benchmark_mase)]
    expected = 0.5 * share(smape, divisors[0]) + 0.5 * share(mase, divisors[1])
    assert_same(points.owa(smape, mase, *divisors), expected)


def test_assert_same_refuses_a_wrong_score():
    for wrong, right in [(1.0, 1.1), (NAN, 1.0), (1.0, NAN), (math.inf, math.inf)]:
        with pytest.raises(AssertionError):
            assert_same(wrong, right)


SKLEARN = {
    "mae": (points.mae, sk.mean_absolute_error, 1.0),
    "mse": (points.mse, sk.mean_squared_error, 1.0),
    "rmse": (points.rmse, sk.root_mean_squared_error, 1.0),
    "mape": (points.mape, sk.mean_absolute_percentage_error, 100.0),
}


@pytest.mark.parametrize(("score", "reference", "unit"), SKLEARN.values(), ids=SKLEARN.keys())
def test_score_equals_sklearn(score, reference, unit):
    actual, forecast, weights = np.random.default_rng(0).uniform(0.5, 3.0, size=(3, 200))
    assert score(actual, forecast) == pytest.approx(unit * reference(actual, forecast), rel=1e-10)
    expected = unit * reference(actual, forecast, sample_weight=weights)
    assert score(actual, forecast, weights=weights) == pytest.approx(expected, rel=1e-10)


SEASON = 7
NIXTLA = {
    "mae": (points.mae, nixtla.mae, 1.0),
    "mse": (points.mse, nixtla.mse, 1.0),
    "rmse": (points.rmse, nixtla.rmse, 1.0),
    "bias": (points.bias, nixtla.bias, 1.0),
    "mape": (points.mape, nixtla.mape, 100.0),
    "smape": (points.smape, nixtla.smape, 200.0),
    "mase": (points.mase, nixtla.mase, 1.0),
    "rmsse": (points.rmsse, nixtla.rmsse, 1.0),
}


@pytest.mark.parametrize(("score", "reference", "unit"), NIXTLA.values(), ids=NIXTLA.keys())
def test_score_equals_utilsforecast(score, reference, unit):
    rng = np.random.default_rng(1)
    history, actual, forecast = rng.normal(size=100), rng.normal(size=30), rng.normal(size=30)
    past = pd.DataFrame({"unique_id": 0, "ds": np.arange(100), "y": history})
    scored = pd.DataFrame({"unique_id": 0, "ds": np.arange(100, 130), "y": actual, "model": forecast})
    if score in (points.mase, points.rmsse):
        expected = reference(scored, ["model"], seasonality=SEASON, train_df=past)["model"].item()
        assert score(actual, forecast, history, SEASON) == pytest.approx(expected, rel=1e-10)
    else:
        expected = unit * reference(scored, ["model"])["model"].item()
        assert score(actual, forecast) == pytest.approx(expected, rel=1e-10)


def test_smape_has_the_m4_definition():
    # Two values of the competition's own R code: mean(2 * |a - f| / (|a| + |f|)) * 100.
    assert points.smape([100.0, 200.0], [110.0, 180.0]) == pytest.approx((2000 / 210 + 4000 / 380) / 2)


def test_the_true_variance_has_the_lowest_qlike():
    squared_returns = 4.0 * np.random.default_rng(0).normal(size=10_000) ** 2
    found = {variance: points.qlike(squared_returns, np.full(10_000, variance)) for variance in (2.0, 4.0, 8.0)}
    assert min(found, key=found.get) == 4.0
    assert found[4.0] == pytest.approx(math.log(4.0) + 1.0, abs=0.05)


UNDEFINED = {
    "mape of a zero": lambda: points.mape([0.0, 1.0], [2.0, 1.0]),
    "smape of two zeros": lambda: points.smape([0.0, 1.0], [0.0, 1.0]),
    "mase of a constant history": lambda: points.mase([1.0], [2.0], [3.0, 3.0, 3.0]),
    "mase of a history of one season": lambda: points.mase([1.0], [2.0], [3.0, 4.0], season=2),
    "mase of an empty history": lambda: points.mase([1.0], [2.0], []),
    "rmsse of a constant history": lambda: points.rmsse([1.0], [2.0], [3.0, 3.0, 3.0]),
    "rmsse of an empty history": lambda: points.rmsse([1.0], [2.0], []),
    "owa against a perfect benchmark": lambda: points.owa(1.0, 1.0, 0.0, 1.0),
    "qlike of a variance of 0": lambda: points.qlike([1.0, 1.0], [0.0, 1.0]),
    "qlike of a negative variance": lambda: points.qlike([1.0, 1.0], [-1.0, 1.0]),
    "mae of nothing": lambda: points.mae([], []),
}


@pytest.mark.parametrize("score", UNDEFINED.values(), ids=UNDEFINED.keys())
def test_what_is_undefined_is_nan_without_a_warning(score):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(score())


def test_a_constant_forecast_of_a_constant_is_perfect():
    constant = np.full(5, 0.1)
    scores = [points.mae, points.mse, points.rmse, points.bias, points.mape, points.smape]
    assert [score(constant, constant) for score in scores] == [0.0] * len(scores)


WRONG = [
    (lambda: points.mae([1.0, 2.0], [1.0]), DataError, r"shape \(2,\).*shape \(1,\)"),
    (lambda: points.mase([1.0], [1.0], [1.0], season=0), SettingsError, "season=0"),
    (lambda: points.rmsse([1.0], [1.0], [1.0], season=1.5), SettingsError, "season=1.5"),
    (lambda: points.mase([1.0], [1.0], np.zeros((3, 2))), DataError, r"history of shape \(3, 2\)"),
    (lambda: points.seasonal_naive_mse([1.0, math.inf]), DataError, "history with the value inf"),
    (lambda: points.qlike([-1.0], [1.0]), DataError, "realised_variance with the value -1"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG, ids=[message for *_, message in WRONG])
def test_wrong_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
