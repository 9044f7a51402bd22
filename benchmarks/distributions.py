"""Are quantiles and distributions on the floor sharper than upstream's own, for the same CPU seconds?

    HOURGLASS_TS_DATA=... python benchmarks/distributions.py --json benchmarks/results/distributions.json

`HourGlassModel` with a quantile, a Normal and a Student-t head, upstream's DeepAR (Normal) and its temporal fusion
transformer (quantiles), and the ridge floor with its residuals' quantiles and nothing learnt. All see the same
`FastTimeSeriesDataSet`, with `EncoderNormalizer`, hour or weekday as known reals, the series as a static category.
Every network trains for the same CPU seconds in one process and one thread, the floor's fit and validation included,
and keeps the weights of its best validation; width 32 for all, two levels, layers or heads, none of them tuned.

etth1: 7 channels standardised by the training part (12/4/4 months), 24 of 168 and 96 of 336 hours, from every 23rd
origin of the test part, so that all hours of the day begin one. stocks: the logarithm of the adjusted close in percent,
5 sessions from 60, four shares (FB began too late), every origin of the last 500 sessions; the 400 before validate.
CRPS is over the levels 0.05, 0.10, ..., 0.95, in the target's unit; weighted quantile loss over 0.1, ..., 0.9 (of the
stocks against the size of the logarithm, which means little). An interval is of the skill against the ridge floor, or
of HourGlass against a peer, on CRPS per origin, from a paired block bootstrap over origins; with several seeds, of the
mean loss over seeds. DeepAR's quantiles are of 200 drawn paths.
"""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from common import Report, arguments, table
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from pytorch_forecasting import DeepAR, TemporalFusionTransformer
from pytorch_forecasting.data.encoders import EncoderNormalizer
from pytorch_forecasting.metrics import NormalDistributionLoss, QuantileLoss

from hourglass_ts import FastTimeSeriesDataSet, HourGlassModel, StudentTDistributionLoss, load_dataset
from hourglass_ts.metrics.comparison import Interval, skill
from hourglass_ts.metrics.probabilistic import coverage, crps_quantiles, weighted_quantile_loss

LEVELS = [round(0.05 * k, 2) for k in range(1, 20)]
DECILES = [place for place, level in enumerate(LEVELS) if round(level * 100) % 10 == 0]
LOW, HIGH = LEVELS.index(0.1), LEVELS.index(0.9)
RIDGE, OWN, PEERS = "ridge", ("hourglass-quantile", "hourglass-normal", "hourglass-student"), ("deepar", "tft")
CPU: dict[str, Any] = {
    "accelerator": "cpu",
    "devices": 1,
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


@dataclass(frozen=True)
class Case:
    """A long frame (series, time, y, known reals), the rows where validation and test begin, and what is forecast."""

    name: str
    frame: pd.DataFrame
    known: list[str]
    validation: int
    test: int
    context: int
    horizon: int
    stride: int

    def datasets(self) -> tuple[FastTimeSeriesDataSet, FastTimeSeriesDataSet, FastTimeSeriesDataSet]:
        """Training, validation and test windows, the last two thinned to the stride."""
        training = FastTimeSeriesDataSet(
            self.frame[self.frame["time"] < self.validation],
            time_idx="time",
            target="y",
            group_ids=["series"],
            static_categoricals=["series"],
            time_varying_known_reals=self.known,
            time_varying_unknown_reals=["y"],
            max_encoder_length=self.context,
            min_encoder_length=self.context,
            max_prediction_length=self.horizon,
            min_prediction_length=self.horizon,
            target_normalizer=EncoderNormalizer(),
        )
        validation = self._windows(training, self.frame[self.frame["time"] < self.test], self.validation)
        return training, validation, self._windows(training, self.frame, self.test)

    def _windows(self, training: FastTimeSeriesDataSet, frame: pd.DataFrame, first: int) -> FastTimeSeriesDataSet:
        every = FastTimeSeriesDataSet.from_dataset(training, frame, min_prediction_idx=first, stop_randomization=True)
        return every.filter(lambda index: (index["time_idx_first_prediction"] - first) % self.stride == 0)


def etth1(horizon: int, context: int, quick: bool) -> Case:
    raw = load_dataset("etth1").set_index("date")
    month = 30 * 24
    raw = raw.iloc[: 20 * month]
    if quick:
        raw = raw.iloc[:, -2:]
    train = raw.iloc[: 12 * month]
    wide = (raw - train.mean()) / train.std(ddof=0)
    angle = 2 * np.pi * raw.index.hour.to_numpy() / 24
    parts = [
        pd.DataFrame({"series": name, "time": np.arange(len(wide)), "y": wide[name].to_numpy()}).assign(
            sin=np.sin(angle), cos=np.cos(angle)
        )
        for name in wide
    ]
    frame = pd.concat(parts, ignore_index=True)
    stride = 230 if quick else 23
    return Case("etth1", frame, ["sin", "cos"], 12 * month, 16 * month, context, horizon, stride)


def stocks(quick: bool) -> Case:
    bars = load_dataset("stocks").query("symbol != 'FB'")
    if quick:
        bars = bars[bars["symbol"].isin(["IBM", "MSFT"])]
    sessions = np.sort(bars["date"].unique())
    frame = pd.DataFrame(
        {
            "series": bars["symbol"].astype(str),
            "time": np.searchsorted(sessions, bars["date"]),
            "y": 100 * np.log(bars["adjusted_close"]),
            "weekday": bars["date"].dt.weekday.astype(float),
        }
    )
    test = len(sessions) - 500
    return Case("stocks", frame, ["weekday"], test - 400, test, context=60, horizon=5, stride=20 if quick else 1)


CASES: dict[str, Callable[[bool], Case]] = {
    "etth1:24": lambda quick: etth1(24, 168, quick),
    "etth1:96": lambda quick: etth1(96, 336, quick),
    "stocks:5": stocks,
}


class Budget(Callback):
    """Stops training when this process has used its CPU seconds, after the batch or the validation that spends them."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.begun = 0.0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the clock."""
        self.begun = time.process_time()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Look again."""
        if time.process_time() - self.begun > self.seconds:
            trainer.should_stop = True


def make(name: str, training: FastTimeSeriesDataSet) -> pl.LightningModule:
    """A network that knows the sizes of the data, with the same width and learning rate as the others."""
    common = {"learning_rate": 1e-3, "log_interval": -1}
    quantiles = QuantileLoss(LEVELS)
    if name == "deepar":
        loss = NormalDistributionLoss(quantiles=LEVELS)
        return DeepAR.from_dataset(training, hidden_size=32, rnn_layers=2, loss=loss, **common)
    if name == "tft":
        sizes = {"hidden_size": 32, "attention_head_size": 2, "hidden_continuous_size": 16, "dropout": 0.1}
        return TemporalFusionTransformer.from_dataset(training, loss=quantiles, **sizes, **common)
    loss = {
        "hourglass-quantile": quantiles,
        "hourglass-normal": NormalDistributionLoss(quantiles=LEVELS),
        "hourglass-student": StudentTDistributionLoss(quantiles=LEVELS),
    }[name]
    return HourGlassModel.from_dataset(training, d_model=32, d_ff=64, n_heads=2, dropout=0.1, loss=loss, **common)


def train(name: str, training: Any, validation: Any, seconds: float) -> tuple[pl.LightningModule, int]:
    """The network with its best weights on validation, and how many steps the seconds were enough for."""
    model = make(name, training)
    with tempfile.TemporaryDirectory() as folder:
        keep = ModelCheckpoint(folder, monitor="val_loss")
        trainer = pl.Trainer(
            max_epochs=-1,
            limit_train_batches=50,
            gradient_clip_val=0.5,
            num_sanity_val_steps=0,
            callbacks=[Budget(seconds), keep],
            **CPU,
        )
        trainer.fit(
            model,
            training.to_dataloader(train=True, batch_size=64),
            validation.to_dataloader(train=False, batch_size=256),
        )
        state = torch.load(keep.best_model_path, weights_only=False)["state_dict"]
        model.load_state_dict(state)
    return model.eval(), trainer.global_step


def floor_alone(training: Any, validation: Any) -> HourGlassModel:
    """The ridge floor and the quantiles of its residuals; no gradient step."""
    model = make("hourglass-quantile", training)
    model.fit_floor(training, validation)
    model.share.fill_(0.0)
    return model.eval()


def forecast(model: pl.LightningModule, test: FastTimeSeriesDataSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Actual values (origins, series, steps), quantiles (..., levels) and drawn or computed levels in order."""
    drawn = {"n_samples": 200} if isinstance(model, DeepAR) else {}
    out = model.predict(
        test,
        mode="quantiles",
        return_y=True,
        return_index=True,
        batch_size=128,
        trainer_kwargs={**CPU, "enable_checkpointing": False},
        **drawn,
    )
    order = np.lexsort([out.index["series"], out.index["time"]])
    n_series = out.index["series"].nunique()
    actual, quantiles = out.y[0].double().numpy()[order], out.output.double().numpy()[order]
    shape = (len(order) // n_series, n_series)
    return actual.reshape(*shape, -1), quantiles.reshape(*shape, *quantiles.shape[1:])


def crps_by_origin(actual: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """(n_origins,) in time order."""
    return np.array([crps_quantiles(*pair, LEVELS) for pair in zip(actual, quantiles, strict=True)])


def run(case: Case, seeds: int, seconds: float, report: Report) -> tuple[list[list[str]], list[str]]:
    """Score every model on a case: rows of the table, and what is to be said of it in words."""
    training, validation, test = case.datasets()
    names = (RIDGE, *OWN, *PEERS)
    losses: dict[str, list[np.ndarray]] = {name: [] for name in names}
    scores: dict[str, list[tuple[float, ...]]] = {name: [] for name in names}
    for name in names:
        for seed in range(1 if name == RIDGE else seeds):
            pl.seed_everything(seed, verbose=False)
            begun, steps = time.perf_counter(), 0
            if name == RIDGE:
                model: Any = floor_alone(training, validation)
            else:
                model, steps = train(name, training, validation, seconds)
            trained = time.perf_counter() - begun
            actual, quantiles = forecast(model, test)
            losses[name].append(crps_by_origin(actual, quantiles))
            deciles = [LEVELS[place] for place in DECILES]
            wql = weighted_quantile_loss(actual, quantiles[..., DECILES], deciles)
            held = coverage(actual, quantiles[..., LOW], quantiles[..., HIGH])
            share = float(model.share.mean()) if isinstance(model, HourGlassModel) else float("nan")
            scores[name].append((crps_quantiles(actual, quantiles, LEVELS), wql, held, share, float(steps)))
            print(
                f"{case.name} {case.horizon} {name} seed {seed}: CRPS {scores[name][-1][0]:.4f}, {steps} steps, "
                f"{trained:.0f} s, forecast {time.perf_counter() - begun - trained:.0f} s",
                flush=True,
            )
    return summarise(case, losses, scores, report)


def summarise(
    case: Case, losses: dict[str, list[np.ndarray]], scores: dict[str, list[tuple[float, ...]]], report: Report
) -> tuple[list[list[str]], list[str]]:
    """The rows and sentences of one case, and its measures."""
    rows, said = [], []
    mean_losses = {name: np.mean(parts, axis=0) for name, parts in losses.items()}
    for name, by_seed in scores.items():
        crps, wql, held, share, steps = np.mean(by_seed, axis=0)
        key = f"{case.name}:{case.horizon}:{name}"
        for measure, value in (("crps", crps), ("wql", wql), ("coverage80", held), ("steps", steps)):
            report.add(f"{measure}:{key}", round(float(value), 4))
        for seed, values in enumerate(by_seed if len(by_seed) > 1 else []):
            report.add(f"crps:{key}:seed{seed}", round(values[0], 4))
        against = ""
        if name != RIDGE:
            interval = skill(mean_losses[name], mean_losses[RIDGE])
            add_interval(report, f"crps_skill_over_ridge:{key}", interval)
            against = percent(interval)
        shown = "" if np.isnan(share) or name == RIDGE else f"{share:.2f}"
        figures = [f"{crps:.4f}", f"{wql:.4f}", f"{held:.3f}", against, shown, f"{steps:.0f}"]
        rows.append([f"{case.name}, {case.horizon} steps", name, *figures])
    for own in OWN:
        if own.endswith("quantile"):
            report.add(f"share:{case.name}:{case.horizon}", round(float(np.mean([s[3] for s in scores[own]])), 4))
        for peer in PEERS:
            interval = skill(mean_losses[own], mean_losses[peer])
            add_interval(report, f"crps_skill_over_{peer}:{case.name}:{case.horizon}:{own}", interval)
            said.append(f"{case.name}, {case.horizon} steps: {own} against {peer}: {words(interval)}")
    return rows, said


def add_interval(report: Report, name: str, interval: Interval) -> None:
    report.add(name, round(interval.estimate, 4))
    report.add(f"{name}_low", round(interval.low, 4))
    report.add(f"{name}_high", round(interval.high, 4))


def percent(interval: Interval) -> str:
    return f"{100 * interval.estimate:+.1f} % ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"


def words(interval: Interval) -> str:
    """Who wins, if the interval tells."""
    verdict = "WE LOSE" if interval.high < 0 else "better" if interval.low > 0 else "not told apart"
    return f"{verdict}, {percent(interval)}"


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--data", default=",".join(CASES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=60.0, help="CPU seconds of training for every network")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="lightning|torch|pytorch_forecasting")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    report = Report()
    names = ["etth1:24", "stocks:5"] if given.quick else given.data.split(",")
    rows: list[list[str]] = []
    said: list[str] = []
    for name in names:
        seeds, seconds = (1, 2.0) if given.quick else (given.seeds, given.budget)
        more_rows, more_said = run(CASES[name](given.quick), seeds, seconds, report)
        rows, said = rows + more_rows, said + more_said
        report.write(given.json)
    head = ["data", "model", "CRPS", "WQL", "80 % held", "CRPS better than ridge by (95 %)", "share", "steps"]
    print(table(head, rows))
    print(*said, sep="\n")


if __name__ == "__main__":
    main()
