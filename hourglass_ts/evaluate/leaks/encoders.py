"""The leak audit of a sequence encoder: no output may depend on a later input, or on another sequence of the batch."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from hourglass_ts.evaluate.leaks.result import AuditResult, Check, Finding

ROUNDING = 1e-9


def audit_encoder(
    module: Callable[[Tensor], Tensor], d_model: int, *, length: int = 24, batch_size: int = 3, seed: int = 0
) -> AuditResult:
    """Audit a module from (T, B, d_model) to (T, B, …): prefixes, gradients, and the rest of the batch.

    A module with parameters is copied, in float64, and stays as it is. Its encoding of a prefix must equal the first
    outputs of encoding the whole: a causal module that pools from the end can fail this, and cannot be streamed.

    Args:
        module: an `nn.Module` or a function.  length: T, the longest sequence tried.  batch_size: B.

    Example:
        >>> audit_encoder(lambda x: x.cumsum(0), 4).passed
        True
        >>> audit_encoder(lambda x: x.flip(0), 4).findings["check"].tolist()
        ['a prefix is encoded like the whole', 'no gradient by later inputs']
    """
    encode = copy.deepcopy(module).double().eval() if isinstance(module, nn.Module) else module
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(length, batch_size, d_model, generator=generator, dtype=torch.double)
    other = torch.randn(x.shape, generator=generator, dtype=torch.double)
    checks = [_prefix_check(encode, x), _gradient_check(encode, x, generator), _neighbour_check(encode, x, other)]
    if isinstance(encode, nn.Module):
        checks.append(_training_check(encode, x, other, seed))
    return AuditResult(tuple(checks))


def _prefix_check(encode: Callable[[Tensor], Tensor], x: Tensor) -> Check:
    name = "a prefix is encoded like the whole"
    with torch.no_grad():
        whole = encode(x)
        gaps = [_gap(encode(x[:n]), whole[:n]) for n in range(1, len(x) + 1)]
    worst = max(gaps)
    if worst <= ROUNDING:
        return Check("encoder", name, len(gaps))
    first = next(n for n, gap in enumerate(gaps, start=1) if gap > ROUNDING)
    text = f"largest difference; first for the prefix of {first} of {len(x)} steps"
    return Check("encoder", name, len(gaps), (Finding("encoder", name, effect=worst, detail=text),))


def _gap(one: Tensor, two: Tensor) -> float:
    if one.shape != two.shape:
        return float("inf")
    return float((one - two).abs().nan_to_num(nan=torch.inf).max())


def _gradient_check(encode: Callable[[Tensor], Tensor], x: Tensor, generator: torch.Generator) -> Check:
    name = "no gradient by later inputs"
    leaf = x.clone().requires_grad_()
    out = encode(leaf)
    if not out.requires_grad:
        return Check("encoder", name, 0, note="the output has no gradient")
    weights = torch.randn(out.shape[1:], generator=generator, dtype=torch.double)
    worst, place = 0.0, (0, 0)
    for step in range(min(len(out), len(x))):
        (gradient,) = torch.autograd.grad((out[step] * weights).sum(), leaf, retain_graph=True)
        later = gradient[step + 1 :].abs().amax(dim=(1, 2)) if step + 1 < len(x) else gradient.new_zeros(1)
        if float(later.max()) > worst:
            worst, place = float(later.max()), (step, step + 1 + int(later.argmax()))
    if worst == 0:
        return Check("encoder", name, len(x))
    text = f"largest derivative: output {place[0]} by input {place[1]}"
    return Check("encoder", name, len(x), (Finding("encoder", name, effect=worst, detail=text),))


def _neighbour_check(encode: Callable[[Tensor], Tensor], x: Tensor, other: Tensor) -> Check:
    name = "a sequence is encoded alike in any batch"
    with torch.no_grad():
        gap = _gap(encode(x)[:, :1], encode(torch.cat([x[:, :1], other[:, 1:]], dim=1))[:, :1])
    return _batch_check(name, gap, "largest difference when the rest of the batch changes")


def _training_check(encode: nn.Module, x: Tensor, other: Tensor, seed: int) -> Check:
    """As above, in training: the same seed draws the same dropout."""
    name = "no statistics of the batch in training"
    outputs = []
    for batch in (x, torch.cat([x[:, :1], other[:, 1:]], dim=1)):
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(seed)
            outputs.append(copy.deepcopy(encode).train()(batch)[:, :1])
    return _batch_check(name, _gap(*outputs), "largest difference in training when the rest of the batch changes")


def _batch_check(name: str, gap: float, text: str) -> Check:
    findings = (Finding("encoder", name, effect=gap, detail=text),) if gap > ROUNDING else ()
    return Check("encoder", name, 1, findings)
