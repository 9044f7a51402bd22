"""What the network takes from each covariate: how much worse it forecasts with that of another time, or series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from hourglass_ts.evaluate.explain_sample import Sample
from hourglass_ts.metrics.arrays import Floats, quotient
from hourglass_ts.metrics.comparison import Interval, skill
from hourglass_ts.model._reader import WindowReader
from hourglass_ts.windows.batch import WindowBatch
from hourglass_ts.windows.encode import Covariate

COLUMNS = ("covariate", "role", "increase", "low", "high")
HISTORY = ("past", "present", "observed")


@dataclass(frozen=True)
class Importances:
    """covariates: `COLUMNS`, the most important first.  own_history: the target's own.  notes: what was left out."""

    covariates: pd.DataFrame
    own_history: Interval
    notes: tuple[str, ...]


def importances(sample: Sample, repeats: int, seed: int) -> Importances:
    """Exchange each covariate between windows, `repeats` times, and see by how much the error grows.

    What windows exchange are whole contexts, with the known values of the horizon, between origins of one series;
    static values, between series. All covariates go the same ways, so that they can be compared.
    """
    rng = np.random.default_rng(seed)
    origins = [_other_origins(sample.codes, rng) for _ in range(repeats)]
    series = [_other_series(sample.codes, rng) for _ in range(repeats)]
    judge, reader = _Judge(sample), sample.trained.model.reader
    rows, left_out = [], []
    for covariate in sample.trained.encoder.covariates:
        donors = series if covariate.role == "static" else origins
        found = judge.increase(donors, _places(reader, covariate))
        if _moved(donors[0]).any():
            rows.append((covariate.label, covariate.role, found.estimate, found.low, found.high))
        else:
            left_out.append(covariate)
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(COLUMNS[2:], np.float64))
    table = table.sort_values("increase", ascending=False, kind="stable", ignore_index=True)
    own = judge.increase(origins, dict.fromkeys(HISTORY, slice(None)))
    return Importances(table, own, _notes_on(left_out))


class _Judge:
    """Measures errors of the forecast with other inputs of the network; the floor reads what it always does."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.floor = sample.floor()
        self.usual = self.errors(sample.batch)
        codes, seen = sample.codes, np.isfinite(self.usual)
        total = np.bincount(codes, np.where(seen, self.usual, 0.0).sum(1))
        mean = quotient(total, np.bincount(codes, seen.sum(1)))
        self.unit = np.where(mean > 0, mean, np.nan)[codes, np.newaxis]

    def errors(self, inputs: WindowBatch) -> Floats:
        """(n, horizon) absolute errors in the target's unit; NaN where there is no actual value."""
        forecast = self.sample.in_units(self.floor + self.sample.addition(inputs))
        return np.abs(self.sample.actual - forecast)

    def increase(self, donors: Sequence[np.ndarray], places: Mapping[str, slice]) -> Interval:
        """MAE with `places` of the windows from others, in the mean over all `donors`, relative to the usual, less 1.

        Over the windows that have another one to take from.
        """
        moved = _moved(donors[0])
        changed = np.mean([self.errors(_exchanged(self.sample.batch, giving, places)) for giving in donors], axis=0)
        gain = skill(self._by_origin(changed, moved), self._by_origin(self.usual, moved))
        return Interval(0.0 - gain.estimate, 0.0 - gain.high, 0.0 - gain.low)

    def _by_origin(self, errors: Floats, counted: np.ndarray) -> Floats:
        """(n_origins,) the mean error at every origin, in units of each series' usual one."""
        relative = np.where(counted[:, np.newaxis], errors / self.unit, np.nan)
        seen, origin, n = np.isfinite(relative), self.sample.origin, len(self.sample.origins)
        total = np.bincount(origin, np.where(seen, relative, 0.0).sum(1), n)
        return quotient(total, np.bincount(origin, seen.sum(1), n))


def _other_origins(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For every window another one of its series, each once; itself where it is the only one."""
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    begins = np.flatnonzero(np.diff(codes[order], prepend=-1))
    following = np.arange(1, len(codes) + 1)
    following[np.append(begins[1:], len(codes)) - 1] = begins
    donors = np.empty_like(order)
    donors[order] = order[following]
    return donors


def _other_series(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For every window one of another series, the same for all windows of a series; itself where there is no other."""
    distinct, first, series = np.unique(codes, return_index=True, return_inverse=True)
    if len(distinct) == 1:
        return np.arange(len(codes))
    return first[_other_origins(np.zeros(len(distinct), dtype=np.int64), rng)][series]


def _moved(donors: np.ndarray) -> np.ndarray:
    """(n,) bool: windows that take from another one."""
    return donors != np.arange(len(donors))


def _places(reader: WindowReader, covariate: Covariate) -> dict[str, slice]:
    """Where a window has a covariate: the fields of `WindowBatch`, and the columns there."""
    lists = {"past_covariates": reader.past, "future_covariates": reader.future, "static": reader.static}
    found = {}
    for field, names in lists.items():
        if covariate.name in names:
            start = reader.width(names[: names.index(covariate.name)])
            found[field] = slice(start, start + reader.width([covariate.name]))
    return found


def _exchanged(batch: WindowBatch, donors: np.ndarray, places: Mapping[str, slice]) -> WindowBatch:
    """The windows with some columns of some fields from the windows `donors` (n,)."""
    giving, changed = torch.from_numpy(donors), {}
    for field, columns in places.items():
        values = getattr(batch, field).clone()
        values[..., columns] = getattr(batch, field)[giving][..., columns]
        changed[field] = values
    return replace(batch, **changed)


def _notes_on(left_out: Sequence[Covariate]) -> tuple[str, ...]:
    """Why some covariates have no row."""
    labels = {
        "static covariates left out, since they are exchanged between series, and there is one": ("static",),
        "covariates left out, since they are exchanged between origins, and no series has two": ("known", "past"),
    }
    named = {why: [repr(c.label) for c in left_out if c.role in roles] for why, roles in labels.items()}
    return tuple(f"{', '.join(names)}: {why}." for why, names in named.items() if names)
