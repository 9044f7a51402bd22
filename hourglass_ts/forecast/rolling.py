"""Forecasting from many origins with anything that keeps the protocol."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone

from hourglass_ts.errors import DataError, Problem, raise_problem, raise_problems
from hourglass_ts.frames.columns import to_times
from hourglass_ts.frames.origins import row_times
from hourglass_ts.frames.roles import Roles
from hourglass_ts.frames.vintages import Vintages
from hourglass_ts.frames.wording import show_time


@dataclass(frozen=True)
class Timeline:
    """A user's frame with its roles, and the time of every row, so that it can be cut at an origin.

    df: any frame that `fit` takes.  roles: with time and target filled in.  times (n_rows,).
    """

    df: pd.DataFrame
    roles: Roles
    times: pd.Index

    @classmethod
    def of(cls, df: pd.DataFrame, roles: Roles) -> Timeline:
        """Read the times of a frame."""
        return cls(df, roles, row_times(df, roles))

    def between(self, first: Any, last: Any) -> pd.DataFrame:
        """The rows from `first`, or the beginning where that is None, to `last`."""
        rows = self.times <= last
        return self.df[rows if first is None else rows & (self.times >= first)]

    def known_after(self, origin: Any) -> pd.DataFrame:
        """Times, series and known columns of the rows after the origin, and no other column."""
        labels = [
            label for label in (self.roles.time, *self.roles.series, *self.roles.known) if label in self.df.columns
        ]
        return self.df.loc[self.times > origin, labels]

    def of_series_until(self, last: Any) -> Timeline:
        """Without the rows of series that have none up to `last`."""
        keys = list(self.roles.series)
        if not keys:
            return self
        own = pd.MultiIndex.from_frame(self.df[keys].astype(object))
        rows = own.isin(own[self.times <= last])
        return Timeline(self.df[rows], self.roles, self.times[rows])

    @property
    def arguments(self) -> dict[str, Any]:
        """The roles as `fit` takes them."""
        roles = self.roles
        one = {
            name: (part[0] if len(part) == 1 else list(part) or None)
            for name, part in (("target", roles.target), ("series", roles.series))
        }
        given = {name: list(getattr(roles, name)) for name in ("known", "past", "static") if getattr(roles, name)}
        return {"time": roles.time, **one, **given}


def rolling_forecasts(
    model: Any,
    timeline: Timeline,
    origins: Sequence[Any],
    *,
    vintages: Vintages | None = None,
    starts: Sequence[Any] | None = None,
) -> pd.DataFrame:
    """Forecast from every origin with a fitted model, which sees the rows up to it and no later one but known columns.

    starts: the first time in view for every origin; None shows all history.

    Returns:
        The model's own columns with `origin`, and `lead`: 1 is the first step that it forecasts for a series.

    Raises:
        DataError: a forecast lacks a column, or gives a series and time twice.
    """
    if hasattr(model, "forecast_from"):
        return model.forecast_from(timeline.df, origins, vintages=vintages, starts=starts)
    roles = timeline.roles
    parts = []
    for origin, start in zip(origins, starts or [None] * len(origins), strict=True):
        history = timeline.between(start, origin)
        known: dict[str, Any] = {}
        if roles.known:
            known["known"] = timeline.known_after(origin) if vintages is None else vintages.known_at(origin)
        frame, lead = with_leads(model.forecast(history, **known), roles, model)
        frame.insert(0, "origin", origin)
        frame.insert(frame.columns.get_loc("forecast"), "lead", lead)
        parts.append(frame)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def with_leads(frame: Any, roles: Roles, model: Any) -> tuple[pd.DataFrame, np.ndarray]:
    """What `model.forecast` gave, checked, and every row's lead: its place among the times of its series.

    Raises:
        DataError: it is no frame, lacks a column or has one of ours, or gives a series and time twice.
    """
    keys = [*roles.series, *(["target"] if len(roles.target) > 1 else [])]
    frame = _checked(frame, [*keys, roles.time], model).reset_index(drop=True)
    moments = pd.Series(to_times(frame[roles.time]).values)
    owners = [frame[label].astype(object) for label in keys]
    ranked = moments.groupby(owners, sort=False) if keys else moments
    return frame, ranked.rank(method="first").to_numpy(np.int64)


def new_copy(model: Any) -> Any:
    """An unfitted copy of a model, without a progress bar of its own."""
    copy = clone(model) if isinstance(model, BaseEstimator) else deepcopy(model)
    if isinstance(copy, BaseEstimator) and "progress" in copy.get_params(deep=False):
        copy.set_params(progress=False)
    return copy


def _checked(frame: Any, keys: list[Hashable], model: Any) -> pd.DataFrame:
    name = type(model).__name__
    if not isinstance(frame, pd.DataFrame):
        found = f"a {type(frame).__name__} from {name}.forecast"
        raise_problem(DataError, Problem(found, "a DataFrame", "Return one row per series and time."))
    problems = [
        Problem(f"no such column in what {name}.forecast gives", f"one of {list(frame.columns)}", "Add it.", label)
        for label in (*keys, "forecast")
        if label not in frame.columns
    ]
    problems += [
        Problem(f"a column in what {name}.forecast gives that is added here", "none", "Leave it out.", label)
        for label in ("origin", "lead")
        if label in frame.columns
    ]
    raise_problems(DataError, problems)
    doubled = frame[frame.duplicated(keys)]
    if len(doubled):
        found = f"{len(doubled)} rows of {name}.forecast for a series and time that it gives already"
        at = show_time(doubled[keys[-1]].iloc[0])
        raise_problem(DataError, Problem(found, "one row each", "Drop them.", column=keys[-1], at=at))
    return frame
