"""The causality rule, for every public layer and every pair of resamplers: no output depends on a later input."""

from __future__ import annotations

import importlib
import inspect
import itertools
import math
import pkgutil
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import hourglass_ts.layers
from hourglass_ts.layers import shortening
from hourglass_ts.layers.attention import CausalAttention, TransformerLayer
from hourglass_ts.layers.hourglass import SHORTENINGS, UPSAMPLINGS, HourGlass
from hourglass_ts.layers.shift import ShiftRight
from hourglass_ts.layers.shortening import AttentionBasedShortening, AvgPoolShortening, LinearPoolingShortening
from hourglass_ts.layers.upsampling import AttentionBasedUpSampling, LinearUpSampling, NaiveUpSampling

Encode = Callable[[Tensor], Tensor]
D_MODEL, N_HEADS, D_FF, K = 8, 2, 16, 3
PAIRS = list(itertools.product(SHORTENINGS, UPSAMPLINGS))
FACTORS = [[1], [2], [3], [2, 2], [2, 3], [3, 2, 2]]

# Class → (the layer, how it is called on x, the last input that output i may depend on).
CASES: dict[
    type[nn.Module], tuple[Callable[[], nn.Module], Callable[[nn.Module, Tensor], Tensor], Callable[[int], int]]
] = {
    ShiftRight: (lambda: ShiftRight(2), lambda m, x: m(x), lambda i: i - 2),
    CausalAttention: (lambda: CausalAttention(D_MODEL, N_HEADS), lambda m, x: m(x), lambda i: i),
    TransformerLayer: (lambda: TransformerLayer(D_MODEL, N_HEADS, D_FF), lambda m, x: m(x), lambda i: i),
    AvgPoolShortening: (lambda: AvgPoolShortening(K), lambda m, x: m(x), lambda i: i * K),
    LinearPoolingShortening: (lambda: LinearPoolingShortening(K, D_MODEL), lambda m, x: m(x), lambda i: i * K),
    AttentionBasedShortening: (
        lambda: AttentionBasedShortening(K, D_MODEL, N_HEADS, D_FF),
        lambda m, x: m(x),
        lambda i: i * K,
    ),
    NaiveUpSampling: (lambda: NaiveUpSampling(K), lambda m, x: m(x, len(x) * K), lambda i: i // K),
    LinearUpSampling: (lambda: LinearUpSampling(K, D_MODEL), lambda m, x: m(x, len(x) * K), lambda i: i // K),
    AttentionBasedUpSampling: (
        lambda: AttentionBasedUpSampling(K, D_MODEL, N_HEADS, D_FF),
        lambda m, x: m(x, torch.ones(len(x) * K, x.shape[1], D_MODEL, dtype=x.dtype)),
        lambda i: i // K,
    ),
    HourGlass: (lambda: HourGlass(N_HEADS, D_MODEL, 0.0, D_FF, [2, 3]), lambda m, x: m(x), lambda i: i),
}


def prefix_gap(encode: Encode, x: Tensor) -> float:
    """Largest difference between what a prefix of `x` gives and the first outputs of the whole, over all prefixes."""
    whole = encode(x)
    parts = [encode(x[:length]) for length in range(1, len(x) + 1)]
    return max((part - whole[: len(part)]).abs().max().item() for part in parts)


def gradients(encode: Encode, x: Tensor) -> Tensor:
    """Largest absolute derivative of output i (in a random direction) by input j: `(outputs, inputs)`."""
    x = x.detach().requires_grad_()
    y = encode(x)
    direction = torch.randn(y.shape[1:], dtype=torch.double).to(y.dtype)
    rows = [torch.autograd.grad((y[i] * direction).sum(), x, retain_graph=True)[0] for i in range(len(y))]
    return torch.stack([row.abs().amax(dim=(1, 2)) for row in rows])


def future_gradient(encode: Encode, x: Tensor, last_input: Callable[[int], int] = lambda i: i) -> float:
    """Largest derivative by an input later than the output may depend on."""
    table = gradients(encode, x)
    return max((table[i, max(last_input(i), -1) + 1 :].sum().item() for i in range(len(table))), default=0.0)


def make(seed: int, length: int, dtype: torch.dtype = torch.double) -> Tensor:
    return torch.randn(length, 2, D_MODEL, generator=torch.Generator().manual_seed(seed), dtype=torch.double).to(dtype)


def make_hourglass(
    factors: list[int], pair: tuple[str, str] = ("attention", "attention"), **options: object
) -> HourGlass:
    torch.manual_seed(0)
    model = HourGlass(N_HEADS, D_MODEL, 0.1, D_FF, factors, shortening=pair[0], upsampling=pair[1], **options)
    return model.double().eval()


def test_every_public_layer_has_a_case() -> None:
    modules = [
        importlib.import_module(f"hourglass_ts.layers.{info.name}")
        for info in pkgutil.iter_modules(hourglass_ts.layers.__path__)
    ]
    found = {
        layer
        for module in modules
        for name, layer in inspect.getmembers(module, inspect.isclass)
        if issubclass(layer, nn.Module) and layer.__module__ == module.__name__ and not name.startswith("_")
    }
    assert found == set(CASES)


@pytest.mark.parametrize("layer", CASES, ids=lambda layer: layer.__name__)
def test_layer_gives_a_prefix_what_it_gives_the_whole(layer: type[nn.Module]) -> None:
    build, call, last_input = CASES[layer]
    torch.manual_seed(0)
    module = build().double().eval()
    x = make(1, 4 * K + 1)
    assert prefix_gap(lambda x: call(module, x), x) <= 1e-12
    assert future_gradient(lambda x: call(module, x), x, last_input) == 0.0


@pytest.mark.parametrize("layer", CASES, ids=lambda layer: layer.__name__)
def test_layer_reads_the_last_input_that_it_may(layer: type[nn.Module]) -> None:
    """No test of leaks is worth much on a layer that reads too little: output i does use its last permitted input."""
    build, call, last_input = CASES[layer]
    torch.manual_seed(0)
    module = build().double().eval()
    table = gradients(lambda x: call(module, x), make(1, 4 * K + 1))
    assert all(table[i, last_input(i)] > 0 for i in range(len(table)) if last_input(i) >= 0)


@pytest.mark.parametrize("factors", FACTORS, ids=str)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_hourglass_gives_every_prefix_what_it_gives_the_whole(pair: tuple[str, str], factors: list[int]) -> None:
    model = make_hourglass(factors, pair)
    with torch.no_grad():
        assert prefix_gap(model, make(2, 3 * math.prod(factors))) <= 1e-12


@pytest.mark.parametrize("factors", FACTORS, ids=str)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_hourglass_has_no_gradient_from_later_inputs(pair: tuple[str, str], factors: list[int]) -> None:
    assert future_gradient(make_hourglass(factors, pair), make(3, 2 * math.prod(factors) + 1)) == 0.0


@pytest.mark.parametrize(
    "options",
    [
        {"window": 4},
        {"positions": "none"},
        {"norm": "rms"},
        {"layers_per_level": [2, 1, 2]},
        {"window": 1, "positions": "none"},
    ],
    ids=str,
)
def test_options_keep_the_rule(options: dict[str, object]) -> None:
    model = make_hourglass([2, 3], **options)
    assert prefix_gap(model, make(4, 18)) <= 1e-12
    assert future_gradient(model, make(4, 18)) == 0.0


@pytest.mark.parametrize("padded", [slice(0, 6), slice(14, None)], ids=["left", "right"])
def test_padding_masks_keep_the_rule(padded: slice) -> None:
    model = make_hourglass([2, 3])
    mask = torch.zeros(2, 18, dtype=torch.bool)
    mask[1, padded] = True
    assert prefix_gap(lambda x: model(x, mask[:, : len(x)]), make(5, 18)) <= 1e-12
    assert future_gradient(lambda x: model(x, mask[:, : len(x)]), make(5, 18)) == 0.0


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.1)], ids=str)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_other_types_keep_the_rule(pair: tuple[str, str], dtype: torch.dtype, tolerance: float) -> None:
    model = make_hourglass([2, 3], pair).to(dtype)
    assert prefix_gap(model, make(6, 13, dtype)) <= tolerance
    assert future_gradient(model, make(6, 13, dtype)) == 0.0


def pad_right(x: Tensor, count: int) -> Tensor:
    return torch.cat([x, x.new_zeros(count, *x.shape[1:])])


def pad_one_too_few(x: Tensor, count: int) -> Tensor:
    return torch.cat([x.new_zeros(max(count - 1, 0), *x.shape[1:]), x, x.new_zeros(min(count, 1), *x.shape[1:])])


@pytest.mark.parametrize("broken", [pad_right, pad_one_too_few])
@pytest.mark.parametrize("shorten", SHORTENINGS)
@pytest.mark.parametrize("factors", [factors for factors in FACTORS if factors != [1]], ids=str)
def test_both_helpers_see_a_pooling_that_is_padded_wrongly(
    monkeypatch: pytest.MonkeyPatch, factors: list[int], shorten: str, broken: Callable[[Tensor, int], Tensor]
) -> None:
    monkeypatch.setattr(shortening, "prepend_zeros", broken)
    model = make_hourglass(factors, (shorten, "linear"))
    x = make(7, 2 * math.prod(factors) + 1)
    assert prefix_gap(model, x) > 1e-6
    assert future_gradient(model, x) > 1e-6


def test_prefix_helper_sees_a_prefix_that_is_pooled_with_ceil_mode() -> None:
    """The common mistake: keep the length, then average partial groups. It is causal, yet not prefix-consistent."""

    def encode(x: Tensor) -> Tensor:
        shifted = ShiftRight(K - 1)(x).permute(1, 2, 0)
        return nn.functional.avg_pool1d(shifted, K, ceil_mode=True, count_include_pad=False).permute(2, 0, 1)

    assert prefix_gap(encode, make(8, 3 * K + 2)) > 1e-6


def test_helpers_see_an_attention_without_its_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        CausalAttention, "visible", lambda self, q, k, mask=None: torch.ones(len(q), len(k), dtype=torch.bool)
    )
    for pair in [("attention", "naive"), ("average", "attention")]:
        model = make_hourglass([3], pair)
        assert prefix_gap(model, make(9, 9)) > 1e-6
        assert future_gradient(model, make(9, 9)) > 1e-6


def test_helpers_are_quiet_on_the_identity_and_loud_on_a_mirror() -> None:
    x = make(10, 5)
    assert prefix_gap(lambda x: x, x) == future_gradient(lambda x: x * 1.0, x) == 0.0
    assert prefix_gap(lambda x: x.flip(0), x) > 0.1
    assert future_gradient(lambda x: x.flip(0), x) > 0.1
