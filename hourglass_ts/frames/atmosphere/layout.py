"""Which columns a model sees of which tidy ones, how they are made, and how they come back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import DataError, Problem, raise_problems
from hourglass_ts.frames.atmosphere.transforms import backward, forward
from hourglass_ts.frames.atmosphere.variables import Column, find_pairs
from hourglass_ts.frames.atmosphere.wind import components, direction_of, from_components
from hourglass_ts.frames.columns import show_cell, to_numbers


class Layout:
    """The columns of a weather frame, and their outputs: itself, cosine and sine of a direction, or u and v of a wind.

    columns: those that are understood.  as_components: whether winds become u and v.  days: how many a row may sum up.
    """

    def __init__(self, columns: Mapping[Hashable, Column], as_components: bool, days: int) -> None:
        self.columns, self.days = dict(columns), days
        speeds = {speed: direction for direction, speed in reversed(find_pairs(columns).items())}
        self.winds = {direction: speed for speed, direction in speeds.items()} if as_components else {}
        self.outputs: dict[Hashable, tuple[Hashable, ...]] = {label: (label,) for label in columns}
        for label, column in columns.items():
            if column.name == "wind_direction":
                self.outputs[label] = (f"{label}_cos", f"{label}_sin")
        for direction, speed in self.winds.items():
            self.outputs[direction] = self.outputs[speed] = (f"{speed}_u", f"{speed}_v")

    @property
    def owners(self) -> dict[Hashable, list[Hashable]]:
        """The tidy columns that each output comes from."""
        owners: dict[Hashable, list[Hashable]] = {}
        for label, outputs in self.outputs.items():
            for output in outputs:
                owners.setdefault(output, []).append(label)
        return owners

    def has_course(self, output: Hashable) -> bool:
        """Whether a mean course of year and day is taken off it; never off u and v, whose 0 is calm air."""
        return output in self.columns and self.columns[output].variable.has_course

    def forward(self, frame: pd.DataFrame) -> dict[Hashable, Any]:
        """Give the outputs of a tidy frame in the order of its columns; others as they are.

        Raises a DataError where one half of a wind lacks.
        """
        halves = {**self.winds, **{speed: direction for direction, speed in self.winds.items()}}
        raise_problems(
            DataError,
            [
                Problem(f"a wind without {other!r}", "speed and direction, for u and v", "Add it.", column=label)
                for label, other in halves.items()
                if label in frame and other not in frame
            ],
        )
        seen: dict[Hashable, Any] = {}
        for label in frame.columns:
            if label not in self.columns:
                seen[label] = frame[label].array
                continue
            values = frame[label].to_numpy(np.float64)
            made: tuple[np.ndarray, ...] = (forward(values, *self._shape(label)),)
            if label in halves:
                both = (halves[label], label) if label in self.winds else (label, halves[label])
                made = components(*[frame[half].to_numpy(np.float64) for half in both])
            elif self.columns[label].name == "wind_direction":
                made = np.cos(np.deg2rad(values)), np.sin(np.deg2rad(values))
            seen |= dict(zip(self.outputs[label], made, strict=True))
        return seen

    def backward(self, seen: Mapping[Hashable, np.ndarray]) -> tuple[dict[Hashable, np.ndarray], list[str]]:
        """Give the tidy columns of outputs, whole pairs of them, and words on what had no way back."""
        made: dict[Hashable, np.ndarray] = {}
        words = []
        for label, outputs in self.outputs.items():
            if outputs[0] not in seen or label in made:
                continue
            values = [seen[output] for output in outputs]
            if len(outputs) == 1:
                made[label], beyond = backward(values[0], *self._shape(label))
                words += self._beyond(label, beyond)
                continue
            if label in self.winds:
                made[self.winds[label]], made[label] = from_components(*values)
            elif label in self.winds.values():
                continue  # its direction brings it
            else:
                made[label] = direction_of(*values)
            still = (values[0] == 0) & (values[1] == 0)
            if still.any():
                words.append(f"{int(still.sum()):,} of {label!r} in calm air, which has no direction (NaN)")
        return made, words

    def _beyond(self, label: Hashable, beyond: np.ndarray) -> list[str]:
        limits, symbol = self.columns[label].bounds(self.days), self.columns[label].unit.symbol
        unit = "" if symbol == "1" else f" {symbol}"
        counts = [int((beyond == sign).sum()) for sign in (-1, 1)]
        return [
            f"{count:,} of {label!r} {side} {limit:g}{unit}, and put there"
            for count, side, limit in zip(counts, ("below", "above"), limits, strict=True)
            if count
        ]

    def notes(self, frame: pd.DataFrame) -> list[str]:
        """Say what u and v do to forecasts, and which winds lack a half, and so have neither."""
        made = []
        for direction, speed in self.winds.items():
            text = "a point forecast of the speed is the length of the mean vector, which is below the mean speed"
            made.append(f"{speed!r} and {direction!r} become u and v: {text}")
            half = (frame[direction].isna() != frame[speed].isna()) & (frame[speed] != 0)
            if half.any():
                text = f"speed or a direction alone, and so no u and v: {speed!r} and {direction!r}"
                made.append(f"{int(half.sum()):,} row(s) have a {text}")
        return made

    def clashes(self, frame: pd.DataFrame) -> list[Problem]:
        """One problem for every column of a frame that has the name of one that is made."""
        made = [output for label, outputs in self.outputs.items() for output in outputs if output != label]
        return [
            Problem("a name that a column made from the wind has", "another name", "Rename it.", column=label)
            for label in dict.fromkeys(made)
            if label in frame.columns
        ]

    def inverse_problems(self, df: pd.DataFrame) -> list[Problem]:
        """One problem for every output that lacks its other half, or holds no numbers."""
        outputs = {label: self.outputs[own[0]] for label, own in self.owners.items() if label in df.columns}
        problems = [
            Problem(f"it without {other!r}", "both, which come back as one", "Add it.", column=label)
            for label, pair in outputs.items()
            for other in pair
            if other not in df.columns
        ]
        for label in outputs:
            wrong = to_numbers(df[label].reset_index(drop=True))[1]
            if wrong.size:
                found = f"{wrong.size:,} cell(s) that are no numbers, first {show_cell(df[label].iloc[wrong[0]])}"
                problems.append(Problem(found, "numbers", "Correct them.", column=label, at=f"row {wrong[0]}"))
        return problems

    def _shape(self, label: Hashable) -> tuple[str, float, float, float]:
        column = self.columns[label]
        return column.variable.transform, *column.bounds(self.days), column.scale
