"""Covariates that hold the target of another time: found in the values alone, no model needed."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from hourglass_ts.evaluate.leaks.compare import one_name
from hourglass_ts.evaluate.leaks.result import Check, Finding
from hourglass_ts.evaluate.leaks.worlds import row_times

NEAR_EXACT = 0.99
"""Share of the changes of the target that a column must explain, as a straight line of its own changes."""
UNEXPLAINED = 10.0
"""How many times less a column must leave open than the target's own past does, and than the column's best lag."""
FORETOLD = 1e-3
"""A target whose own past leaves less than this open shows nothing: a clock would hold its future, too."""
MIN_PAIRS, MIN_DISTINCT = 30, 20
MAX_SERIES = 20
OWN_LAGS = 16


@dataclass(frozen=True)
class Match:
    """A column follows the target `steps` later: R² of its changes, in which series, and from when on."""

    r2: float
    steps: int
    series: Any
    first_time: Any


def column_checks(
    frame: pd.DataFrame,
    *,
    time: Hashable,
    target: Sequence[Hashable],
    series: Sequence[Hashable],
    known: Sequence[Hashable],
    past: Sequence[Hashable],
    steps: int,
) -> list[Check]:
    """Look for columns that hold the target of up to `steps` later: the same time counts for `known` columns too."""
    name = "no covariate holds a later target"
    numbers = [label for label in frame.columns if _is_varied(frame[label])]
    pairs = [(label, goal, int(label in past)) for label in [*known, *past] for goal in target]
    pairs = [pair for pair in pairs if pair[0] in numbers and pair[1] in numbers]
    stretches = _stretches(frame, time, series) if pairs else []
    findings = []
    for label, goal, first in pairs:
        match = _best_match(frame, label, goal, stretches, range(first, steps + 1))
        if match is not None:
            when = f"{match.steps} steps later" if match.steps else "of the same time, and is declared known"
            detail = f"of its changes explained (R²): holds the target {goal!r} {when}"
            findings.append(Finding("data", name, label, match.series, match.first_time, match.r2, detail))
    return [Check("data", name, len(pairs), tuple(findings), f"up to {steps} steps later")]


def _is_varied(column: pd.Series) -> bool:
    number = types.is_numeric_dtype(column.dtype) and not types.is_bool_dtype(column.dtype)
    return number and column.nunique() >= MIN_DISTINCT


@dataclass(frozen=True)
class _Stretch:
    """The rows of one series in time order, and two ways to count its steps: by rows, and by the clock."""

    name: Any
    rows: np.ndarray
    times: pd.Index
    clocks: tuple[np.ndarray, ...]


def _stretches(frame: pd.DataFrame, time: Hashable, series: Sequence[Hashable]) -> list[_Stretch]:
    """The longest series."""
    times = row_times(frame, time)
    keys = [frame[label].to_numpy() for label in series] or [np.zeros(len(frame), dtype=int)]
    groups = pd.Series(np.arange(len(frame))).groupby(keys if len(keys) > 1 else keys[0], dropna=False, observed=True)
    longest = sorted(groups, key=lambda item: -len(item[1]))[:MAX_SERIES]
    return [_stretch(name if series else (), group.to_numpy(), times) for name, group in longest]


def _stretch(name: Any, rows: np.ndarray, times: pd.Index) -> _Stretch:
    rows = rows[times[rows].argsort()]
    own = times[rows]
    counted = np.arange(len(rows))
    numbers = own.asi8 if isinstance(own, pd.DatetimeIndex) else own.to_numpy()
    gaps = np.diff(numbers)
    step = np.median(gaps[gaps > 0]) if (gaps > 0).any() else 1
    clock = np.rint((numbers - numbers[0]) / step).astype(np.int64) if len(rows) else counted
    clocks = (counted,) if np.array_equal(clock, counted) else (counted, clock)
    return _Stretch(one_name(name if isinstance(name, tuple) else (name,)), rows, own, clocks)


def _best_match(
    frame: pd.DataFrame, label: Hashable, goal: Hashable, stretches: Sequence[_Stretch], steps: range
) -> Match | None:
    """The strongest match that neither the target's own past nor the column's own lags explain."""
    x, y = (frame[name].to_numpy(dtype=float, na_value=np.nan) for name in (label, goal))
    matches = (match for s in stretches for match in _matches(x[s.rows], y[s.rows], s, steps))
    return max(matches, key=lambda match: match.r2, default=None)


def _matches(x: np.ndarray, y: np.ndarray, stretch: _Stretch, steps: range) -> Iterator[Match]:
    for clock in stretch.clocks:
        for ahead in steps:
            r2, first = _followed(x, y, clock, ahead)
            if r2 < NEAR_EXACT:
                continue
            past = max((_followed(x, y, clock, -lag)[0] for lag in range(1, 2 * len(steps) + OWN_LAGS)), default=0.0)
            open_share = min(1 - past, 1 - _own_r2(y, ahead))
            if open_share > FORETOLD and (1 - r2) * UNEXPLAINED < open_share:
                yield Match(r2, ahead, stretch.name, stretch.times[first])


def _followed(x: np.ndarray, y: np.ndarray, clock: np.ndarray, ahead: int) -> tuple[float, int]:
    """R² of a line from the changes of x to those of y `ahead` steps later, and the first row of x it is seen in.

    The lower one of all pairs and of all but the tenth with the largest changes, which a single event may rule.
    """
    places = np.searchsorted(clock, clock + ahead)
    meets = (places < len(clock)) & (clock[np.minimum(places, len(clock) - 1)] == clock + ahead)
    rows = np.flatnonzero(meets)
    one, two = x[rows], y[places[rows]]
    dx, dy = np.diff(one), np.diff(two)
    fine = np.isfinite(dx) & np.isfinite(dy) & ((dx != 0) | (dy != 0))
    dx, dy, starts = dx[fine], dy[fine], rows[:-1][fine]
    if len(dx) < MIN_PAIRS or len(np.unique(dy)) < MIN_DISTINCT:
        return 0.0, 0
    calm = np.abs(dy) <= np.quantile(np.abs(dy), 0.9)
    return min(_r2(dx, dy), _r2(dx[calm], dy[calm])), int(starts[0])


def _r2(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(), y - y.mean()
    norm = (x @ x) * (y @ y)
    return float((x @ y) ** 2 / norm) if norm > 0 else 0.0


def _own_r2(y: np.ndarray, ahead: int) -> float:
    """R² of a line from the target's last changes to its change `ahead` steps later: how far it foretells itself."""
    dy = np.diff(y)
    reach = OWN_LAGS + max(ahead, 1)
    if len(dy) < 3 * reach:
        return 0.0
    windows = np.lib.stride_tricks.sliding_window_view(dy, reach)
    windows = windows[np.isfinite(windows).all(axis=1)]
    if len(windows) < 2 * OWN_LAGS:
        return 0.0
    design = np.column_stack([windows[:, :OWN_LAGS], np.ones(len(windows))])
    goal = windows[:, -1]
    left = goal - design @ np.linalg.lstsq(design, goal, rcond=None)[0]
    spread = np.sum((goal - goal.mean()) ** 2)
    return float(1 - (left @ left) / spread) if spread > 0 else 0.0
