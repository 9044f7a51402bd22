"""Which rows every fold of a backtest learns from, forecasts from, and is scored on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problems
from hourglass_ts.forecast.checks import count_problems
from hourglass_ts.frames.origins import on_clock
from hourglass_ts.frames.wording import show_time


@dataclass(frozen=True)
class Fold:
    """One origin of a backtest.

    origin: the last time that its forecast sees.  start: the first one, None for all history.  fit: the number of the
    fit that it uses, on the rows from `fit_start` (None: from the beginning) to `fit_end`.
    """

    number: int
    origin: Any
    start: Any
    fit: int
    fit_start: Any
    fit_end: Any


@dataclass(frozen=True)
class FoldPlan:
    """How the folds of a backtest lie on its time axis, in steps of that axis.

    horizon: leads to score.  folds: how many, the last of which ends with the data; or the origins themselves.
    stride: from origin to origin, None for one horizon.
    gap: leads 1 … gap are not scored, as for data that arrive late.
    embargo: a fit's rows end so many steps before its first origin. A target that spans s steps (a 5-day return) needs
        embargo = gap = s − 1, which purges the rows whose targets reach into the test.
    window: steps of history to fit on and to forecast from, None for all (expanding).
    refit: False fits once, True in every fold, n in every n-th.
    """

    horizon: int
    folds: int | Sequence[Any] = 8
    stride: int | None = None
    gap: int = 0
    embargo: int = 0
    window: int | None = None
    refit: bool | int = False

    def check(self) -> None:
        """Raise one SettingsError for everything that no data could satisfy."""
        optional = {name: getattr(self, name) for name in ("stride", "window") if getattr(self, name) is not None}
        problems = count_problems(horizon=self.horizon, **optional)
        if not isinstance(self.folds, Iterable) or isinstance(self.folds, str):
            problems += count_problems(folds=self.folds)
        for name in ("gap", "embargo"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
                problems.append(Problem(f"{name}={value!r}", "a number of steps, 0 or more", f"Pass another {name}."))
        if not isinstance(self.refit, (bool, int, np.integer)) or self.refit < 0:
            problems.append(
                Problem(f"refit={self.refit!r}", "False, True, or every how many folds", "Pass for example refit=4.")
            )
        if not problems and self.gap >= self.horizon:
            problems.append(
                Problem(
                    f"gap={self.gap} with a horizon of {self.horizon} steps",
                    "a gap shorter than the horizon: no lead is left to score",
                    "Pass a longer horizon or a shorter gap.",
                )
            )
        raise_problems(SettingsError, problems)

    def lay(self, times: pd.Index) -> list[Fold]:
        """The folds on the time axis `times`, in order. Raises a DataError where they do not fit."""
        self.check()
        places = self._given(times, self.folds) if isinstance(self.folds, Iterable) else self._counted(times)
        every = 0 if self.refit is False else int(self.refit)
        folds: list[Fold] = []
        for number, place in enumerate(places):
            fit = 0 if every == 0 else number // every
            first = places[0] if every == 0 else places[fit * every]
            end = first - self.embargo
            folds.append(
                Fold(
                    number=number,
                    origin=times[place],
                    start=self._start(times, place),
                    fit=fit,
                    fit_start=self._start(times, end),
                    fit_end=times[end],
                )
            )
        return folds

    def _start(self, times: pd.Index, end: int) -> Any:
        return None if self.window is None or end + 1 <= self.window else times[end + 1 - self.window]

    def _counted(self, times: pd.Index) -> list[int]:
        stride = self.stride or self.horizon
        last = len(times) - 1 - self.horizon
        first = last - (int(self.folds) - 1) * stride  # type: ignore[arg-type]
        if first - self.embargo < 0:
            needed = (int(self.folds) - 1) * stride + self.horizon + self.embargo + 1  # type: ignore[arg-type]
            most = max((last - self.embargo) // stride + 1, 0) if last >= self.embargo else 0
            hint = f"Pass folds={most} or fewer" if most else "Pass a shorter horizon or embargo"
            found = f"{len(times)} steps in the data"
            expected = f"{needed} or more for {self.folds} folds of {self.horizon} steps, {stride} apart" + (
                f", after an embargo of {self.embargo}" if self.embargo else ""
            )
            raise_problems(DataError, [Problem(found, expected, f"{hint}, or bring more history.")])
        return list(range(first, last + 1, stride))

    def _given(self, times: pd.Index, folds: Iterable[Any]) -> list[int]:
        origins = pd.Index([on_clock(origin, times) for origin in folds])
        problems: list[Problem] = []
        if len(origins) == 0:
            problems.append(Problem("no origins", "one or more", "Pass folds=8, or a list of times."))
        elif not origins.is_monotonic_increasing or origins.has_duplicates:
            problems.append(Problem("origins out of order or twice", "each once, in order", "Sort them."))
        try:
            places = [int(place) - 1 for place in times.searchsorted(origins, side="right")] if not problems else []
        except TypeError:
            places = []
            found = f"origins of type {origins.dtype}"
            problems.append(Problem(found, f"times such as {show_time(times[0])}", "Convert them."))
        for place, origin in zip(places, origins, strict=False):
            if place - self.embargo < 0:
                found, expected = "no training rows up to an origin", f"history and an embargo of {self.embargo} steps"
                problems.append(Problem(found, expected, "Pass later origins.", at=show_time(origin)))
            elif place + self.horizon > len(times) - 1:
                found = f"{len(times) - 1 - place} steps of test data after an origin"
                expected = f"a horizon of {self.horizon}"
                problems.append(Problem(found, expected, "Pass earlier origins.", at=show_time(origin)))
        if not problems and len(set(places)) < len(places):
            problems.append(Problem("two origins with no time of the data between them", "one each", "Drop one."))
        raise_problems(DataError, problems[:5])
        return places
