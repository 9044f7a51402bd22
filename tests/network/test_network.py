"""The network: shapes, alignment, what it reads, and its start at zero."""

from dataclasses import replace

import pytest
import torch

from hourglass_ts.errors import SettingsError
from hourglass_ts.network.network import (
    HourGlassNetwork,
    NetworkConfig,
    WindowScale,
    default_patch,
    example_batch,
)

CONFIG = NetworkConfig(
    context=20, horizon=4, n_outputs=(1, 3), patch=3, d_model=8, n_heads=2, d_ff=8, n_past=2, n_future=1, n_static=1
)


def shaken(config=CONFIG, seed=0):
    """A network whose zero-initialised heads have been moved, so that everything it reads shows."""
    torch.manual_seed(seed)
    network = HourGlassNetwork(config).eval()
    with torch.no_grad():
        for parameter in network.heads.parameters():
            parameter.add_(torch.randn_like(parameter))
    return network


def test_untrained_network_adds_nothing():
    network = HourGlassNetwork(CONFIG)
    assert (network(example_batch(CONFIG)) == 0).all()
    assert network(example_batch(CONFIG), target=1).shape == (2, 4, 3)


@pytest.mark.parametrize("context", range(1, 30))
@pytest.mark.parametrize("factors", [(1,), (2,), (3, 2), (2, 2)])
def test_origin_is_fresh_at_every_level(context, factors):
    config = replace(CONFIG, context=context, patch=1 if context < 3 else 3, shortening_factors=factors)
    assert (config.n_tokens - 1) % config.total_factor == 0
    assert config.n_tokens * config.patch >= config.context
    assert (config.n_tokens - config.total_factor) * config.patch < config.context + config.patch


@pytest.mark.parametrize("place", range(20))
def test_every_observed_step_is_read(place):
    network, batch = shaken(), example_batch(CONFIG)
    moved = batch.past.clone()
    moved[:, place] += 0.5
    assert (network(replace(batch, past=moved)) - network(batch)).abs().max() > 1e-6


@pytest.mark.parametrize("field", ["past_covariates", "future_covariates", "static"])
def test_covariates_are_read(field):
    network, batch = shaken(), example_batch(CONFIG)
    moved = replace(batch, **{field: getattr(batch, field) + 1.0})
    assert (network(moved) - network(batch)).abs().max() > 1e-5


def test_pads_are_not_read():
    network, batch = shaken(), example_batch(CONFIG)
    present = batch.present.clone()
    present[:, :7] = False
    batch = replace(batch, present=present, observed=present)
    past, covariates = batch.past.clone(), batch.past_covariates.clone()
    past[:, :7], covariates[:, :7] = 99.0, 99.0
    torch.testing.assert_close(network(replace(batch, past=past, past_covariates=covariates)), network(batch))


def test_flags_of_missing_values_are_read():
    network, batch = shaken(), example_batch(CONFIG)
    observed = batch.observed.clone()
    observed[:, 5] = False
    assert (network(replace(batch, observed=observed)) - network(batch)).abs().max() > 1e-6


def test_output_in_units_of_the_spread_is_blind_to_level_and_scale():
    network, batch = shaken(), example_batch(CONFIG)
    torch.testing.assert_close(network(replace(batch, past=100 * batch.past + 7)), network(batch), rtol=1e-2, atol=1e-3)


def test_level_features_show_level_and_scale():
    network = shaken(replace(CONFIG, level_features=True))
    batch = example_batch(CONFIG)
    assert (network(replace(batch, past=100 * batch.past + 7)) - network(batch)).abs().max() > 1e-2


def test_scale_of_an_empty_a_constant_and_a_partly_observed_window():
    batch = example_batch(CONFIG, batch_size=3)
    past, present = batch.past.clone(), batch.present.clone()
    present[0] = False
    past[1] = 3.0
    observed = present.clone()
    observed[2, :10] = False
    scale = WindowScale.of(replace(batch, past=past, present=present, observed=observed))
    assert scale.last[:, 0].tolist() == [0.0, 3.0, past[2, -1].item()]
    assert scale.spread[0, 0] == 1.0
    assert 0 < scale.spread[1, 0] < 0.02
    torch.testing.assert_close(scale.spread[2, 0], past[2, 10:].std(correction=0), rtol=1e-3, atol=1e-3)


def test_series_embedding_tells_series_apart_and_has_one_for_the_unseen():
    network = shaken(replace(CONFIG, n_series=2, series_dim=4))
    batch = example_batch(network.config)
    outs = [network(replace(batch, series=torch.tensor([code, code]))) for code in (0, 1, 2, -1, 99)]
    assert (outs[0] - outs[1]).abs().max() > 1e-5
    assert torch.equal(outs[2], outs[3])
    assert torch.equal(outs[2], outs[4])


def test_wrong_settings_come_in_one_error():
    with pytest.raises(SettingsError, match="3 problems"):
        NetworkConfig(context=0, horizon=-1, patch=5)


@pytest.mark.parametrize(("context", "patch"), [(1, 1), (14, 1), (52, 4), (60, 4), (168, 12), (512, 16)])
def test_default_patch(context, patch):
    assert default_patch(context) == patch
