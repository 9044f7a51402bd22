"""Training a `HourGlassModel` with Lightning: quiet, seeded, stopped on validation, and back at its best weights."""

from __future__ import annotations

import logging
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
from torch.utils.data import DataLoader

from hourglass_ts.model._model import HourGlassModel

EXPECTED_WARNINGS = (
    ".*does not have many workers.*",
    ".*The number of training batches.*",
    ".*Checkpoint directory.*",
    ".*is already saved during checkpointing.*",
    ".*`isinstance\\(treespec, LeafSpec\\)`.*",
)


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

    Before the first validation the best is where training began: the floor alone.
    """

    def __init__(self, monitor: str = "val_loss") -> None:
        self.monitor = monitor
        self.best = float("inf")
        self.state: dict[str, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with the floor."""
        self.state = deepcopy(pl_module.state_dict())

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights when they are the best so far."""
        score = float(trainer.callback_metrics.get(self.monitor, float("inf")))
        if score < self.best:
            self.best = score
            self.state = deepcopy(pl_module.state_dict())

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the best weights back."""
        if self.state:
            pl_module.load_state_dict(self.state)


def train(model: HourGlassModel, training: DataLoader, validation: DataLoader, settings: TrainingSettings) -> None:
    """Train in place, and leave the model at its best validation epoch, on the CPU, ready to forecast."""
    callbacks: list[Callback] = [
        EarlyStopping("val_loss", patience=settings.patience, check_finite=True),
        BestWeights(),
    ]
    if settings.progress:
        callbacks.append(RichProgressBar(leave=False))
    with quiet():
        trainer = pl.Trainer(
            max_epochs=settings.max_epochs,
            max_time=None if settings.time_budget is None else timedelta(seconds=settings.time_budget),
            limit_train_batches=min(settings.steps_per_epoch, len(training)),
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
        trainer.fit(model, training, validation)
    model.trainer = None
    model.cpu().eval()


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
