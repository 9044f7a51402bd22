"""Windows over an encoded frame, as the `TimeSeriesDataSet` that a pytorch-forecasting model takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data.encoders import NaNLabelEncoder, TorchNormalizer

from hourglass_ts.windows.encode import FLAG, SERIES, TARGET, TIME_IDX, UNKNOWN, WEIGHT, TableEncoder, series_labels


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
) -> TimeSeriesDataSet:
    """Every window of `min_context` to `context` steps and `horizon` targets; with `first_target`, from that time on.

    The frame is scaled already, so the data set scales nothing; series are numbered by the encoder's codes whatever
    rows the frame has, and categories it does not know share one class.
    """
    reals = {role: encoder.names(role, categorical=False) for role in ("known", "past", "static")}
    categoricals = {role: encoder.names(role, categorical=True) for role in ("known", "past", "static")}
    encoders: dict[str, Any] = {f"__group_id__{SERIES}": NaNLabelEncoder().fit(series_labels(np.arange(n_series)))}
    for covariate in encoder.covariates:
        if covariate.categories is not None:
            codes = [str(code) for code in range(len(covariate.categories))]
            encoders[covariate.name] = NaNLabelEncoder(add_nan=True).fit(pd.Series([UNKNOWN, *codes], dtype=object))
    return TimeSeriesDataSet(
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
