"""Windows over an encoded frame, as the `TimeSeriesDataSet` that a pytorch-forecasting model takes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data.encoders import (
    EncoderNormalizer,
    GroupNormalizer,
    MultiNormalizer,
    NaNLabelEncoder,
    TorchNormalizer,
)
from torch.utils.data import get_worker_info

from hourglass_ts.windows.encode import FLAG, SERIES, TARGET, TIME_IDX, UNKNOWN, WEIGHT, TableEncoder, series_labels
from hourglass_ts.windows.gather import gather
from hourglass_ts.windows.index import COLUMNS, WindowLengths, find_windows, last_windows, step_range
from hourglass_ts.windows.labels import distinct_labels, share_labels
from hourglass_ts.windows.parcel import Parcel
from hourglass_ts.windows.plan import CannotGatherError, Plan, goes_on

log = logging.getLogger(__name__)


class FastTimeSeriesDataSet(TimeSeriesDataSet):
    """A `TimeSeriesDataSet` that makes whole batches at once: the same arguments, the same batches to the bit.

    Every method of upstream's works as before, and any pytorch-forecasting model trains on it. Windows that cannot be
    gathered whole (a `__getitem__` of your own, a normaliser of your own class) are read one by one; the log says so.

    Example:
        >>> frame = pd.DataFrame({"t": range(60), "y": np.arange(60.0), "series": "A"})
        >>> lengths = {"max_encoder_length": 8, "max_prediction_length": 2}
        >>> data = FastTimeSeriesDataSet(frame, time_idx="t", target="y", group_ids=["series"], **lengths)
        >>> x, (y, weight) = next(iter(data.to_dataloader(train=False, batch_size=32)))
        >>> tuple(x["encoder_target"].shape), tuple(y.shape)
        ((32, 8), (32, 2))
    """

    def _preprocess_data(self, data: pd.DataFrame) -> pd.DataFrame:
        labelled = [name for name in self.categoricals if name not in (*self.target_names, *self.lagged_variables)]
        if isinstance(self.target_normalizer, (GroupNormalizer, MultiNormalizer)):
            labelled = [*self.group_ids, *labelled]
        share_labels(data, [name for name in (*self.group_ids, *self.flat_categoricals) if name in data.columns])
        with distinct_labels(self._categorical_encoders, [*self._group_ids, *labelled]):
            return super()._preprocess_data(data)

    def _construct_index(self, data: pd.DataFrame, predict_mode: bool) -> pd.DataFrame:
        time = data["__time_idx__"].to_numpy()
        groups = [data[name].to_numpy() for name in self._group_ids]
        begins = np.ones(len(data), dtype=bool)
        begins[1:] = np.logical_or.reduce([codes[1:] != codes[:-1] for codes in groups])
        first_rows = np.flatnonzero(begins)
        distinct, series = np.unique(
            np.stack([codes[first_rows] for codes in groups], axis=1), axis=0, return_inverse=True
        )
        shortest, longest = step_range(time, begins)
        regular = shortest >= 1 and (self.allow_missing_timesteps or longest <= 1)
        if len(data) == 0 or len(distinct) < len(first_rows) or not regular:
            return super()._construct_index(data, predict_mode)
        lengths = WindowLengths(
            shortest=self.min_prediction_length + self.min_encoder_length,
            longest=self.max_prediction_length + self.max_encoder_length,
            first_target=self.min_prediction_idx,
            shortest_horizon=self.min_prediction_length,
        )
        windows = find_windows(time, first_rows, series, lengths)
        columns = list(COLUMNS)
        if predict_mode:
            last = np.empty(len(first_rows), dtype=np.int64)
            last[series] = time[np.append(first_rows[1:], len(time)) - 1]
            windows = last_windows(windows, last[windows[4]] - time[windows[0]] + 1 <= lengths.longest)
            columns.append("sequence_id")  # as upstream has it: twice
            windows = windows[[0, 1, 2, 3, 4, 4]]
        if windows.shape[1] == 0 or len(np.unique(windows[4])) < len(first_rows):
            return super()._construct_index(data, predict_mode)  # says which series are too short
        return pd.DataFrame(windows.T, columns=columns)

    def _data_to_tensors(self, data: pd.DataFrame) -> dict[str, Any]:
        """Upstream's tensors, a column at a time, and each column of `data` is let go when it is done.

        The reals lie row by row, which is faster to read windows from; but not where covariates are scaled by their
        contexts, since the order of the sums would change with the layout.
        """
        by_context = any(
            isinstance(self.get_transformer(name), EncoderNormalizer) and name not in self.target_names
            for name in self.reals
        )
        return {
            "reals": _stacked(data, self.reals, column_major=by_context),
            "categoricals": _stacked(data, self.flat_categoricals, torch.int64),
            "groups": _stacked(data, self._group_ids, torch.int64),
            "target": [_tensor(data.pop(f"__target__{name}")) for name in self.target_names],
            "weight": _tensor(data.pop("__weight__")) if "__weight__" in data.columns else None,
            "time": _tensor(data.pop("__time_idx__"), torch.int64),
        }

    def _check_tensors(self, tensors: dict[str, Any]) -> None:
        parts = [part for value in tensors.values() for part in (value if isinstance(value, list) else [value])]
        if all(part is None or not part.is_floating_point() or bool(torch.isfinite(part).all()) for part in parts):
            return
        super()._check_tensors(tensors)  # says which

    def __getitems__(self, indices: Sequence[int]) -> _Picked:
        """The samples of a batch: upstream's one by one, or all at once for this class's own collate function."""
        return _Picked(self, indices)

    @staticmethod
    def _collate_fn(batches: Any) -> Any:
        if not isinstance(batches, _Picked) or "samples" in vars(batches):  # someone has had them in hand
            return TimeSeriesDataSet._collate_fn(batches)
        batch = batches.dataset._batch(batches.indices)
        return batch if get_worker_info() is None else Parcel(batch)

    def _batch(self, indices: Sequence[int]) -> Any:
        plan = self.__dict__.get("_plan")
        if plan is None or not plan.serves(self):
            plan = self._plan = Plan.of(self)
        state = torch.get_rng_state() if self.randomize_length is not None else None
        try:
            return gather(self, plan, indices)
        except CannotGatherError as reason:
            if not self.__dict__.get("_told", False):
                self._told = True
                log.warning("Windows are read one by one, many times slower: %s.", reason)
        if state is not None:
            torch.set_rng_state(state)
        return TimeSeriesDataSet._collate_fn([self[place] for place in indices])

    def __getstate__(self) -> dict[str, Any]:
        """All but the plan, which is soon made again."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_plan", "_told")}


def _stacked(
    data: pd.DataFrame, names: list[str], dtype: torch.dtype | None = None, column_major: bool = False
) -> torch.Tensor:
    """Columns side by side (n, k), as upstream converts them."""
    if dtype is None:
        dtype = _dtype(np.result_type(*data[names].dtypes)) if names else torch.float
    shape = (len(names), len(data)) if column_major else (len(data), len(names))
    stacked = torch.empty(shape, dtype=dtype)
    stacked = stacked.T if column_major else stacked
    for place, name in enumerate(names):
        is_last = name not in names[place + 1 :]
        stacked[:, place] = _tensor(data.pop(name) if is_last else data[name], dtype)
    return stacked


def _tensor(column: pd.Series, dtype: torch.dtype | None = None) -> torch.Tensor:
    dtype = _dtype(column.dtype) if dtype is None else dtype
    kind = np.int64 if dtype == torch.int64 else np.float64
    return torch.tensor(column.to_numpy(kind), dtype=dtype)


def _dtype(dtype: Any) -> torch.dtype:
    return torch.int64 if dtype.kind in "bi" else torch.float


@dataclass(frozen=True)
class _Picked(Sequence[Any]):
    """The samples of a batch, read once, when one is first asked for."""

    dataset: FastTimeSeriesDataSet
    indices: Sequence[int]

    @cached_property
    def samples(self) -> list[Any]:
        return [self.dataset[place] for place in self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: Any) -> Any:
        return self.samples[place]


def window_dataset(
    frame: pd.DataFrame,
    encoder: TableEncoder,
    *,
    n_series: int,
    context: int,
    horizon: int,
    min_context: int,
    first_target: int | None = None,
    last_window_only: bool = False,
) -> FastTimeSeriesDataSet:
    """Every window of `context` steps and `horizon` targets; with `first_target`, those with targets from that time on.

    Windows of `min_context` steps or more stand where a series has no more rows before them. The frame is scaled
    already, so the data set scales nothing; series are numbered by the encoder's codes whatever rows the frame has, and
    categories it does not know share one class.
    """
    reals = {role: encoder.names(role, categorical=False) for role in ("known", "past", "static")}
    categoricals = {role: encoder.names(role, categorical=True) for role in ("known", "past", "static")}
    encoders: dict[str, Any] = {f"__group_id__{SERIES}": NaNLabelEncoder().fit(series_labels(np.arange(n_series)))}
    for covariate in encoder.covariates:
        if covariate.categories is not None:
            codes = [str(code) for code in range(len(covariate.categories))]
            encoders[covariate.name] = NaNLabelEncoder(add_nan=True).fit(pd.Series([UNKNOWN, *codes], dtype=object))
    dataset = FastTimeSeriesDataSet(
        frame,
        time_idx=TIME_IDX,
        target=TARGET,
        group_ids=[SERIES],
        weight=WEIGHT,
        max_encoder_length=context,
        min_encoder_length=min(min_context, context),
        max_prediction_length=horizon,
        min_prediction_length=horizon,
        min_prediction_idx=first_target,
        static_categoricals=categoricals["static"],
        static_reals=reals["static"],
        time_varying_known_categoricals=categoricals["known"],
        time_varying_known_reals=reals["known"],
        time_varying_unknown_categoricals=categoricals["past"],
        time_varying_unknown_reals=[FLAG, *reals["past"]],
        categorical_encoders=encoders,
        scalers=dict.fromkeys([FLAG, *reals["known"], *reals["past"], *reals["static"]]),
        target_normalizer=TorchNormalizer(method="identity"),
        add_encoder_length=False,
        add_relative_time_idx=False,
        predict_mode=last_window_only,
    )
    dataset.index = dataset.index[_reaches_back(dataset, context + horizon)].reset_index(drop=True)
    return dataset


def _reaches_back(dataset: TimeSeriesDataSet, full_length: int) -> np.ndarray:
    """Which windows are whole, or begin with their series.

    Upstream also cuts the last window of every series shorter and shorter from the left: the same targets over and
    over, which would outweigh all others where the validation tail is short.
    """
    is_first = np.append(True, ~goes_on(dataset).numpy())
    index = dataset.index
    return is_first[index["index_start"].to_numpy()] | (index["sequence_length"].to_numpy() == full_length)
