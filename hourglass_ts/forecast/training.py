"""Training a `HourGlassModel` with Lightning: quiet, seeded, stopped on validation, and back at its best weights."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, RichProgressBar
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader

from hourglass_ts.errors import Problem
from hourglass_ts.model._model import HourGlassModel

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


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how hard to train. time_budget: seconds, None for no limit; patience: epochs without improvement."""

    max_epochs: int
    steps_per_epoch: int
    patience: int
    time_budget: float | None
    accelerator: str
    seed: int
    progress: bool


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


def train(model: HourGlassModel, training: DataLoader, validation: DataLoader, settings: TrainingSettings) -> None:
    """Train in place, and leave the model at its best validation epoch, on the CPU, ready to forecast."""
    best, diverged = BestWeights(), False
    callbacks: list[Callback] = [
        EarlyStopping("val_loss", patience=settings.patience, check_finite=True, divergence_threshold=DIVERGED),
        best,
        StopAtDivergence(),
    ]
    if settings.progress:
        callbacks.append(RichProgressBar(leave=False))
    with quiet():
        trainer = pl.Trainer(
            max_epochs=settings.max_epochs,
            max_time=None if settings.time_budget is None else timedelta(seconds=settings.time_budget),
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
