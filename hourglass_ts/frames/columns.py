"""One column of a user's frame → plain arrays: numbers, text, times, series codes. Nothing here raises on bad cells.

Every function takes a positional Series and says which cells it could not read, so that a caller can name them.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

_NUMBER_KINDS = ("integer", "floating", "decimal", "mixed-integer-float")


def is_missing(column: pd.Series) -> np.ndarray:
    """Say for each cell whether it is None, NaN, NaT or NA."""
    return column.isna().to_numpy(dtype=bool)


def holds_numbers(column: pd.Series) -> bool:
    """Say whether a covariate is numeric: a numeric dtype, or objects that are all numbers (not text, not bool)."""
    if types.is_bool_dtype(column.dtype):
        return False
    if types.is_numeric_dtype(column.dtype):
        return not types.is_complex_dtype(column.dtype)
    if column.dtype != object:
        return False
    kind = types.infer_dtype(column, skipna=True)
    if kind in _NUMBER_KINDS or kind == "empty":
        return True
    kinds = set(map(type, column[~is_missing(column)]))
    return all(issubclass(kind, (numbers.Real, Decimal)) and kind not in (bool, np.bool_) for kind in kinds)


def is_readable(column: pd.Series) -> bool:
    """Say whether a covariate's dtype has a meaning here: numbers or categories, not times or complex numbers."""
    dtype = column.dtype
    wrong = (pd.PeriodDtype, pd.IntervalDtype)
    return not (dtype.kind in "mMc" or isinstance(dtype, wrong))


def to_numbers(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Give a column as float64 (NaN where missing), and the positions of cells that are no numbers."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        values, bad = to_numbers(pd.Series(dtype.categories))
        codes = column.cat.codes.to_numpy()
        lookup = np.append(values, np.nan)
        return lookup[codes], np.flatnonzero(np.isin(codes, bad))
    if types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype):
        return column.to_numpy(dtype="float64", na_value=np.nan), np.array([], dtype="int64")
    missing = is_missing(column)
    if not is_readable(column):
        return np.full(len(column), np.nan), np.flatnonzero(~missing)
    cells = column.astype(object)
    cells[missing] = np.nan
    try:
        values = pd.to_numeric(cells, errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
    except (OverflowError, ValueError, TypeError):  # an integer too long for a float, a complex number
        values = np.array([_number(cell) for cell in cells], dtype="float64")
    return values, np.flatnonzero(np.isnan(values) & ~missing)


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (OverflowError, ValueError, TypeError):
        return np.nan


def to_text(column: pd.Series) -> np.ndarray:
    """Give a column as objects: str, None where missing."""
    codes, values = pd.factorize(column.array)
    lookup = np.array([*(str(value) for value in values), None], dtype=object)
    return lookup[codes]


def to_codes(columns: list[pd.Series], rows: int) -> np.ndarray:
    """Number the series 0, 1, 2… in sorted order of their id columns; -1 where an id is missing.

    Without id columns all rows are series 0.
    """
    codes = np.zeros(rows, dtype="int64")
    missing = np.zeros(rows, dtype=bool)
    for column in columns:
        own, own_count = _factorize_sorted(column)
        missing |= own < 0
        codes = np.unique(codes * own_count + own, return_inverse=True)[1]  # small again, for the next column
    codes[missing] = -1
    return codes


def _factorize_sorted(column: pd.Series) -> tuple[np.ndarray, int]:
    codes, values = pd.factorize(column.array)
    try:
        order = np.asarray(pd.Series(values).argsort(kind="stable"))
    except TypeError:  # mixed types have no order of their own
        order = np.array(sorted(range(len(values)), key=lambda i: (type(values[i]).__name__, str(values[i]))))
    rank = np.empty(len(values) + 1, dtype="int64")
    rank[order], rank[-1] = np.arange(len(values)), -1
    return rank[codes], len(values)


@dataclass(frozen=True)
class Times:
    """A time column: `values` int64 or datetimes, of no meaning where `missing`.

    freq: what periods say about their own length. fault: (found, expected, next step) of a column that cannot be read,
    first met in `row`; then all times are missing.
    """

    values: pd.Index
    missing: np.ndarray
    freq: str | None = None
    fault: tuple[str, str, str] | None = None
    row: int | None = None


def to_times(column: pd.Series) -> Times:
    """Read integers, datetimes, periods, python dates, or ISO text as times."""
    missing = is_missing(column)
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return to_times(pd.Series(dtype.categories.take(column.cat.codes.to_numpy())).where(~missing))
    if missing.all():
        return _no_times(missing, "no time at all", "one time per row", "Fill the time column.")
    if isinstance(dtype, pd.PeriodDtype):
        return _from_periods(pd.PeriodIndex(column), missing)
    if types.is_datetime64_any_dtype(dtype):
        return Times(pd.DatetimeIndex(column), missing)
    if types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype) and not types.is_complex_dtype(dtype):
        return _from_numbers(column, missing)
    kind = types.infer_dtype(column, skipna=True)
    if kind == "string":
        return _from_text(column, missing)
    if kind in ("date", "datetime", "datetime64"):
        return _from_objects(column, missing)
    if kind == "period":
        return _from_periods(pd.PeriodIndex(column), missing)
    if kind in ("integer", "decimal", "floating"):
        return _from_numbers(column, missing)
    hint = "Convert the whole column with pd.to_datetime(..., utc=True), or to integers."
    return _no_times(missing, f"values of kind {kind!r} ({dtype})", "datetimes, dates, periods or integers", hint)


def _no_times(missing: np.ndarray, found: str, expected: str, hint: str, row: int | None = None) -> Times:
    nothing = pd.Index(np.zeros(len(missing), dtype="int64"))
    return Times(nothing, np.ones(len(missing), dtype=bool), fault=(found, expected, hint), row=row)


def _from_numbers(column: pd.Series, missing: np.ndarray) -> Times:
    values = column.astype(object).where(~missing, 0).to_numpy(dtype="float64")
    uneven = np.flatnonzero((values != np.floor(values)) | (np.abs(values) >= 2.0**63))
    if uneven.size:
        row = int(uneven[0])
        found, hint = f"{column.iloc[row]!r} ({column.dtype})", "Number the steps 0, 1, 2…, or use datetimes."
        return _no_times(missing, found, "whole numbers or datetimes", hint, row)
    whole = column.where(~missing, 0) if missing.any() else column
    return Times(pd.Index(whole.to_numpy(dtype="int64")), missing)


def _from_periods(periods: pd.PeriodIndex, missing: np.ndarray) -> Times:
    example = pd.period_range(periods[~missing][0], periods=8, freq=periods.freq).to_timestamp()
    return Times(periods.to_timestamp(), missing, freq=pd.infer_freq(example))


def _from_objects(column: pd.Series, missing: np.ndarray) -> Times:
    try:
        return Times(pd.DatetimeIndex(column.where(~missing, pd.NaT)), missing)
    except (ValueError, TypeError, OverflowError):
        return _mixed_zones(missing)


def _from_text(column: pd.Series, missing: np.ndarray) -> Times:
    text = column.astype(object).where(~missing, None)
    try:
        values = pd.DatetimeIndex(pd.to_datetime(text, format="ISO8601", errors="coerce"))
    except (ValueError, TypeError):
        return _mixed_zones(missing)
    words = ~text[~missing].str.slice(0, 1).str.isdigit().to_numpy(dtype=bool)  # pandas reads "now" and "today"
    unread = np.flatnonzero(values.isna() & ~missing)
    bad = np.union1d(unread, np.flatnonzero(~missing)[words])
    if bad.size:
        row = int(bad[0])
        hint = "Convert the column with pd.to_datetime(..., format='%d/%m/%Y') or similar, or to integers."
        return _no_times(missing, f"the text {text.iloc[row]!r}", "ISO dates such as '2021-03-28 02:00'", hint, row)
    return Times(values, missing)


def _mixed_zones(missing: np.ndarray) -> Times:
    hint = "Convert with pd.to_datetime(..., utc=True), then .dt.tz_convert('Europe/Berlin') or similar."
    return _no_times(missing, "times of mixed time zones or offsets", "one time zone in the whole column", hint)
