"""What every layer asks of its settings and its input, in one wording."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real

import torch
from torch import Tensor

from hourglass_ts.errors import DataError, Problem, raise_problems


def size_problems(least: int = 1, /, **sizes: object) -> list[Problem]:
    """One problem for each named size that is not an integer of at least `least`; a bool is not an integer here.

    Example:
        >>> [str(problem) for problem in size_problems(k=2, d_model=0)]
        ['Found d_model=0; expected an integer of at least 1. Change d_model.']
    """
    return [
        Problem(f"{name}={value!r}", f"an integer of at least {least}", f"Change {name}.")
        for name, value in sizes.items()
        if not is_integer(value) or value < least  # type: ignore[operator]
    ]


def choice_problems(choices: Sequence[str], **names: object) -> list[Problem]:
    """One problem for each named setting that is not among `choices`."""
    return [
        Problem(f"{name}={value!r}", f"one of {', '.join(map(repr, choices))}", f"Change {name}.")
        for name, value in names.items()
        if value not in choices
    ]


def dropout_problems(dropout: object) -> list[Problem]:
    """The problem, if any, of a share of values to drop."""
    if isinstance(dropout, Real) and not isinstance(dropout, bool) and 0 <= float(dropout) < 1:
        return []
    return [Problem(f"dropout={dropout!r}", "a number from 0 to below 1", "Change dropout.")]


def is_integer(value: object) -> bool:
    """Whether `value` is an integer and not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_tokens(x: Tensor, d_model: int | None = None, key_padding_mask: Tensor | None = None) -> None:
    """Check an input of a layer: tokens `(seq_len, batch, d_model)`, mask `(batch, seq_len)`, True = pad.

    Raises:
        DataError: the shape or the type is another one; all problems at once.
    """
    problems = []
    if x.dim() != 3 or x.shape[0] < 1 or (d_model is not None and x.shape[2] != d_model):
        width = "d_model" if d_model is None else f"d_model={d_model}"
        expected = f"(seq_len, batch, {width}) with seq_len of at least 1"
        problems.append(Problem(f"tokens of shape {tuple(x.shape)}", expected, "Put time first; see `transpose`."))
    if not x.is_floating_point():
        problems.append(Problem(f"tokens of {x.dtype}", "floating-point tokens", "Convert them, say with `.float()`."))
    if key_padding_mask is not None and key_padding_mask.dtype != torch.bool:
        found = f"a key_padding_mask of {key_padding_mask.dtype}"
        problems.append(Problem(found, "torch.bool, True = pad", "Convert it with `.bool()`."))
    if key_padding_mask is not None and x.dim() == 3 and key_padding_mask.shape != (x.shape[1], x.shape[0]):
        expected = f"(batch, seq_len) = {(x.shape[1], x.shape[0])}"
        found = f"a key_padding_mask of shape {tuple(key_padding_mask.shape)}"
        problems.append(Problem(found, expected, "Put batch first in the mask."))
    raise_problems(DataError, problems)


def check_shortened(x: Tensor, k: int, length: int) -> None:
    """Check that the tokens of `x` are as many as `length` tokens become when shortened by `k`.

    Raises:
        DataError: it is another number.
    """
    n_shortened = (length - 1) // k + 1
    if x.shape[0] != n_shortened:
        expected = f"{n_shortened}, which is {length} / {k} rounded up"
        step = "Pass the length of the sequence before its shortening."
        raise_problems(DataError, [Problem(f"{x.shape[0]} shortened tokens", expected, step)])
