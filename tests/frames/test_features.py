"""Columns made from the time: right on every calendar, there for training rows and the rows ahead, never a user's."""

import datetime as dt
import json
import sys

import exchange_calendars
import holidays
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hourglass_ts.errors import DataError, MissingExtraError, SettingsError
from hourglass_ts.frames import features
from hourglass_ts.frames.calendars import Calendar
from hourglass_ts.frames.features import (
    FARTHEST,
    HolidayFeature,
    SessionFeature,
    TradingDayFeature,
    feature_from_json,
    feature_to_json,
    holiday_features,
)
from hourglass_ts.frames.schema import TIME, Roles, check_frame, future_rows

pytestmark = pytest.mark.filterwarnings("error")

DAILY = Calendar("datetime", "D")
LABELS = ["holiday", "days_to_holiday", "days_since_holiday"]


def panel_of(df, made, freq=None, **roles):
    return check_frame(df, Roles.from_arguments(time="t", target="y", **roles), freq, holiday_features(made))


def simple(times):
    return pd.DataFrame({"t": times, "y": np.arange(len(times)) * 1.0})


# --- against slow references ---


def nearest(day, others):
    """(days to the next of `others`, days since the last), at most FARTHEST, day by day."""
    ahead = [n for n in range(FARTHEST + 1) if day + pd.Timedelta(days=n) in others]
    behind = [n for n in range(FARTHEST + 1) if day - pd.Timedelta(days=n) in others]
    return [min([*ahead, FARTHEST]), min([*behind, FARTHEST])]


@settings(max_examples=30, deadline=None)
@given(off=st.sets(st.dates(dt.date(2020, 1, 1), dt.date(2020, 3, 1)), min_size=1))
def test_listed_dates_equal_a_search_day_by_day(off):
    days = pd.date_range("2019-12-20", "2020-03-20")
    (feature,) = holiday_features(list(off))
    expected = [[float(day.date() in off), *nearest(day, {pd.Timestamp(each) for each in off})] for day in days]
    np.testing.assert_array_equal(feature.values(days, DAILY), expected)
    order = np.random.default_rng(0).permutation(len(days))
    np.testing.assert_array_equal(feature.values(days[order], DAILY), np.array(expected)[order])


@pytest.mark.parametrize(
    ("name", "country", "part"), [("US", "US", None), ("US-NY", "US", "NY"), ("DE-BY", "DE", "BY")]
)
def test_a_countrys_holidays_are_the_packages(name, country, part):
    days = pd.date_range("2011-01-01", "2013-12-31")
    table = holidays.country_holidays(country, subdiv=part, years=[2010, 2011, 2012, 2013, 2014])
    (feature,) = holiday_features(name)
    assert feature == HolidayFeature(name)
    np.testing.assert_array_equal(feature.values(days, DAILY)[:, 0], [float(day.date() in table) for day in days])
    np.testing.assert_array_equal(
        feature.values(days, DAILY)[:, 1:], [nearest(day, {pd.Timestamp(each) for each in table}) for day in days]
    )


@pytest.mark.parametrize("code", ["XNYS", "XHKG", "XSHG"])  # the last has nine closed days in a row, and no half ones
def test_an_exchanges_days_equal_a_search_day_by_day(code):
    days = pd.date_range("2012-06-01", "2013-03-31")
    table = exchange_calendars.get_calendar(code, start="2012-01-01", end="2013-12-31")
    is_open, half = set(table.sessions), set(table.early_closes)
    assert bool(half & set(days)) == (code != "XSHG")
    expected = [
        [
            float(day not in is_open),
            float(day in half),
            min(nearest(day - pd.Timedelta("1D"), is_open)[1], FARTHEST),
            min(nearest(day + pd.Timedelta("1D"), is_open)[0], FARTHEST),
        ]
        for day in days
    ]
    np.testing.assert_array_equal(SessionFeature(code).values(days, DAILY), expected)


def test_half_days_and_closed_days_on_sessions():
    calendar = Calendar("sessions", "XNYS")
    values = SessionFeature("XNYS").values(pd.DatetimeIndex(["2001-09-10", "2012-07-03", "2012-07-05"]), calendar)
    assert values.tolist() == [[0, 0, 2, 6], [0, 1, 0, 1], [0, 0, 1, 0]]


@pytest.mark.parametrize("code", [None, "XNYS", "XTAE", "XSHG"])  # Mondays to Fridays; Sundays; long holidays
def test_trading_days_equal_a_count_day_by_day(code):
    days = pd.date_range("2012-06-01", "2013-03-31")
    table = pd.bdate_range("2012-01-01", "2013-12-31")
    if code is not None:
        table = exchange_calendars.get_calendar(code, start="2012-01-01", end="2013-12-31").sessions
    expected = []
    for day in days:
        month = [session for session in table if (session.year, session.month) == (day.year, day.month)]
        left, past = sum(session > day for session in month), sum(session < day for session in month)
        expected.append([*(float(day.weekday() == k) for k in range(5)), min(left, 5), min(past, 5)])
    feature = TradingDayFeature(code)
    np.testing.assert_array_equal(feature.values(days, DAILY), expected)
    order = np.random.default_rng(0).permutation(len(days))
    np.testing.assert_array_equal(feature.values(days[order], DAILY), np.array(expected)[order])
    alone = [feature.values(days[place : place + 1], DAILY)[0] for place in range(0, len(days), 29)]
    np.testing.assert_array_equal(alone, expected[::29])


def test_trading_days_of_sub_daily_and_aware_times():
    evening = pd.DatetimeIndex(["2024-05-31 23:00"], tz="America/New_York")
    assert TradingDayFeature().values(evening, DAILY).tolist() == [[0, 0, 0, 0, 1, 0, 5]]
    assert TradingDayFeature().values(evening.tz_convert("UTC"), DAILY).tolist() == [[0, 0, 0, 0, 0, 5, 0]]


@pytest.mark.parametrize("feature", [TradingDayFeature(), TradingDayFeature("XNYS")], ids=str)
def test_trading_days_come_back_from_json_and_refuse_longer_steps(feature):
    assert feature_from_json(json.loads(json.dumps(feature_to_json(feature)))) == feature
    assert feature.values(pd.DatetimeIndex([]), DAILY).shape == (0, len(feature.labels))
    with pytest.raises(SettingsError, match="'W-MON'"):
        feature.values(pd.date_range("2024-01-01", periods=3, freq="W-MON"), Calendar("datetime", "W-MON"))


def test_trading_days_outside_an_exchanges_table_are_refused():
    with pytest.raises(DataError, match="days from 1990-01-01 to 1990-01-05; expected days from 1997-01-01"):
        TradingDayFeature("XTKS").values(pd.date_range("1990-01-01", periods=5), DAILY)


# --- in panels ---


def test_rows_and_rows_ahead_have_the_columns():
    panel = panel_of(simple(pd.date_range("2012-12-20", "2012-12-24")), "US")
    assert panel.roles.known == tuple(LABELS)
    assert panel.given_roles.known == ()
    assert panel.table["days_to_holiday"].tolist() == [5, 4, 3, 2, 1]
    ahead = future_rows(panel, 3)
    assert ahead[LABELS].to_numpy().tolist() == [[1, 0, 0], [0, 6, 1], [0, 5, 2]]
    assert panel.table["holiday"].dtype == ahead["holiday"].dtype == np.float64


def test_laid_in_rows_have_them_too():
    panel = panel_of(simple(pd.DatetimeIndex(["2012-12-23", "2012-12-24", "2012-12-26"])), "US")
    assert panel.table["holiday"].tolist() == [0, 0, 1, 0]


def test_sub_daily_rows_take_their_local_date():
    hours = pd.date_range("2012-12-24 20:00", periods=10, freq="h", tz="America/New_York")
    flags = panel_of(simple(hours), "US").table["holiday"]
    assert flags.tolist() == [0] * 4 + [1] * 6
    utc = panel_of(simple(hours.tz_convert("UTC")), "US").table["holiday"]
    assert utc.tolist() == [1] * 10


def test_only_the_users_own_columns_are_asked_for():
    df = simple(pd.date_range("2012-12-20", "2012-12-24")).assign(price=1.0)
    panel = panel_of(df, "US", known="price")
    assert panel.roles.known == ("price", *LABELS)
    with pytest.raises(DataError, match="no future values of 'price'"):
        future_rows(panel, 1)
    known = pd.DataFrame({"t": pd.date_range("2012-12-25", periods=1), "price": 5.0})
    assert future_rows(panel, 1, known)[["price", "holiday"]].to_numpy().tolist() == [[5.0, 1.0]]


def test_series_on_calendars_of_their_own_keep_their_rows():
    days = pd.DataFrame({"t": pd.date_range("2012-12-20", periods=8), "y": 1.0, "s": "B"})
    business = pd.DataFrame({"t": pd.date_range("2012-12-20", periods=8, freq="B"), "y": 1.0, "s": "A"})
    panel = panel_of(pd.concat([days, business]), "US", {"A": "B", "B": "D"}, series="s")
    christmas = panel.table.loc[panel.table["holiday"] == 1, TIME]
    assert christmas.astype(str).tolist() == ["2012-12-25"] * 2


@pytest.mark.parametrize("role", ["known", "past", "static", "series"])
def test_a_column_of_the_same_name_is_refused(role):
    df = simple(pd.date_range("2012-12-20", "2012-12-24")).assign(holiday=1.0)
    with pytest.raises(SettingsError, match=r"column 'holiday'.*Rename"):
        panel_of(df, "US", **{role: "holiday"})
    panel_of(df, "US")  # one without a role is in nobody's way


@pytest.mark.parametrize("made", ["US", "XNYS"])
@pytest.mark.parametrize("freq", ["W-MON", "MS", 1], ids=str)
def test_steps_that_pass_over_days_are_refused(made, freq):
    times = pd.Index(range(5)) if freq == 1 else pd.date_range("2021-01-01", periods=5, freq=freq)
    with pytest.raises(SettingsError, match=f"holidays or of the day with steps of {freq!r}.*known"):
        panel_of(simple(times), made)


@pytest.mark.parametrize("freq", ["D", "2D", "B", "h", "XNYS", pd.offsets.CustomBusinessDay(holidays=["2021-02-01"])])
def test_steps_of_days_and_shorter_ones_are_taken(freq):
    assert Calendar.from_freq(freq).is_daily


def test_days_outside_an_exchanges_table_are_refused():
    with pytest.raises(DataError, match="days from 1990-01-01 to 1990-01-05; expected days from 1997-01-01"):
        panel_of(simple(pd.date_range("1990-01-01", periods=5)), "XTKS")


# --- what a user may pass ---

SAME_DATES = [
    ["2012-12-25", "2012-07-04"],
    [dt.date(2012, 12, 25), dt.date(2012, 7, 4)],
    (pd.Timestamp("2012-07-04 12:00"), pd.Timestamp("2012-12-25")),
    pd.DatetimeIndex(["2012-07-04", "2012-12-25", "2012-12-25"]),
    np.array(["2012-07-04", "2012-12-25"], dtype="datetime64[D]"),
    {dt.date(2012, 7, 4): "Independence Day", dt.date(2012, 12, 25): "Christmas Day"},
]


@pytest.mark.parametrize("dates", SAME_DATES, ids=lambda dates: type(dates).__name__)
def test_dates_of_any_kind(dates):
    assert holiday_features(dates) == (HolidayFeature(dates=("2012-07-04", "2012-12-25")),)


@pytest.mark.parametrize("given", [None, "US", "DE-BY", "NYSE", ["2012-12-25"]], ids=str)
def test_features_come_back_from_json(given):
    made = holiday_features(given)
    assert tuple(feature_from_json(json.loads(json.dumps(feature_to_json(feature)))) for feature in made) == made


@pytest.mark.parametrize(
    "given",
    ["ZZ", "US-ZZ", "XABC", "usa", "", [], {}, 5, True, [1, 2], ["noday"], [None], np.array([1, 2]), ["13/04/2024"]],
    ids=str,
)
def test_what_is_no_holidays(given):
    with pytest.raises(SettingsError, match="holidays="):
        holiday_features(given)


@pytest.mark.parametrize(("given", "module"), [("US", "holidays"), ("XNYS", "exchange_calendars")])
def test_a_missing_extra_is_named(given, module, monkeypatch):
    features._country_days.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"hourglass_ts\[calendars\]"):
        holiday_features(given)
    assert holiday_features(["2012-12-25"])
