"""Scores of a backtest's rows: by model, and by whatever else one asks for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hourglass_ts.forecast.truth import is_quantile

POINT_SCORES = ("MAE", "RMSE", "bias", "sMAPE", "MASE", "RMSSE")


def common_rows(rows: pd.DataFrame, n_models: int) -> pd.DataFrame:
    """The rows of those forecast days that every model has a number for: all are scored on the very same."""
    usable = rows[rows["forecast"].notna()]
    day = usable.groupby(["fold", "unit", "time"], sort=False).ngroup().to_numpy()
    complete = np.bincount(day, minlength=1)[day] == n_models if len(day) else np.zeros(0, dtype=bool)
    return usable[complete]


def interval_pairs(labels: Sequence[str]) -> dict[float, tuple[str, str]]:
    """The central intervals that quantile columns make: nominal coverage → lower and upper column.

    Example:
        >>> interval_pairs(["q0.1", "q0.5", "q0.9"])
        {0.8: ('q0.1', 'q0.9')}
    """
    levels = {round(float(label[1:]), 9): label for label in labels if is_quantile(label)}
    return {
        round(1 - 2 * level, 9): (label, levels[round(1 - level, 9)])
        for level, label in sorted(levels.items())
        if level < 0.5 and round(1 - level, 9) in levels
    }


def score_rows(rows: pd.DataFrame, scales: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Scores for every model and group: of each series first, then averaged over series, so that each counts the same.

    rows: model, fold, unit, lead, actual, forecast and quantiles.  scales: `Truth.scales`, by unit.  by: further
    columns of `rows` to group by. A series whose score is NaN is left out of the average; all NaN stay NaN.

    Returns:
        model, the groups, `n` forecasts, then the scores; for models with quantiles WQL, and the coverage and interval
        score of every central interval.
    """
    groups = ["model", *by]
    losses = _losses(rows, scales)
    per_series = _means(losses, rows, list(dict.fromkeys([*groups, "unit"])))
    for squared, root in (("MSE", "RMSE"), ("MSSE", "RMSSE")):
        per_series[root] = np.sqrt(per_series.pop(squared))
    if "pinball" in per_series:
        per_series["WQL"] = 2 * _ratio(per_series.pop("pinball"), per_series.pop("absolute"))
    names = [name for name in per_series.columns if name not in (*groups, "unit", "n")]
    ordered = [*[name for name in POINT_SCORES if name in names], *[name for name in names if name not in POINT_SCORES]]
    table = per_series.groupby(groups, observed=True, as_index=False)[["n", *ordered]].agg(
        {"n": "sum", **dict.fromkeys(ordered, "mean")}
    )
    return table


def score_notes(table: pd.DataFrame, names: Sequence[str], scales: pd.DataFrame) -> list[str]:
    """Why scores are NaN, or averaged over fewer series than there are."""
    notes = []
    flat = np.flatnonzero(scales["mae"].isna().to_numpy())
    if len(flat):
        which = names[flat[0]] or "the series"
        more = f" and {len(flat) - 1} more" if len(flat) > 1 else ""
        notes.append(f"MASE and RMSSE leave out {which}{more}: nothing changes over a season in training.")
    if "sMAPE" in table and table["sMAPE"].isna().any():
        notes.append("sMAPE is NaN where an actual value and its forecast are both 0: such a pair has no percentage.")
    without = [str(row.model) for row in table.itertuples() if "WQL" not in table or np.isnan(row.WQL)]
    if without:
        notes.append(f"No interval scores for models without quantiles: {', '.join(without)}.")
    return notes


def _losses(rows: pd.DataFrame, scales: pd.DataFrame) -> dict[str, np.ndarray]:
    """The loss of every row, by the name of what its mean is."""
    actual, forecast = rows["actual"].to_numpy(), rows["forecast"].to_numpy()
    error, unit = forecast - actual, rows["unit"].to_numpy()
    size = np.abs(actual) + np.abs(forecast)
    losses = {
        "MAE": np.abs(error),
        "MSE": error**2,
        "bias": error,
        "sMAPE": 200 * _ratio(np.abs(error), size),
        "MASE": np.abs(error) / scales["mae"].to_numpy()[unit],
        "MSSE": error**2 / scales["mse"].to_numpy()[unit],
    }
    labels = [label for label in rows.columns if is_quantile(label)]
    if labels:
        above = {label: actual - rows[label].to_numpy() for label in labels}
        pinballs = [np.maximum(float(q[1:]) * gap, (float(q[1:]) - 1) * gap) for q, gap in above.items()]
        losses["pinball"] = np.mean(pinballs, axis=0)
        losses["absolute"] = np.abs(actual)
    for nominal, (low, high) in interval_pairs(labels).items():
        lower, upper = rows[low].to_numpy(), rows[high].to_numpy()
        missed = np.maximum(lower - actual, 0) + np.maximum(actual - upper, 0)
        inside = np.where(np.isnan(missed), np.nan, missed == 0)
        losses[f"coverage {100 * nominal:g} %"] = inside
        losses[f"interval score {100 * nominal:g} %"] = upper - lower + 2 / (1 - nominal) * missed
    return losses


def _means(losses: dict[str, np.ndarray], rows: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    """The mean of every loss in every group; NaN where one of its rows is."""
    grouped = rows.groupby(groups, observed=True, sort=True)
    code = grouped.ngroup().to_numpy()
    table = grouped.size().rename("n").reset_index()
    for name, loss in losses.items():
        table[name] = np.bincount(code, weights=loss, minlength=len(table)) / table["n"].to_numpy()
    return table


def _ratio(part: np.ndarray | pd.Series, whole: np.ndarray | pd.Series) -> np.ndarray:
    part, whole = np.asarray(part), np.asarray(whole)
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole != 0)
