"""What a backtest's rows say beyond their mean: skill, coverage, stability, residuals and the worst windows.

Frames as `report.story.Story` describes them. Origins follow each other in time and their forecasts overlap, so every
interval is that of a block bootstrap over folds, in blocks of a horizon or longer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from hourglass_ts.evaluate.scores import interval_pairs, score_rows
from hourglass_ts.forecast.truth import is_quantile
from hourglass_ts.metrics.comparison import Interval, optimal_block_length, skill
from hourglass_ts.metrics.revisions import revision_scores, revisions
from hourglass_ts.metrics.shares import share_interval

N_WORST, MAX_LAG = 6, 20
MIN_INDEPENDENT = 10
"""Two equal models were told apart in 9 of 40 backtests of 3 folds; intervals of so few say nothing."""


def skill_table(rows: pd.DataFrame, scales: pd.DataFrame, model: str, overlap: int) -> pd.DataFrame:
    """How much smaller the model's mean absolute scaled error is than each other model's, for all leads and for each.

    overlap: folds whose forecast days overlap. Series without a scale are measured in the target's unit, if no series
    has one.
    """
    scale = scales["mae"].to_numpy()
    scale = scale if np.isfinite(scale).any() else np.ones(len(scale))
    error = (rows["forecast"] - rows["actual"]).abs() / scale[rows["unit"]]
    losses = rows.assign(loss=error).groupby(["model", "fold", "lead"], observed=True)["loss"].mean()
    found = []
    for reference in rows["model"].unique():
        if reference == model or model not in losses.index.get_level_values("model"):
            continue
        own, other = losses[model].unstack(), losses[reference].unstack()
        pairs = [(np.nan, own.mean(axis=1), other.mean(axis=1)), *((lead, own[lead], other[lead]) for lead in own)]
        for lead, ours, theirs in pairs:
            worth = _if_enough(skill(ours, theirs, block=_block(ours - theirs, overlap)), len(ours), overlap)
            found.append((reference, lead, worth.estimate, worth.low, worth.high))
    return pd.DataFrame(found, columns=["reference", "lead", "skill", "low", "high"])


def coverage_table(rows: pd.DataFrame, overlap: int) -> pd.DataFrame:
    """How often every central interval of every model held, for all leads and for each."""
    found = []
    for model, nominal, inside in _hits(rows):
        for lead, hits in [(np.nan, inside), *inside.groupby("lead")]:
            held = share_held(hits, overlap)
            found.append((model, lead, nominal, held.estimate, held.low, held.high, len(hits)))
    return pd.DataFrame(found, columns=["model", "lead", "nominal", "coverage", "low", "high", "n"])


def conditional_table(
    rows: pd.DataFrame, groups: Sequence[tuple[str, pd.Series]], model: str, overlap: int
) -> pd.DataFrame:
    """Coverage of the model's intervals inside groups of its rows.

    groups: (kind, group of every row) with the index of `rows`.
    """
    found = []
    for name, nominal, inside in _hits(rows[rows["model"] == model]):
        for kind, group in groups:
            for label, hits in inside.groupby(group.reindex(inside.index), observed=True):
                held = share_held(hits, overlap)
                found.append((name, str(label), kind, nominal, held.estimate, held.low, held.high, len(hits)))
    return pd.DataFrame(found, columns=["model", "group", "kind", "nominal", "coverage", "low", "high", "n"])


def share_held(hits: pd.DataFrame, overlap: int) -> Interval:
    """The share of `inside` among rows of folds, with its interval."""
    per_fold = hits.groupby("fold")["inside"].agg(["sum", "count"])
    block = _block(per_fold["sum"] / per_fold["count"], overlap)
    return _if_enough(share_interval(per_fold["sum"], per_fold["count"], block=block), len(per_fold), overlap)


def pit_table(rows: pd.DataFrame) -> pd.DataFrame:
    """How often actual values fell between neighbouring quantiles: level to level, and the share found there."""
    labels = sorted((label for label in rows.columns if is_quantile(label)), key=lambda label: float(label[1:]))
    found = []
    for model, own in rows.groupby("model", observed=True, sort=False):
        given = [label for label in labels if own[label].notna().all()]
        if given:
            place = (own[given].to_numpy() < own[["actual"]].to_numpy()).sum(axis=1)
            shares = np.bincount(place, minlength=len(given) + 1) / len(own)
            ends = [0.0, *(float(label[1:]) for label in given), 1.0]
            found += [(model, ends[i], ends[i + 1], share) for i, share in enumerate(shares)]
    return pd.DataFrame(found, columns=["model", "low", "high", "share"])


def revision_table(rows: pd.DataFrame, scales: pd.DataFrame) -> pd.DataFrame:
    """How far the forecast of one time moves from one origin to the next, by the newer forecast's lead, and for all."""
    revised = revisions(rows, keys=["model", "unit", "time"], origin="fold", forecast="forecast")
    if not len(revised):
        return pd.DataFrame(columns=["model", "lead", "revision", "relative"])
    parts = []
    for by in ([], ["lead"]):
        moved = revision_scores(revised, by=["model", *by])[["model", *by, "MAC"]]
        errors = score_rows(rows, scales, by)[["model", *by, "MAE"]]
        parts.append(moved.astype({"model": object}).merge(errors.astype({"model": object}), on=["model", *by]))
    table = pd.concat(parts, ignore_index=True).rename(columns={"MAC": "revision"})
    table["relative"] = table["revision"] / table["MAE"].where(table["MAE"] > 0)
    return table.reindex(columns=["model", "lead", "revision", "relative"])


def residual_table(rows: pd.DataFrame, model: str) -> pd.DataFrame:
    """Autocorrelation over folds of the model's errors at its first scored lead, and the range that luck gives it."""
    own = rows[rows["model"] == model]
    own = own[own["lead"] == own["lead"].min()]
    errors = (own["actual"] - own["forecast"]).groupby([own["unit"], own["fold"]]).mean().unstack(0)
    errors = errors - errors.mean()
    n = int(errors.notna().sum().sum())
    bound = 1.96 / math.sqrt(n) if n else np.nan
    variance = float((errors**2).mean().mean())
    lags = range(1, min(MAX_LAG, len(errors) // 2) + 1) if variance > 0 else ()
    values = [float((errors * errors.shift(lag)).mean().mean()) / variance for lag in lags]
    return pd.DataFrame({"lag": list(lags), "autocorrelation": values, "low": -bound, "high": bound})


def worst_table(rows: pd.DataFrame, model: str, names: Sequence[str], origins: pd.Index, overlap: int) -> pd.DataFrame:
    """The windows with the largest mean absolute errors of the model, each series measured in its own mean.

    Of windows of a series that overlap, the worst alone.
    """
    own = rows[rows["model"] == model]
    error = (own["actual"] - own["forecast"]).abs()
    windows = error.groupby([own["unit"], own["fold"]]).mean().rename("MAE").reset_index()
    mean = windows.groupby("unit")["MAE"].transform("mean")
    windows["times"] = windows["MAE"] / mean.where(mean > 0)
    windows = _apart(windows.sort_values("times", ascending=False), overlap)
    windows["series"] = np.asarray(names, dtype=object)[windows["unit"]]
    windows["origin"] = origins[windows["fold"].to_numpy()]
    return windows[["series", "fold", "origin", "MAE", "times"]].reset_index(drop=True)


def _apart(windows: pd.DataFrame, overlap: int) -> pd.DataFrame:
    """The first windows that do not overlap with one before them."""
    kept: list[int] = []
    unit, fold = windows["unit"].to_numpy(), windows["fold"].to_numpy()
    for place in range(len(windows)):
        if not any(unit[k] == unit[place] and abs(fold[k] - fold[place]) < overlap for k in kept):
            kept.append(place)
        if len(kept) == N_WORST:
            break
    return windows.iloc[kept]


def _hits(rows: pd.DataFrame) -> Iterator[tuple[str, float, pd.DataFrame]]:
    """For every model and central interval it has: fold, lead and whether the actual value lay inside."""
    pairs = interval_pairs([str(label) for label in rows.columns])
    for model, own in rows.groupby("model", observed=True, sort=False):
        for nominal, (low, high) in pairs.items():
            if own[[low, high]].notna().all(axis=None):
                inside = (own[low] <= own["actual"]) & (own["actual"] <= own[high])
                yield str(model), nominal, own[["fold", "lead"]].assign(inside=inside.astype(float))


def _if_enough(found: Interval, n_folds: int, overlap: int) -> Interval:
    """The interval without its ends where it comes from too few independent folds to be trusted."""
    return found if n_folds >= MIN_INDEPENDENT * overlap else Interval(found.estimate, math.nan, math.nan)


def _block(values: pd.Series, overlap: int) -> int:
    """Folds in a block: as many as the values' dependence and their overlap ask for."""
    return max(math.ceil(optimal_block_length(values.dropna().to_numpy())), overlap, 1)
