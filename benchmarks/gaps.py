"""Forecasts from data with holes, against forecasts from all of it: the same test windows and the same actual values.

    HOURGLASS_TS_DATA=... python benchmarks/gaps.py --json benchmarks/results/gaps.json

30 % of the values are missing from training rows and forecast contexts alike: single points, each series its own, or
whole days of all series (runs of 5 days in daily data). A forecast starts right after the last observed value, so the
origin's own value is always there. MAE is averaged over series; on ETTh1 it is of values standardised by the training
part, 96 of 512 steps from every 73rd origin of the test part, on Seattle of °C, 7 days from every 4th day of the last
year. Two epochs of training keep it to minutes; all else is the forecaster's default.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from accuracy import LongData
from common import Report, arguments, table

from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.frames.registry import load_dataset

MISSING, EPOCHS = 0.3, 2


@dataclass(frozen=True)
class Case:
    """A complete wide frame on a regular grid, how it is forecast, and how long an outage lasts."""

    values: pd.DataFrame
    test: int
    """The first test row."""
    context: int
    horizon: int
    stride: int
    outage: int

    @property
    def origins(self) -> range:
        """The last row of every history."""
        return range(self.test - 1, len(self.values) - self.horizon, self.stride)


def etth1(quick: bool) -> Case:
    data = LongData.load("etth1")
    values = data.values[: data.end].double().numpy()
    times = pd.date_range("2016-07-01", periods=len(values), freq="h")
    frame = pd.DataFrame(values, times).add_prefix("channel")
    if quick:
        return Case(frame.iloc[:, :2], data.test, context=96, horizon=24, stride=480, outage=24)
    return Case(frame, data.test, context=512, horizon=96, stride=73, outage=24)


def seattle(quick: bool) -> Case:
    weather = load_dataset("seattle-weather").set_index("date")
    frame = weather[["temp_max"]].asfreq("D")
    return Case(frame, len(frame) - 365, context=56, horizon=7, stride=28 if quick else 4, outage=5)


CASES: dict[str, Callable[[bool], Case]] = {"seattle": seattle, "etth1": etth1}


def points_missing(case: Case, seed: int) -> np.ndarray:
    """Every value on its own: True where it is missing."""
    return np.random.default_rng(seed).random(case.values.shape) < MISSING


def days_missing(case: Case, seed: int) -> np.ndarray:
    """Whole outages of all series, at random among the slots of that length."""
    slots = -(-len(case.values) // case.outage)
    out = np.random.default_rng(seed).permutation(slots) < MISSING * slots
    return np.repeat(out, case.outage)[: len(case.values), None] & np.ones(case.values.shape, dtype=bool)


PATTERNS = {"30pct": points_missing, "days": days_missing}


def mae(case: Case, missing: np.ndarray, quick: bool) -> tuple[float, float]:
    """Test MAE of a forecaster that never sees the values marked missing, and its network's share."""
    seen = case.values.mask(missing).reset_index(names="time")
    effort = {"max_epochs": 1, "steps_per_epoch": 10} if quick else {"max_epochs": EPOCHS}
    plain = {"freq": case.values.index.freq, "quantiles": (), "progress": False, "accelerator": "cpu"}
    model = HourGlassForecaster(case.horizon, case.context, **plain, **effort)
    model.fit(seen[: case.test].dropna(how="all", subset=list(case.values)), time="time")
    errors = []
    for origin in case.origins:
        history = seen[max(origin + 1 - 2 * case.context, 0) : origin + 1].copy()
        history.iloc[-1, 1:] = case.values.iloc[origin].to_numpy()
        forecast = model.forecast(history)["forecast"].to_numpy().reshape(-1, case.horizon)
        actual = case.values.iloc[origin + 1 : origin + 1 + case.horizon].to_numpy().T
        errors.append(np.abs(forecast - actual).mean())
    return float(np.mean(errors)), model.share_


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--data", default=",".join(CASES))
    parser.add_argument("--seeds", type=int, default=3, help="patterns of missing values, 3 or more for a figure")
    options = parser.parse_args()
    report, rows = Report(), []
    for name in options.data.split(","):
        case = CASES[name](options.quick)
        full, share = scored(name, "full", case, np.zeros(case.values.shape, dtype=bool), options.quick, report)
        rows.append([name, "nothing", f"{full:.4f}", "1.000", f"{share:.2f}"])
        for kind, draw in PATTERNS.items():
            ratios = []
            for seed in range(1 if options.quick else options.seeds):
                missing = draw(case, seed)
                value, share = scored(name, f"{kind}:seed{seed}", case, missing, options.quick, report)
                ratios.append(value / full)
                rows.append([name, f"{kind}, seed {seed}", f"{value:.4f}", f"{value / full:.3f}", f"{share:.2f}"])
            report.add(f"mae_with_{kind}_missing_over_full:{name}", float(np.mean(ratios)))
    print(table(["data", "missing", "MAE", "over full", "share"], rows))
    report.write(options.json)


def scored(name: str, kind: str, case: Case, missing: np.ndarray, quick: bool, report: Report) -> tuple[float, float]:
    """Fit and score once, tell how it went, and keep the error."""
    begun = time.perf_counter()
    value, share = mae(case, missing, quick)
    report.add(f"mae:{name}:{kind}", value)
    print(f"{name} {kind}: MAE {value:.4f}, share {share:.2f}, {time.perf_counter() - begun:.0f} s", flush=True)
    return value, share


if __name__ == "__main__":
    main()
