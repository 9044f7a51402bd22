"""Monotone transforms of weather variables, which keep 0 where it is or lead there and back, and mean courses."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.frames.atmosphere.times import Places
from hourglass_ts.frames.harmonics import CYCLES, cycles_in, even_seconds, least_squares, waves

SQUEEZE = 0.05
"""Of the range, put on both sides of it, so that the logit of its ends is finite."""
ROUNDING = 1e-9
NAMES = ("year", "day")
SHAPES = tuple(CYCLES[name] for name in NAMES)


def forward(values: np.ndarray, kind: str, low: float, high: float, scale: float) -> np.ndarray:
    """Give values from `low` to `high` as a model sees them; see `Variable.transform`.

    Example:
        >>> forward(np.array([0.0, 50.0, 100.0]), "share", 0.0, 100.0, 1.0).round(2).tolist()
        [-3.04, 0.0, 3.04]
    """
    if kind == "share":
        more = SQUEEZE * (high - low)
        return np.log((values - low + more) / (high - values + more))
    if kind == "root":
        return np.sqrt(values)
    return np.log1p(values / scale) if kind == "log" else values


def backward(seen: np.ndarray, kind: str, low: float, high: float, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Undo `forward`, and give -1 for numbers below its range, 1 for those above, which are put at its end.

    NaN stays NaN; of "plain" numbers only those that are infinite are put there.
    """
    if kind == "plain":
        endless = np.isinf(seen)
        return np.where(endless, np.clip(seen, low, high), seen), np.where(endless, np.sign(seen), 0)
    first, last = forward(np.array([low, high]), kind, low, high, scale)
    beyond = 1 * (seen > last + ROUNDING) - 1 * (seen < first - ROUNDING)
    inside = np.clip(seen, first, last)
    if kind == "share":
        more = SQUEEZE * (high - low)
        values = low + more * np.expm1(inside - first) / (1 + np.exp(inside))
    elif kind == "clipped":
        values = inside
    else:
        values = inside**2 if kind == "root" else scale * np.expm1(inside)
    return np.clip(values, low, high), beyond


@dataclass(frozen=True)
class Clock:
    """When and whose rows are.

    seconds (n,).  code (n,): the number of each row's series among `names`.  rows: of each series, by time.
    """

    seconds: np.ndarray
    code: np.ndarray
    names: tuple[tuple[Any, ...], ...]
    rows: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, frame: pd.DataFrame, time: Hashable, keys: Sequence[Hashable]) -> Clock:
        """Read a frame's time and series columns."""
        places = Places(frame, time, keys)
        rows = places.by_series()
        names = tuple(tuple(frame[label].iloc[own[0]] for label in keys) for own in rows)
        return cls(even_seconds(pd.DatetimeIndex(frame[time])), places.codes(), names, tuple(rows))


@dataclass(frozen=True)
class Course:
    """The mean course of year and day of one column: weights (1 + 2 × 7 harmonics,) of every fitted series."""

    weights: Mapping[tuple[Any, ...], np.ndarray]

    @classmethod
    def fit(cls, clock: Clock, values: np.ndarray) -> Course:
        """Least squares for every series; a cycle counts that its values span twice, and finely enough."""
        seen = {name: rows[~np.isnan(values[rows])] for name, rows in zip(clock.names, clock.rows, strict=True)}
        return cls({name: _weights(clock.seconds[rows], values[rows]) for name, rows in seen.items() if len(rows)})

    def at(self, clock: Clock) -> np.ndarray:
        """The course (n,) at some rows; a series that was not fitted takes the mean of the others' weights."""
        if not self.weights:
            return np.zeros(len(clock.seconds))
        others = np.mean(list(self.weights.values()), axis=0)
        table = np.array([*(self.weights.get(name, others) for name in clock.names), others])
        course, place = table[clock.code, 0], 1
        for length, most in SHAPES:
            for k in range(1, most + 1):
                angle = 2 * np.pi * k * clock.seconds / length
                for wave in (np.cos, np.sin):
                    # Row by row, not as a product of matrices: that would round by the number of rows.
                    if table[:, place].any():
                        course = course + table[clock.code, place] * wave(angle)
                    place += 1
        return course


def shown_cycles(seconds: np.ndarray) -> dict[float, int]:
    """How many harmonics of year and day, by length, sorted times can tell: spanned twice, and seen in all phases.

    A station that sleeps at night says nothing of the night.
    """
    counts = {length: min(most, _finest(seconds % length, length)) for length, most in cycles_in(seconds, SHAPES)}
    return {length: most for length, most in counts.items() if most}


def cycle_counts(clock: Clock, most: int) -> dict[str, int]:
    """How many harmonics of year and day, and no more than so many, some series shows."""
    shown = [shown_cycles(clock.seconds[rows]) for rows in clock.rows]
    counts = {name: max((own.get(CYCLES[name][0], 0) for own in shown), default=0) for name in NAMES}
    return {name: min(most, count) for name, count in counts.items()}


def course_notes(counts: Mapping[str, int], n_columns: int) -> list[str]:
    """Say which mean courses are taken off so many columns, and which the training rows do not show."""
    shown = [name for name, count in counts.items() if count]
    if not n_columns:
        return []
    if not shown:
        return ["the training rows show no whole cycle twice: only means are taken off"]
    missing = [f"; that of the {name} is not to be seen in the training rows" for name in counts if name not in shown]
    return [f"the mean course of the {' and the '.join(shown)} is taken off {n_columns} column(s){''.join(missing)}"]


def _finest(phases: np.ndarray, length: float) -> int:
    """How many harmonics have more than two phases a period, wherever they lie."""
    phases = np.unique(phases)
    widest_gap = np.diff(phases, append=phases[0] + length).max()
    return math.ceil(length / (2 * widest_gap)) - 1


def _weights(seconds: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weights of all harmonics, 0 for those that the times do not tell."""
    shown = shown_cycles(seconds)
    fitted = iter(least_squares(waves(seconds, list(shown.items())), values))
    weights = [next(fitted)]
    for length, most in SHAPES:
        own = 2 * shown.get(length, 0)
        weights += [next(fitted) if place < own else 0.0 for place in range(2 * most)]
    return np.array(weights)
