"""Made-up stories for the tests of charts and pages: a daily season, errors that grow with the lead, known scores."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pandas as pd

from hourglass_ts.report.story import COLUMNS, Story

MODELS = ("hourglass", "ridge", "seasonal naive", "naive")
QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
NOMINALS = (0.5, 0.8, 0.9)


def make_story(*, n_series=1, folds=8, horizon=7, models=MODELS, names=None, integer=False, tz=None, freq="D"):
    """A story of noisy seasonal series; the first model is the one it is about, the last gives no quantiles."""
    rng = np.random.default_rng(0)
    names = names or (["store " + str(k) for k in range(n_series)] if n_series > 1 else [""])
    n = 120 + folds * 3 + horizon
    times = pd.RangeIndex(n) if integer else pd.date_range("2024-01-01", periods=n, freq=freq, tz=tz)
    values = 20 + 5 * np.sin(np.arange(n) * 2 * np.pi / 7) + rng.normal(size=(len(names), n))
    history = pd.DataFrame(
        {"series": np.repeat(names, n), "time": np.tile(times.to_numpy(), len(names)), "actual": values.ravel()}
    )
    history["time"] = np.concatenate([times] * len(names)) if integer else times.append([times] * (len(names) - 1))
    forecasts = _forecasts(rng, values, times, names, folds, horizon, models)
    return Story(
        title="Sales of the next week",
        headline="Better than seasonal naive by 12 % ± 3; no better than ridge beyond day 5.",
        remarks=("The 80 % interval held in 79 % of the cases.",),
        unit="°C",
        model=models[0],
        forecasts=forecasts,
        history=history,
        scores=pd.DataFrame({"model": models, "MAE": 1.234 + np.arange(len(models)), "CRPS": np.nan}),
        score_notes=("naive has no quantiles: no CRPS.",),
        skill=_skill(models, horizon),
        by_lead=_by_lead(models, horizon),
        coverage=_coverage(models[:-1] or models, horizon),
        conditional=_conditional(models[0], names),
        pit=pd.DataFrame({"model": models[0], "low": np.arange(10) / 10, "high": np.arange(1, 11) / 10, "share": 0.1}),
        revisions=_by_lead(models, horizon).rename(columns={"MAE": "revision", "RMSE": "relative"}),
        residuals=pd.DataFrame(
            {"lag": range(1, 9), "autocorrelation": 0.5 ** np.arange(1, 9), "low": -0.2, "high": 0.2}
        ),
        worst=_worst(forecasts, models[0]),
        explanation={
            "levels": pd.DataFrame({"level": [0, 1], "factor": [1, 2], "share": [0.7, 0.3]}),
            "covariates": pd.DataFrame(
                {
                    "covariate": ["price", "wind"],
                    "role": ["known", "past"],
                    "increase": [0.1, 0.0],
                    "low": 0.0,
                    "high": 0.2,
                }
            ),
            "attention": pd.DataFrame({"lag": range(1, 29), "weight": 1 / 28}),
        },
        audit=pd.DataFrame(
            {"check": ["later values", "scaling"], "passed": [True, False], "detail": ["same", "differs"]}
        ),
        notes=("Column 'y': 3 values missing.",),
        costs=pd.DataFrame({"model": models, "fit_seconds": 75.0, "forecast_seconds": 0.0042, "fits": 2}),
        settings={"horizon": str(horizon), "context": "56"},
        versions={"hourglass_ts": "0.1.0"},
    )


def empty_story() -> Story:
    """A story that knows its title and nothing else."""
    frames = dict.fromkeys(COLUMNS, pd.DataFrame())
    return replace(
        make_story(), **frames, explanation={}, remarks=(), score_notes=(), notes=(), settings={}, versions={}
    )


def _forecasts(rng, values, times, names, folds, horizon, models):
    starts = 120 + 3 * np.arange(folds)
    steps = starts[:, None] + np.arange(horizon)
    shape = (len(names), folds, horizon)
    grid = {
        "fold": np.broadcast_to(np.arange(folds)[None, :, None], shape).ravel(),
        "origin": times.take(np.broadcast_to((starts - 1)[None, :, None], shape).ravel()),
        "series": np.repeat(names, folds * horizon),
        "time": times.take(np.broadcast_to(steps, shape).ravel()),
        "lead": np.broadcast_to(np.arange(1, horizon + 1), shape).ravel(),
        "actual": values[:, steps].ravel(),
    }
    parts = []
    for k, model in enumerate(models):
        forecast = grid["actual"] + rng.normal(size=len(grid["actual"])) * (1 + k)
        spread = {f"q{q:g}": forecast + (1 + k) * NormalDist().inv_cdf(q) for q in QUANTILES}
        without = dict.fromkeys(spread, np.nan)
        parts.append(
            pd.DataFrame(
                {"model": model, **grid, "forecast": forecast, **(without if k == len(models) - 1 else spread)}
            )
        )
    return pd.concat(parts, ignore_index=True)


def _skill(models, horizon):
    leads = [np.nan, *range(1, horizon + 1)]
    rows = [(name, lead, 0.12, 0.09, 0.15) for name in models[1:] for lead in leads]
    return pd.DataFrame(rows, columns=["reference", "lead", "skill", "low", "high"])


def _by_lead(models, horizon):
    rows = [
        (name, lead, 1.0 + k + lead / 10, 1.2 + k + lead / 10)
        for k, name in enumerate(models)
        for lead in range(1, horizon + 1)
    ]
    return pd.DataFrame(rows, columns=["model", "lead", "MAE", "RMSE"])


def _coverage(models, horizon):
    leads = [np.nan, *range(1, horizon + 1)]
    rows = [(m, lead, q, q - 0.02, q - 0.06, q + 0.02, 500) for m in models for lead in leads for q in NOMINALS]
    return pd.DataFrame(rows, columns=["model", "lead", "nominal", "coverage", "low", "high", "n"])


def _conditional(model, names):
    groups = [("series", f"series {name}") for name in names if name]
    groups += [("weekday", f"weekday {day}") for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")]
    groups += [("level", f"size of forecast {k}/5") for k in range(1, 6)]
    rows = [
        (model, group, kind, q, q - 0.01 * k, q - 0.01 * k - 0.03, q - 0.01 * k + 0.03, 80)
        for k, (kind, group) in enumerate(groups)
        for q in NOMINALS
    ]
    return pd.DataFrame(rows, columns=["model", "group", "kind", "nominal", "coverage", "low", "high", "n"])


def _worst(forecasts, model):
    own = forecasts[forecasts["model"] == model]
    error = (own["actual"] - own["forecast"]).abs()
    found = error.groupby([own["series"], own["fold"], own["origin"]]).mean().rename("MAE").reset_index()
    return found.assign(times=found["MAE"] / found["MAE"].mean()).sort_values("MAE", ascending=False).head(20)
