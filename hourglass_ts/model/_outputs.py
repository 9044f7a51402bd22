"""How the numbers that a loss asks for stand on the floor.

The network adds to a location; what else a loss needs depends on the loss. A `Readout` says how many numbers the
network gives per step, and puts location, spread and these numbers together into the loss's own parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pytorch_forecasting.metrics import (
    BetaDistributionLoss,
    DistributionLoss,
    LogNormalDistributionLoss,
    MultivariateNormalDistributionLoss,
    NormalDistributionLoss,
    PoissonLoss,
    QuantileLoss,
    TweedieLoss,
)
from torch import Tensor

LOCATED_DISTRIBUTIONS = (
    NormalDistributionLoss,
    LogNormalDistributionLoss,
    MultivariateNormalDistributionLoss,
    BetaDistributionLoss,
)
UNLOCATED = (DistributionLoss, PoissonLoss, TweedieLoss)


@dataclass(frozen=True)
class Readout:
    """The base reading: no floor; the network's numbers are the loss's parameters.

    It serves losses whose parameters do not live in the target's own space (log rates, implicit quantiles).
    """

    n_parameters: int
    on_floor = False

    @property
    def n_outputs(self) -> int:
        return self.n_parameters

    @property
    def offset_levels(self) -> tuple[float, ...]:
        """Quantile levels of the floor's residuals that this reading starts from."""
        return ()

    def parameters(self, location: Tensor, spread: Tensor, numbers: Tensor, offsets: Tensor) -> Tensor:
        """(B, H, n_parameters) from location (B, H), spread (B, 1), numbers (B, H, n_outputs), offsets (H, levels)."""
        return numbers


class PointReadout(Readout):
    """Point losses: the location is the forecast."""

    on_floor = True

    def parameters(self, location: Tensor, spread: Tensor, numbers: Tensor, offsets: Tensor) -> Tensor:
        return location[..., None]


class DistributionReadout(Readout):
    """Distributions whose first parameter is a location in the target's space; the others are the network's own."""

    on_floor = True

    def parameters(self, location: Tensor, spread: Tensor, numbers: Tensor, offsets: Tensor) -> Tensor:
        return torch.cat([location[..., None], numbers[..., 1:]], dim=-1)


@dataclass(frozen=True)
class QuantileReadout(Readout):
    """Quantiles: location + spread · (the floor's residual quantile at that lead + the network's correction).

    The deviations are sorted, so quantiles never cross (Chernozhukov et al. 2010: sorting never makes a pinball loss
    worse). The corrections have a median of 0: they shape the distribution, and floor and share alone place it.
    """

    quantiles: tuple[float, ...] = ()
    on_floor = True

    @property
    def n_outputs(self) -> int:
        return 1 + self.n_parameters

    @property
    def offset_levels(self) -> tuple[float, ...]:
        return self.quantiles

    def parameters(self, location: Tensor, spread: Tensor, numbers: Tensor, offsets: Tensor) -> Tensor:
        ascending = sorted(self.quantiles)
        order = [ascending.index(level) for level in self.quantiles]
        by_rank = [self.quantiles.index(level) for level in ascending]
        corrections = numbers[..., 1:][..., by_rank]
        corrections = corrections - interpolate_median(corrections, ascending)[..., None]
        deviations = (offsets[..., by_rank] + corrections).sort(dim=-1).values
        return location[..., None] + spread[..., None] * deviations[..., order]


def readout_for(loss: object, output_size: int) -> Readout:
    """The reading that fits a pytorch-forecasting loss.

    Example:
        >>> readout_for(QuantileLoss(quantiles=[0.1, 0.9]), 2).n_outputs
        3
        >>> readout_for(PoissonLoss(), 1).on_floor
        False
    """
    if isinstance(loss, QuantileLoss):
        return QuantileReadout(output_size, tuple(loss.quantiles))
    if isinstance(loss, LOCATED_DISTRIBUTIONS):
        return DistributionReadout(output_size)
    if isinstance(loss, UNLOCATED) or output_size != 1:
        return Readout(output_size)
    return PointReadout(output_size)


def interpolate_median(quantile_forecasts: Tensor, quantiles: Sequence[float]) -> Tensor:
    """The median between the two nearest quantiles, linear in the level; beyond the outermost, the outermost.

    Example:
        >>> interpolate_median(torch.tensor([[0.0, 4.0]]), [0.25, 0.75])
        tensor([2.])
    """
    levels, order = torch.tensor(quantiles, dtype=quantile_forecasts.dtype).sort()
    ordered = quantile_forecasts[..., order.to(quantile_forecasts.device)]
    above = int((levels < 0.5).sum())
    if above == 0 or above == len(levels):
        return ordered[..., min(above, len(levels) - 1)]
    weight = float((0.5 - levels[above - 1]) / (levels[above] - levels[above - 1]))
    return torch.lerp(ordered[..., above - 1], ordered[..., above], weight)
