"""Windows over an encoded frame, as the `TimeSeriesDataSet` that a pytorch-forecasting model takes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data.encoders import NaNLabelEncoder, TorchNormalizer

from hourglass_ts.windows.encode import FLAG, SERIES, TARGET, TIME_IDX, UNKNOWN, WEIGHT, TableEncoder, series_labels
from hourglass_ts.windows.gather import CannotGatherError, Plan, gather

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

    def __getitems__(self, indices: Sequence[int]) -> _Picked:
        """The samples of a batch: upstream's one by one, or all at once for this class's own collate function."""
        return _Picked(self, indices)

    @staticmethod
    def _collate_fn(batches: Any) -> Any:
        if isinstance(batches, _Picked):
            return batches.dataset._batch(batches.indices)
        return TimeSeriesDataSet._collate_fn(batches)

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


@dataclass(frozen=True)
class _Picked(Sequence[Any]):
    """The samples of a batch, each read when it is asked for."""

    dataset: FastTimeSeriesDataSet
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: Any) -> Any:
        return self.dataset[self.indices[place]]


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
    groups = dataset.data["groups"].numpy()
    is_first = np.ones(len(groups), dtype=bool)
    is_first[1:] = (groups[1:] != groups[:-1]).any(axis=1)
    index = dataset.index
    return is_first[index["index_start"].to_numpy()] | (index["sequence_length"].to_numpy() == full_length)
