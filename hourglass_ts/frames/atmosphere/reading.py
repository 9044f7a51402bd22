"""A raw frame of weather → its tidy columns, with a note on all that was found, and every problem at once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from pandas.api import types

from hourglass_ts.errors import DataError, Problem, raise_problems
from hourglass_ts.frames.atmosphere.faults import (
    unusual_notes,
    with_one_direction,
    without_doubles,
    without_faults,
    without_sentinels,
)
from hourglass_ts.frames.atmosphere.resampling import interval_days, resampled, rule_notes
from hourglass_ts.frames.atmosphere.times import Places, gap_notes, with_zone
from hourglass_ts.frames.atmosphere.units import read_unit
from hourglass_ts.frames.atmosphere.variables import Column, find_columns, find_pairs
from hourglass_ts.frames.columns import holds_numbers, to_numbers
from hourglass_ts.frames.pipelines import in_columns


@dataclass(frozen=True)
class Reading:
    """A tidy frame, the labels of time and series, the columns that are understood, and notes."""

    frame: pd.DataFrame
    time: Hashable
    keys: list[Hashable]
    columns: dict[Hashable, Column]
    notes: tuple[str, ...]


def read_weather(df: pd.DataFrame, settings: Any, fitted_units: Mapping[Hashable, str]) -> Reading:
    """Tidy a frame as a `WeatherPipeline`, the settings, says. fitted_units: of the columns it was fitted on.

    No row depends on a later one: of double rows the first stays, and intervals hold what was before their end.
    Raises a DataError with all problems.
    """
    work = _Work(Places(*in_columns(df, settings.time, settings.series)))
    time, keys, take_out = work.places.time, list(work.places.keys), settings.faults == "nan"
    work.take(*with_zone(work.places, settings.timezone, take_out))
    labels = [label for label in work.places.frame.columns if label not in (time, *keys)]
    written = df.attrs.get("units", {})
    units = {**written, **fitted_units, **(settings.units or {})}
    columns, notes = find_columns(labels, settings.columns or {}, units)
    columns, texts = _of_numbers(work.places.frame, columns)
    changed = _other_than_fitted(work.places.frame, columns, written, fitted_units)
    work.take(_as_floats(work.places.frame, columns), [*notes, *texts], changed)
    numbers = [label for label in labels if label in columns or _is_numeric(work.places.frame[label])]
    days, pairs = interval_days(settings.resample) or 1, find_pairs(columns)
    work.take(*without_sentinels(work.places, columns, numbers, settings.sentinels, days))
    work.take(*without_faults(work.places, columns, days, take_out))
    work.take(work.places.frame, unusual_notes(work.places, columns))
    work.take(*with_one_direction(work.places, columns, pairs))
    work.take(*without_doubles(work.places, take_out))
    work.take(work.places.frame, *rule_notes(work.places, settings.resample))
    raise_problems(DataError, work.problems)
    if settings.resample is None:
        work.take(work.places.frame, gap_notes(work.places))
    else:
        ways = {label: column.aggregate for label, column in columns.items()}
        ways |= {label: way for label, way in (settings.aggregate or {}).items() if label in numbers}
        work.take(*resampled(work.places, settings.resample, ways, pairs))
    frame = work.places.frame
    symbols = {label: column.unit.symbol for label, column in columns.items()}
    frame.attrs = {**df.attrs, "units": {**written, **symbols}}
    return Reading(frame, time, keys, columns, tuple(work.notes))


class _Work:
    """A frame on its way, and what was found so far."""

    def __init__(self, places: Places) -> None:
        self.places, self.notes, self.problems = places, list[str](), list[Problem]()

    def take(self, frame: pd.DataFrame, notes: list[str], problems: Sequence[Problem] = ()) -> None:
        """Go on with another frame."""
        self.places = replace(self.places, frame=frame)
        self.notes += notes
        self.problems += problems


def _is_numeric(column: pd.Series) -> bool:
    return types.is_numeric_dtype(column.dtype) and not types.is_bool_dtype(column.dtype)


def _of_numbers(frame: pd.DataFrame, columns: Mapping[Hashable, Column]) -> tuple[dict[Hashable, Column], list[str]]:
    """The columns that hold numbers, and a note on each other one."""
    good = {label: column for label, column in columns.items() if holds_numbers(frame[label])}
    kinds = {label: frame[label].dtype for label in columns if label not in good}
    return good, [f"{label!r} holds no numbers ({kind}): passed on untouched" for label, kind in kinds.items()]


def _as_floats(frame: pd.DataFrame, columns: Mapping[Hashable, Column]) -> pd.DataFrame:
    frame = frame.copy(deep=False)
    for label in columns:
        frame[label] = to_numbers(frame[label])[0]
    return frame


def _other_than_fitted(
    frame: pd.DataFrame, columns: Mapping[Hashable, Column], written: Mapping[Hashable, str], fitted: Iterable[Hashable]
) -> list[Problem]:
    """One problem for every fitted column that has another unit, as the frame writes it, or holds no numbers."""
    problems = []
    for label in fitted:
        if label in columns and label in written:
            own = read_unit(str(written[label]), columns[label].variable.unit)
            if own is not None and own != columns[label].unit:
                found, expected = f"values in {own.symbol}", f"{columns[label].unit.symbol}, as in the fit"
                problems.append(Problem(found, expected, "Convert it, or fit again.", column=label))
        elif label in frame.columns and label not in columns:
            found, hint = f"values of type {frame[label].dtype}", "Convert it with pd.to_numeric."
            problems.append(Problem(found, "numbers, as in the fit", hint, column=label))
    return problems
