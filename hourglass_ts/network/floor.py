"""The linear floor: a closed-form ridge forecast that the network can only improve on, and the gate between them.

A window x of L steps that ends at the origin is centred on its last value, and one linear map gives the next H steps:

    forecast = x_L + (x - x_L) W

W₀ is one ridge map for all series, shrunk towards zero: infinite shrinkage is the naive forecast. A series with
enough history has its own W_s, shrunk towards W₀ (W_s = (XᵀX + λ_s I)⁻¹ (XᵀY + λ_s W₀)). All λ are chosen on validation
windows. The map commutes with shifting and scaling, so it serves any affine normalisation of the target.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from hourglass_ts.errors import NotFittedError, Problem, raise_problem

COMMON_STRENGTHS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, math.inf)
SERIES_STRENGTHS = (10.0, 100.0, 1e3, 1e4, 1e5, 1e6, math.inf)
CHUNK_WINDOWS = 4096
MAX_MAP_NUMBERS = 2**24
REFINEMENTS = 4
PRIOR_HORIZONS = 10.0


@dataclass(frozen=True)
class Stretch:
    """The windows of one series that a fit or a choice may use.

    values: (T,) the series, holes filled causally.  observed: (T,) False where a value is only a filling.
    origins: positions in the series; a window's last input stands at its origin, its targets follow.
    code: the number of the series, as the network knows it.
    """

    code: int
    values: Tensor
    observed: Tensor
    origins: Tensor

    def scale(self) -> float:
        """Standard deviation of what was observed up to the last origin; 1 for a constant series."""
        end = int(self.origins.max()) + 1 if len(self.origins) else len(self.values)
        seen = self.values[:end][self.observed[:end]].double()
        spread = float(seen.std(correction=0)) if len(seen) else 0.0
        return spread if spread > 1e-9 * float(seen.abs().max() if len(seen) else 0.0) else 1.0

    def windows(self, context: int, horizon: int, scale: float) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Chunks of (inputs (n, L), targets (n, H), seen (n, H)), less the origin's value and divided by `scale`.

        Places before the series' start say nothing: their input is 0. Targets that were not observed are 0 and unseen.
        """
        origins = self.origins[self.observed[self.origins]]
        values, length = self.values / scale, len(self.values)
        back, ahead = torch.arange(1 - context, 1), torch.arange(1, horizon + 1)
        for part in origins.split(CHUNK_WINDOWS):
            place, future = part[:, None] + back, part[:, None] + ahead
            last = values[part][:, None]
            inputs = torch.where(place >= 0, values[place.clamp(min=0)] - last, 0.0)
            inside = future.clamp(max=length - 1)
            seen = (future < length) & self.observed[inside]
            yield inputs, torch.where(seen, values[inside] - last, 0.0), seen


@dataclass
class _Problem:
    """The ridge problem of some stretches, each with its scale: sums over windows, and a way to pass over them."""

    context: int
    horizon: int
    parts: list[tuple[Stretch, float]]
    xx: Tensor = field(init=False)
    xy: Tensor = field(init=False)
    n_targets: Tensor = field(init=False)
    n_windows: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.xx = torch.zeros(self.context, self.context, dtype=torch.float64)
        self.xy = torch.zeros(self.context, self.horizon, dtype=torch.float64)
        self.n_targets = torch.zeros(self.horizon, dtype=torch.float64)
        for inputs, targets, seen in self.windows():
            self.xx += inputs.T @ inputs
            self.xy += inputs.T @ targets
            self.n_targets += seen.sum(0)
            self.n_windows += len(inputs)

    def windows(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for stretch, scale in self.parts:
            yield from stretch.windows(self.context, self.horizon, scale)

    @property
    def n_horizons(self) -> float:
        """How many horizons the targets span: what overlapping windows are worth."""
        spans = [float(s.origins.max() - s.origins.min()) for s, _ in self.parts if len(s.origins)]
        return sum(spans) / self.horizon + len(spans)

    def solve(self, prior: Tensor, strengths: Sequence[float]) -> list[Tensor]:
        """The minimiser of ‖seen (Y − XW)‖² + λ ‖W − prior‖² for every λ, from one eigendecomposition.

        Where targets are missing, each lead has its own XᵀX. The full one, scaled by the share of targets that the
        lead has, is its preconditioner: a few steps of iterative refinement reach the exact solution.
        """
        if self.n_windows == 0:
            return [prior.clone() for _ in strengths]
        eigenvalues, basis = torch.linalg.eigh(self.xx)
        spectrum = eigenvalues.clamp(min=0)[:, None] * (self.n_targets / self.n_windows)
        some_missing = bool((self.n_targets < self.n_windows).any())
        solutions = []
        for strength in strengths:
            if math.isinf(strength):
                solutions.append(prior.clone())
                continue
            weights = basis @ ((basis.T @ (self.xy + strength * prior)) / (spectrum + strength))
            for _ in range(REFINEMENTS if some_missing else 0):
                gradient = self._gradient(weights) - strength * (weights - prior)
                weights = weights + basis @ ((basis.T @ gradient) / (spectrum + strength))
            solutions.append(weights)
        return solutions

    def _gradient(self, weights: Tensor) -> Tensor:
        total, weights32 = torch.zeros_like(weights), weights.float()
        for inputs, targets, seen in self.windows():
            total += inputs.T @ torch.where(seen, targets - inputs @ weights32, 0.0)
        return total

    def squared_error(self, weights: Tensor) -> float:
        weights32 = weights.float()
        return sum(
            float(torch.where(seen, targets - inputs @ weights32, 0.0).double().square().sum())
            for inputs, targets, seen in self.windows()
        )


@dataclass(frozen=True)
class FloorReport:
    """What the fit chose, and its mean squared validation errors in units of each series' training variance."""

    common_strength: float
    own_strengths: dict[int, float]
    n_series: int
    naive_error: float
    common_error: float
    floor_error: float


class LinearFloor(nn.Module):
    """Forecast by the common map, or by the series' own where validation gave it one; the naive forecast until fitted.

    Args:
        context: L, inputs per window.  horizon: H, leads.  n_series: codes 0 … n_series − 1; any other code gets W₀.

    Own maps take at most 64 MiB: where there are more series than fit, those with most to gain get one.

    Example:
        >>> floor = LinearFloor(context=3, horizon=2, n_series=1)
        >>> floor(torch.tensor([[1.0, 2.0, 4.0]]), torch.ones(1, 3, dtype=torch.bool), torch.tensor([0]))
        tensor([[4., 4.]])
    """

    common: Tensor
    own: Tensor
    map_of_series: Tensor

    def __init__(self, context: int, horizon: int, n_series: int) -> None:
        super().__init__()
        self.context, self.horizon, self.n_series = context, horizon, n_series
        self.report: FloorReport | None = None
        n_maps = min(n_series, MAX_MAP_NUMBERS // (context * horizon))
        self.register_buffer("common", torch.zeros(context, horizon))
        self.register_buffer("own", torch.zeros(n_maps, context, horizon))
        self.register_buffer("map_of_series", torch.full((n_series + 1,), -1, dtype=torch.long))

    def forward(self, past: Tensor, present: Tensor, code: Tensor) -> Tensor:
        """Forecast (batch, H) from `past` (batch, L); `present` is False at pads, which say nothing."""
        last = past[:, -1:]
        inputs = torch.where(present, past - last, 0.0)
        forecast = inputs @ self.common
        known = (code >= 0) & (code < self.n_series)
        row = self.map_of_series[code.where(known, self.n_series)]
        with_own = (row >= 0).nonzero().squeeze(1)
        own = torch.bmm(inputs[with_own].unsqueeze(1), self.own[row[with_own]]).squeeze(1)
        return last + forecast.index_copy(0, with_own, own)

    @torch.no_grad()
    def fit(self, training: Sequence[Stretch], validation: Sequence[Stretch]) -> FloorReport:
        """Fit W₀ and the own maps on `training`, choosing every λ by squared error on `validation`.

        At most one stretch per series in each; a series without validation windows stays on the common map.
        """
        scales = {stretch.code: stretch.scale() for stretch in training}
        judges = {s.code: self._problem([s], scales) for s in validation if s.code in scales}
        n_judged = max(sum(float(judge.n_targets.sum()) for judge in judges.values()), 1.0)

        pooled = self._problem(training, scales)
        candidates = pooled.solve(torch.zeros_like(pooled.xy), COMMON_STRENGTHS)
        errors = [sum(judge.squared_error(weights) for judge in judges.values()) for weights in candidates]
        best = _least(errors)
        common = candidates[best]

        candidates_of = {s.code: s for s in training if s.code in judges and 0 <= s.code < self.n_series}
        sums = {}
        for code, stretch in candidates_of.items():
            own = self._problem([stretch], scales).solve(common, SERIES_STRENGTHS)
            sums[code] = torch.tensor([judges[code].squared_error(weights) for weights in own], dtype=torch.float64)
        chosen = _choose_strengths(sums, judges)
        gains = {code: float(sums[code][-1] - sums[code][place]) for code, place in chosen.items()}
        earners = sorted(gains, key=lambda code: -gains[code])[: len(self.own)]
        strengths = {code: SERIES_STRENGTHS[chosen[code]] for code in sorted(earners)}
        self._fit_own(common, candidates_of, scales, strengths)
        self.report = FloorReport(
            common_strength=COMMON_STRENGTHS[best],
            own_strengths=strengths,
            n_series=len(scales),
            naive_error=errors[-1] / n_judged,
            common_error=errors[best] / n_judged,
            floor_error=(errors[best] - sum(gains[code] for code in earners)) / n_judged,
        )
        return self.report

    @torch.no_grad()
    def refit(self, training: Sequence[Stretch]) -> None:
        """Fit again on other rows (all of them, say) with the strengths that `fit` chose."""
        if self.report is None:
            raise_problem(
                NotFittedError, Problem("a floor without chosen strengths", "fit before refit", "Call fit() first.")
            )
        scales = {stretch.code: stretch.scale() for stretch in training}
        pooled = self._problem(training, scales)
        (common,) = pooled.solve(torch.zeros_like(pooled.xy), [self.report.common_strength])
        self._fit_own(common, {stretch.code: stretch for stretch in training}, scales, self.report.own_strengths)

    def _problem(self, stretches: Sequence[Stretch], scales: dict[int, float]) -> _Problem:
        return _Problem(self.context, self.horizon, [(stretch, scales[stretch.code]) for stretch in stretches])

    def _fit_own(
        self, common: Tensor, stretches: dict[int, Stretch], scales: dict[int, float], strengths: dict[int, float]
    ) -> None:
        self.common.copy_(common)
        self.own.zero_()
        self.map_of_series.fill_(-1)
        for row, code in enumerate(code for code in strengths if code in stretches):
            (self.own[row],) = self._problem([stretches[code]], scales).solve(common, [strengths[code]])
            self.map_of_series[code] = row


def _choose_strengths(sums: dict[int, Tensor], judges: dict[int, _Problem]) -> dict[int, int]:
    """The place of each series' strength, for those that earn a map of their own.

    A few validation windows choose by luck, so every series' error curve is joined by the curve of all series, which
    counts as much as `PRIOR_HORIZONS` horizons of its own.
    """
    n_targets = {code: max(float(judges[code].n_targets.sum()), 1.0) for code in sums}
    everyone = sum(sums.values(), torch.zeros(len(SERIES_STRENGTHS), dtype=torch.float64)) / max(
        sum(n_targets.values()), 1.0
    )
    chosen = {}
    for code, curve in sums.items():
        score = judges[code].n_horizons * curve / n_targets[code] + PRIOR_HORIZONS * everyone
        place = _least(score.tolist())
        if math.isfinite(SERIES_STRENGTHS[place]):
            chosen[code] = place
    return chosen


def _least(errors: Sequence[float]) -> int:
    """The place of the least error; of equal ones the last, which is the most shrunken."""
    return min(range(len(errors)), key=lambda index: (errors[index], -index))


def fit_share(dot: Tensor, norm: Tensor, block: Tensor) -> float:
    """The network's share of the forecast: ⟨r, e⟩ / ⟨r, r⟩ on validation, shrunk by its uncertainty, within 0 … 1.

    Of the network's correction r and what the floor missed e, it takes the sums over each window's observed targets:
    dot (n,) = Σ r·e and norm (n,) = Σ r·r. block (n,): windows of one block overlap or share their time: one sample.

    With w the ratio, s its standard error over blocks and t the 99.9 % point of Student's distribution, the share is
    min(w, 1) (1 − (t s / w)²): 0 unless w is well above 0. The weights that r comes from were chosen on the same
    windows, epoch by epoch, so a milder test would reward luck (on random walks 2 s let 3 of 20 through).

    Example:
        >>> fit_share(torch.tensor([1.0, 2.0, 1.0]), torch.tensor([2.0, 4.0, 2.0]), torch.arange(3))
        0.5
    """
    _, place = block.unique(return_inverse=True)
    n_blocks = int(place.max()) + 1 if len(place) else 0
    dots, norms = (torch.zeros(n_blocks, dtype=torch.float64).index_add(0, place, x.double()) for x in (dot, norm))
    if n_blocks < 2 or norms.sum() <= 0 or dots.sum() <= 0:
        return 0.0
    weight = float(dots.sum() / norms.sum())
    variance = float((dots - weight * norms).square().sum() / norms.sum() ** 2) * n_blocks / (n_blocks - 1)
    certainty = max(0.0, 1.0 - _student_point(n_blocks - 1) ** 2 * variance / weight**2)
    return min(1.0, weight) * certainty


def _student_point(freedom: int) -> float:
    """The 99.9 % point of Student's t (Abramowitz and Stegun 26.7.5, three terms)."""
    z = 3.0902
    first = (z**3 + z) / (4 * freedom)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return z + first + second
