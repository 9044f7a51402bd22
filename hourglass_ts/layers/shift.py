"""Moving a sequence later in time, which is how every layer here keeps from seeing the future."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hourglass_ts.errors import Problem, SettingsError, raise_problems
from hourglass_ts.layers.checks import check_tokens, size_problems


class ShiftRight(nn.Module):
    """Move a sequence `shift` steps later and keep its length: output t is input t − shift.

    The first `shift` places are zeros or, with `learned_start`, parameters of width `d_model` that begin as zeros.
    `(seq_len, batch, d_model)` in and out. Nawrot et al. 2022, https://arxiv.org/abs/2110.13711.

    Raises:
        SettingsError: `shift` is no integer of at least 0, or a learned start has no `d_model`.

    Example:
        >>> ShiftRight(2)(torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)).flatten()
        tensor([0., 0., 1.])
    """

    def __init__(self, shift: int, d_model: int | None = None, learned_start: bool = False) -> None:
        super().__init__()
        problems = size_problems(0, shift=shift)
        if d_model is not None:
            problems += size_problems(d_model=d_model)
        elif learned_start:
            problems.append(Problem("learned_start=True without d_model", "its width", "Pass d_model."))
        raise_problems(SettingsError, problems)
        self.shift = shift
        self.d_model = d_model
        self.start = nn.Parameter(torch.zeros(shift, 1, d_model)) if learned_start and d_model is not None else None

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`, `shift` steps later."""
        check_tokens(x, self.d_model)
        if self.start is None:
            return prepend_zeros(x, self.shift)[: x.shape[0]]
        return torch.cat([self.start.to(x.dtype).expand(-1, x.shape[1], -1), x])[: x.shape[0]]


def prepend_zeros(x: Tensor, count: int) -> Tensor:
    """Lengthen `x` by `count` zeros (False, for a mask) in front of its first dimension.

    Example:
        >>> prepend_zeros(torch.tensor([1, 2, 3]), 2)
        tensor([0, 0, 1, 2, 3])
    """
    return torch.cat([x.new_zeros(count, *x.shape[1:]), x])
