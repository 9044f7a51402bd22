"""The network: shapes, alignment, what it reads, and its start at zero."""

from dataclasses import replace

import pytest
import torch

from hourglass_ts.errors import SettingsError
from hourglass_ts.network.network import (
    HourGlassNetwork,
    NetworkConfig,
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


@pytest.mark.parametrize("level_features", [False, True])
@pytest.mark.parametrize("place", [1, 8, 13, 19])
@pytest.mark.parametrize("normalise", ["prefix", "series", "last", "robust"])
def test_tokens_of_prefix_and_series_depend_on_no_later_value(normalise, place, level_features):
    config = replace(CONFIG, normalise=normalise, level_features=level_features)
    network, batch = shaken(config), example_batch(config)
    past, observed = batch.past.clone(), batch.observed.clone()
    past[:, place:] = 1e3 * torch.randn(2, 20 - place)
    observed[:, place + 1 :: 2] = False
    before, after = (what_the_encoder_reads(network, b) for b in (batch, replace(batch, past=past, observed=observed)))
    lead = config.n_tokens * config.patch - config.context
    earlier = (lead + place) // config.patch  # tokens that end before the place
    same = torch.equal(before[:, :earlier], after[:, :earlier])
    only_pads = earlier * config.patch <= lead
    assert same == (normalise in ("prefix", "series") or only_pads)
    assert not torch.equal(before[:, earlier:], after[:, earlier:])


def what_the_encoder_reads(network, batch):
    """The tokens, (B, n_tokens, d), with all that is added to them."""
    seen = []
    hook = network.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].transpose(0, 1)))
    network(batch)
    hook.remove()
    return seen[0].detach()


def test_an_unknown_way_to_normalise_is_refused():
    with pytest.raises(SettingsError, match=r"normalise='first'.*prefix"):
        replace(CONFIG, normalise="first")


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
