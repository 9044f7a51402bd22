from __future__ import annotations

import copy
import io
import itertools
import math
import pickle

import pytest
import torch
from torch import Tensor

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.layers.hourglass import SHORTENINGS, UPSAMPLINGS, HourGlass
from tests.reference import hourglass as reference

PAIRS = list(itertools.product(SHORTENINGS, UPSAMPLINGS))
FACTORS = [[1], [2], [3], [2, 2], [2, 3], [3, 2, 2]]


def build(factors: list[int], pair: tuple[str, str] = ("attention", "attention"), **options: object) -> HourGlass:
    torch.manual_seed(0)
    return HourGlass(2, 8, 0.1, 16, factors, shortening=pair[0], upsampling=pair[1], **options).double().eval()


def sequences(*lengths: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(length, 8, generator=generator, dtype=torch.double) for length in lengths]


def pad(parts: list[Tensor], fronts: list[int], total: int, junk: float = 9.0) -> tuple[Tensor, Tensor]:
    """Batch `parts`, each behind its number of pads in `fronts`, with pads up to `total`: tokens and mask."""
    x = torch.full((total, len(parts), 8), junk, dtype=torch.double)
    mask = torch.ones(len(parts), total, dtype=torch.bool)
    for b, (part, front) in enumerate(zip(parts, fronts, strict=True)):
        x[front : front + len(part), b] = part
        mask[b, front : front + len(part)] = False
    return x, mask


def batch_gap(model: HourGlass, parts: list[Tensor], fronts: list[int], total: int, junk: float = 9.0) -> float:
    """Largest difference at a real position between a padded batch and each sequence alone."""
    y = model(*pad(parts, fronts, total, junk))
    return max(
        (y[front : front + len(part), b] - model(part[:, None])[:, 0]).abs().max().item()
        for b, (part, front) in enumerate(zip(parts, fronts, strict=True))
    )


def test_the_call_of_the_seed_works() -> None:
    model = HourGlass(4, 512, 0.1, 2048, [2, 3])
    assert model(torch.randn(10, 32, 512)).shape == (10, 32, 512)
    assert model.total_factor == 6


@pytest.mark.parametrize("factors", [*FACTORS, [], [1, 2]], ids=str)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_model_equals_the_reference(pair: tuple[str, str], factors: list[int]) -> None:
    model = build(factors, pair)
    for length in {1, math.prod(factors) + 2}:
        (x,) = sequences(length)
        with torch.no_grad():
            slow = torch.stack(reference.hourglass(model, list(x), factors))
            torch.testing.assert_close(model(x[:, None])[:, 0], slow, atol=1e-10, rtol=0.0)


@pytest.mark.parametrize(
    "options",
    [{"window": 4}, {"positions": "none"}, {"norm": "rms"}, {"layers_per_level": [2, 1, 2]}, {"window": 1}],
    ids=str,
)
def test_options_equal_the_reference(options: dict[str, object]) -> None:
    model = build([2, 3], **options)
    (x,) = sequences(11)
    slow = torch.stack(reference.hourglass(model, list(x), [2, 3]))
    torch.testing.assert_close(model(x[:, None])[:, 0], slow, atol=1e-10, rtol=0.0)


def test_comparison_with_the_reference_sees_other_factors_and_other_strides() -> None:
    (x,) = sequences(11)
    model = build([2, 2], ("average", "naive"))
    fast = model(x[:, None])[:, 0]
    for wrong in [
        reference.hourglass(model, list(x), [2, 3]),
        reference.hourglass(model, list(x), [2, 2], step=2),
        reference.hourglass(model, list(x.flip(0)), [2, 2]),
    ]:
        assert not torch.allclose(fast, torch.stack(wrong), atol=1e-6)


@pytest.mark.parametrize("factors", FACTORS, ids=str)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_sequence_gives_the_same_alone_and_in_any_batch(pair: tuple[str, str], factors: list[int]) -> None:
    model, total_factor = build(factors, pair), math.prod(factors)
    lengths = [1, total_factor, total_factor + 1, 2 * total_factor + 1]
    total = 3 * total_factor + 2
    fronts = [0, total_factor, 2 * total_factor, total_factor]
    with torch.no_grad():
        assert batch_gap(model, sequences(*lengths), [0] * 4, total) <= 1e-12
        assert batch_gap(model, sequences(*lengths), fronts, 4 * total_factor) <= 1e-12


@pytest.mark.parametrize("options", [{"window": 4}, {"positions": "none"}, {"norm": "rms"}], ids=str)
def test_options_keep_alone_equal_to_batched(options: dict[str, object]) -> None:
    assert batch_gap(build([2, 3], **options), sequences(5, 7, 13), [0, 6, 6], 19) <= 1e-12


def test_batch_helper_sees_pads_in_front_that_the_factor_does_not_divide() -> None:
    assert batch_gap(build([2, 3]), sequences(7), [1], 12) > 1e-6


@pytest.mark.parametrize("junk", [1e6, math.nan, math.inf])
def test_pads_come_out_as_zeros_whatever_they_hold(junk: float) -> None:
    model = build([2, 3])
    parts = sequences(5, 7)
    x, mask = pad(parts, [0, 6], 13, junk)
    x.requires_grad_()
    y = model(x, mask)
    y.square().sum().backward()
    assert batch_gap(model, parts, [0, 6], 13, junk) <= 1e-12
    assert torch.equal(y[mask.T], torch.zeros_like(y[mask.T]))
    assert torch.equal(x.grad[mask.T], torch.zeros_like(y[mask.T]))
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_batch_of_pads_is_zero_with_finite_gradients(norm: str, pair: tuple[str, str], dtype: torch.dtype) -> None:
    model = build([2, 3], pair, norm=norm, window=7).to(dtype).train()
    x = torch.randn(13, 2, 8).to(dtype).requires_grad_()
    mask = torch.tensor([[True] * 13, [True] * 6 + [False] * 7])
    y = model(x, mask)
    y.float().square().sum().backward()
    assert torch.equal(y[:, 0], torch.zeros_like(y[:, 0]))
    assert x.grad.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_all_parameters_learn() -> None:
    model = build([2, 3])
    model(sequences(13)[0][:, None]).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.15)], ids=str)
def test_other_types_are_near_float64(dtype: torch.dtype, tolerance: float) -> None:
    model = build([2, 3])
    x, mask = pad(sequences(5, 7), [0, 6], 13)
    exact = model(x, mask)
    y = copy.deepcopy(model).to(dtype)(x.to(dtype), mask)
    assert y.dtype == dtype
    assert (y.double() - exact).abs().max() <= tolerance
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = copy.deepcopy(model).float()(x.float(), mask)
    assert (y.double() - exact).abs().max() <= 0.15


def test_dropout_is_off_in_eval_and_seeded_in_training() -> None:
    model = build([2, 3])
    x = sequences(13)[0][:, None]
    assert torch.equal(model(x), model(x))
    model.train()
    results = []
    for seed in [0, 0, 1]:
        torch.manual_seed(seed)
        results.append(model(x))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_same_seed_makes_the_same_model() -> None:
    first, second = build([2, 3]), build([2, 3])
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("factors", FACTORS, ids=str)
def test_no_sequence_and_one_token(factors: list[int]) -> None:
    model = build(factors)
    assert model(torch.zeros(5, 0, 8, dtype=torch.double)).shape == (5, 0, 8)
    assert model(torch.zeros(5, 0, 8, dtype=torch.double), torch.zeros(0, 5, dtype=torch.bool)).shape == (5, 0, 8)
    assert model(torch.zeros(1, 2, 8, dtype=torch.double)).shape == (1, 2, 8)


def test_input_is_not_changed() -> None:
    x, mask = pad(sequences(5, 7), [0, 6], 13)
    before = x.clone(), mask.clone()
    build([2, 3])(x, mask)
    assert torch.equal(x, before[0])
    assert torch.equal(mask, before[1])


def test_copies_give_the_same_numbers() -> None:
    model = build([3, 2])
    x = sequences(13)[0][:, None]
    stored = io.BytesIO()
    torch.save(model.state_dict(), stored)
    stored.seek(0)
    loaded = HourGlass(2, 8, 0.1, 16, [3, 2]).double().eval()
    loaded.load_state_dict(torch.load(stored, weights_only=True))
    model(x)
    for twin in [pickle.loads(pickle.dumps(model)), copy.deepcopy(model), loaded]:
        assert torch.equal(twin(x), model(x))


@pytest.mark.parametrize("masked", [False, True])
def test_compiled_and_exported_models_give_the_same_numbers(masked: bool) -> None:
    model = build([2, 3], ("attention", "linear"))
    x, mask = pad(sequences(5, 7, 13), [0, 6, 0], 13)
    arguments = (x, mask) if masked else (x,)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*arguments), model(*arguments), atol=1e-12, rtol=0.0)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(model, arguments, dynamic_shapes=({1: batch}, {0: batch})[: len(arguments)])
    fewer = (x[:, :2], mask[:2])[: len(arguments)]
    torch.testing.assert_close(exported.module()(*fewer), model(*fewer), atol=1e-12, rtol=0.0)


def test_each_level_has_its_own_resamplers_layers_and_stride() -> None:
    model = HourGlass(
        2,
        8,
        0.0,
        16,
        [2, 1, 3],
        shortening=["linear", "average", "attention"],
        upsampling=["naive", "naive", "linear"],
        layers_per_level=[1, 2, 3, 4],
        stride=5,
    )
    levels = [model, model.inner, model.inner.inner, model.inner.inner.inner]
    assert [type(level.shorten).__name__ for level in levels] == [
        "LinearPoolingShortening",
        "NoneType",
        "AttentionBasedShortening",
        "NoneType",
    ]
    assert [type(level.upsample).__name__ for level in levels] == [
        "NaiveUpSampling",
        "NoneType",
        "LinearUpSampling",
        "NoneType",
    ]
    assert [(len(level.pre), len(level.post)) for level in levels] == [(1, 1), (2, 2), (3, 3), (4, 0)]
    assert [level.stride for level in levels] == [5, 10, 10, 30]
    assert [level.total_factor for level in levels] == [6, 3, 3, 1]
    assert model(torch.zeros(7, 1, 8)).shape == (7, 1, 8)


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({"shortening_factors": [2, 0]}, ["shortening_factors[1]=0; expected an integer of at least 1"]),
        ({"shortening_factors": [True]}, ["shortening_factors[0]=True"]),
        ({"shortening_factors": [2.0, -1]}, ["2 problems", "shortening_factors[0]=2.0", "shortening_factors[1]=-1"]),
        ({"shortening_factors": 2}, ["shortening_factors=2; expected a list"]),
        ({"shortening_factors": "23"}, ["shortening_factors='23'; expected a list"]),
        ({"n_heads": 3}, ["d_model=8 with n_heads=3"]),
        ({"dropout": 1}, ["dropout=1"]),
        ({"d_ff": 0}, ["d_ff=0"]),
        ({"stride": 0}, ["stride=0"]),
        ({"window": -4}, ["window=-4"]),
        ({"shortening": "mean"}, ["shortening='mean'; expected one of 'attention', 'linear', 'average'"]),
        (
            {"upsampling": ["naive", "nearest"]},
            ["upsampling[1]='nearest'; expected one of 'attention', 'linear', 'naive'"],
        ),
        ({"shortening": ["linear"]}, ["1 values in shortening; expected 2"]),
        ({"layers_per_level": [1, 1]}, ["2 values in layers_per_level; expected 3"]),
        ({"layers_per_level": 0}, ["layers_per_level=0"]),
        (
            {"shortening_factors": [0], "n_heads": 3, "dropout": 2, "norm": "batch", "upsampling": None, "window": 0},
            [
                "6 problems",
                "shortening_factors[0]=0",
                "n_heads=3",
                "dropout=2",
                "'batch'",
                "upsampling=None",
                "window=0",
            ],
        ),
    ],
    ids=str,
)
def test_wrong_settings_are_all_named(changes: dict[str, object], messages: list[str]) -> None:
    settings = {"n_heads": 2, "d_model": 8, "dropout": 0.1, "d_ff": 16, "shortening_factors": [2, 3]}
    with pytest.raises(SettingsError) as caught:
        HourGlass(**{**settings, **changes})
    assert all(message in str(caught.value) for message in messages)


@pytest.mark.parametrize(
    ("x", "mask", "message"),
    [
        (torch.zeros(5, 8), None, r"tokens of shape \(5, 8\); expected \(seq_len, batch, d_model=8\)"),
        (torch.zeros(8, 5, 2), None, "Put time first"),
        (torch.zeros(0, 2, 8), None, "seq_len of at least 1"),
        (torch.zeros(5, 2, 8), torch.zeros(5, 2, dtype=torch.bool), r"shape \(5, 2\); expected .* = \(2, 5\)"),
        (torch.zeros(5, 2, 8), torch.zeros(2, 5), "expected torch.bool"),
    ],
)
def test_wrong_inputs_are_named(x: Tensor, mask: Tensor | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        HourGlass(2, 8, 0.0, 16, [2])(x, mask)
