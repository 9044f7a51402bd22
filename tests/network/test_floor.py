"""The linear floor against a slow reference, and the gate."""

import math

import numpy as np
import pytest
import torch

from hourglass_ts.errors import NotFittedError
from hourglass_ts.network import floor as floor_module
from hourglass_ts.network.floor import LinearFloor, Stretch, _Problem, fit_share

CONTEXT, HORIZON = 6, 3


def wave(n=120, seed=0, noise=0.1, level=0.0):
    rng = np.random.default_rng(seed)
    return torch.tensor(level + np.sin(np.arange(n) / 3) + noise * rng.normal(size=n), dtype=torch.float32)


def stretch(values, observed=None, code=0, start=CONTEXT - 1, stop=None):
    observed = torch.ones(len(values), dtype=torch.bool) if observed is None else observed
    return Stretch(code, values, observed, torch.arange(start, (stop or len(values)) - HORIZON))


def ridge_by_columns(part, scale, prior, strength):
    """The reference: window by window in plain loops, every lead a least squares problem of its own."""
    weights = np.zeros((CONTEXT, HORIZON))
    values, observed = part.values.double().numpy() / scale, part.observed.numpy()
    for lead in range(HORIZON):
        rows, targets = [], []
        for origin in part.origins.tolist():
            target = origin + lead + 1
            if observed[origin] and target < len(values) and observed[target]:
                window = [values[origin - back] if origin >= back else values[origin] for back in range(CONTEXT)][::-1]
                rows.append(np.array(window) - values[origin])
                targets.append(values[target] - values[origin])
        X, y = np.array(rows), np.array(targets)
        right = X.T @ y + strength * prior[:, lead]
        weights[:, lead] = np.linalg.solve(X.T @ X + strength * np.eye(CONTEXT), right)
    return weights


@pytest.mark.parametrize("strength", [0.5, 10.0, 1000.0])
@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("start", [0, CONTEXT - 1])
def test_solution_is_the_ridge_of_every_lead(strength, missing, start, monkeypatch):
    monkeypatch.setattr(floor_module, "REFINEMENTS", 30)
    values = wave()
    observed = torch.rand(len(values), generator=torch.Generator().manual_seed(1)) >= missing
    part = stretch(values, observed, start=start)
    prior = torch.randn(CONTEXT, HORIZON, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (ours,) = _Problem(CONTEXT, HORIZON, [(part, 2.0)]).solve(prior, [strength])
    expected = ridge_by_columns(part, 2.0, prior.numpy(), strength)
    np.testing.assert_allclose(ours.numpy(), expected, atol=2e-4)


def test_few_refinements_are_enough_for_scattered_holes():
    values = wave(n=600)
    observed = torch.rand(len(values), generator=torch.Generator().manual_seed(1)) >= 0.3
    part = stretch(values, observed)
    prior = torch.zeros(CONTEXT, HORIZON, dtype=torch.float64)
    (ours,) = _Problem(CONTEXT, HORIZON, [(part, 1.0)]).solve(prior, [10.0])
    np.testing.assert_allclose(ours.numpy(), ridge_by_columns(part, 1.0, prior.numpy(), 10.0), atol=5e-3)


def test_infinite_strength_is_the_prior():
    prior = torch.ones(CONTEXT, HORIZON, dtype=torch.float64)
    (ours,) = _Problem(CONTEXT, HORIZON, [(stretch(wave()), 1.0)]).solve(prior, [math.inf])
    assert torch.equal(ours, prior)


def fitted(n_series=2, walk=False, **changes):
    floor = LinearFloor(CONTEXT, HORIZON, n_series)
    series = [wave(seed=code, **changes) for code in range(n_series)]
    if walk:
        series = [
            torch.randn(2000, generator=torch.Generator().manual_seed(code)).cumsum(0) for code in range(n_series)
        ]
    cut = len(series[0]) * 3 // 4
    training = [stretch(values[:cut], code=code) for code, values in enumerate(series)]
    judges = [stretch(values, code=code, start=cut - 1) for code, values in enumerate(series)]
    return floor, floor.fit(training, judges), training, judges, series


def test_floor_beats_naive_on_a_wave_and_reports_what_it_chose():
    floor, report, *_ = fitted()
    assert report.floor_error <= report.common_error < 0.4 * report.naive_error
    assert len(report.own_strengths) == int((floor.map_of_series >= 0).sum())


def test_floor_of_a_random_walk_is_nearly_naive():
    floor, report, *_ = fitted(walk=True, n_series=4)
    assert report.common_error <= report.naive_error
    assert floor.common.abs().max() < 0.1


def test_forward_is_the_map_of_the_series():
    floor, _, _, _, series = fitted()
    floor.own[0], floor.map_of_series[1] = torch.ones(CONTEXT, HORIZON), 0
    past = torch.stack([values[-CONTEXT:] for values in series] * 2)
    out = floor(past, torch.ones_like(past, dtype=torch.bool), torch.tensor([0, 1, 7, -1]))
    inputs = past - past[:, -1:]
    maps = [floor.own[floor.map_of_series[0]] if floor.map_of_series[0] >= 0 else floor.common, floor.own[0]]
    maps += [floor.common, floor.common]
    for row, weights in enumerate(maps):
        torch.testing.assert_close(out[row], past[row, -1] + inputs[row] @ weights)


def test_forecast_follows_shift_and_scale():
    floor, *_, series = fitted()
    past = series[0][-CONTEXT:][None]
    present, code = torch.ones_like(past, dtype=torch.bool), torch.tensor([0])
    torch.testing.assert_close(floor(5 * past + 3, present, code), 5 * floor(past, present, code) + 3)


def test_pads_say_nothing():
    floor, *_, series = fitted()
    past = series[0][-CONTEXT:][None].repeat(2, 1)
    past[1, :3] = 1e6
    present = torch.ones_like(past, dtype=torch.bool)
    present[:, :3] = False
    out = floor(past, present, torch.tensor([0, 0]))
    assert torch.equal(out[0], out[1])


def test_nothing_after_the_last_training_target_changes_the_fit():
    floor, _, training, judges, _ = fitted()
    other = LinearFloor(CONTEXT, HORIZON, 2)
    longer = [
        Stretch(
            t.code,
            torch.cat([t.values, torch.full((9,), 1e6)]),
            torch.cat([t.observed, torch.zeros(9, dtype=bool)]),
            t.origins,
        )
        for t in training
    ]
    other.fit(longer, judges)
    torch.testing.assert_close(other.common, floor.common, rtol=0, atol=0)
    seen = [
        Stretch(t.code, t.values, torch.cat([t.observed[:-9], torch.ones(9, dtype=bool)]), t.origins) for t in longer
    ]
    other.fit(seen, judges)
    torch.testing.assert_close(other.common, floor.common, rtol=0, atol=0)


def test_refit_uses_the_strengths_chosen_before():
    floor, report, training, _, series = fitted()
    with pytest.raises(NotFittedError):
        LinearFloor(CONTEXT, HORIZON, 2).refit(training)
    before = floor.common.clone()
    floor.refit(training)
    torch.testing.assert_close(floor.common, before)
    floor.refit([stretch(values, code=code) for code, values in enumerate(series)])
    assert not torch.equal(floor.common, before)
    assert floor.report is report


def test_own_maps_stay_within_their_memory(monkeypatch):
    monkeypatch.setattr(floor_module, "MAX_MAP_NUMBERS", CONTEXT * HORIZON)
    floor, report, *_ = fitted(n_series=4)
    assert floor.own.shape[0] == 1
    assert len(report.own_strengths) <= 1


def test_constant_and_short_series_stay_defined():
    floor = LinearFloor(CONTEXT, HORIZON, 3)
    constant, short = torch.full((40,), 7.0), wave(n=4)
    training = [stretch(constant), stretch(short, code=1, start=0), stretch(wave(), code=2)]
    floor.fit(training, [stretch(wave(seed=9), code=2)])
    past = torch.full((1, CONTEXT), 7.0)
    out = floor(past, torch.ones_like(past, dtype=torch.bool), torch.tensor([0]))
    torch.testing.assert_close(out, torch.full((1, HORIZON), 7.0))


# --- the gate --------------------------------------------------------------------------------------------------------


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


def test_no_evidence_gives_no_share():
    empty = torch.zeros(0)
    assert fit_share(empty, empty, empty) == 0.0
    assert fit_share(torch.ones(3), torch.ones(3), torch.zeros(3)) == 0.0
