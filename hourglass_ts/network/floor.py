"""The linear floor: a closed-form ridge forecast that the network can only improve on.

A window x of L steps that ends at the origin is centred on its last value, and one linear map gives the next H steps.
The last place, where the difference is 0, holds how far the last value lies from the level m of the series, the mean
of its training rows:

    forecast = x_L + (x₁ − x_L, …, x_L₋₁ − x_L, x_L − m) W

W is the mean of a few ridge maps, since a mean of forecasts is better than most of them (Bates and Granger 1969): of
the whole and of a shorter context, each with and without a return to the level. Validation chooses how many. W₀ is
the map of all series, shrunk towards zero: infinite shrinkage is the naive forecast. A series with enough history has
its own W_s, shrunk towards W₀ (W_s = (XᵀX + λ_s I)⁻¹ (XᵀY + λ_s W₀)). All λ are chosen on validation windows. The map
commutes with shifting and scaling a series and its level, so it serves any affine normalisation of the target.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from hourglass_ts.errors import NotFittedError, Problem, raise_problem
from hourglass_ts.network.ridge import Measure, Ridge, RidgeSums, SeriesSums, Stretch, lead_groups

COMMON_STRENGTHS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, math.inf)
SERIES_STRENGTHS = (10.0, 100.0, 1e3, 1e4, 1e5, 1e6, math.inf)
MIN_SHORT_CONTEXT = 8
MAX_MAP_NUMBERS = 2**24
CHOICE_REFINEMENTS = 1
PRIOR_HORIZONS = 10.0


def ridge_sets(context: int) -> tuple[tuple[Ridge, ...], ...]:
    """The sets of ridges whose mean may be the floor, the simplest first.

    Example:
        >>> [len(ridges) for ridges in ridge_sets(512)]
        [1, 2, 4]
    """
    plain, returning = Ridge(context, level=False), Ridge(context, level=True)
    sets = ((plain,), (plain, returning))
    if context // 2 < MIN_SHORT_CONTEXT:
        return sets
    return (*sets, (plain, returning, Ridge(context // 2, level=False), Ridge(context // 2, level=True)))


@dataclass(frozen=True)
class FloorReport:
    """What the fit chose, and its mean squared validation errors in units of each series' training variance.

    Strengths are those of the groups of leads, in order.
    """

    ridges: tuple[Ridge, ...]
    common_strengths: tuple[float, ...]
    own_strengths: dict[int, tuple[float, ...]]
    n_series: int
    naive_error: float
    common_error: float
    floor_error: float


@dataclass
class _Choice:
    """One set of ridges, with its common map and what validation said of it, group of leads by group.

    places: (n_groups,) of the common map's strengths.
    window_errors: (n_windows, n_groups) of the common map, sums of squared errors.
    blocks: (n_blocks, n_groups) the same in blocks of evidence, of own maps where they are better.
    curves: for each series, sums of squared errors (n_strengths, n_groups) of its own map.
    """

    ridges: tuple[Ridge, ...]
    common: Tensor
    places: Tensor
    window_errors: Tensor
    blocks: Tensor
    curves: dict[int, Tensor] = field(default_factory=dict)


class LinearFloor(nn.Module):
    """Forecast by the common map, or by the series' own where validation gave it one; the naive forecast until fitted.

    Args:
        context: L, inputs per window.  horizon: H, leads.  n_series: codes 0 … n_series − 1; any other code gets W₀,
            and is taken to be at its level.

    Own maps take at most 64 MiB: where there are more series than fit, those with the longest history may earn one.

    Example:
        >>> floor = LinearFloor(context=3, horizon=2, n_series=1)
        >>> floor(torch.tensor([[1.0, 2.0, 4.0]]), torch.ones(1, 3, dtype=torch.bool), torch.tensor([0]))
        tensor([[4., 4.]])
    """

    common: Tensor
    own: Tensor
    map_of_series: Tensor
    levels: Tensor
    has_level: Tensor

    def __init__(self, context: int, horizon: int, n_series: int) -> None:
        super().__init__()
        self.context, self.horizon, self.n_series = context, horizon, n_series
        self.groups = lead_groups(horizon)
        self.report: FloorReport | None = None
        n_maps = min(n_series, MAX_MAP_NUMBERS // (context * horizon))
        self.register_buffer("common", torch.zeros(context, horizon))
        self.register_buffer("own", torch.zeros(n_maps, context, horizon))
        self.register_buffer("map_of_series", torch.full((n_series + 1,), -1, dtype=torch.long))
        self.register_buffer("levels", torch.zeros(n_series + 1))
        self.register_buffer("has_level", torch.zeros(n_series + 1, dtype=torch.bool))

    def forward(self, past: Tensor, present: Tensor, code: Tensor, units: Tensor | None = None) -> Tensor:
        """Forecast (batch, H) from `past` (batch, L); `present` is False at pads, which say nothing.

        units: (batch, 2) centre and scale that `past` was normalised by since the fit; None when it was not.
        """
        known = (code >= 0) & (code < self.n_series)
        row = code.where(known, self.n_series)
        last, level = past[:, -1:], self.levels[row, None]
        if units is not None:
            level = (level - units[:, :1]) / units[:, 1:]
        inputs = torch.where(present, past - last, 0.0)
        distance = torch.where(self.has_level[row, None], last - level, 0.0)
        inputs = torch.cat([inputs[:, :-1], distance], dim=1)
        forecast = inputs @ self.common
        map_row = self.map_of_series[row]
        with_own = (map_row >= 0).nonzero().squeeze(1)
        own = torch.bmm(inputs[with_own].unsqueeze(1), self.own[map_row[with_own]]).squeeze(1)
        return last + forecast.index_copy(0, with_own, own)

    @torch.no_grad()
    def fit(
        self, training: Sequence[Stretch], validation: Sequence[Stretch], seconds: float | None = None
    ) -> FloorReport:
        """Fit W₀ and the own maps on `training`, choosing ridges and every λ by squared error on `validation`.

        At most one stretch per series in each; a series without windows in both stays on the common map, and so do
        those that are not reached within `seconds`, the longest being tried first.
        """
        begin = time.monotonic()
        measures = {stretch.code: stretch.measure() for stretch in training}
        used = {stretch.code: stretch for stretch in training if len(stretch.used_origins(self.context))}
        judging = [s for s in validation if s.code in used and len(s.used_origins(self.context))]
        learnt, judges = self._sums(training, measures), self._sums(judging, measures)
        choices = self._common_choices(learnt.all, judges.all)
        codes = [stretch.code for stretch, _ in judges.all.parts]
        block_of = dict(zip(codes, judges.all.blocks(), strict=True))
        windows = torch.arange(judges.all.n_windows).split([len(block) for block in block_of.values()])
        windows_of = dict(zip(codes, windows, strict=True))

        longest = sorted(codes, key=lambda code: -len(used[code].origins))
        able = [code for code in longest if 0 <= code < self.n_series][: len(self.own)]
        n_horizons, n_targets = {}, {}
        for code in able:
            if seconds is not None and time.monotonic() - begin > seconds:
                break
            own, judge = learnt.of(code), judges.of(code)
            n_horizons[code], n_targets[code] = judge.n_horizons, max(float(judge.n_targets.sum()), 1.0)
            nearest = []
            for choice in choices:
                maps = own.mean_maps(choice.ridges, choice.common, SERIES_STRENGTHS, CHOICE_REFINEMENTS)
                choice.curves[code] = judge.squared_errors(maps)
                nearest.append(self._joined(maps, _last_least(choice.curves[code])))
            own.forget_bases()
            for choice, errors in zip(choices, judge.window_errors(nearest), strict=True):
                gain = errors - choice.window_errors[windows_of[code]]
                choice.blocks.index_add_(0, block_of[code], gain)
        best = choices[0]
        for choice in choices[1:]:
            if is_less_for_sure(choice.blocks.sum(1), best.blocks.sum(1)):
                best = choice

        own_places = _choose_strengths(best.curves, n_horizons, n_targets)
        n_judged = max(float(judges.all.n_targets.sum()), 1.0)
        common_error = float(best.window_errors.sum())
        gains = (best.curves[code][-1] - _at(best.curves[code], places) for code, places in own_places.items())
        self.report = FloorReport(
            ridges=best.ridges,
            common_strengths=tuple(COMMON_STRENGTHS[place] for place in best.places),
            own_strengths={
                code: tuple(SERIES_STRENGTHS[place] for place in places) for code, places in sorted(own_places.items())
            },
            n_series=len(measures),
            naive_error=float(judges.all.yy.sum()) / n_judged,
            common_error=common_error / n_judged,
            floor_error=(common_error - sum(float(gain.sum()) for gain in gains)) / n_judged,
        )
        self._set_maps(learnt, measures)
        return self.report

    def _common_choices(self, pooled: RidgeSums, judge: RidgeSums) -> list[_Choice]:
        """For each set of ridges the common map, by the strengths that forecast best; naive unless that is better."""
        block = torch.cat([torch.zeros(0, dtype=torch.long), *judge.blocks()])
        n_blocks = int(block.max()) + 1 if len(block) else 0
        naive, maps, places = torch.zeros_like(pooled.xy), [], []
        for ridges in ridge_sets(self.context):
            of_strengths = pooled.mean_maps(ridges, naive, COMMON_STRENGTHS, CHOICE_REFINEMENTS)
            places.append(_last_least(judge.squared_errors(of_strengths)))
            maps.append(self._joined(of_strengths, places[-1]))
        naive_errors, *errors_of_maps = judge.window_errors([naive, *maps])

        def in_blocks(errors: Tensor) -> Tensor:
            return errors.new_zeros(n_blocks, errors.shape[1]).index_add(0, block, errors)

        choices = []
        for ridges, common, place, errors in zip(ridge_sets(self.context), maps, places, errors_of_maps, strict=True):
            better = is_less_for_sure(in_blocks(errors), in_blocks(naive_errors))
            errors = errors.where(better, naive_errors)
            choices.append(
                _Choice(
                    ridges,
                    common.where(better[self.groups], naive),
                    place.where(better, len(COMMON_STRENGTHS) - 1),
                    errors,
                    in_blocks(errors),
                )
            )
        return choices

    def _joined(self, maps: Sequence[Tensor], places: Tensor) -> Tensor:
        """One map: for every group of leads its columns of the map at the group's place."""
        return torch.stack(list(maps), dim=2)[:, torch.arange(self.horizon), places[self.groups]]

    @torch.no_grad()
    def refit(self, training: Sequence[Stretch]) -> None:
        """Fit again on other rows (all of them, say) with the ridges and strengths that `fit` chose."""
        if self.report is None:
            raise_problem(
                NotFittedError, Problem("a floor without chosen strengths", "fit before refit", "Call fit() first.")
            )
        measures = {stretch.code: stretch.measure() for stretch in training}
        self._set_maps(self._sums(training, measures), measures)

    def _set_maps(self, sums: SeriesSums, measures: Mapping[int, Measure]) -> None:
        """Take maps and levels from the sums, with the ridges and strengths of the report."""
        report = cast(FloorReport, self.report)

        def solved(own: RidgeSums, prior: Tensor, strengths: Sequence[float]) -> Tensor:
            (one,) = own.mean_maps(report.ridges, prior, [torch.tensor(strengths)[self.groups]])
            own.forget_bases()
            return one

        common = solved(sums.all, torch.zeros_like(sums.all.xy), report.common_strengths)
        self.common.copy_(common)
        self.own.zero_()
        self.map_of_series.fill_(-1)
        self.levels.zero_()
        self.has_level.zero_()
        for code, measure in measures.items():
            if 0 <= code < self.n_series:
                known = math.isfinite(measure.level)
                self.levels[code], self.has_level[code] = measure.level if known else 0.0, known
        for row, code in enumerate(code for code in report.own_strengths if code in sums):
            self.own[row] = solved(sums.of(code), common, report.own_strengths[code])
            self.map_of_series[code] = row

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Floors from before there were levels load, too: their maps' last rows are 0."""
        for name in ("levels", "has_level"):
            if prefix + "common" in state_dict:
                state_dict.setdefault(prefix + name, torch.zeros_like(getattr(self, name)))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _sums(self, stretches: Sequence[Stretch], measures: Mapping[int, Measure]) -> SeriesSums:
        return SeriesSums(self.context, self.horizon, stretches, measures)


def _choose_strengths(
    curves: dict[int, Tensor], n_horizons: dict[int, float], n_targets: dict[int, float]
) -> dict[int, Tensor]:
    """The places (n_groups,) of each series' strengths, for those that earn a map of their own.

    A few validation windows choose by luck, so every series' error curve is joined by the curve of all series, which
    counts as much as `PRIOR_HORIZONS` horizons of its own.
    """
    if not curves:
        return {}
    everyone = torch.stack(list(curves.values())).sum(0) / max(sum(n_targets.values()), 1.0)
    chosen = {}
    for code, curve in curves.items():
        places = _last_least(n_horizons[code] * curve / n_targets[code] + PRIOR_HORIZONS * everyone)
        if (places < len(SERIES_STRENGTHS) - 1).any():
            chosen[code] = places
    return chosen


def _last_least(errors: Tensor) -> Tensor:
    """The places (n_groups,) of the least errors (n, n_groups); of equal ones the last, which is the most shrunken."""
    return len(errors) - 1 - errors.flip(0).argmin(0)


def _at(curve: Tensor, places: Tensor) -> Tensor:
    """The values (n_groups,) of a curve (n_strengths, n_groups) at every group's place."""
    return curve.gather(0, places[None])[0]


def is_less_for_sure(errors: Tensor, others: Tensor) -> Tensor:
    """Whether errors (n_blocks, …) are below others by more than the standard error of their difference (…).

    Some map always looks a little better than the naive forecast of a random walk. One block decides alone.
    """
    gains = others - errors
    deviation = gains.std(0) * math.sqrt(len(gains)) if len(gains) > 1 else 0.0
    return gains.sum(0) > deviation
