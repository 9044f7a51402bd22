from __future__ import annotations

import pytest
import torch

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.layers.shift import ShiftRight, prepend_zeros


@pytest.mark.parametrize("shift", [0, 1, 3, 5, 9])
def test_output_is_the_input_some_steps_earlier(shift: int) -> None:
    x = torch.randn(5, 2, 8)
    y = ShiftRight(shift)(x)
    for t in range(5):
        assert torch.equal(y[t], x[t - shift] if t >= shift else torch.zeros(2, 8))


def test_learned_start_begins_as_zeros_and_learns() -> None:
    layer = ShiftRight(2, d_model=8, learned_start=True)
    x = torch.randn(5, 3, 8)
    assert torch.equal(layer(x), ShiftRight(2)(x))
    layer(x).sum().backward()
    assert torch.equal(layer.start.grad, torch.full((2, 1, 8), 3.0))
    torch.nn.init.ones_(layer.start)
    assert torch.equal(layer(x)[:3], torch.cat([torch.ones(2, 3, 8), x[:1]]))
    assert torch.equal(layer(x[:1]), torch.ones(1, 3, 8))


def test_prepended_zeros_keep_type_and_input() -> None:
    mask = torch.tensor([True, True])
    assert prepend_zeros(mask, 2).tolist() == [False, False, True, True]
    assert prepend_zeros(torch.ones(2, 3, dtype=torch.bfloat16), 1).dtype == torch.bfloat16
    assert mask.tolist() == [True, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shift": -1}, "Found shift=-1; expected an integer of at least 0. Change shift."),
        ({"shift": True}, "Found shift=True"),
        ({"shift": 1.0}, "Found shift=1.0"),
        ({"shift": 1, "learned_start": True}, "Pass d_model"),
        ({"shift": -1, "d_model": 0}, "2 problems"),
    ],
    ids=str,
)
def test_wrong_settings_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ShiftRight(**arguments)
    assert message in str(caught.value)


def test_wrong_input_is_named() -> None:
    with pytest.raises(DataError, match=r"tokens of shape \(5, 8\)"):
        ShiftRight(1)(torch.zeros(5, 8))
    with pytest.raises(DataError, match="d_model=8"):
        ShiftRight(1, d_model=8)(torch.zeros(5, 1, 7))
