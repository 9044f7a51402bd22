"""The HourGlass written again, slowly: one sequence, one position, one head, one key at a time.

It has no batch, no padding and no mask: a token simply reads the list of those that it may read. It takes the weights
from the fast modules, and applies their maps, norms and feed-forward parts to one token at a time; everything that
concerns time is its own. Run it on modules in `eval`.
"""

from __future__ import annotations

import cmath
import math

import torch
from torch import Tensor

from hourglass_ts.layers.attention import CausalAttention, TransformerLayer
from hourglass_ts.layers.hourglass import HourGlass
from hourglass_ts.layers.shortening import AttentionBasedShortening, AvgPoolShortening, LinearPoolingShortening
from hourglass_ts.layers.upsampling import AttentionBasedUpSampling, LinearUpSampling, NaiveUpSampling

Tokens = list[Tensor]


def hourglass(model: HourGlass, tokens: Tokens, factors: list[int], step: int = 1) -> Tokens:
    """Encode one sequence; `step` is the product of the factors outside."""
    times = [t * step for t in range(len(tokens))]
    for layer in model.pre:
        tokens = transformer_layer(layer, tokens, times, tokens, times, is_self=True)
    if factors and factors[0] == 1:
        tokens = hourglass(model.inner, tokens, factors[1:], step)
    elif factors:
        inner = hourglass(model.inner, shorten(model.shorten, tokens, factors[0], step), factors[1:], step * factors[0])
        tokens = upsample_and_skip(model.upsample, inner, tokens, factors[0], step)
    for layer in model.post:
        tokens = transformer_layer(layer, tokens, times, tokens, times, is_self=True)
    return tokens


def shorten(layer: torch.nn.Module, tokens: Tokens, k: int, step: int = 1) -> Tokens:
    """Shortened token i is made of the tokens i·k − k + 1 … i·k, as far as they exist."""
    if isinstance(layer, AttentionBasedShortening):
        pooled = shorten(layer.pool, tokens, k)
        pooled_times = [i * k * step for i in range(len(pooled))]
        return transformer_layer(layer.layer, pooled, pooled_times, tokens, [t * step for t in range(len(tokens))])
    shortened = []
    for end in range(0, len(tokens), k):
        members = [tokens[t] if t >= 0 else None for t in range(end - k + 1, end + 1)]
        real = [member for member in members if member is not None]
        if isinstance(layer, AvgPoolShortening):
            shortened.append(sum(real) / len(real))
        elif isinstance(layer, LinearPoolingShortening):
            zero = torch.zeros_like(tokens[0])
            shortened.append(layer.linear(torch.cat([zero if member is None else member for member in members])))
    return shortened


def upsample(layer: torch.nn.Module, tokens: Tokens, k: int, length: int) -> Tokens:
    """Position t takes the token of floor(t / k)."""
    if isinstance(layer, NaiveUpSampling):
        return [tokens[t // k] for t in range(length)]
    if isinstance(layer, LinearUpSampling):
        return [layer.linear(tokens[t // k]).chunk(k)[t % k] for t in range(length)]
    raise TypeError(layer)


def upsample_and_skip(layer: torch.nn.Module, tokens: Tokens, skip: Tokens, k: int, step: int = 1) -> Tokens:
    """Up-sample, add the skip and, in the attention-based layer, let the sums read the shortened tokens."""
    pure = layer.linear if isinstance(layer, AttentionBasedUpSampling) else layer
    added = [u + s for u, s in zip(upsample(pure, tokens, k, len(skip)), skip, strict=True)]
    if not isinstance(layer, AttentionBasedUpSampling):
        return added
    times = [t * step for t in range(len(skip))]
    return transformer_layer(layer.layer, added, times, tokens, [i * k * step for i in range(len(tokens))])


def transformer_layer(
    layer: TransformerLayer,
    tokens: Tokens,
    times: list[int],
    context: Tokens,
    context_times: list[int],
    is_self: bool = False,
) -> Tokens:
    normed = [layer.attention_norm(token) for token in tokens]
    attended = attention(layer.attention, normed, times, normed if is_self else context, context_times)
    tokens = [token + a for token, a in zip(tokens, attended, strict=True)]
    return [token + layer.feed_forward(token) for token in tokens]


def attention(
    layer: CausalAttention, tokens: Tokens, times: list[int], context: Tokens, context_times: list[int]
) -> Tokens:
    """Each query reads, head by head, the list of keys that are not later than itself and inside the window."""
    d_model, width = layer.d_model, layer.d_model // layer.n_heads
    outputs = []
    for token, time in zip(tokens, times, strict=True):
        seen = [p for p, c in enumerate(context_times) if c <= time and (not layer.window or time - c < layer.window)]
        mixed = []
        for head in range(layer.n_heads):
            part = slice(head * width, (head + 1) * width)
            query = turn(layer, layer.query(token)[part], time)
            keys = [turn(layer, layer.key_value(context[p])[:d_model][part], context_times[p]) for p in seen]
            weights = [torch.exp((query * key).sum() / math.sqrt(width)) for key in keys]
            values = [layer.key_value(context[p])[d_model:][part] for p in seen]
            summed = [weight * value for weight, value in zip(weights, values, strict=True)]
            mixed.append(sum(summed) / sum(weights) if seen else torch.zeros_like(query))
        outputs.append(layer.output(torch.cat(mixed)))
    return outputs


def turn(layer: CausalAttention, vector: Tensor, time: int) -> Tensor:
    """Features j and j + half are one complex number, turned by time / 10000^(j / half)."""
    if not layer.rotary:
        return vector
    half = len(vector) // 2
    real, imaginary = [], []
    for j in range(half):
        turned = torch.complex(vector[j], vector[j + half]) * cmath.exp(1j * time / 10_000 ** (j / half))
        real.append(turned.real)
        imaginary.append(turned.imag)
    return torch.stack(real + imaginary)
