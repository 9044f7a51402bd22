"""Looking into the network: what goes through each level of its hourglass, and where attention goes at the origin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hourglass_ts.layers.attention import CausalAttention
from hourglass_ts.layers.hourglass import HourGlass
from hourglass_ts.layers.upsampling import AttentionBasedUpSampling
from hourglass_ts.network.network import HourGlassNetwork
from hourglass_ts.windows.batch import WindowBatch

AT_ONCE = 256


@dataclass(frozen=True)
class Level:
    """The hourglasses of one resolution: where a factor of 1 shortens nothing, the next one within is of the same.

    What is known of a window turns back at the last of them: it takes the skip beside the shorter sequence or, at the
    innermost level, which has none, leaves through the last layer.
    """

    hourglasses: tuple[HourGlass, ...]

    @property
    def factor(self) -> int:
        """How many of the outermost tokens a token holds."""
        return self.hourglasses[0].stride

    @property
    def attentions(self) -> list[CausalAttention]:
        """Those of the layers that look at this level's tokens alone; resampling layers look at two levels."""
        layers = [layer for hourglass in self.hourglasses for layer in (*hourglass.pre, *hourglass.post)]
        return [layer.attention for layer in layers]


def levels(network: HourGlassNetwork) -> list[Level]:
    """The levels of the hourglass, outermost first."""
    found: list[list[HourGlass]] = [[]]
    hourglass: HourGlass | None = network.encoder
    while hourglass is not None:
        found[-1].append(hourglass)
        if hourglass.shorten is not None:
            found.append([])
        hourglass = hourglass.inner
    return [Level(tuple(part)) for part in found]


def network_outputs(network: HourGlassNetwork, batch: WindowBatch) -> Tensor:
    """What the network adds to the location of every window, in units of its spread: (B, H) in float64."""
    return torch.cat([network(part)[..., 0].double() for part in parts_of(batch)])


def level_effects(network: HourGlassNetwork, batch: WindowBatch, size: Tensor) -> np.ndarray:
    """How far `size` (B, 1) times the output moves when one level is silenced: mean absolute changes, (n_levels,).

    Silenced means that what turns back there is its mean over all windows, and so says nothing of any of them. What
    goes on to the levels within stays as it is.
    """
    usual, effects = network_outputs(network, batch), []
    for level in levels(network):
        with _silenced(level, _mean_at(level, network, batch)):
            effects.append(float(((network_outputs(network, batch) - usual) * size).abs().mean()))
    return np.array(effects)


def attention_weights(network: HourGlassNetwork, batch: WindowBatch) -> list[np.ndarray]:
    """For every level the weights (n_tokens,) that its last token gives to its tokens, oldest first; they sum to 1.

    The mean over windows, heads and layers.
    """
    return [_weights_at(level, network, batch) for level in levels(network)]


def parts_of(batch: WindowBatch) -> Iterator[WindowBatch]:
    """The windows of a batch, so many at once that memory stays small."""
    columns = [getattr(batch, field.name).split(AT_ONCE) for field in fields(WindowBatch)]
    return (WindowBatch(*part) for part in zip(*columns, strict=True))


def joined(batches: Sequence[WindowBatch]) -> WindowBatch:
    """The windows of several batches in one."""
    return WindowBatch(*[torch.cat([getattr(part, field.name) for part in batches]) for field in fields(WindowBatch)])


def picked(batch: WindowBatch, places: np.ndarray) -> WindowBatch:
    """The windows at `places` (n,) of a batch."""
    return WindowBatch(*[getattr(batch, field.name)[torch.from_numpy(places)] for field in fields(WindowBatch)])


def _mean_at(level: Level, network: HourGlassNetwork, batch: WindowBatch) -> Tensor:
    """What turns back at a level, (n_tokens, 1, d_model): the mean over the windows that have the token."""
    turn = level.hourglasses[-1]
    sums: list[Tensor] = []
    counts: list[Tensor] = []

    def add(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> None:
        tokens = output if turn.shorten is None else args[0]
        pads = kwargs["key_padding_mask"] if kwargs else args[1]
        sums.append(tokens.double().masked_fill(pads.T[..., None], 0.0).sum(1, keepdim=True))
        counts.append((~pads).sum(0)[:, None, None])

    watched = turn if turn.shorten is None else turn.shorten
    with _hooked(watched.register_forward_hook(add, with_kwargs=True)):
        network_outputs(network, batch)
    mean = torch.stack(sums).sum(0) / torch.stack(counts).sum(0).clamp(min=1)
    return mean.to(network.token.weight.dtype)


@contextmanager
def _silenced(level: Level, mean: Tensor) -> Iterator[None]:
    """Put `mean` (n_tokens, 1, d_model) in the place of what turns back at a level."""
    turn = level.hourglasses[-1]
    skipped: list[Tensor] = []

    def keep(_: nn.Module, args: tuple[Any, ...]) -> None:
        skipped.append(args[0])

    if turn.shorten is None or turn.upsample is None:
        handles = [turn.register_forward_hook(lambda _, args, output: mean.expand_as(output))]
    elif isinstance(turn.upsample, AttentionBasedUpSampling):
        handles = [
            turn.upsample.register_forward_pre_hook(lambda _, args: (args[0], mean.expand_as(args[1]), *args[2:]))
        ]
    else:  # the skip is added to its output, outside of any module
        handles = [
            turn.shorten.register_forward_pre_hook(keep),
            turn.upsample.register_forward_hook(lambda _, args, output: output + mean - skipped.pop()),
        ]
    with _hooked(*handles):
        yield


def _weights_at(level: Level, network: HourGlassNetwork, batch: WindowBatch) -> np.ndarray:
    weights: list[Tensor] = []

    def look(attention: CausalAttention, args: tuple[Any, ...], kwargs: dict[str, Any], _: Tensor) -> None:
        tokens, times = args[0], kwargs["times"]
        keys, _values = attention.keys_values(tokens, times)
        visible = attention.visible(times[-1:], times, kwargs["key_padding_mask"])
        seen = attention.weights(tokens[-1:], times[-1:], keys, visible)
        weights.append(seen.double().mean(1)[:, 0].sum(0))

    with _hooked(*[attention.register_forward_hook(look, with_kwargs=True) for attention in level.attentions]):
        network_outputs(network, batch)
    total = torch.stack(weights).sum(0)
    return (total / total.sum()).numpy()


@contextmanager
def _hooked(*handles: RemovableHandle) -> Iterator[None]:
    """Remove hooks at the end, whatever happens."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
