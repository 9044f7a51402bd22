"""Other futures for a frame: the same rows up to a cutoff, and anything else after it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem
from hourglass_ts.frames.columns import to_times
from hourglass_ts.frames.origins import on_clock
from hourglass_ts.frames.roles import Source

DEFAULT_SHARE = 0.8
HOLE_STEPS = 2
NEW_LEVEL = "!later"
"""Sorts before letters and digits, so that encoders which number levels in order number all others anew."""


@dataclass(frozen=True)
class Cut:
    """Which rows of a frame are the future: those after the cutoff, and those that became known after it.

    known_at: the column that says when a row became known, or None.
    """

    time: Hashable
    series: tuple[Hashable, ...]
    cutoff: Any
    known_at: Hashable = None

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        time: Hashable,
        series: tuple[Hashable, ...] = (),
        cutoff: Any = None,
        known_at: Hashable = None,
        ahead: int = 1,
    ) -> Cut:
        """A cut of `frame`; a cutoff of None is four fifths into its times, with `ahead` steps after it if possible.

        Raises DataError or SettingsError where columns are missing or all rows lie on one side of the cutoff.
        """
        source = Source(frame)
        for label in series:
            if label not in source:
                raise_problem(DataError, Problem("no such column for `series`", "a column", "Name another.", label))
        times = row_times(frame, time)
        if cutoff is None:
            distinct = times.unique().sort_values()
            last = len(distinct) - 1
            cutoff = distinct[max(min(int(DEFAULT_SHARE * last), last - ahead), 0)]
        cut = cls(time, series, _comparable(cutoff, times), known_at)
        late = times > cut.cutoff
        if late.all() or not late.any():
            side = "up to" if late.all() else "after"
            hint = f"The times go from {times.min()} to {times.max()}: pass a cutoff between them."
            raise_problem(SettingsError, Problem(f"no rows {side} the cutoff {cut.cutoff}", "rows on both sides", hint))
        if known_at is not None:
            cut.revised(frame)
        return cut

    def after(self, frame: pd.DataFrame) -> np.ndarray:
        """Whether each row's time is after the cutoff."""
        times = row_times(frame, self.time)
        return np.asarray(times > self.at(times))

    def at(self, times: pd.Index) -> Any:
        """The cutoff as times on another clock have it, such as those that a pipeline gave a zone."""
        return on_clock(self.cutoff, times)

    def revised(self, frame: pd.DataFrame) -> np.ndarray:
        """Whether each row is of a time up to the cutoff, and yet became known after it."""
        if self.known_at is None:
            return np.zeros(len(frame), dtype=bool)
        known = row_times(frame, self.known_at)
        return np.asarray(known > _comparable(self.cutoff, known)) & ~self.after(frame)

    def late(self, frame: pd.DataFrame) -> np.ndarray:
        """Whether each row is the future at the cutoff."""
        return self.after(frame) | self.revised(frame)

    def steps_after(self, frame: pd.DataFrame) -> np.ndarray:
        """How many steps after the cutoff each row stands in its own series; 0 up to the cutoff."""
        times, after = row_times(frame, self.time), self.after(frame)
        keys = self.keys(frame)
        rank = pd.Series(times.argsort().argsort()[after])
        steps = np.zeros(len(frame), dtype=int)
        steps[after] = rank.groupby([key[after] for key in keys], dropna=False).rank(method="dense").to_numpy()
        return steps

    def keys(self, frame: pd.DataFrame) -> list[np.ndarray]:
        """The columns that tell series apart; one constant where there is one series."""
        return [frame[label].to_numpy() for label in self.series] or [np.zeros(len(frame), dtype=int)]


def row_times(frame: pd.DataFrame, time: Hashable) -> pd.Index:
    """The time of every row. Raises DataError where there is no such column, or none of times."""
    if time not in frame.columns:
        shown = ", ".join(repr(label) for label in frame.columns[:10])
        raise_problem(DataError, Problem("no such column", f"one of {shown}", "Name another.", column=time))
    read = to_times(frame[time].reset_index(drop=True))
    if read.fault is not None:
        raise_problem(DataError, Problem(*read.fault, column=time))
    return read.values


def _comparable(cutoff: Any, times: pd.Index) -> Any:
    """The cutoff as a value of the same kind as the times."""
    if not isinstance(times, pd.DatetimeIndex):
        return cutoff
    stamp = cutoff.to_timestamp() if isinstance(cutoff, pd.Period) else pd.Timestamp(cutoff)
    if (stamp.tz is None) != (times.tz is None):
        found = f"a cutoff {'without' if stamp.tz is None else 'with'} a time zone"
        hint = "Pass pd.Timestamp(..., tz=...)." if stamp.tz is None else "Leave out the time zone."
        raise_problem(SettingsError, Problem(found, f"one like the times, such as {times[0]}", hint))
    return stamp


# --- alterations -----------------------------------------------------------------------------------------------------

Alteration = Callable[[pd.DataFrame], pd.DataFrame]


def structural_alterations(
    frame: pd.DataFrame, cut: Cut, columns: Sequence[Hashable], seed: int
) -> Iterator[tuple[str, Alteration]]:
    """Every way to alter the rows after the cutoff, and their levels and holes, of frames like this one.

    columns: those that are not known beforehand.
    """
    levels = [label for label in columns if _has_levels(frame[label])]
    if levels:
        yield "levels never seen", lambda altered: with_new_levels(altered, cut, levels)
    yield "missing values", lambda altered: with_missing_values(altered, cut, columns, seed)
    yield "rows removed", lambda altered: _renumbered(altered[~cut.late(altered)])
    yield "rows added", lambda altered: with_more_rows(altered, cut)
    if cut.series:
        yield "a later series", lambda altered: with_later_series(altered, cut)
    yield "row order", lambda altered: with_other_order(altered, cut, seed)


def with_other_values(frame: pd.DataFrame, cut: Cut, columns: Sequence[Hashable], seed: int) -> pd.DataFrame:
    """The future values of some columns replaced by far larger and far smaller ones, or by other levels."""
    rng, late = np.random.default_rng(seed), cut.late(frame)
    for label in columns:
        if label in frame.columns:
            frame = with_column(frame, label, other_values(frame[label], late, rng))
    return frame


def with_other_rows(frame: pd.DataFrame, cut: Cut, columns: Sequence[Hashable], seed: int) -> pd.DataFrame:
    """The future values of some columns replaced by those of other rows, for what refuses values it has never seen."""
    rng, late = np.random.default_rng(seed), cut.late(frame)
    labels = [label for label in columns if label in frame.columns]
    whole = np.flatnonzero(frame[labels].notna().all(axis=1).to_numpy())
    rows = rng.choice(whole if len(whole) else np.arange(len(frame)), len(frame))
    for label in labels:
        column = frame[label]
        taken = column.take(rows).set_axis(column.index)
        frame = with_column(frame, label, column.mask(late & column.notna().to_numpy(), taken))
    return frame


def other_values(column: pd.Series, late: np.ndarray, rng: np.random.Generator) -> pd.Series:
    """The column with other values where `late`: same type, none negative where none was, missing where missing."""
    if types.is_bool_dtype(column.dtype):
        return column.mask(late, ~column.astype(bool))
    if types.is_numeric_dtype(column.dtype):
        return column.mask(late, _other_numbers(column, late, rng))
    if types.is_datetime64_any_dtype(column.dtype):
        return column.mask(late, column + pd.Timedelta(weeks=52))
    levels = list(pd.unique(column.dropna()))
    following = dict(zip(levels, levels[1:] + levels[:1], strict=True))
    return column.mask(late & column.notna().to_numpy(), column.astype(object).map(following).astype(column.dtype))


def with_new_levels(frame: pd.DataFrame, cut: Cut, columns: Sequence[Hashable]) -> pd.DataFrame:
    """A level in every future row of these columns that no row up to the cutoff has."""
    late = cut.late(frame)
    for label in columns:
        column = frame[label]
        if isinstance(column.dtype, pd.CategoricalDtype) and NEW_LEVEL not in column.cat.categories:
            column = column.cat.add_categories([NEW_LEVEL])
        frame = with_column(frame, label, column.mask(late & column.notna().to_numpy(), NEW_LEVEL))
    return frame


def _has_levels(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.CategoricalDtype) or types.infer_dtype(column, skipna=True) == "string"


def _other_numbers(column: pd.Series, late: np.ndarray, rng: np.random.Generator) -> pd.Series:
    values = column.to_numpy(dtype=float, na_value=np.nan)
    finite = values[np.isfinite(values)]
    centre, spread = (finite.mean(), finite.std()) if finite.size else (0.0, 0.0)
    far = (spread or abs(centre) or 1.0) * (3 + rng.gamma(2, 2, len(values)))
    lowest = finite.min(initial=np.inf)
    low = lowest * rng.uniform(0.1, 0.9, len(values)) if 0 <= lowest < np.inf else centre - far
    other = np.where(rng.random(len(values)) < 0.5, centre + far, low)
    if np.isfinite(values[late]).any():
        other = np.where(np.isfinite(values), other, values)
    if types.is_integer_dtype(column.dtype):
        bounds = np.iinfo(getattr(column.dtype, "numpy_dtype", column.dtype))
        other = np.where(np.isnan(other), other, np.clip(np.rint(other), bounds.min, bounds.max))
    return pd.Series(other, index=column.index).astype(column.dtype)


def with_missing_values(frame: pd.DataFrame, cut: Cut, columns: Sequence[Hashable], seed: int) -> pd.DataFrame:
    """Half of the future values of some columns missing, but for the last rows of all series, which keep their ends."""
    steps, late = cut.steps_after(frame), cut.late(frame)
    holes = late & (steps < steps.max()) & (np.random.default_rng(seed).random(len(frame)) < 0.5)
    return _masked(frame, columns, holes)


def _masked(frame: pd.DataFrame, columns: Sequence[Hashable], rows: np.ndarray) -> pd.DataFrame:
    """Some columns missing in some rows; those of truth values stay, since they cannot be."""
    for label in columns:
        if label in frame.columns and not types.is_bool_dtype(frame[label].dtype):
            column = frame[label]
            whole = isinstance(column.dtype, np.dtype) and column.dtype.kind in "iu"
            frame = with_column(frame, label, (column.astype(float) if whole else column).mask(rows))
    return frame


def with_hole_before(frame: pd.DataFrame, cut: Cut, columns: Sequence[Hashable]) -> pd.DataFrame:
    """The last values up to the cutoff of some columns missing, in every series."""
    times, before = row_times(frame, cut.time), ~cut.after(frame)
    rank = pd.Series(times.argsort().argsort()).where(before)
    last = rank.groupby(cut.keys(frame), dropna=False).rank(ascending=False).to_numpy() <= HOLE_STEPS
    return _masked(frame, columns, last)


def with_more_rows(frame: pd.DataFrame, cut: Cut) -> pd.DataFrame:
    """The rows after the cutoff once more, later; by whole weeks or years, so that weekdays and months stay."""
    later = frame[cut.after(frame)]
    times = row_times(later, cut.time)
    span = times.max() - cut.at(times)
    if isinstance(times, pd.DatetimeIndex):
        distinct = times.unique().sort_values()
        monthly = len(distinct) > 1 and (distinct[1:] - distinct[:-1]).median() > pd.Timedelta(days=27)
        years, weeks = -(-span // pd.Timedelta(days=365)), -(-span // pd.Timedelta(weeks=1))
        span = pd.DateOffset(years=years) if monthly else pd.DateOffset(weeks=weeks)
    return _joined(frame, with_column(later, cut.time, _like(times + span, later[cut.time])))


def with_later_series(frame: pd.DataFrame, cut: Cut) -> pd.DataFrame:
    """One more series, whose rows all lie after the cutoff and whose name sorts before all others."""
    after, label = frame[cut.after(frame)], cut.series[0]
    first = after[label].iloc[0]
    copy = after[(after[label] == first).to_numpy()]
    names = frame[label]
    if types.is_numeric_dtype(names.dtype):
        return _joined(frame, with_column(copy, label, pd.Series(names.min() - 1, copy.index).astype(names.dtype)))
    if isinstance(names.dtype, pd.CategoricalDtype):
        names = names.cat.set_categories([NEW_LEVEL, *names.cat.categories])
        frame = with_column(frame, label, names)
    return _joined(frame, with_column(copy, label, pd.Series(NEW_LEVEL, copy.index).astype(names.dtype)))


def with_other_order(frame: pd.DataFrame, cut: Cut, seed: int) -> pd.DataFrame:
    """The future rows of every series in another order, in the places that they had; so none moves into the past."""
    places, rng = np.arange(len(frame)), np.random.default_rng(seed)
    late = np.flatnonzero(cut.late(frame))
    for group in pd.Series(late).groupby([key[late] for key in cut.keys(frame)], dropna=False, observed=True):
        rows = group[1].to_numpy()
        places[rows] = rng.permutation(rows)
    return _renumbered(frame.iloc[places])


def with_column(frame: pd.DataFrame, label: Hashable, column: pd.Series) -> pd.DataFrame:
    """The frame with another column in the place of `label`, which may be no text."""
    other = frame.copy()
    other.isetitem(frame.columns.get_loc(label), column)
    return other


def _joined(frame: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    return _renumbered(pd.concat([frame, more])) if isinstance(frame.index, pd.RangeIndex) else pd.concat([frame, more])


def _renumbered(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of a frame that was numbered, numbered anew."""
    whole = frame.index.dtype.kind == "i" and frame.index.name is None
    return frame.reset_index(drop=True) if whole else frame


def _like(times: pd.Index, column: pd.Series) -> pd.Series:
    """Times as the column of the user writes them."""
    if isinstance(column.dtype, pd.PeriodDtype):
        return pd.Series(pd.DatetimeIndex(times).to_period(column.dtype.freq), index=column.index)
    series, kind = pd.Series(times, index=column.index), types.infer_dtype(column, skipna=True)
    if kind == "date":
        return series.dt.date
    return series.astype(str if kind in ("string", "categorical") else column.dtype)
