"""The gate: the network's share of the forecast, from evidence in blocks."""

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from hourglass_ts.network.gate import (
    GateEvidence,
    _student_point,
    evidence_blocks,
    fit_share,
    moving_together,
    window_evidence,
)


def sums(residual, error):
    return (residual * error).sum(1), residual.square().sum(1)


def test_share_is_the_weight_when_evidence_is_plenty():
    generator = torch.Generator().manual_seed(0)
    residual = torch.randn(2000, 4, generator=generator)
    error = 0.6 * residual + 0.1 * torch.randn(2000, 4, generator=generator)
    assert fit_share(*sums(residual, error), torch.arange(2000)) == pytest.approx(0.6, abs=0.01)


def test_share_of_noise_is_mostly_zero():
    generator = torch.Generator().manual_seed(0)
    shares = []
    for _ in range(200):
        residual, error = torch.randn(50, 4, generator=generator), torch.randn(50, 4, generator=generator)
        shares.append(fit_share(*sums(residual, error), torch.arange(50)))
    assert np.mean(np.array(shares) > 0) < 0.06
    assert np.mean(shares) < 0.01


@pytest.mark.parametrize(
    ("residual", "error", "expected"),
    [(1.0, 5.0, 1.0), (1.0, -1.0, 0.0), (0.0, 1.0, 0.0)],
)
def test_share_stays_between_nothing_and_all(residual, error, expected):
    part = sums(torch.full((9, 2), residual), torch.full((9, 2), error))
    assert fit_share(*part, torch.arange(9)) == expected


def test_overlapping_windows_are_not_independent_evidence():
    generator = torch.Generator().manual_seed(1)
    residual = torch.randn(6, 4, generator=generator)
    error = 0.5 * residual + 0.8 * torch.randn(6, 4, generator=generator)
    dot, norm = sums(residual, error)
    once = fit_share(dot, norm, torch.arange(6))
    copied = fit_share(dot.repeat(50), norm.repeat(50), torch.arange(6).repeat(50))
    careless = fit_share(dot.repeat(50), norm.repeat(50), torch.arange(300))
    assert copied == pytest.approx(once)
    assert careless > once


def test_series_that_move_together_are_fewer_samples():
    """Eight copies of a series say what one of them says, and eight independent ones what eight do."""
    generator = torch.Generator().manual_seed(3)
    n_series, n_moments = 8, 60
    residual = torch.randn(n_series, n_moments, 4, generator=generator)
    error = 0.1 * residual + torch.randn(n_series, n_moments, 4, generator=generator)
    moment = torch.arange(n_moments).repeat(n_series)
    series = torch.arange(n_series).repeat_interleave(n_moments)
    dot, norm = sums(residual.flatten(0, 1), error.flatten(0, 1))
    factor = moving_together(dot - 0.1 * norm, series, moment)
    assert factor == pytest.approx(1.0, abs=0.5)
    dot, norm = (part.reshape(n_series, -1)[:1].repeat(n_series, 1).flatten() for part in (dot, norm))
    assert moving_together(dot - 0.1 * norm, series, moment) == pytest.approx(n_series)
    assert fit_share(dot, norm, series, moment) <= fit_share(dot, norm, series)


def test_the_gate_is_not_opened_by_one_move_of_a_whole_market():
    """A correction that fits a shock which all series share: one piece of luck, not eight."""
    opened = [0, 0]
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        time, series = torch.arange(60).repeat(8), torch.arange(8).repeat_interleave(60)
        shocks = torch.randn(60, 4, generator=generator).cumsum(0)[time] + 0.3 * torch.randn(
            480, 4, generator=generator
        )
        residual = torch.randn(60, 4, generator=generator).cumsum(0)[time] + 0.3 * torch.randn(
            480, 4, generator=generator
        )
        evidence = GateEvidence(horizon=20, absolute=False)
        evidence.add(residual, shocks, series, time)
        opened[0] += evidence.take_share() > 0
        opened[1] += fit_share(*sums(residual, shocks), evidence_blocks(time, series, 20)) > 0
    assert opened[1] > 15
    assert opened[0] < opened[1] / 2


def test_no_evidence_gives_no_share():
    empty = torch.zeros(0)
    assert fit_share(empty, empty, empty) == 0.0
    assert fit_share(torch.ones(3), torch.ones(3), torch.zeros(3)) == 0.0


def test_two_horizons_of_time_are_one_block():
    time = torch.arange(100)
    block = evidence_blocks(time, torch.zeros(100, dtype=torch.long), horizon=5)
    assert len(block.unique()) == 10
    assert (block == time // 10).all()


def test_where_time_has_few_blocks_every_series_is_a_sample():
    time, series = torch.arange(40).repeat(3), torch.arange(3).repeat_interleave(40)
    block = evidence_blocks(time, series, horizon=5)
    assert len(block.unique()) == 12
    assert all(len(series[block == place].unique()) == 1 for place in block.unique())


def test_weighted_squares_gain_what_absolute_errors_gain():
    generator = torch.Generator().manual_seed(0)
    residual = torch.randn(50, 4, generator=generator, dtype=torch.float64)
    error = torch.randn(50, 4, generator=generator, dtype=torch.float64)
    residual[0], error[1] = 0.0, 0.0
    dot, norm = window_evidence(residual, error, absolute=True)
    gain = (error.abs() - (error - residual).abs()).sum(1)
    torch.testing.assert_close(2 * dot - norm, gain)
    plain, square = window_evidence(residual, error, absolute=False)
    torch.testing.assert_close(2 * plain - square, (error.square() - (error - residual).square()).sum(1))


def test_an_outlier_decides_by_its_square_alone():
    residual = torch.full((40, 4), 0.5)
    error = torch.full((40, 4), 0.5)
    error[0] = -300.0
    block = torch.arange(40)
    assert fit_share(*window_evidence(residual, error, absolute=True), block) > 0.5
    assert fit_share(*window_evidence(residual, error, absolute=False), block) == 0.0


def test_windows_without_evidence_are_no_samples():
    """Of twelve moments two speak: there each series is a sample, as if the silent ten were not there."""
    generator = torch.Generator().manual_seed(0)
    time, series = torch.arange(0, 120, 10).repeat(9), torch.arange(9).repeat_interleave(12)
    residual = torch.randn(108, 4, generator=generator) * (time <= 10)[:, None]
    error = 0.5 * residual + 0.2 * torch.randn(108, 4, generator=generator)
    everything, speaking = GateEvidence(horizon=5, absolute=False), GateEvidence(horizon=5, absolute=False)
    for part in torch.arange(108).split(25):
        everything.add(residual[part], error[part], series[part], time[part])
    spoken = time <= 10
    speaking.add(residual[spoken], error[spoken], series[spoken], time[spoken])
    assert (len(everything), len(speaking)) == (5, 1)
    share = everything.take_share()
    assert share == pytest.approx(speaking.take_share())
    assert 0.1 < share < 0.6
    assert len(everything) == 0


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 6, 7, 12, 40])
def test_the_point_of_student_is_scipys(freedom):
    assert _student_point(freedom) == pytest.approx(student.ppf(0.999, freedom), rel=0.03)
