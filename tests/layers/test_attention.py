from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.layers import attention as attention_module
from hourglass_ts.layers.attention import CausalAttention, TransformerLayer, rotate, token_times
from tests.reference import hourglass as reference


def build(seed: int = 0, **options: object) -> CausalAttention:
    torch.manual_seed(seed)
    return CausalAttention(8, 2, **options).double().eval()


def slow(layer: CausalAttention, x: Tensor, times: list[int], context: Tensor, context_times: list[int]) -> Tensor:
    columns = [
        torch.stack(reference.attention(layer, list(x[:, b]), times, list(context[:, b]), context_times))
        for b in range(x.shape[1])
    ]
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize("window", [None, 1, 3, 100])
@pytest.mark.parametrize("positions", ["rotary", "none"])
def test_self_attention_equals_the_reference(window: int | None, positions: str) -> None:
    layer = build(window=window, positions=positions)
    x = torch.randn(7, 2, 8, dtype=torch.double)
    times = list(range(0, 21, 3))
    torch.testing.assert_close(
        layer(x, times=torch.tensor(times)), slow(layer, x, times, x, times), atol=1e-12, rtol=0.0
    )


@pytest.mark.parametrize("window", [None, 2, 5])
@pytest.mark.parametrize(("step", "context_step"), [(3, 1), (1, 3), (2, 6)])
def test_cross_attention_equals_the_reference(step: int, context_step: int, window: int | None) -> None:
    layer = build(window=window)
    times, context_times = list(range(0, 13, step)), list(range(0, 13, context_step))
    x, context = (torch.randn(len(places), 2, 8, dtype=torch.double) for places in (times, context_times))
    fast = layer(x, context, times=torch.tensor(times), context_times=torch.tensor(context_times))
    torch.testing.assert_close(fast, slow(layer, x, times, context, context_times), atol=1e-12, rtol=0.0)


def test_comparison_with_the_reference_sees_a_wrong_time() -> None:
    layer = build()
    x = torch.randn(5, 1, 8, dtype=torch.double)
    assert not torch.allclose(layer(x), slow(layer, x, [0, 1, 2, 3, 5], x, [0, 1, 2, 3, 5]), atol=1e-6)


def test_masked_path_equals_the_fast_path() -> None:
    layer = build()
    x = torch.randn(9, 2, 8, dtype=torch.double)
    nothing_masked = torch.zeros(2, 9, dtype=torch.bool)
    torch.testing.assert_close(layer(x, key_padding_mask=nothing_masked), layer(x), atol=1e-12, rtol=0.0)


def test_fast_path_makes_no_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("a mask was made")

    monkeypatch.setattr(CausalAttention, "visible", refuse)
    x = torch.randn(4, 2, 8, dtype=torch.double)
    build()(x)
    for arguments in [{"context": x}, {"key_padding_mask": torch.zeros(2, 4, dtype=torch.bool)}]:
        with pytest.raises(AssertionError, match="a mask was made"):
            build()(x, **arguments)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_query_without_a_visible_key_gives_zero_and_finite_gradients(dtype: torch.dtype) -> None:
    layer = build().to(dtype)
    x = torch.randn(6, 2, 8, dtype=torch.double).to(dtype).requires_grad_()
    mask = torch.tensor([[True] * 6, [True, True, False, False, False, False]])
    y = layer(x, key_padding_mask=mask)
    y.float().square().sum().backward()
    assert torch.equal(y[:, 0], torch.zeros_like(y[:, 0]))
    assert torch.equal(y[:2, 1], torch.zeros_like(y[:2, 1]))
    assert y.isfinite().all()
    assert x.grad.isfinite().all()
    assert torch.equal(x.grad[:, 0], torch.zeros_like(x.grad[:, 0]))
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())


def test_autocast_gives_finite_values_and_gradients_near_those_of_float32() -> None:
    layer = build().float()
    x = torch.randn(6, 2, 8, requires_grad=True)
    mask = torch.tensor([[True] * 6, [True, True, False, False, False, False]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x, key_padding_mask=mask)
    y.float().sum().backward()
    assert y.dtype == torch.bfloat16
    assert x.grad.isfinite().all()
    torch.testing.assert_close(y.float(), layer(x, key_padding_mask=mask), atol=0.05, rtol=0.05)


def test_padded_keys_change_nothing() -> None:
    layer = build()
    x = torch.randn(7, 2, 8, dtype=torch.double)
    mask = torch.zeros(2, 7, dtype=torch.bool)
    mask[:, :3] = True
    other = x.clone()
    other[:3] = 100.0
    assert torch.equal(layer(x, key_padding_mask=mask)[3:], layer(other, key_padding_mask=mask)[3:])
    torch.testing.assert_close(layer(x, key_padding_mask=mask)[3:], layer(x[3:]), atol=1e-12, rtol=0.0)


def test_rotary_sees_distances_alone_and_none_sees_nothing() -> None:
    x = torch.randn(5, 2, 8, dtype=torch.double)
    times = token_times(x, 4)
    rotary, none = build(), build(positions="none")
    torch.testing.assert_close(rotary(x, times=times + 1000), rotary(x, times=times), atol=1e-12, rtol=0.0)
    assert not torch.allclose(rotary(x, times=times * 2), rotary(x, times=times), atol=1e-4)
    assert torch.equal(none(x, times=times * 2), none(x, times=times))


def test_rotation_keeps_length_and_type() -> None:
    x = torch.randn(3, 4, 6)
    torch.testing.assert_close(rotate(x, torch.arange(4) * 977).norm(dim=-1), x.norm(dim=-1))
    assert rotate(x.bfloat16(), torch.arange(4)).dtype == torch.bfloat16


def test_rotation_in_half_precision_tells_late_times_apart() -> None:
    x = torch.ones(2, 8, dtype=torch.bfloat16)
    turned = rotate(x, torch.tensor([4000, 4001]))
    assert not torch.equal(turned[0], turned[1])


def test_projected_keys_can_be_kept_and_extended() -> None:
    layer = build()
    x = torch.randn(6, 2, 8, dtype=torch.double)
    times = token_times(x)
    keys, values = (
        torch.cat(pair, 2)
        for pair in zip(*(layer.keys_values(x[i : i + 1], times[i : i + 1]) for i in range(6)), strict=True)
    )
    last = layer.attend(x[5:], times[5:], keys, values, layer.visible(times[5:], times))
    torch.testing.assert_close(last, layer(x)[5:], atol=1e-12, rtol=0.0)


def test_dropout_is_off_in_eval_and_seeded_in_training() -> None:
    layer = TransformerLayer(8, 2, 16, 0.5)
    x = torch.randn(6, 2, 8)
    results = []
    for seed in [0, 0, 1]:
        torch.manual_seed(seed)
        results.append(layer(x))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    layer.eval()
    assert torch.equal(layer(x), layer(x))


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_transformer_layer_equals_the_reference(norm: str) -> None:
    torch.manual_seed(0)
    layer = TransformerLayer(8, 2, 16, norm=norm).double()
    x, context = torch.randn(5, 1, 8, dtype=torch.double), torch.randn(2, 1, 8, dtype=torch.double)
    times, context_times = [0, 1, 2, 3, 4], [0, 3]
    itself = reference.transformer_layer(layer, list(x[:, 0]), times, list(x[:, 0]), times, is_self=True)
    torch.testing.assert_close(layer(x)[:, 0], torch.stack(itself), atol=1e-12, rtol=0.0)
    crossed = reference.transformer_layer(layer, list(x[:, 0]), times, list(context[:, 0]), context_times)
    fast = layer(x, context, times=torch.tensor(times), context_times=torch.tensor(context_times))
    torch.testing.assert_close(fast[:, 0], torch.stack(crossed), atol=1e-12, rtol=0.0)


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_norms_of_zeros_have_moderate_gradients(norm: str) -> None:
    x = torch.zeros(1, 1, 8, dtype=torch.double, requires_grad=True)
    attention_module.make_norm(norm, 8).double()(x)[..., 0].sum().backward()
    assert x.grad.abs().max() < 1000


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({"d_model": 9}, ["d_model=9 with n_heads=2; expected n_heads to divide d_model"]),
        ({"d_model": 6}, ["heads of width d_model / n_heads = 3"]),
        ({"n_heads": 0}, ["n_heads=0"]),
        ({"n_heads": True}, ["n_heads=True"]),
        ({"d_ff": 16.0}, ["d_ff=16.0"]),
        ({"dropout": 1.0}, ["dropout=1.0; expected a number from 0 to below 1"]),
        ({"dropout": math.nan}, ["dropout=nan"]),
        ({"dropout": False}, ["dropout=False"]),
        ({"window": 0}, ["window=0"]),
        ({"positions": "sine"}, ["positions='sine'; expected one of 'rotary', 'none'"]),
        ({"norm": None}, ["norm=None; expected one of 'layer', 'rms'"]),
        ({"d_model": 9, "d_ff": 0, "dropout": -1, "norm": "x"}, ["4 problems", "d_model=9", "d_ff=0", "dropout=-1"]),
    ],
    ids=str,
)
def test_wrong_settings_are_all_named(changes: dict[str, object], messages: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        TransformerLayer(**{"d_model": 8, "n_heads": 2, "d_ff": 16, **changes})
    assert all(message in str(caught.value) for message in messages)


def test_odd_heads_are_fine_without_rotation() -> None:
    assert CausalAttention(6, 2, positions="none")(torch.zeros(3, 1, 6)).shape == (3, 1, 6)


@pytest.mark.parametrize(
    ("x", "mask", "message"),
    [
        (torch.zeros(5, 8), None, r"tokens of shape \(5, 8\); expected \(seq_len, batch, d_model=8\)"),
        (torch.zeros(0, 2, 8), None, "seq_len of at least 1"),
        (torch.zeros(5, 2, 7), None, r"\(5, 2, 7\)"),
        (torch.zeros(5, 2, 8, dtype=torch.int64), None, "floating-point"),
        (torch.zeros(5, 2, 8), torch.zeros(5, 2, dtype=torch.bool), r"\(batch, seq_len\) = \(2, 5\)"),
        (torch.zeros(5, 2, 8), torch.zeros(2, 5), "True = pad"),
        (torch.zeros(5, 2, 7), torch.zeros(3, 5), "3 problems"),
    ],
)
def test_wrong_inputs_are_named(x: Tensor, mask: Tensor | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        CausalAttention(8, 2)(x, key_padding_mask=mask)
