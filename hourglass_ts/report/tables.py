"""Tables of a report: every number with the digits that mean something, one number of decimals down a column."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.report.style import NO_VALUE, THIN_SPACE, time_text

MOST_ROWS = 400
MOST_DECIMALS = 6

Texts = list[str]


@dataclass(frozen=True)
class Column:
    """One column as text; numbers stand to the right."""

    heading: str
    cells: Texts
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """Rows of text under headings; `marked` are the rows about the model of the page, `rest` what was left out."""

    columns: tuple[Column, ...]
    marked: frozenset[int] = frozenset()
    rest: str = ""
    caption: str = ""

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The cells of each row."""
        return list(zip(*(column.cells for column in self.columns), strict=True))


def table(columns: Iterable[Column], *, marked: Iterable[bool] = (), caption: str = "") -> Table:
    """A table of the columns' first `MOST_ROWS` rows, which says how many there are."""
    columns = tuple(columns)
    n_rows = len(columns[0].cells)
    shown = tuple(Column(column.heading, column.cells[:MOST_ROWS], column.numeric) for column in columns)
    rest = f"The first {MOST_ROWS} of {n_rows} rows." if n_rows > MOST_ROWS else ""
    return Table(shown, frozenset(i for i, mark in enumerate(marked) if mark), rest, caption)


def texts(values: Iterable[Any]) -> Texts:
    """Names and the like, as they are.

    Example:
        >>> texts(["naive", 3, None])
        ['naive', '3', '–']
    """
    return [NO_VALUE if value is None or value is pd.NaT else str(value) for value in values]


def times(values: Iterable[Any]) -> Texts:
    """Dates as a reader writes them."""
    return [time_text(value) for value in values]


def counts(values: Iterable[Any]) -> Texts:
    """Whole numbers, their thousands apart.

    Example:
        >>> counts([12_345, float("nan")])
        ['12\u202f345', '–']
    """
    return [_text(float(value), 0) for value in values]


def numbers(values: Iterable[Any]) -> Texts:
    """Numbers to three significant digits of the middle one, all with the same decimals.

    Example:
        >>> numbers([2.345, -10.0, float("nan")]), numbers([12_345.6, 1.0]), numbers([2e-9])
        (['2.35', '−10.00', '–'], ['12\u202f346', '1'], ['2.00e−09'])
    """
    found = np.asarray([float(value) for value in values])
    size = np.abs(found[np.isfinite(found) & (found != 0)])
    decimals = 2 - math.floor(math.log10(np.median(size))) if len(size) else 2
    if decimals > MOST_DECIMALS or decimals < -10:
        return [_finite(value, lambda value: f"{value:.2e}") for value in found]
    return [_text(value, max(decimals, 0)) for value in found]


def shares(values: Iterable[Any], decimals: int = 1) -> Texts:
    """Fractions in percent.

    Example:
        >>> shares([0.8, -0.123]), shares([0.8], decimals=0)
        (['80.0\u202f%', '−12.3\u202f%'], ['80\u202f%'])
    """
    return [_finite(100 * float(value), lambda value: f"{value:.{decimals}f}{THIN_SPACE}%") for value in values]


def ranges(low: Iterable[Any], high: Iterable[Any], write: Callable[[Iterable[Any]], Texts] = shares) -> Texts:
    """Intervals, from and to.

    Example:
        >>> ranges([0.1], [0.2])
        ['10.0 to 20.0\u202f%']
    """
    pairs = zip(write(low), write(high), strict=True)
    return [
        NO_VALUE if NO_VALUE in pair else f"{pair[0].removesuffix(f'{THIN_SPACE}%')} to {pair[1]}" for pair in pairs
    ]


def seconds(values: Iterable[Any]) -> Texts:
    """Durations as a reader says them.

    Example:
        >>> seconds([0.0002, 0.0042, 3.21, 75.4, 7260.0, float("nan")])
        ['< 1 ms', '4 ms', '3.2 s', '1 min 15 s', '2 h 01 min', '–']
    """
    return [_duration(float(value)) for value in values]


def _duration(value: float) -> str:
    if math.isnan(value):
        return NO_VALUE
    if 0 < value < 0.001:
        return "< 1 ms"
    if value < 0.9995:
        return f"{1000 * value:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _text(value: float, decimals: int) -> str:
    return _finite(value, lambda value: f"{value:,.{decimals}f}".replace(",", THIN_SPACE))


def _finite(value: float, write: Callable[[float], str]) -> str:
    """A number with its proper minus sign, but none before a zero, and a dash for what is no number."""
    if not math.isfinite(value):
        return NO_VALUE
    text = write(value)
    return (
        text.replace("-", "")
        if text.startswith("-") and not any(digit in text for digit in "123456789")
        else text.replace("-", "−")
    )
