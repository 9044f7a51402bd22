"""Batches compared bit for bit: values, types, shapes, memory layout and the order of names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch


def parts(batch: Any) -> Iterator[tuple[str, Any]]:
    """Every tensor of a batch with a name; those of several targets one by one."""
    x, (target, weight) = batch
    for name, value in [*x.items(), ("target", target), ("weight", weight)]:
        if isinstance(value, (list, tuple)):
            yield from ((f"{name}[{number}]", part) for number, part in enumerate(value))
        else:
            yield name, value


def same_bits(one: Any, other: Any) -> bool:
    """NaN equals NaN, 0 does not equal -0, and None equals None alone."""
    if one is None or other is None:
        return one is other
    if one.dtype != other.dtype or one.shape != other.shape or one.is_contiguous() != other.is_contiguous():
        return False
    width = {4: torch.int32, 8: torch.int64}.get(one.element_size())
    return torch.equal(one.view(width) if width else one, other.view(width) if width else other)


def batches_differ(one: Any, other: Any) -> list[str]:
    """The names of what differs between two batches; a name that only one has counts."""
    left, right = list(parts(one)), list(parts(other))
    if [name for name, _ in left] != [name for name, _ in right]:
        return ["names"]
    return [name for (name, a), (_, b) in zip(left, right, strict=True) if not same_bits(a, b)]
