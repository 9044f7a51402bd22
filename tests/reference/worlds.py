"""Small frames of every shape that forecasts must cope with, and the plain way to cut them at an origin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.frames.schema import Roles

N_STEPS, FIT_STEP, HORIZON = 90, 65, 3
ORIGIN_STEPS = (66, 72, 80, 86)  # at 72 there are holes


@dataclass(frozen=True)
class World:
    """A frame, the roles of its columns, its time axis (n,) and frequency; the frame's rows may lie in any order."""

    df: pd.DataFrame
    roles: dict[str, Any]
    axis: pd.Index
    freq: Any = "D"

    @property
    def times(self) -> pd.Index:
        """The time of every row of the frame."""
        label = self.roles.get("time")
        return self.df.index if label is None else pd.Index(self.df[label])

    @property
    def checked_roles(self) -> Roles:
        """The roles as `check_frame` takes them."""
        return Roles.from_arguments(**self.roles)

    @property
    def origins(self) -> list[Any]:
        return list(self.axis[list(ORIGIN_STEPS)])

    def up_to(self, origin: Any, start: Any = None) -> pd.DataFrame:
        rows = self.times <= origin
        return self.df[rows if start is None else rows & (self.times >= start)]

    def known_after(self, origin: Any) -> dict[str, Any]:
        """The argument `known`, where there are known columns: their rows after the origin."""
        if "known" not in self.roles:
            return {}
        labels = ["t", "id", *self.roles["known"]]
        return {"known": self.df.loc[self.times > origin, labels]}

    def with_other_future(self, origin: Any, seed: int = 0) -> pd.DataFrame:
        """Other targets and past covariates in all rows after the origin."""
        rng, df, late = np.random.default_rng(seed), self.df.copy(), np.asarray(self.times > origin)
        kept = {"t", "id", *self.roles.get("known", ()), *self.roles.get("static", ())}
        for label in df.columns.difference(list(kept)):
            if pd.api.types.is_numeric_dtype(df[label]):
                df[label] = df[label].where(~late, 1e3 * (1 + rng.random(len(df))))
            else:
                df[label] = df[label].where(~late, "another")
        return df


def _values(n: int, seed: int, level: float = 20.0) -> np.ndarray:
    """Positive, with a season of seven."""
    steps = np.arange(n)
    return level + 5 * np.sin(2 * np.pi * steps / 7) + np.random.default_rng(seed).gamma(2.0, 1.0, n)


def _alone(axis: pd.Index, freq: Any) -> World:
    return World(pd.DataFrame({"t": axis, "y": _values(len(axis), 1)}), {"time": "t", "target": "y"}, axis, freq)


def _holey() -> World:
    """`a` with a hole at an origin, `b` begins late and lacks rows, `c` ends early, `d` begins after the fit."""
    axis = pd.date_range("2024-01-01", periods=N_STEPS)
    parts = {
        name: pd.DataFrame({"id": name, "t": axis, "y": _values(N_STEPS, seed, 10.0 * seed + 20)})
        for seed, name in enumerate("abcd")
    }
    parts["a"].loc[[5, 40, 71, 72, 81], "y"] = np.nan
    parts["b"] = parts["b"].drop(index=[*range(30), 45, 46, 60, 72, 73])
    parts["c"] = parts["c"].drop(index=range(76, N_STEPS))
    parts["d"] = parts["d"].drop(index=range(70))
    df = pd.concat(list(parts.values())).sample(frac=1.0, random_state=0)
    return World(df, {"time": "t", "target": "y", "series": "id"}, axis)


def _wide() -> World:
    """Two columns over an index without a name; one begins late, and both have holes."""
    axis = pd.date_range("2024-01-01", periods=N_STEPS)
    df = pd.DataFrame({"x": _values(N_STEPS, 3), "y": _values(N_STEPS, 4)}, index=axis)
    df.iloc[:12, 1] = np.nan
    df.iloc[[30, 72], 0] = np.nan
    return World(df, {}, axis)


def _several() -> World:
    """Two targets, whose column names do not sort, of two series."""
    axis = pd.date_range("2024-01-01", periods=N_STEPS)
    parts = [pd.DataFrame({"id": k, "t": axis, "z": _values(N_STEPS, k), "y": _values(N_STEPS, 9 + k)}) for k in (7, 3)]
    parts[0].loc[[33, 72], "z"] = np.nan
    return World(pd.concat(parts), {"time": "t", "target": ["z", "y"], "series": "id"}, axis)


def _covariates() -> World:
    """Known, past and static columns, numbers and categories; `b` ends at step 82, so that later leads lack values."""
    axis = pd.date_range("2024-01-01", periods=N_STEPS)
    rng = np.random.default_rng(5)
    parts = []
    for seed, name in enumerate("ab"):
        price, event = rng.normal(size=N_STEPS), np.where(rng.random(N_STEPS) < 0.3, "sale", "none")
        wind, sky = rng.normal(size=N_STEPS), np.where(rng.random(N_STEPS) < 0.5, "sun", "rain")
        y = _values(N_STEPS, seed) + 3 * price + 4 * (event == "sale")
        columns = {"t": axis, "y": y, "price": price, "event": event, "wind": wind, "sky": sky, "size": 1.0 + seed}
        parts.append(pd.DataFrame({"id": name, **columns}))
    parts[0].loc[[72], "y"] = np.nan
    parts[0].loc[[50, 72], "wind"] = np.nan
    parts[1] = parts[1][:83]
    roles = {"known": ["price", "event"], "past": ["wind", "sky"], "static": ["size"]}
    return World(pd.concat(parts), {"time": "t", "target": "y", "series": "id", **roles}, axis)


def _categories() -> World:
    """Ids of a categorical dtype, with one that no row has."""
    holey = _holey()
    ids = pd.Categorical(holey.df["id"], categories=["zz", "d", "c", "b", "a"])
    return World(holey.df.assign(id=ids), holey.roles, holey.axis)


def _days_and_weeks() -> World:
    """`a` has a value for every day, `b` one for every Thursday."""
    axis = pd.date_range("2024-01-01", periods=N_STEPS)
    days = pd.DataFrame({"id": "a", "t": axis, "y": _values(N_STEPS, 1)})
    weeks = pd.DataFrame({"id": "b", "t": axis, "y": _values(N_STEPS, 2)})[3::7]
    roles = {"time": "t", "target": "y", "series": "id"}
    return World(pd.concat([weeks, days]), roles, axis, {"a": "D", "b": "W-THU"})


def _hours(first: str) -> World:
    return _alone(pd.date_range(first, periods=N_STEPS, freq="h", tz="Europe/Berlin"), "h")


def _nights() -> World:
    """Daily at a wall time that summer time skips at step 71."""
    naive = pd.date_range("2024-01-20 02:30", periods=N_STEPS)
    return _alone(naive.tz_localize("Europe/Berlin", nonexistent="shift_forward"), "D")


WORLDS: dict[str, World] = {
    "days": _alone(pd.date_range("2024-01-01", periods=N_STEPS), "D"),
    "integers": _alone(pd.Index(np.arange(N_STEPS) * 5 - 100), 5),
    "business days": _alone(pd.bdate_range("2024-01-01", periods=N_STEPS), "B"),
    "months": _alone(pd.date_range("2015-01-01", periods=N_STEPS, freq="MS"), "MS"),
    "hours into summer time": _hours("2024-03-28 08:00"),
    "hours into winter time": _hours("2024-10-24 08:00"),
    "nights into summer time": _nights(),
    "holes, late and early": _holey(),
    "wide": _wide(),
    "several targets": _several(),
    "covariates": _covariates(),
    "categorical ids": _categories(),
    "days and weeks": _days_and_weeks(),
}
