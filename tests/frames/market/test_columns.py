"""Which columns of stocks are what, and what a reader of them is told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.frames.market.columns import (
    PARTS,
    currency_notes,
    event_notes,
    find_parts,
    span_notes,
    split_notes,
    split_problems,
    twin_notes,
    without_bars,
)

WRITINGS = {
    "Yahoo": ["Date", "Open", "High", "Low", "Close", "Adj Close", "Volume", "Dividends", "Stock Splits"],
    "Quandl": ["date", "open", "high", "low", "close", "adj_close", "volume", "dividend", "split_ratio"],
    "shouting": ["DATE", "OPEN", "HIGH", "LOW", "LAST", "ADJUSTED-CLOSE", "VOL.", "DIVIDEND", "SPLIT"],
}


@pytest.mark.parametrize("labels", WRITINGS.values(), ids=WRITINGS)
def test_parts_are_found_by_their_usual_names(labels):
    found = find_parts(labels, None)
    parts = ["open", "high", "low", "close", "adjusted_close", "volume", "dividend", "split"]
    assert found == dict(zip(parts, labels[1:], strict=True))


def test_parts_that_are_named_come_first():
    assert find_parts(["Schluss", "close", 3], {"close": "Schluss", "open": 3}) == {"close": "Schluss", "open": 3}
    assert find_parts(["close"], {"open": "close"}) == {"open": "close"}
    assert find_parts(["close"], {"close": "Schluss"}) == {}  # what is to be the close is not here


@pytest.mark.parametrize(
    "labels", [["openness", "closed", "lows", "prev close"], [1, None, ("close", "A")], []], ids=str
)
def test_others_are_none(labels):
    assert find_parts(labels, None) == {}


def test_the_first_of_two_counts():
    assert find_parts(["Close", "last"], None) == {"close": "Close"}


def test_twins_of_what_is_there_are_told():
    parts = {"close": "Schluss", "adjusted_close": "Adj Close"}
    assert twin_notes(["close", "adjclose", "vol", "mood", 3], parts) == {
        "close": "'close' is left alone: 'Schluss' is the close",
        "adjclose": "'adjclose' is left alone: 'Adj Close' is the adjusted close",
    }


def notes(give, frame: pd.DataFrame, *names: str) -> list[str]:
    """The notes on a frame with a column `of`, the number of each row's series."""
    parts = {part: part for part in PARTS if part in frame}
    frame = frame.assign(day=frame["day"] if "day" in frame else pd.date_range("2024-01-01", periods=len(frame)))
    return [str(note) for note in give(frame, parts, "day", frame["of"], list(names))]


JUMP = "a jump of the price, or a split that nobody adjusted, on 2024-01-"
SEEN = "a split, seen in the adjusted close, on 2024-01-"


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"close": [9.0, 4.4, 4.5]}, [f"{JUMP}02 (2.05 for 1)"]),
        ({"close": [9.0, np.nan, 4.5]}, [f"{JUMP}03 (2 for 1)"]),
        ({"close": [1.0, 10.0, 9.9]}, [f"{JUMP}02 (10 for 1)"]),
        ({"close": [9.0, 910.0, 900.0]}, [f"{JUMP}02 (101 for 1)"]),
        ({"close": [9000.0, 9.1, 9.0]}, [f"{JUMP}02 (989 for 1)"]),
        ({"close": [9.0, 270.0, 270.0]}, [f"{JUMP}02 (30 for 1)"]),
        ({"close": [9.0, 7.0, 7.5]}, []),
        ({"close": [9.0, 4.5, 4.5], "split": [0, 2, 0]}, []),
        ({"close": [9.0, 4.5, 4.5], "adjusted_close": [3.0, 3.0, 3.0]}, [f"{SEEN}02 (2 for 1)"]),
        ({"close": [9.0, 4.5, 4.5], "adjusted_close": [6.0, 3.0, 3.0]}, []),
        ({"close": [9.0, 9.0, 9.0], "adjusted_close": [2.9, 3.0, 3.0]}, []),
        ({"adjusted_close": [9.0, 4.5, 4.5]}, []),
    ],
    ids=[
        "jump",
        "over a hole",
        "up",
        "pence",
        "thousands",
        "any",
        "no ratio of splits",
        "told",
        "seen",
        "no split",
        "dividend",
        "no close",
    ],
)
def test_splits_are_told(columns, expected):
    assert notes(split_notes, pd.DataFrame({**columns, "of": 0}), "") == expected


def test_of_many_splits_some_are_told():
    frame = pd.DataFrame({"close": 2.0 ** -np.arange(9), "of": [0] * 3 + [1] * 6})
    found = notes(split_notes, frame, "A", "B")
    assert [note[:2] for note in found] == ["A:", "A:", "B:", "… "]  # none from A's last to B's first
    assert found[-1] == "… and 4 more of these"


def test_events_that_go_into_the_adjusted_close_are_counted():
    frame = pd.DataFrame({"close": 9.0, "split": [2, 0, 1, 3], "dividend": [0.5, np.nan, 0, 1]})

    def found(*labels: str) -> list[str]:
        return list(event_notes(frame.assign(adjusted_close=1.0), {label: label for label in labels}))

    assert found("close", "split", "dividend") == [
        "prices are taken as traded: 2 split(s) and 2 dividend(s) go into the adjusted close"
    ]
    assert found("close", "split") == ["prices are taken as traded: 2 split(s) go into the adjusted close"]
    assert found("close") == found("close", "adjusted_close", "split") == []


@pytest.mark.parametrize(
    ("close", "split", "told"),
    [
        ([9.0, 9.1, 9.0], [0, 2, 0], True),
        ([9.0, 9.1, 9.0], [np.nan, 0.1, np.nan], True),
        ([9.0, 4.5, 4.5], [0, 2, 0], False),
        ([1.0, 10.0, 9.0], [0, 0.1, 0], False),
        ([9.0, 4.5, 4.5], [0, 0.5, 0], True),
        ([9.0, 8.9, 9.0], [0, 1.1, 0], False),
        ([9.0, 8.9, 9.0], [2, 1, 0], False),
        ([9.0, 9.0, 9.0], [0, 1, 1], False),
    ],
    ids=[
        "adjusted",
        "adjusted reverse",
        "traded",
        "traded reverse",
        "upside down",
        "too small",
        "first row",
        "no split",
    ],
)
def test_splits_that_the_close_does_not_show(close, split, told):
    frame = pd.DataFrame({"close": close, "split": split, "of": 0})
    found = notes(split_problems, frame, "A")
    assert len(found) == told
    if told:
        assert found[0].startswith("column 'split', series 'A', first at 2024-01-02: found 1 split(s) that the close")
    assert notes(split_problems, frame.assign(adjusted_close=1.0), "A") == []


def test_series_that_come_go_and_pause():
    days = pd.bdate_range("2024-01-01", periods=6)
    frame = pd.DataFrame(
        {"day": [*days, *days[2:], *days[:4], *days[[0, 1, 4, 5]]], "of": np.repeat([0, 1, 2, 3], [6, 4, 4, 4])}
    )
    found = list(span_notes(frame, "day", frame["of"], ["whole", "new", "gone", "paused"]))
    assert found == [
        "new begins on 2024-01-03",
        "gone ends on 2024-01-04",
        "paused lacks 2 day(s) on which others were traded",
    ]
    assert list(span_notes(frame[:6], "day", frame["of"][:6], ["whole"])) == []


def test_of_many_series_some_are_told():
    frame = pd.DataFrame({"day": pd.bdate_range("2024-01-01", periods=9), "of": range(9)})
    found = list(span_notes(frame, "day", frame["of"], list("abcdefghi")))
    assert found == [
        *(f"{name} begins on 2024-01-{day:02}" for name, day in zip("bcd", (2, 3, 4), strict=True)),
        "… and 5 more of these",
        *(f"{name} ends on 2024-01-{day:02}" for name, day in zip("abc", (1, 2, 3), strict=True)),
        "… and 5 more of these",
    ]


def test_several_currencies_are_told():
    frame = pd.DataFrame({"currency": ["$", None, "€", "€", "$", None], "of": [0, 0, 1, 2, 3, 4]})
    for column in (frame["currency"], frame["currency"].astype("category")):
        found = list(currency_notes(frame.assign(currency=column), "currency", frame["of"], list("abcde")))
        assert found == ["prices in several currencies, each kept in its own: $ (a, d), € (b, c)"]
    assert list(currency_notes(frame[:2], "currency", frame["of"][:2], ["a"])) == []


def test_of_a_wrong_bar_all_prices_go_and_no_more():
    frame = pd.DataFrame({"open": [1, 2], "close": [1.0, 2.0], "volume": [5, 6]})
    parts = {label: label for label in frame}
    out = without_bars(frame, [("open", pd.Series([True, False]), "")], parts)
    assert out.fillna(-1).to_numpy().tolist() == [[-1, -1, 5], [2, 2, 6]]
    out = without_bars(frame, [("volume", pd.Series([True, False]), "")], parts)
    assert out.fillna(-1).to_numpy().tolist() == [[1, 1, -1], [2, 2, 6]]
    assert frame["open"].tolist() == [1, 2]
