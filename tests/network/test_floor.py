"""The linear floor against a slow reference."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hourglass_ts.errors import NotFittedError
from hourglass_ts.network import floor as floor_module
from hourglass_ts.network.floor import LinearFloor, is_less_for_sure, ridge_sets
from hourglass_ts.network.ridge import Measure, Ridge, RidgeSums, Stretch, lead_groups

CONTEXT, HORIZON = 6, 3


def wave(n=120, seed=0, noise=0.1, level=0.0):
    rng = np.random.default_rng(seed)
    return torch.tensor(level + np.sin(np.arange(n) / 3) + noise * rng.normal(size=n), dtype=torch.float32)


def stretch(values, observed=None, code=0, start=CONTEXT - 1, stop=None):
    observed = torch.ones(len(values), dtype=torch.bool) if observed is None else observed
    return Stretch(code, values, observed, torch.arange(start, (stop or len(values)) - HORIZON))


def ridge_by_columns(part, measure, ridge, prior, strength):
    """The reference: window by window in plain loops, every lead a least squares problem of its own."""
    weights = ridge.weights(CONTEXT).numpy()
    maps = prior.copy()
    values, observed = (part.values.double().numpy() - measure.level) / measure.scale, part.observed.numpy()
    for lead in range(HORIZON):
        rows, targets = [], []
        for origin in part.used_origins(CONTEXT).tolist():
            target = origin + lead + 1
            if observed[origin] and target < len(values) and observed[target]:
                window = [values[origin - back] if origin >= back else values[origin] for back in range(CONTEXT)][::-1]
                rows.append([*(np.array(window) - values[origin])[:-1], values[origin]])
                targets.append(values[target] - values[origin])
        X, y = np.array(rows), np.array(targets)
        read = weights > 0
        right = X[:, read].T @ (y - X[:, ~read] @ prior[~read, lead])
        penalty = np.diag(strength / weights[read] ** 2)
        maps[read, lead] = np.linalg.solve(X[:, read].T @ X[:, read] + penalty, right + penalty @ prior[read, lead])
    return maps


def sums_of(part):
    return RidgeSums(CONTEXT, HORIZON, [(part, Measure(0.3, 2.0))])


@pytest.mark.parametrize("strength", [0.5, 10.0, 1000.0])
@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("length", [120, CONTEXT + 2], ids=["whole windows", "windows that begin before the series"])
@pytest.mark.parametrize("ridge", [Ridge(CONTEXT, level=False), Ridge(CONTEXT // 2, level=True)])
def test_solution_is_the_ridge_of_every_lead(strength, missing, length, ridge):
    values = wave(n=length)
    observed = torch.rand(len(values), generator=torch.Generator().manual_seed(1)) >= missing
    part = stretch(values, observed, start=0)
    prior = torch.randn(CONTEXT, HORIZON, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    sums = sums_of(part)
    (ours,) = sums.solve(ridge.weights(CONTEXT), prior, [strength], refinements=40)
    expected = ridge_by_columns(part, sums.parts[0][1], ridge, prior.numpy(), strength)
    np.testing.assert_allclose(ours.numpy(), expected, atol=5e-4)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(ours.numpy(), 1.01 * expected, atol=5e-4)


def test_few_refinements_are_enough_for_scattered_holes():
    values = wave(n=600)
    observed = torch.rand(len(values), generator=torch.Generator().manual_seed(1)) >= 0.3
    part, ridge = stretch(values, observed), Ridge(CONTEXT, level=True)
    prior = torch.zeros(CONTEXT, HORIZON, dtype=torch.float64)
    sums = sums_of(part)
    (ours,) = sums.solve(ridge.weights(CONTEXT), prior, [10.0])
    expected = ridge_by_columns(part, sums.parts[0][1], ridge, prior.numpy(), 10.0)
    np.testing.assert_allclose(ours.numpy(), expected, atol=5e-3)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_a_strength_of_every_lead_solves_every_lead_by_its_own(missing):
    values = wave(n=200)
    observed = torch.rand(len(values), generator=torch.Generator().manual_seed(1)) >= missing
    sums, weights = sums_of(stretch(values, observed)), Ridge(CONTEXT, level=True).weights(CONTEXT)
    prior = torch.randn(CONTEXT, HORIZON, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    strengths = [1.0, 100.0, math.inf]
    (ours,) = sums.solve(weights, prior, [torch.tensor(strengths)])
    for lead, alone in enumerate(sums.solve(weights, prior, strengths)):
        torch.testing.assert_close(ours[:, lead], alone[:, lead])
        assert not torch.allclose(ours[:, lead - 1], alone[:, lead - 1])


def test_every_group_of_leads_has_the_strengths_that_are_best_for_it():
    """Against window by window errors of every strength, for each group and series."""
    horizon, context = 20, 12
    rng = np.random.default_rng(3)
    series = [torch.tensor(rng.normal(size=900).cumsum() + 3 * rng.normal(size=900)).float() for _ in range(2)]
    training = [Stretch(c, v, torch.ones(900, dtype=bool), torch.arange(11, 580)) for c, v in enumerate(series)]
    judges = [Stretch(c, v, torch.ones(900, dtype=bool), torch.arange(600, 880)) for c, v in enumerate(series)]
    report = LinearFloor(context, horizon, 0).fit(training, judges)
    measured = [part.measure() for part in training]
    pooled, judge = (
        RidgeSums(context, horizon, list(zip(parts, measured, strict=True))) for parts in (training, judges)
    )
    prior, errors = torch.zeros(context, horizon, dtype=torch.float64), []
    for strength in floor_module.COMMON_STRENGTHS:
        (one,) = pooled.mean_maps(report.ridges, prior, [strength])
        errors.append(sum((y - x @ one.float()).double().square().sum(0) for x, y, _ in judge.windows()))
    groups, by_lead = lead_groups(horizon), torch.stack(errors)
    assert groups.tolist() == [0] * 8 + [1] * 8 + [2] * 4
    best = [floor_module.COMMON_STRENGTHS[int(by_lead[:, groups == group].sum(1).argmin())] for group in range(3)]
    assert list(report.common_strengths) == best
    assert len(set(best)) > 1
    assert report.common_error == pytest.approx(
        sum(float(by_lead[:, groups == group].sum(1).min()) for group in range(3)) / (2 * 280 * horizon), rel=1e-4
    )


def test_infinite_strength_is_the_prior():
    prior = torch.ones(CONTEXT, HORIZON, dtype=torch.float64)
    (ours,) = sums_of(stretch(wave())).solve(torch.ones(CONTEXT), prior, [math.inf])
    assert torch.equal(ours, prior)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_errors_from_the_sums_are_those_of_the_windows(missing):
    values = wave()
    observed = torch.rand(len(values), generator=torch.Generator().manual_seed(1)) >= missing
    sums = sums_of(stretch(values, observed))
    maps = [torch.randn(CONTEXT, HORIZON, generator=torch.Generator().manual_seed(n)).double() for n in range(3)]
    for total, one in zip(sums.squared_errors(maps).sum(1), maps, strict=True):
        by_window = 0.0
        for inputs, targets, seen in sums.windows():
            by_window += float((targets - inputs @ one.float())[seen].square().sum())
        assert float(total) == pytest.approx(by_window, rel=1e-5)
        assert float(sums.window_errors([one]).sum()) == pytest.approx(by_window, rel=1e-5)


def test_the_floor_is_the_mean_of_its_ridges():
    sums, prior = sums_of(stretch(wave(n=300))), torch.zeros(CONTEXT, HORIZON, dtype=torch.float64)
    ridges = ridge_sets(CONTEXT)[-1]
    (mean,) = sums.mean_maps(ridges, prior, [10.0])
    alone = [sums.solve(ridge.weights(CONTEXT), prior, [10.0])[0] for ridge in ridges]
    torch.testing.assert_close(mean, sum(alone) / len(alone))


def test_a_short_context_joins_where_it_is_long_enough():
    assert [len(ridges) for ridges in ridge_sets(15)] == [1, 2]
    assert ridge_sets(16)[-1][-1] == Ridge(8, level=True)


def test_less_for_sure_asks_for_more_than_the_standard_error():
    others = torch.full((10,), 5.0)
    noise = torch.tensor([1.0, -1.0] * 5)
    assert is_less_for_sure(others - 1.0 + noise, others)
    assert not is_less_for_sure(others - 0.1 + noise, others)
    assert not is_less_for_sure(others, others)
    assert is_less_for_sure(others[:1] - 0.1, others[:1])
    assert not is_less_for_sure(others[:0], others[:0])
    both = torch.stack([others - 1.0 + noise, others - 0.1 + noise], dim=1)
    assert is_less_for_sure(both, others[:, None].expand(-1, 2)).tolist() == [True, False]


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


def test_floor_returns_to_the_level_of_a_series_that_does():
    rng = np.random.default_rng(0)
    values = np.zeros(3000)
    for step in range(1, len(values)):
        values[step] = 0.7 * values[step - 1] + rng.normal()
    series = torch.tensor(50.0 + values, dtype=torch.float32)
    floor = LinearFloor(CONTEXT, HORIZON, 1)
    report = floor.fit([stretch(series[:2000])], [stretch(series, start=1999)])
    assert Ridge(CONTEXT, level=True) in report.ridges
    assert float(floor.levels[0]) == pytest.approx(50.0, abs=0.3)
    past = torch.full((1, CONTEXT), 55.0)
    present = torch.ones_like(past, dtype=torch.bool)
    assert float(floor(past, present, torch.tensor([0]))[0, -1]) < 54.0
    torch.testing.assert_close(floor(past, present, torch.tensor([-1])), torch.full((1, HORIZON), 55.0))


def inputs_of(floor, past, codes):
    distance = past[:, -1] - floor.levels[torch.tensor(codes)]
    distance[torch.tensor(codes) >= floor.n_series] = 0.0
    return torch.cat([past[:, :-1] - past[:, -1:], distance[:, None]], dim=1)


def test_forward_is_the_map_of_the_series():
    floor, _, _, _, series = fitted(level=2.0)
    floor.own[0], floor.map_of_series[1] = torch.ones(CONTEXT, HORIZON), 0
    past = torch.stack([values[-CONTEXT:] for values in series] * 2)
    out = floor(past, torch.ones_like(past, dtype=torch.bool), torch.tensor([0, 1, 7, -1]))
    inputs = inputs_of(floor, past, [0, 1, 2, 2])
    assert (inputs[2:, -1] == 0).all()
    assert (inputs[:2, -1] != 0).all()
    maps = [floor.own[floor.map_of_series[0]] if floor.map_of_series[0] >= 0 else floor.common, floor.own[0]]
    maps += [floor.common, floor.common]
    for row, weights in enumerate(maps):
        torch.testing.assert_close(out[row], past[row, -1] + inputs[row] @ weights)


def test_forecast_follows_shift_and_scale():
    floor, *_, series = fitted(level=2.0)
    past = series[0][-CONTEXT:][None]
    present, code = torch.ones_like(past, dtype=torch.bool), torch.tensor([0])
    normalised = floor((past - 3) / 5, present, code, units=torch.tensor([[3.0, 5.0]]))
    torch.testing.assert_close(3 + 5 * normalised, floor(past, present, code))
    assert not torch.allclose(3 + 5 * floor((past - 3) / 5, present, code), floor(past, present, code))


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


def test_windows_cut_short_count_only_where_there_are_no_others():
    long, short = stretch(wave(), start=2), stretch(wave(n=7), start=2)
    assert int(long.used_origins(CONTEXT).min()) == CONTEXT - 1
    assert short.used_origins(CONTEXT).tolist() == [2, 3]
    padded = RidgeSums(CONTEXT, HORIZON, [(stretch(wave()), Measure(0.0, 1.0))])
    torch.testing.assert_close(RidgeSums(CONTEXT, HORIZON, [(long, Measure(0.0, 1.0))]).xx, padded.xx)


def test_constant_and_short_series_stay_defined():
    floor = LinearFloor(CONTEXT, HORIZON, 3)
    constant, short = torch.full((40,), 7.0), wave(n=4)
    training = [stretch(constant), stretch(short, code=1, start=0), stretch(wave(), code=2)]
    floor.fit(training, [stretch(wave(seed=9), code=2)])
    past = torch.full((1, CONTEXT), 7.0)
    out = floor(past, torch.ones_like(past, dtype=torch.bool), torch.tensor([0]))
    torch.testing.assert_close(out, torch.full((1, HORIZON), 7.0))


def test_a_series_that_was_never_observed_has_no_level():
    unseen = stretch(wave(level=50.0), observed=torch.zeros(120, dtype=torch.bool), code=1)
    floor = LinearFloor(CONTEXT, HORIZON, 2)
    floor.fit([stretch(wave(level=50.0)), unseen], [stretch(wave(level=50.0), start=90), stretch(wave(), code=1)])
    assert floor.has_level.tolist() == [True, False, False]
    past = torch.full((2, CONTEXT), 50.0)
    out = floor(past, torch.ones_like(past, dtype=torch.bool), torch.tensor([1, 5]))
    torch.testing.assert_close(out[0], out[1])


def test_series_without_training_windows_judge_nothing():
    walk = torch.randn(600, generator=torch.Generator().manual_seed(0)).cumsum(0)
    training, judges = [stretch(walk, stop=400)], [stretch(walk, start=400)]
    late = stretch(wave(n=40), code=1)
    reports = [
        LinearFloor(CONTEXT, HORIZON, 2).fit([*training, replace(late, origins=late.origins[:0])], [*judges, *more])
        for more in ([], [late])
    ]
    assert reports[0].naive_error == reports[1].naive_error


def test_windows_of_one_moment_share_a_block_wherever_their_series_begin():
    early, late = stretch(wave(n=200)), replace(stretch(wave(n=120), code=1), start=80)
    blocks = RidgeSums(CONTEXT, HORIZON, [(early, Measure(0.0, 1.0)), (late, Measure(0.0, 1.0))]).blocks()
    torch.testing.assert_close(blocks[0][-len(blocks[1]) :], blocks[1])


def test_when_time_is_up_series_stay_on_the_common_map():
    _, report, training, judges, _ = fitted(n_series=4)
    hurried = LinearFloor(CONTEXT, HORIZON, 4).fit(training, judges, seconds=0.0)
    assert report.own_strengths
    assert hurried.own_strengths == {}
    assert set(hurried.common_strengths) <= set(floor_module.COMMON_STRENGTHS)


def test_a_floor_from_before_there_were_levels_loads():
    floor, *_ = fitted()
    old = {name: value for name, value in floor.state_dict().items() if "level" not in name}
    loaded = LinearFloor(CONTEXT, HORIZON, 2)
    loaded.load_state_dict(old)
    assert not loaded.has_level.any()
    torch.testing.assert_close(loaded.common, floor.common)
    with pytest.raises(RuntimeError, match="own"):
        LinearFloor(CONTEXT, HORIZON, 2).load_state_dict({k: v for k, v in old.items() if k != "own"})


def test_a_random_walk_is_left_to_the_naive_forecast_unless_the_gain_is_sure():
    strengths = []
    for seed in range(12):
        walk = torch.randn(300, generator=torch.Generator().manual_seed(seed)).cumsum(0)
        floor = LinearFloor(CONTEXT, HORIZON, 0)
        strengths += floor.fit([stretch(walk, stop=200)], [stretch(walk, start=200)]).common_strengths
    assert sum(map(math.isinf, strengths)) >= 7  # a sure gain alone: without that, 2
