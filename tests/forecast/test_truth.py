"""What came true is found by series and time, and scales read no later row than they may."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.errors import DataError
from hourglass_ts.forecast.truth import Truth, is_quantile
from hourglass_ts.frames.schema import Roles, check_frame

DAYS = pd.date_range("2024-01-01", periods=12)


def shops() -> pd.DataFrame:
    """`a` on all days with holes, `b` on the third to the ninth; values tell shop and day."""
    a = pd.DataFrame({"shop": "a", "day": DAYS, "y": np.arange(12.0)})
    a.loc[[4, 5], "y"] = np.nan
    b = pd.DataFrame({"shop": "b", "day": DAYS[2:9], "y": 100 + np.arange(2.0, 9.0) ** 2})
    return pd.concat([b, a])


def truth() -> Truth:
    return Truth.of(check_frame(shops(), Roles.from_arguments("day", "y", "shop"), "D"))


def forecasts(*rows: tuple[str, Any, int]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["shop", "day", "lead"])
    return frame.assign(forecast=np.arange(len(frame)) * 1.0, **{"q0.9": 5.0, "quality": 1.0})


def test_rows_meet_their_own_actual_values_whatever_their_order() -> None:
    cells = [(shop, day, 1) for shop in "ba" for day in (*DAYS[::-1], DAYS[-1] + pd.Timedelta("1D"))]
    found = truth().scored_rows(forecasts(*cells), 0, 1)
    assert list(found) == ["row", "unit", "time", "lead", "actual", "forecast", "q0.9"]
    known = shops().dropna().set_index(["shop", "day"])["y"]
    assert len(found["row"]) == len(known)
    for row, actual in zip(found["row"], found["actual"], strict=True):
        assert actual == known[cells[row][:2]]
    np.testing.assert_array_equal(found["forecast"], found["row"])


def test_a_time_that_is_not_on_the_axis_meets_nothing() -> None:
    """Not even the last value of the series before."""
    noon, later = DAYS[3] + pd.Timedelta("12h"), DAYS[-1] + pd.Timedelta("1D")
    found = truth().scored_rows(forecasts(("b", noon, 1), ("a", noon, 1), ("b", later, 1), ("a", later, 1)), 0, 1)
    assert len(found["row"]) == 0


@pytest.mark.parametrize(("gap", "horizon", "leads"), [(0, 3, [1, 2, 3]), (1, 3, [2, 3]), (2, 3, [3]), (0, 1, [1])])
def test_leads_from_gap_plus_one_to_the_horizon(gap: int, horizon: int, leads: list[int]) -> None:
    rows = forecasts(*(("a", DAYS[7], lead) for lead in (4, 1, 3, 2)))
    assert sorted(truth().scored_rows(rows, gap, horizon)["lead"]) == leads


@pytest.mark.parametrize("rows", [forecasts(), pd.DataFrame()], ids=["no rows", "nothing at all"])
def test_no_forecasts_have_no_rows(rows: pd.DataFrame) -> None:
    found = truth().scored_rows(rows, 0, 3)
    assert {"row", "unit", "time", "lead", "actual", "forecast"} <= set(found)
    assert all(len(column) == 0 for column in found.values())


@pytest.mark.parametrize("season", [1, 2])
@pytest.mark.parametrize("until", [1, 3, 6, 11])
def test_scales_are_seasonal_errors_of_the_rows_so_far(until: int, season: int) -> None:
    frame = shops()
    found = truth().scales(DAYS[until], season)
    for unit, shop in enumerate("ab"):
        own = frame[(frame["shop"] == shop) & (frame["day"] <= DAYS[until])].set_index("day")["y"]
        changes = own.reindex(DAYS[: until + 1]).diff(season).dropna()
        expected = [changes.abs().mean(), (changes**2).mean()] if len(changes) else [np.nan] * 2
        np.testing.assert_allclose(found.loc[unit], expected)


def test_scales_take_each_calendars_own_season_and_are_nan_where_nothing_changes() -> None:
    frame = pd.DataFrame({"t": DAYS, "y": np.tile([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2)})
    found = Truth.of(check_frame(frame, Roles.from_arguments("t", "y"))).scales(DAYS[-1], None)
    assert found["mae"].tolist() == [abs(frame["y"].diff(7)).mean()]
    flat = Truth.of(check_frame(frame.assign(y=3.0), Roles.from_arguments("t", "y"))).scales(DAYS[-1], 1)
    assert flat.isna().all(axis=None)


@pytest.mark.parametrize("decay", [0.5, 0.94])
def test_volatility_is_a_weighted_mean_of_changes_so_far(decay: float) -> None:
    found = truth().volatility(np.arange(12), decay)
    frame = shops().dropna()
    for place in range(12):
        for unit, shop in enumerate("ab"):
            own = frame[(frame["shop"] == shop) & (frame["day"] <= DAYS[place])].sort_values("day")["y"].to_numpy()
            changes = np.abs(np.diff(own))
            weights = decay ** np.arange(len(changes))[::-1]
            expected = (weights * changes).sum() / weights.sum() if len(changes) else np.nan
            np.testing.assert_allclose(found[place, unit], expected)


def test_names_and_strangers() -> None:
    assert truth().names == ["a", "b"]
    alone = Truth.of(check_frame(pd.DataFrame({"t": [1, 2], "y": [1.0, 2.0]}), Roles.from_arguments("t", "y")))
    assert alone.names == [""]
    assert alone.units_of(pd.DataFrame({"t": [1, 2]})).tolist() == [0, 0]
    assert truth().units_of(forecasts(("b", DAYS[0], 1), ("a", DAYS[0], 1))).tolist() == [1, 0]
    with pytest.raises(DataError, match=r"column 'shop', series 'c'.*that the data do not have"):
        truth().units_of(forecasts(("b", DAYS[0], 1), ("c", DAYS[0], 1)))


@pytest.mark.parametrize("label", ["q0.1", "q0.975", "q1e-3"])
def test_quantile_columns(label: str) -> None:
    assert is_quantile(label)


@pytest.mark.parametrize("label", ["q", "q0", "q1", "q1.5", "q-0.1", "qx", "quality", "0.1", 0.1, ("q0.1",), "qnan"])
def test_other_columns(label: Any) -> None:
    assert not is_quantile(label)
