"""Which columns of a frame of stock prices are what, which of their rows cannot be, and what else a reader should know.

`owner` is everywhere the number of each row's series, rows sorted by series and time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping

import numpy as np
import pandas as pd
from pandas.api import types

from hourglass_ts.errors import Problem
from hourglass_ts.frames.columns import show_cell, to_numbers
from hourglass_ts.frames.market.bars import last_seen
from hourglass_ts.frames.reading import LARGEST
from hourglass_ts.frames.wording import show_time

PARTS = {
    "open": {"open"},
    "high": {"high"},
    "low": {"low"},
    "close": {"close", "last"},
    "volume": {"volume", "vol"},
    "adjusted_close": {"adjustedclose", "adjclose", "closeadjusted", "closeadj"},
    "split": {"split", "splits", "stocksplits", "splitratio", "splitfactor"},
    "dividend": {"dividend", "dividends"},
    "currency": {"currency", "ccy"},
}
PRICES = ("open", "high", "low", "close", "adjusted_close")
TOLERANCE = 5e-4  # relative: vendors round the parts of a bar apart from one another
SPLITS = np.array([2, 3, 4, 5, 7, 10, 15, 20, 50, 100, 1000, 1.5])  # 100 is pence for pounds, too
LIKE_SPLIT, IS_SPLIT = 0.1, 0.2  # relative distance: of a fall from a usual ratio; of two prices' changes
JUMP = 3.0  # either way: no price of a day
LARGE_SPLIT = 1.5  # the close of its day shows whether prices are adjusted for it
SHOWN = 3
CORRECT = 'Correct them, or pass StockPipeline(faults="nan").'

Fault = tuple[Hashable, pd.Series, str]
"""A column, which of its rows cannot be, and what was expected."""


def find_parts(labels: Iterable[Hashable], given: Mapping[str, Hashable] | None) -> dict[str, Hashable]:
    """Give the column of every part that is there: by `given`, else by its label in any case, blanks and underscores.

    Example:
        >>> find_parts(["Date", "Adj Close", "Vol."], {"close": "Schluss"})
        {'adjusted_close': 'Adj Close', 'volume': 'Vol.'}
    """
    labels = list(labels)
    found = {part: label for part, label in (given or {}).items() if label in labels}
    for label in labels:
        plain = "".join(letter for letter in str(label).lower() if letter.isalnum())
        for part, names in PARTS.items():
            if part not in {**found, **(given or {})} and plain in names and label not in found.values():
                found[part] = label
    return found


def twin_notes(labels: Iterable[Hashable], parts: Mapping[str, Hashable]) -> dict[Hashable, str]:
    """Give a note on each label that would fit a part which another column is.

    Example:
        >>> twin_notes(["last", "mood"], {"close": "close"})
        {'last': "'last' is left alone: 'close' is the close"}
    """
    fits = {label: part for label in labels for part in find_parts([label], None)}
    return {
        label: f"{label!r} is left alone: {parts[part]!r} is the {part.replace('_', ' ')}"
        for label, part in fits.items()
        if part in parts
    }


def number_problems(frame: pd.DataFrame, parts: Mapping[str, Hashable]) -> Iterator[Problem]:
    """One problem for every part that does not hold numbers."""
    for part, label in parts.items():
        if part != "currency" and not holds_numbers(frame[label]):
            column = frame[label].reset_index(drop=True)
            wrong = to_numbers(column)[1]
            found = f"values of type {column.dtype}"
            found += f", {wrong.size:,} of them no numbers, first {show_cell(column[wrong[0]])}" if wrong.size else ""
            hint = "Convert them with pd.to_numeric, or rename the column."
            yield Problem(found, "numbers", hint, column=label, at=f"row {wrong[0]}" if wrong.size else None)


def holds_numbers(column: pd.Series) -> bool:
    """Whether a column's type is one of real numbers."""
    dtype = column.dtype
    return types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype) and not types.is_complex_dtype(dtype)


def impossible(frame: pd.DataFrame, parts: Mapping[str, Hashable]) -> Iterator[Fault]:
    """Give each column with rows that cannot be: its label, which rows, and what was expected."""
    low, high = (frame[parts[part]] if part in parts else None for part in ("low", "high"))
    for part in (*PRICES, "volume", "split", "dividend"):
        if part not in parts:
            continue
        label, values = parts[part], frame[parts[part]].astype("float64")
        wrong, expected = (values < 1 / LARGEST, "a price above 0") if part in PRICES else (values < 0, "0 or more")
        wrong |= values > LARGEST
        if low is not None and high is not None:
            if part == "high":
                wrong |= values < low
                expected += f", and not {label!r} below {parts['low']!r}: either may be wrong"
            elif part in ("open", "close"):
                outside = (values > high * (1 + TOLERANCE)) | (values < low * (1 - TOLERANCE))
                wrong |= outside & (low <= high)
                expected += f", between {parts['low']!r} and {parts['high']!r}"
        if wrong.any():
            yield label, wrong, expected


def fault_problems(
    frame: pd.DataFrame,
    faults: Iterable[Fault],
    time: Hashable,
    owner: pd.Series,
    names: list[str],
    next_step: str = CORRECT,
) -> Iterator[Problem]:
    """One problem for every column that `impossible` gives."""
    for label, rows, expected in faults:
        first = int(rows.to_numpy().argmax())
        yield Problem(
            f"{rows.sum():,} row(s) that cannot be, first {frame[label].iloc[first]:g}",
            expected,
            next_step,
            column=label,
            series=names[owner.iloc[first]] or None,
            at=show_time(frame[time].iloc[first]),
        )


def without_bars(frame: pd.DataFrame, faults: Iterable[Fault], parts: Mapping[str, Hashable]) -> pd.DataFrame:
    """Take out what cannot be: a bar is one measurement, so where a part of it is wrong its whole row of prices is."""
    clean = frame.copy()
    bar = [parts[part] for part in PRICES if part in parts]
    for label, rows, _ in faults:
        labels = bar if label in bar else [label]
        clean[labels] = clean[labels].astype("float64").mask(rows)
    return clean


def currency_problems(
    frame: pd.DataFrame, label: Hashable, time: Hashable, owner: pd.Series, names: list[str]
) -> Iterator[Problem]:
    """One problem for every series whose prices change their currency."""
    written = frame[label].astype(object)
    for number, own in written.groupby(owner):
        counts = own.value_counts(sort=False)
        if len(counts) > 1:
            other = own[own.notna() & (own != counts.index[0])]
            yield Problem(
                f"currencies in one series: {', '.join(f'{kind} in {n:,} row(s)' for kind, n in counts.items())}",
                "one currency for each series",
                "Convert its prices, or name this column among the series columns.",
                column=label,
                series=names[number] or None,
                at=show_time(frame[time][other.index[0]]),
            )


def currency_notes(frame: pd.DataFrame, label: Hashable, owner: pd.Series, names: list[str]) -> Iterator[str]:
    """Several currencies, each of some series."""
    series = frame[label].astype(object).groupby(owner).first().dropna()
    if series.nunique() > 1:
        owners = {kind: [names[number] for number in own.index] for kind, own in series.groupby(series)}
        listed = (f"{kind} ({_some(own)})" for kind, own in owners.items())
        yield f"prices in several currencies, each kept in its own: {', '.join(listed)}"


def split_problems(
    frame: pd.DataFrame, parts: Mapping[str, Hashable], time: Hashable, owner: pd.Series, names: list[str]
) -> Iterator[Problem]:
    """A problem where the close does not jump with a large split: it is adjusted, and would be so twice."""
    if "split" not in parts or "close" not in parts or "adjusted_close" in parts:
        return
    close, split = frame[parts["close"]], frame[parts["split"]].astype("float64")
    split = split.where(split > 0, 1.0)
    before = last_seen(close, owner)
    large = np.log(split).abs() >= np.log(LARGE_SPLIT)
    unseen = large & (np.log(before / close / split).abs() > np.log(before / close).abs())
    if unseen.any():
        first = int(unseen.to_numpy().argmax())
        found = f"{unseen.sum():,} split(s) that the close does not show, first {split[first]:g} for 1"
        yield Problem(
            f"{found} where it goes from {before[first]:g} to {close[first]:g}",
            "prices as they were traded beside their splits",
            "Drop this column if the prices are adjusted for splits; correct it if not.",
            column=parts["split"],
            series=names[owner[first]] or None,
            at=show_time(frame[time][first]),
        )


def event_notes(frame: pd.DataFrame, parts: Mapping[str, Hashable]) -> Iterator[str]:
    """How many splits and dividends go into the adjusted price, where there was none."""
    if "close" not in parts or "adjusted_close" in parts:
        return
    events = {part: frame[parts[part]] for part in ("split", "dividend") if part in parts}
    counts = {part: int(((cells > 0) & (cells != (part == "split"))).sum()) for part, cells in events.items()}
    told = [f"{count:,} {part}(s)" for part, count in counts.items() if count]
    if told:
        yield f"prices are taken as traded: {' and '.join(told)} go into the adjusted close"


def split_notes(
    frame: pd.DataFrame, parts: Mapping[str, Hashable], time: Hashable, owner: pd.Series, names: list[str]
) -> Iterator[str]:
    """Splits that the adjusted price shows; with neither that nor a column of splits, jumps that look like one."""
    if "close" not in parts or "split" in parts:
        return
    fall = last_seen(frame[parts["close"]], owner) / frame[parts["close"]]
    ratio = fall.where(fall >= 1, 1 / fall)
    if "adjusted_close" in parts:
        adjusted = frame[parts["adjusted_close"]]
        split = fall / (last_seen(adjusted, owner) / adjusted)
        rows, text = (np.log(split).abs() > np.log(1 + IS_SPLIT)), "a split, seen in the adjusted close"
        ratio = split.where(split >= 1, 1 / split)
    else:
        like = (np.abs(ratio.to_numpy()[:, None] / SPLITS - 1) < LIKE_SPLIT).any(axis=1)
        rows, text = (ratio > JUMP) | like, "a jump of the price, or a split that nobody adjusted"
    titles = [f"{name}: " if name else "" for name in names]
    yield from _few(
        [
            f"{titles[owner[row]]}{text}, on {show_time(frame[time][row])} ({ratio[row]:.3g} for 1)"
            for row in np.flatnonzero(rows)
        ]
    )


def span_notes(frame: pd.DataFrame, time: Hashable, owner: pd.Series, names: list[str]) -> Iterator[str]:
    """Series that come later or go earlier than the others, and pauses that only some of them make."""
    if len(names) < 2:
        return
    by_series = frame[time].groupby(owner)
    first, last = by_series.min(), by_series.max()
    days = pd.Index(frame[time].unique()).sort_values()
    missing = days.searchsorted(last, side="right") - days.searchsorted(first) - by_series.size()
    late, early = first[first > first.min()], last[last < last.max()]
    yield from _few([f"{names[k]} begins on {show_time(day)}" for k, day in late.items()])
    yield from _few([f"{names[k]} ends on {show_time(day)}" for k, day in early.items()])
    yield from _few([f"{names[k]} lacks {n} day(s) on which others were traded" for k, n in missing.items() if n])


def _few(notes: list[str]) -> list[str]:
    """The first notes, and how many more there are."""
    rest = len(notes) - SHOWN
    return notes[:SHOWN] + ([f"… and {rest:,} more of these"] if rest > 0 else [])


def _some(names: list[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")
