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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from hourglass_ts.errors import NotFittedError, Problem, raise_problem
from hourglass_ts.network.ridge import Measure, Ridge, RidgeSums, Stretch

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
    """What the fit chose, and its mean squared validation errors in units of each series' training variance."""

    ridges: tuple[Ridge, ...]
    common_strength: float
    own_strengths: dict[int, float]
    n_series: int
    naive_error: float
    common_error: float
    floor_error: float


@dataclass
class _Choice:
    """One set of ridges, with its common map and what validation said of it.

    window_errors: of the common map, sums of squared errors in every validation window.
    blocks: the same in blocks of evidence, of own maps where they are better.
    curves: for each series, the sum of squared errors of its own map at every strength.
    """

    ridges: tuple[Ridge, ...]
    common: Tensor
    common_strength: float
    common_error: float
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
        learnt = {stretch.code for stretch in training if len(stretch.used_origins(self.context))}
        judges = {s.code: s for s in validation if s.code in learnt and len(s.used_origins(self.context))}
        judge = self._sums(judges.values(), measures)
        choices = self._common_choices(self._sums(training, measures), judge)
        block_of = dict(zip(judges, judge.blocks(), strict=True))
        counts = [len(block) for block in block_of.values()]
        common_errors = [
            dict(zip(judges, choice.window_errors.split(counts), strict=True)) if counts else {} for choice in choices
        ]

        longest = sorted(training, key=lambda stretch: -len(stretch.origins))
        able = [s for s in longest if s.code in judges and 0 <= s.code < self.n_series][: len(self.own)]
        n_horizons, n_targets = {}, {}
        for stretch in able:
            if seconds is not None and time.monotonic() - begin > seconds:
                break
            code = stretch.code
            own, own_judge = self._sums([stretch], measures), self._sums([judges[code]], measures)
            n_horizons[code], n_targets[code] = own_judge.n_horizons, max(float(own_judge.n_targets.sum()), 1.0)
            for choice, errors_of in zip(choices, common_errors, strict=True):
                maps = own.mean_maps(choice.ridges, choice.common, SERIES_STRENGTHS, CHOICE_REFINEMENTS)
                choice.curves[code] = own_judge.squared_errors(maps)
                nearest = maps[_last_least(choice.curves[code].tolist())]
                choice.blocks.index_add_(0, block_of[code], own_judge.window_errors(nearest) - errors_of[code])
        best = choices[0]
        for choice in choices[1:]:
            if is_less_for_sure(choice.blocks, best.blocks):
                best = choice

        own_places = _choose_strengths(best.curves, n_horizons, n_targets)
        gain = sum(float(best.curves[code][-1] - best.curves[code][place]) for code, place in own_places.items())
        n_judged = max(float(judge.n_targets.sum()), 1.0)
        self.report = FloorReport(
            ridges=best.ridges,
            common_strength=best.common_strength,
            own_strengths={code: SERIES_STRENGTHS[place] for code, place in sorted(own_places.items())},
            n_series=len(measures),
            naive_error=float(judge.yy.sum()) / n_judged,
            common_error=best.common_error / n_judged,
            floor_error=(best.common_error - gain) / n_judged,
        )
        self.refit(training)
        return self.report

    def _common_choices(self, pooled: RidgeSums, judge: RidgeSums) -> list[_Choice]:
        """For each set of ridges the common map, by the strength that forecasts best; naive unless that is better."""
        block = torch.cat([torch.zeros(0, dtype=torch.long), *judge.blocks()])
        n_blocks = int(block.max()) + 1 if len(block) else 0
        naive = torch.zeros_like(pooled.xy)

        def in_blocks(errors: Tensor) -> Tensor:
            return torch.zeros(n_blocks, dtype=torch.float64).index_add(0, block, errors)

        choices, naive_errors = [], judge.window_errors(naive)
        for ridges in ridge_sets(self.context):
            maps = pooled.mean_maps(ridges, naive, COMMON_STRENGTHS, CHOICE_REFINEMENTS)
            errors = judge.squared_errors(maps)
            best = _last_least(errors.tolist())
            of_windows = judge.window_errors(maps[best])
            if not is_less_for_sure(in_blocks(of_windows), in_blocks(naive_errors)):
                best, of_windows = len(maps) - 1, naive_errors
            strength, error = COMMON_STRENGTHS[best], float(errors[best])
            choices.append(_Choice(ridges, maps[best], strength, error, of_windows, in_blocks(of_windows)))
        return choices

    @torch.no_grad()
    def refit(self, training: Sequence[Stretch]) -> None:
        """Fit again on other rows (all of them, say) with the ridges and strengths that `fit` chose."""
        if self.report is None:
            raise_problem(
                NotFittedError, Problem("a floor without chosen strengths", "fit before refit", "Call fit() first.")
            )
        report, measures = self.report, {stretch.code: stretch.measure() for stretch in training}
        pooled = self._sums(training, measures)
        (common,) = pooled.mean_maps(report.ridges, torch.zeros_like(pooled.xy), [report.common_strength])
        self.common.copy_(common)
        self.own.zero_()
        self.map_of_series.fill_(-1)
        self.levels.zero_()
        self.has_level.zero_()
        for code, measure in measures.items():
            if 0 <= code < self.n_series:
                known = math.isfinite(measure.level)
                self.levels[code], self.has_level[code] = measure.level if known else 0.0, known
        stretches = {stretch.code: stretch for stretch in training}
        for row, code in enumerate(code for code in report.own_strengths if code in stretches):
            own = self._sums([stretches[code]], measures)
            (self.own[row],) = own.mean_maps(report.ridges, common, [report.own_strengths[code]])
            self.map_of_series[code] = row

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Floors from before there were levels load, too: their maps' last rows are 0."""
        for name in ("levels", "has_level"):
            if prefix + "common" in state_dict:
                state_dict.setdefault(prefix + name, torch.zeros_like(getattr(self, name)))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _sums(self, stretches: Iterable[Stretch], measures: dict[int, Measure]) -> RidgeSums:
        return RidgeSums(self.context, self.horizon, [(stretch, measures[stretch.code]) for stretch in stretches])


def _choose_strengths(
    curves: dict[int, Tensor], n_horizons: dict[int, float], n_targets: dict[int, float]
) -> dict[int, int]:
    """The place of each series' strength, for those that earn a map of their own.

    A few validation windows choose by luck, so every series' error curve is joined by the curve of all series, which
    counts as much as `PRIOR_HORIZONS` horizons of its own.
    """
    everyone = sum(curves.values(), torch.zeros(len(SERIES_STRENGTHS), dtype=torch.float64)) / max(
        sum(n_targets.values()), 1.0
    )
    chosen = {}
    for code, curve in curves.items():
        place = _last_least((n_horizons[code] * curve / n_targets[code] + PRIOR_HORIZONS * everyone).tolist())
        if math.isfinite(SERIES_STRENGTHS[place]):
            chosen[code] = place
    return chosen


def _last_least(errors: Sequence[float]) -> int:
    """The place of the least error; of equal ones the last, which is the most shrunken."""
    return min(range(len(errors)), key=lambda index: (errors[index], -index))


def is_less_for_sure(errors: Tensor, others: Tensor) -> bool:
    """Whether errors (n_blocks,) are below others by more than the standard error of their difference.

    Some map always looks a little better than the naive forecast of a random walk. One block decides alone.
    """
    gains = others - errors
    deviation = float(gains.std()) * math.sqrt(len(gains)) if len(gains) > 1 else 0.0
    return float(gains.sum()) > deviation
