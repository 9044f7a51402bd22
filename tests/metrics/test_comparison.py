"""The bootstrap, skill, Diebold-Mariano and binomial intervals against loops, other libraries, and their own claims."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from arch.bootstrap import CircularBlockBootstrap, optimal_block_length
from scipy import stats
from scipy.signal import lfilter
from statsmodels.stats.proportion import proportion_confint

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.metrics import comparison
from hourglass_ts.metrics.comparison import Interval, block_bootstrap, diebold_mariano, skill
from hourglass_ts.metrics.shares import binomial_interval

NAN = float("nan")


def autoregressive(n, coefficient, seed):
    noise = np.random.default_rng(seed).normal(size=n + 100)
    return lfilter([1.0], [1.0, -coefficient], noise)[100:]


def ends(interval):
    return interval.low, interval.high


def naive_bootstrap(values, statistic, block, n_boot, level, seed):
    n, rng, found = len(values), np.random.default_rng(seed), []
    for _ in range(n_boot):
        starts = rng.integers(n, size=math.ceil(n / block))
        resample = [values[(start + step) % n] for start in starts for step in range(block)][:n]
        found.append(statistic(np.array(resample)))
    return np.quantile(found, [(1 - level) / 2, (1 + level) / 2])


@pytest.mark.parametrize(("n", "block"), [(20, 1), (20, 3), (21, 4), (8, 4)])
def test_bootstrap_equals_naive(n, block):
    values = autoregressive(n, 0.5, seed=n)
    found = block_bootstrap(values, block=block, n_boot=200, level=0.8, seed=7)
    assert found.estimate == pytest.approx(values.mean())
    assert ends(found) == pytest.approx(naive_bootstrap(values, np.mean, block, 200, 0.8, 7))


def test_bootstrap_of_rows_equals_naive():
    values = np.random.default_rng(0).normal(size=(30, 2))
    found = block_bootstrap(values, lambda r: (r[..., 0] * r[..., 1]).mean(axis=1), block=4, n_boot=200, seed=7)
    expected = naive_bootstrap(values, lambda r: (r[:, 0] * r[:, 1]).mean(), 4, 200, 0.95, 7)
    assert ends(found) == pytest.approx(expected)


def test_bootstrap_agrees_with_arch():
    values = autoregressive(300, 0.6, seed=1)
    theirs = CircularBlockBootstrap(12, values, seed=2).conf_int(np.mean, reps=5_000, method="percentile", size=0.9)
    ours = block_bootstrap(values, block=12, n_boot=5_000, level=0.9)
    assert ends(ours) == pytest.approx(theirs.ravel(), abs=0.04 * float(np.ptp(theirs)))


@pytest.mark.parametrize("at_once", [1, 100, 1_000])
def test_batches_do_not_change_the_bootstrap(monkeypatch, at_once):
    values = autoregressive(50, 0.5, seed=1)
    whole = block_bootstrap(values, n_boot=99)
    monkeypatch.setattr(comparison, "AT_ONCE", at_once)
    assert block_bootstrap(values, n_boot=99) == whole


def test_seed_decides():
    values = autoregressive(50, 0.5, seed=1)
    assert block_bootstrap(values, seed=1) == block_bootstrap(values, seed=1)
    assert block_bootstrap(values, seed=1) != block_bootstrap(values, seed=2)


def test_any_statistic_that_reduces_time():
    values = np.random.default_rng(0).exponential(size=400)
    found = block_bootstrap(values, lambda resamples: np.median(resamples, axis=1))
    assert found.estimate == np.median(values)
    # A median has the standard error 1 / (2 √n density), and here the density is 1/2.
    assert found.high - found.low == pytest.approx(2 * 1.96 / math.sqrt(400), rel=0.2)


def held(coefficient, n, n_runs, **settings):
    inside = 0
    for run in range(n_runs):
        interval = block_bootstrap(autoregressive(n, coefficient, run), level=0.9, n_boot=299, seed=run, **settings)
        inside += interval.low <= 0.0 <= interval.high
    return inside / n_runs


def test_interval_of_a_mean_holds_it_as_often_as_it_says():
    assert 0.87 < held(0.0, 400, 400) < 0.93
    assert 0.82 < held(0.6, 800, 400) < 0.92  # too narrow under dependence, by as much as is documented


def test_single_values_as_blocks_would_be_far_too_narrow():
    assert held(0.6, 800, 200, block=1) < 0.7


@pytest.mark.parametrize("n", [100, 401, 2_000])
@pytest.mark.parametrize("coefficient", [-0.5, 0.0, 0.3, 0.6, 0.95])
def test_block_length_equals_arch(n, coefficient):
    values = autoregressive(n, coefficient, seed=3)
    expected = optimal_block_length(values)["circular"].item()
    assert comparison.optimal_block_length(values) == pytest.approx(expected, rel=1e-10)


def test_block_length_has_its_bounds():
    for n, longest in [(30, 10.0), (400, 60.0)]:
        wave = np.sin(0.7 * np.arange(n))
        assert comparison.optimal_block_length(wave) == longest
    for constant in ([], [2.0], [2.0] * 9):
        assert comparison.optimal_block_length(constant) == 0.0
    for n in range(2, 12):
        assert 0.0 <= comparison.optimal_block_length(np.random.default_rng(n).normal(size=n)) <= math.ceil(n / 3)


def test_bootstrap_takes_the_longest_block_of_its_columns():
    values = np.stack([autoregressive(300, 0.0, 1), autoregressive(300, 0.9, 2)], axis=1)
    longest = math.ceil(max(comparison.optimal_block_length(column) for column in values.T))
    assert longest > 10

    def first(resamples):
        return resamples[..., 0].mean(axis=1)

    assert block_bootstrap(values, first) == block_bootstrap(values, first, block=longest)


def test_rows_with_a_gap_are_left_out():
    values = autoregressive(40, 0.5, seed=1)
    assert block_bootstrap(np.insert(values, 7, NAN)) == block_bootstrap(values)
    pairs = np.stack([values, values**2], axis=1)
    gap = np.insert(pairs, 7, [NAN, 1.0], axis=0)
    statistic = comparison._skill_of_means
    assert block_bootstrap(gap, statistic) == block_bootstrap(pairs, statistic)


FEW = {"none": ([], None), "one": ([2.0], None), "one block": ([1.0, 2.0, 3.0], 2), "gaps alone": ([NAN, NAN], None)}


@pytest.mark.parametrize(("values", "block"), FEW.values(), ids=FEW.keys())
def test_too_few_values_have_no_interval(values, block):
    found = block_bootstrap(values, block=block)
    assert all(math.isnan(end) for end in ends(found))
    assert found.estimate == pytest.approx(np.mean(values) if values else NAN, nan_ok=True)


def test_a_constant_has_an_interval_without_width():
    assert block_bootstrap([2.0] * 9) == Interval(2.0, 2.0, 2.0)


def test_skill_is_one_minus_a_ratio_of_means():
    own, reference = np.random.default_rng(0).exponential(size=(2, 200))
    found = skill(own, reference, block=5, n_boot=300)
    assert found.estimate == pytest.approx(1 - own.mean() / reference.mean())
    expected = naive_bootstrap(
        np.stack([own, reference], axis=1), lambda r: 1 - r[:, 0].mean() / r[:, 1].mean(), 5, 300, 0.95, 0
    )
    assert ends(found) == pytest.approx(expected)


def test_skill_resamples_both_losses_together():
    reference = autoregressive(300, 0.8, seed=1) ** 2
    found = skill(0.9 * reference, reference)
    assert (found.estimate, *ends(found)) == pytest.approx((0.1, 0.1, 0.1))


def test_skill_takes_the_block_of_what_moves_the_ratio():
    noise = np.random.default_rng(1).uniform(0.9, 1.1, size=300)
    reference = autoregressive(300, 0.9, seed=1) ** 2 + 1.0
    own = 0.5 * reference * noise
    moves = own - reference * own.mean() / reference.mean()
    block = max(1, math.ceil(comparison.optimal_block_length(moves)))
    assert block < comparison.optimal_block_length(reference)
    assert skill(own, reference) == skill(own, reference, block=block)


def test_skill_without_a_reference_is_nan():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for found in (skill([1.0, 2.0], [0.0, 0.0]), skill([], [])):
            assert all(math.isnan(value) for value in (found.estimate, *ends(found)))
        rare = skill([1.0] * 6, [0.0] * 5 + [1.0], block=1)
    assert rare.estimate == pytest.approx(1.0 - 6.0)
    assert all(math.isnan(end) for end in ends(rare))


def test_skill_leaves_pairs_with_a_gap_out():
    own, reference = np.random.default_rng(0).exponential(size=(2, 50))
    gapped = np.insert(own, 4, NAN), np.insert(reference, 4, 1.0)
    assert skill(*gapped) == skill(own, reference)


def test_diebold_mariano_by_hand():
    # Differences 0 to 3: mean 1.5, autocovariances 1.25, 0.3125 (lag 1), -0.375 (lag 2), all divided by n.
    losses = [1.0, 2.0, 3.0, 4.0], [1.0] * 4
    one = 1.5 / math.sqrt(1.25 / 4) * math.sqrt((4 + 1 - 2) / 4)
    two = 1.5 / math.sqrt((1.25 + 2 * 0.3125) / 4) * math.sqrt((4 + 1 - 4 + 2 / 4) / 4)
    three = 1.5 / math.sqrt((1.25 + 2 * (0.3125 - 0.375)) / 4) * math.sqrt((4 + 1 - 6 + 6 / 4) / 4)
    for horizon, expected in [(1, one), (2, two), (3, three)]:
        found = diebold_mariano(*losses, horizon=horizon)
        assert found.statistic == pytest.approx(expected, rel=1e-12)
        assert found.p_value == pytest.approx(2 * stats.t.sf(expected, 3), rel=1e-10)
        assert found.reason == ""


def test_diebold_mariano_one_step_ahead_is_a_paired_t_test():
    first, second = np.random.default_rng(0).exponential(size=(2, 80))
    expected = stats.ttest_rel(first, second)
    found = diebold_mariano(first, second)
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)


@pytest.mark.parametrize("horizon", [1, 2, 4])
def test_diebold_mariano_equals_statsmodels(horizon):
    first, second = np.random.default_rng(2).exponential(size=(2, 120)).cumsum(axis=1) % 3.0
    kernel = {"maxlags": horizon - 1, "kernel": "uniform", "use_correction": False}
    fit = sm.OLS(first - second, np.ones(120)).fit(cov_type="HAC", cov_kwds=kernel)
    correction = math.sqrt((120 + 1 - 2 * horizon + horizon * (horizon - 1) / 120) / 120)
    expected = fit.tvalues.item() * correction
    assert diebold_mariano(first, second, horizon).statistic == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("horizon", [1, 3])
def test_diebold_mariano_rejects_equal_forecasts_as_often_as_it_says(horizon):
    rng, rejected = np.random.default_rng(5), 0
    for _ in range(1_000):
        noise = rng.normal(size=120 + horizon - 1)
        errors = np.convolve(noise, np.ones(horizon), mode="valid")  # correlated up to lag horizon - 1
        rejected += diebold_mariano(errors, np.zeros(120), horizon).p_value < 0.05
    assert 0.03 < rejected / 1_000 < 0.08


def test_diebold_mariano_changes_sign_with_the_sides():
    first, second = np.random.default_rng(0).exponential(size=(2, 80))
    there, back = diebold_mariano(first, second + 5.0), diebold_mariano(second + 5.0, first)
    assert there.statistic == -back.statistic < 0.0
    assert there.p_value == back.p_value < 1e-10


def test_diebold_mariano_leaves_pairs_with_a_gap_out():
    first, second = np.random.default_rng(0).exponential(size=(2, 50))
    assert diebold_mariano(np.insert(first, 3, NAN), np.insert(second, 3, 1.0)) == diebold_mariano(first, second)


NO_TEST = {
    "equal losses": ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], 1, "losses are equal"),
    "a constant apart": (np.linspace(0.0, 1.0, 9) + 0.1, np.linspace(0.0, 1.0, 9), 1, "differ by a constant"),
    "a variance below 0": ([1.0, -1.0, 1.0, -1.0, 2.0], [0.0] * 5, 2, "long-run variance"),
    "no losses": ([], [], 1, "0 losses are too few"),
    "one loss": ([1.0], [2.0], 1, "1 losses are too few"),
    "a long horizon": ([1.0, 2.0, 3.0], [2.0, 1.0, 5.0], 3, "too few for a horizon of 3"),
}


@pytest.mark.parametrize(("first", "second", "horizon", "reason"), NO_TEST.values(), ids=NO_TEST.keys())
def test_diebold_mariano_without_a_result_says_why(first, second, horizon, reason):
    found = diebold_mariano(first, second, horizon)
    assert math.isnan(found.statistic)
    assert math.isnan(found.p_value)
    assert reason in found.reason


@pytest.mark.parametrize(("n_inside", "n"), [(0, 10), (10, 10), (1, 1), (90, 100), (5, 10_000)])
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_binomial_interval_equals_statsmodels(n_inside, n, level):
    found = binomial_interval(np.int64(n_inside), n, level)
    assert found.estimate == n_inside / n
    expected = proportion_confint(n_inside, n, alpha=1 - level, method="wilson")
    assert ends(found) == pytest.approx(expected, rel=1e-10, abs=1e-14)
    assert 0.0 <= found.low <= found.estimate <= found.high <= 1.0


def test_binomial_interval_of_nothing_is_nan():
    found = binomial_interval(0, 0)
    assert all(math.isnan(value) for value in (found.estimate, *ends(found)))


VALUES = [1.0, 2.0, 3.0, 4.0]
WRONG = {
    "three axes": (lambda: block_bootstrap(np.zeros((2, 2, 2))), DataError, r"values of shape \(2, 2, 2\)"),
    "no columns": (lambda: block_bootstrap(np.zeros((2, 0))), DataError, r"values of shape \(2, 0\)"),
    "infinite": (lambda: block_bootstrap([1.0, math.inf]), DataError, "values with the value inf"),
    "block of 0": (lambda: block_bootstrap(VALUES, block=0), SettingsError, "block=0"),
    "no resamples": (lambda: block_bootstrap(VALUES, n_boot=0), SettingsError, "n_boot=0"),
    "level in percent": (lambda: block_bootstrap(VALUES, level=95), SettingsError, "level=95"),
    "negative seed": (lambda: block_bootstrap(VALUES, seed=-1), SettingsError, "seed=-1"),
    "statistic of all": (lambda: block_bootstrap(VALUES, np.mean), SettingsError, r"statistic of shape \(\)"),
    "a table for a series": (lambda: comparison.optimal_block_length([VALUES]), DataError, r"\(1, 4\)"),
    "negative losses": (lambda: skill(VALUES, [-1.0, *VALUES[1:]]), DataError, "reference_loss with the value -1"),
    "losses of two lengths": (lambda: skill(VALUES, VALUES[1:]), DataError, r"loss of shape \(4,\)"),
    "tables of losses": (lambda: diebold_mariano([VALUES], [VALUES]), DataError, "2 problems"),
    "horizon of 0": (lambda: diebold_mariano(VALUES, VALUES, 0), SettingsError, "horizon=0"),
    "more inside than there are": (lambda: binomial_interval(11, 10), DataError, "11 of 10"),
    "a negative count": (lambda: binomial_interval(-1, 10), DataError, "-1 of 10"),
    "a share for a count": (lambda: binomial_interval(0.9, 10), DataError, "0.9 of 10"),
    "level of 0": (lambda: binomial_interval(1, 10, level=0.0), SettingsError, "level=0.0"),
}


@pytest.mark.parametrize(("call", "error", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
