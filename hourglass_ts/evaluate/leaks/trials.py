"""Trying every other future on something, from all columns at once down to the one that matters."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch

from hourglass_ts.evaluate.leaks.compare import Change
from hourglass_ts.evaluate.leaks.worlds import (
    Alteration,
    Cut,
    structural_alterations,
    with_other_rows,
    with_other_values,
)

Run = Callable[[pd.DataFrame], list[Change]]


@dataclass(frozen=True)
class Outcome:
    """What an alteration changed, or None where what was tried could not take it; `column` where it altered one."""

    label: str
    column: Hashable
    changes: list[Change] | None


def outcomes(frame: pd.DataFrame, cut: Cut, columns: Sequence[Hashable], seed: int, run: Run) -> Iterator[Outcome]:
    """Alter all values after the cutoff at once; single columns only where that changed something; then rows.

    columns: those that are not known beforehand.  run: gives what differs when it is run on an altered frame.
    """
    labels = [label for label in columns if label in frame.columns]
    everything = partial(with_other_values, cut=cut, columns=labels, seed=seed)
    whole = Outcome("values", None, _tried(everything, frame, run))
    if whole.changes is None:
        elsewhere = partial(with_other_rows, cut=cut, columns=labels, seed=seed)
        whole = Outcome("values of other rows", None, _tried(elsewhere, frame, run))
    if whole.changes == []:
        yield whole
    else:
        for label in labels:
            alone = partial(with_other_values, cut=cut, columns=[label], seed=seed)
            yield Outcome(f"values of {label!r}", label, _tried(alone, frame, run))
    for name, alter in structural_alterations(frame, cut, labels, seed):
        yield Outcome(name, None, _tried(alter, frame, run))


def _tried(alter: Alteration, frame: pd.DataFrame, run: Run) -> list[Change] | None:
    """A user's function may refuse an altered frame in any way; what it warns of there is no one's concern."""
    altered = alter(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return run(altered)
        except Exception:  # a user's function may refuse an altered frame; the summary says that it did
            return None


def summary(found: Sequence[Outcome]) -> str:
    """Which alterations were tried, and which were not."""
    tried = [outcome.label for outcome in found if outcome.changes is not None]
    failed = [outcome.label for outcome in found if outcome.changes is None]
    note = "altered after the cutoff: " + ", ".join(tried)
    return f"{note}; not tried, since it raised: {', '.join(failed)}" if failed else note


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """Start from the same global seeds, and leave them as they were."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
