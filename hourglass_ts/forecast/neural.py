"""The HourGlass forecaster on panels: splits off a validation tail, trains the model on windows, forecasts."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.metrics import MAE, QuantileLoss
from torch.utils.data import DataLoader, RandomSampler

from hourglass_ts.forecast.checks import quantile_names
from hourglass_ts.forecast.plan import WindowPlan, unit_lengths
from hourglass_ts.forecast.training import TrainingSettings, quiet, seeded, train
from hourglass_ts.frames.schema import OBSERVED, STEP, TIME, UNIT, Panel
from hourglass_ts.model._model import HourGlassModel
from hourglass_ts.windows.dataset import window_dataset
from hourglass_ts.windows.encode import FLAG, TableEncoder, aligned_time

MAX_VALIDATION_WINDOWS = 4096
BATCH_SIZE = 256


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
        scaler: str | None,
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
        encoder = TableEncoder.fit(panel, before_tail, transform, scaler)
        frame = encoder.frame(panel.table, np.arange(len(panel.keys)), time_idx)

        windows = _Windows(encoder, plan, len(panel.keys))
        seen = windows.cut(frame[before_tail.to_numpy()])
        judged = windows.cut(frame[has_tail], first_target=longest - plan.validation + 1)
        with seeded(training.seed):
            model = new_model(encoder, plan, len(panel.keys), quantiles, network)
            model.fit_floor(seen, judged)
            train(
                model,
                _drawn(seen, training.steps_per_epoch),
                _thinned(judged).to_dataloader(train=False, batch_size=BATCH_SIZE),
                training,
            )
        model.refit_floor(windows.cut(frame))
        return cls(plan, encoder, len(panel.keys), tuple(quantiles), dict(network), model)

    @property
    def share(self) -> float:
        """The network's share of the forecast, 0 to 1."""
        return float(self.model.share[0])

    def forecast(self, panel: Panel, codes: np.ndarray, future: pd.DataFrame) -> dict[str, np.ndarray]:
        """Columns `forecast` and `q…`, each (n_units, horizon), from the end of every unit of the panel.

        future: the rows ahead with the known covariates; fewer than the horizon leave the forecasts after them useless.
        """
        lengths = unit_lengths(panel)
        recent = recent_rows(panel, self.plan.context).drop(columns=TIME)
        ahead = _ahead(lengths, self.plan.horizon, future, recent)
        table = pd.concat([recent, ahead]).sort_values([UNIT, STEP], ignore_index=True)
        time_idx = aligned_time(table, lengths - 1, int(lengths.max()))
        frame = self.encoder.frame(table, codes, time_idx)
        dataset = _Windows(self.encoder, self.plan, self.n_series).cut(frame, min_context=1, last_window_only=True)
        scaled = np.full((self.n_series, self.plan.horizon, 1 + len(self.quantiles)), np.nan)
        for series, values in self._scaled_forecasts(dataset):
            scaled[series] = values
        return self._columns(scaled[codes], codes)

    def forecast_within(
        self, panel: Panel, codes: np.ndarray, unit: np.ndarray, row: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Columns `forecast` and `q…`, each (n, horizon), from rows (n,) inside units (n,) of the panel's table.

        All rows of the horizon must be there: what they hold of the known covariates is read, and nothing else.
        """
        dataset, window = self.windows_within(panel, codes, unit, row)
        scaled = np.concatenate([values for _, values in self._scaled_forecasts(dataset)])
        return self._columns(scaled[window], codes[unit])

    def windows_within(
        self, panel: Panel, codes: np.ndarray, unit: np.ndarray, row: np.ndarray
    ) -> tuple[TimeSeriesDataSet, np.ndarray]:
        """The windows whose contexts end at rows (n,) inside units (n,), each once, and the window (n,) of each row."""
        lengths = unit_lengths(panel)
        longest = int(lengths.max())
        time_idx = aligned_time(panel.table, lengths - 1, longest)
        is_fitted = codes[panel.table[UNIT].to_numpy()] >= 0
        frame = self.encoder.frame(panel.table, codes, time_idx)[is_fitted]
        wanted = pd.MultiIndex.from_arrays([codes[unit], time_idx[row]])
        windows = _Windows(self.encoder, self.plan, self.n_series)
        dataset = windows.cut(frame, min_context=1, first_target=int(time_idx[row].min()) + 1)
        data = dataset.data
        ends = dataset.index["index_end"].to_numpy(copy=True)
        made = pd.MultiIndex.from_arrays(
            [data["groups"][ends, 0].numpy(), data["time"][ends].numpy() - self.plan.horizon]
        )
        places, window = np.unique(made.get_indexer(wanted), return_inverse=True)
        dataset.index = dataset.index.iloc[places].reset_index(drop=True)
        return dataset, window

    def _columns(self, scaled: np.ndarray, codes: np.ndarray) -> dict[str, np.ndarray]:
        """Forecasts (n, horizon, 1 + n_quantiles) of the series `codes` (n,) in the target's unit, by column."""
        self._tell_of_range(scaled, codes)
        values = self.encoder.scaler.invert(scaled, codes)
        columns = {"forecast": values[..., 0]}
        return columns | {name: values[..., 1 + i] for i, name in enumerate(quantile_names(self.quantiles))}

    def _tell_of_range(self, scaled: np.ndarray, codes: np.ndarray) -> None:
        beyond = self.encoder.scaler.beyond(scaled, codes)
        if beyond.any():
            name = self.encoder.scaler.transform_name
            warnings.warn(
                f"{int(beyond.sum())} of {beyond.size} forecast numbers lie beyond the range of transform={name!r}, "
                "and are put at its end (0 for Box-Cox).",
                stacklevel=2,
            )

    def _scaled_forecasts(self, dataset: TimeSeriesDataSet) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For every batch: series (n,), and point forecast and quantiles (n, horizon, 1 + n_quantiles)."""
        with torch.no_grad(), seeded(0):  # a loader draws a number, even in order
            for x, _ in dataset.to_dataloader(train=False, batch_size=BATCH_SIZE):
                out = self.model(x)
                point = (out.floor + self.model.share[0] * out.residual)[..., None]
                quantiles = (
                    self.model.to_quantiles(out)[..., : len(self.quantiles)] if self.quantiles else point[..., :0]
                )
                yield x["groups"][:, 0].numpy(), torch.cat([point, quantiles], dim=-1).numpy()


@dataclass(frozen=True)
class _Windows:
    encoder: TableEncoder
    plan: WindowPlan
    n_series: int

    def cut(self, frame: pd.DataFrame, min_context: int | None = None, **which: Any) -> TimeSeriesDataSet:
        return window_dataset(
            frame,
            self.encoder,
            n_series=self.n_series,
            context=self.plan.context,
            horizon=self.plan.horizon,
            min_context=min_context or self.plan.min_context,
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
        return HourGlassModel.from_dataset(
            dataset, loss=loss, observed_real=FLAG, window_weights=True, one_cycle=True, **network
        )


def _ahead(lengths: np.ndarray, horizon: int, future: pd.DataFrame, recent: pd.DataFrame) -> pd.DataFrame:
    """`horizon` rows for each unit with the columns of `recent`: nothing is known but what `future` says."""
    units = np.repeat(np.arange(len(lengths)), horizon)
    steps = lengths[units] + np.tile(np.arange(horizon), len(lengths))
    rows = pd.MultiIndex.from_arrays([units, steps], names=[UNIT, STEP])
    ahead = future.set_index([UNIT, STEP]).reindex(rows).reset_index()
    for label in recent.columns.difference(ahead.columns, sort=False):
        ahead[label] = pd.Series(np.nan, index=ahead.index, dtype=recent[label].dtype)
    ahead[OBSERVED] = False
    return ahead[recent.columns]


def recent_rows(panel: Panel, n_steps: int) -> pd.DataFrame:
    """Each unit's last `n_steps` rows, and before them those back to an observed value.

    Holes of covariates are filled with the value before them, which may lie earlier than the rows that are kept.
    """
    table = panel.table.copy()
    for label in panel.roles.covariates:
        table[label] = table[label].groupby(table[UNIT]).ffill()
    return table[_rows_since(panel, n_steps)].reset_index(drop=True)


def _rows_since(panel: Panel, n_steps: int) -> np.ndarray:
    """Which rows are among each unit's last `n_steps`, or between those and the observed row before them."""
    table = panel.table
    first = unit_lengths(panel)[table[UNIT].to_numpy()] - n_steps
    step = table[STEP].to_numpy()
    anchor = pd.Series(np.where(table[OBSERVED] & (step <= first), step, -1)).groupby(table[UNIT]).transform("max")
    return step >= anchor.to_numpy()


def _drawn(dataset: TimeSeriesDataSet, n_batches: int) -> DataLoader:
    """`n_batches` batches of windows drawn at random: an epoch is as long whatever the number of windows."""
    sampler = RandomSampler(dataset, replacement=True, num_samples=n_batches * BATCH_SIZE)
    return dataset.to_dataloader(train=True, batch_size=BATCH_SIZE, sampler=sampler, shuffle=False)


def _thinned(dataset: TimeSeriesDataSet) -> TimeSeriesDataSet:
    """Every k-th window, so that a validation pass stays short; neighbouring windows overlap, and say little new."""
    every = math.ceil(len(dataset) / MAX_VALIDATION_WINDOWS)
    return dataset if every == 1 else dataset.filter(lambda index: np.arange(len(index)) % every == 0)
