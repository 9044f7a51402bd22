from __future__ import annotations

import pytest
import torch

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.layers.upsampling import AttentionBasedUpSampling, LinearUpSampling, NaiveUpSampling
from tests.reference import hourglass as reference


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("build", [NaiveUpSampling, lambda k: LinearUpSampling(k, 8)], ids=["naive", "linear"])
def test_pure_up_sampling_equals_the_reference_at_every_length(build: object, k: int) -> None:
    torch.manual_seed(0)
    layer = build(k).double()
    for length in range(1, 2 * k + 3):
        x = torch.randn(-(-length // k), 2, 8, dtype=torch.double)
        slow = [torch.stack(reference.upsample(layer, list(x[:, b]), k, length)) for b in range(2)]
        torch.testing.assert_close(layer(x, length), torch.stack(slow, dim=1), atol=1e-12, rtol=0.0)


@pytest.mark.parametrize("window", [None, 1, 4])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_attention_up_sampling_equals_the_reference_at_every_length(k: int, window: int | None) -> None:
    torch.manual_seed(0)
    layer = AttentionBasedUpSampling(k, 8, 2, 16, stride=2, window=window).double()
    for length in range(1, 2 * k + 3):
        x = torch.randn(-(-length // k), 1, 8, dtype=torch.double)
        residual = torch.randn(length, 1, 8, dtype=torch.double)
        slow = reference.upsample_and_skip(layer, list(x[:, 0]), list(residual[:, 0]), k, step=2)
        torch.testing.assert_close(layer(x, residual)[:, 0], torch.stack(slow), atol=1e-12, rtol=0.0)


def test_comparison_with_the_reference_sees_another_order() -> None:
    x = torch.randn(2, 1, 8)
    fast = NaiveUpSampling(2)(x.flip(0), 4)[:, 0]
    assert not torch.allclose(fast, torch.stack(reference.upsample(NaiveUpSampling(2), list(x[:, 0]), 2, 4)))


def test_padded_shortened_tokens_are_not_attended() -> None:
    torch.manual_seed(0)
    layer = AttentionBasedUpSampling(2, 8, 2, 16).double()
    x, residual = torch.randn(4, 1, 8, dtype=torch.double), torch.randn(8, 1, 8, dtype=torch.double)
    mask = torch.tensor([[True, True, False, False]])
    y = layer(x, residual, mask)
    torch.testing.assert_close(y[4:], layer(x[2:], residual[4:]), atol=1e-12, rtol=0.0)
    assert y.isfinite().all()


@pytest.mark.parametrize(
    ("build_wrong", "message"),
    [
        (lambda: NaiveUpSampling(-2), "k=-2; expected an integer of at least 1"),
        (lambda: LinearUpSampling("2", 0), "2 problems"),
        (lambda: AttentionBasedUpSampling(0, 8, 3, 16, 2.0, stride=0), "4 problems"),
    ],
)
def test_wrong_settings_are_all_named(build_wrong: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build_wrong()


def test_wrong_inputs_are_named() -> None:
    x = torch.zeros(3, 1, 8)
    for length in [6, 10]:
        with pytest.raises(DataError, match=f"3 shortened tokens; expected {-(-length // 3)}, which is {length} / 3"):
            NaiveUpSampling(3)(x, length)
    with pytest.raises(DataError, match="3 shortened tokens"):
        AttentionBasedUpSampling(3, 8, 2, 16)(x, torch.zeros(10, 1, 8))
    with pytest.raises(DataError, match=r"tokens of shape \(3, 1, 8\); expected \(seq_len, batch, d_model=4\)"):
        LinearUpSampling(3, 4)(x, 9)
