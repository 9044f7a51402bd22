"""Rolling origins: no model sees a row after its origin, and scores are what a calculation by hand gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.errors import DataError
from hourglass_ts.evaluate.backtest import rolling_forecasts, scores
from hourglass_ts.forecast.baselines import Naive, SeasonalNaive


class Spy:
    """Forecasts `horizon` days after the last row it was given, with what it was told; remembers all it was given."""

    def __init__(self, horizon: int = 2, values: Any = 0.0) -> None:
        self.horizon = horizon
        self.values = values
        self.given: list[pd.DataFrame] = []

    def forecast(self, df: pd.DataFrame | None = None, *, known: pd.DataFrame | None = None) -> pd.DataFrame:
        assert df is not None
        assert known is None
        self.given.append(df.copy())
        last = df["day"].max()
        return pd.DataFrame({"day": pd.date_range(last, periods=self.horizon + 1)[1:], "forecast": self.values})


def days(n: int = 10) -> pd.DataFrame:
    return pd.DataFrame({"day": pd.date_range("2024-01-01", periods=n), "y": np.arange(float(n)) ** 2})


def day(number: int) -> pd.Timestamp:
    return pd.Timestamp("2024-01-01") + pd.Timedelta(days=number)


def test_no_model_sees_a_row_after_the_origin() -> None:
    spy = Spy()
    shuffled = days().sample(frac=1.0, random_state=0)
    origins = [day(4), day(6), day(9)]
    rolling_forecasts({"spy": spy}, shuffled, origins, time="day", target="y")
    assert [given["day"].max() for given in spy.given] == origins
    assert [len(given) for given in spy.given] == [5, 7, 10]


def test_forecasts_meet_their_actual_values() -> None:
    found = rolling_forecasts({"spy": Spy(values=[1.0, 2.0])}, days(), [day(4), day(7), day(8)], time="day", target="y")
    assert found["origin"].tolist() == [day(4), day(4), day(7), day(7), day(8)]  # the last has one actual value left
    assert found["lead"].tolist() == [1, 2, 1, 2, 1]
    assert found["actual"].tolist() == [25.0, 36.0, 64.0, 81.0, 81.0]
    assert found["forecast"].tolist() == [1.0, 2.0, 1.0, 2.0, 1.0]
    assert set(found["model"]) == {"spy"}


def test_missing_actual_values_are_left_out() -> None:
    frame = days()
    frame.loc[5, "y"] = np.nan
    found = rolling_forecasts({"spy": Spy()}, frame, [day(4)], time="day", target="y")
    assert found["actual"].tolist() == [36.0]
    assert found["lead"].tolist() == [2]


def test_the_frame_is_left_alone() -> None:
    frame = days()
    before = frame.copy(deep=True)
    rolling_forecasts({"spy": Spy()}, frame, [day(4)], time="day", target="y")
    pd.testing.assert_frame_equal(frame, before)


def two_shops() -> pd.DataFrame:
    """`a` has 12 days, `b` begins on the fifth and ends on the tenth."""
    a = days(12).assign(shop="a")
    b = pd.DataFrame({"day": pd.date_range(day(4), day(9)), "y": [3.0, 5.0, 4.0, 6.0, 5.0, 9.0], "shop": "b"})
    return pd.concat([a, b]).sample(frac=1.0, random_state=1)


def test_series_of_unequal_length() -> None:
    frame = two_shops()
    models = {"naive": Naive(2).fit(frame, time="day", target="y", series="shop")}
    found = rolling_forecasts(models, frame, [day(3), day(8), day(10)], time="day", target="y", series="shop")
    table = found.set_index(["origin", "shop", "lead"])
    assert table.loc[(day(3), "a")]["forecast"].tolist() == [9.0, 9.0]  # b had not begun
    assert (day(3), "b", 1) not in table.index
    assert table.loc[(day(8), "b", 1)]["actual"] == 9.0
    assert table.loc[(day(8), "b", 1)]["forecast"] == 5.0
    assert (day(8), "b", 2) not in table.index  # b has ended
    assert table.loc[(day(10), "a", 1)]["actual"] == 121.0
    assert len(found) == 2 + 3 + 1


def test_scores_are_what_a_hand_calculates() -> None:
    frame = two_shops()
    training = frame[frame["day"] <= day(8)]
    models = {
        "naive": Naive(2).fit(training, time="day", target="y", series="shop"),
        "seasonal": SeasonalNaive(2, 2).fit(training, time="day", target="y", series="shop"),
    }
    found = rolling_forecasts(models, frame, [day(8)], time="day", target="y", series="shop")
    table = scores(found, training, time="day", target="y", season=1, series="shop").set_index("model")
    # a: forecast 64 for 81, 100.  b: forecast 5 for 9.  In training a changes by 1, 3, … 15: 8 on average; b by 1.5.
    assert np.isclose(table.loc["naive", "MAE"], ((17 + 36) / 2 + 4) / 2)
    changes = np.abs(np.diff([3.0, 5.0, 4.0, 6.0, 5.0])).mean()
    assert np.isclose(table.loc["naive", "MASE"], ((17 + 36) / 2 / 8 + 4 / changes) / 2)
    # the seasonal one says 49, 64 for a, and 6 for b
    assert np.isclose(table.loc["seasonal", "MAE"], ((32 + 36) / 2 + 3) / 2)
    assert list(table.columns) == ["MAE", "MASE"]


def test_row_order_of_the_training_frame_does_not_matter() -> None:
    found = rolling_forecasts({"spy": Spy()}, days(), [day(4)], time="day", target="y")
    ordered, shuffled = days()[:5], days()[:5].sample(frac=1.0, random_state=3)
    tables = [scores(found, training, time="day", target="y", season=2) for training in (ordered, shuffled)]
    pd.testing.assert_frame_equal(*tables)


def test_a_series_without_a_mase_does_not_hide_the_others() -> None:
    frame = pd.concat([days().assign(shop="a"), days().assign(shop="flat", y=7.0)])
    training = frame[frame["day"] <= day(6)]
    model = Naive(2).fit(training, time="day", target="y", series="shop")
    found = rolling_forecasts({"naive": model}, frame, [day(6)], time="day", target="y", series="shop")
    table = scores(found, training, time="day", target="y", season=1, series="shop")
    assert np.isclose(table["MASE"].iloc[0], (13 + 28) / 2 / 6)
    flat = found["shop"] == "flat"
    alone = scores(found[flat], training, time="day", target="y", season=1, series="shop")
    assert np.isnan(alone["MASE"].iloc[0])
    assert alone["MAE"].iloc[0] == 0


def test_coverage_of_the_outermost_interval() -> None:
    found = pd.DataFrame(
        {
            "model": ["quantiles"] * 4 + ["point"] * 4,
            "actual": [1.0, 2.0, 3.0, 4.0] * 2,
            "forecast": 2.5,
            "q0.05": [0.0, 0.0, 0.0, 5.0, *[np.nan] * 4],
            "q0.95": [9.0, 9.0, 2.0, 9.0, *[np.nan] * 4],
            "q0.5": [2.5] * 4 + [np.nan] * 4,
            "quality": 1.0,
        }
    )
    table = scores(found, days(), time="day", target="y", season=1).set_index("model")
    assert table.loc["quantiles", "90 % interval holds"] == 0.5
    assert np.isnan(table.loc["point", "90 % interval holds"])


def test_an_origin_before_all_rows() -> None:
    with pytest.raises(DataError, match=r"first at 2023-12-31.*no rows up to an origin.*later origins"):
        rolling_forecasts({"spy": Spy()}, days(), [day(-1)], time="day", target="y")


@pytest.mark.parametrize("label", ["origin", "model", "lead", "actual", "forecast"])
def test_columns_named_like_ours_are_refused(label: str) -> None:
    frame = two_shops().rename(columns={"shop": label})
    with pytest.raises(DataError, match=f"column '{label}'.*Rename"):
        rolling_forecasts({"spy": Spy()}, frame, [day(4)], time="day", target="y", series=label)
