"""Columns made from bars: adjusted prices against the vendor's, everything against a slow way, nothing from later."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hourglass_ts import load_dataset
from hourglass_ts.frames.market import volatility
from hourglass_ts.frames.market.bars import BAR, MADE, SESSION, forward_adjusted, make_columns
from tests.reference.bars import random_bars, slow_columns

PARTS = {part: part for part in (*BAR, "volume")}


def owner_of(frame: pd.DataFrame) -> pd.Series:
    return frame.groupby("name", sort=False).ngroup()


def made(frame: pd.DataFrame, parts=None, estimator="garman-klass-yang-zhang", window=5) -> pd.DataFrame:
    parts = PARTS if parts is None else {part: part for part in parts}
    return make_columns(frame, parts, owner_of(frame), estimator, window)


def adjusted(frame: pd.DataFrame) -> list[float]:
    """The adjusted prices of one name."""
    parts = {label: label for label in frame.columns}
    return forward_adjusted(frame, parts, pd.Series(0, frame.index)).tolist()


# --- adjusted prices ---

EVENTS = {  # as the companies announced them; splits as new shares for an old one, dividends in $ on their first day
    ("AAPL", "2000-06-21"): (2, 0),
    ("AAPL", "2005-02-28"): (2, 0),
    ("AAPL", "2012-08-09"): (0, 2.65),
    ("AAPL", "2012-11-07"): (0, 2.65),
    ("AAPL", "2013-02-07"): (0, 2.65),
    ("MSFT", "2003-02-18"): (2, 0),
    ("MSFT", "2003-02-19"): (0, 0.08),
    ("MSFT", "2004-11-15"): (0, 3.08),
}


@pytest.fixture(scope="module")
def stocks() -> pd.DataFrame:
    df = load_dataset("stocks").rename(columns={"symbol": "name"})
    keys = list(zip(df["name"], df["date"].dt.strftime("%Y-%m-%d"), strict=True))
    df["split"], df["dividend"] = np.array([EVENTS.get(key, (0, 0)) for key in keys], dtype=float).T
    return df


def differing_days(stocks: pd.DataFrame, parts: list[str]) -> pd.DataFrame:
    """Where returns from adjusted prices of our own are others than those of the vendor's."""
    ours = made(stocks, [*BAR, "volume", *parts])["return"]
    theirs = made(stocks, [*BAR, "volume", "adjusted_close"])["return"]
    return stocks[(ours - theirs).abs() > 1e-9]


def test_returns_are_the_vendors_on_all_days_without_a_dividend(stocks):
    days = differing_days(stocks, ["split"])
    counts = days.groupby("name").size().to_dict()
    assert counts == {"AAPL": 3, "IBM": 52, "MSFT": 37}  # dividends: IBM's of thirteen years, four times in each
    assert days[days["name"] == "AAPL"]["date"].dt.strftime("%F").tolist() == ["2012-08-09", "2012-11-07", "2013-02-07"]


def test_returns_are_the_vendors_on_the_days_of_known_dividends(stocks):
    days = differing_days(stocks, ["split", "dividend"])
    assert days.groupby("name").size().to_dict() == {"IBM": 52, "MSFT": 35}


def test_unadjusted_splits_show_without_the_splits(stocks):
    days = differing_days(stocks, ["dividend"])
    assert days[days["name"] == "AAPL"]["date"].dt.strftime("%F").tolist() == ["2000-06-21", "2005-02-28"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"close": [100, 110, 99]}, [100, 110, 99]),
        ({"close": [100, 51, 50], "split": [np.nan, 2, 1]}, [100, 102, 100]),
        ({"close": [1, 9, 10], "split": [0, 0.1, 0]}, [1, 0.9, 1]),
        ({"close": [100, 98, 98], "dividend": [5, 2, 0]}, [100, 100, 100]),
        ({"close": [100, 50, 50], "split": [0, 2, 0], "dividend": [0, 1, 0]}, [100, 102, 102]),
        ({"close": [100, np.nan, 50], "split": [0, 2, 0]}, [100, np.nan, 100]),
        ({"close": [100, np.nan, 98], "dividend": [0, 2, 0]}, [100, np.nan, 100]),
        (
            {"close": [100, np.nan, np.nan, 49], "split": [0, 0, 2, 0], "dividend": [0, 2, 0, 0]},
            [100, *2 * [np.nan], 100],
        ),
        ({"close": [np.nan, 40, 44], "split": [2, 0, 0]}, [np.nan, 40, 44]),
        ({"close": [40, np.nan, np.nan], "split": [0, 2, 0]}, [40, np.nan, np.nan]),
        ({"close": [np.nan, np.nan]}, [np.nan, np.nan]),
    ],
    ids=[
        "no event",
        "split",
        "reverse split",
        "dividend, none before the first close",
        "dividend per new share",
        "split on a day without a close",
        "dividend on a day without a close",
        "dividend, then split, before the next close",
        "split before the first close",
        "no close after",
        "no close at all",
    ],
)
def test_events_by_hand(columns, expected):
    np.testing.assert_allclose(adjusted(pd.DataFrame(columns)), expected, rtol=1e-12)


def test_events_may_be_nullable_integers():
    frame = pd.DataFrame({"close": [100.0, 51.0], "split": pd.array([None, 2], dtype="Int64")})
    assert adjusted(frame) == [100.0, 102.0]


def test_every_name_starts_at_its_own_first_close():
    frame = pd.DataFrame({"name": [*"AAB"], "close": [10.0, 6.0, 80.0], "split": [0, 2, 3]})
    assert made(frame, ["close", "split"])["adjusted_close"].tolist() == [10.0, 12.0, 80.0]


# --- columns ---


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    frame = random_bars(40)
    frame.loc[[7, 8, 50], BAR] = np.nan
    frame.loc[20, "volume"] = 0
    return frame


def test_columns_equal_their_definitions_row_by_row(bars):
    found = made(bars)
    expected = pd.concat([slow_columns(rows, 5) for _, rows in bars.groupby("name")])
    pd.testing.assert_frame_equal(found[expected.columns], expected, rtol=1e-9)
    assert found.notna().any().all()
    np.testing.assert_array_equal(found["volatility"], np.sqrt(found["range_variance"]))


@pytest.mark.parametrize("name", SESSION)
def test_the_variance_of_a_session(bars, name):
    own = bars[bars["name"] == "A"].dropna()
    found = made(own, estimator=name)["range_variance"]
    o, h, low, c, before = own["open"], own["high"], own["low"], own["close"], own["close"].shift(1)
    klass = volatility.garman_klass(o, h, low, c)
    expected = {
        "close-to-close": np.log(c / before) ** 2,
        "parkinson": volatility.parkinson(h, low),
        "garman-klass": klass,
        "rogers-satchell": volatility.rogers_satchell(o, h, low, c),
        "garman-klass-yang-zhang": klass + np.log(o / before) ** 2,
    }
    np.testing.assert_allclose(found, 1e4 * expected[name], rtol=1e-9)


def test_a_split_moves_no_variance(bars):
    split = bars.assign(adjusted_close=bars["close"], split=0.0)
    later = split["day"] > bars["day"][20]
    split.loc[later, BAR] /= 2
    split.loc[split["day"] == bars["day"][21], "split"] = 2
    for parts in ([*PARTS, "adjusted_close"], [*PARTS, "split"]):
        found = made(split, parts)
        expected = made(bars)[found.columns.difference(["adjusted_close"])]
        pd.testing.assert_frame_equal(found[expected.columns], expected, rtol=1e-9)


def test_from_closes_alone(bars):
    found = made(bars, ["close"])
    assert set(found) == set(MADE) - {"log_volume", "volume_score"}
    np.testing.assert_allclose(found["range_variance"], found["return"] ** 2)
    spread = found["return"].groupby(owner_of(bars)).rolling(5).std().to_numpy()
    np.testing.assert_allclose(found["realised_volatility"], spread, rtol=1e-9)


def test_from_adjusted_closes_alone(bars):
    found = made(bars.rename(columns={"close": "adjusted_close"}), ["adjusted_close"])
    expected = made(bars, ["close"]).drop(columns="adjusted_close")
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("parts", [["open", "high", "low"], ["volume"], []], ids=str)
def test_nothing_without_a_close(bars, parts):
    assert made(bars, parts).empty


def test_a_constant_price_has_no_variance_and_no_score():
    frame = pd.DataFrame({"name": "A", **dict.fromkeys(BAR, np.full(12, 7.0)), "volume": 100})
    found = made(frame).iloc[6:]
    assert (
        (found[["return", "range_variance", "volatility", "ewma_volatility", "realised_volatility"]] == 0).all().all()
    )
    assert found[["return_score", "volume_score"]].isna().all().all()


def test_bars_rounded_apart_have_no_variance_below_0():
    rising = pd.DataFrame({"name": "A", "open": [9.0] * 6, "low": 9.0, "high": 9.9, "close": 9.904, "volume": 1})
    for name in SESSION:
        found = made(rising, estimator=name, window=2)
        assert (found[["range_variance", "volatility", "realised_volatility"]].iloc[2:] >= 0).all().all()
    klass = volatility.rogers_satchell(*(rising[part] for part in BAR))
    assert (klass < 0).all()


def test_one_row_has_a_price_alone():
    found = made(random_bars(1, ["A"]))
    assert found.columns[found.notna().all()].tolist() == ["adjusted_close", "log_volume"]


# --- nothing from later rows or other names ---


@pytest.mark.parametrize("parts", [PARTS, ["close"], [*PARTS, "split", "dividend"]], ids=["bars", "closes", "events"])
def test_no_row_depends_on_a_later_one(bars, parts):
    events = bars.assign(split=0.0, dividend=0.0)
    events.loc[[5, 30], "split"] = 2.0
    events.loc[[9, 33], "dividend"] = 1.0
    altered, late = events.copy(), events["day"] > bars["day"][25]
    altered.loc[late, [*BAR, "dividend"]] *= 3.0
    altered.loc[late, ["split", "volume"]] += 4
    altered.loc[late & (altered.index % 7 == 0), "close"] = np.nan
    found, again = made(events, parts), made(altered, parts)
    pd.testing.assert_frame_equal(found[~late], again[~late], check_exact=True)
    assert ((found[late] - again[late]).abs() > 0).any().all()


def test_no_row_depends_on_another_name(bars):
    other = bars["name"] == "B"
    altered = bars.copy()
    altered.loc[other, BAR] *= np.linspace(1, 9, other.sum())[:, None]
    altered.loc[other, "volume"] *= 7
    for parts in (PARTS, ["close"]):
        pd.testing.assert_frame_equal(made(bars, parts)[~other], made(altered, parts)[~other], check_exact=True)
        pd.testing.assert_frame_equal(made(bars, parts)[~other], made(bars[~other], parts), check_exact=True)
