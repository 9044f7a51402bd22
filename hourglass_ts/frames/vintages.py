"""Known covariates as they were known at the time: every value with the moment when it was issued."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hourglass_ts.errors import DataError, Problem, raise_problems
from hourglass_ts.frames.columns import to_times
from hourglass_ts.frames.wording import show_time


@dataclass(frozen=True)
class Vintages:
    """Issues of known covariates, such as yesterday's and today's weather forecast of the same hour.

    frame: one row per issue, series and time, with the known columns.  issued: the column that says when a row became
    known.  time, series: its other key columns.

    Example:
        >>> issues = pd.DataFrame({"t": [5, 5, 6], "made": [3, 4, 4], "rain": [1.0, 2.0, 3.0]})
        >>> Vintages(issues, "made", "t").known_at(3)["rain"].tolist()
        [1.0]
        >>> Vintages(issues, "made", "t").known_at(4)["rain"].tolist()
        [2.0, 3.0]
    """

    frame: pd.DataFrame
    issued: Hashable
    time: Hashable
    series: Sequence[Hashable] = ()

    def check(self, known: Sequence[Hashable], times: pd.Index) -> None:
        """Raise a DataError for columns that lack, and for issue times that cannot be compared with `times`."""
        wanted = [self.issued, self.time, *self.series, *known]
        problems = [
            Problem("no such column in `vintages`", f"one of {list(self.frame.columns)}", "Add it.", column=label)
            for label in wanted
            if label not in self.frame.columns
        ]
        if not problems:
            read = to_times(self.frame[self.issued])
            if read.missing.any() or not comparable(read.values, times):
                found = f"issue times of type {self.frame[self.issued].dtype}" + (
                    f", {int(read.missing.sum())} of them missing" if read.missing.any() else ""
                )
                expected = f"times that compare with the data's, such as {show_time(times[0])}"
                problems.append(Problem(found, expected, "Convert the column.", column=self.issued))
        raise_problems(DataError, problems)

    def known_at(self, origin: Any) -> pd.DataFrame:
        """The newest row of every series and time among those issued up to `origin`."""
        issued = to_times(self.frame[self.issued]).values
        order = issued.argsort(kind="stable")
        usable = order[issued[order] <= origin]
        return self.frame.iloc[usable].drop_duplicates([*self.series, self.time], keep="last")


def comparable(given: pd.Index, times: pd.Index) -> bool:
    """Whether times are of a kind with the data's: no integers beside datetimes, no naive ones beside aware ones."""
    try:
        _ = given[:1] <= times[0]
    except TypeError:
        return False
    return True
