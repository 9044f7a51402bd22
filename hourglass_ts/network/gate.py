"""The gate: how much of what the network adds to the floor has earned its place in the forecast."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_TIME_BLOCKS = 8
MOMENTS_PER_HORIZON = 4
STUDENT_POINTS = (318.309, 22.327, 10.215, 7.173, 5.893, 5.208)
"""The 99.9 % points of Student's t with 1 to 6 degrees of freedom."""


def evidence_blocks(time: Tensor, series: Tensor, horizon: int) -> Tensor:
    """(n,) the block of each window, from the step of its origin and its series (n,): two horizons of time are one.

    Windows of one block overlap, or share their time: one sample. Where there are fewer than eight such blocks, every
    series' windows of a block are a sample.
    """
    _, block = time.div(2 * horizon, rounding_mode="floor").unique(return_inverse=True)
    if len(block) and block.max() + 1 < MIN_TIME_BLOCKS:
        block = block + series * len(block)
    return block


def window_evidence(residual: Tensor, error: Tensor, absolute: bool) -> tuple[Tensor, Tensor]:
    """Σ w r·e and Σ w r·r of each window (n,), from the network's correction r and what the floor missed e (n, H).

    For squared errors w is 1. For absolute ones it is 1 / (|e| + |e − r|): then Σ w (e² − (e − r)²) is
    Σ (|e| − |e − r|), so the squares say of floor and network what absolute errors say, and no outlier decides alone.

    Example:
        >>> window_evidence(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 4.0]]), absolute=False)
        (tensor([9.]), tensor([5.]))
    """
    weight = 1.0 / (error.abs() + (error - residual).abs()) if absolute else torch.ones_like(error)
    weight = weight.where(residual != 0, 0.0)
    return (weight * residual * error).sum(1), (weight * residual.square()).sum(1)


def fit_share(dot: Tensor, norm: Tensor, block: Tensor, moment: Tensor | None = None) -> float:
    """The network's share of the forecast: ⟨r, e⟩ / ⟨r, r⟩ on validation, shrunk by its uncertainty, within 0 … 1.

    dot, norm (n,): of each window, as `window_evidence` gives them, none of them without evidence. block (n,): windows
    of one block overlap or share their time: one sample. moment (n,): when each window is, where blocks may gain and
    lose together, as the series of one market do; blocks that do are fewer samples.

    With w the ratio, s its standard error over blocks and t the 99.9 % point of Student's distribution, the share is
    min(w, 1) (1 − (t s / w)²): 0 unless w is well above 0. The weights that r comes from were chosen on the same
    windows, epoch by epoch, so a milder test would reward luck (on random walks 2 s let 3 of 20 through).

    Example:
        >>> fit_share(torch.tensor([1.0, 2.0, 1.0]), torch.tensor([2.0, 4.0, 2.0]), torch.arange(3))
        0.5
    """
    _, place = block.unique(return_inverse=True)
    dots, norms = _sums(dot, place), _sums(norm, place)
    if norms.sum() <= 0 or dots.sum() <= 0:
        return 0.0
    weight = float(dots.sum() / norms.sum())
    together = 1.0 if moment is None else max(1.0, moving_together(dot - weight * norm, place, moment))
    n_samples = len(dots) / together
    if n_samples < 2:
        return 0.0
    variance = float((dots - weight * norms).square().sum() / norms.sum() ** 2) * together * n_samples / (n_samples - 1)
    certainty = max(0.0, 1.0 - _student_point(int(n_samples) - 1) ** 2 * variance / weight**2)
    return min(1.0, weight) * certainty


def moving_together(gain: Tensor, block: Tensor, moment: Tensor) -> float:
    """How many times the variance of independent blocks the sum of all blocks has, moment by moment.

    gain, block, moment (n,): of each window. 1 where blocks are independent, their number where they are copies.

    Example:
        >>> gain, moment = torch.tensor([1.0, -1.0, 1.0, -1.0]), torch.tensor([0, 1, 0, 1])
        >>> moving_together(gain, torch.tensor([0, 0, 1, 1]), moment)
        2.0
    """
    alone = _sums(gain, torch.stack([block, moment.to(block.dtype)]).unique(dim=1, return_inverse=True)[1])
    together = _sums(gain, moment.unique(return_inverse=True)[1])
    return float(together.square().sum() / alone.square().sum().clamp(min=1e-300))


def _sums(values: Tensor, place: Tensor) -> Tensor:
    """The sum of the values at every place (n,), counted from 0."""
    n_places = int(place.max()) + 1 if len(place) else 0
    return torch.zeros(n_places, dtype=torch.float64).index_add(0, place, values.double())


class GateEvidence:
    """What validation windows say of the network's share, gathered batch by batch until `take_share`.

    horizon: H.  absolute: see `window_evidence`.
    """

    def __init__(self, horizon: int, absolute: bool) -> None:
        self.horizon, self.absolute = horizon, absolute
        self._batches: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._batches)

    def add(self, residual: Tensor, error: Tensor, series: Tensor, time: Tensor) -> None:
        """A batch: the network's correction and what the floor missed (n, H), each window's series and origin (n,)."""
        dot, norm = window_evidence(residual, error, self.absolute)
        self._batches.append(torch.stack([part.double() for part in (dot, norm, series, time)], dim=1).detach().cpu())

    def take_share(self) -> float:
        """The share that all batches speak for; they are let go."""
        dot, norm, series, time = torch.cat(self._batches).T
        self._batches.clear()
        some = norm > 0  # a window without evidence is no sample
        dot, norm, series, time = dot[some], norm[some], series[some], time[some]
        moment = time.div(max(1, self.horizon // MOMENTS_PER_HORIZON), rounding_mode="floor")
        return fit_share(dot, norm, evidence_blocks(time, series, self.horizon), moment)


def _student_point(freedom: int) -> float:
    """The 99.9 % point of Student's t (Abramowitz and Stegun 26.7.5, three terms, where those are enough)."""
    if freedom <= len(STUDENT_POINTS):
        return STUDENT_POINTS[freedom - 1]
    z = 3.0902
    first = (z**3 + z) / (4 * freedom)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return z + first + second
