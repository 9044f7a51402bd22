"""What a window is measured in: a centre and a scale at every place, from what was observed in the window up to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hourglass_ts.windows.batch import WindowBatch

MIN_SPREAD = 1e-2
NORMAL_QUARTILES = 1.3489795


@dataclass(frozen=True)
class WindowScale:
    """Centre and scale of every place, (B, L), or of the whole window, (B, 1); the last place is the origin.

    Values come in their series' own scale, so a spread counts from `MIN_SPREAD` on. Where nothing was observed centre
    and scale are 0 and 1, but for "last", whose centre may be an earlier value that fills a hole.
    """

    centre: Tensor
    scale: Tensor

    @classmethod
    def of(cls, batch: WindowBatch, normalise: str = "last") -> WindowScale:
        """Measure windows by the last value and the spread of the window, or by another of `SCALES`.

        Example:
            >>> from hourglass_ts.network.network import NetworkConfig, example_batch
            >>> WindowScale.of(example_batch(NetworkConfig(context=20, horizon=4)), "prefix").centre.shape
            torch.Size([2, 20])
        """
        return cls(*SCALES[normalise](batch))

    @property
    def spread(self) -> Tensor:
        """(B, 1) the scale at the origin: what the network's outputs are measured in."""
        return self.scale[:, -1:]

    def apply(self, past: Tensor) -> Tensor:
        """The values (B, L) in these units."""
        return ((past - self.centre) / self.scale).to(past.dtype)


def _by_last(batch: WindowBatch) -> tuple[Tensor, Tensor]:
    """The last value, and the standard deviation of the window."""
    _, variance, some = _moments(batch)
    return batch.past[:, -1:].where(batch.present[:, -1:], 0.0), _spread(variance, some)


def _by_quartiles(batch: WindowBatch) -> tuple[Tensor, Tensor]:
    """The median, and the quartiles' distance as a normal distribution's deviation; that itself where they coincide."""
    seen = torch.where(batch.observed, batch.past, torch.nan)
    levels = torch.tensor([0.25, 0.5, 0.75], dtype=seen.dtype, device=seen.device)
    low, median, high = seen.nanquantile(levels, dim=1, keepdim=True).nan_to_num()
    _, variance, some = _moments(batch)
    distance = ((high - low) / NORMAL_QUARTILES).square()
    return median, _spread(torch.where(distance > 0, distance, variance), some)


def _by_prefix(batch: WindowBatch) -> tuple[Tensor, Tensor]:
    """At every place, mean and standard deviation of the window up to there: a token depends on no later value.

    From running sums in float64 of differences from the first observed value: far from 0 the squares of float32 would
    drown the spread.
    """
    start = batch.past.gather(1, batch.observed.int().argmax(1, keepdim=True)).double()
    difference = torch.where(batch.observed, batch.past - start, 0.0)
    n_seen = batch.observed.cumsum(1)
    count = n_seen.clamp(min=1)
    mean = difference.cumsum(1) / count
    variance = (difference.square().cumsum(1) / count - mean.square()).clamp(min=0)
    return (start + mean).where(n_seen > 0, 0.0), _spread(variance.to(batch.past.dtype), n_seen > 0)


def _by_series(batch: WindowBatch) -> tuple[Tensor, Tensor]:
    """Nothing of the window: the statistics of the series' training rows stand."""
    return torch.zeros_like(batch.past[:, -1:]), torch.ones_like(batch.past[:, -1:])


SCALES: dict[str, Callable[[WindowBatch], tuple[Tensor, Tensor]]] = {
    "last": _by_last,
    "prefix": _by_prefix,
    "robust": _by_quartiles,
    "series": _by_series,
}


def _moments(batch: WindowBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of what was observed, and whether anything was, (B, 1) each."""
    seen = batch.observed.to(batch.past.dtype)
    n_seen = seen.sum(1, keepdim=True)
    count = n_seen.clamp(min=1)
    mean = (batch.past * seen).sum(1, keepdim=True) / count
    return mean, ((batch.past - mean).square() * seen).sum(1, keepdim=True) / count, n_seen > 0


def _spread(variance: Tensor, some: Tensor) -> Tensor:
    return (variance + MIN_SPREAD**2).sqrt().where(some, 1.0)
