"""What all batches of a data set have in common, found out once: what is scaled how, where times are missing."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data.encoders import (
    EncoderNormalizer,
    GroupNormalizer,
    MultiNormalizer,
    NaNLabelEncoder,
    TorchNormalizer,
)
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from torch import Tensor

from hourglass_ts.windows.index import COLUMNS

INDEX = ("index_start", "index_end", "sequence_length", "sequence_id")
NORMALIZERS = (TorchNormalizer, GroupNormalizer, EncoderNormalizer, NaNLabelEncoder, MultiNormalizer)
SCALERS = (StandardScaler, RobustScaler, MinMaxScaler, MaxAbsScaler)
MOST_PLACES = 64  # per row, where times are missing


class CannotGatherError(Exception):
    """These windows must be read one by one; the message says why."""


@dataclass(frozen=True)
class GroupScales:
    """What a group normaliser, as fitted in `norm`, says of each series: `values` (n_series, 2) where `known`."""

    norm: Any
    values: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class Plan:
    """What all batches of one data set have in common.

    target, scalers, tensors: what the plan was made for; another one needs another plan.
    row_encoders: (normaliser, target number or None, column of reals or None), in the order of fitting.
    lagged: (normaliser, column) of lagged reals, scaled by what was fitted last.
    refusal: why the windows must be read one by one, if they must.
    group_scales: the scales of the series met so far, per group normaliser.
    may_be_unknown: columns of the categories with a class for the unknown.
    standard: float64 mean and scale of the scale features whose scaler is known to do just that.
    index_columns: the index's columns and where they stand.
    grid: the place of every row (n,) where missing times have one too, and the last row (n_places,) at every place.
    """

    target: Any
    scalers: Any
    tensors: Any
    refusal: str | None
    row_encoders: tuple[tuple[EncoderNormalizer, int | None, int | None], ...]
    lagged: tuple[tuple[EncoderNormalizer, int], ...]
    group_scales: dict[int, GroupScales]
    may_be_unknown: tuple[int, ...]
    standard: dict[str, tuple[Tensor, Tensor]]
    index_columns: dict[str, Any]
    grid: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, dataset: TimeSeriesDataSet) -> Plan:
        """Look through a data set once."""
        reals, codes, targets = dataset.reals, dataset.flat_categoricals, dataset.target_names
        row_encoders: list[tuple[EncoderNormalizer, int | None, int | None]] = [
            (normalizer, number, reals.index(target) if target in reals else None)
            for number, (normalizer, target) in enumerate(zip(dataset.target_normalizers, targets, strict=True))
            if isinstance(normalizer, EncoderNormalizer)
        ]
        refusal = _refusal(dataset)
        lagged = []
        for column, name in enumerate(reals):
            scaler = dataset.get_transformer(name)
            if not isinstance(scaler, EncoderNormalizer) or name in targets:
                continue
            if name in dataset.lagged_variables:
                lagged.append((scaler, column))
            else:
                row_encoders.append((scaler, None, column))
        return cls(
            target=dataset.target_normalizer,
            scalers=dataset._scalers,
            tensors=dataset.data,
            refusal=refusal,
            row_encoders=tuple(row_encoders),
            lagged=tuple(lagged),
            group_scales={},
            may_be_unknown=tuple(codes.index(name) for name in dataset.dropout_categoricals if name in codes),
            standard=_standard_features(dataset),
            index_columns={},
            grid=_grid(dataset) if refusal is None else (torch.empty(0), torch.empty(0)),
        )

    def index_places(self, columns: Any) -> tuple[int, ...]:
        """Where the index's columns stand; asked of pandas once. Raises CannotGatherError where it has others, too."""
        if self.index_columns.get("columns") is not columns:
            if not set(columns) <= set(COLUMNS):
                raise CannotGatherError("the index has columns of its own")
            self.index_columns["columns"] = columns
            self.index_columns["places"] = tuple(list(columns).index(name) for name in INDEX)
        return self.index_columns["places"]

    def scaled(self, dataset: TimeSeriesDataSet, name: str, values: Tensor) -> Tensor:
        """What the data set's scaler of a feature makes of `values` (B,)."""
        if name not in self.standard:
            return torch.as_tensor(dataset.transform_values(name, values))
        centre, scale = self.standard[name]
        return (values.double() - centre) / scale

    def serves(self, dataset: TimeSeriesDataSet) -> bool:
        """Say whether the data set is still what the plan was made for."""
        return (
            self.target is dataset.target_normalizer
            and self.scalers is dataset._scalers
            and self.tensors is dataset.data
        )


def _refusal(dataset: TimeSeriesDataSet) -> str | None:
    """Say what of a data set is not known to come out the same in one go; None where all of it is."""
    for name in ("__getitem__", "calculate_decoder_length"):
        if getattr(type(dataset), name) is not getattr(TimeSeriesDataSet, name):
            return f"{type(dataset).__name__} has a {name} of its own"
    whole = [dataset.target_normalizer] if dataset.multi_target else []
    for normalizer in [*dataset.target_normalizers, *whole]:
        if type(normalizer) not in NORMALIZERS:
            return f"the target normaliser is a {type(normalizer).__name__}"
        if isinstance(normalizer, EncoderNormalizer) and isinstance(normalizer.transformation, dict):
            return "the target normaliser has a transformation of its own"
    reals = dataset.reals
    if len(set(reals)) < len(reals):
        return "a variable has two roles"
    for name in reals:
        scaler = dataset.get_transformer(name)
        if isinstance(scaler, EncoderNormalizer) and type(scaler) is not EncoderNormalizer:
            return f"the scaler of {name!r} is a {type(scaler).__name__}"
        if isinstance(scaler, EncoderNormalizer) and isinstance(scaler.transformation, dict):
            return f"the scaler of {name!r} has a transformation of its own"
    for target, normalizer in zip(dataset.target_names, dataset.target_normalizers, strict=True):
        if isinstance(normalizer, EncoderNormalizer) and dataset.add_target_scales:
            for name in (f"{target}_center", f"{target}_scale"):
                if type(dataset.get_transformer(name)) not in SCALERS:
                    return f"the scaler of {name!r} is not one of scikit-learn's"
    time = dataset.data["time"]
    if ((time[1:] <= time[:-1]) & goes_on(dataset)).any():
        return "a series holds a time twice"
    if int(_steps(dataset).sum()) > MOST_PLACES * len(time):
        return f"more than {MOST_PLACES - 1} of {MOST_PLACES} times are missing"
    return None


def goes_on(dataset: TimeSeriesDataSet) -> Tensor:
    """(n - 1,) bool: whether the row after each but the last is of the same series."""
    groups = dataset.data["groups"]
    return (groups[1:] == groups[:-1]).all(dim=1)


def _steps(dataset: TimeSeriesDataSet) -> Tensor:
    """(n,) steps from each row to the next of its series; as many as a window has at most, and 1 from the last row."""
    time = dataset.data["time"]
    steps = torch.ones_like(time)
    longest = dataset.max_encoder_length + dataset.max_prediction_length
    steps[:-1] = torch.where(goes_on(dataset), (time[1:] - time[:-1]).clamp(max=longest), 1)
    return steps


def _grid(dataset: TimeSeriesDataSet) -> tuple[Tensor, Tensor]:
    """Places and rows as in `Plan.grid`; empty where no time is missing. No window holds a longer gap than `_steps`."""
    steps = _steps(dataset)
    if int(steps.max()) == 1:
        return torch.empty(0), torch.empty(0)
    steps[-1] = dataset.max_encoder_length + dataset.max_prediction_length  # room for windows cut short at the end
    row = torch.arange(len(steps), dtype=torch.int32).repeat_interleave(steps)
    return (steps.cumsum(0) - steps).to(torch.int32), row


def _standard_features(dataset: TimeSeriesDataSet) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and scale of the scale features where scikit-learn's checks can be left out, and that is tried first."""
    found = {}
    probe = torch.randn(1_000, generator=torch.Generator().manual_seed(0))
    for name in [f"{target}_{part}" for target in dataset.target_names for part in ("center", "scale")]:
        scaler = dataset._scalers.get(name)
        if type(scaler) is StandardScaler and name in dataset.reals:
            centre, scale = (torch.from_numpy(part) for part in (scaler.mean_, scaler.scale_))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of feature names
                expected = torch.as_tensor(dataset.transform_values(name, probe))
            if torch.equal((probe.double() - centre) / scale, expected):
                found[name] = (centre, scale)
    return found
