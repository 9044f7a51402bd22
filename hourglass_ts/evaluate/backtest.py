"""Scoring fitted forecasters over the origins of a held-out last stretch, side by side on the very same windows."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import DataError, Problem, raise_problem, raise_problems
from hourglass_ts.forecast.protocol import Forecaster
from hourglass_ts.metrics import coverage, mae, mase

OWN_LABELS = ("origin", "model", "lead", "actual", "forecast")
QUANTILE_LABEL = re.compile(r"q[0-9.e-]+")


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
        A long frame: `origin`, `model`, the series and time columns, `lead` (1 is the first step after the series' last
        value up to the origin), `actual`, `forecast`, and quantile columns where a model gives them. Steps without an
        actual value are left out.
    """
    keys = [time] if series is None else [series, time]
    _check_labels(keys)
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
    forecasts: pd.DataFrame,
    training: pd.DataFrame,
    *,
    time: Hashable,
    target: Hashable,
    season: int,
    series: Hashable = None,
) -> pd.DataFrame:
    """MAE and MASE of every model, per series and then averaged, and the coverage of its outermost interval.

    MASE divides by the seasonal naive error inside the training rows, as the M4 competition does. It is averaged over
    the series that have one: those that never change in training do not.
    """
    ordered = training.sort_values(time)
    past = {None: ordered} if series is None else dict(list(ordered.groupby(series)))
    rows = []
    for name, own in forecasts.groupby("model", sort=False):
        groups = [(None, own)] if series is None else list(own.groupby(series))
        pairs = [
            (mae(part["actual"], part["forecast"]), mase(part["actual"], part["forecast"], past[key][target], season))
            for key, part in groups
        ]
        # pandas' mean leaves NaN out, and is NaN, without a warning, where there is nothing else
        averages = pd.DataFrame(pairs, columns=["MAE", "MASE"]).mean()
        rows.append({"model": name, **averages, **_interval_coverage(own)})
    return pd.DataFrame(rows)


def _interval_coverage(forecasts: pd.DataFrame) -> dict[str, float]:
    """How often the outermost interval holds the actual value; nothing for a model without quantiles."""
    levels = {float(str(label)[1:]): label for label in forecasts.columns if QUANTILE_LABEL.fullmatch(str(label))}
    if len(levels) < 2 or forecasts[list(levels.values())].isna().any(axis=None):
        return {}
    low, high = min(levels), max(levels)
    held = coverage(forecasts["actual"], forecasts[levels[low]], forecasts[levels[high]])
    return {f"{100 * (high - low):.0f} % interval holds": held}


def _check_labels(labels: Sequence[Hashable]) -> None:
    raise_problems(
        DataError,
        [
            Problem("a name that the scored frame's own columns have", "another name", "Rename it.", column=label)
            for label in labels
            if label in OWN_LABELS
        ],
    )
