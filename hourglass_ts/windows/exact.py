"""float32 arithmetic on many rows at once with the very bits that torch gives for one row alone.

Where another order of operations could decide a bit, the row in question is done again by torch itself.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

MOST_STEPS = 32_768  # torch splits longer sums among its threads
ERROR = 1e-12  # relative, of a float64 sum of so many numbers in another order; more than it ever is
HALF_MASK, HALF = 2**29 - 1, 2**28  # the bits that float32 has not, and their value midway between two of its numbers


def lines(first: Tensor, last: Tensor, steps: Tensor) -> Tensor:
    """(m, longest) the numbers of `torch.linspace` from `first` to `last` (m,) in `steps` (m,), anything after them.

    linspace counts from the nearer end, and rounds product and sum at once where the processor can.
    """
    place = torch.arange(int(steps.max()))
    found = torch.zeros(len(steps), len(place), dtype=first.dtype)
    in_doubt = torch.ones(len(steps), dtype=torch.bool)
    if first.is_floating_point() and int(steps.min()) > 1 and _rounds_once():
        is_front = place < (steps // 2)[:, None]
        count = torch.where(is_front, place, place - (steps - 1)[:, None])
        anchor = torch.where(is_front, first[:, None], last[:, None]).double()
        product = ((last - first) / (steps - 1)).double()[:, None] * count  # exact: 24 bits by fewer than 29
        exact = anchor + product
        found = exact.float()
        row, column = torch.nonzero(exact.view(torch.int64) & HALF_MASK == HALF, as_tuple=True)
        total, anchor, product = (part[row, column] for part in (exact, anchor, product))
        lost = (anchor - (total - (total - anchor))) + (product - (total - anchor))
        in_doubt = torch.zeros_like(in_doubt).index_put((row[lost != 0],), torch.tensor(True))
    for row in torch.nonzero(in_doubt)[:, 0].tolist():
        n = int(steps[row])
        found[row, :n] = torch.linspace(first[row].item(), last[row].item(), n, dtype=first.dtype)
    return found


@lru_cache(maxsize=1)
def _rounds_once() -> bool:
    """Whether this processor's linspace multiplies and adds with one rounding; without, most of these would differ."""
    return all(
        torch.linspace(0.1, last, 31)[place] == (torch.tensor(0.1).double() + step.double() * place).float()
        for last in (0.7, 1.3, 2.9, 7.7)
        for step in [(torch.tensor(last) - torch.tensor(0.1)) / 30]
        for place in range(15)
    )


def means(values: Tensor, begin: np.ndarray, end: np.ndarray, apart: np.ndarray) -> Tensor:
    """(B,) mean of each row of `values` (B, n) from `begin` to before `end`; rows of equal ends have equal begins.

    A float32 sum depends on its length and memory layout. So rows of one length go together; `apart` (B,) bool marks
    those whose numbers count as `values`' stride apart, the others as contiguous.
    """
    kinds = 2 * end + apart
    if (kinds == kinds[0]).all() and not apart[0]:
        return values[:, int(begin[0]) : int(end[0])].contiguous().mean(dim=-1)
    order = kinds.argsort()
    ordered = kinds[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    counts = np.diff(first, append=len(ordered)).tolist()
    rows = torch.from_numpy(order)
    parts = values.index_select(0, rows).split(counts)
    strided = _in_columns(values, rows).split(counts) if apart.any() else parts
    parted = [
        (strided if kind % 2 else parts)[place].narrow(1, start, kind // 2 - start).mean(dim=-1)
        for place, (kind, start) in enumerate(zip(ordered[first].tolist(), begin[order[first]].tolist(), strict=True))
    ]
    return torch.cat(parted)[torch.from_numpy(order.argsort())]


def _in_columns(values: Tensor, order: Tensor) -> Tensor:
    """Rows of a column `values` (B, n) of a wider array in that array's layout."""
    stride = values.stride(1)
    spread = torch.empty(len(order), values.shape[1], stride)
    spread[..., 0] = values.index_select(0, order)
    return spread[..., 0]


def deviations(values: Tensor, centre: Tensor, begin: np.ndarray, end: np.ndarray, apart: np.ndarray) -> Tensor:
    """(B,) standard deviation about `centre`, the mean, of each row from `begin` to before `end`; else as in `means`.

    torch has it for one row in two passes, the second in float64.
    """
    gaps = values.double() - centre.double()[:, None]
    if begin.max() > 0 or end.min() < values.shape[1]:
        place = np.arange(values.shape[1])
        gaps.masked_fill_(torch.from_numpy((place < begin[:, None]) | (place >= end[:, None])), 0)
    exact = (gaps.square_().sum(dim=-1) / torch.from_numpy(end - begin - 1)).sqrt()
    found = exact.float()
    in_doubt = _rounding_in_doubt(exact).numpy()
    for row in np.flatnonzero(in_doubt).tolist():
        own = values[row, begin[row] : end[row]]
        found[row] = torch.std(own if apart[row] else own.contiguous(), dim=-1)
    return found


def _rounding_in_doubt(exact: Tensor) -> Tensor:
    """Where a float64 number is so near the middle of two float32 numbers that `ERROR` could decide."""
    return (exact * (1 - ERROR)).float() != (exact * (1 + ERROR)).float()
