"""The HourGlass forecaster on panels: splits off a validation tail, trains the model on windows, forecasts."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.metrics import MAE, QuantileLoss
from torch.utils.data import DataLoader, RandomSampler

from hourglass_ts.forecast.checks import quantile_names
from hourglass_ts.forecast.defaults import FitSettings
from hourglass_ts.forecast.plan import WindowPlan, unit_lengths
from hourglass_ts.forecast.training import Clock, TrainingSettings, quiet, seeded, train
from hourglass_ts.frames.schema import OBSERVED, STEP, TIME, UNIT, VALUE, Panel
from hourglass_ts.model._model import HourGlassModel
from hourglass_ts.windows.dataset import window_dataset
from hourglass_ts.windows.encode import FLAG, UNKNOWN, TableEncoder, aligned_time
from hourglass_ts.windows.normalise import SeriesScaler

log = logging.getLogger(__name__)

MAX_VALIDATION_WINDOWS = 4096
REFIT_COST = 0.7
"""Of windows and floor on all rows, when both have been made: of the five passes of the first fit, three or less."""


@dataclass
class TrainedHourGlass:
    """A trained model with all that turns a panel into its windows and its numbers into forecasts."""

    plan: WindowPlan
    encoder: TableEncoder
    n_series: int
    quantiles: tuple[float, ...]
    network: Mapping[str, Any]
    model: HourGlassModel
    scaler_name: str | None
    settings: FitSettings
    curve: pd.DataFrame

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
        clock: Clock,
        earlier: TrainedHourGlass | None = None,
    ) -> TrainedHourGlass:
        """Train on all rows but each series' tail, validate on the tail, and at last fit the floor on all rows.

        clock: of the whole fit.  earlier: one with the same settings and covariates, whose weights are gone on from.
        """
        plan.check(panel)
        begin = time.monotonic()
        lengths = unit_lengths(panel)
        last_step, longest = lengths - 1, int(lengths.max())
        time_idx = aligned_time(panel.table, last_step, longest)
        before_tail = pd.Series(time_idx <= longest - plan.validation)
        has_tail = (lengths >= plan.min_context + plan.horizon + plan.validation)[panel.table[UNIT].to_numpy()]
        before_tail |= ~has_tail
        encoder = TableEncoder.fit(panel, before_tail, transform, scaler)
        if earlier is not None:  # its weights read covariates in its own codes and units
            encoder = replace(encoder, covariates=earlier.encoder.covariates)
        frame = encoder.frame(panel.table, np.arange(len(panel.keys)), time_idx)

        windows = _Windows(encoder, plan, len(panel.keys))
        seen = windows.cut(frame[before_tail.to_numpy()])
        judged = windows.cut(frame[has_tail], first_target=longest - plan.validation + 1)
        with seeded(training.seed):
            model = new_model(encoder, plan, len(panel.keys), quantiles, network)
            if earlier is not None:
                model.network.load_state_dict(earlier.model.network.state_dict())
                model.reader.embeddings.load_state_dict(earlier.model.reader.embeddings.state_dict())
            settings = FitSettings.of(
                panel, model.network.config, len(seen), training.max_epochs, training.steps_per_epoch
            )
            for words in settings.words:
                log.info(words)
            left = None if clock.budget is None else clock.left / (1 + REFIT_COST)
            model.fit_floor(seen, judged, left)
            curve = train(
                model,
                _drawn(seen, settings.steps_per_epoch, settings.batch_size),
                _thinned(judged).to_dataloader(train=False, batch_size=settings.batch_size),
                replace(training, max_epochs=settings.max_epochs),
                clock=clock,
                reserve=REFIT_COST * (time.monotonic() - begin),
                goes_on=earlier is not None,
            )
        _teach_unknown(model, frame[before_tail.to_numpy()])
        model.refit_floor(windows.cut(frame))
        return cls(
            plan,
            encoder,
            len(panel.keys),
            tuple(quantiles),
            dict(network),
            model,
            scaler,
            settings,
            curve,
        )

    @property
    def share(self) -> float:
        """The network's share of the forecast, 0 to 1."""
        return float(self.model.share[0])

    def forecast(self, panel: Panel, codes: np.ndarray, future: pd.DataFrame) -> dict[str, np.ndarray]:
        """Columns `forecast` and `q…`, each (n_units, horizon), from the end of every unit of the panel.

        codes (n_units,): -1 for units that were not fitted: they get the common map, and are scaled by their own rows.
        future: the rows ahead with the known covariates; fewer than the horizon leave the forecasts after them useless.
        """
        encoder, codes = self._with_new(panel, codes)
        lengths = unit_lengths(panel)
        recent = recent_rows(panel, self.plan.context).drop(columns=TIME)
        ahead = _ahead(lengths, self.plan.horizon, future, recent)
        table = pd.concat([recent, ahead]).sort_values([UNIT, STEP], ignore_index=True)
        time_idx = aligned_time(table, lengths - 1, int(lengths.max()))
        frame = encoder.frame(table, codes, time_idx)
        n_series = len(encoder.scaler.centre)
        dataset = _Windows(encoder, self.plan, n_series).cut(frame, min_context=1, last_window_only=True)
        scaled = np.full((n_series, self.plan.horizon, 1 + len(self.quantiles)), np.nan)
        for series, values in self._scaled_forecasts(dataset):
            scaled[series] = values
        return self._columns(scaled[codes], codes, encoder.scaler)

    def _with_new(self, panel: Panel, codes: np.ndarray) -> tuple[TableEncoder, np.ndarray]:
        """The encoder with a scale for every unit of the panel that was not fitted, and numbers for those in `codes`.

        The numbers go on after the fitted ones, where the floor has no map of a series' own.
        """
        new = np.flatnonzero(codes < 0)
        if not len(new):
            return self.encoder, codes
        place = np.full(len(codes), -1)
        place[new] = np.arange(len(new))
        owner = place[panel.table[UNIT].to_numpy()]
        rows = panel.table[(owner >= 0) & panel.table[OBSERVED].to_numpy()]
        own = SeriesScaler.fit(
            rows[VALUE].to_numpy(),
            place[rows[UNIT].to_numpy()],
            len(new),
            self.encoder.scaler.transform_name,
            self.scaler_name,
        )
        return replace(self.encoder, scaler=_joined(self.encoder.scaler, own)), np.where(
            codes < 0, self.n_series + place, codes
        )

    def forecast_within(
        self, panel: Panel, codes: np.ndarray, unit: np.ndarray, row: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Columns `forecast` and `q…`, each (n, horizon), from rows (n,) inside units (n,) of the panel's table.

        All rows of the horizon must be there: what they hold of the known covariates is read, and nothing else.
        """
        dataset, window = self.windows_within(panel, codes, unit, row)
        scaled = np.concatenate([values for _, values in self._scaled_forecasts(dataset)])
        return self._columns(scaled[window], codes[unit], self.encoder.scaler)

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

    def _columns(self, scaled: np.ndarray, codes: np.ndarray, scaler: SeriesScaler) -> dict[str, np.ndarray]:
        """Forecasts (n, horizon, 1 + n_quantiles) of the series `codes` (n,) in the target's unit, by column."""
        beyond = scaler.beyond(scaled, codes)
        if beyond.any():
            warnings.warn(
                f"{int(beyond.sum())} of {beyond.size} forecast numbers lie beyond the range of "
                f"transform={scaler.transform_name!r}, and are put at its end (0 for Box-Cox).",
                stacklevel=2,
            )
        values = scaler.invert(scaled, codes)
        columns = {"forecast": values[..., 0]}
        return columns | {name: values[..., 1 + i] for i, name in enumerate(quantile_names(self.quantiles))}

    def _scaled_forecasts(self, dataset: TimeSeriesDataSet) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For every batch: series (n,), and point forecast and quantiles (n, horizon, 1 + n_quantiles)."""
        with torch.no_grad(), seeded(0):  # a loader draws a number, even in order
            for x, _ in dataset.to_dataloader(train=False, batch_size=self.settings.batch_size):
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


def _teach_unknown(model: HourGlassModel, frame: pd.DataFrame) -> None:
    """Let unknown categories stand in the middle of the known ones where training has seen none of them."""
    for name, embedding in model.reader.embeddings.items():
        if not (frame[name] == UNKNOWN).any():
            with torch.no_grad():
                embedding.weight[0] = embedding.weight[1:].mean(dim=0)


def _joined(first: SeriesScaler, second: SeriesScaler) -> SeriesScaler:
    """One scaler for the series of both, in this order."""
    centre, scale, power, unit = (
        np.concatenate([np.broadcast_to(getattr(one, name), one.centre.shape) for one in (first, second)])
        for name in ("centre", "scale", "power", "unit")
    )
    return SeriesScaler(centre, scale, first.transform_name, power, unit)


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


def _drawn(dataset: TimeSeriesDataSet, n_batches: int, batch_size: int) -> DataLoader:
    """`n_batches` batches of windows drawn at random: an epoch is as long whatever the number of windows."""
    sampler = RandomSampler(dataset, replacement=True, num_samples=n_batches * batch_size)
    return dataset.to_dataloader(train=True, batch_size=batch_size, sampler=sampler, shuffle=False)


def _thinned(dataset: TimeSeriesDataSet) -> TimeSeriesDataSet:
    """Every k-th window, so that a validation pass stays short; neighbouring windows overlap, and say little new."""
    every = math.ceil(len(dataset) / MAX_VALIDATION_WINDOWS)
    return dataset if every == 1 else dataset.filter(lambda index: np.arange(len(index)) % every == 0)
