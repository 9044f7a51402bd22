"""Scoring fitted forecasters over the origins of a held-out last stretch, side by side on the very same windows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import DataError, Problem, raise_problem
from hourglass_ts.forecast.protocol import Forecaster
from hourglass_ts.metrics import coverage, mae, mase


def rolling_forecasts(
    models: Mapping[str, Forecaster],
    df: pd.DataFrame,
    origins: Sequence[Any],
    *,
    time: Hashable,
    target: Hashable,
    series: Hashable = None,
) -> pd.DataFrame:
    """Forecast from every origin with every fitted model, which sees the rows up to the origin and no others.

    Returns:
        A long frame: `origin`, `model`, the series and time columns, `lead` (1 is the first step after the origin),
        `actual`, `forecast`, and quantile columns where a model gives them. Steps without an actual value are left out.
    """
    keys = [time] if series is None else [series, time]
    truth = df[[*keys, target]].rename(columns={target: "actual"}).dropna(subset=["actual"])
    parts = []
    for origin in origins:
        history = df[df[time] <= origin]
        if history.empty:
            raise_problem(
                DataError,
                Problem(
                    "no rows up to an origin", "history before every origin", "Pass later origins.", time, at=origin
                ),
            )
        for name, model in models.items():
            forecast = model.forecast(history)
            leads = np.arange(len(forecast)) if series is None else forecast.groupby(series).cumcount().to_numpy()
            forecast = forecast.assign(lead=leads + 1)
            joined = forecast.merge(truth, on=keys, how="inner")
            parts.append(joined.assign(origin=origin, model=name))
    return pd.concat(parts, ignore_index=True)


def scores(
    forecasts: pd.DataFrame, training: pd.DataFrame, *, target: Hashable, season: int, series: Hashable = None
) -> pd.DataFrame:
    """MAE and MASE of every model, per series and then averaged, and the coverage of its outermost interval.

    MASE divides by the seasonal naive error inside the training rows, as the M4 competition does.
    """
    rows = []
    for name, own in forecasts.groupby("model", sort=False):
        groups = [(None, own)] if series is None else list(own.groupby(series))
        past = {None: training} if series is None else dict(list(training.groupby(series)))
        pairs = [
            (mae(part["actual"], part["forecast"]), mase(part["actual"], part["forecast"], past[key][target], season))
            for key, part in groups
        ]
        rows.append({"model": name, "MAE": np.mean([a for a, _ in pairs]), "MASE": np.mean([b for _, b in pairs])})
        quantiles = sorted((c for c in own.columns if str(c).startswith("q0.")), key=lambda c: float(str(c)[1:]))
        if len(quantiles) > 1 and own[quantiles].notna().all(axis=None):
            low, high = quantiles[0], quantiles[-1]
            nominal = 100 * (float(str(high)[1:]) - float(str(low)[1:]))
            rows[-1][f"{nominal:.0f} % interval holds"] = coverage(own["actual"], own[low], own[high])
    return pd.DataFrame(rows)
