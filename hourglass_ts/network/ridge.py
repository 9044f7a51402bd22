"""Ridge regressions of windows on windows: their sums, straight from the series, and their solutions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hourglass_ts.network.gate import evidence_blocks

LEVEL_WEIGHT = 0.1
CHUNK_WINDOWS = 4096
REFINEMENTS = 4


@dataclass(frozen=True)
class Measure:
    """What the windows of a series are measured in: its level and its scale."""

    level: float
    scale: float


@dataclass(frozen=True)
class Stretch:
    """The windows of one series that a fit or a choice may use.

    values: (T,) the series, holes filled causally.  observed: (T,) False where a value is only a filling.
    origins: positions in the series; a window's last input stands at its origin, its targets follow.
    code: the number of the series, as the network knows it.
    start: the time of the first position, on a clock that all series share.
    """

    code: int
    values: Tensor
    observed: Tensor
    origins: Tensor
    start: int = 0

    def measure(self) -> Measure:
        """Mean and deviation of what was observed up to the last origin; a constant series' deviation counts as 1.

        Where nothing was, the mean is NaN.
        """
        end = int(self.origins.max()) + 1 if len(self.origins) else len(self.values)
        seen = self.values[:end][self.observed[:end]].double()
        if not len(seen):
            return Measure(math.nan, 1.0)
        spread = float(seen.std(correction=0))
        return Measure(float(seen.mean()), spread if spread > 1e-9 * float(seen.abs().max()) else 1.0)

    def used_origins(self, context: int) -> Tensor:
        """The origins whose value was observed; those with a whole context, where there are any."""
        origins = self.origins[self.observed[self.origins]]
        whole = origins[origins >= context - 1]
        return whole if len(whole) else origins

    def windows(self, context: int, horizon: int, measure: Measure) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Chunks of (inputs (n, L), targets (n, H), seen (n, H)), less the origin's value and in the measure's scale.

        Places before the series' start say nothing: their input is 0. The last input is the distance from the level.
        Targets that were not observed are 0 and unseen.
        """
        # Centred in double precision: far from 0, float32 would drown a small scale.
        values, length = ((self.values.double() - measure.level) / measure.scale).float(), len(self.values)
        back, ahead = torch.arange(1 - context, 1), torch.arange(1, horizon + 1)
        for part in self.used_origins(context).split(CHUNK_WINDOWS):
            place, future = part[:, None] + back, part[:, None] + ahead
            last = values[part][:, None]
            inputs = torch.where(place >= 0, values[place.clamp(min=0)] - last, 0.0)
            inputs[:, -1:] = last
            inside = future.clamp(max=length - 1)
            seen = (future < length) & self.observed[inside]
            yield inputs, torch.where(seen, values[inside] - last, 0.0), seen


@dataclass(frozen=True)
class Ridge:
    """One ridge of the floor: it reads the last `context` steps, and the distance from the level or not."""

    context: int
    level: bool

    def weights(self, n_inputs: int) -> Tensor:
        """(L,) what each input counts for; the penalty of an input grows as the square of 1 / its weight."""
        weights = torch.zeros(n_inputs, dtype=torch.float64)
        weights[n_inputs - self.context :] = 1.0
        weights[-1] = LEVEL_WEIGHT if self.level else 0.0
        return weights


class RidgeSums:
    """Sums over the windows of some stretches, each with its measure, and a way to pass over the windows."""

    def __init__(self, context: int, horizon: int, parts: Sequence[tuple[Stretch, Measure]]) -> None:
        self.context, self.horizon, self.parts = context, horizon, list(parts)
        self.xx = torch.zeros(context, context, dtype=torch.float64)
        self.xy = torch.zeros(context, horizon, dtype=torch.float64)
        self.yy, self.n_targets = torch.zeros(2, horizon, dtype=torch.float64)
        self.n_windows = 0
        self.bases: dict[bytes, tuple[Tensor, Tensor]] = {}
        for inputs, targets, seen in self.windows():
            self.xx += inputs.T @ inputs
            self.xy += inputs.T @ targets
            self.yy += targets.double().square().sum(0)
            self.n_targets += seen.sum(0)
            self.n_windows += len(inputs)
        self.some_missing = bool((self.n_targets < self.n_windows).any())

    def windows(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Chunks of all stretches' windows, as `Stretch.windows` gives them."""
        for stretch, measure in self.parts:
            yield from stretch.windows(self.context, self.horizon, measure)

    @property
    def n_horizons(self) -> float:
        """How many horizons the targets span: what overlapping windows are worth."""
        spans = [float(s.origins.max() - s.origins.min()) for s, _ in self.parts if len(s.origins)]
        return sum(spans) / self.horizon + len(spans)

    def mean_maps(
        self, ridges: Sequence[Ridge], prior: Tensor, strengths: Sequence[float], refinements: int = REFINEMENTS
    ) -> list[Tensor]:
        """For every strength, the mean of the ridges' maps."""
        solved = [self.solve(ridge.weights(self.context), prior, strengths, refinements) for ridge in ridges]
        return [torch.stack(maps).mean(0) for maps in zip(*solved, strict=True)]

    def solve(
        self, weights: Tensor, prior: Tensor, strengths: Sequence[float], refinements: int = REFINEMENTS
    ) -> list[Tensor]:
        """The minimiser of ‖seen (Y − XW)‖² + λ ‖(W − prior) / weights‖² for every λ, from one eigendecomposition.

        Where targets are missing, each lead has its own XᵀX. The full one, scaled by the share of targets that the
        lead has, is its preconditioner: a few steps of iterative refinement reach the exact solution.
        """
        if self.n_windows == 0:
            return [prior.clone() for _ in strengths]
        eigenvalues, basis = self._basis(weights)
        weights = weights[:, None]
        spectrum = eigenvalues.clamp(min=0)[:, None] * (self.n_targets / self.n_windows)
        start = basis.T @ (weights * self._gradient(prior))
        solutions = []
        for strength in strengths:
            if math.isinf(strength):
                solutions.append(prior.clone())
                continue
            change = basis @ (start / (spectrum + strength))
            for _ in range(refinements if self.some_missing else 0):
                gradient = weights * self._gradient(prior + weights * change) - strength * change
                change = change + basis @ ((basis.T @ gradient) / (spectrum + strength))
            solutions.append(prior + weights * change)
        return solutions

    def window_errors(self, maps: Tensor) -> Tensor:
        """(n_windows,) the sum of squared errors of one map in every window, in the order of `windows`."""
        maps32 = maps.float()
        found = [
            torch.where(seen, targets - inputs @ maps32, 0.0).double().square().sum(1)
            for inputs, targets, seen in self.windows()
        ]
        return torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)

    def blocks(self) -> list[Tensor]:
        """For every stretch, the block of evidence (n_windows,) of each of its windows; blocks count from 0."""
        origins = [stretch.used_origins(self.context) for stretch, _ in self.parts]
        if not origins:
            return []
        series = [torch.full_like(own, stretch.code) for own, (stretch, _) in zip(origins, self.parts, strict=True)]
        time = torch.cat([own + stretch.start for own, (stretch, _) in zip(origins, self.parts, strict=True)])
        block = evidence_blocks(time, torch.cat(series), self.horizon)
        return list(block.unique(return_inverse=True)[1].split([len(own) for own in origins]))

    def _gradient(self, maps: Tensor) -> Tensor:
        """Xᵀ (Y − X maps) over the targets that were seen."""
        if not self.some_missing:
            return self.xy - self.xx @ maps
        total, maps32 = torch.zeros_like(maps), maps.float()
        for inputs, targets, seen in self.windows():
            total += inputs.T @ torch.where(seen, targets - inputs @ maps32, 0.0)
        return total

    def _basis(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Eigenvalues and -vectors of the weighted XᵀX, kept: several priors and sets of ridges ask for the same."""
        key = weights.numpy().tobytes()
        if key not in self.bases:
            self.bases[key] = tuple(torch.linalg.eigh(weights[:, None] * self.xx * weights))
        return self.bases[key]

    def squared_errors(self, maps: Sequence[Tensor]) -> Tensor:
        """(n_maps,) the sum of squared errors of every map over the targets that were seen."""
        if not self.some_missing:
            return torch.stack([(self.yy + ((self.xx @ w - 2 * self.xy) * w).sum(0)).clamp(min=0).sum() for w in maps])
        total, maps32 = torch.zeros(len(maps), dtype=torch.float64), [w.float() for w in maps]
        for inputs, targets, seen in self.windows():
            for place, w in enumerate(maps32):
                total[place] += torch.where(seen, targets - inputs @ w, 0.0).double().square().sum()
        return total
