"""The one causal attention, and the pre-norm transformer layer around it.

A token's place is its *time*, counted in the finest steps of the model: a token shortened by p stands at 0, p, 2p, ….
Causality, window and rotary distances all read times, so tokens of every level can attend to each other.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from hourglass_ts.errors import Problem, SettingsError, raise_problems
from hourglass_ts.layers.checks import check_tokens, choice_problems, dropout_problems, size_problems

POSITIONS = ("rotary", "none")
NORMS = ("layer", "rms")


class TransformerLayer(nn.Module):
    """Pre-norm transformer layer: `x + Attention(norm(x))`, then `x + FeedForward(norm(x))`.

    With a `context` the keys and values are the context as it is: `x + Attention(norm(x), context, context)`.
    `(seq_len, batch, d_model)` in and out; the arguments are those of `CausalAttention`, `d_ff` is the width inside the
    feed-forward part, and dropout acts there and on what both parts add. Pre-norm: Xiong et al. 2020,
    https://arxiv.org/abs/2002.04745.

    Raises:
        SettingsError: sizes, dropout, window or a name is wrong; all problems at once.

    Example:
        >>> TransformerLayer(d_model=8, n_heads=2, d_ff=16)(torch.zeros(5, 3, 8)).shape
        torch.Size([5, 3, 8])
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        d_ff: int,
        dropout: float = 0.0,
        *,
        window: int | None = None,
        positions: str = "rotary",
        norm: str = "layer",
    ) -> None:
        super().__init__()
        raise_problems(SettingsError, layer_problems(d_model, n_heads, d_ff, dropout, window, positions, norm))
        self.attention_norm = make_norm(norm, d_model)
        self.attention = CausalAttention(d_model, n_heads, window=window, positions=positions)
        self.feed_forward = nn.Sequential(
            make_norm(norm, d_model),
            nn.Linear(d_model, d_ff),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(d_ff, d_model),
        )
        # Not on the attention weights too: on the CPU that rules out the fused kernel, and training on 512 to 2,048
        # tokens takes 2 to 5 times as long.
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        times: Tensor | None = None,
        context_times: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
    ) -> Tensor:
        """Return the new `x`; the other arguments are those of `CausalAttention.forward`."""
        attended = self.attention(
            self.attention_norm(x),
            context,
            times=times,
            context_times=context_times,
            key_padding_mask=key_padding_mask,
        )
        x = x + self.dropout(attended)
        return x + self.dropout(self.feed_forward(x))


class CausalAttention(nn.Module):
    """Multi-head attention in which a query at time q sees the keys at times p <= q, and none other.

    With a `window` it sees q − window < p <= q, counted like the times. `positions="rotary"` turns queries and keys by
    their times (Su et al. 2021, https://arxiv.org/abs/2104.09864), so that only distances in time matter.
    `(seq_len, batch, d_model)` in and out. Where no key is visible, the output is zero.

    Raises:
        SettingsError: sizes, window or positions are wrong; all problems at once.

    Example:
        >>> attention = CausalAttention(d_model=8, n_heads=2)
        >>> x = torch.randn(6, 3, 8)
        >>> torch.allclose(attention(x)[:4], attention(x[:4]), atol=1e-6)
        True
    """

    def __init__(self, d_model: int, n_heads: int, *, window: int | None = None, positions: str = "rotary") -> None:
        super().__init__()
        raise_problems(SettingsError, attention_problems(d_model, n_heads, window, positions))
        self.d_model = d_model
        self.n_heads = n_heads
        self.window = window
        self.rotary = positions == "rotary"
        # No biases: a query that sees nothing must give exactly zero, through the output map too.
        self.query = nn.Linear(d_model, d_model, bias=False)
        self.key_value = nn.Linear(d_model, 2 * d_model, bias=False)
        self.output = nn.Linear(d_model, d_model, bias=False)

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        times: Tensor | None = None,
        context_times: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
    ) -> Tensor:
        """Let `x` attend to the tokens of `context`, or to itself.

        Args:
            x: queries, `(seq_len, batch, d_model)`.
            context: keys and values, `(context_len, batch, d_model)`; `x` when left out.
            times: `(seq_len,)`, increasing; 0, 1, 2, … when left out.
            context_times: `(context_len,)`, increasing; 0, 1, 2, … when left out. Read only with a context.
            key_padding_mask: `(batch, length of the keys)`, True = pad: seen by no query.
        """
        check_tokens(x, self.d_model, key_padding_mask if context is None else None)
        times = token_times(x) if times is None else times
        if context is None:
            source, source_times = x, times
        else:
            check_tokens(context, self.d_model, key_padding_mask)
            source, source_times = context, token_times(context) if context_times is None else context_times
        keys, values = self.keys_values(source, source_times)
        # Times increase, so for self-attention the rule "p <= q" is the triangle that torch needs no mask for.
        is_triangle = context is None and key_padding_mask is None and self.window is None
        visible = None if is_triangle else self.visible(times, source_times, key_padding_mask)
        return self.attend(x, times, keys, values, visible)

    def keys_values(self, context: Tensor, context_times: Tensor) -> tuple[Tensor, Tensor]:
        """Project a context to keys and values, each `(batch, n_heads, context_len, d_head)`; a stream keeps them."""
        keys, values = self.key_value(context).chunk(2, dim=-1)
        return self._place(self._split(keys), context_times), self._split(values)

    def visible(self, times: Tensor, key_times: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """Which query sees which key: `(queries, keys)`, or `(batch, 1, queries, keys)` with a padding mask."""
        visible = key_times <= times[:, None]
        if self.window is not None:
            visible = visible & (key_times > times[:, None] - self.window)
        return visible if key_padding_mask is None else visible & ~key_padding_mask[:, None, None, :]

    def attend(self, x: Tensor, times: Tensor, keys: Tensor, values: Tensor, visible: Tensor | None = None) -> Tensor:
        """Attend with `x` to projected keys and values; without `visible`, query i sees keys 0 … i."""
        queries = self._place(self._split(self.query(x)), times)
        if visible is None:
            mixed = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        else:
            # A softmax over nothing is NaN in some kernels: let such a query see all, then set its output to zero.
            blind = ~visible.any(dim=-1, keepdim=True)
            mixed = functional.scaled_dot_product_attention(queries, keys, values, visible | blind)
            mixed = mixed.masked_fill(blind, 0.0)
        return self.output(mixed.permute(2, 0, 1, 3).flatten(2))

    def weights(self, x: Tensor, times: Tensor, keys: Tensor, visible: Tensor) -> Tensor:
        """What `attend` weighs the values with, to be looked at: `(batch, n_heads, queries, keys)`."""
        queries = self._place(self._split(self.query(x)), times)
        scores = queries @ keys.transpose(-2, -1) / math.sqrt(keys.shape[-1])
        return scores.masked_fill(~visible, -math.inf).softmax(dim=-1).nan_to_num()  # nothing visible: NaN

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).permute(1, 2, 0, 3)

    def _place(self, x: Tensor, times: Tensor) -> Tensor:
        return rotate(x, times) if self.rotary else x


def token_times(x: Tensor, stride: int = 1) -> Tensor:
    """Times of the tokens of `x`, each `stride` of the finest steps after the one before: `(seq_len,)`."""
    return torch.arange(x.shape[0], device=x.device) * stride


def rotate(x: Tensor, times: Tensor) -> Tensor:
    """Turn each pair of features of `x`, `(..., seq_len, even width)`, by an angle proportional to its token's time.

    The scalar product of two rotated vectors depends on their times through the distance alone.

    Example:
        >>> rotate(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1]))
        tensor([[1.0000, 0.0000],
                [0.5403, 0.8415]])
    """
    # Angles reach thousands, which half precision cannot tell apart.
    dtype = torch.promote_types(x.dtype, torch.float32)
    half = x.shape[-1] // 2
    frequencies = 10_000.0 ** (-torch.arange(half, device=x.device, dtype=dtype) / half)
    angles = times.to(dtype)[:, None] * frequencies
    cos, sin = angles.cos(), angles.sin()
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1).to(x.dtype)


def make_norm(norm: str, d_model: int) -> nn.Module:
    """Build the normalisation named `"layer"` or `"rms"`."""
    # RMSNorm's own eps is the type's smallest step: a pad, which is zero, would get gradients of 1e8 in float64.
    return nn.LayerNorm(d_model) if norm == "layer" else nn.RMSNorm(d_model, eps=1e-5)


def layer_problems(
    d_model: int, n_heads: int, d_ff: int, dropout: float, window: int | None, positions: str, norm: str
) -> list[Problem]:
    """Everything wrong with the settings of a `TransformerLayer`."""
    problems = attention_problems(d_model, n_heads, window, positions) + size_problems(d_ff=d_ff)
    return problems + dropout_problems(dropout) + choice_problems(NORMS, norm=norm)


def attention_problems(d_model: int, n_heads: int, window: int | None, positions: str) -> list[Problem]:
    """Everything wrong with the settings of a `CausalAttention`."""
    problems = size_problems(d_model=d_model, n_heads=n_heads)
    if not problems and d_model % n_heads:
        found = f"d_model={d_model} with n_heads={n_heads}"
        problems.append(Problem(found, "n_heads to divide d_model", "Change one of them."))
    elif not problems and positions == "rotary" and d_model // n_heads % 2:
        found = f"heads of width d_model / n_heads = {d_model // n_heads}"
        problems.append(Problem(found, "an even width for rotary positions", 'Change one, or pass positions="none".'))
    if window is not None:
        problems += size_problems(window=window)
    return problems + choice_problems(POSITIONS, positions=positions)
