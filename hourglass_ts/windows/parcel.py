"""Batches on their way from a loader's worker: sent in one piece, since sending many costs more than gathering them.

torch hands every tensor over as a file of its own, with a greeting between the processes each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

MOST_BY_PIPE = 2 * 2**20  # bytes; a bigger piece is faster in memory that both processes see
ALIGNMENT = 64  # bytes; every dtype can be viewed there, and processors read from there at once


class Parcel:
    """A batch that is pickled in one piece and unpickled as the batch itself.

    The batch is nested dicts, lists and tuples of contiguous CPU tensors; other things travel as they are.
    """

    def __init__(self, batch: Any) -> None:
        self.batch = batch

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        parts: list[Tensor] = []
        layout = _apply(self.batch, Tensor, lambda part: _Place(parts, part))
        flat = torch.empty(sum(_room(part) for part in parts), dtype=torch.uint8)
        offset = 0
        for part in parts:
            _view(flat, offset, part.dtype, part.shape).copy_(part)
            offset += _room(part)
        return _unpack, (flat.numpy() if len(flat) <= MOST_BY_PIPE else flat, layout)


class _Place:
    """Where in the one tensor a part lies."""

    def __init__(self, parts: list[Tensor], part: Tensor) -> None:
        self.offset = sum(_room(other) for other in parts)
        self.dtype, self.shape = part.dtype, tuple(part.shape)
        parts.append(part)


def _unpack(sent: np.ndarray | Tensor, layout: Any) -> Any:
    flat = torch.as_tensor(sent)
    return _apply(layout, _Place, lambda place: _view(flat, place.offset, place.dtype, place.shape))


def _apply(value: Any, leaf: type, change: Callable[[Any], Any]) -> Any:
    """The same nesting with every `leaf` changed."""
    if isinstance(value, leaf):
        return change(value)
    if isinstance(value, dict):
        return {name: _apply(part, leaf, change) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_apply(part, leaf, change) for part in value)
    return value


def _view(flat: Tensor, offset: int, dtype: torch.dtype, shape: Any) -> Tensor:
    size = dtype.itemsize * torch.Size(shape).numel()
    return flat[offset : offset + size].view(dtype).view(shape)


def _room(part: Tensor) -> int:
    return -(-part.element_size() * part.numel() // ALIGNMENT) * ALIGNMENT
