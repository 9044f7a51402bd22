"""Are intervals calibrated, what do revisions cost, how fast is a backtest, does the audit find what it should?

    python benchmarks/trust.py --json benchmarks/results/trust.json

Coverage: nominal 80 and 95 %, for every lead and pooled, of `ConformalForecaster(HourGlassForecaster(...))` with all
defaults of the first, on the data that ship with the library: Seattle's highest temperature, 7 days ahead from every
day of the last year; the adjusted close of stocks, 5 sessions ahead from every one of the last 750 (FB began too late
to be fitted). Fitted once, on the rows before; 3 seeds. An interval's half-width is the block bootstrap's over origins.
Stability: the ridge floor alone and averaged over its last 3 origins, Seattle, the same origins.
Speed: naive, seasonal naive and ridge from 500 origins over 100 series of 700 steps, one process, seconds.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import Report, arguments, table

from hourglass_ts.evaluate.backtest import backtest
from hourglass_ts.evaluate.result import Backtest
from hourglass_ts.forecast.baselines import RidgeFloor
from hourglass_ts.forecast.conformal import ConformalForecaster
from hourglass_ts.forecast.ensemble import OriginEnsemble
from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.frames.registry import load_dataset

NETWORK = {"d_model": 32, "d_ff": 64, "max_epochs": 6, "steps_per_epoch": 60, "progress": False}
CALIBRATED, PLAIN = "HourGlass, calibrated", "HourGlass"


@dataclass(frozen=True)
class Case:
    """A shipped data set, how it is forecast, and how many of its last origins are scored."""

    name: str
    roles: dict[str, Any]
    horizon: int
    context: int
    folds: int
    freq: str | None = None
    transform: str | None = None


CASES = (
    Case("weather", {"time": "date", "target": "temp_max", "past": ["temp_min", "precipitation", "wind"]}, 7, 56, 359),
    Case(
        "stocks",
        {"time": "date", "target": "adjusted_close", "series": "symbol"},
        5,
        60,
        750,
        freq="XNYS",
        transform="log",
    ),
)
DATA = {"weather": "seattle-weather", "stocks": "stocks"}


def score(case: Case, seed: int, quick: bool) -> Backtest:
    """The calibrated forecaster and the plain one over the last origins of a data set."""
    settings = {**NETWORK, **({"max_epochs": 1, "steps_per_epoch": 5} if quick else {})}
    model = HourGlassForecaster(
        horizon=case.horizon,
        context=case.context,
        freq=case.freq,
        transform=case.transform,
        quantiles=(0.025, 0.1, 0.5, 0.9, 0.975),
        seed=seed,
        **settings,
    )
    models = {CALIBRATED: ConformalForecaster(model), PLAIN: model}
    df = load_dataset(DATA[case.name])
    return backtest(
        models, df, **case.roles, freq=case.freq, folds=60 if quick else case.folds, stride=1, progress=False
    )


def coverage(report: Report, case: Case, result: Backtest, seed: int) -> list[list[str]]:
    """One line per nominal coverage and model: pooled, its interval, and whether every lead's interval holds it."""
    lines: list[list[str]] = []
    own = result.coverage[result.coverage["model"].isin([CALIBRATED, PLAIN])]
    for (model, nominal), rows in own.groupby(["model", "nominal"], sort=False):
        pooled, leads = rows[rows["lead"].isna()].iloc[0], rows[rows["lead"].notna()]
        inside = int(((leads["low"] <= nominal) & (nominal <= leads["high"])).sum())
        worst = leads.loc[(leads["coverage"] - nominal).abs().idxmax(), "coverage"]
        half_width = (leads["high"] - leads["low"]).mean() / 2
        name = f"coverage{100 * nominal:.0f}:{case.name}:{'calibrated' if model == CALIBRATED else 'plain'}:{seed}"
        report.add(name, round(float(pooled["coverage"]), 4))
        report.add(f"{name}_low", round(float(pooled["low"]), 4))
        report.add(f"{name}_high", round(float(pooled["high"]), 4))
        report.add(f"{name}_leads_inside", inside / len(leads))
        report.add(f"{name}_lead_half_width", round(float(half_width), 4))
        interval, held = f"{pooled['low']:.3f}–{pooled['high']:.3f}", f"{pooled['coverage']:.3f}"
        by_lead = [f"{inside} of {len(leads)}", f"{worst:.3f}", f"± {half_width:.3f}"]
        lines.append([case.name, str(model), str(seed), f"{nominal:.0%}", held, interval, *by_lead])
    return lines


def stability(report: Report, quick: bool) -> list[list[str]]:
    """What averaging over origins gives in revisions and takes in accuracy."""
    case = CASES[0]
    ridge = RidgeFloor(case.horizon, case.context)
    models = {"ridge": ridge, "ridge, 3 origins": OriginEnsemble(ridge, 3)}
    roles = {name: label for name, label in case.roles.items() if name != "past"}
    folds = 60 if quick else case.folds
    result = backtest(models, load_dataset(DATA[case.name]), **roles, folds=folds, stride=1, progress=False)
    errors = result.scores.set_index("model")["MAE"]
    moved = result.revisions[result.revisions["lead"].isna()].set_index("model")["revision"]
    report.add("ensemble_mae_ratio", round(errors["ridge, 3 origins"] / errors["ridge"], 4))
    report.add("ensemble_revision_ratio", round(moved["ridge, 3 origins"] / moved["ridge"], 4))
    return [[name, f"{errors[name]:.3f}", f"{moved[name]:.3f}"] for name in (*models, "naive", "seasonal naive")]


def speed(report: Report, quick: bool) -> tuple[float, int]:
    """Seconds of a backtest of the baselines, and bytes of its report."""
    n_series, n_folds, n = (20, 100, 300) if quick else (100, 500, 700)
    rng = np.random.default_rng(0)
    season = 10 * np.sin(2 * np.pi * np.arange(n) / 7)
    days = pd.date_range("2020-01-01", periods=n)
    parts = [
        pd.DataFrame({"id": f"s{i:03d}", "day": days, "y": rng.normal(size=n).cumsum() + season})
        for i in range(n_series)
    ]
    began = time.perf_counter()
    result = backtest(
        {}, pd.concat(parts), time="day", target="y", series="id", horizon=7, folds=n_folds, stride=1, progress=False
    )
    _ = result.scores
    seconds = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        size = os.path.getsize(result.to_html(Path(folder) / "report.html"))
    report.add("backtest_500_folds_100_series_seconds", round(seconds, 1))
    report.add("report_bytes_500_folds_100_series", size)
    return seconds, size


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=3)
    given = options.parse_args()
    report = Report()
    seconds, size = speed(report, given.quick)
    print(f"Backtest of three baselines: {seconds:.1f} s; its report: {size / 1e6:.2f} MB")
    print(table(["model", "MAE °C", "mean revision °C"], stability(report, given.quick)))
    head = ["data", "model", "seed", "nominal", "held", "interval", "leads inside", "furthest lead", "half-width"]
    for case in CASES:
        for seed in range(1 if given.quick else given.seeds):
            print(table(head, coverage(report, case, score(case, seed, given.quick), seed)), flush=True)
    report.write(given.json)


if __name__ == "__main__":
    main()
