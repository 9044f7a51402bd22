"""The HourGlass: a transformer whose middle works on a shorter sequence, level within level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeGuard

from torch import Tensor, nn

from hourglass_ts.errors import Problem, SettingsError, raise_problems
from hourglass_ts.layers.attention import TransformerLayer, layer_problems, token_times
from hourglass_ts.layers.checks import check_tokens, choice_problems, size_problems
from hourglass_ts.layers.shortening import (
    AttentionBasedShortening,
    AvgPoolShortening,
    LinearPoolingShortening,
    shorten_padding_mask,
    zero_pads,
)
from hourglass_ts.layers.upsampling import AttentionBasedUpSampling, LinearUpSampling, NaiveUpSampling

SHORTENINGS = ("attention", "linear", "average")
UPSAMPLINGS = ("attention", "linear", "naive")


class HourGlass(nn.Module):
    """Recursive causal encoder: layers, shorten, an HourGlass on the other factors, up-sample plus the skip, layers.

    Output t depends on no input later than t, and does not change when the sequence grows. With no factors left it is a
    plain stack of layers; a factor of 1 shortens nothing, so that level has no skip either.
    Nawrot et al. 2022, https://arxiv.org/abs/2110.13711.

    Args:
        n_heads, d_model, dropout, d_ff: of every layer; see `TransformerLayer`.
        shortening_factors: one factor of at least 1 per level, outermost first.
        shortening: "attention", "linear" or "average", or one of these per level.
        upsampling: "attention", "linear" or "naive", or one of these per level.
        layers_per_level: how many layers before and after the inner part and in the middle, or one number per level and
            a last one for the middle.
        window: how far back attention sees, in steps of the input; everything when None.
        positions: "rotary" or "none".
        norm: "layer" or "rms".
        stride: how many of the finest time steps lie between two inputs; the inner levels are built with it.

    Attributes:
        total_factor: the product of all factors, K. At position t the deepest level is t mod K steps stale.

    Raises:
        SettingsError: an argument is wrong; all problems at once.

    Example:
        >>> import torch
        >>> model = HourGlass(2, 8, 0.1, 16, [2, 3])
        >>> model(torch.zeros(10, 4, 8)).shape, model.total_factor
        (torch.Size([10, 4, 8]), 6)
    """

    def __init__(
        self,
        n_heads: int,
        d_model: int,
        dropout: float,
        d_ff: int,
        shortening_factors: Sequence[int],
        *,
        shortening: str | Sequence[str] = "attention",
        upsampling: str | Sequence[str] = "attention",
        layers_per_level: int | Sequence[int] = 1,
        window: int | None = None,
        positions: str = "rotary",
        norm: str = "layer",
        stride: int = 1,
    ) -> None:
        super().__init__()
        problems = layer_problems(d_model, n_heads, d_ff, dropout, window, positions, norm)
        problems += level_problems(shortening_factors, shortening, upsampling, layers_per_level)
        raise_problems(SettingsError, problems + size_problems(stride=stride))
        factors = [int(factor) for factor in shortening_factors]
        shortenings, upsamplings = per_level(shortening, len(factors)), per_level(upsampling, len(factors))
        n_layers = per_level(layers_per_level, len(factors) + 1)
        settings: dict[str, Any] = {"d_model": d_model, "n_heads": n_heads, "d_ff": d_ff, "dropout": dropout}
        settings |= {"window": window, "positions": positions, "norm": norm}

        self.d_model = d_model
        self.stride = stride
        self.total_factor = math.prod(factors)
        self.factor = factors[0] if factors else 1
        self.pre = nn.ModuleList(TransformerLayer(**settings) for _ in range(n_layers[0]))
        self.shorten: nn.Module | None = None
        self.inner: HourGlass | None = None
        self.upsample: nn.Module | None = None
        self.post = nn.ModuleList()
        if self.factor > 1:
            self.shorten = make_shortening(shortenings[0], self.factor, settings | {"stride": stride})
            self.upsample = make_upsampling(upsamplings[0], self.factor, settings | {"stride": stride})
        if factors:
            self.inner = HourGlass(
                **settings,
                shortening_factors=factors[1:],
                shortening=shortenings[1:],
                upsampling=upsamplings[1:],
                layers_per_level=n_layers[1:],
                stride=stride * self.factor,
            )
            self.post.extend(TransformerLayer(**settings) for _ in range(n_layers[0]))

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """Encode `x`, `(seq_len, batch, d_model)`; pads come out as zeros.

        With `key_padding_mask`, `(batch, seq_len)`, True = pad, a sequence gives what it gives alone, when its pads
        stand at the end, or in front in a number that `total_factor` divides.

        Raises:
            DataError: the shape or the type of an input is wrong.
        """
        check_tokens(x, self.d_model, key_padding_mask)
        times = token_times(x, self.stride)
        x = zero_pads(x, key_padding_mask)
        for layer in self.pre:
            x = layer(x, times=times, key_padding_mask=key_padding_mask)
        if self.inner is not None:
            x = self._coarser(self.inner, x, key_padding_mask)
        for layer in self.post:
            x = layer(x, times=times, key_padding_mask=key_padding_mask)
        return zero_pads(x, key_padding_mask)

    def _coarser(self, inner: HourGlass, x: Tensor, key_padding_mask: Tensor | None) -> Tensor:
        if self.shorten is None or self.upsample is None:
            return inner(x, key_padding_mask)
        short_mask = None if key_padding_mask is None else shorten_padding_mask(key_padding_mask, self.factor)
        short = inner(self.shorten(x, key_padding_mask), short_mask)
        if isinstance(self.upsample, AttentionBasedUpSampling):
            return self.upsample(short, x, short_mask)
        return x + self.upsample(short, x.shape[0])


def make_shortening(name: str, k: int, settings: dict[str, Any]) -> nn.Module:
    """Build the shortening layer of that name."""
    if name == "attention":
        return AttentionBasedShortening(k, **settings)
    return LinearPoolingShortening(k, settings["d_model"]) if name == "linear" else AvgPoolShortening(k)


def make_upsampling(name: str, k: int, settings: dict[str, Any]) -> nn.Module:
    """Build the up-sampling layer of that name."""
    if name == "attention":
        return AttentionBasedUpSampling(k, **settings)
    return LinearUpSampling(k, settings["d_model"]) if name == "linear" else NaiveUpSampling(k)


def per_level(value: Any, n: int) -> list[Any]:
    """One value per level: those of a list, or the same one n times.

    Example:
        >>> per_level("linear", 2), per_level([1, 2, 1], 3)
        (['linear', 'linear'], [1, 2, 1])
    """
    return list(value) if is_list(value) else [value] * n


def is_list(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether `value` is a sequence and not a text."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def level_problems(factors: object, shortening: object, upsampling: object, layers_per_level: object) -> list[Problem]:
    """Everything wrong with the settings that may differ from level to level."""
    if not is_list(factors):
        found = f"shortening_factors={factors!r}"
        return [Problem(found, "a list of integers of at least 1", "Pass one factor per level, such as [2, 3].")]
    n = len(factors)
    return [
        *size_problems(**by_level("shortening_factors", factors)),
        *choice_problems(SHORTENINGS, **by_level("shortening", shortening)),
        *choice_problems(UPSAMPLINGS, **by_level("upsampling", upsampling)),
        *size_problems(**by_level("layers_per_level", layers_per_level)),
        *length_problems("shortening", shortening, n, "one per factor"),
        *length_problems("upsampling", upsampling, n, "one per factor"),
        *length_problems("layers_per_level", layers_per_level, n + 1, "one per factor and one for the middle"),
    ]


def by_level(name: str, value: object) -> dict[str, object]:
    """Name the values of a list one by one.

    Example:
        >>> by_level("layers_per_level", [1, 2])
        {'layers_per_level[0]': 1, 'layers_per_level[1]': 2}
    """
    return {f"{name}[{i}]": item for i, item in enumerate(value)} if is_list(value) else {name: value}


def length_problems(name: str, value: object, n: int, meaning: str) -> list[Problem]:
    """The problem, if any, of a list that has not one value per level."""
    if not is_list(value) or len(value) == n:
        return []
    return [Problem(f"{len(value)} values in {name}", f"{n}, {meaning}", "Pass that many, or a single value for all.")]
