"""Conformal intervals: any forecaster, with quantiles that were calibrated on rows it never learnt from.

Every quantile level has its own conformal step. The score of a past forecast is s = (y − base) / scale, with base the
model's own quantile of that level where it gives one (conformalised quantile regression: Romano, Patterson and Candès
2019, each side alone) and its point forecast elsewhere (split conformal: Papadopoulos et al. 2002). The new quantile is
base + scale × offset, the offset being the level's quantile of the scores at that lead. Where data drift, it follows
every later hit and miss (quantile tracking: Angelopoulos, Candès and Tibshirani 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem, raise_problems
from hourglass_ts.forecast.checks import count_problems, quantile_names, quantile_problems
from hourglass_ts.forecast.offsets import Offsets, Scores, in_order
from hourglass_ts.forecast.piping import Straight, check_order, freq_of, tidied
from hourglass_ts.forecast.protocol import common_freq
from hourglass_ts.forecast.rolling import Timeline, new_copy, rolling_forecasts, with_leads
from hourglass_ts.forecast.truth import Truth, is_quantile
from hourglass_ts.forecast.wrapper import WrappedForecaster
from hourglass_ts.frames.roles import Roles
from hourglass_ts.frames.schema import check_frame
from hourglass_ts.frames.vintages import Vintages
from hourglass_ts.metrics.probabilistic import pinball

CALIBRATION_SHARE, MAX_CALIBRATION, MIN_ORIGINS = 0.25, 365, 20
MAX_NUMBERS = 20_000_000
SCALES = ("volatility", "series")
DECAY, LEAST_VOLATILITY = 0.94, 0.1


class ConformalForecaster(WrappedForecaster):
    """A forecaster's copy, fitted on all but a last stretch, with quantiles that are calibrated on that stretch.

    Neither training nor what it chooses on the way (early stopping, λ, the network's share) sees the stretch. The
    point forecast stays as it is; quantiles never cross, nor leave what the model's pipeline says is possible.
    Exchangeable errors are covered as promised, whatever their distribution; drifting ones in the long run, where
    `adaptive`.

    Args:
        model: anything with `fit` and `forecast`.
        quantiles: levels of the `q…` columns.
        calibration: steps of the stretch; None takes a quarter of the data, at most 365 steps.
        adaptive: let `forecast(df)` learn from how forecasts within the rows after `fit` came true.
        pooled: one offset per lead for all series, or one for each series; None takes one for each that has 100 scores
            or more, and the pool's for the others.
        scale: of the scores: "volatility" is each series' recent mean absolute change (decay .94), "series" its mean
            absolute change before the stretch; "auto" takes what has the smaller pinball loss on the stretch's second
            half after calibration on its first.

    Fitted attributes: `model_` the copy; `scale_` what was taken; `check_` the stretch's second half, with quantiles
    calibrated on its first.

    Example:
        >>> from hourglass_ts.forecast.baselines import Naive
        >>> df = pd.DataFrame({"t": range(200), "y": np.arange(200) % 7 * 1.0})
        >>> model = ConformalForecaster(Naive(horizon=1), quantiles=(0.1, 0.9), scale="series")
        >>> model.fit(df, time="t", target="y").forecast().iloc[:, 1:].round(3).values.tolist()
        [[3.0, -3.0, 4.0]]
    """

    def __init__(
        self,
        model: Any,
        quantiles: Sequence[float] = (0.025, 0.1, 0.5, 0.9, 0.975),
        calibration: int | None = None,
        adaptive: bool = True,
        pooled: bool | None = None,
        scale: str = "auto",
    ) -> None:
        self.model = model
        self.quantiles = quantiles
        self.calibration = calibration
        self.adaptive = adaptive
        self.pooled = pooled
        self.scale = scale

    def fit(
        self,
        df: pd.DataFrame,
        *,
        time: Any = None,
        target: Any = None,
        series: Any = None,
        known: Any = None,
        past: Any = None,
        static: Any = None,
        vintages: Vintages | None = None,
    ) -> Any:
        """Fit a copy of the model on all but the calibration stretch, and calibrate on the stretch.

        vintages: the known columns as they were issued; without them the stretch is forecast from their final values,
        and intervals are too narrow where those were not known in time.
        """
        raise_problems(SettingsError, self._setting_problems())
        named = Roles.from_arguments(time, target, series, known, past, static)
        check_order(self.model, df, named, "quantiles asked")
        df = tidied(self.model, df, named)
        panel = check_frame(df, named, freq_of(self.model))
        self.timeline_, truth = Timeline.of(df, panel.roles), Truth.of(panel)
        n_steps = self._stretch(len(truth.times))
        begin, end = truth.times[-1 - n_steps], truth.times[-1]
        self.timeline_ = self.timeline_.of_series_until(begin)
        self.model_ = new_copy(self.model).fit(self.timeline_.between(None, begin), **self.timeline_.arguments)
        self.keys_, self.end_ = panel.keys, end
        self.freq_ = common_freq(panel.calendars, freq_of(self.model))
        self.series_scale_ = _positive(truth.scales(begin, season=1)["mae"].to_numpy())
        stretch = np.arange(len(truth.times) - 1 - n_steps, len(truth.times) - 1)
        scores = self._scores(self.timeline_, truth, stretch, vintages)
        early, late = scores.halves()
        options = SCALES if self.scale == "auto" else (self.scale,)
        trials = {name: late.with_quantiles(Offsets.fit(early, name, self.pooled)) for name in options}
        self.scale_ = min(options, key=lambda name: _pinball(trials[name], self.quantiles, late.scales["series"]))
        self.check_ = trials[self.scale_]
        self.offsets_ = Offsets.fit(scores, self.scale_, self.pooled)
        return self

    def forecast(
        self, df: pd.DataFrame | None = None, *, known: pd.DataFrame | None = None, **options: Any
    ) -> pd.DataFrame:
        """The model's forecast with calibrated quantiles; arguments as the model takes them."""
        self._check_fitted()
        timeline = self.timeline_ if df is None else self._timeline(df)
        given = {} if known is None else {"known": known}
        frame, lead = with_leads(self.model_.forecast(timeline.df, **given, **options), timeline.roles, self.model_)
        truth = self._truth(timeline)
        at = np.full(len(frame), len(truth.times) - 1)
        return self._with_quantiles(frame, lead, at, timeline, truth, None)

    def forecast_from(
        self,
        df: pd.DataFrame,
        origins: Sequence[Any],
        *,
        vintages: Vintages | None = None,
        starts: Sequence[Any] | None = None,
    ) -> pd.DataFrame:
        """Forecast from every origin as `forecast` would at that time."""
        self._check_fitted()
        timeline = self._timeline(df)
        frame = rolling_forecasts(self.model_, timeline, origins, vintages=vintages, starts=starts)
        truth = self._truth(timeline)
        frame = frame[self._fitted_units(truth)[truth.units_of(frame)] >= 0].reset_index(drop=True)
        at = truth.times.searchsorted(pd.Index(frame["origin"]), side="right") - 1
        return self._with_quantiles(frame, frame["lead"].to_numpy(), at, timeline, truth, vintages)

    def _timeline(self, df: pd.DataFrame) -> Timeline:
        roles = self.timeline_.roles
        return Timeline.of(tidied(self.model, df, roles), roles)

    def _truth(self, timeline: Timeline) -> Truth:
        return Truth.of(check_frame(timeline.df, timeline.roles, self.freq_))

    def _stretch(self, n_times: int) -> int:
        wanted = self.calibration or min(MAX_CALIBRATION, int(CALIBRATION_SHARE * n_times))
        least = (self.horizon or 1) + MIN_ORIGINS
        if wanted < least or wanted + least >= n_times:
            found = f"{n_times} steps of data, {wanted} of them to calibrate on"
            expected = f"{least} or more to calibrate on, and as many before them to fit on"
            raise_problem(DataError, Problem(found, expected, "Bring more history, or pass calibration=."))
        return int(wanted)

    def _scores(self, timeline: Timeline, truth: Truth, places: np.ndarray, vintages: Vintages | None = None) -> Scores:
        """What the model said from these places of the time axis, beside what came true."""
        every = len(places) * len(truth.panel.keys) * (self.horizon or 1) * len(self.quantiles) // MAX_NUMBERS + 1
        origins = truth.times[places[::every]]
        frame = rolling_forecasts(self.model_, timeline, list(origins), vintages=vintages)
        horizon = self.horizon or int(frame["lead"].max())
        rows = truth.scored_rows(frame, 0, horizon)
        origin = truth.times.get_indexer(pd.Index(frame["origin"]))[rows["row"]]
        table = pd.DataFrame({name: rows[name] for name in ("unit", "time", "lead", "actual")}).assign(origin=origin)
        table["unit"] = self._fitted_units(truth)[table["unit"]]
        base = np.stack([rows.get(name, rows["forecast"]) for name in quantile_names(self.quantiles)], axis=-1)
        scales = {name: self._scale_at(truth, origin, rows["unit"], name) for name in SCALES}
        scores = Scores(table, base, scales, tuple(self.quantiles), (len(self.keys_), horizon))
        return scores.take((table["unit"] >= 0).to_numpy()).distinct()

    def _fitted_units(self, truth: Truth) -> np.ndarray:
        """The fitted number of every unit of new data."""
        if not len(self.keys_.columns):
            return np.zeros(len(truth.panel.keys), dtype=np.int64)
        fitted = pd.MultiIndex.from_frame(self.keys_.astype(object))
        return fitted.get_indexer(pd.MultiIndex.from_frame(truth.panel.keys.astype(object)))

    def _scale_at(self, truth: Truth, at: np.ndarray, unit: np.ndarray, name: str) -> np.ndarray:
        """The scale of forecasts from places `at` (n,) of the time axis for the truth's units `unit` (n,)."""
        static = self.series_scale_[self._fitted_units(truth)][unit]
        if name == "series":
            return static
        places, row = np.unique(at, return_inverse=True)
        return np.fmax(truth.volatility(places, DECAY)[row, unit], LEAST_VOLATILITY * static)

    def _with_quantiles(
        self,
        frame: pd.DataFrame,
        lead: np.ndarray,
        at: np.ndarray,
        timeline: Timeline,
        truth: Truth,
        vintages: Vintages | None,
    ) -> pd.DataFrame:
        """The frame with its quantile columns replaced. at (n_rows,): every row's origin, as a place of the axis."""
        unit = truth.units_of(frame)
        fitted = self._fitted_units(truth)[unit]
        if (fitted < 0).any():
            name = truth.names[unit[fitted.argmin()]]
            found, hint = f"forecasts of {name}, which was not fitted", "Fit again with it, or leave it out."
            raise_problem(DataError, Problem(found, f"some of the {len(self.keys_)} fitted series", hint))
        later = np.flatnonzero(truth.times >= self.end_)
        later = later[later < at.max(initial=0)]
        if self.adaptive and len(later):
            offsets = self.offsets_.tracked(self._scores(timeline, truth, later, vintages), at, fitted, lead)
        else:
            offsets = self.offsets_.values[fitted, lead - 1]
        names = quantile_names(self.quantiles)
        base = np.stack([frame.get(name, frame["forecast"]).to_numpy() for name in names], axis=-1)
        moved = base + self._scale_at(truth, at, unit, self.scale_)[:, None] * offsets
        values = in_order(moved, self.quantiles).clip(*self._bounds(frame, timeline.roles))
        plain = frame[[label for label in frame.columns if not is_quantile(label)]]
        return plain.assign(**{name: values[:, place] for place, name in enumerate(names)})

    def _bounds(self, frame: pd.DataFrame, roles: Roles) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest possible value of every row's target, (n_rows, 1), as the model's pipeline knows them."""
        piping = getattr(self.model_, "piping_", Straight(roles))
        targets = frame["target"] if len(roles.target) > 1 else pd.Series(roles.target[0], index=frame.index)
        known = {target: piping.bounds(target) for target in roles.target}
        low, high = (targets.map(lambda target, end=end: known[target][end]).to_numpy(np.float64) for end in (0, 1))
        return low[:, None], high[:, None]

    def _setting_problems(self) -> list[Problem]:
        problems = quantile_problems(self.quantiles)
        if not problems and not len(self.quantiles):
            found = f"quantiles={self.quantiles!r}"
            problems.append(Problem(found, "one level or more", "Pass for example (0.1, 0.5, 0.9)."))
        problems += count_problems(**({} if self.calibration is None else {"calibration": self.calibration}))
        if self.scale not in ("auto", *SCALES):
            problems.append(Problem(f"scale={self.scale!r}", f"one of {('auto', *SCALES)}", "Pass one of them."))
        problems += self._model_problems()
        return problems


def _pinball(table: pd.DataFrame, levels: Sequence[float], scale: np.ndarray) -> float:
    """The mean pinball loss over all levels, every row in the scale of its series."""
    actual = table["actual"]
    losses = [pinball(actual / scale, table[f"q{level:g}"] / scale, level) for level in levels]
    return float(np.mean(losses))


def _positive(scales: np.ndarray) -> np.ndarray:
    """Scales with 1 in the place of none."""
    return np.where(scales > 0, scales, 1.0)
