"""Making a shortened sequence k times longer again: shortened token i serves the positions i·k … i·k + k − 1.

Position t thus reads the token that ended at floor(t / k)·k, never later than t. Nawrot et al. 2022,
https://arxiv.org/abs/2110.13711.
"""

from __future__ import annotations

from torch import Tensor, nn

from hourglass_ts.errors import SettingsError, raise_problems
from hourglass_ts.layers.attention import TransformerLayer, layer_problems, token_times
from hourglass_ts.layers.checks import check_shortened, check_tokens, size_problems


class NaiveUpSampling(nn.Module):
    """Repeat every token k times and cut to the length of the sequence before its shortening.

    `(ceil(length / k), batch, d_model)` in, `(length, batch, d_model)` out.

    Raises:
        SettingsError: `k` is no integer of at least 1.

    Example:
        >>> import torch
        >>> NaiveUpSampling(2)(torch.tensor([1.0, 3.0]).view(2, 1, 1), length=3).flatten()
        tensor([1., 1., 3.])
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        raise_problems(SettingsError, size_problems(k=k))
        self.k = k

    def forward(self, x: Tensor, length: int) -> Tensor:
        """Return `length` tokens."""
        check_tokens(x)
        check_shortened(x, self.k, length)
        return x.repeat_interleave(self.k, dim=0)[:length]


class LinearUpSampling(nn.Module):
    """Map every token to k tokens by one linear map, and cut to the length of the sequence before its shortening.

    `(ceil(length / k), batch, d_model)` in, `(length, batch, d_model)` out.

    Raises:
        SettingsError: `k` or `d_model` is no integer of at least 1.

    Example:
        >>> import torch
        >>> LinearUpSampling(k=3, d_model=8)(torch.zeros(4, 2, 8), length=10).shape
        torch.Size([10, 2, 8])
    """

    def __init__(self, k: int, d_model: int) -> None:
        super().__init__()
        raise_problems(SettingsError, size_problems(k=k, d_model=d_model))
        self.k = k
        self.d_model = d_model
        self.linear = nn.Linear(d_model, k * d_model)

    def forward(self, x: Tensor, length: int) -> Tensor:
        """Return `length` tokens."""
        check_tokens(x, self.d_model)
        check_shortened(x, self.k, length)
        return self.linear(x).unflatten(-1, (self.k, self.d_model)).transpose(1, 2).flatten(0, 1)[:length]


class AttentionBasedUpSampling(nn.Module):
    """Linear up-sampling plus the residual makes the queries u: `u + Attention(norm(u), x, x)`, then feed-forward.

    Query t sees the shortened tokens i with i·k <= t. `(ceil(seq_len / k), batch, d_model)` and a residual of
    `(seq_len, batch, d_model)` in, `(seq_len, batch, d_model)` out. `stride` is how many of the finest steps lie
    between two tokens of the residual; `window` counts finest steps, and where it holds no shortened token attention
    adds nothing.

    Raises:
        SettingsError: a size, dropout, window or name is wrong; all problems at once.

    Example:
        >>> import torch
        >>> up = AttentionBasedUpSampling(k=3, d_model=8, n_heads=2, d_ff=16)
        >>> up(torch.zeros(4, 2, 8), residual=torch.zeros(10, 2, 8)).shape
        torch.Size([10, 2, 8])
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
        self.linear = LinearUpSampling(k, d_model)
        self.layer = TransformerLayer(d_model, n_heads, d_ff, dropout, window=window, positions=positions, norm=norm)

    def forward(self, x: Tensor, residual: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """Return the tokens; `key_padding_mask`, `(batch, ceil(seq_len / k))`, marks the pads of `x` by True."""
        check_tokens(x, self.d_model, key_padding_mask)
        check_tokens(residual, self.d_model)
        return self.layer(
            self.linear(x, residual.shape[0]) + residual,
            x,
            times=token_times(residual, self.stride),
            context_times=token_times(x, self.stride * self.k),
            key_padding_mask=key_padding_mask,
        )
