"""Frames as pipelines read them: times and series in columns, and nothing lost on the way."""

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.errors import DataError
from hourglass_ts.frames.pipelines import in_columns

DAYS = pd.date_range("2024-01-01", periods=3)


@pytest.fixture
def df():
    return pd.DataFrame({"day": [*DAYS, *DAYS], "id": ["a"] * 3 + ["b"] * 3, "y": np.arange(6.0)}, index=[7] * 6)


def test_columns_stay_and_rows_are_numbered_anew(df):
    frame, time, series = in_columns(df, "day", "id")
    pd.testing.assert_frame_equal(frame, df.reset_index(drop=True))
    assert (time, series) == ("day", ["id"])


@pytest.mark.parametrize("series", [None, "id", ["id"]])
def test_the_only_dates_are_the_time(df, series):
    assert in_columns(df, None, series)[1] == "day"


def test_an_index_becomes_columns(df):
    indexed = df.set_index(["id", "day"])
    frame, time, series = in_columns(indexed, "day", "id")
    pd.testing.assert_frame_equal(frame[["day", "id", "y"]], df.reset_index(drop=True))
    alone = df[["y"]].iloc[:3].set_index(DAYS)
    frame, time, series = in_columns(alone, None, None)
    assert frame[time].tolist() == list(DAYS)
    assert series == []


@pytest.mark.parametrize(
    "times",
    [DAYS.strftime("%Y-%m-%d"), DAYS.date, DAYS.to_period("D"), DAYS.astype(object)],
    ids=["text", "dates", "periods", "objects"],
)
def test_times_are_read_as_the_checks_read_them(times):
    frame, _, _ = in_columns(pd.DataFrame({"day": times, "y": 1.0}), "day", None)
    assert pd.DatetimeIndex(frame["day"]).equals(DAYS)


def test_whole_numbers_stay_so_when_a_blank_row_goes():
    frame, _, _ = in_columns(pd.DataFrame({"t": [1, 2, None], "y": [1.0, 2.0, None]}), "t", None)
    assert frame["t"].tolist() == [1, 2]


def test_the_users_frame_and_attributes_stay(df):
    df.attrs = {"units": {"y": "m"}}
    before = df.copy()
    frame, _, _ = in_columns(df, "day", "id")
    frame["y"] = 0.0
    pd.testing.assert_frame_equal(df, before)
    assert frame.attrs == df.attrs
    frame.attrs["new"] = 1
    assert "new" not in df.attrs


@pytest.mark.parametrize(
    ("frame", "time", "series", "words"),
    [
        (pd.DataFrame({"day": [*DAYS[:2], pd.NaT], "y": 1.0}), "day", None, r"'day'.*1 row\(s\) without a time"),
        (pd.DataFrame({"day": ["1/2/24", "x", "y"], "y": 1.0}), "day", None, "'day'"),
        (pd.DataFrame({"day": DAYS, "y": 1.0}), "date", None, r"'date'.*Did you mean"),
        (pd.DataFrame({"day": DAYS, "y": 1.0}), "day", "id", r"'id'"),
        (pd.DataFrame({"day": DAYS, "later": DAYS, "y": 1.0}), None, None, "no time column"),
        (pd.DataFrame({"day": [], "y": []}), "day", None, "without rows"),
        (pd.Series([1.0]), None, None, "DataFrame"),
        (pd.DataFrame(1.0, DAYS, [["a", "b"], ["x", "y"]]), None, None, r"labels of 2 levels.*one label per column"),
    ],
    ids=["no time", "no dates", "no such time", "no such series", "two times", "no rows", "no frame", "levels"],
)
def test_what_cannot_be_read_is_named(frame, time, series, words):
    with pytest.raises(DataError, match=words):
        in_columns(frame, time, series)
