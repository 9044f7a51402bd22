"""The HourGlass forecaster on panels: splits off a validation tail, trains the model on windows, forecasts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.metrics import MAE, QuantileLoss

from hourglass_ts.errors import DataError, Problem, raise_problems
from hourglass_ts.forecast.training import TrainingSettings, quiet, seeded, train
from hourglass_ts.frames.schema import OBSERVED, STEP, UNIT, VALUE, Panel, unit_names
from hourglass_ts.model._model import HourGlassModel
from hourglass_ts.windows.dataset import window_dataset
from hourglass_ts.windows.encode import FLAG, TableEncoder, aligned_time

MAX_CONTEXT = 512
VALIDATION_SHARE, VALIDATION_HORIZONS, VALIDATION_WINDOWS = 0.2, 50, 250
MAX_VALIDATION_WINDOWS = 4096
BATCH_SIZE = 128
N_SHOWN = 3


@dataclass(frozen=True)
class WindowPlan:
    """Lengths in steps: of a window's context and horizon, of the shortest context used, and of the validation tail."""

    context: int
    horizon: int
    min_context: int
    validation: int

    @classmethod
    def of(cls, panel: Panel, horizon: int, context: int | None) -> WindowPlan:
        """Choose what is not given: eight seasons or two horizons of context, as the series allow.

        The tail holds 50 horizons, or 250 over all series together; at most a fifth of a typical series, at least one.
        """
        lengths = unit_lengths(panel)
        typical = int(np.median(lengths))
        if context is None:
            season = int(np.median([calendar.season_length for calendar in panel.calendars]))
            wanted = min(MAX_CONTEXT, max(2 * horizon, 8 * season))
            context = max(1, min(wanted, typical // 4))
        min_context = max(1, min(context, horizon, context // 2))
        enough = horizon * min(VALIDATION_HORIZONS, math.ceil(VALIDATION_WINDOWS / len(lengths)))
        validation = max(horizon, min(enough, int(VALIDATION_SHARE * typical)))
        return cls(
            context, horizon, min_context, min(validation, max(horizon, int(lengths.max()) - min_context - horizon))
        )

    def check(self, panel: Panel) -> None:
        """Raise a DataError for series shorter than one window, and where no series leaves a validation tail."""
        lengths = unit_lengths(panel)
        one_window = self.min_context + self.horizon
        short = np.flatnonzero(lengths < one_window)
        problems = []
        if len(short):
            names = [name or "the series" for name in unit_names(panel.keys, panel.roles, short[:N_SHOWN])]
            listed = ", ".join(f"{name} ({lengths[unit]} steps)" for name, unit in zip(names, short, strict=False))
            more = f" and {len(short) - N_SHOWN} more" if len(short) > N_SHOWN else ""
            problems.append(
                Problem(
                    f"{len(short)} series shorter than one window: {listed}{more}",
                    f"{one_window} steps or more ({self.min_context} of context and {self.horizon} of horizon)",
                    "Leave them out, or pass a shorter horizon or context.",
                )
            )
        elif lengths.max() < one_window + self.horizon:
            problems.append(
                Problem(
                    f"{lengths.max()} steps in the longest series",
                    f"{one_window + self.horizon} or more: one window to learn from and a horizon to validate on",
                    "Bring more history, or pass a shorter horizon or context.",
                )
            )
        raise_problems(DataError, problems)


@dataclass
class TrainedHourGlass:
    """A trained model with all that turns a panel into its windows and its numbers into forecasts."""

    plan: WindowPlan
    encoder: TableEncoder
    n_series: int
    quantiles: tuple[float, ...]
    network: Mapping[str, Any]
    model: HourGlassModel

    @classmethod
    def fit(
        cls,
        panel: Panel,
        plan: WindowPlan,
        *,
        quantiles: Sequence[float],
        transform: str | None,
        network: Mapping[str, Any],
        training: TrainingSettings,
    ) -> TrainedHourGlass:
        """Train on all rows but each series' tail, validate on the tail, and at last fit the floor on all rows."""
        plan.check(panel)
        lengths = unit_lengths(panel)
        last_step, longest = lengths - 1, int(lengths.max())
        time_idx = aligned_time(panel.table, last_step, longest)
        before_tail = pd.Series(time_idx <= longest - plan.validation)
        has_tail = (lengths >= plan.min_context + plan.horizon + plan.validation)[panel.table[UNIT].to_numpy()]
        before_tail |= ~has_tail
        encoder = TableEncoder.fit(panel, before_tail, transform)
        frame = encoder.frame(panel.table, np.arange(len(panel.keys)), time_idx)

        windows = _Windows(encoder, plan, len(panel.keys))
        seen = windows.cut(frame[before_tail.to_numpy()])
        judged = windows.cut(frame[has_tail], first_target=longest - plan.validation + 1)
        with seeded(training.seed):
            model = new_model(encoder, plan, len(panel.keys), quantiles, network)
            model.fit_floor(seen, judged)
            train(
                model,
                seen.to_dataloader(train=True, batch_size=BATCH_SIZE),
                _thinned(judged).to_dataloader(train=False, batch_size=2 * BATCH_SIZE),
                training,
            )
        model.refit_floor(windows.cut(frame))
        return cls(plan, encoder, len(panel.keys), tuple(quantiles), dict(network), model)

    @property
    def share(self) -> float:
        """The network's share of the forecast, 0 to 1."""
        return float(self.model.share[0])

    def forecast(self, panel: Panel, codes: np.ndarray, future: pd.DataFrame) -> dict[str, np.ndarray]:
        """Columns `forecast` and `q…`, each (n_units, horizon), from the end of every unit of the panel."""
        lengths = unit_lengths(panel)
        ahead = future.copy()
        ahead[STEP] = lengths[ahead[UNIT].to_numpy()] + ahead.groupby(UNIT).cumcount().to_numpy()
        ahead[VALUE], ahead[OBSERVED] = np.nan, False
        recent = panel.table[self._is_recent(panel)]
        for covariate in self.encoder.covariates:
            if covariate.role == "static":
                ahead[covariate.label] = recent.groupby(UNIT)[covariate.label].last().loc[ahead[UNIT]].to_numpy()
            elif covariate.role == "past":
                ahead[covariate.label] = pd.Series(np.nan, index=ahead.index, dtype=recent[covariate.label].dtype)
        table = pd.concat([recent, ahead[recent.columns]]).sort_values([UNIT, STEP], ignore_index=True)
        time_idx = aligned_time(table, lengths - 1, int(lengths.max()))
        frame = self.encoder.frame(table, codes, time_idx)
        dataset = _Windows(self.encoder, self.plan, self.n_series).cut(frame, last_window_only=True)
        values = self.encoder.scaler.invert(self._scaled_forecasts(dataset)[codes], codes)
        columns = {"forecast": values[..., 0]}
        return columns | {f"q{q:g}": values[..., 1 + i] for i, q in enumerate(self.quantiles)}

    def _is_recent(self, panel: Panel) -> np.ndarray:
        """Rows that a window can reach, and before them those back to the last observed value."""
        return rows_since(panel, self.plan.context)

    def _scaled_forecasts(self, dataset: TimeSeriesDataSet) -> np.ndarray:
        """(n_series, horizon, 1 + n_quantiles), NaN for series without a window: the point forecast, then quantiles."""
        scaled = np.full((self.n_series, self.plan.horizon, 1 + len(self.quantiles)), np.nan)
        with torch.no_grad():
            for x, _ in dataset.to_dataloader(train=False, batch_size=2 * BATCH_SIZE):
                out = self.model(x)
                point = self.model.to_prediction(out)[..., None]
                quantiles = (
                    self.model.to_quantiles(out)[..., : len(self.quantiles)] if self.quantiles else point[..., :0]
                )
                scaled[x["groups"][:, 0].numpy()] = torch.cat([point, quantiles], dim=-1).numpy()
        return scaled


@dataclass(frozen=True)
class _Windows:
    encoder: TableEncoder
    plan: WindowPlan
    n_series: int

    def cut(self, frame: pd.DataFrame, **which: Any) -> TimeSeriesDataSet:
        return window_dataset(
            frame,
            self.encoder,
            n_series=self.n_series,
            context=self.plan.context,
            horizon=self.plan.horizon,
            min_context=1 if which.get("last_window_only") else self.plan.min_context,
            **which,
        )


def new_model(
    encoder: TableEncoder, plan: WindowPlan, n_series: int, quantiles: Sequence[float], network: Mapping[str, Any]
) -> HourGlassModel:
    """An untrained model for windows of this encoder and plan; the data decide its weights alone, never its sizes."""
    example = encoder.example_frame(n_series, plan.min_context + plan.horizon)
    dataset = _Windows(encoder, plan, n_series).cut(example)
    loss = QuantileLoss(quantiles=list(quantiles)) if quantiles else MAE()
    with quiet():
        return HourGlassModel.from_dataset(dataset, loss=loss, observed_real=FLAG, **network)


def unit_lengths(panel: Panel) -> np.ndarray:
    """Steps of every unit, holes included."""
    return np.bincount(panel.table[UNIT].to_numpy(), minlength=len(panel.keys))


def rows_since(panel: Panel, n_steps: int) -> np.ndarray:
    """Which rows are among each unit's last `n_steps`, or between those and the observed row before them."""
    table = panel.table
    first = unit_lengths(panel)[table[UNIT].to_numpy()] - n_steps
    step = table[STEP].to_numpy()
    anchor = pd.Series(np.where(table[OBSERVED] & (step <= first), step, -1)).groupby(table[UNIT]).transform("max")
    return step >= anchor.to_numpy()


def _thinned(dataset: TimeSeriesDataSet) -> TimeSeriesDataSet:
    """Every k-th window, so that a validation pass stays short; neighbouring windows overlap, and say little new."""
    every = math.ceil(len(dataset) / MAX_VALIDATION_WINDOWS)
    return dataset if every == 1 else dataset.filter(lambda index: np.arange(len(index)) % every == 0)
