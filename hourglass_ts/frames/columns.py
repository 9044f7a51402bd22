"""One column of a user's frame → plain arrays: numbers, text, times, series codes.

Every function takes a positional Series and says which cells it could not read, so that a caller can name them. The
one thing that raises, a TypeError, is a cell without a hash (a list, a dict) where distinct values are asked for.
"""

from __future__ import annotations

import datetime as dt
import numbers
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

_NUMBER_KINDS = ("integer", "floating", "decimal", "mixed-integer-float")
_NO_TIME = ("no time at all", "one time per row", "Fill the time column.")
_TIME_KINDS = ("datetime64", "datetime", "date", "timedelta64", "timedelta", "time", "period", "interval", "complex")


def is_missing(column: pd.Series) -> np.ndarray:
    """Say for each cell whether it is None, NaN, NaT or NA."""
    try:
        return column.isna().to_numpy(dtype=bool)
    except ArithmeticError:  # pandas compares a signalling NaN, which Decimal forbids
        return np.array([cell.is_nan() if isinstance(cell, Decimal) else bool(pd.isna(cell)) for cell in column])


def show_cell(cell: Any, longest: int = 60) -> str:
    """Write a cell briefly, as plain Python has it."""
    try:
        text = repr(cell.item() if isinstance(cell, np.generic) else cell)
    except ValueError:  # an integer with more digits than Python writes
        return f"a very long {type(cell).__name__}"
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _filled(column: pd.Series, missing: np.ndarray) -> pd.Series:
    return column[~missing] if missing.any() else column


def holds_numbers(column: pd.Series) -> bool:
    """Say whether a covariate is numeric: a numeric dtype, or objects that are all numbers (not text, not bool)."""
    if types.is_bool_dtype(column.dtype):
        return False
    if types.is_numeric_dtype(column.dtype):
        return not types.is_complex_dtype(column.dtype)
    if column.dtype != object:
        return False
    cells = _filled(column, is_missing(column))
    kind = types.infer_dtype(cells, skipna=False)
    if kind == "string":
        return False
    if kind in _NUMBER_KINDS or kind == "empty":
        return True
    kinds = set(map(type, cells))
    return all(issubclass(kind, (numbers.Real, Decimal)) and kind not in (bool, np.bool_) for kind in kinds)


def is_readable(column: pd.Series) -> bool:
    """Say whether a covariate has a meaning here: numbers or categories, not times or complex numbers in any dress."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return is_readable(pd.Series(dtype.categories))
    if types.is_object_dtype(dtype):
        return types.infer_dtype(_filled(column, is_missing(column)), skipna=False) not in _TIME_KINDS
    wrong = (pd.PeriodDtype, pd.IntervalDtype)
    return not (dtype.kind in "mMc" or dtype.type is dt.time or isinstance(dtype, wrong))


def to_numbers(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Give a column as float64 (NaN where missing), and the positions of cells that are no numbers."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        values, bad = to_numbers(pd.Series(dtype.categories))
        codes = column.cat.codes.to_numpy()
        lookup = np.append(values, np.nan)
        return lookup[codes], np.flatnonzero(np.isin(codes, bad))
    if types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype):
        nothing = np.array([], dtype="int64")
        if isinstance(dtype, np.dtype):  # float64 is looked at where it lies; naming `na_value` would copy it
            with np.errstate(over="ignore"):  # a longdouble too large is infinite here, and named as such
                return column.to_numpy(dtype="float64"), nothing
        return column.to_numpy(dtype="float64", na_value=np.nan), nothing
    missing = is_missing(column)
    if not is_readable(column):
        return np.full(len(column), np.nan), np.flatnonzero(~missing)
    cells = column.astype(object)
    cells[missing] = np.nan
    try:
        read = pd.to_numeric(cells, errors="coerce")
        values = np.array(cells.map(_number) if read.dtype.kind == "c" else read, dtype="float64")
    except (OverflowError, ValueError, TypeError):  # an integer too long for a float
        values = np.array(cells.map(_number), dtype="float64")
    unread = np.flatnonzero(np.isnan(values) & ~missing)
    numeric = np.array([isinstance(cell, numbers.Real) for cell in cells.iloc[unread]], dtype=bool)
    values[unread[numeric]] = [_number(cell) for cell in cells.iloc[unread[numeric]]]  # fractions
    return values, unread[np.isnan(values[unread])]


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (OverflowError, ValueError, TypeError):
        return np.nan


def first_unhashable(column: pd.Series) -> int | None:
    """Give the first cell without a hash, such as a list; None when all have one."""
    if not isinstance(column.dtype, pd.ArrowDtype) and not types.is_object_dtype(column.dtype):
        return None
    try:
        _factorize(column)
    except TypeError:
        return next((row for row, cell in enumerate(column) if not _has_hash(cell)), 0)
    return None


def _has_hash(cell: Any) -> bool:
    try:
        hash(cell)
    except TypeError:
        return False
    return True


def to_text(column: pd.Series) -> np.ndarray:
    """Give a column as objects: str, None where missing."""
    if column.dtype == object:
        missing = is_missing(column)
        if types.infer_dtype(_filled(column, missing), skipna=False) not in ("string", "boolean"):
            # One by one: 1, 1.0 and True are equal, and which of them came first must not matter.
            return np.array(
                [None if gone else str(cell) for cell, gone in zip(column, missing, strict=True)], dtype=object
            )
    codes, values = _factorize(column)
    lookup = np.array([*(str(value) for value in values), None], dtype=object)
    return lookup[codes]


def to_codes(columns: list[pd.Series], rows: int) -> np.ndarray:
    """Number the series 0, 1, 2… in sorted order of their id columns; -1 where an id is missing.

    Without id columns all rows are series 0. Raises TypeError for cells without a hash.
    """
    if len(columns) == 1:
        return _factorize_sorted(columns[0])[0]
    codes = np.zeros(rows, dtype="int64")
    missing = np.zeros(rows, dtype=bool)
    for column in columns:
        own, own_count = _factorize_sorted(column)
        missing |= own < 0
        codes = np.unique(codes * own_count + own, return_inverse=True)[1]  # small again, for the next column
    codes[missing] = -1
    return codes


def _factorize(column: pd.Series) -> tuple[np.ndarray, Any]:
    try:
        with np.errstate(over="ignore"):
            return pd.factorize(column.array)
    except NotImplementedError:  # an Arrow type that Arrow itself cannot encode
        return pd.factorize(column.astype(object).array)


def _factorize_sorted(column: pd.Series) -> tuple[np.ndarray, int]:
    codes, values = _factorize(column)
    try:
        order = np.asarray(pd.Series(values, dtype=values.dtype).argsort(kind="stable"))
    except (TypeError, NotImplementedError):  # mixed types, and some of Arrow's, have no order of their own
        order = np.array(sorted(range(len(values)), key=lambda i: (type(values[i]).__name__, str(values[i]))))
    if (np.diff(order) == 1).all():
        return codes, len(values)
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
        return _by_value(column)
    if missing.all():
        return _no_times(missing, *_NO_TIME)
    if isinstance(dtype, pd.PeriodDtype):
        return _from_periods(pd.PeriodIndex(column), missing)
    if types.is_datetime64_any_dtype(dtype):
        return Times(pd.DatetimeIndex(column), missing)
    if types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype) and not types.is_complex_dtype(dtype):
        return _from_numbers(column, missing)
    kind = types.infer_dtype(_filled(column, missing), skipna=False)
    if kind == "string":
        return _by_value(column)
    if kind in ("date", "datetime", "datetime64"):
        return _from_objects(column, missing)
    if kind == "period":
        return _from_periods(pd.PeriodIndex(column), missing)
    if kind in _NUMBER_KINDS:
        return _from_numbers(column, missing)
    hint = "Convert the whole column with pd.to_datetime(..., utc=True, format='ISO8601'), or to integers."
    return _no_times(missing, f"values of kind {kind!r} ({dtype})", "datetimes, dates, periods or integers", hint)


def _no_times(missing: np.ndarray, found: str, expected: str, hint: str, row: int | None = None) -> Times:
    nothing = pd.Index(np.zeros(len(missing), dtype="int64"))
    return Times(nothing, np.ones(len(missing), dtype=bool), fault=(found, expected, hint), row=row)


def date_format(moments: pd.Index) -> str | None:
    """Give the format of integers that are all years, months and days, or all years and months, run together.

    Example:
        >>> date_format(pd.Index([20240131, 20240201])), date_format(pd.Index([202411, 202501]))
        ('%Y%m%d', '%Y%m')
    """
    if isinstance(moments, pd.DatetimeIndex) or len(moments) < 2:
        return None
    values = moments.to_numpy()
    for form, low, high in (("%Y%m%d", 19000101, 21001231), ("%Y%m", 190001, 210012)):
        if low <= values.min() and values.max() <= high:
            months, days = (values // 100 % 100, values % 100) if form == "%Y%m%d" else (values % 100, values % 1 + 1)
            if (months >= 1).all() and (months <= 12).all() and (days >= 1).all() and (days <= 31).all():
                return form
    return None


def _from_numbers(column: pd.Series, missing: np.ndarray) -> Times:
    if types.is_signed_integer_dtype(column.dtype) and not missing.any():
        return Times(pd.Index(column.to_numpy(dtype="int64")), missing)
    values = to_numbers(column)[0]
    uneven = np.flatnonzero(~(missing | ((values == np.floor(values)) & (np.abs(values) < 2.0**63))))
    if uneven.size:
        row = int(uneven[0])
        found, hint = f"{show_cell(column.iloc[row])} ({column.dtype})", "Number the steps 0, 1, 2…, or use datetimes."
        return _no_times(missing, found, "whole numbers or datetimes", hint, row)
    whole = column.where(~missing, 0) if missing.any() else column
    return Times(pd.Index(whole.to_numpy(dtype="int64")), missing)


def _by_value(column: pd.Series) -> Times:
    """Read each distinct category or text once: the same times come back from series to series."""
    codes, values = _factorize(column)
    if isinstance(column.dtype, pd.CategoricalDtype):
        values = values.categories.take(values.codes)
        times = to_times(pd.Series(values))
    else:
        times = _from_text(pd.Series(values))
    if len(values) == 0:
        return _no_times(codes < 0, *_NO_TIME)
    row = None if times.row is None else int(np.flatnonzero(codes == times.row)[0])
    return replace(times, values=times.values.take(codes), missing=(codes < 0) | times.missing[codes], row=row)


def _from_periods(periods: pd.PeriodIndex, missing: np.ndarray) -> Times:
    example = pd.period_range(periods[~missing][0], periods=8, freq=periods.freq).to_timestamp()
    return Times(periods.to_timestamp(), missing, freq=pd.infer_freq(example))


def _from_objects(column: pd.Series, missing: np.ndarray) -> Times:
    try:
        return Times(pd.DatetimeIndex(column.where(~missing, pd.NaT)), missing)
    except (ValueError, TypeError, OverflowError):
        return _mixed_zones(missing)


def _from_text(texts: pd.Series) -> Times:
    """Read texts, none of them missing."""
    missing = np.zeros(len(texts), dtype=bool)
    text = texts.astype(object)
    try:
        values = pd.DatetimeIndex(pd.to_datetime(text, format="ISO8601", errors="coerce"))
    except (ValueError, TypeError):
        return _mixed_zones(missing)
    words = ~text.str.slice(0, 1).str.isdigit().to_numpy(dtype=bool)  # pandas reads "now" and "today"
    bad = np.flatnonzero(values.isna() | words)
    if bad.size:
        row = int(bad[0])
        hint = "Convert the column with pd.to_datetime(..., format='%d/%m/%Y') or similar, or to integers."
        expected = "ISO dates such as '2021-03-28 02:00'"
        return _no_times(missing, f"the text {show_cell(text.iloc[row])}", expected, hint, row)
    return Times(values, missing)


def _mixed_zones(missing: np.ndarray) -> Times:
    hint = (
        "Convert with pd.to_datetime(..., utc=True, format='ISO8601'), then .dt.tz_convert('Europe/Berlin') or similar."
    )
    return _no_times(missing, "times of mixed time zones or offsets", "one time zone in the whole column", hint)
