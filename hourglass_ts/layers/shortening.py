"""Making a sequence k times shorter, so that shortened token i holds what happened up to time i·k and nothing later.

k − 1 zeros go in front, then every k tokens make a group: group i is the tokens (i−1)·k + 1 … i·k. Nothing is ever
padded on the right, so a sequence that grows changes no token it already has.
Nawrot et al. 2022, https://arxiv.org/abs/2110.13711.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hourglass_ts.errors import SettingsError, raise_problems
from hourglass_ts.layers.attention import TransformerLayer, layer_problems, token_times
from hourglass_ts.layers.checks import check_tokens, size_problems
from hourglass_ts.layers.shift import prepend_zeros


class AvgPoolShortening(nn.Module):
    """Shorten by the mean over the real tokens of each group; the mean of no real token is zero.

    `(seq_len, batch, d_model)` in, `(ceil(seq_len / k), batch, d_model)` out.

    Raises:
        SettingsError: `k` is no integer of at least 1.

    Example:
        >>> AvgPoolShortening(2)(torch.tensor([1.0, 2.0, 4.0, 9.0]).view(4, 1, 1)).flatten()
        tensor([1., 3.])
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        raise_problems(SettingsError, size_problems(k=k))
        self.k = k

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """Return the means; `key_padding_mask` is `(batch, seq_len)`, True = pad."""
        check_tokens(x, None, key_padding_mask)
        real = x.new_ones(x.shape[0], 1, dtype=torch.bool) if key_padding_mask is None else ~key_padding_mask.T
        n_real = group(real, self.k).sum(dim=1).clamp(min=1)
        return group(zero_pads(x, key_padding_mask), self.k).sum(dim=1) / n_real[..., None]


class LinearPoolingShortening(nn.Module):
    """Shorten by one linear map of the k concatenated tokens of each group; pads enter as zeros.

    `(seq_len, batch, d_model)` in, `(ceil(seq_len / k), batch, d_model)` out.

    Raises:
        SettingsError: `k` or `d_model` is no integer of at least 1.

    Example:
        >>> LinearPoolingShortening(k=3, d_model=8)(torch.zeros(10, 2, 8)).shape
        torch.Size([4, 2, 8])
    """

    def __init__(self, k: int, d_model: int) -> None:
        super().__init__()
        raise_problems(SettingsError, size_problems(k=k, d_model=d_model))
        self.k = k
        self.d_model = d_model
        self.linear = nn.Linear(k * d_model, d_model)

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """Return the mapped groups; `key_padding_mask` is `(batch, seq_len)`, True = pad."""
        check_tokens(x, self.d_model, key_padding_mask)
        groups = group(zero_pads(x, key_padding_mask), self.k)
        return self.linear(groups.transpose(1, 2).flatten(2))


class AttentionBasedShortening(nn.Module):
    """Shorten to group means s that then read the full sequence: `s + Attention(norm(s), x, x)`, then feed-forward.

    Shortened token i sees the tokens up to i·k. `(seq_len, batch, d_model)` in, `(ceil(seq_len / k), batch, d_model)`
    out. `stride` is how many of the finest steps lie between two tokens of `x`; `window` counts finest steps.

    Raises:
        SettingsError: a size, dropout, window or name is wrong; all problems at once.

    Example:
        >>> AttentionBasedShortening(k=3, d_model=8, n_heads=2, d_ff=16)(torch.zeros(10, 2, 8)).shape
        torch.Size([4, 2, 8])
    """

    def __init__(
        self,
        k: int,
        d_model: int,
        n_heads: int,
        d_ff: int,
        dropout: float = 0.0,
        *,
        window: int | None = None,
        positions: str = "rotary",
        norm: str = "layer",
        stride: int = 1,
    ) -> None:
        super().__init__()
        problems = layer_problems(d_model, n_heads, d_ff, dropout, window, positions, norm)
        raise_problems(SettingsError, size_problems(k=k, stride=stride) + problems)
        self.k = k
        self.d_model = d_model
        self.stride = stride
        self.pool = AvgPoolShortening(k)
        self.layer = TransformerLayer(d_model, n_heads, d_ff, dropout, window=window, positions=positions, norm=norm)

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """Return the shortened tokens; `key_padding_mask` is `(batch, seq_len)`, True = pad."""
        check_tokens(x, self.d_model, key_padding_mask)
        x = zero_pads(x, key_padding_mask)
        pooled = self.pool(x, key_padding_mask)
        return self.layer(
            pooled,
            x,
            times=token_times(pooled, self.stride * self.k),
            context_times=token_times(x, self.stride),
            key_padding_mask=key_padding_mask,
        )


def group(x: Tensor, k: int) -> Tensor:
    """Cut `(seq_len, …)` into groups that end at positions 0, k, 2k, …: `(ceil(seq_len / k), k, …)`.

    Example:
        >>> group(torch.tensor([1, 2, 3, 4, 5]), 3)
        tensor([[0, 0, 1],
                [2, 3, 4]])
    """
    return prepend_zeros(x, k - 1).unfold(0, k, k).movedim(-1, 1)


def shorten_padding_mask(key_padding_mask: Tensor, k: int) -> Tensor:
    """Mask of the shortened tokens, `(batch, ceil(seq_len / k))`: one is a pad where all its members are.

    Example:
        >>> shorten_padding_mask(torch.tensor([[True, True, True, False, False]]), 2)
        tensor([[ True,  True, False]])
    """
    return ~group(~key_padding_mask.T, k).any(dim=1).T


def zero_pads(x: Tensor, key_padding_mask: Tensor | None) -> Tensor:
    """Set the pads of `(seq_len, batch, d_model)` to zero, whatever they hold, NaN included.

    Example:
        >>> zero_pads(torch.tensor([1.0, float("nan")]).view(2, 1, 1), torch.tensor([[False, True]])).flatten()
        tensor([1., 0.])
    """
    return x if key_padding_mask is None else x.masked_fill(key_padding_mask.T[..., None], 0.0)
