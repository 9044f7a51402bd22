"""Every probabilistic score against plain loops, and against libraries that many use."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scoringrules
import utilsforecast.losses as nixtla
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.metrics import points, probabilistic

NAN = float("nan")
VALUE = st.one_of(st.just(NAN), st.just(0.0), st.floats(1e-6, 1e6), st.floats(-1e6, -1e-6))
WEIGHT = st.one_of(st.just(NAN), st.just(0.0), st.floats(1e-3, 1e3))
LEVELS = [0.05, 0.5, 0.9]
few = settings(max_examples=60, phases=[Phase.explicit, Phase.generate], deadline=None)


def rows_of(width):
    """Rows of an actual value, `width` forecast values and a weight."""
    return st.lists(st.tuples(VALUE, st.lists(VALUE, min_size=width, max_size=width), WEIGHT), max_size=20)


def counted(rows):
    return [(a, f, w) for a, f, w in rows if w and not any(math.isnan(value) for value in (a, *f, w))]


def naive_mean(rows, term):
    total = math.fsum(w for *_, w in counted(rows))
    return math.fsum(w * term(a, f) for a, f, w in counted(rows)) / total if total else NAN


def naive_pinball(actual, forecast, quantile):
    return quantile * (actual - forecast) if actual >= forecast else (1 - quantile) * (forecast - actual)


def naive_crps(actual, samples):
    n = len(samples)
    apart = sum(abs(one - other) for one in samples for other in samples) / n**2
    return sum(abs(sample - actual) for sample in samples) / n - apart / 2


def arrays(rows, width):
    actual, weights = [a for a, *_ in rows], [w for *_, w in rows]
    return actual, np.array([f for _, f, _ in rows]).reshape(len(rows), width), weights


def assert_same(found, expected):
    assert isinstance(found, float)
    assert not math.isinf(found)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-8, nan_ok=True)


@given(rows_of(1), st.floats(0.01, 0.99))
@few
def test_pinball_equals_naive(rows, quantile):
    actual, forecasts, weights = arrays(rows, 1)
    expected = naive_mean(rows, lambda a, f: naive_pinball(a, f[0], quantile))
    assert_same(probabilistic.pinball(actual, forecasts[:, 0], quantile, weights=weights), expected)


@given(rows_of(3))
@few
def test_quantile_losses_equal_naive(rows):
    actual, forecasts, weights = arrays(rows, 3)
    loss = naive_mean(rows, lambda a, f: sum(map(naive_pinball, [a] * 3, f, LEVELS)) / 3)
    assert_same(probabilistic.crps_quantiles(actual, forecasts, LEVELS, weights=weights), 2 * loss)
    size = naive_mean(rows, lambda a, f: abs(a))
    expected = 2 * loss / size if size else NAN
    assert_same(probabilistic.weighted_quantile_loss(actual, forecasts, LEVELS, weights=weights), expected)


@given(rows_of(4))
@few
def test_crps_ensemble_equals_naive(rows):
    actual, samples, weights = arrays(rows, 4)
    assert_same(probabilistic.crps_ensemble(actual, samples, weights=weights), naive_mean(rows, naive_crps))


@given(rows_of(2))
@few
def test_interval_scores_equal_naive(rows):
    actual, ends, weights = arrays(rows, 2)
    inside = naive_mean(rows, lambda a, f: f[0] <= a <= f[1])
    assert_same(probabilistic.coverage(actual, ends[:, 0], ends[:, 1], weights=weights), inside)

    def winkler(a, f):
        return f[1] - f[0] + 2 / 0.2 * ((f[0] - a) * (a < f[0]) + (a - f[1]) * (a > f[1]))

    found = probabilistic.interval_score(actual, ends[:, 0], ends[:, 1], 0.8, weights=weights)
    assert_same(found, naive_mean(rows, winkler))


def test_assert_same_refuses_a_wrong_score():
    for wrong, right in [(1.0, 1.1), (NAN, 1.0), (1.0, NAN), (math.inf, math.inf)]:
        with pytest.raises(AssertionError):
            assert_same(wrong, right)


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    return rng.normal(size=300), rng.normal(size=(300, 21)), rng.uniform(0.1, 2.0, size=300)


def close(value):
    return pytest.approx(value, rel=1e-10, abs=1e-12)


def test_pinball_equals_sklearn(drawn):
    actual, samples, weights = drawn
    found = probabilistic.pinball(actual, samples[:, 0], 0.2, weights=weights)
    assert found == close(sk.mean_pinball_loss(actual, samples[:, 0], sample_weight=weights, alpha=0.2))


def test_weighted_quantile_loss_equals_utilsforecast(drawn):
    actual, forecasts = drawn[0], np.sort(drawn[1][:, :3], axis=-1)
    names = {"model": [f"q{level}" for level in LEVELS]}
    frame = pd.DataFrame(forecasts, columns=names["model"]).assign(unique_id=0, ds=range(300), y=actual)
    expected = nixtla.scaled_crps(frame, names, np.array(LEVELS))["model"].item()
    assert probabilistic.weighted_quantile_loss(actual, forecasts, LEVELS) == close(expected)
    expected = nixtla.mqloss(frame, names, np.array(LEVELS))["model"].item()
    assert probabilistic.crps_quantiles(actual, forecasts, LEVELS) == close(2 * expected)


def test_crps_equals_scoringrules(drawn):
    actual, samples, weights = drawn
    each = scoringrules.crps_ensemble(actual, samples, estimator="nrg", backend="numpy")
    assert probabilistic.crps_ensemble(actual, samples) == close(each.mean())
    assert probabilistic.crps_ensemble(actual, samples, weights=weights) == close(np.average(each, weights=weights))
    each = scoringrules.crps_normal(actual, samples[:, 0], weights, backend="numpy")
    assert probabilistic.crps_normal(actual, samples[:, 0], weights) == close(each.mean())


def test_interval_score_equals_scoringrules(drawn):
    actual, lower, upper = drawn[0], drawn[1].min(axis=1), drawn[1].max(axis=1) - 2.0
    each = scoringrules.interval_score(actual, lower, upper, 1 - 0.9, backend="numpy")
    assert probabilistic.interval_score(actual, lower, upper, 0.9) == close(each.mean())


def test_brier_equals_sklearn(drawn):
    happened, probability, weights = drawn[0] > 0.5, stats.norm.cdf(drawn[1][:, 0]), drawn[2]
    expected = sk.brier_score_loss(happened, probability, sample_weight=weights)
    assert probabilistic.brier(happened, probability, weights=weights) == close(expected)
    rate = np.full(300, np.average(happened, weights=weights))
    skill = 1 - expected / sk.brier_score_loss(happened, rate, sample_weight=weights)
    assert probabilistic.brier_skill(happened, probability, weights=weights) == close(skill)


def test_the_interval_score_is_the_pinball_loss_of_its_ends(drawn):
    actual, lower, upper = drawn[0], drawn[1][:, 0], drawn[1][:, 1]  # crossed ones among them
    ends = probabilistic.pinball(actual, lower, 0.1) + probabilistic.pinball(actual, upper, 0.9)
    assert probabilistic.interval_score(actual, lower, upper, 0.8) == close(2 / 0.2 * ends)


def test_pinball_at_the_median_is_half_the_mae(drawn):
    actual, forecast = drawn[0], drawn[1][:, 0]
    assert probabilistic.pinball(actual, forecast, 0.5) == close(points.mae(actual, forecast) / 2)


def test_crps_of_quantiles_converges_to_that_of_the_normal():
    actual, mean, deviation = np.random.default_rng(3).normal(size=(3, 200))
    deviation = np.exp(deviation)
    exact = probabilistic.crps_normal(actual, mean, deviation)
    errors = []
    for n_levels in (9, 99, 999):
        levels = (np.arange(n_levels) + 0.5) / n_levels
        forecasts = mean[:, np.newaxis] + deviation[:, np.newaxis] * stats.norm.ppf(levels)
        errors.append(abs(probabilistic.crps_quantiles(actual, forecasts, levels) / exact - 1))
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    assert errors[2] < 1e-4


def test_crps_of_samples_is_too_high_by_what_is_documented():
    n_samples, rng = 5, np.random.default_rng(4)
    actual, samples = rng.normal(size=20_000), rng.normal(size=(20_000, n_samples))
    exact = probabilistic.crps_normal(actual, np.zeros(20_000), np.ones(20_000))
    apart = 2 / math.sqrt(math.pi)  # E|X - X'| of a standard normal
    assert probabilistic.crps_ensemble(actual, samples) - exact == pytest.approx(apart / (2 * n_samples), abs=0.01)


def test_crps_of_a_point_is_the_absolute_error():
    assert probabilistic.crps_ensemble([1.0, 5.0], [[3.0], [3.0]]) == 2.0
    assert probabilistic.crps_ensemble([0.1], [[0.3] * 7]) == pytest.approx(0.2, rel=1e-12)
    assert probabilistic.crps_normal([1.0, 6.0, 3.0], [3.0, 3.0, 3.0], [0.0, 0.0, 0.0]) == 5.0 / 3.0
    assert probabilistic.crps_normal([1.0, 5.0], [3.0, 3.0], [1e-300, 5e-324]) == pytest.approx(2.0)


def test_crps_far_from_zero_keeps_its_digits():
    actual, samples = np.random.default_rng(5).normal(size=(2, 50))
    near = probabilistic.crps_ensemble(actual, np.tile(samples, (50, 1)))
    assert probabilistic.crps_ensemble(actual + 1e9, np.tile(samples + 1e9, (50, 1))) == pytest.approx(near, abs=1e-6)


PIT = {
    "at a quantile": (2.0, [1.0, 2.0, 3.0], 0.5),
    "between two": (2.5, [1.0, 2.0, 3.0], 0.7),
    "below all": (0.0, [1.0, 2.0, 3.0], 0.025),
    "above all": (9.0, [1.0, 2.0, 3.0], 0.95),
    "at the lowest": (1.0, [1.0, 2.0, 3.0], 0.05),
    "at the highest": (3.0, [1.0, 2.0, 3.0], 0.9),
    "at two at once": (1.0, [1.0, 1.0, 3.0], 0.275),
    "at all at once": (1.0, [1.0, 1.0, 1.0], 0.475),
    "crossed": (2.5, [3.0, 2.0, 1.0], 0.7),
    "no value": (NAN, [1.0, 2.0, 3.0], NAN),
    "no quantile": (2.0, [1.0, NAN, 3.0], NAN),
}


@pytest.mark.parametrize(("actual", "forecasts", "expected"), PIT.values(), ids=PIT.keys())
def test_pit_of_quantiles(actual, forecasts, expected):
    (found,) = probabilistic.pit_quantiles([actual], [forecasts], LEVELS)
    assert found == pytest.approx(expected, nan_ok=True)


def test_pit_inside_the_quantiles_is_interpolation(drawn):
    actual, quantiles = drawn[0], np.sort(drawn[1], axis=-1)
    levels = np.linspace(0.04, 0.96, 21)
    found = probabilistic.pit_quantiles(actual, quantiles, levels)
    expected = [np.interp(a, q, levels, left=0.02, right=0.98) for a, q in zip(actual, quantiles, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_pit_of_samples_equals_scipy(drawn):
    actual, samples = drawn[0].round(), drawn[1].round()  # many ties
    expected = [stats.percentileofscore(s, a, kind="mean") / 100 for a, s in zip(actual, samples, strict=True)]
    np.testing.assert_allclose(probabilistic.pit_ensemble(actual, samples), expected, rtol=1e-10)


def test_pit_keeps_the_shape_and_the_gaps():
    actual = np.array([[1.0, NAN], [3.0, 4.0]])
    samples = np.zeros((2, 2, 5))
    samples[1, 1, 2] = NAN
    expected = [[1.0, NAN], [1.0, NAN]]
    np.testing.assert_array_equal(probabilistic.pit_ensemble(actual, samples), expected)
    found = probabilistic.pit_quantiles(actual, samples[..., :3], LEVELS)
    np.testing.assert_allclose(found, [[0.95, NAN], [0.95, NAN]])


def test_pit_of_the_true_distribution_is_uniform():
    actual = np.random.default_rng(6).normal(size=2_000)
    levels = (np.arange(99) + 1) / 100
    found = probabilistic.pit_quantiles(actual, np.tile(stats.norm.ppf(levels), (2_000, 1)), levels)
    assert stats.kstest(found, "uniform").pvalue > 0.05
    assert stats.kstest(found**2, "uniform").pvalue < 1e-6


def test_crossed_interval_covers_nothing():
    assert probabilistic.coverage([1.0], lower=[2.0], upper=[0.0]) == 0.0


UNDEFINED = {
    "quantile loss of zeros": lambda: probabilistic.weighted_quantile_loss([0.0], [[1.0, 2.0, 3.0]], LEVELS),
    "skill where it never happened": lambda: probabilistic.brier_skill([0, 0], [0.1, 0.0]),
    "skill where it always happened": lambda: probabilistic.brier_skill([1, 1, 1], [0.1] * 3, weights=[0.1, 0.2, 0.7]),
    "coverage of NaN alone": lambda: probabilistic.coverage([NAN], [0.0], [1.0]),
}


@pytest.mark.parametrize("score", UNDEFINED.values(), ids=UNDEFINED.keys())
def test_what_is_undefined_is_nan(score):
    assert math.isnan(score())


def test_one_class_has_a_brier_score():
    assert probabilistic.brier([0, 0], [0.5, 0.0]) == 0.125


def of_levels(levels, forecasts=((1.0, 2.0, 3.0),)):
    return lambda: probabilistic.crps_quantiles([1.0], forecasts, levels)


WRONG = {
    "quantile of 0": (lambda: probabilistic.pinball([1.0], [1.0], 0.0), SettingsError, "quantile=0.0"),
    "quantile in percent": (lambda: probabilistic.pinball([1.0], [1.0], 90), SettingsError, "quantile=90"),
    "level of 1": (lambda: probabilistic.interval_score([1.0], [1.0], [1.0], 1.0), SettingsError, "level=1.0"),
    "no levels": (of_levels([]), SettingsError, r"levels=\[\]"),
    "levels down": (of_levels([0.9, 0.5, 0.1]), SettingsError, "increase"),
    "level twice": (of_levels([0.1, 0.1, 0.9]), SettingsError, "increase"),
    "levels in percent": (of_levels([10, 50, 90]), SettingsError, "increase"),
    "level NaN": (of_levels([0.1, NAN, 0.9]), SettingsError, "increase"),
    "one level": (of_levels(0.5), SettingsError, "levels=0.5"),
    "too few levels": (of_levels([0.1, 0.9]), DataError, "3 forecasts for 2 levels"),
    "pit, too few levels": (
        lambda: probabilistic.pit_quantiles([1.0], [[1.0, 2.0]], LEVELS),
        DataError,
        "2 forecasts for 3",
    ),
    "no axis of samples": (lambda: probabilistic.crps_ensemble([1.0], [1.0]), DataError, "one axis more"),
    "no sample": (lambda: probabilistic.crps_ensemble([1.0], np.zeros((1, 0))), DataError, "not empty"),
    "scalars": (lambda: probabilistic.pit_ensemble(1.0, 1.0), DataError, "one axis more"),
    "deviation": (lambda: probabilistic.crps_normal([1.0], [1.0], [-2.0]), DataError, "deviation with the value -2"),
    "outcome": (lambda: probabilistic.brier([2.0], [0.5]), DataError, "actual with the value 2"),
    "probability": (lambda: probabilistic.brier_skill([1.0], [50.0]), DataError, "probability with the value 50"),
}


@pytest.mark.parametrize(("call", "error", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
