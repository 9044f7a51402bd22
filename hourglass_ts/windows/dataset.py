"""Windows over an encoded frame, as the `TimeSeriesDataSet` that a pytorch-forecasting model takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data.encoders import NaNLabelEncoder, TorchNormalizer

from hourglass_ts.windows.encode import FLAG, SERIES, TARGET, TIME_IDX, UNKNOWN, WEIGHT, TableEncoder, series_labels


class WindowDataSet(TimeSeriesDataSet):
    """A `TimeSeriesDataSet` on a full grid with one horizon, whose batches are gathered whole instead of one by one.

    The batches are upstream's to the bit. It serves the frames of this module alone: no gaps, nothing randomised, and
    a target normaliser with the same scale for all.
    """

    def __getitems__(self, indices: list[int]) -> tuple[dict[str, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
        start = torch.from_numpy(self.index["index_start"].to_numpy()[indices].astype(np.int64))
        length = torch.from_numpy(self.index["sequence_length"].to_numpy()[indices].astype(np.int64))
        horizon = self.max_prediction_length
        encoder = length - horizon
        step = torch.arange(int(encoder.max()))
        inside = step < encoder[:, None]
        past = torch.where(inside, start[:, None] + step, start[:, None])
        future = (start + encoder)[:, None] + torch.arange(horizon)
        reals, categoricals, target = self.data["reals"], self.data["categoricals"], self.data["target"][0]
        scale = np.asarray(self.target_normalizer.get_parameters(), dtype=np.float32)
        x = {
            "encoder_cat": torch.where(inside[..., None], categoricals[past], 0),
            "encoder_cont": torch.where(inside[..., None], reals[past], 0.0),
            "encoder_target": torch.where(inside, target[past], 0.0),
            "encoder_lengths": encoder,
            "decoder_cat": categoricals[future],
            "decoder_cont": reals[future],
            "decoder_target": target[future],
            "decoder_lengths": torch.full_like(encoder, horizon),
            "decoder_time_idx": self.data["time"][start + encoder][:, None] + torch.arange(horizon),
            "groups": self.data["groups"][start],
            "target_scale": torch.from_numpy(scale).expand(len(start), -1).contiguous(),
        }
        return x, (x["decoder_target"], self.data["weight"][future])

    @staticmethod
    def _collate_fn(batches: Any) -> Any:
        """A whole batch as it is; samples by upstream's way."""
        return batches if isinstance(batches, tuple) else TimeSeriesDataSet._collate_fn(batches)


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
) -> WindowDataSet:
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
    dataset = WindowDataSet(
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
