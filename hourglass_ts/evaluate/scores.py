"""Scores of a backtest's rows: by model, and by whatever else one asks for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hourglass_ts.forecast.truth import is_quantile

LEAST_SHARE = 0.5
POINT_SCORES = ("MAE", "RMSE", "bias", "sMAPE", "MASE", "RMSSE")


def common_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of those forecast days that every model has a number for: all are scored on the very same.

    A model with fewer than half of the days that another one has is left out, rather than all the days it lacks.
    """
    usable = rows[rows["forecast"].notna()]
    n_days = usable["model"].value_counts()
    kept = n_days.index[(n_days > 0) & (n_days >= LEAST_SHARE * n_days.max())]
    usable = usable[usable["model"].isin(kept)]
    day = usable.groupby(["fold", "unit", "time"], sort=False).ngroup().to_numpy()
    complete = np.bincount(day, minlength=1)[day] == len(kept) if len(day) else np.zeros(0, dtype=bool)
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
    for name in POINT_SCORES:  # all models are averaged over the same series: those that each has a score for
        known = per_series[name].notna().groupby([per_series[label] for label in (*by, "unit")]).transform("all")
        per_series[name] = per_series[name].where(known)
    names = [name for name in per_series.columns if name not in (*groups, "unit", "n")]
    ordered = [*[name for name in POINT_SCORES if name in names], *[name for name in names if name not in POINT_SCORES]]
    table = per_series.groupby(groups, observed=True, as_index=False)[["n", *ordered]].agg(
        {"n": "sum", **dict.fromkeys(ordered, "mean")}
    )
    return table


def score_notes(rows: pd.DataFrame, table: pd.DataFrame, names: Sequence[str], scales: pd.DataFrame) -> list[str]:
    """Why scores are NaN, or averaged over fewer series than there are. rows: those that are scored."""
    notes = []
    scored = np.unique(rows["unit"])
    flat = scored[scales["mae"].isna().to_numpy()[scored]]
    if len(flat):
        notes.append(f"MASE and RMSSE leave out {_listed(flat, names)}: nothing changes over a season in training.")
    zero = np.unique(rows["unit"][(rows["actual"] == 0) & (rows["forecast"] == 0)])
    if len(zero):
        pair = "an actual value and a forecast are both 0, which has no percentage"
        notes.append(f"sMAPE leaves out {_listed(zero, names)}: {pair}.")
    never = np.setdiff1d(np.arange(len(names)), scored)
    if len(never):
        notes.append(f"Not scored: {_listed(never, names)}; not every model was fitted on it and has a forecast of it.")
    without = [str(row.model) for row in table.itertuples() if "WQL" not in table or np.isnan(row.WQL)]
    if without:
        notes.append(f"No interval scores for models without quantiles: {', '.join(without)}.")
    return notes


def _listed(units: np.ndarray, names: Sequence[str]) -> str:
    more = f" and {len(units) - 1} more" if len(units) > 1 else ""
    return f"{names[units[0]] or 'the series'}{more}"


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
