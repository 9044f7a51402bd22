"""What came true: actual values by series and time, and what errors are measured against."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import DataError, Problem, raise_problem
from hourglass_ts.frames.origins import panel_times
from hourglass_ts.frames.schema import OBSERVED, TIME, UNIT, VALUE, Panel
from hourglass_ts.frames.vintages import comparable
from hourglass_ts.metrics.points import seasonal_naive_mae, seasonal_naive_mse


@dataclass(frozen=True)
class Truth:
    """The observed values of a panel, found by unit and place on the time axis.

    panel: units are numbered by it.  times: its time axis.  codes (n,): unit × len(times) + place of every observed
    value, ascending.  values (n,).
    """

    panel: Panel
    times: pd.Index
    codes: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, panel: Panel) -> Truth:
        """Read a panel."""
        times = panel_times(panel)
        table = panel.table[panel.table[OBSERVED]]
        codes = table[UNIT].to_numpy() * len(times) + times.get_indexer(pd.Index(table[TIME]))
        return cls(panel, times, codes, table[VALUE].to_numpy())

    def scored_rows(self, frame: pd.DataFrame, gap: int, horizon: int) -> dict[str, np.ndarray]:
        """The rows of a forecast frame that have an actual value and a lead from gap + 1 to horizon, as arrays.

        row: their number in the frame.  unit, time: numbers of the panel and its axis.  lead, actual, and every column
        of forecasts.
        """
        if not len(frame):
            columns = {name: np.zeros(0, dtype=np.int64) for name in ("row", "unit", "time", "lead")}
            return columns | {name: np.zeros(0) for name in ("actual", "forecast")}
        unit = self.units_of(frame)
        given_times = pd.Index(frame[self.panel.roles.time])
        if not comparable(given_times, self.times):
            found, expected = f"forecasts for times of type {given_times.dtype}", f"{self.times.dtype}, as in the data"
            problem = Problem(found, expected, "Give the times back as they came.", column=self.panel.roles.time)
            raise_problem(DataError, problem)
        place = self.times.get_indexer(given_times)
        code = unit * len(self.times) + place
        found = np.minimum(np.searchsorted(self.codes, code), len(self.codes) - 1)
        lead = frame["lead"].to_numpy()
        rows = np.flatnonzero((place >= 0) & (self.codes[found] == code) & (lead > gap) & (lead <= horizon))
        columns = {"row": rows, "unit": unit[rows].astype(np.int32), "time": place[rows].astype(np.int32)}
        columns |= {"lead": lead[rows].astype(np.int32), "actual": self.values[found[rows]]}
        given = [label for label in frame.columns if label == "forecast" or is_quantile(label)]
        return columns | {str(label): _finite(frame[label].to_numpy(np.float64)[rows]) for label in given}

    def scales(self, until: Any, season: int | None) -> pd.DataFrame:
        """MAE and MSE of the seasonal naive forecast inside every unit's rows up to a time: one row per unit.

        season: steps; None takes the natural one of each unit's calendar. NaN where nothing changes over a season.
        """
        table = self.panel.table[pd.Index(self.panel.table[TIME]) <= until]
        ends = np.cumsum(np.bincount(table[UNIT].to_numpy(), minlength=len(self.panel.keys)))
        rows = []
        for values, calendar in zip(np.split(table[VALUE].to_numpy(), ends[:-1]), self.panel.calendars, strict=True):
            steps = season or calendar.season_length
            rows.append((seasonal_naive_mae(values, steps), seasonal_naive_mse(values, steps)))
        return pd.DataFrame(rows, columns=["mae", "mse"]).replace(0.0, np.nan)

    def volatility(self, places: np.ndarray, decay: float) -> np.ndarray:
        """(n_places, n_units): exponentially weighted mean absolute change of every unit up to those times.

        NaN before a unit's second value. A change over a hole counts once.
        """
        unit = self.codes // len(self.times)
        change = pd.Series(self.values).groupby(unit).diff().abs()
        level = change.groupby(unit).ewm(alpha=1 - decay, ignore_na=True).mean().to_numpy()
        wanted = np.arange(len(self.panel.keys)) * len(self.times) + np.asarray(places)[:, None]
        row = np.searchsorted(self.codes, wanted, side="right") - 1
        inside = (row >= 0) & (unit[np.maximum(row, 0)] == np.arange(len(self.panel.keys)))
        return np.where(inside, level[np.maximum(row, 0)], np.nan)

    @property
    def names(self) -> list[str]:
        """A name for every unit: its ids, and its target where there are several; "" for the only one."""
        keys = self.panel.keys.astype(str)
        return keys.agg(" · ".join, axis=1).tolist() if len(keys.columns) else [""] * len(keys)

    def units_of(self, frame: pd.DataFrame) -> np.ndarray:
        """The number of every row's unit; a DataError for a series that the data do not have."""
        keys: list[Hashable] = list(self.panel.keys.columns)
        if not keys:
            return np.zeros(len(frame), dtype=np.int64)
        owners = pd.MultiIndex.from_frame(self.panel.keys.astype(object))
        unit = owners.get_indexer(pd.MultiIndex.from_frame(frame[keys].astype(object)))
        if (unit < 0).any():
            stranger = frame[keys].iloc[int((unit < 0).argmax())].tolist()
            problem = Problem(
                "forecasts of a series that the data do not have",
                "the data's own",
                "Give the ids back as they came.",
                column=keys[0] if len(keys) == 1 else None,
                series=stranger[0] if len(keys) == 1 else tuple(stranger),
            )
            raise_problem(DataError, problem)
        return unit


def _finite(values: np.ndarray) -> np.ndarray:
    """Values with NaN for those that are no finite number, so that no mean is infinite."""
    return np.where(np.isfinite(values), values, np.nan)


def is_quantile(label: Hashable) -> bool:
    """Whether a column is named as a quantile forecast is: `q0.1`.

    Example:
        >>> is_quantile("q0.1"), is_quantile("quality")
        (True, False)
    """
    try:
        return isinstance(label, str) and label[:1] == "q" and 0 < float(label[1:]) < 1
    except ValueError:
        return False
