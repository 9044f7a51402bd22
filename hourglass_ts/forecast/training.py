"""Training a `HourGlassModel` with Lightning: quiet, seeded, stopped on validation, and back at its best weights."""

from __future__ import annotations

import logging
import math
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, RichProgressBar
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader

from hourglass_ts.errors import Problem
from hourglass_ts.model._model import HourGlassModel

log = logging.getLogger(__name__)

EXPECTED_WARNINGS = (
    ".*does not have many workers.*",
    ".*The number of training batches.*",
    ".*Checkpoint directory.*",
    ".*is already saved during checkpointing.*",
    "Loss is not finite.*",
    ".*`isinstance\\(treespec, LeafSpec\\)`.*",
)

DIVERGED = 5e8
"""A loss worse than this is none: upstream writes 1e9 for one that is not finite."""
VALIDATION_COST = 0.5
"""Of a validation batch, in training steps, until the first validation has been timed."""
CURVE = ("epoch", "step", "seconds", "cpu_seconds", "validation_loss", "share")


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how hard to train; None lets the data decide.  patience: epochs without improvement."""

    max_epochs: int | None
    steps_per_epoch: int | None
    patience: int
    accelerator: str
    seed: int
    progress: bool


@dataclass(frozen=True)
class Clock:
    """When a fit began, and the seconds that it may take; None for no limit."""

    budget: float | None = None
    begin: float = field(default_factory=time.monotonic)
    cpu_begin: float = field(default_factory=time.process_time)

    @property
    def elapsed(self) -> float:
        """Seconds since the fit began."""
        return time.monotonic() - self.begin

    @property
    def left(self) -> float:
        """Seconds until the budget is spent."""
        return math.inf if self.budget is None else self.budget - self.elapsed


class BestWeights(Callback):
    """Keeps the weights of the best validation epoch in memory, and puts them back when training ends.

    Before the first finite validation loss the best is where training began: the floor alone, and a share of 0.
    """

    def __init__(self, monitor: str = "val_loss") -> None:
        self.monitor = monitor
        self.best = DIVERGED
        self.state: dict[str, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with the floor."""
        self.state = deepcopy(pl_module.state_dict())
        self.state["share"].zero_()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights when they are the best so far."""
        score = float(trainer.callback_metrics.get(self.monitor, float("inf")))
        if score < self.best:
            self.best = score
            self.state = deepcopy(pl_module.state_dict())

    def restore(self, model: HourGlassModel) -> None:
        """Put the best weights back."""
        if self.state:
            model.load_state_dict(self.state)


class ValidateFirst(Callback):
    """Validates before the first step, so that what training goes on from is judged like every later epoch."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Run the validation that Lightning runs after an epoch, the way its training loop does."""
        trainer.validating = True
        trainer.fit_loop.epoch_loop.val_loop.run()
        trainer.training = True


class LearningCurve(Callback):
    """Writes a row of `CURVE` after every validation; epoch 0 is before the first step."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.rows: list[tuple[float, ...]] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note where training stands."""
        epoch = trainer.current_epoch + 1 if trainer.global_step else 0
        loss = float(trainer.callback_metrics.get("val_loss", float("nan")))
        cpu_seconds = time.process_time() - self.clock.cpu_begin
        self.rows.append(
            (epoch, trainer.global_step, self.clock.elapsed, cpu_seconds, loss, float(pl_module.share.mean()))
        )

    def frame(self) -> pd.DataFrame:
        """All rows so far."""
        return curve_frame(self.rows)


def curve_frame(rows: Any) -> pd.DataFrame:
    """Rows of `CURVE`, or its columns by name; None for no rows."""
    types = dict.fromkeys(CURVE, "float64") | {"epoch": "int64", "step": "int64"}
    return pd.DataFrame(rows, columns=list(CURVE)).astype(types)


class TimeLimit(Callback):
    """Ends training while there is time left to validate, and lets the learning rate's cycle end with it.

    clock: of the whole fit.  reserve: seconds that are needed after training.
    """

    def __init__(self, clock: Clock, reserve: float) -> None:
        self.clock, self.reserve = clock, reserve
        self.begin = self.step_begin = self.validation_begin = 0.0
        self.step = self.validation = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start to time steps."""
        self.begin = self.step_begin = time.monotonic()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Put the schedule where the time is, where that is further than the steps are."""
        if not trainer.global_step:  # a schedule begins with the optimiser's first step
            return
        gone = time.monotonic() - self.begin
        share = gone / max(gone + self._left(), 1e-9)
        schedule = trainer.lr_scheduler_configs[0].scheduler
        place = min(max(schedule.last_epoch, int(share * schedule.total_steps)), schedule.total_steps - 1)
        if place != schedule.last_epoch:
            schedule.last_epoch = place - 1
            schedule.step()

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Stop before a step that would leave too little time."""
        now = time.monotonic()
        self.step, self.step_begin = now - self.step_begin, now
        if not self.validation:
            self.validation = VALIDATION_COST * self.step * sum(trainer.num_val_batches)
        if self._left() < self.step and not trainer.should_stop:
            trainer.should_stop = True
            log.info("time budget of %g s: training ends after %d steps", self.clock.budget, trainer.global_step)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start to time a validation."""
        self.validation_begin = time.monotonic()

    def on_validation_batch_start(self, *args: Any) -> None:
        """Give a validation up that takes longer than the whole budget."""
        if self.clock.left < 0:
            raise _TimeIsUpError

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Know what the next one will take; its time is none of the next step's."""
        self.step_begin = time.monotonic()
        self.validation = self.step_begin - self.validation_begin

    def _left(self) -> float:
        """Seconds left for steps."""
        return self.clock.left - self.reserve - self.validation


class _TimeIsUpError(Exception):
    """The whole budget is spent."""


class _DivergedError(Exception):
    """The training loss is no number any more."""


class StopAtDivergence(Callback):
    """Stops before a loss that is no number spoils the weights, or has no gradient to go back along."""

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: torch.Tensor) -> None:
        """Look at the loss of every step."""
        if not loss < DIVERGED:  # also NaN
            raise _DivergedError


def accelerator_problems(accelerator: Any) -> list[Problem]:
    """The problem, if any, of an accelerator that Lightning does not know or that this machine does not have."""
    try:
        with quiet():
            pl.Trainer(accelerator=accelerator, devices=1, logger=False, enable_checkpointing=False)
    except (ValueError, MisconfigurationException) as error:
        hint = 'Pass accelerator="auto", or "cpu".'
        return [Problem(f"accelerator={accelerator!r} ({error})", "one that this machine has", hint)]
    return []


def train(
    model: HourGlassModel,
    training: DataLoader,
    validation: DataLoader,
    settings: TrainingSettings,
    *,
    clock: Clock,
    reserve: float = 0.0,
    goes_on: bool = False,
) -> pd.DataFrame:
    """Train in place, and leave the model at its best validation epoch, on the CPU, ready to forecast.

    clock: of the whole fit.  reserve: seconds that it needs after training.  goes_on: the weights are trained already,
    and may be the best.

    Returns:
        The learning curve, a row of `CURVE` for every validation. Without time for a step the floor stands alone.
    """
    best, curve, diverged = BestWeights(), LearningCurve(clock), False
    callbacks: list[Callback] = [
        EarlyStopping("val_loss", patience=settings.patience, check_finite=True, divergence_threshold=DIVERGED),
        best,
        curve,
        StopAtDivergence(),
    ]
    if clock.left <= reserve:
        alone = "the floor" if model.hparams.floor else "the last value"
        log.info("time budget of %g s: none is left to train the network; %s stands alone", clock.budget, alone)
        if model.hparams.floor:
            model.share.zero_()
        model.eval()
        return curve.frame()
    if clock.budget is not None:
        callbacks.append(TimeLimit(clock, reserve))
    if goes_on:
        callbacks.append(ValidateFirst())
    if settings.progress:
        callbacks.append(RichProgressBar(leave=False))
    with quiet():
        trainer = pl.Trainer(
            max_epochs=settings.max_epochs,
            accelerator=settings.accelerator,
            devices=1,
            gradient_clip_val=1.0,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=settings.progress,
            num_sanity_val_steps=0,
        )
        on_interrupt = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(model, training, validation)
        except _TimeIsUpError:
            log.info("time budget of %g s: spent before a validation was over", clock.budget)
        except _DivergedError:
            diverged = True
        except SystemExit as stop:  # what Lightning makes of Ctrl-C, and it ignores every later one
            signal.signal(signal.SIGINT, on_interrupt or signal.default_int_handler)
            raise KeyboardInterrupt from stop
    best.restore(model)
    model.trainer = None
    model.cpu().eval()
    if diverged:
        warnings.warn(
            "training stopped early: the loss was no finite number. What was best until then stands; "
            "a smaller learning_rate, or a look for extreme values in the data, may help.",
            stacklevel=2,
        )
    return curve.frame()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from `seed` inside, and leave torch's own generator as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back what Lightning says about hardware, loaders and hyperparameters: our user has no hand in them."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [log.level for log in loggers]
    with warnings.catch_warnings():
        for pattern in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", pattern)
        for log in loggers:
            log.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for log, level in zip(loggers, levels, strict=True):
                log.setLevel(level)
