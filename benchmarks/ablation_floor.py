"""Variants of the linear floor, from sums of windows: every fit is in closed form, and judged by the same sums.

Context 512. All windows of a part that have every lead are used, so scores of a shorter horizon are of fewer windows
than that horizon has. One fit serves all horizons: a horizon's score is the mean over the leads up to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from common import Report
from long_data import LongData, season
from torch import Tensor

from hourglass_ts.network.floor import COMMON_STRENGTHS, PRIOR_HORIZONS, SERIES_STRENGTHS, ridge_sets
from hourglass_ts.network.ridge import CHUNK_WINDOWS, Measure, Ridge, RidgeSums, Stretch, lead_groups

CONTEXT = 512
CYCLES = ((1, 4), (7, 3))  # harmonics of a season, and of seven of them
N_HARMONICS = 2 * sum(n for _, n in CYCLES)
HARMONIC_WEIGHT = 0.1
AGE_UNIT = 96
STACK_STEPS = 200
MIN_HALF = 20  # windows of half a validation part that can choose or judge

(PLAIN,), (_, RETURNING), FLOOR = ridge_sets(CONTEXT)


@dataclass(frozen=True)
class CalendarRidge(Ridge):
    """A ridge that also reads the harmonics."""

    def weights(self, n_inputs: int) -> Tensor:
        """(n_inputs,) those of the ridge, and the harmonics' own."""
        weights = super().weights(n_inputs)
        weights[:N_HARMONICS] = HARMONIC_WEIGHT
        return weights


@dataclass(frozen=True)
class AgedRidge(Ridge):
    """A ridge whose penalty grows with the age of a lag, linearly from `AGE_UNIT` steps on."""

    def weights(self, n_inputs: int) -> Tensor:
        """(n_inputs,) those of the ridge, smaller for old lags; the level's stays, as its age is 0."""
        age = torch.arange(n_inputs - 1, -1, -1, dtype=torch.float64)
        return super().weights(n_inputs) * (1 + age / AGE_UNIT).rsqrt()


@dataclass(frozen=True)
class Variant:
    """A floor: the mean of some ridges.

    own: channels have maps of their own.  by_group: each group of leads has its strengths.  stacked: validation
    weighs the ridges and the naive forecast, instead of the mean.
    """

    name: str
    ridges: tuple[Ridge, ...]
    own: bool = True
    by_group: bool = False
    stacked: bool = False


def _with(*ridges: Ridge) -> tuple[Ridge, ...]:
    return (PLAIN, RETURNING, *ridges)


VARIANTS = (
    Variant("last-centred, common map", (PLAIN,), own=False),
    Variant("last-centred", (PLAIN,)),
    Variant("level alone", (RETURNING,)),
    Variant("+ level", (PLAIN, RETURNING)),
    Variant("+ half context", FLOOR),
    Variant("+ 192 steps instead", _with(Ridge(192, level=False), Ridge(192, level=True))),
    Variant("+ 128 steps instead", _with(Ridge(128, level=False), Ridge(128, level=True))),
    Variant("calendar harmonics", tuple(CalendarRidge(ridge.context, level=ridge.level) for ridge in FLOOR)),
    Variant("strengths per group of leads", FLOOR, by_group=True),
    Variant("penalty by age of lag", tuple(AgedRidge(CONTEXT, level=ridge.level) for ridge in FLOOR[:2])),
    Variant("stacked by validation", FLOOR, stacked=True),
)
QUICK_VARIANTS = VARIANTS[1:5:3]
LIBRARY = next(variant for variant in VARIANTS if variant.by_group)


def measure_floor(report: Report, name: str, horizons: Sequence[int], variants: Sequence[Variant]) -> None:
    """Variants on one data set, chosen on validation; and the library's floor fitted again on validation too."""
    sums = DataSums.load(name, max(horizons))
    naive = [torch.zeros_like(sums.pooled.xy)] * len(sums.test)
    floors = {"naive": naive} | {variant.name: Fit(variant, sums).maps() for variant in variants}
    for variant_name, maps in floors.items():
        _add_errors(report, name, variant_name, "validation", horizons, maps, sums.validation)
        _add_errors(report, name, variant_name, "test", horizons, maps, sums.test)
    more = [RidgeSums.total(pair) for pair in zip(sums.training, sums.validation, strict=True)]
    _add_errors(report, name, "refit", "test", horizons, Fit(LIBRARY, sums).maps(more), sums.test)


def measure_halves(report: Report, name: str, horizons: Sequence[int], variants: Sequence[Variant]) -> None:
    """Variants on one data set, chosen on the first half of validation and judged on the second.

    So variants with more to choose are judged by windows that chose nothing, and a refit by windows that it never saw.
    Both halves need `MIN_HALF` windows.
    """
    sums = DataSums.load(name, max(horizons))
    first, second = sums.first_half, sums.second_half
    if min(part.n_windows for part in (*first, *second)) < MIN_HALF:
        return
    sums = replace(sums, validation=first)
    for variant in variants:
        _add_errors(report, name, variant.name, "second half", horizons, Fit(variant, sums).maps(), second)
    more = [RidgeSums.total(pair) for pair in zip(sums.training, first, strict=True)]
    _add_errors(report, name, "refit", "second half", horizons, Fit(LIBRARY, sums).maps(more), second)


class Fit:
    """A variant with its strengths chosen on validation, by the library's rules."""

    def __init__(self, variant: Variant, sums: DataSums) -> None:
        self.variant, self.sums = variant, sums
        n_leads = sums.pooled.xy.shape[1]
        self.groups = group_slices(n_leads) if variant.by_group else [slice(n_leads)]
        naive = torch.zeros_like(sums.pooled.xy)
        maps = sums.pooled.mean_maps(variant.ridges, naive, COMMON_STRENGTHS)
        judge = RidgeSums.total(sums.validation)
        self.common_places = self._places(torch.stack([lead_errors(one, judge) for one in maps]))
        self.common = self._joined(maps, self.common_places)
        self.own_places: list[list[int]] = []
        if variant.own:
            curves = [
                torch.stack([lead_errors(one, own_judge) for one in self._own_maps(own, self.common)])
                for own, own_judge in zip(sums.training, sums.validation, strict=True)
            ]
            everyone = torch.stack(curves).mean(0)
            spans = [own.n_horizons for own in sums.validation]
            joint = [n * curve + PRIOR_HORIZONS * everyone for n, curve in zip(spans, curves, strict=True)]
            self.own_places = [self._places(curve) for curve in joint]

    def maps(self, training: Sequence[RidgeSums] | None = None) -> list[Tensor]:
        """Every channel's map, fitted on its training windows or on those given, with the strengths chosen."""
        sums, common = self.sums, self.common
        if training is not None:
            pooled = RidgeSums.total(training)
            maps = pooled.mean_maps(self.variant.ridges, torch.zeros_like(pooled.xy), COMMON_STRENGTHS)
            common = self._joined(maps, self.common_places)
        parts = sums.training if training is None else training
        if not self.variant.own:
            return [common] * len(parts)
        if self.variant.stacked:
            return [self._stacked(code, own) for code, own in enumerate(parts)]
        return [
            self._joined(self._own_maps(own, common, places), places)
            for own, places in zip(parts, self.own_places, strict=True)
        ]

    def _own_maps(self, own: RidgeSums, common: Tensor, places: Sequence[int] | None = None) -> list[Tensor]:
        """The channel's maps by strength; only at `places` solved, where those are given."""
        if places is None:
            return own.mean_maps(self.variant.ridges, common, SERIES_STRENGTHS)
        wanted = sorted(set(places))
        solved = own.mean_maps(self.variant.ridges, common, [SERIES_STRENGTHS[place] for place in wanted])
        return [solved[wanted.index(place)] if place in wanted else common for place in range(len(SERIES_STRENGTHS))]

    def _stacked(self, code: int, own: RidgeSums) -> Tensor:
        """The channel's ridges and the naive forecast, weighed per group of leads on its validation windows."""
        (place,) = self.own_places[code]
        maps = [torch.zeros_like(self.common)]
        for ridge in self.variant.ridges:
            maps += own.solve(ridge.weights(len(own.xx)), self.common, [SERIES_STRENGTHS[place]])
        gram, stacked = error_products(maps, self.sums.validation[code]), torch.stack(maps)
        parts = [
            (simplex_weights(gram[..., group].mean(-1))[:, None, None] * stacked[..., group]).sum(0)
            for group in group_slices(gram.shape[-1])
        ]
        return torch.cat(parts, dim=1)

    def _places(self, curve: Tensor) -> list[int]:
        """For every group of leads the place of the least error in a curve (n_strengths, n_leads); the last of ties."""
        errors = [curve[:, group].mean(1).flip(0) for group in self.groups]
        return [len(curve) - 1 - int(one.argmin()) for one in errors]

    def _joined(self, maps: Sequence[Tensor], places: Sequence[int]) -> Tensor:
        return torch.cat([maps[place][:, group] for place, group in zip(places, self.groups, strict=True)], dim=1)


# --- sums of windows --------------------------------------------------------------------------------------------------


class CalendarSums(RidgeSums):
    """Sums of windows whose inputs begin with harmonics of the origin's place in the season; `context` counts them."""

    def __init__(self, n_leads: int, season_length: int, parts: Sequence[tuple[Stretch, Measure]]) -> None:
        self.season_length = season_length
        super().__init__(N_HARMONICS + CONTEXT, n_leads, parts)

    def windows(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Chunks of all stretches' windows."""
        for stretch, measure in self.parts:
            origins = stretch.used_origins(CONTEXT).split(CHUNK_WINDOWS)
            chunks = stretch.windows(CONTEXT, self.horizon, measure)
            for part, (inputs, targets, seen) in zip(origins, chunks, strict=True):
                yield torch.cat([harmonics(part, self.season_length), inputs], dim=1), targets, seen


@dataclass(frozen=True)
class DataSums:
    """Sums of every channel's windows: of training, of validation, its halves, and the test; training's total."""

    training: list[RidgeSums]
    validation: list[RidgeSums]
    first_half: list[RidgeSums]
    second_half: list[RidgeSums]
    test: list[RidgeSums]
    pooled: RidgeSums

    @classmethod
    def load(cls, name: str, n_leads: int) -> DataSums:
        """Read a data set, standardised by its training rows, and sum its windows.

        The first half of validation are the windows whose targets end before its middle, the second half those whose
        targets begin after it.
        """
        data = LongData.load(name)
        middle = (data.validation + data.test) // 2

        def of(first: int, stop: int) -> list[RidgeSums]:
            origins = torch.arange(max(first - 1, CONTEXT - 1), max(stop - n_leads, first - 1, CONTEXT - 1))
            rows = data.values[: data.end].T.contiguous()
            observed = torch.ones(data.end, dtype=torch.bool)
            made = [Stretch(code, values, observed, origins) for code, values in enumerate(rows)]
            return [CalendarSums(n_leads, season(name), [(stretch, Measure(0.0, 1.0))]) for stretch in made]

        training = of(0, data.validation)
        halves = of(data.validation, middle), of(middle, data.test)
        return cls(
            training, of(data.validation, data.test), *halves, of(data.test, data.end), RidgeSums.total(training)
        )


def group_slices(n_leads: int) -> list[slice]:
    """The library's groups of leads, in order."""
    ends = lead_groups(n_leads).bincount().cumsum(0).tolist()
    return [slice(*pair) for pair in zip([0, *ends], ends, strict=False)]


def harmonics(origins: Tensor, season_length: int) -> Tensor:
    """(n, N_HARMONICS) sines and cosines of the origins' place in a season and in seven of them."""
    columns = []
    for n_seasons, n_waves in CYCLES:
        for wave in range(1, n_waves + 1):
            angle = 2 * math.pi * wave * origins.double() / (n_seasons * season_length)
            columns += [angle.sin(), angle.cos()]
    return torch.stack(columns, dim=1).float()


def lead_errors(maps: Tensor, sums: RidgeSums) -> Tensor:
    """(n_leads,) mean squared error of a map at every lead."""
    return (((sums.xx @ maps - 2 * sums.xy) * maps).sum(0) + sums.yy) / sums.n_windows


def error_products(maps: Sequence[Tensor], sums: RidgeSums) -> Tensor:
    """(n_maps, n_maps, n_leads) mean products of the maps' errors."""
    stacked = torch.stack(list(maps))
    crossed = torch.einsum("ilh,jlh->ijh", sums.xx @ stacked, stacked)
    with_targets = (stacked * sums.xy).sum(1)
    return (crossed - with_targets[:, None] - with_targets[None] + sums.yy) / sums.n_windows


def simplex_weights(products: Tensor) -> Tensor:
    """Weights ≥ 0 that sum to 1 and make the squared error of the mix least, by exponentiated gradients."""
    weights = torch.full((len(products),), 1 / len(products), dtype=products.dtype)
    for _ in range(STACK_STEPS):
        gradient = products @ weights
        weights = weights * torch.exp(-2 * (gradient - weights @ gradient) / products.diagonal().mean())
        weights = weights / weights.sum()
    return weights


# --- measures ---------------------------------------------------------------------------------------------------------


def _add_errors(
    report: Report,
    name: str,
    variant: str,
    part: str,
    horizons: Sequence[int],
    maps: Sequence[Tensor],
    judges: Sequence[RidgeSums],
) -> None:
    """Errors over the channels and the leads up to every horizon."""
    errors = torch.stack([lead_errors(own, judge) for own, judge in zip(maps, judges, strict=True)]).mean(0)
    for horizon in horizons:
        report.add(f"mse:floor:{name}:{horizon}:{variant}:{part}", float(errors[:horizon].mean()))
