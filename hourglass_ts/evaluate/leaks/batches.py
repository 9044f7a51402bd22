"""Windows that a network is tried on, alterations of them, and what its forecasts become."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_forecasting import TimeSeriesDataSet
from torch import Tensor, nn

from hourglass_ts.errors import Problem, SettingsError, raise_problem
from hourglass_ts.evaluate.leaks.trials import repeatable

Batch = dict[str, Any]
Call = Callable[[nn.Module, Batch], Any]

CANDIDATES = 256
REORDERED = 1e-4
"""Spreads of the prediction that batches of other shapes may round it by; those of one shape must agree to the bit."""


@dataclass
class NetworkTrial:
    """A model, its windows, and forecasts of altered copies of them."""

    model: nn.Module
    dataset: TimeSeriesDataSet
    items: list[Any]
    call: Call
    seed: int

    def __post_init__(self) -> None:
        self.x = self.batch(self.items)
        self.reference = self.predict(self.x)
        spread = float(self.reference.std())
        self.spread = spread if spread > 0 else 1.0
        self.rounding = REORDERED * self.spread + 1e-5 * float(self.reference.abs().max())

    def batch(self, items: Sequence[Any]) -> Batch:
        """Windows as the loader would give them."""
        return self.dataset._collate_fn(list(items))[0]

    def predict(self, x: Batch, seed: int | None = None) -> Tensor:
        """(B, …) forecasts, zero after each window's own last step; the same draws every time."""
        with torch.no_grad(), repeatable(self.seed if seed is None else seed):
            return prediction_of(self.call(self.model, copy.deepcopy(x)), x)

    def change(self, x: Batch) -> Tensor:
        """How far forecasts of altered windows lie from those of the windows themselves."""
        return distance(self.predict(x), self.reference)

    def generator(self) -> torch.Generator:
        """The same noise for every alteration."""
        return torch.Generator().manual_seed(self.seed)


def prediction_of(out: Any, x: Batch) -> Tensor:
    """(B, …) the prediction in an output, targets side by side, zero beyond `decoder_lengths`."""
    prediction = out["prediction"]
    if isinstance(prediction, (list, tuple)):
        prediction = torch.cat([part.reshape(*part.shape[:2], -1) for part in prediction], dim=-1)
    steps = int(x["decoder_lengths"].max())
    if prediction.ndim > 1 and prediction.shape[1] == steps:
        inside = torch.arange(steps) < x["decoder_lengths"][:, None]
        prediction = torch.where(inside.reshape(*inside.shape, *[1] * (prediction.ndim - 2)), prediction, 0.0)
    return prediction.double()


def distance(one: Tensor, two: Tensor) -> Tensor:
    """How far numbers lie apart; none where both are missing or infinite alike, infinite where one of them is."""
    alike = (one == two) | (one.isnan() & two.isnan())
    return torch.where(alike, 0.0, (one - two).abs().nan_to_num(nan=torch.inf))


def windows_of(dataset: TimeSeriesDataSet, windows: int, seed: int) -> list[Any]:
    """Windows of lengths as different as there are."""
    if windows < 2 or len(dataset) < 2:
        found = f"windows={windows} of {len(dataset)}"
        raise_problem(SettingsError, Problem(found, "two windows or more", "Pass more windows, or more data."))
    with repeatable(seed):
        items = [dataset[place] for place in _spaced(len(dataset), CANDIDATES)]
    kinds: dict[tuple[int, int], list[Any]] = {}
    for item in items:
        kinds.setdefault((int(item[0]["encoder_length"]), int(item[0]["decoder_length"])), []).append(item)
    different = [kinds[kind].pop(0) for kind in sorted(kinds)]
    chosen = [different[place] for place in _spaced(len(different), windows)]
    alike = [item for kind in kinds.values() for item in kind]
    return [*chosen, *[alike[place] for place in _spaced(len(alike), windows - len(chosen))]]


def _spaced(total: int, count: int) -> list[int]:
    """About `count` different places, evenly spaced."""
    return torch.linspace(0, total - 1, min(count, total)).long().unique().tolist() if total and count else []


def awake(model: nn.Module, seed: int) -> nn.Module:
    """A copy in evaluation, whose parameters of zeros are noise: what they are multiplied by would not be seen."""
    model = copy.deepcopy(model).cpu().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.numel() and not parameter.any():
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator).to(parameter.dtype))
    return model


def other_tensor(value: Any, generator: torch.Generator, n_levels: int = 2) -> Any:
    """Other values of the same kind: reals with noise of ten spreads, the next level of a category."""
    if isinstance(value, (list, tuple)):
        return [other_tensor(part, generator, n_levels) for part in value]
    if not value.is_floating_point():
        return (value + 1) % n_levels
    scale = 10 * (value.std().nan_to_num() if value.numel() > 1 else value.new_tensor(0.0)) + 1
    return value + scale * torch.randn(value.shape, generator=generator, dtype=value.dtype)


def where(mask: Tensor, other: Any, value: Any) -> Any:
    """`other` where a mask (B, 1) or (B, time) is true, else `value`; in every tensor of a list."""
    if isinstance(value, (list, tuple)):
        return [where(mask, one, two) for one, two in zip(other, value, strict=True)]
    return torch.where(mask.reshape(*mask.shape, *[1] * (value.ndim - 2)), other, value)
