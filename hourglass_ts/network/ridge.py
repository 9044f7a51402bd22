"""Ridge regressions of windows on windows: their sums, straight from the series, and their solutions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hourglass_ts.network.gate import evidence_blocks

Strength = float | Tensor

LEVEL_WEIGHT = 0.1
CHUNK_WINDOWS = 4096
REFINEMENTS = 4
FIRST_GROUP = 8
ALMOST_INFINITE = 1e300
KEPT_NUMBERS = 2**25


def lead_groups(horizon: int) -> Tensor:
    """(H,) the group of each lead, which has its strengths to itself: leads 1 to 8, to 16, to 32, to 64, and so on.

    Example:
        >>> lead_groups(20).tolist()
        [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2]
    """
    return torch.tensor([(lead // FIRST_GROUP).bit_length() for lead in range(horizon)], dtype=torch.long)


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
        values = ((self.values.double() - measure.level) / measure.scale).float()
        padded = nn.functional.pad(values, (context - 1, horizon))
        pasts, futures = padded.unfold(0, context, 1), padded[context:].unfold(0, horizon, 1)
        observed = nn.functional.pad(self.observed, (0, horizon))[1:].unfold(0, horizon, 1)
        for part in self.used_origins(context).split(CHUNK_WINDOWS):
            last, seen = values[part][:, None], observed[part]
            inputs = pasts[part] - last
            if len(part) and part.min() < context - 1:
                inputs *= part[:, None] + torch.arange(1 - context, 1) >= 0
            inputs[:, -1:] = last
            yield inputs, torch.where(seen, futures[part] - last, 0.0), seen


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
        self.in_group = nn.functional.one_hot(lead_groups(horizon)).double()
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

    @classmethod
    def total(cls, parts: Sequence[RidgeSums]) -> RidgeSums:
        """The sums of one or more, whose windows are not the same."""
        total = RidgeSums(parts[0].context, parts[0].horizon, [])
        for part in parts:
            total.parts += part.parts
            total.xx += part.xx
            total.xy += part.xy
            total.yy += part.yy
            total.n_targets += part.n_targets
            total.n_windows += part.n_windows
            total.some_missing |= part.some_missing
        return total

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
        self, ridges: Sequence[Ridge], prior: Tensor, strengths: Sequence[Strength], refinements: int = REFINEMENTS
    ) -> list[Tensor]:
        """For every strength, the mean of the ridges' maps."""
        solved = [self.solve(ridge.weights(self.context), prior, strengths, refinements) for ridge in ridges]
        return [torch.stack(maps).mean(0) for maps in zip(*solved, strict=True)]

    def solve(
        self, weights: Tensor, prior: Tensor, strengths: Sequence[Strength], refinements: int = REFINEMENTS
    ) -> list[Tensor]:
        """The minimiser of ‖seen (Y − XW)‖² + λ ‖(W − prior) / weights‖² for every λ, from one eigendecomposition.

        A λ is a number, or (H,) one for every lead.
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
        for given in strengths:
            strength = torch.as_tensor(given, dtype=torch.float64)
            if strength.isinf().all():
                solutions.append(prior.clone())
                continue
            strength = strength.clamp(max=ALMOST_INFINITE)  # infinity times no change would be no number
            change = basis @ (start / (spectrum + strength))
            for _ in range(refinements if self.some_missing else 0):
                gradient = weights * self._gradient(prior + weights * change) - strength * change
                change = change + basis @ ((basis.T @ gradient) / (spectrum + strength))
            solutions.append(prior + weights * change)
        return solutions

    def window_errors(self, maps: Sequence[Tensor]) -> Tensor:
        """(n_maps, n_windows, n_groups) sums of squared errors by map, window, in their order, and group of leads."""
        maps32, found = [w.float() for w in maps], [self.in_group.new_zeros(len(maps), 0, self.in_group.shape[1])]
        for inputs, targets, seen in self.windows():
            errors = [torch.where(seen, targets - inputs @ w, 0.0).double().square() for w in maps32]
            found.append(torch.stack(errors) @ self.in_group)
        return torch.cat(found, dim=1)

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

    def forget_bases(self) -> None:
        """Let go of the eigenvectors, which are larger than the sums."""
        self.bases.clear()

    def _basis(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Eigenvalues and -vectors of the weighted XᵀX, kept: several priors and sets of ridges ask for the same."""
        key = weights.numpy().tobytes()
        if key not in self.bases:
            self.bases[key] = tuple(torch.linalg.eigh(weights[:, None] * self.xx * weights))
        return self.bases[key]

    def squared_errors(self, maps: Sequence[Tensor]) -> Tensor:
        """(n_maps, n_groups) the sums of squared errors of every map, by group, over the targets that were seen."""
        if not self.some_missing:
            of_leads = [(self.yy + ((self.xx @ w - 2 * self.xy) * w).sum(0)).clamp(min=0) for w in maps]
            return torch.stack(of_leads) @ self.in_group
        total, maps32 = torch.zeros(len(maps), self.horizon, dtype=torch.float64), [w.float() for w in maps]
        for inputs, targets, seen in self.windows():
            for place, w in enumerate(maps32):
                total[place] += torch.where(seen, targets - inputs @ w, 0.0).double().square().sum(0)
        return total @ self.in_group


class SeriesSums:
    """Sums over the windows of all series together, and of each; those of the longest are kept, as memory allows."""

    def __init__(
        self, context: int, horizon: int, stretches: Sequence[Stretch], measures: Mapping[int, Measure]
    ) -> None:
        def summed(some: Sequence[Stretch]) -> RidgeSums:
            return RidgeSums(context, horizon, [(stretch, measures[stretch.code]) for stretch in some])

        self._summed = summed
        self._stretches = {stretch.code: stretch for stretch in stretches}
        longest = sorted(stretches, key=lambda stretch: -len(stretch.origins))
        n_kept = KEPT_NUMBERS // (context * (context + horizon))
        self._kept = {stretch.code: summed([stretch]) for stretch in longest[:n_kept]}
        self.all = RidgeSums.total([*self._kept.values(), summed(longest[n_kept:])])

    def of(self, code: int) -> RidgeSums:
        """The sums of one series."""
        return self._kept[code] if code in self._kept else self._summed([self._stretches[code]])

    def __contains__(self, code: int) -> bool:
        return code in self._stretches
