"""Accuracy on the field's own tables: long horizons on every test window, and M4 Weekly by the competition's rules.

    python benchmarks/accuracy.py --data etth1,weather --context 512 --horizons 96 --models naive,ridge
    python benchmarks/accuracy.py --data m4-weekly --models naive,ridge,hourglass,hourglass-no-floor --seeds 3

Long horizons: splits as published (ETT 12/4/4 months, others 70/10/20 %), every channel standardised by its training
part, stride 1, MSE and MAE averaged over channels. `ridge` chooses λ on the validation part and is fitted on the
training part; `ridge+validation` is then fitted on both. Data are found through HOURGLASS_TS_DATA, or downloaded.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from common import Report, arguments, table

from hourglass_ts.forecast.baselines import Naive, RidgeFloor
from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.frames.registry import dataset_info, load_dataset
from hourglass_ts.metrics.points import mase, owa, smape
from hourglass_ts.network.floor import LinearFloor, Stretch

M4_HORIZON, M4_CONTEXT = 13, 52
NAIVE2 = {"smape": 9.161, "mase": 2.777}
LONG_MODELS = ("naive", "ridge", "ridge+validation")
M4_MODELS = ("naive", "ridge", "hourglass", "hourglass-no-floor")


@dataclass(frozen=True)
class LongData:
    """Standardised channels (T, n_channels), and where validation and test begin and the test ends."""

    values: torch.Tensor
    validation: int
    test: int
    end: int

    @classmethod
    def load(cls, name: str) -> LongData:
        """Take the rows in the file's order, as all published figures do; series of a long frame become columns."""
        info, df = dataset_info(name), load_dataset(name)
        wide = df.pivot(index=info.time, columns=info.series) if info.series else df.drop(columns=info.time)
        raw = wide.to_numpy(np.float64)
        months = {"etth": 30 * 24, "ettm": 30 * 96}.get(name[:4])
        if months:
            validation, test, end = 12 * months, 16 * months, 20 * months
        else:
            n = len(raw)
            validation, test, end = int(n * 0.7), n - int(n * 0.2), n
        training = raw[:validation]
        scaled = (raw - training.mean(0)) / training.std(0)
        return cls(torch.tensor(scaled, dtype=torch.float32), validation, test, end)

    def stretches(self, first_target: int, stop: int, context: int, horizon: int) -> list[Stretch]:
        """Every channel's windows with all targets in [first_target, stop)."""
        begin = max(first_target - context, 0)
        parts = []
        for channel in range(self.values.shape[1]):
            values = self.values[begin:stop, channel].contiguous()
            origins = torch.arange(max(first_target - 1 - begin, context - 1), len(values) - horizon)
            parts.append(Stretch(channel, values, torch.ones(len(values), dtype=torch.bool), origins))
        return parts


def long_scores(data: LongData, model: str, context: int, horizon: int) -> tuple[float, float]:
    """Test MSE and MAE of one model."""
    floor = LinearFloor(context, horizon, data.values.shape[1])
    if model != "naive":
        training = data.stretches(0, data.validation, context, horizon)
        floor.fit(training, data.stretches(data.validation, data.test, context, horizon))
    if model == "ridge+validation":
        floor.refit(data.stretches(0, data.test, context, horizon))
    squared = absolute = count = 0.0
    for stretch in data.stretches(data.test, data.end, context, horizon):
        row = int(floor.map_of_series[stretch.code])
        weights = floor.own[row] if row >= 0 else floor.common
        for inputs, targets, _ in stretch.windows(context, horizon, 1.0):
            error = (targets - inputs @ weights).double()
            squared, absolute = squared + float(error.square().sum()), absolute + float(error.abs().sum())
            count += error.numel()
    return squared / count, absolute / count


def m4_frames(n_series: int | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test part in long form; the first `n_series` of them."""
    parts = [load_dataset(f"m4-weekly{part}") for part in ("", "-test")]
    info = dataset_info("m4-weekly")
    names = list(dict.fromkeys(parts[0][info.series]))[:n_series]
    training, test = (part[part[info.series].isin(names)] for part in parts)
    return training, test


def m4_scores(forecast: pd.DataFrame, training: pd.DataFrame, test: pd.DataFrame) -> tuple[float, float]:
    """sMAPE and MASE (m = 1), per series and then averaged."""
    info = dataset_info("m4-weekly")
    pairs = []
    for name, actual in test.groupby(info.series):
        own = forecast.loc[forecast[info.series] == name, "forecast"].to_numpy()
        history = training.loc[training[info.series] == name, info.target]
        values = actual[info.target].to_numpy()
        pairs.append((smape(values, own), mase(values, own, history)))
    mean_smape, mean_mase = np.mean(pairs, axis=0)
    return mean_smape, mean_mase


def m4_model(name: str, seed: int, quick: bool) -> Naive | RidgeFloor | HourGlassForecaster:
    """A forecaster as a user would make it; the settings of benchmarks.md: context 52, patch 4, log values."""
    if name == "naive":
        return Naive(M4_HORIZON)
    if name == "ridge":
        return RidgeFloor(M4_HORIZON, M4_CONTEXT, validation=M4_HORIZON, transform="log")
    return HourGlassForecaster(
        M4_HORIZON,
        context=M4_CONTEXT,
        patch=4,
        transform="log",
        quantiles=(),
        floor=name == "hourglass",
        seed=seed,
        progress=False,
        **({"max_epochs": 1, "steps_per_epoch": 20} if quick else {}),
    )


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--data", default="etth1,weather,m4-weekly")
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--horizons", default="96")
    parser.add_argument("--models", default=",".join(dict.fromkeys([*LONG_MODELS, *M4_MODELS])))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    names, models = options.data.split(","), options.models.split(",")
    report = Report()
    for name in names:
        if name == "m4-weekly":
            run_m4(models, 1 if options.quick else options.seeds, options.quick, report)
        else:
            horizons = [int(h) for h in options.horizons.split(",")]
            run_long(name, models, 96 if options.quick else options.context, horizons, report)
    report.write(options.json)


def run_long(name: str, models: list[str], context: int, horizons: list[int], report: Report) -> None:
    data, rows = LongData.load(name), []
    for horizon in horizons:
        for model in [m for m in models if m in LONG_MODELS]:
            begun = time.perf_counter()
            squared, absolute = long_scores(data, model, context, horizon)
            seconds = time.perf_counter() - begun
            key = f"{name}:{context}:{horizon}:{model}"
            for kind, value in (("mse", squared), ("mae", absolute), ("seconds", seconds)):
                report.add(f"{kind}:{key}", value)
            rows.append(
                [name, str(context), str(horizon), model, f"{squared:.4f}", f"{absolute:.4f}", f"{seconds:.1f}"]
            )
            print(" ".join(rows[-1]), flush=True)
    print(table(["data", "context", "horizon", "model", "MSE", "MAE", "seconds"], rows), "\n")


def run_m4(models: list[str], seeds: int, quick: bool, report: Report) -> None:
    training, test = m4_frames(40 if quick else None)
    info, rows = dataset_info("m4-weekly"), []
    for model in [m for m in models if m in M4_MODELS]:
        owas = []
        for seed in range(seeds if model.startswith("hourglass") else 1):
            begun = time.perf_counter()
            forecaster = m4_model(model, seed, quick)
            forecast = forecaster.fit(training, time=info.time, target=info.target, series=info.series).forecast()
            seconds = time.perf_counter() - begun
            errors = m4_scores(forecast, training, test)
            owas.append(owa(*errors, NAIVE2["smape"], NAIVE2["mase"]))
            for kind, value in (("smape", errors[0]), ("mase", errors[1]), ("owa", owas[-1]), ("seconds", seconds)):
                report.add(f"{kind}:m4-weekly:{model}:seed{seed}", value)
            share = f"{forecaster.share_:.2f}" if isinstance(forecaster, HourGlassForecaster) else ""
            row = [model, str(seed), f"{errors[0]:.3f}", f"{errors[1]:.3f}", f"{owas[-1]:.3f}", share, f"{seconds:.0f}"]
            print(" ".join(row), flush=True)
            rows.append(row)
        report.add(f"owa:m4-weekly:{model}", float(np.mean(owas)))
    print(table(["M4 Weekly", "seed", "sMAPE", "MASE", "OWA", "share", "seconds"], rows), "\n")


if __name__ == "__main__":
    main()
