"""The stock pipeline: what it reads, refuses and reports, that it comes back, and that it knows no later row."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone

from hourglass_ts import load_dataset
from hourglass_ts.errors import DataError, MissingExtraError, NotFittedError, SettingsError
from hourglass_ts.frames.features import SessionFeature, TradingDayFeature
from hourglass_ts.frames.market.bars import BAR, MADE, UNITS
from hourglass_ts.frames.stocks import StockPipeline
from tests.reference.bars import random_bars

KEYS = ["name", "day"]


def pipeline(**settings) -> StockPipeline:
    return StockPipeline("day", "name", **{"exchange": None, "window": 5, **settings})


@pytest.fixture
def df() -> pd.DataFrame:
    return random_bars()


@pytest.fixture
def tidy(df) -> pd.DataFrame:
    return pipeline().tidy(df)


def with_cell(df: pd.DataFrame, label, row: int, value) -> pd.DataFrame:
    return df.assign(**{label: [value if place == row else cell for place, cell in enumerate(df[label])]})


# --- tidy columns ---


def test_tidy_adds_columns_and_alters_none(df, tidy):
    assert tidy.columns.tolist() == [*df.columns, *(label for label in tidy if label in MADE)]
    assert set(MADE) <= set(tidy)
    pd.testing.assert_frame_equal(tidy[df.columns], df)
    assert tidy["adjusted_close"].tolist() == df["close"].tolist()


def test_a_tidy_frame_comes_back_as_it_is(tidy):
    pd.testing.assert_frame_equal(pipeline().tidy(tidy), tidy)
    for rows in (tidy.iloc[17:80], tidy.iloc[40:41], tidy.drop(index=[20, 21, 70]), tidy[tidy.index % 3 > 0]):
        pd.testing.assert_frame_equal(pipeline().tidy(rows), rows.reset_index(drop=True))
    pd.testing.assert_frame_equal(pipeline().tidy(tidy.sample(frac=1, random_state=0)), tidy)


def test_a_frame_with_events_is_adjusted_once(df):
    split = with_cell(df.assign(split=0.0, dividend=0.0), "split", 30, 2.0)
    split.loc[(split["name"] == "A") & (split.index >= 30), BAR] /= 2
    once = pipeline().tidy(split)
    pd.testing.assert_frame_equal(pipeline().tidy(once), once)
    pd.testing.assert_frame_equal(pipeline().tidy(once[35:90]), once[35:90].reset_index(drop=True))


def test_the_order_of_rows_says_nothing(df, tidy):
    shuffled = df.sample(frac=1, random_state=0)
    before = shuffled.copy()
    pd.testing.assert_frame_equal(pipeline().tidy(shuffled), tidy)
    pd.testing.assert_frame_equal(shuffled, before)


def test_labels_are_the_users(df, tidy):
    labels = {"open": "OPEN", "high": "High", "low": " low ", "close": "Last", "volume": "Vol."}
    renamed = pipeline().tidy(df.rename(columns=labels))
    pd.testing.assert_frame_equal(renamed, tidy.rename(columns=labels))


@pytest.mark.parametrize(
    "labels",
    [{"name": 0, "day": 1, "close": 2}, {"name": ("id", 0), "day": ("t", "t"), "close": (1, 2)}],
    ids=["numbers", "tuples"],
)
def test_labels_of_any_type(df, tidy, labels):
    other = StockPipeline(labels["day"], labels["name"], exchange=None, window=5, columns={"close": labels["close"]})
    tidied = other.tidy(df.set_axis(pd.Index([labels.get(c, c) for c in df.columns], tupleize_cols=False), axis=1))
    assert tidied.columns.tolist() == [labels.get(label, label) for label in tidy]
    np.testing.assert_array_equal(tidied[[*UNITS]], tidy[[*UNITS]])


def test_series_may_be_several_columns_or_none(df, tidy):
    two = StockPipeline("day", ["place", "name"], exchange=None, window=5).tidy(df.assign(place="X"))
    pd.testing.assert_frame_equal(two.drop(columns="place"), tidy)
    one = StockPipeline("day", exchange=None, window=5).tidy(df[df["name"] == "B"].drop(columns="name"))
    expected = tidy[tidy["name"] == "B"].drop(columns="name").reset_index(drop=True)
    pd.testing.assert_frame_equal(one, expected)


@pytest.mark.parametrize("ids", [[1, "x"], [("a", 1), ("b", 2)], [2.0, None]], ids=str)
def test_ids_of_any_type(df, tidy, ids):
    names = pd.Series(dict(zip("AB", ids, strict=True)), dtype=object)
    tidied = pipeline().tidy(df.assign(name=df["name"].map(names)))
    np.testing.assert_array_equal(tidied[[*UNITS]], tidy[[*UNITS]])
    categories = pipeline().tidy(df.assign(name=df["name"].astype(pd.CategoricalDtype(["B", "C", "A"]))))
    assert categories["name"].tolist() == ["B"] * 60 + ["A"] * 60


@pytest.mark.parametrize("index", [["name", "day"], ["day"], "days alone"], ids=str)
def test_days_and_names_may_be_an_index(df, tidy, index):
    if index == "days alone":
        alone = df[df["name"] == "A"].drop(columns="name").set_index("day").rename_axis(None)
        found, expected = StockPipeline(exchange=None, window=5).tidy(alone), tidy[tidy["name"] == "A"]
        assert found["time"].tolist() == expected["day"].tolist()
    else:
        found, expected = StockPipeline(None, "name", exchange=None, window=5).tidy(df.set_index(index)), tidy
        assert found["day"].tolist() == expected["day"].tolist()
    np.testing.assert_array_equal(found[[*UNITS]], expected[[*UNITS]])


@pytest.mark.parametrize(
    "days",
    [
        lambda days: days.dt.strftime("%Y-%m-%d"),
        lambda days: days.dt.date,
        lambda days: days.dt.to_period("D"),
        lambda days: days.dt.tz_localize("America/New_York"),
    ],
    ids=["text", "dates", "periods", "aware"],
)
def test_days_of_any_kind(df, tidy, days):
    found = pipeline().tidy(df.assign(day=days(df["day"])))
    np.testing.assert_array_equal(found[[*UNITS]], tidy[[*UNITS]])
    assert pd.DatetimeIndex(found["day"]).tz_localize(None).tolist() == tidy["day"].tolist()


@pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
def test_nullable_numbers(df, backend):
    holes = df.assign(volume=df["volume"].astype(float))
    holes.loc[[3, 70], [*BAR, "volume"]] = np.nan
    found = pipeline().fit(holes).transform(holes.convert_dtypes(dtype_backend=backend))
    np.testing.assert_array_equal(found[[*UNITS]], pipeline().fit(holes).transform(holes)[[*UNITS]])
    assert {str(found[label].dtype) for label in (*BAR, "volume", *MADE)} == {"float64"}


def test_whole_prices(df):
    whole = df.assign(**{part: df[part].round().astype(int) for part in BAR})
    whole = whole.assign(high=whole["high"] + 1, low=whole["low"] - 1)
    found = pipeline().tidy(whole)
    pd.testing.assert_frame_equal(found, pipeline().tidy(whole.astype(dict.fromkeys(BAR, float))))


def test_parts_may_lack(df, tidy):
    closes = pipeline().tidy(df[[*KEYS, "close"]])
    assert set(closes) == {*KEYS, "close", *MADE} - {"log_volume", "volume_score"}
    adjusted = pipeline().tidy(df[[*KEYS, "close"]].rename(columns={"close": "Adj Close"}))
    np.testing.assert_array_equal(adjusted["return"], tidy["return"])
    assert "adjusted_close" not in adjusted
    pd.testing.assert_frame_equal(pipeline().tidy(df.drop(columns="volume")), tidy[adjusted_labels(tidy)])


def adjusted_labels(tidy: pd.DataFrame) -> list[str]:
    return [label for label in tidy if "volume" not in label]


def test_a_column_without_a_value_and_one_row(df):
    empty = pipeline().tidy(df.assign(close=np.nan))
    assert empty[["adjusted_close", "return", "range_variance"]].isna().all().all()
    one = pipeline().fit(df[:1])
    assert one.transform(df[:1])["adjusted_close"].tolist() == [np.log(df["close"][0])]


def test_units(df):
    df.attrs["units"] = {"close": "$ per share", "volume": "shares", "gone": "?"}
    tidy = pipeline().tidy(df)
    assert tidy.attrs["units"] == {**UNITS, "adjusted_close": "$ per share", "close": "$ per share", "volume": "shares"}
    assert "units" not in pipeline().fit(df).transform(df).attrs
    assert len(df.attrs["units"]) == 3


def test_frames_of_known_columns_pass(df):
    made = pipeline().fit(df)
    known = df[KEYS].assign(promised=1.0)
    pd.testing.assert_frame_equal(made.transform(known), known)


# --- what is refused ---


def refused(df, *words: str, **settings) -> None:
    with pytest.raises(DataError) as caught:
        pipeline(**settings).fit(df)
    for word in words:
        assert word in str(caught.value)


BAD = {
    "high below low": ("high", 0.5, "2 row(s) that cannot be, first 0.5", "and not 'high' below 'low': either may be"),
    "low above high": ("low", 999.0, "2 row(s) that cannot be, first", "and not 'high' below 'low': either may be"),
    "open outside": ("open", 998.0, "2 row(s) that cannot be, first 998", "between 'low' and 'high'"),
    "close outside": ("close", 0.25, "2 row(s) that cannot be, first 0.25", "between 'low' and 'high'"),
    "price of 0": ("open", 0.0, "2 row(s) that cannot be, first 0", "a price above 0"),
    "negative price": ("close", -3.5, "2 row(s) that cannot be, first -3.5", "a price above 0"),
    "negative volume": ("volume", -7, "2 row(s) that cannot be, first -7", "0 or more"),
    "infinite price": ("close", np.inf, "2 row(s) that cannot be, first inf", "a price above 0"),
    "infinite volume": ("volume", np.inf, "2 row(s) that cannot be, first inf", "0 or more"),
    "negative dividend": ("dividend", -1.0, "2 row(s) that cannot be, first -1", "0 or more"),
    "negative split": ("split", -2.0, "2 row(s) that cannot be, first -2", "0 or more"),
    "adjusted price of 0": ("adjusted_close", 0.0, "2 row(s) that cannot be, first 0", "a price above 0"),
}
NAMED = {"low above high": "high"}  # the column that is named, where it is another


@pytest.mark.parametrize("case", BAD)
def test_bars_that_cannot_be(df, case):
    label, value, found, expected = BAD[case]
    df = df.assign(**{"split": 0.0, "dividend": 0.0, **({"adjusted_close": 1.0} if label == "adjusted_close" else {})})
    bad = with_cell(with_cell(df, label, 12, value), label, 90, value)
    day = df["day"][12].date()
    place = f"column {NAMED.get(case, label)!r}, series 'A', first at {day}"
    shuffled = bad.sample(frac=1, random_state=1)
    refused(shuffled, place, found, expected, 'pass StockPipeline(faults="nan")')
    made = pipeline(faults="nan").fit(shuffled)
    (note,) = [note for note in made.notes_ if "that cannot be" in note]
    assert place in note
    assert note.endswith("Taken out.")
    tidy = made.tidy(shuffled)
    taken = (
        [label] if label in ("volume", "split", "dividend") else [*BAR, *df.columns.intersection(["adjusted_close"])]
    )
    assert tidy.loc[[12, 90], taken].isna().all().all()
    left = df.columns.difference(taken)
    pd.testing.assert_frame_equal(tidy[left], df[left])
    pd.testing.assert_frame_equal(tidy.drop(index=[12, 90])[taken], df.drop(index=[12, 90])[taken], check_dtype=False)


def test_a_bar_rounded_apart_is_none(df):
    df.loc[5, "close"] = df.loc[5, "high"] * 1.0004
    df.loc[6, "open"] = df.loc[6, "low"] * 0.9996
    assert pipeline().report(df) == ()
    df.loc[5, "close"] = df.loc[5, "high"] * 1.0006
    refused(df, "'close'")


def test_all_problems_come_at_once(df):
    bad = with_cell(with_cell(df, "close", 3, -1.0), "volume", 4, -1).assign(currency=["$", *["€"] * 119])
    refused(bad, "3 problems", "'close'", "'volume'", "'currency'")
    refused(bad.assign(open="x", day=range(120)), "2 problems", "'open'", "'day'")


def test_currencies(df):
    mixed = df.assign(currency=["USD"] * 50 + ["EUR"] * 10 + ["USD"] * 60)
    day = df["day"][50].date()
    place = f"column 'currency', series 'A', first at {day}"
    refused(mixed, place, "USD in 50 row(s), EUR in 10 row(s)", "Convert its prices", faults="nan")
    apart = df.assign(ccy=np.where(df["name"] == "A", "USD", "EUR"))
    assert pipeline().report(apart) == ("prices in several currencies, each kept in its own: EUR (B), USD (A)",)
    assert pipeline().report(df.assign(currency="USD")) == ()


def test_splits_of_prices_that_are_adjusted(df):
    twice = with_cell(df.assign(**{"Stock Splits": 0.0}), "Stock Splits", 30, 4.0)
    place = f"column 'Stock Splits', series 'A', first at {df['day'][30].date()}: found 1 split(s)"
    refused(twice, place, "first 4 for 1", "Drop this column", faults="nan")
    assert pipeline().tidy(twice.assign(adj_close=df["close"]))["return"].abs().max() < 10  # splits have no part in it


def test_doubled_rows(df):
    doubled = pd.concat([df, df[3:5]])
    refused(doubled, "column 'day', series 'A', first at 2024-01-04: found 2 row(s)", "Drop them.")
    with pytest.raises(DataError, match=r"60 row.*name the column that tells series apart"):
        StockPipeline("day", exchange=None).tidy(df)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (lambda df: df["close"].astype(str), "found values of type str; expected numbers"),
        (lambda df: [*df["close"][:-1], "n/a"], "found values of type object, 1 of them no numbers, first 'n/a'"),
        (lambda df: True, "values of type bool"),
        (lambda df: 1j, "values of type complex"),
        (lambda df: df["day"], "values of type datetime64"),
    ],
    ids=["text", "some text", "truth", "complex", "times"],
)
@pytest.mark.parametrize("label", ["close", "volume"])
def test_parts_that_are_no_numbers(df, label, values, words):
    refused(df.assign(**{label: values(df)}), f"column {label!r}", words)


@pytest.mark.parametrize("label", ["return", "absolute_return", "range_variance", "volatility", "log_volume"])
def test_columns_that_only_have_the_name_of_a_made_one(df, label):
    strange = df.assign(**{label: 0.3})
    place = f"column {label!r}, series 'A', first at"
    refused(strange, place, "found 0.3 in a column with the name of one that is made", "Rename the column")
    refused(df.assign(**{label: "calm"}), f"column {label!r}: found values of type str", "Rename the column")


LOGS = ["ewma_volatility", "range_variance", "volatility", "realised_volatility"]


@pytest.mark.parametrize("label", LOGS)
def test_columns_that_become_logarithms_are_not_negative(df, tidy, label):
    for frame in (df.assign(**{label: -5.0}), with_cell(tidy, label, 70, -5.0)):
        refused(frame, f"column {label!r}, series ", "found -5 in a column", "expected what has a logarithm")
    refused(df[[*KEYS, "volume"]].assign(**{label: -5.0}), f"column {label!r}", "what has a logarithm")


def test_a_second_adjusted_close_becomes_a_logarithm_too(df):
    vendors = df.assign(**{"Adj Close": df["close"]})
    refused(vendors.assign(adjusted_close=0.0), "column 'adjusted_close'", "expected what has a logarithm")
    refused(vendors.assign(adjusted_close="x"), "column 'adjusted_close': found values of type str")


@pytest.mark.parametrize("label", ["ewma_volatility", "return_score"])
def test_columns_of_all_rows_before_that_are_others_are_told(df, tidy, label):
    (note,) = pipeline().report(df.assign(**{label: 50.0}))
    assert note.startswith(f"column {label!r}, series 'A', first at")
    assert note.endswith("Kept as it is.")
    assert pipeline().report(tidy[35:60]) == ()  # made of other rows before, and so a little different


def test_columns_made_with_other_settings(tidy):
    with pytest.raises(DataError, match=r"2 problems(.|\n)*pass the settings"):
        pipeline(volatility="parkinson").tidy(tidy)
    pd.testing.assert_frame_equal(pipeline(window=6).tidy(tidy), tidy)
    notes = pipeline(window=6).report(tidy)
    assert [note[:24] for note in notes] == ["column 'realised_volatil", "column 'volume_score', s"]


def test_a_few_other_values_are_kept_and_told(tidy):
    corrected = with_cell(tidy, "return", 30, 5.0)
    found = pipeline().tidy(corrected)
    pd.testing.assert_frame_equal(found, corrected)
    (note,) = pipeline().report(corrected)
    assert note.startswith(f"column 'return', series 'A', first at {tidy['day'][30].date()}: found 5 in a column")
    assert note.endswith("Kept as it is.")


def test_frames_that_are_none(df):
    for nothing in (df[:0], df["close"], None):
        with pytest.raises(DataError):
            pipeline().tidy(nothing)
    refused(df.assign(day=range(120)), "column 'day': found times of type int64; expected the day of every session")
    wide = df.pivot(index="day", columns="name", values=["close", "open"])
    with pytest.raises(DataError, match=r"labels of 2 levels.*stack"):
        StockPipeline(exchange=None).tidy(wide)
    with pytest.raises(DataError, match=r"no closing prices.*melt"):
        StockPipeline(exchange=None).fit(wide["close"])


def test_columns_that_are_not_there(df):
    refused(df, "column 'Schlus': found no such column for the close", "no closing prices", columns={"close": "Schlus"})
    refused(df, "column 'n': found no such column for the volume", columns={"volume": "n"})
    refused(df.drop(columns="close"), "no closing prices")


def test_unknown_columns_are_passed_on_and_told(df):
    other = df.assign(mood="calm", **{"PE ratio": 12.5})
    made = pipeline().fit(other)
    assert made.notes_ == (
        "'mood' is no column that stocks are known to have: passed on untouched",
        "'PE ratio' is no column that stocks are known to have: passed on untouched",
    )
    back = made.inverse_transform(made.transform(other))
    pd.testing.assert_frame_equal(back[["mood", "PE ratio"]], other[["mood", "PE ratio"]])


# --- columns that are as good as others ---

TWINS = {"close": "last", "volume": "vol", "Adj Close": "adjclose", "split": "splits"}


@pytest.fixture
def twins(df) -> pd.DataFrame:
    columns = {"Adj Close": 0.9 * df["close"], "split": 0.0}
    wide = df.assign(**columns)
    return wide.assign(**{twin: 1.5 * wide[label] for label, twin in TWINS.items()})


def test_a_column_alone_comes_back_as_among_all(twins):
    made = pipeline().fit(twins)
    seen = made.transform(twins)
    back = made.inverse_transform(seen)
    tidy = made.tidy(twins)
    read = StockPipeline.from_json(json.loads(json.dumps(made.to_json())))
    for label in seen.columns.difference(KEYS):
        np.testing.assert_allclose(back[label], tidy[label].clip(lower=made.floors_.get(label)), rtol=1e-12)
        for own in (made, read):
            np.testing.assert_array_equal(own.inverse_transform(seen[[label]])[label], back[label])


@pytest.mark.filterwarnings("ignore:values of nearly 0 taken for their floor")
def test_a_part_that_lacks_is_no_other_column(twins):
    made = pipeline().fit(twins)
    for label, twin in TWINS.items():
        rest = made.transform(twins.drop(columns=label))
        np.testing.assert_array_equal(rest[twin], twins[twin])
        assert made.bounds_of(label) == (0, np.inf)
        assert made.bounds_of(twin) == (-np.inf, np.inf)


def test_twins_are_told(twins):
    assert pipeline().fit(twins).notes_ == (
        "'last' is left alone: 'close' is the close",
        "'vol' is left alone: 'volume' is the volume",
        "'adjclose' is left alone: 'Adj Close' is the adjusted close",
        "'splits' is left alone: 'split' is the split",
    )


def test_fit_forgets_what_was_what(df):
    made = pipeline().fit(df).fit(df.rename(columns={"close": "Last"}))
    assert made.parts_["close"] == "Last"


# --- the scale of a made adjusted close ---


@pytest.fixture
def events(df) -> pd.DataFrame:
    """A split of A in its 21st row, dividends of B."""
    out = df.assign(split=0.0, dividend=0.0)
    out.loc[20, "split"] = 4.0
    out.loc[20:59, BAR] /= 4
    out.loc[[75, 95], "dividend"] = 1.5
    return out


def last_days(df: pd.DataFrame, first: int, stop: int = 60) -> pd.DataFrame:
    days = df["day"].unique()
    return df[df["day"].isin(days[first:stop])]


@pytest.mark.parametrize("first", [0, 5, 19, 20, 21, 40, 49])
def test_recent_rows_are_on_the_scale_of_the_training_rows(events, first):
    made = pipeline().fit(last_days(events, 0, 50))
    read = StockPipeline.from_json(json.loads(json.dumps(made.to_json())))
    whole = pipeline().tidy(events)
    for own in (made, read):
        for stop in (50, 60):
            found, expected = own.tidy(last_days(events, first, stop)), last_days(whole, first, stop)
            np.testing.assert_allclose(found["adjusted_close"], expected["adjusted_close"], rtol=1e-12)
    np.testing.assert_array_equal(made.tidy(events)["adjusted_close"], whole["adjusted_close"])


def test_the_scale_holds_over_holes_zones_and_longer_histories(events):
    events.loc[[20, 49, 30], BAR] = np.nan
    whole = pipeline().tidy(events)
    zoned = events.assign(day=events["day"].dt.tz_localize("America/New_York"))
    for frame in (events, zoned):
        made = pipeline().fit(last_days(frame, 0, 50))
        for first in (20, 30, 48):
            found = made.tidy(last_days(frame, first))
            expected = last_days(whole, first)["adjusted_close"]
            np.testing.assert_allclose(found["adjusted_close"], expected, rtol=1e-12)
    late = pipeline().fit(last_days(events, 10, 50))
    found = late.tidy(events)
    np.testing.assert_allclose(
        last_days(found, 10, 50)["adjusted_close"], late.tidy(last_days(events, 10, 50))["adjusted_close"]
    )


def test_rows_that_no_training_row_anchors_are_refused(events):
    made = pipeline().fit(last_days(events, 0, 50))
    with pytest.raises(
        DataError, match=r"2 problems(.|\n)*series 'A', first at 2024-03-11(.|\n)*row of 2024-03-08"
    ) as caught:
        made.tidy(last_days(events, 50))
    assert "or an adjusted close" in str(caught.value)
    whole = pipeline().tidy(events)
    pd.testing.assert_frame_equal(made.tidy(last_days(whole, 50)), last_days(whole, 50).reset_index(drop=True))
    new = last_days(events, 50).assign(name="C" + events["name"])
    assert made.tidy(new)["adjusted_close"].iloc[0] == new["close"].iloc[0]  # a series of its own
    plain = pipeline().fit(last_days(events, 0, 50).drop(columns=["split", "dividend"]))
    assert plain.factors_ == {}
    assert len(plain.tidy(last_days(events, 50).drop(columns=["split", "dividend"]))) == 20
    known = last_days(events, 50)[KEYS].assign(promised=1.0)
    pd.testing.assert_frame_equal(made.tidy(known), known.reset_index(drop=True))


def test_later_rows_do_not_move_the_scale(events):
    made = pipeline().fit(last_days(events, 0, 50))
    before = made.transform(last_days(events, 30))
    late = before["day"] > events["day"][49]
    other = events.copy()
    other.loc[other["day"] > events["day"][49], BAR] *= 3
    pd.testing.assert_frame_equal(made.transform(last_days(other, 30))[~late], before[~late], check_exact=True)


# --- there and back ---


def test_prices_volatilities_and_volume_are_logarithms(df, tidy):
    seen = pipeline().fit(df).transform(df)
    logs = [*BAR, "adjusted_close", "range_variance", "volatility", "ewma_volatility", "realised_volatility"]
    for label in logs:
        np.testing.assert_allclose(seen[label], np.log(tidy[label]), rtol=1e-12)
    np.testing.assert_allclose(seen["volume"], np.log1p(tidy["volume"]), rtol=1e-12)
    rest = seen.columns.difference([*logs, "volume"])
    pd.testing.assert_frame_equal(seen[rest], tidy[rest], check_exact=True)


@pytest.mark.filterwarnings("ignore:values of nearly 0 taken for their floor")
@settings(max_examples=25, deadline=None)
@given(
    low=arrays(float, 12, elements=st.floats(1e-4, 1e7)),
    within=arrays(float, (2, 12), elements=st.floats(0, 1)),
    volume=arrays(float, 12, elements=st.one_of(st.just(np.nan), st.floats(0, 1e12))),
    holes=arrays(bool, 12),
)
def test_every_column_comes_back(low, within, volume, holes):
    frame = pd.DataFrame({"name": [*"AB"] * 6, "day": pd.bdate_range("2024-01-01", periods=12), "volume": volume})
    frame = frame.assign(low=low, high=1.7 * low, open=low * (1 + 0.7 * within[0]), close=low * (1 + 0.7 * within[1]))
    frame.loc[holes, BAR] = np.nan
    made = pipeline(window=2).fit(frame)
    tidy = made.tidy(frame)
    for label, floor in made.floors_.items():
        tidy[label] = tidy[label].clip(lower=floor)
    back = made.inverse_transform(made.transform(frame))
    pd.testing.assert_frame_equal(back, tidy, rtol=1e-9, atol=0)


def test_some_columns_come_back_alone(df, tidy):
    made = pipeline().fit(df)
    some = made.transform(df)[[*KEYS, "volatility", "return"]]
    pd.testing.assert_frame_equal(made.inverse_transform(some), tidy[[*KEYS, "volatility", "return"]], rtol=1e-12)


def test_a_volatility_of_nothing_is_taken_for_the_floor_and_told(df):
    made = pipeline().fit(df)
    still = df.copy()
    still.loc[50:55, BAR] = 90.0
    with pytest.warns(UserWarning, match="taken for their floor.*5 of 'range_variance', 5 of 'volatility'"):
        seen = made.transform(still)
    assert np.isfinite(seen["range_variance"][51:56]).all()
    median = pipeline().tidy(df)["range_variance"].median()
    np.testing.assert_allclose(made.inverse_transform(seen)["range_variance"][51:56], 1e-3 * median, rtol=1e-12)


def test_training_rows_without_any_volatility_have_a_floor_too(df):
    still = df.assign(**dict.fromkeys(BAR, 7.0))
    made = pipeline().fit(still)
    with pytest.warns(UserWarning, match="floor"):
        assert np.isfinite(made.transform(still)["range_variance"][1:60]).all()


def test_what_is_beyond_the_range_is_clipped_and_told(df):
    made = pipeline().fit(df)
    far = pd.DataFrame({"close": [1e4, -1e4, np.inf, np.nan], "volume": [-0.5, -np.inf, 1.0, np.nan], "return": -1e4})
    with pytest.warns(UserWarning, match="beyond the range.*3 of 'close', 2 of 'volume'"):
        back = made.inverse_transform(far)
    assert (back["close"][:3] > 0).all()
    assert np.isfinite(back["close"][:3]).all()
    np.testing.assert_array_equal(back["volume"], [0.0, 0.0, np.expm1(1.0), np.nan])
    assert np.isnan(back["close"][3])
    assert (back["return"] == -1e4).all()


def test_what_is_no_number_does_not_come_back(df):
    with pytest.raises(DataError, match=r"'close'.*'high'"):
        pipeline().fit(df).inverse_transform(pd.DataFrame({"close": ["high"], "volume": 1.0}))


def test_the_way_back_keeps_the_order(df):
    made = pipeline().fit(df)
    values = np.linspace(0.1, 5, 20)
    for label in made.get_feature_names_out():
        assert made.keeps_order(label)
        assert made.outputs_of(label) == (label,)
        assert (made.inverse_transform(pd.DataFrame({label: values}))[label].diff()[1:] > 0).all()


def test_bounds(df):
    made = pipeline(columns={"close": "Schluss"})
    for label in ("Schluss", "open", "Volume", "dividend", "adjusted_close", "volatility", "absolute_return"):
        assert made.bounds_of(label) == (0, np.inf)
    for label in ("return", "return_score", "log_volume", "volume_score", "mood", ("a", 1), "close", "currency"):
        assert made.bounds_of(label) == (-np.inf, np.inf)
    assert made.bounds_of("negative_return") == (-np.inf, 0)
    tidy = pipeline().tidy(df)[[*BAR, "volume", *MADE]].agg(["min", "max"])
    for label, (low, high) in tidy.items():
        assert pipeline().bounds_of(label)[0] <= low
        assert high <= pipeline().bounds_of(label)[1]


# --- fitted on training rows, applied to others ---


def test_no_row_depends_on_a_later_one_or_another_name(df):
    cut, own = df["day"][30], df["name"] == "A"
    made = pipeline().fit(df[df["day"] <= cut])
    altered = df.copy()
    late = df["day"] > cut
    altered.loc[late, BAR] *= 3.0
    altered.loc[late, "volume"] += 17
    other = altered.copy()
    other.loc[~own, BAR] *= 5.0
    before = made.transform(df)
    pd.testing.assert_frame_equal(made.transform(altered)[~late], before[~late], check_exact=True)
    pd.testing.assert_frame_equal(made.transform(df[~late]), before[~late].reset_index(drop=True), check_exact=True)
    pd.testing.assert_frame_equal(made.transform(other)[own & ~late], before[own & ~late], check_exact=True)


def test_fit_learns_from_its_rows_alone(df):
    made = pipeline().fit(df[:60])
    medians = pipeline().tidy(df[:60])[list(made.floors_)].median()
    assert made.floors_ == pytest.approx((1e-3 * medians).to_dict())
    floors = dict(made.floors_)
    made.transform(df)
    assert made.floors_ == floors
    again = made.fit(df[60:])
    assert again is made
    assert made.floors_ != floors
    assert made.floors_ == pipeline().fit(df[60:]).floors_


def test_raw_and_tidy_rows_are_the_same_to_fit(df, tidy):
    assert pipeline().fit(df).floors_ == pipeline().fit(tidy).floors_
    made = pipeline().fit(df)
    pd.testing.assert_frame_equal(made.transform(df), made.transform(tidy), check_exact=True)


def test_names_of_columns(df):
    made = pipeline().fit(df)
    assert made.get_feature_names_out().tolist() == [c for c in made.transform(df) if c not in KEYS]
    tuples = pipeline().fit(df.assign(x=1).rename(columns={"x": ("x", 1)}))
    assert ("x", 1) in list(tuples.get_feature_names_out())


@pytest.mark.parametrize("settings", [{}, {"volatility": "parkinson", "window": 9, "faults": "nan"}], ids=str)
def test_scikit_learns_ways(df, settings):
    made = StockPipeline("day", "name", columns={"close": "close"}, **settings)
    assert clone(made).get_params() == made.get_params()
    assert clone(made.set_params(exchange=None, window=7)).window == 7
    with sklearn.config_context(transform_output="pandas"):
        pd.testing.assert_frame_equal(made.fit_transform(df), made.fit(df).transform(df))


def test_calendar_columns():
    assert StockPipeline().features == (SessionFeature("XNYS"), TradingDayFeature("XNYS"))
    assert StockPipeline().freq == "XNYS"
    assert StockPipeline(exchange=None).features == (TradingDayFeature(),)
    assert StockPipeline(exchange=None).freq is None


@pytest.mark.parametrize(
    "call",
    [
        lambda made, df: made.transform(df),
        lambda made, df: made.inverse_transform(df),
        lambda made, df: made.get_feature_names_out(),
        lambda made, df: made.to_json(),
    ],
    ids=["transform", "inverse_transform", "get_feature_names_out", "to_json"],
)
def test_fit_comes_first(df, call):
    with pytest.raises(NotFittedError, match="StockPipeline that was not fitted"):
        call(pipeline(), df)


WRONG = {
    "volatility": ("volatile", ["parkinson"], None),
    "window": (1, 0, -3, 2.5, True, "22", None, np.nan),
    "faults": ("drop", None, ["nan"]),
    "exchange": (5, True, ["XNYS"], "FOO", "", "nyse"),
    "columns": ({"price": "close"}, {"close": "x", "open": "x"}, {"close": ["x"]}, ["close"], {1: "close"}, "close"),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_settings_that_are_none(df, name, value):
    for call in (lambda made: made.fit(df), lambda made: made.tidy(df), lambda made: made.report(df)):
        with pytest.raises(SettingsError, match=f"{name}="):
            call(pipeline(**{name: value}))


def test_an_exchange_needs_the_extra(df, monkeypatch):
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(MissingExtraError, match=r"hourglass_ts\[calendars\]"):
        pipeline(exchange="XNYS").tidy(df)
    assert len(pipeline().tidy(df)) == 120


def test_all_wrong_settings_come_at_once(df):
    with pytest.raises(SettingsError, match="5 problems"):
        pipeline(**{name: values[0] for name, values in WRONG.items()}).tidy(df)


@pytest.mark.parametrize("labels", [["name", "day", "x"], [0, 1, 2], [("s", 1), ("t", 2), ("x", 3)]], ids=str)
@pytest.mark.parametrize("several", [False, True])
def test_json_and_back(df, labels, several):
    name, day, extra = labels
    frame = df.assign(x=1.0).rename(columns={"name": name, "day": day, "x": extra, "volume": "v"})
    series = [name] if several else name
    made = StockPipeline(day, series, exchange=None, window=np.int64(5), columns={"volume": "v"}).fit(frame)
    back = StockPipeline.from_json(json.loads(json.dumps(made.to_json())))
    assert back.get_params() == made.get_params()
    assert (back.floors_, back.notes_, back.names_) == (made.floors_, made.notes_, made.names_)
    assert back.get_feature_names_out().tolist() == made.get_feature_names_out().tolist()
    pd.testing.assert_frame_equal(back.transform(frame), made.transform(frame), check_exact=True)


# --- the defects of the data that ship ---


@pytest.fixture(scope="module")
def stocks() -> pd.DataFrame:
    return load_dataset("stocks")


def test_splits_and_lengths_of_the_shipped_stocks_are_told(stocks):
    assert StockPipeline("date", "symbol").report(stocks) == (
        "AAPL: a split, seen in the adjusted close, on 2000-06-21 (2 for 1)",
        "AAPL: a split, seen in the adjusted close, on 2005-02-28 (2 for 1)",
        "MSFT: a split, seen in the adjusted close, on 2003-02-18 (2 for 1)",
        "FB begins on 2012-05-18",
        "GOOG begins on 2004-08-19",
    )


def test_returns_of_the_shipped_stocks_know_no_split(stocks):
    tidy = StockPipeline("date", "symbol").tidy(stocks)
    splits = tidy[tidy["date"].isin(pd.to_datetime(["2000-06-21", "2005-02-28", "2003-02-18"]))]
    assert splits["return"].abs().max() < 10
    assert tidy.groupby("symbol")["return"].agg(lambda own: own.isna().sum()).eq(1).all()
    fallen = tidy[(tidy["symbol"] == "AAPL") & (tidy["date"] == "2000-09-29")]["return"].item()
    assert fallen == pytest.approx(-73.1, abs=0.1)  # no split: the price halved
    assert tidy["range_variance"].min() > 0
