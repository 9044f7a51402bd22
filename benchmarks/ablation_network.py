"""Variants of the network on the floor: long horizons with squared errors, M4 Weekly with absolute ones.

Every network is the library's `HourGlassNetwork`, trained by Adam on windows drawn at random, its learning rate along
one cycle. It is looked at `LOOKS` times, and its weights of the least validation error stand: once its own, once their
running average. Scores are those of the floor, of floor + network with the gate open, and of both as the gate mixes
them. Long horizons: context 512, floor fitted on the training part, scores of evenly thinned origins of all channels.
M4 Weekly: context 52, the last horizon of the training file is validation, and the floor is then fitted again on all.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from ablation_floor import N_HARMONICS, harmonics
from common import Report
from long_data import LongData, season
from long_models import stretches
from m4_weekly import CONTEXT, HORIZON, NAIVE2, frames
from torch import Tensor, nn

from hourglass_ts.frames.registry import dataset_info
from hourglass_ts.metrics.points import mase, owa, smape
from hourglass_ts.network.floor import LinearFloor
from hourglass_ts.network.gate import evidence_blocks, fit_share, window_evidence
from hourglass_ts.network.network import HourGlassNetwork, NetworkConfig, default_patch
from hourglass_ts.network.ridge import Stretch
from hourglass_ts.network.scale import WindowScale
from hourglass_ts.windows.batch import WindowBatch

LONG_CONTEXT, LONG_HORIZON, LONG_RATE = 512, 96, 5e-4
M4_RATE, M4_BATCH = 2e-3, 256
LOOKS = 3
AVERAGING = 0.99  # of the running average, what stays at every step
TEST_WINDOWS = 4096
CHUNK = 256
WEIGHTS = ("own weights", "averaged weights")


@dataclass(frozen=True)
class Windows:
    """Windows with what followed, and two forecasts (n, H): the floor's, and the one that the network adds to.

    block: (n,) the block of evidence of each.  unit: (n, 1) what errors are measured in.
    """

    batch: WindowBatch
    targets: Tensor
    floor: Tensor
    base: Tensor
    block: Tensor
    unit: Tensor


@dataclass(frozen=True)
class Judged:
    """What the network adds to the floor, and what the floor missed (n, H), in units; absolute: errors are."""

    added: Tensor
    missed: Tensor
    block: Tensor
    absolute: bool

    @property
    def share(self) -> float:
        """What the gate lets through."""
        dot, norm = window_evidence(self.added, self.missed, self.absolute)
        return fit_share(dot, norm, self.block)

    def error(self, share: float) -> float:
        """The mean error of the floor and that share of the network."""
        error = self.missed - share * self.added
        return float((error.abs() if self.absolute else error.square()).mean())


def judge(network: HourGlassNetwork, parts: Sequence[Windows], *, absolute: bool) -> Judged:
    """Forecast windows with a network."""
    network.eval()
    added, missed = [], []
    with torch.no_grad():
        for part in parts:
            forecast = part.base + WindowScale.of(part.batch).spread * network(part.batch)[..., 0]
            added.append((forecast - part.floor) / part.unit)
            missed.append((part.targets - part.floor) / part.unit)
    network.train()
    return Judged(torch.cat(added), torch.cat(missed), torch.cat([part.block for part in parts]), absolute)


def train(
    network: HourGlassNetwork,
    draw: Callable[[int], Windows],
    validation: Sequence[Windows],
    *,
    steps: int,
    batch_size: int,
    rate: float,
    absolute: bool,
) -> dict[str, HourGlassNetwork]:
    """Train on windows that `draw` draws. Returns the best of `LOOKS` looks, of the weights and of their average."""
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.2)
    averaged = copy.deepcopy(network)
    best: dict[str, tuple[float, HourGlassNetwork]] = {}
    looks = {round(steps * (look + 1) / LOOKS) for look in range(LOOKS)}
    for step in range(1, steps + 1):
        part = draw(batch_size)
        forecast = part.base + WindowScale.of(part.batch).spread * network(part.batch)[..., 0]
        error = (part.targets - forecast) / part.unit
        loss = error.abs().mean() if absolute else error.square().mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        kept = min(AVERAGING, (step + 1) / (step + 10))
        with torch.no_grad():
            for mean, weight in zip(averaged.parameters(), network.parameters(), strict=True):
                mean.lerp_(weight, 1 - kept)
        if step in looks:
            for name, one in zip(WEIGHTS, (network, averaged), strict=True):
                error_now = judge(one, validation, absolute=absolute).error(1.0)
                if name not in best or error_now < best[name][0]:
                    best[name] = error_now, copy.deepcopy(one)
    return {name: one for name, (_, one) in best.items()}


# --- long horizons ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LongVariant:
    """alone: trained on the last value, the network meets the floor only in the gate.  calendar: it reads harmonics."""

    name: str
    alone: bool = False
    calendar: bool = False


LONG_VARIANTS = (
    LongVariant("residual on the floor"),
    LongVariant("alone on the last value, then mixed", alone=True),
    LongVariant("residual, calendar harmonics", calendar=True),
)


class LongTask:
    """A data set at one horizon, with its floor."""

    def __init__(self, name: str) -> None:
        data = LongData.load(name)
        self.windows = data.windows(LONG_CONTEXT, LONG_HORIZON)
        self.n_channels = self.windows.n_channels
        self.floor = LinearFloor(LONG_CONTEXT, LONG_HORIZON, self.n_channels)
        self.floor.fit(stretches(self.windows, "training"), stretches(self.windows, "validation"))
        self.rows = data.values.T.contiguous()
        self.calendar = harmonics(torch.arange(self.rows.shape[1]), season(name))
        self.training = torch.from_numpy(self.windows.origins("training"))

    def draw(self, variant: LongVariant, n: int) -> Windows:
        """Training windows at random."""
        origins = self.training[torch.randint(len(self.training), (n,))]
        return self.of(variant, torch.randint(self.n_channels, (n,)), origins)

    def validation(self, variant: LongVariant) -> list[Windows]:
        """The validation windows that judge."""
        return self._every(variant, torch.from_numpy(self.windows.judges()))

    def test(self, variant: LongVariant) -> list[Windows]:
        """Evenly thinned test windows."""
        every = self.windows.origins("test")
        wanted = min(len(every), -(-TEST_WINDOWS // self.n_channels))
        return self._every(variant, torch.from_numpy(every[np.linspace(0, len(every) - 1, wanted).round().astype(int)]))

    def _every(self, variant: LongVariant, origins: Tensor) -> list[Windows]:
        """The windows of all channels, in chunks."""
        codes = torch.arange(self.n_channels).repeat_interleave(len(origins))
        parts = zip(codes.split(CHUNK), origins.repeat(self.n_channels).split(CHUNK), strict=True)
        return [self.of(variant, *part) for part in parts]

    def of(self, variant: LongVariant, codes: Tensor, origins: Tensor) -> Windows:
        """The windows of channels (n,) at origins (n,)."""
        past = origins[:, None] + torch.arange(1 - LONG_CONTEXT, 1)
        future = origins[:, None] + torch.arange(1, LONG_HORIZON + 1)
        calendar = self.calendar if variant.calendar else self.calendar[:, :0]
        values = self.rows[codes[:, None], past]
        batch = window_batch(values, torch.ones_like(values, dtype=torch.bool), codes, LONG_HORIZON)
        batch = replace(batch, past_covariates=calendar[past], future_covariates=calendar[future])
        with torch.no_grad():
            floor = self.floor(batch.past, batch.present, codes)
        base = values[:, -1:].expand_as(floor) if variant.alone else floor
        block = evidence_blocks(origins, codes, LONG_HORIZON)
        return Windows(batch, self.rows[codes[:, None], future], floor, base, block, torch.ones(len(codes), 1))

    def network(self, variant: LongVariant) -> HourGlassNetwork:
        """A fresh network."""
        n_covariates = N_HARMONICS if variant.calendar else 0
        return HourGlassNetwork(
            NetworkConfig(
                context=LONG_CONTEXT,
                horizon=LONG_HORIZON,
                patch=default_patch(LONG_CONTEXT),
                n_past=n_covariates,
                n_future=n_covariates,
            )
        )


def measure_network(
    report: Report, name: str, steps: int, batch_size: int, seeds: int, variants: Sequence[LongVariant]
) -> Iterator[str]:
    """Measure variants on one data set; tells of each when it is there."""
    task = LongTask(name)
    report.add(f"steps:network:{name}", steps)
    report.add(f"batch_size:network:{name}", batch_size)
    for seed in range(seeds):
        for variant in variants:
            torch.manual_seed(seed)
            validation, test = task.validation(variant), task.test(variant)
            trained = train(
                task.network(variant),
                partial(task.draw, variant),
                validation,
                steps=steps,
                batch_size=batch_size,
                rate=LONG_RATE,
                absolute=False,
            )
            for weights, network in trained.items():
                found = {"validation": _judge_long(network, validation), "test": _judge_long(network, test)}
                share = found["validation"].share
                head = f"network:{name}:{variant.name}:{weights}"
                for part, judged in found.items():
                    for gate, open_by in (("floor", 0.0), ("open", 1.0), ("gated", share)):
                        report.add(f"mse:{head}:{gate}:{part}:seed{seed}", judged.error(open_by))
                report.add(f"share:{head}:seed{seed}", share)
            yield f"{variant.name}, seed {seed}"


def _judge_long(network: HourGlassNetwork, parts: Sequence[Windows]) -> Judged:
    return judge(network, parts, absolute=False)


# --- M4 Weekly --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class M4Variant:
    """floor: "own" maps where series earn them, the "common" map alone, or "none".

    even: series are drawn by the root of how many windows they have.
    """

    name: str
    floor: str = "own"
    patch: int | None = None
    even: bool = False


M4_VARIANTS = (
    M4Variant("floor of common and own maps"),
    M4Variant("floor of the common map", floor="common"),
    M4Variant("no floor", floor="none"),
    M4Variant("no floor, series drawn more evenly", floor="none", even=True),
    M4Variant("no floor, patches of 2 steps", floor="none", patch=2),
)


class M4Task:
    """Logarithms of all series, each standardised by its rows before validation."""

    def __init__(self, n_series: int | None) -> None:
        info, parts = dataset_info("m4-weekly"), frames(n_series)
        self.raw, self.actual = ([own[info.target].to_numpy(float) for _, own in p.groupby(info.series)] for p in parts)
        logs = [np.log(values) for values in self.raw]
        self.units = [(values[:-HORIZON].mean(), values[:-HORIZON].std()) for values in logs]
        scaled = [(values - mean) / std for values, (mean, std) in zip(logs, self.units, strict=True)]
        self.values = [torch.tensor(values, dtype=torch.float32) for values in scaled]
        self.lengths = torch.tensor([len(values) for values in self.values])
        self.codes = torch.arange(len(self.values))
        pads = nn.functional.pad
        self.flat = torch.cat([pads(values, (CONTEXT, HORIZON)) for values in self.values])
        widths = self.lengths + CONTEXT + HORIZON
        self.starts = widths.cumsum(0) - widths + CONTEXT
        origins = [torch.arange(HORIZON - 1, int(length) - 2 * HORIZON) for length in self.lengths]
        self.pairs = torch.cat([torch.stack([torch.full_like(own, code), own], 1) for code, own in enumerate(origins)])

    def fit_floor(self, kind: str) -> tuple[LinearFloor, LinearFloor]:
        """Floors fitted before validation, and again on all rows; the naive forecast where there is to be none."""
        floor = LinearFloor(CONTEXT, HORIZON, len(self.values))
        if kind == "none":
            return floor, floor
        training = self._stretches(HORIZON)
        seen = [torch.ones(len(values), dtype=torch.bool) for values in self.values]
        last = [
            Stretch(code, values, seen[code], torch.tensor([len(values) - 1 - HORIZON]))
            for code, values in enumerate(self.values)
        ]
        report = floor.fit(training, last)
        if kind == "common":
            floor.report = replace(report, own_strengths={})
            floor.refit(training)
        again = copy.deepcopy(floor)
        again.refit(self._stretches(0))
        return floor, again

    def _stretches(self, n_left_out: int) -> list[Stretch]:
        """Every series' windows whose targets end before the last so many rows."""
        made = []
        for code, values in enumerate(self.values):
            origins = torch.arange(HORIZON - 1, len(values) - HORIZON - n_left_out)
            made.append(Stretch(code, values, torch.ones(len(values), dtype=torch.bool), origins))
        return made

    def draw(self, floor: LinearFloor, chances: Tensor | None, n: int) -> Windows:
        """Training windows at random."""
        rows = (
            torch.randint(len(self.pairs), (n,)) if chances is None else torch.multinomial(chances, n, replacement=True)
        )
        return self.of(floor, *self.pairs[rows].T)

    def chances(self) -> Tensor:
        """(n_windows,) chances by which a series is drawn by the root of its windows."""
        return self.pairs[:, 0].bincount().float().rsqrt()[self.pairs[:, 0]]

    def of(self, floor: LinearFloor, codes: Tensor, origins: Tensor) -> Windows:
        """The windows of series (n,) at origins (n,); what follows the last rows is 0."""
        place = origins[:, None] + torch.arange(1 - CONTEXT, 1)
        values = self.flat[self.starts[codes, None] + place]
        targets = self.flat[self.starts[codes, None] + origins[:, None] + torch.arange(1, HORIZON + 1)]
        batch = window_batch(values, place >= 0, codes, HORIZON)
        with torch.no_grad():
            base = floor(batch.past, batch.present, codes)
        return Windows(batch, targets, base, base, codes, WindowScale.of(batch).spread)

    def owa(self, forecasts: Tensor) -> float:
        """The competition's measure of forecasts (n_series, H)."""
        pairs = []
        for code, (raw, actual) in enumerate(zip(self.raw, self.actual, strict=True)):
            mean, std = self.units[code]
            own = np.exp(forecasts[code].double().numpy() * std + mean)
            pairs.append((smape(actual, own), mase(actual, own, raw)))
        mean_smape, mean_mase = np.mean(pairs, axis=0).tolist()
        return owa(mean_smape, mean_mase, NAIVE2["smape"], NAIVE2["mase"])


def measure_m4(
    report: Report, steps: int, n_series: int | None, seeds: int, variants: Sequence[M4Variant]
) -> Iterator[str]:
    """Measure variants on M4 Weekly; tells of each when it is there."""
    task = M4Task(n_series)
    report.add("steps:m4", steps)
    floors = {kind: task.fit_floor(kind) for kind in dict.fromkeys(variant.floor for variant in variants)}
    for seed in range(seeds):
        for variant in variants:
            floor, again = floors[variant.floor]
            torch.manual_seed(seed)
            chances = task.chances() if variant.even else None
            validation = [task.of(floor, task.codes, task.lengths - 1 - HORIZON)]
            network = HourGlassNetwork(
                NetworkConfig(context=CONTEXT, horizon=HORIZON, patch=variant.patch or default_patch(CONTEXT))
            )
            settings: dict[str, Any] = {"steps": steps, "batch_size": M4_BATCH, "rate": M4_RATE, "absolute": True}
            trained = train(network, partial(task.draw, floor, chances), validation, **settings)
            for weights, best in trained.items():
                judged = judge(best, validation, absolute=True)
                share = 1.0 if variant.floor == "none" else judged.share
                last = task.of(again, task.codes, task.lengths - 1)
                added = judge(best, [last], absolute=True).added * last.unit
                head = f"m4:{variant.name}:{weights}"
                for gate, open_by in (("floor", 0.0), ("open", 1.0), ("gated", share)):
                    report.add(f"validation:{head}:{gate}:seed{seed}", judged.error(open_by))
                    report.add(f"owa:{head}:{gate}:seed{seed}", task.owa(last.floor + open_by * added))
                report.add(f"share:{head}:seed{seed}", share)
            yield f"{variant.name}, seed {seed}"


def window_batch(past: Tensor, present: Tensor, codes: Tensor, horizon: int) -> WindowBatch:
    """Whole windows without covariates, in the units that the values have."""
    n, context = past.shape
    none = torch.zeros(n, 1, 0)
    units = torch.tensor([[0.0, 1.0]]).repeat(n, 1)
    return WindowBatch(
        past, present, present, none.expand(n, context, 0), none.expand(n, horizon, 0), none[:, 0], codes, units
    )
