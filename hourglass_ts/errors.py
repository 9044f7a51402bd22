"""Exceptions by blame, and the one way their messages are built.

Every error a user can cause is a `HourGlassError`. Its subclass says where to look: the data, the settings, a saved
model, or a missing extra. A check collects all `Problem`s it finds and raises once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from sklearn.exceptions import NotFittedError as SklearnNotFittedError


class HourGlassError(Exception):
    """Base class of everything this library raises on purpose."""


class DataError(HourGlassError, ValueError):
    """The data must change: a column, a series, a time or a value is not what was asked for."""


class SettingsError(HourGlassError, ValueError):
    """An argument must change."""


class NotFittedError(HourGlassError, SklearnNotFittedError):
    """`fit` must come first."""


class SavedModelError(HourGlassError):
    """A saved model is incomplete, altered, or of a version that this release cannot read."""


class MissingExtraError(HourGlassError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where it is, what was found, what was expected, and what to do next."""

    found: str
    expected: str
    next_step: str
    column: Any = None
    series: Any = None
    at: Any = None

    def __str__(self) -> str:
        where = [
            f"column {self.column!r}" if self.column is not None else "",
            f"series {self.series!r}" if self.series is not None else "",
            f"first at {self.at}" if self.at is not None else "",
        ]
        place = ", ".join(part for part in where if part)
        text = f"found {self.found}; expected {self.expected}. {self.next_step}"
        return f"{place}: {text}" if place else text[0].upper() + text[1:]


def raise_problems(error: type[HourGlassError], problems: Iterable[Problem]) -> None:
    """Raise one `error` that lists every problem; do nothing when there is none.

    Example:
        >>> raise_problems(DataError, [])
        >>> raise_problems(DataError, [Problem("text", "numbers", "Convert it.", column="y")])
        Traceback (most recent call last):
            ...
        hourglass_ts.errors.DataError: column 'y': found text; expected numbers. Convert it.
    """
    found = [str(problem) for problem in problems]
    if len(found) == 1:
        raise error(found[0])
    if found:
        raise error(f"{len(found)} problems:\n" + "\n".join(f"  - {text}" for text in found))


def raise_problem(error: type[HourGlassError], problem: Problem) -> NoReturn:
    """Raise one `error` about one problem."""
    raise error(str(problem))
