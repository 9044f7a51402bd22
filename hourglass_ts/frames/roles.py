"""Which of the user's columns plays what part, and where each is found: among the columns or in the index."""

from __future__ import annotations

import difflib
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem, raise_problems

UNIT, STEP, TIME, VALUE, OBSERVED = "__unit__", "__step__", "__time__", "__value__", "__observed__"
RESERVED = (UNIT, STEP, TIME, VALUE, OBSERVED)
TIME_LABEL = "time"
"""What the time is called where it is an index without a name."""


@dataclass(frozen=True)
class Roles:
    """The user's columns by role; labels exactly as the user's (strings, ints, tuples…).

    No `target` means a wide frame: every numeric column without another role is one. `time` None means the index.

    Example:
        >>> Roles.from_arguments(time="date", target="y", known=["price", 3]).known
        ('price', 3)
    """

    time: Hashable = None
    target: tuple[Hashable, ...] = ()
    series: tuple[Hashable, ...] = ()
    known: tuple[Hashable, ...] = ()
    past: tuple[Hashable, ...] = ()
    static: tuple[Hashable, ...] = ()

    @classmethod
    def from_arguments(
        cls,
        time: Hashable = None,
        target: Any = None,
        series: Any = None,
        known: Any = None,
        past: Any = None,
        static: Any = None,
    ) -> Roles:
        """Accept one label or a list of labels for each role; a tuple is one label.

        Raises SettingsError when a column has two roles.
        """
        several = {"target": target, "series": series, "known": known, "past": past, "static": static}
        named = {role: _labels(role, given) for role, given in several.items()}
        roles = cls(time=_labels("time", [time])[0], **named)
        owners: dict[Hashable, list[str]] = {}
        for role, label in roles.pairs():
            owners.setdefault(label, []).append(role)
        raise_problems(
            SettingsError,
            [
                Problem(f"the roles {', '.join(parts)}", "one role per column", "Name it once.", column=label)
                for label, parts in owners.items()
                if len(parts) > 1
            ],
        )
        return roles

    def pairs(self) -> list[tuple[str, Hashable]]:
        """List every (role, column label); `time` only when it is named."""
        named = [("time", self.time)] if self.time is not None else []
        several = {
            "target": self.target,
            "series": self.series,
            "known": self.known,
            "past": self.past,
            "static": self.static,
        }
        return named + [(role, label) for role, labels in several.items() for label in labels]

    @property
    def covariates(self) -> tuple[Hashable, ...]:
        """The known, past and static columns, in this order."""
        return (*self.known, *self.past, *self.static)


def _labels(role: str, given: Any) -> tuple[Hashable, ...]:
    if given is None:
        return ()
    labels = tuple(given) if isinstance(given, (list, set, frozenset, np.ndarray, pd.Index, pd.Series)) else (given,)
    for label in labels:
        try:
            hash(label)
        except TypeError as error:
            problem = Problem(f"{role}={given!r}", "a column label or a list of labels", "Name columns.")
            raise SettingsError(str(problem)) from error
    return labels


def _one_nan(label: Hashable) -> Hashable:
    return np.nan if isinstance(label, float) and label != label else label


class Source:
    """A user's frame, read by label from its columns or its index levels, never by its index values.

    Raises DataError when it is no frame, has no rows, or has ambiguous or reserved labels.
    """

    def __init__(self, df: Any) -> None:
        if not isinstance(df, pd.DataFrame):
            hint = (
                "Pass series.to_frame('y')." if isinstance(df, pd.Series) else "Pass a frame, e.g. pd.DataFrame(data)."
            )
            raise_problem(DataError, Problem(f"a {type(df).__name__}", "a pandas DataFrame", hint))
        if len(df) == 0:
            raise_problem(DataError, Problem("a frame without rows", "one row or more", "Check how the data is read."))
        self.df = df
        self.columns = [_one_nan(label) for label in df.columns.to_flat_index()]
        self._place = {label: place for place, label in enumerate(self.columns)}
        self._levels = {name: level for level, name in enumerate(df.index.names) if name is not None}
        if is_dated(df.index) and df.index.name is None and TIME_LABEL not in self._place:
            self._levels[TIME_LABEL] = 0
        names = [name for name in df.index.names if name is not None]
        repeated = [label for i, label in enumerate(self.columns) if self._place[label] != i]
        repeated += [name for i, name in enumerate(names) if name in names[:i]]
        problems = [
            Problem("the label more than once", "labels that differ", "Rename or drop a column.", column=label)
            for label in dict.fromkeys(repeated)
        ]
        problems += [
            Problem("a reserved label", f"none of {', '.join(RESERVED)}", "Rename the column.", column=label)
            for label in RESERVED
            if label in self
        ]
        raise_problems(DataError, problems)

    def __contains__(self, label: Hashable) -> bool:
        return label in self._place or label in self._levels

    def __getitem__(self, label: Hashable) -> pd.Series:
        """Give a column (or else an index level) as a positional Series: a copy-on-write view of the user's data."""
        if label in self._place:
            column = self.df.iloc[:, self._place[label]].reset_index(drop=True)
        else:
            column = pd.Series(self.df.index.get_level_values(self._levels[label]))
        # What is true of Arrow's dictionaries is true of the values they encode; pandas can do little with them.
        return column.astype(object) if str(column.dtype).startswith("dictionary<") else column

    def missing(self, roles: Roles) -> list[Problem]:
        """Give one problem per role that names a column which is not there, with the closest spelling."""
        return [
            Problem(f"no such column for `{role}`", "one of the frame's columns", self._advice(label), column=label)
            for role, label in roles.pairs()
            if label not in self
        ]

    def _advice(self, label: Hashable) -> str:
        labels = [*self.columns, *self._levels]
        if isinstance(label, tuple) and all(part in self for part in label):
            return f"A tuple is one label; for several columns pass a list: {list(label)!r}."
        by_text = {str(name).casefold(): name for name in reversed(labels)}
        close = difflib.get_close_matches(str(label).casefold(), list(by_text), n=1, cutoff=0.5)
        if close:
            return f"Did you mean {by_text[close[0]]!r}?"
        shown = ", ".join(repr(name) for name in labels[:10]) + (", …" if len(labels) > 10 else "")
        return f"The frame has {shown}."


def resolve(source: Source, roles: Roles) -> tuple[Roles, pd.Series, tuple[str, ...]]:
    """Fill in what `roles` leaves open: the time taken from the index, the targets of a wide frame.

    Returns (roles, the time column, notes). Raises one DataError for all columns that are missing.
    """
    problems = source.missing(roles)
    time = source[roles.time] if roles.time in source and roles.time is not None else None
    if roles.time is None:
        label, time = _time_from_index(source)
        roles = replace(roles, time=label)
        if time is None:
            problems.append(_no_time(source))
    notes: tuple[str, ...] = ()
    if not roles.target:
        taken = {label for _, label in roles.pairs()}
        free = [label for label in source.columns if label not in taken]
        wide = [label for label in free if _can_be_target(source[label].dtype)]
        left = [repr(label) for label in free if label not in wide]
        if not wide:
            hint = "Pass target='…', or convert the columns with pd.to_numeric."
            problems.append(Problem("no numeric column without a role", "at least one target", hint))
        if left:
            notes = (f"columns without a role, not numeric, left out: {', '.join(left)}",)
        roles = replace(roles, target=tuple(wide))
    if len(roles.target) > 1 and "target" in roles.series:
        hint = "Rename it: with several targets, 'target' is the column that tells them apart."
        problems.append(Problem("a series column with this name", "another name", hint, column="target"))
    raise_problems(DataError, problems)
    return roles, time if time is not None else pd.Series(dtype="int64"), notes


def _can_be_target(dtype: Any) -> bool:
    return types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype) and not types.is_complex_dtype(dtype)


def _time_from_index(source: Source) -> tuple[Hashable, pd.Series | None]:
    """Take the index as time: datetimes or periods, or integers under a name."""
    index = source.df.index
    levels = [index.get_level_values(level) for level in range(index.nlevels)]
    dated = [level for level in levels if is_dated(level)]
    if not dated and len(levels) == 1 and index.name is not None and types.is_integer_dtype(index.dtype):
        dated = levels
    if len(dated) != 1:
        return None, None
    name = dated[0].name if dated[0].name is not None else TIME_LABEL
    return (None, None) if name in source.columns else (name, pd.Series(dated[0]))


def is_dated(times: pd.Index | pd.Series) -> bool:
    """Whether these are datetimes or periods."""
    return times.dtype.kind == "M" or isinstance(times.dtype, pd.PeriodDtype)


def _no_time(source: Source) -> Problem:
    dates = [repr(label) for label in source.columns if source[label].dtype.kind == "M"]
    dates += [repr(name) for name in source.df.index.names if name is not None]
    hint = f"Pass time={dates[0]}." if dates else "Pass time='…', or set a DatetimeIndex."
    return Problem("no time column and no index of times", "`time`, or a DatetimeIndex or named integer index", hint)
