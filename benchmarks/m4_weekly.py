"""M4 Weekly by the competition's rules: fitted on the training file, the whole horizon forecast once, OWA."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.forecast.baselines import Naive, RidgeFloor
from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.frames.registry import dataset_info, load_dataset
from hourglass_ts.metrics.points import mase, owa, smape

HORIZON, CONTEXT = 13, 52
NAIVE2 = {"smape": 9.161, "mase": 2.777}
MODELS = ("naive", "ridge", "hourglass", "hourglass-no-floor")


def score_m4(model: str, seed: int, n_series: int | None = None) -> dict[str, Any]:
    """Fit one of `MODELS` on the first `n_series` series, or all, and score it."""
    info, (training, test) = dataset_info("m4-weekly"), frames(n_series)
    begun = time.process_time()
    forecaster = forecaster_of(model, seed).fit(training, time=info.time, target=info.target, series=info.series)
    fitted = time.process_time()
    errors = scores(forecaster.forecast(), training, test)
    record = dict(zip(("smape", "mase"), errors, strict=True))
    record |= {"owa": owa(*errors, NAIVE2["smape"], NAIVE2["mase"]), "seconds": fitted - begun}
    if isinstance(forecaster, HourGlassForecaster):
        record |= {"share": forecaster.share_}
    return record | {"forecast_seconds": time.process_time() - fitted}


def forecaster_of(model: str, seed: int) -> Naive | RidgeFloor | HourGlassForecaster:
    """A forecaster as a user would make it."""
    if model == "naive":
        return Naive(HORIZON)
    if model == "ridge":
        return RidgeFloor(HORIZON, CONTEXT, validation=HORIZON, transform="log")
    floor = model == "hourglass"
    return HourGlassForecaster(
        HORIZON, context=CONTEXT, transform="log", quantiles=(), seed=seed, floor=floor, progress=False
    )


def frames(n_series: int | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test part in long form; the first `n_series` of them."""
    info, parts = dataset_info("m4-weekly"), [load_dataset(f"m4-weekly{part}") for part in ("", "-test")]
    names = list(dict.fromkeys(parts[0][info.series]))[:n_series]
    training, test = (part[part[info.series].isin(names)] for part in parts)
    return training, test


def scores(forecast: pd.DataFrame, training: pd.DataFrame, test: pd.DataFrame) -> tuple[float, float]:
    """sMAPE and MASE (m = 1), per series and then averaged."""
    info = dataset_info("m4-weekly")
    pairs = []
    for name, actual in test.groupby(info.series):
        own = forecast.loc[forecast[info.series] == name, "forecast"].to_numpy()
        history = training.loc[training[info.series] == name, info.target]
        values = actual[info.target].to_numpy()
        pairs.append((smape(values, own), mase(values, own, history)))
    mean_smape, mean_mase = np.mean(pairs, axis=0)
    return float(mean_smape), float(mean_mase)
