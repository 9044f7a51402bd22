"""How the numbers that a loss asks for stand on the floor.

The network adds to a location; what else a loss needs depends on the loss. A `Readout` says how many numbers the
network gives per step, which of the loss's numbers start from the floor's residuals, and puts everything together into
the loss's own parameters. A residual is measured in its window's spread, and so is what starts from it: before the
first gradient step, and with a share of 0, intervals are as wide as the floor's errors were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_forecasting.metrics import (
    MAE,
    MAPE,
    MASE,
    SMAPE,
    BetaDistributionLoss,
    DistributionLoss,
    LogNormalDistributionLoss,
    MultivariateNormalDistributionLoss,
    NegativeBinomialDistributionLoss,
    NormalDistributionLoss,
    PoissonLoss,
    QuantileLoss,
    TweedieLoss,
)
from torch import Tensor, nn

from hourglass_ts.errors import Problem
from hourglass_ts.model.losses import MIN_FREEDOM, StudentTDistributionLoss

LOCATED_DISTRIBUTIONS = (MultivariateNormalDistributionLoss, BetaDistributionLoss)
UNLOCATED = (DistributionLoss, PoissonLoss, TweedieLoss)
MIN_POSITIVE = 1e-6
MIN_WIDTH = 1e-3
MIN_MEAN = 1e-2
MIN_SHAPE, MAX_SHAPE = 1e-3, 1e2
FREEDOMS = (2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 30.0)
SCALE_STEPS = 20


@dataclass(frozen=True)
class FloorResiduals:
    """What the floor missed on n windows, in the normalised space of the target.

    errors: (n, H), each lead's mean taken out, NaN where nothing was observed.  spreads: (n, 1), NaN for a constant
    window, which has no unit.  floors: (n, H).  scales: (n, 1) real units per unit of the normalised space.
    """

    errors: Tensor
    spreads: Tensor
    floors: Tensor
    scales: Tensor

    @property
    def ratios(self) -> Tensor:
        """(n, H) in units of each window's spread."""
        return self.errors / self.spreads


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
    def unfitted(self) -> tuple[float, ...]:
        """What every lead starts from until a floor is fitted; as long as a row of `starts`."""
        return ()

    def starts(self, residuals: FloorResiduals) -> Tensor:
        """(H, len(unfitted)): what every lead starts from, by the floor's residuals; NaN where there were none."""
        return residuals.errors.new_zeros(residuals.errors.shape[1], 0)

    def parameters(self, location: Tensor, spread: Tensor, numbers: Tensor, starts: Tensor) -> Tensor:
        """(B, H, n_parameters) from location (B, H), spread (B, 1), numbers (B, H, n_outputs) and starts (H, …)."""
        return numbers

    def in_order(self, real: Tensor) -> Tensor:
        """The loss's parameters in real units, where they are meant to keep an order put into it once more."""
        return real


class PointReadout(Readout):
    """Point losses: the location is the forecast."""

    on_floor = True

    def parameters(self, location: Tensor, spread: Tensor, numbers: Tensor, starts: Tensor) -> Tensor:
        return location[..., None]


class DistributionReadout(Readout):
    """Distributions whose first parameter is a location in the target's space; the others are the network's own."""

    on_floor = True

    def parameters(self, location: Tensor, spread: Tensor, numbers: Tensor, starts: Tensor) -> Tensor:
        return torch.cat([location[..., None], numbers[..., 1:]], dim=-1)


class NormalReadout(Readout):
    """A location and a standard deviation, which starts at the floor's root mean square error of that lead.

    Upstream takes softplus of what the network gives, so the deviation goes through its inverse.
    """

    on_floor = True

    @property
    def unfitted(self) -> tuple[float, ...]:
        return (1.0,)

    def starts(self, residuals: FloorResiduals) -> Tensor:
        return residuals.ratios.square().nanmean(dim=0).sqrt().clamp(min=MIN_WIDTH)[:, None]

    def parameters(self, location: Tensor, spread: Tensor, numbers: Tensor, starts: Tensor) -> Tensor:
        width = spread * shifted(starts[:, 0], numbers[..., 1])
        return torch.stack([location, inverse_softplus(width)], dim=-1)


class StudentTReadout(NormalReadout):
    """A location, a scale and degrees of freedom, which start where the floor's residuals are likeliest.

    The scale has its lead's own value, the degrees of freedom one for all leads: it takes many residuals to know a
    tail. Likelihood, not kurtosis: below 4 degrees of freedom there is none, and its estimate hangs on a few values.
    """

    @property
    def unfitted(self) -> tuple[float, ...]:
        return (1.0, 8.0)

    def starts(self, residuals: FloorResiduals) -> Tensor:
        scale, freedom = fit_student(residuals.ratios)
        return torch.stack([scale.clamp(min=MIN_WIDTH), torch.full_like(scale, freedom)], dim=-1)

    def parameters(self, location: Tensor, spread: Tensor, numbers: Tensor, starts: Tensor) -> Tensor:
        freedom = shifted(starts[:, 1] - MIN_FREEDOM, numbers[..., 2])
        normal = super().parameters(location, spread, numbers, starts[:, :1])
        return torch.cat([normal, inverse_softplus(freedom)[..., None]], dim=-1)


class CountReadout(Readout):
    """Negative binomial: the mean is the location, the shape starts at the floor's own overdispersion per lead.

    Upstream's mean is softplus(first number) · scale, its shape softplus(second) / √scale, the variance mean + shape ·
    mean². Without a centre and a transformation a count is its normalised value · scale (`encoder_problems` refuses
    the others), so the inverse of softplus brings the location through unchanged. A location below `MIN_MEAN` scales,
    where a mean cannot follow, is bent towards 0, with a gradient that brings it back.
    """

    on_floor = True

    @property
    def unfitted(self) -> tuple[float, ...]:
        return (1.0,)

    def starts(self, residuals: FloorResiduals) -> Tensor:
        """By moments: E[error²] = mean + shape · mean², each in counts."""
        means = (bend(residuals.floors) * residuals.scales).where(residuals.errors.isfinite(), torch.nan)
        excess = (residuals.errors * residuals.scales).square() - means
        shape = excess.nansum(dim=0) / (means.square() / residuals.scales.sqrt()).nansum(dim=0)
        return shape.clamp(MIN_SHAPE, MAX_SHAPE)[:, None]

    def parameters(self, location: Tensor, spread: Tensor, numbers: Tensor, starts: Tensor) -> Tensor:
        shape = shifted(starts[:, 0], numbers[..., 1])
        return inverse_softplus(torch.stack([bend(location), shape], dim=-1))


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
    def unfitted(self) -> tuple[float, ...]:
        return (0.0,) * len(self.quantiles)

    def starts(self, residuals: FloorResiduals) -> Tensor:
        ratios = residuals.ratios
        return ratios.nanquantile(torch.tensor(self.quantiles, dtype=ratios.dtype, device=ratios.device), dim=0).T

    def parameters(self, location: Tensor, spread: Tensor, numbers: Tensor, starts: Tensor) -> Tensor:
        ascending = sorted(self.quantiles)
        by_rank = [self.quantiles.index(level) for level in ascending]
        corrections = numbers[..., 1:]
        median = interpolate_median(corrections[..., by_rank], ascending)
        deviations = self.in_order(starts + corrections - median[..., None])
        return location[..., None] + spread[..., None] * deviations

    def in_order(self, real: Tensor) -> Tensor:
        """Sorted. To undo a transformation can turn equal numbers by a last digit: processors round them in groups."""
        order = [sorted(self.quantiles).index(level) for level in self.quantiles]
        return real.sort(dim=-1).values[..., order]


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
    if isinstance(loss, (NormalDistributionLoss, LogNormalDistributionLoss)):
        return NormalReadout(output_size)
    if isinstance(loss, StudentTDistributionLoss):
        return StudentTReadout(output_size)
    if isinstance(loss, NegativeBinomialDistributionLoss):
        return CountReadout(output_size)
    if isinstance(loss, LOCATED_DISTRIBUTIONS):
        return DistributionReadout(output_size)
    if isinstance(loss, UNLOCATED) or output_size != 1:
        return Readout(output_size)
    return PointReadout(output_size)


def is_absolute(loss: object) -> bool:
    """Whether a loss grows with the error, and not with its square.

    Example:
        >>> is_absolute(QuantileLoss()), is_absolute(NormalDistributionLoss())
        (True, False)
    """
    return isinstance(loss, (MAE, MAPE, MASE, SMAPE, QuantileLoss))


def encoder_problems(loss: object, normalizer: Any) -> list[Problem]:
    """What keeps a loss from a target's normaliser: its parameters would mean something else there.

    Example:
        >>> from pytorch_forecasting.data import TorchNormalizer
        >>> encoder_problems(NegativeBinomialDistributionLoss(), TorchNormalizer(center=False))
        []
    """
    found, centre = getattr(normalizer, "transformation", None), getattr(normalizer, "center", False)
    name = type(loss).__name__
    problems = []
    if isinstance(loss, NegativeBinomialDistributionLoss):
        if centre:
            next_step = "Make the data set with target_normalizer=GroupNormalizer(groups=[...], center=False)."
            problems.append(Problem(f"{name} with a centred target", "counts that are only scaled", next_step))
        if found not in (None, "relu"):
            next_step = "Leave the normaliser's transformation out."
            problems.append(Problem(f"{name} with transformation={found!r}", "counts as they are", next_step))
    elif isinstance(loss, LogNormalDistributionLoss) and found not in ("log", "log1p"):
        next_step = "Make the data set with target_normalizer=GroupNormalizer(groups=[...], transformation='log')."
        problems.append(Problem(f"{name} with transformation={found!r}", "a target in logarithms", next_step))
    elif isinstance(loss, BetaDistributionLoss) and (found != "logit" or not centre):
        next_step = "Make the data set with target_normalizer=GroupNormalizer(groups=[...], transformation='logit')."
        problems.append(
            Problem(f"{name} with transformation={found!r}, center={centre}", "a centred logit target", next_step)
        )
    elif isinstance(loss, (NormalDistributionLoss, StudentTDistributionLoss, QuantileLoss)) and found == "sqrt":
        # Forecast roots may be negative, and their squares are out of order: quantiles would cross.
        problems.append(Problem(f"{name} with transformation='sqrt'", "one that keeps the order", "Take 'log1p'."))
    return problems


def count_problems(loss: object, column: str, target: Tensor) -> list[Problem]:
    """What keeps a target from being counts, where the loss needs them.

    Example:
        >>> print(*count_problems(NegativeBinomialDistributionLoss(), "y", torch.tensor([3.0, 0.5])))
        column 'y': found 0.5; expected whole numbers from 0 on. Round the counts, or take another loss.
    """
    if not isinstance(loss, NegativeBinomialDistributionLoss):
        return []
    wrong = target[(target < 0) | (target != target.round())]
    next_step = "Round the counts, or take another loss."
    expected = "whole numbers from 0 on"
    return [Problem(f"{float(wrong[0]):g}", expected, next_step, column=column)] if len(wrong) else []


def point_forecast(loss: Any, parameters: Tensor, **kwargs: Any) -> Tensor:
    """Upstream's point forecast (B, H), but exact where it would sample or fail.

    Quantiles without 0.5 are interpolated to it. Upstream draws 100 values to know a normal distribution's mean.
    """
    if isinstance(loss, QuantileLoss):
        return interpolate_median(parameters, loss.quantiles)
    if isinstance(loss, NormalDistributionLoss) and loss._transformation is None:
        centre, scale, location, _ = parameters.unbind(-1)
        return centre + scale * location
    if isinstance(loss, DistributionLoss) and not isinstance(loss, NegativeBinomialDistributionLoss):
        return loss.to_prediction(parameters, **kwargs)
    return loss.to_prediction(parameters)


def bend(location: Tensor) -> Tensor:
    """The location itself from `MIN_MEAN` on, below it a positive number that falls off exponentially.

    Example:
        >>> bend(torch.tensor([-1.0, 0.0, 0.5])).round(decimals=4)
        tensor([0.0000, 0.0037, 0.5000])
    """
    low = MIN_MEAN * (location.clamp(max=MIN_MEAN) / MIN_MEAN - 1).exp()
    return location.where(location > MIN_MEAN, low)


def shifted(start: Tensor, number: Tensor) -> Tensor:
    """A positive parameter: `start` where the network's number is 0, and moved by it ahead of softplus."""
    return nn.functional.softplus(inverse_softplus(start) + number)


def inverse_softplus(positive: Tensor) -> Tensor:
    """What softplus makes `positive` of; values below `MIN_POSITIVE` count as that.

    Example:
        >>> nn.functional.softplus(inverse_softplus(torch.tensor([0.001, 1.0, 50.0]))).round(decimals=5)
        tensor([1.0000e-03, 1.0000e+00, 5.0000e+01])
    """
    positive = positive.clamp(min=MIN_POSITIVE)
    return positive + (-torch.expm1(-positive)).log()


def fit_student(values: Tensor) -> tuple[Tensor, float]:
    """Scale per column (H,) and degrees of freedom, of `FREEDOMS`, that make values (n, H) around 0 likeliest.

    Example:
        >>> _, freedom = fit_student(torch.randn(2000, 2, generator=torch.Generator().manual_seed(0)))
        >>> freedom
        30.0
    """
    seen = values.isfinite()
    count = seen.sum(0)
    squares = torch.where(seen, values, 0.0).double().square()
    best, best_scale, best_freedom = -float("inf"), squares.new_full((values.shape[1],), torch.nan), FREEDOMS[-1]
    start = (squares.sum(0) / count).clamp(min=MIN_WIDTH**2)  # NaN for a column without values, to the end
    for freedom in FREEDOMS:
        scale = start
        for _ in range(SCALE_STEPS):  # expectation and maximisation: far values weigh less
            weights = (freedom + 1) / (freedom + squares / scale)
            scale = ((weights * squares).sum(0) / count).clamp(min=MIN_WIDTH**2)
        student = torch.distributions.StudentT(
            torch.tensor(freedom, dtype=torch.float64), 0.0, scale.nan_to_num(1.0).sqrt()
        )
        likelihood = float(student.log_prob(squares.sqrt()).where(seen, 0.0).sum())
        if likelihood > best:
            best, best_scale, best_freedom = likelihood, scale.sqrt(), freedom
    return best_scale, best_freedom


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
