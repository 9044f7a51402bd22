"""Whose rows are whose, and on what scale a made adjusted close goes on after the rows that it was fitted on."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import pandas as pd

from hourglass_ts.errors import Problem
from hourglass_ts.frames.market.bars import EVENTS, forward_factors
from hourglass_ts.frames.wording import show_time

Factors = dict[tuple[str, ...], list[tuple[pd.Timestamp, float]]]
"""By the ids of a series: from which day on which number times the close is the adjusted close."""


def names_of(frame: pd.DataFrame, series: list[Hashable], owner: pd.Series) -> list[str]:
    """A name for every series; "" for the only one of a frame without ids."""
    if not series:
        return [""]
    return [" ".join(ids) for ids in ids_of(frame, series, owner)]


def ids_of(frame: pd.DataFrame, series: list[Hashable], owner: pd.Series) -> list[tuple[str, ...]]:
    """The ids of every series as text; one () where there are no ids."""
    first = frame.loc[~owner.duplicated(), series]
    return [tuple(map(str, row)) for row in first.itertuples(index=False, name=None)] if series else [()]


def owner_of(frame: pd.DataFrame, series: list[Hashable]) -> pd.Series:
    """The number of every row's series."""
    if not series:
        return pd.Series(0, frame.index)
    return frame.groupby(series, sort=False, dropna=False, observed=True).ngroup()


def factors_of(tidy: pd.DataFrame, parts: Mapping[str, Hashable], time: Hashable, series: list[Hashable]) -> Factors:
    """The adjusted close over the close, of every series at its first close, where it changes, and at its last close.

    Nothing where no split or dividend could change it, or where the adjusted close is another column of the user's.
    """
    if "close" not in parts or parts.get("adjusted_close") != "adjusted_close" or not {*EVENTS} & parts.keys():
        return {}
    owner, close = owner_of(tidy, series), tidy[parts["close"]]
    start = (tidy["adjusted_close"] / close).groupby(owner).transform("first")
    table = pd.DataFrame({"day": _days(tidy, time), "factor": start * forward_factors(tidy, parts, owner)})
    ids, factors = ids_of(tidy, series, owner), {}
    for number, rows in table[tidy["adjusted_close"].notna() & close.notna()].groupby(owner):
        changed = rows["factor"].ne(rows["factor"].shift()) | (rows.index == rows.index[-1])
        factors[ids[number]] = [(day, float(factor)) for day, factor in rows[changed].itertuples(index=False)]
    return factors


def rescaled(
    adjusted: pd.Series,
    factors: Factors,
    frame: pd.DataFrame,
    parts: Mapping[str, Hashable],
    time: Hashable,
    series: list[Hashable],
    owner: pd.Series,
) -> tuple[pd.Series, list[Problem]]:
    """The made adjusted close on the fitted scale, and the series of which no row can say what that is.

    The first row between the first and last fitted ones says it: what was made there of fitted rows alone.
    """
    days, ratio = _days(frame, time), adjusted / frame[parts["close"]]
    scale, problems = pd.Series(1.0, frame.index), []
    for number, ids in enumerate(ids_of(frame, series, owner)):
        own = days[(owner == number) & ratio.notna()]
        if ids not in factors or own.empty:
            continue
        known = pd.DatetimeIndex([day for day, _ in factors[ids]])
        within = own.index[(own >= known[0]) & (own <= known[-1])]
        if within.empty:
            found = "no row of the training rows, which alone say at what the made adjusted close goes on"
            hint = f"Bring the row of {show_time(known[-1])} and those after it, or an adjusted close."
            expected = f"a close between {show_time(known[0])} and {show_time(known[-1])}"
            name, at = " ".join(ids) or None, show_time(own.iloc[0])
            problems.append(Problem(found, expected, hint, column=parts["close"], series=name, at=at))
            continue
        place = known.searchsorted(days[within[0]], side="right") - 1
        scale[owner == number] = factors[ids][place][1] / ratio[within[0]]
    return adjusted * scale, problems


def _days(frame: pd.DataFrame, time: Hashable) -> pd.Series:
    """The days of the rows, whatever their time zone."""
    return frame[time].dt.tz_localize(None)
