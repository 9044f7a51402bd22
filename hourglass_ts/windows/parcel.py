"""Batches on their way from a loader's worker: sent in one piece, since sending many costs more than gathering them.

torch hands every tensor over as a file of its own, with a greeting between the processes each time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
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
        size, places = 0, []

        def place(part: Tensor) -> _Place:
            nonlocal size
            places.append((_Place(size, part.dtype, tuple(part.shape)), part))
            size += -(-part.element_size() * part.numel() // ALIGNMENT) * ALIGNMENT
            return places[-1][0]

        layout = _apply(self.batch, Tensor, place)
        flat = torch.empty(size, dtype=torch.uint8)
        for where, part in places:
            where.view(flat).copy_(part)
        return _unpack, (flat.numpy() if len(flat) <= MOST_BY_PIPE else flat, layout)


@dataclass(frozen=True)
class _Place:
    """Where in the one piece a part lies, and what it is."""

    offset: int
    dtype: torch.dtype
    shape: tuple[int, ...]

    def view(self, flat: Tensor) -> Tensor:
        """The part itself, in the memory of `flat`."""
        size = self.dtype.itemsize * math.prod(self.shape)
        return flat[self.offset : self.offset + size].view(self.dtype).view(self.shape)


def _unpack(sent: np.ndarray | Tensor, layout: Any) -> Any:
    flat = torch.as_tensor(sent)
    return _apply(layout, _Place, lambda place: place.view(flat))


def _apply(value: Any, leaf: type, change: Callable[[Any], Any]) -> Any:
    """The same nesting with every `leaf` changed."""
    if isinstance(value, leaf):
        return change(value)
    if isinstance(value, dict):
        return {name: _apply(part, leaf, change) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_apply(part, leaf, change) for part in value)
    return value
