"""What a weather frame holds that is no measurement: sentinels, impossible values, rows that are there twice."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import Problem
from hourglass_ts.frames.atmosphere.times import Places
from hourglass_ts.frames.atmosphere.variables import Column

NINES = (-99.0, -99.9, -99.99, -999.0, -999.9, -999.99, -9999.0, -9999.9, -9999.99, -99999.0, -99999.9, -999999.0)
SENTINELS = (*NINES, *(-value for value in NINES), -32768.0, -32767.0, -1e20, 1e20, 1e30, 9.96921e36)
UNMISTAKABLE = tuple(value for value in NINES if value <= -999)
"""For columns whose bounds are unknown."""


def without_sentinels(
    places: Places, columns: Mapping[Hashable, Column], labels: Sequence[Hashable], sentinels: Any, days: int
) -> tuple[pd.DataFrame, list[str]]:
    """Give the frame with NaN where a value stands for none, and a note on each column that had some.

    labels: the columns of numbers.  sentinels: "auto" takes the frame's card, `attrs["sentinels"]`, and the usual ones
    that a column cannot hold as values (of unknown columns: -999, -9999 and such); values, or a dict from columns to
    values, are taken alone.  days: how many a row may sum up.
    """
    frame, notes = places.frame.copy(deep=False), []
    by_rule = isinstance(sentinels, str)
    card = frame.attrs.get("sentinels", ()) if by_rule else sentinels
    for label in labels:
        values = frame[label].to_numpy(np.float64, na_value=np.nan)
        given = card.get(label, ()) if isinstance(card, Mapping) else card
        rows = _is_one_of(values, given)
        if by_rule and label in columns:
            low, high = columns[label].bounds(days)
            rows |= _is_one_of(values, SENTINELS) & ((values < low) | (values > high))
        elif by_rule:
            rows |= _is_one_of(values, UNMISTAKABLE)
        if rows.any():
            shown = ", ".join(f"{value:g}" for value in np.unique(values[rows]))
            notes.append(f"{label!r}: {_count(rows, 'sentinel')} {shown} taken for no value, {places.text(rows)}")
            frame[label] = np.where(rows, np.nan, values)
    return frame, notes


def _is_one_of(values: np.ndarray, sentinels: Any) -> np.ndarray:
    """Whether values equal any of the sentinels, in single precision too."""
    wanted = np.atleast_1d(np.asarray(sentinels, dtype=np.float64))
    with np.errstate(over="ignore"):
        return np.isin(values, np.concatenate([wanted, wanted.astype(np.float32).astype(np.float64)]))


def without_faults(
    places: Places, columns: Mapping[Hashable, Column], days: int, take_out: bool
) -> tuple[pd.DataFrame, list[str], list[Problem]]:
    """Give the frame, a note on each column with impossible values that were taken out, or a problem instead.

    What lies beyond a bound by rounding alone is put there, with a note.
    """
    frame, notes, problems = places.frame.copy(deep=False), [], []
    for label, column in columns.items():
        values = frame[label].to_numpy(np.float64)
        low, high = column.bounds(days)
        slack = 1e-9 * (high - low)  # bounds were converted, and values too, perhaps
        rows = (values < low - slack) | (values > high + slack)
        for near, bound in (((values < low) & ~rows, low), ((values > high) & ~rows, high)):
            if near.any():
                text = f"beyond {bound:g} {column.unit.symbol} by rounding, and put there"
                notes.append(f"{label!r}: {_count(near, 'value')} {text}, {places.text(near)}")
                frame[label] = values = np.where(near, bound, values)
        if not rows.any():
            continue
        found = f"{_count(rows, 'value')} that cannot be, the first {values[rows][0]:g} {column.unit.symbol}"
        if take_out:
            notes.append(f"{label!r}: {found}, {places.text(rows)}; taken out")
            frame[label] = np.where(rows, np.nan, values)
        else:
            expected = f"{low:g} to {high:g} {column.unit.symbol}"
            hint = f'Correct them, name another unit with units={{{label!r}: …}}, or pass faults="nan".'
            problems.append(Problem(found, expected, hint, column=label, **places.first(rows)))
    return frame, notes, problems


def unusual_notes(places: Places, columns: Mapping[Hashable, Column]) -> list[str]:
    """Say which possible values are so rare that they may be wrong, sentinels or fractions of 1; they stay."""
    notes = []
    for label, column in columns.items():
        values = places.frame[label].to_numpy(np.float64)
        for rows, side, end in ((values < column.usual[0], "below", 0), (values > column.usual[1], "above", 1)):
            if rows.any():
                limit = f"{column.usual[end]:g} {column.unit.symbol}"
                first = f"the first {values[rows][0]:g}, {places.text(rows)}"
                kept = f"unusual, and kept{_suspected(values[rows])}"
                notes.append(f"{label!r}: {_count(rows, 'value')} {side} {limit}, {first}: {kept}")
        if column.unit.symbol == "%" and column.variable.transform == "share" and 0 < np.nanmax(values, initial=0) <= 1:
            notes.append(f"{label!r}: no value above 1 %: looks like fractions; pass units={{{label!r}: '1'}} if so")
    return notes


def _suspected(values: np.ndarray) -> str:
    """What to add on values that sentinels often have."""
    found = np.unique(values[_is_one_of(values, SENTINELS)])
    if not found.size:
        return ""
    shown = f"({', '.join(f'{value:g}' for value in found)},)"
    return f"; looks like a sentinel: pass sentinels={shown}, or add it to df.attrs['sentinels']"


def with_one_direction(
    places: Places, columns: Mapping[Hashable, Column], pairs: Mapping[Hashable, Hashable]
) -> tuple[pd.DataFrame, list[str]]:
    """Give the frame with 0 for 360°, which is north too, and no direction where the air is calm, with notes."""
    frame, notes = places.frame.copy(deep=False), []
    for label in (label for label, column in columns.items() if column.variable.transform == "angle"):
        values = frame[label].to_numpy(np.float64)
        north = values == 360
        if north.any():
            notes.append(f"{label!r}: {_count(north, 'value')} of 360 written as 0, which is north, too")
            values = np.where(north, 0.0, values)
        calm = ~np.isnan(values) & (frame[pairs[label]].to_numpy() == 0 if label in pairs else False)
        if calm.any():
            text = f"of calm air ({pairs[label]!r} is 0), which has no direction, taken out"
            notes.append(f"{label!r}: {_count(calm, 'value')} {text}, {places.text(calm)}")
            values = np.where(calm, np.nan, values)
        frame[label] = values
    return frame, notes


def without_doubles(places: Places, take_out: bool) -> tuple[pd.DataFrame, list[str], list[Problem]]:
    """Give the frame with one row per series and time, notes on rows that were the same, and a problem of the others.

    take_out: of rows that differ keep one, NaN in the fields that do, and say so, instead of a problem.
    """
    frame, keys, notes = places.frame, [*places.keys, places.time], []
    doubled = frame.duplicated(keys, keep=False).to_numpy()
    if not doubled.any():
        return frame, [], []
    same = doubled.copy()
    same[doubled] = frame[doubled].duplicated()
    if same.any():
        notes.append(
            f"{places.time!r}: {_count(same, 'double row')}, equal in all columns, left out, {places.text(same)}"
        )
        frame = frame[~same].reset_index(drop=True)
        doubled = frame.duplicated(keys, keep=False).to_numpy()
    if not doubled.any():
        return frame, notes, []
    others = [label for label in frame.columns if label not in keys]
    by_key = frame.groupby(keys, sort=False, dropna=False, observed=True)
    differing = {label: (by_key[label].transform("nunique") > 1).to_numpy() for label in others}
    labels = [label for label in others if differing[label].any()]
    where = Places(frame, places.time, places.keys)
    found = f"{_count(doubled, 'row')} that share their {'series and ' if places.keys else ''}time but differ"
    found += f" in {', '.join(map(repr, labels[:4]))}{', …' if len(labels) > 4 else ''}" if labels else ""
    if not take_out:
        hint = 'Correct them, or pass faults="nan", which takes out what differs.'
        if getattr(frame[places.time].dt, "tz", None) is None:
            hint += " If a local clock was put back, pass timezone=, such as 'Europe/Berlin'."
        return frame, notes, [Problem(found, "one row each", hint, column=places.time, **where.first(doubled))]
    notes.append(f"{places.time!r}: {found}, {where.text(doubled)}; what differs is taken out")
    merged = frame.copy(deep=False)
    for label in others:
        merged[label] = by_key[label].transform("first").mask(differing[label])
    return merged[~frame.duplicated(keys)].reset_index(drop=True), notes, []


def _count(rows: np.ndarray, noun: str) -> str:
    count = int(rows.sum())
    return f"{count:,} {noun}{'s' if count != 1 else ''}"
