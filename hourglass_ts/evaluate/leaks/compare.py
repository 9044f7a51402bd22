"""What differs between two frames that should be the same: column, first row, and by how much."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

ROUNDING = 1e-9
"""Standard deviations below which features count as the same: sums of other lengths round otherwise."""
OCCURRENCE = "__occurrence__"


@dataclass(frozen=True)
class Change:
    """Cells of one column that differ, or rows (`column` None): how many, the first, and by how much at most.

    effect: standard deviations of the column, or the share of cells where it holds no numbers.
    """

    column: Hashable
    count: int
    series: Any
    first_time: Any
    effect: float
    unit: str


def keyed(frame: pd.DataFrame, series: Sequence[Hashable], time: Hashable, *others: Hashable) -> pd.DataFrame:
    """The frame with rows named by series, time, other columns and a count."""
    labels = [*series, time, *[label for label in others if label in frame.columns]]
    keys = pd.DataFrame({place: frame[label].to_numpy() for place, label in enumerate(labels)})
    keys[OCCURRENCE] = keys.groupby(list(keys), dropna=False, observed=True).cumcount()
    return frame.set_axis(pd.MultiIndex.from_frame(keys), axis=0)


def changes(reference: pd.DataFrame, other: pd.DataFrame, n_series: int, rounding: float = 0.0) -> list[Change]:
    """Every column in which two keyed frames differ, and rows that only one of them has, the first change first.

    rounding: standard deviations up to which numbers count as the same.
    """
    found = []
    alone = reference.index.symmetric_difference(other.index, sort=False)
    if len(alone):
        found.append(
            _change(None, alone, np.ones(len(alone), dtype=bool), n_series, len(alone) / len(reference), "rows")
        )
    common = reference.index.intersection(other.index, sort=False)
    before, after = (frame if frame.index.equals(common) else frame.reindex(common) for frame in (reference, other))
    for label in dict.fromkeys([*reference.columns, *other.columns]):
        if label not in before.columns or label not in after.columns:
            everywhere = np.ones(len(common), dtype=bool)
            found.append(
                _change(label, common, everywhere, n_series, 1.0, "cells: the column is there in one case only")
            )
            continue
        differs, effect, unit = _difference(before[label], after[label], rounding)
        if differs.any():
            found.append(_change(label, common, differs, n_series, effect, unit))
    return found


def _change(
    column: Hashable, index: pd.MultiIndex, differs: np.ndarray, n_series: int, effect: float, unit: str
) -> Change:
    rows = index[differs]
    first = rows[np.argmin(rows.get_level_values(n_series))] if len(rows) else (None,) * (n_series + 1)
    names = tuple(first[:n_series])
    return Change(column, len(rows), one_name(names), first[n_series], float(effect), unit)


def one_name(names: tuple[Any, ...]) -> Any:
    """The name of a series: none, the one label, or the tuple of several."""
    return None if not names else names[0] if len(names) == 1 else names


def _difference(before: pd.Series, after: pd.Series, rounding: float) -> tuple[np.ndarray, float, str]:
    if not (_is_number(before) and _is_number(after)):
        one, two = before.astype(object), after.astype(object)
        differs = ~((one == two).to_numpy(dtype=bool) | (one.isna() & two.isna()).to_numpy())
        return differs, differs.mean() if len(differs) else 0.0, "of the cells"
    one, two = (column.to_numpy(dtype=float, na_value=np.nan) for column in (before, after))
    finite = one[np.isfinite(one)]
    spread = (finite.std() if finite.size else 0.0) or 1.0
    gap = np.zeros(len(one))
    np.subtract(one, two, out=gap, where=np.isfinite(one) & np.isfinite(two))
    missing = np.isnan(one) != np.isnan(two)
    infinite = (one != two) & ~missing & ~np.isnan(one) & (np.isinf(one) | np.isinf(two))
    differs = missing | infinite | (np.abs(gap) > rounding * spread)
    size = np.abs(gap).max(initial=0.0) / spread
    if size > rounding:
        return differs, size, "standard deviations"
    return differs, float(missing.sum()), "cells that are missing in one case only"


def _is_number(column: pd.Series) -> bool:
    return types.is_numeric_dtype(column.dtype)
