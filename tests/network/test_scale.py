"""What a window is measured in, against slow loops, and in windows with little in them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hourglass_ts.network.network import HourGlassNetwork, NetworkConfig, example_batch
from hourglass_ts.network.scale import MIN_SPREAD, SCALES, WindowScale

CONFIG = NetworkConfig(context=20, horizon=4, patch=3, d_model=8, n_heads=2, d_ff=8)


def window(values, observed=None, present=None):
    """One window; what is present is observed unless it is said otherwise."""
    batch = example_batch(replace(CONFIG, context=len(values), patch=1), batch_size=1)
    present = [True] * len(values) if present is None else present
    observed = present if observed is None else observed
    masks = {"present": torch.tensor([present]), "observed": torch.tensor([observed])}
    return replace(batch, past=torch.tensor([values], dtype=torch.float32), **masks)


def holey_batch(level=0.0, seed=0):
    batch = example_batch(CONFIG, batch_size=16, seed=seed)
    draw = torch.rand(16, 20, generator=torch.Generator().manual_seed(seed))
    present = torch.arange(20) >= torch.arange(16)[:, None]
    return replace(batch, past=batch.past.cumsum(1) + level, present=present, observed=present & (draw > 0.3))


def spread(values):
    return np.sqrt(np.var(values) + MIN_SPREAD**2)


@pytest.mark.parametrize("level", [0.0, -1e3, 1e6])
def test_prefix_is_mean_and_deviation_of_what_was_seen_so_far(level):
    batch = holey_batch(level)
    scale = WindowScale.of(batch, "prefix")
    past, observed = batch.past.double().numpy(), batch.observed.numpy()
    for row in range(16):
        for t in range(20):
            seen = past[row, : t + 1][observed[row, : t + 1]]
            centre, size = (seen.mean(), spread(seen)) if len(seen) else (0.0, 1.0)
            assert scale.centre[row, t].item() == pytest.approx(centre, rel=1e-12, abs=1e-9)
            assert scale.scale[row, t].item() == pytest.approx(size, rel=1e-5)


def test_prefix_reads_nothing_later_to_the_last_bit():
    batch = holey_batch()
    scale = WindowScale.of(batch, "prefix")
    for t in range(20):
        past, observed = batch.past.clone(), batch.observed.clone()
        past[:, t + 1 :], observed[:, t + 1 :] = 1e4, ~observed[:, t + 1 :] & batch.present[:, t + 1 :]
        other = WindowScale.of(replace(batch, past=past, observed=observed), "prefix")
        assert torch.equal(other.centre[:, : t + 1], scale.centre[:, : t + 1])
        assert torch.equal(other.scale[:, : t + 1], scale.scale[:, : t + 1])


def test_robust_is_median_and_quartiles():
    batch = holey_batch()
    scale = WindowScale.of(batch, "robust")
    for row in range(15):
        seen = batch.past[row][batch.observed[row]].double().numpy()
        low, median, high = np.quantile(seen, [0.25, 0.5, 0.75])
        size = (high - low) / 1.3489795 if high > low else np.std(seen)
        assert scale.centre[row, 0].item() == pytest.approx(median, rel=1e-5)
        assert scale.scale[row, 0].item() == pytest.approx(np.hypot(size, MIN_SPREAD), rel=1e-4)


def test_robust_hardly_notices_an_outlier():
    values = [*np.sin(np.arange(15.0)), 1e6]
    robust, moments = WindowScale.of(window(values), "robust"), WindowScale.of(window(values), "last")
    assert 0.2 < robust.spread.item() < 2 < moments.spread.item()


def test_last_is_the_last_value_and_the_spread_of_what_was_seen():
    batch = holey_batch()
    scale = WindowScale.of(batch, "last")
    torch.testing.assert_close(scale.centre[:15], batch.past[:15, -1:])
    for row in range(15):
        assert scale.spread[row].item() == pytest.approx(spread(batch.past[row][batch.observed[row]].numpy()), rel=1e-5)


def test_series_leaves_windows_as_they_are():
    batch = holey_batch()
    assert torch.equal(WindowScale.of(batch, "series").apply(batch.past), batch.past)


LITTLE = {  # window: (centre at the origin by each way, spread)
    "empty": (window([7.0, 8.0, 9.0], present=[False] * 3), (0.0, 0.0, 0.0), 1.0),
    "one step": (window([3.0]), (3.0, 3.0, 3.0), MIN_SPREAD),
    "one seen": (window([5.0, 3.0, 3.0], observed=[False, True, False]), (3.0, 3.0, 3.0), MIN_SPREAD),
    "all holes": (window([3.0, 3.0], observed=[False, False]), (3.0, 0.0, 0.0), 1.0),
    "constant": (window([4.0] * 5), (4.0, 4.0, 4.0), MIN_SPREAD),
}


@pytest.mark.parametrize("name", LITTLE)
def test_windows_with_little_in_them_are_defined(name):
    batch, centres, size = LITTLE[name]
    for normalise, centre in zip(("last", "robust", "prefix"), centres, strict=True):
        scale = WindowScale.of(batch, normalise)
        assert scale.centre[0, -1].item() == centre
        assert scale.spread.item() == pytest.approx(size)
    context = batch.past.shape[1]
    for normalise in SCALES:
        torch.manual_seed(0)
        network = HourGlassNetwork(replace(CONFIG, context=context, patch=1, normalise=normalise, level_features=True))
        with torch.no_grad():
            network.heads[0].direct.weight.normal_()
        assert network(batch).isfinite().all()
        assert WindowScale.of(batch, normalise).apply(batch.past)[batch.observed].abs().le(1e3).all()
