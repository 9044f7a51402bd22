from __future__ import annotations

import pytest
import torch
from torch import nn

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.layers.shortening import (
    AttentionBasedShortening,
    AvgPoolShortening,
    LinearPoolingShortening,
    group,
    shorten_padding_mask,
)
from tests.reference import hourglass as reference

LAYERS = {
    "average": AvgPoolShortening,
    "linear": lambda k: LinearPoolingShortening(k, 8),
    "attention": lambda k: AttentionBasedShortening(k, 8, 2, 16, stride=2, window=11),
}


def build(name: str, k: int) -> nn.Module:
    torch.manual_seed(0)
    return LAYERS[name](k).double().eval()


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("name", LAYERS)
def test_layer_equals_the_reference_at_every_length(name: str, k: int) -> None:
    layer = build(name, k)
    for length in range(1, 2 * k + 3):
        x = torch.randn(length, 1, 8, dtype=torch.double)
        slow = torch.stack(reference.shorten(layer, list(x[:, 0]), k, step=2))
        assert layer(x).shape == (-(-length // k), 1, 8)
        torch.testing.assert_close(layer(x)[:, 0], slow, atol=1e-12, rtol=0.0)


def test_comparison_with_the_reference_sees_another_factor() -> None:
    layer = build("average", 2)
    x = torch.randn(4, 1, 8, dtype=torch.double)
    assert not torch.allclose(layer(x)[:, 0], torch.stack(reference.shorten(layer, list(x[:, 0]), 3)))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("junk", [7.0, float("nan"), float("inf")])
def test_pads_count_for_nothing_whatever_they_hold(name: str, junk: float) -> None:
    k = 3
    layer = build(name, k)
    x = torch.randn(12, 3, 8, dtype=torch.double)
    mask = torch.zeros(3, 12, dtype=torch.bool)
    mask[0, :6] = mask[1, 7:] = True
    x[mask.T] = junk
    before = x.clone()
    y = layer(x, mask)
    torch.testing.assert_close(y[2:, 0], layer(x[6:, :1])[:, 0], atol=1e-12, rtol=0.0)
    torch.testing.assert_close(y[:3, 1], layer(x[:7, 1:2])[:, 0], atol=1e-12, rtol=0.0)
    torch.testing.assert_close(y[:, 2], layer(x[:, 2:])[:, 0], atol=1e-12, rtol=0.0)
    assert y.isfinite().all()
    assert torch.equal(x.nan_to_num(), before.nan_to_num())


def test_mean_is_over_real_members_and_zero_over_none() -> None:
    x = torch.tensor([5.0, 1.0, 2.0, 3.0, 4.0]).view(5, 1, 1)
    mask = torch.tensor([[True, True, False, True, True]])
    assert AvgPoolShortening(2)(x, mask).flatten().tolist() == [0.0, 2.0, 0.0]


@pytest.mark.parametrize("name", LAYERS)
def test_no_sequence_and_one_token(name: str) -> None:
    layer = build(name, 3)
    assert layer(torch.zeros(5, 0, 8, dtype=torch.double)).shape == (2, 0, 8)
    assert layer(torch.zeros(1, 2, 8, dtype=torch.double)).shape == (1, 2, 8)


@pytest.mark.parametrize(
    ("length", "groups"),
    [(1, [[0, 0, 1]]), (2, [[0, 0, 1]]), (3, [[0, 0, 1]]), (4, [[0, 0, 1], [2, 3, 4]]), (5, [[0, 0, 1], [2, 3, 4]])],
)
def test_groups_end_at_multiples_of_k(length: int, groups: list[list[int]]) -> None:
    assert group(torch.arange(1, length + 1), 3).tolist() == groups


def test_mask_is_true_where_all_members_are_pads() -> None:
    mask = torch.tensor([[True, True, True, True, False, False], [False, False, False, True, True, True]])
    assert shorten_padding_mask(mask, 3).tolist() == [[True, True], [False, False]]
    assert shorten_padding_mask(mask, 2).tolist() == [[True, True, False], [False, False, True]]


@pytest.mark.parametrize(
    ("build_wrong", "message"),
    [
        (lambda: AvgPoolShortening(0), "k=0; expected an integer of at least 1"),
        (lambda: AvgPoolShortening(2.0), "k=2.0"),
        (lambda: LinearPoolingShortening(True, -1), "2 problems"),
        (lambda: AttentionBasedShortening(0, 8, 3, 16, 2.0, stride=0), "4 problems"),
    ],
)
def test_wrong_settings_are_all_named(build_wrong: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build_wrong()


@pytest.mark.parametrize("name", LAYERS)
def test_wrong_inputs_are_named(name: str) -> None:
    with pytest.raises(DataError, match=r"tokens of shape \(5, 8\)"):
        build(name, 2)(torch.zeros(5, 8))
    with pytest.raises(DataError, match="Put batch first in the mask"):
        build(name, 2)(torch.zeros(5, 1, 8, dtype=torch.double), torch.zeros(5, 1, dtype=torch.bool))
