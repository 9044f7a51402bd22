"""Exchange sessions: a closed exchange is no gap, a halted share is one, and every day that is no session is named."""

import json
import subprocess
import sys

import exchange_calendars
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hourglass_ts.errors import DataError, MissingExtraError, SettingsError
from hourglass_ts.frames import sessions
from hourglass_ts.frames.calendars import Calendar, infer_calendar
from hourglass_ts.frames.registry import load_dataset
from hourglass_ts.frames.schema import OBSERVED, TIME, Roles, check_frame, future_rows
from hourglass_ts.frames.sessions import holiday_hint

pytestmark = pytest.mark.filterwarnings("error")

NEW_YORK = "America/New_York"


def reference(code, start, end):
    """All sessions as exchange_calendars itself gives them."""
    return exchange_calendars.get_calendar(code, start=start, end=end).sessions.as_unit("us")


def panel_of(times, values=None, freq="XNYS"):
    frame = pd.DataFrame({"day": times, "price": np.arange(len(times)) * 1.0 if values is None else values})
    return check_frame(frame, Roles.from_arguments(time="day", target="price"), freq)


# --- against exchange_calendars ---


@pytest.mark.parametrize("code", ["XNYS", "XLON", "XTKS", "XHKG"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_steps_and_at_invert_each_other_and_agree_with_the_exchange(code, data):
    known = reference(code, "1998-01-01", "2029-12-31")
    first = data.draw(st.integers(0, len(known) - 60))
    picked = sorted(data.draw(st.sets(st.integers(0, 59), min_size=2)))
    zone = data.draw(st.sampled_from([None, NEW_YORK, "Asia/Tokyo"]))
    hour = data.draw(st.sampled_from([0, 16]))
    times = (known[first : first + 60] + pd.Timedelta(hours=hour)).tz_localize(zone)
    given_times = times[picked]
    calendar = infer_calendar(given_times, code)
    steps, fits = calendar.steps(given_times, given_times[:1].repeat(len(picked)))
    assert fits.all()
    assert steps.tolist() == [place - picked[0] for place in picked]
    pd.testing.assert_index_equal(calendar.at(given_times[:1].repeat(len(picked)), steps), given_times)
    pd.testing.assert_index_equal(calendar.after(times[0], 59), times[1:])
    pd.testing.assert_index_equal(calendar.grid(times[0], times[-1]), times)
    assert Calendar.from_json(json.loads(json.dumps(calendar.to_json()))) == calendar


def test_sessions_before_and_after_the_default_table():
    default = exchange_calendars.get_calendar("XNYS")
    early, late = pd.Timestamp("1985-09-26"), default.last_session.as_unit("us")
    assert early < default.first_session
    closed = Calendar.from_freq("XNYS").after(early, 1)  # hurricane Gloria closed the exchange on the 27th
    assert closed.tolist() == [pd.Timestamp("1985-09-30")]
    beyond = reference("XNYS", "2020-01-01", late + pd.DateOffset(years=3))
    expected = beyond[beyond > late][:300]
    pd.testing.assert_index_equal(Calendar.from_freq("XNYS").after(late, 300), expected)


def test_a_table_that_ends_says_so():
    calendar = Calendar.from_freq("XBOM")
    last = exchange_calendars.get_calendar("XBOM").bound_max()
    near = calendar.at(pd.DatetimeIndex([last - pd.Timedelta("30D")]), np.array([5]))[0]
    with pytest.raises(DataError, match=rf"{last.date()}.*'XBOM' ends; expected at most \d+ steps.*newer exchange_cal"):
        calendar.after(near, 40)
    with pytest.raises(DataError, match=r"'day', first at 1990-01-04.*days from 1997-01-01 to .*'XTKS'"):
        panel_of(pd.DatetimeIndex(["1990-01-04", "1990-01-05"]), freq="XTKS")


@pytest.mark.parametrize(("alias", "code"), [("XNYS", "XNYS"), ("NYSE", "XNYS"), ("NASDAQ", "XNYS"), ("LSE", "XLON")])
def test_aliases_mean_the_same_exchange(alias, code):
    assert Calendar.from_freq(alias, NEW_YORK) == Calendar("sessions", code, NEW_YORK)


# Each looks like a code or an alias of an exchange, and is none.
@pytest.mark.parametrize("name", ["XXXX", "xnys", "NYSEX", "BMEE", "24/6"])
def test_other_names_are_refused(name):
    with pytest.raises(SettingsError, match="XNYS"):
        Calendar.from_freq(name)


def test_seasons():
    assert [Calendar.from_freq(name).season_length for name in ("XNYS", "24/5", "24/7")] == [5, 5, 7]


# --- panels ---


def test_the_shipped_stocks_lie_on_sessions_without_a_missing_one():
    stocks = load_dataset("stocks")
    roles = Roles.from_arguments(time="date", target="adjusted_close", series="symbol")
    panel = check_frame(stocks, roles, "XNYS")
    assert panel.notes == ()
    assert len(panel.table) == len(stocks)
    assert panel.table[OBSERVED].all()
    apple = panel.table[TIME][: (stocks.symbol == "AAPL").sum()]
    after_a_closure = apple[apple.diff() > pd.Timedelta("4D")].astype(str).tolist()
    assert after_a_closure == ["2001-09-17", "2007-01-03", "2012-10-31"]  # attacks, President Ford's funeral, Sandy


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("2012-12-24", ["2012-12-26", "2012-12-27", "2012-12-28", "2012-12-31", "2013-01-02"]),
        ("2012-04-04", ["2012-04-05", "2012-04-09", "2012-04-10", "2012-04-11", "2012-04-12"]),  # Good Friday
        ("2012-10-26", ["2012-10-31", "2012-11-01", "2012-11-02", "2012-11-05", "2012-11-06"]),  # hurricane Sandy
        ("2001-09-10", ["2001-09-17", "2001-09-18", "2001-09-19", "2001-09-20", "2001-09-21"]),
    ],
)
def test_forecast_rows_fall_on_sessions(last, expected):
    days = load_dataset("stocks").query("symbol == 'IBM' and date <= @last").date
    ahead = future_rows(panel_of(days), 5)
    assert ahead[TIME].astype(str).tolist() == expected


def test_a_halted_share_is_a_gap_of_one_step():
    panel = panel_of(pd.DatetimeIndex(["2012-12-21", "2012-12-26", "2012-12-27"]))
    assert panel.table[TIME].astype(str).tolist() == ["2012-12-21", "2012-12-24", "2012-12-26", "2012-12-27"]
    assert panel.notes == ("1 missing step laid in, first 2012-12-24",)


BAD_DAYS = {
    "Saturday": (["2012-12-21", "2012-12-22"], ["first at 2012-12-22", "2012-12-21 or 2012-12-24", "Drop the rows"]),
    "Christmas": (["2012-12-21", "2012-12-25"], ["first at 2012-12-25", "2012-12-24 or 2012-12-26"]),
    "several": (["2012-12-21", "2012-12-22", "2012-12-23"], ["2012-12-22 and 1 more"]),
    "the first": (["2012-12-22", "2012-12-24"], ["found time 2012-12-22;", "2012-12-21 or 2012-12-24"]),
    "an hour": (["2012-12-21 00:00", "2012-12-24 05:00"], ["2012-12-24 05:00", "one time of day", "normalize"]),
}


@pytest.mark.parametrize("case", BAD_DAYS)
def test_a_row_without_a_session_is_named(case):
    times, pieces = BAD_DAYS[case]
    frame = pd.DataFrame({"day": pd.DatetimeIndex(times), "price": 1.0, "share": "A"})
    good = pd.DataFrame({"day": pd.DatetimeIndex(["2012-12-20", "2012-12-21"]), "price": 1.0, "share": "B"})
    roles = Roles.from_arguments(time="day", target="price", series="share")
    with pytest.raises(DataError) as caught:
        check_frame(pd.concat([frame, good]), roles, "XNYS")
    for piece in ["column 'day', series 'A'", "sessions of 'XNYS'" if case != "an hour" else "", *pieces]:
        assert piece in str(caught.value)


def test_integers_have_no_sessions():
    with pytest.raises(SettingsError, match="XNYS"):
        panel_of([1, 2, 3])


def test_every_series_may_have_an_exchange_of_its_own():
    days = {"US": reference("XNYS", "2021-12-01", "2021-12-23"), "DE": reference("XETR", "2021-12-01", "2021-12-23")}
    parts = [pd.DataFrame({"day": times, "price": 1.0, "share": name}) for name, times in days.items()]
    roles = Roles.from_arguments(time="day", target="price", series="share")
    freq = {"US": "XNYS", "DE": "XETR", "JP": "XTKS"}
    panel = check_frame(pd.concat(parts), roles, freq)
    assert [calendar.freq for calendar in panel.calendars] == ["XETR", "XNYS"]
    assert future_rows(panel, 2)[TIME].astype(str).tolist() == ["2021-12-27", "2021-12-28"] * 2
    with pytest.raises(SettingsError, match=r"column 'day', series 'US'.*`freq` without 'US'"):
        check_frame(pd.concat(parts), roles, {"DE": "XETR"})
    with pytest.raises(DataError, match="series 'US', first at 2021-12-02"):
        check_frame(pd.concat(parts), roles, {"DE": "XETR", "US": "2D"})


# --- the hint to those who did not ask for sessions ---


def test_holidays_among_business_days_are_hinted_at_and_nothing_is_switched():
    stocks = load_dataset("stocks")
    panel = check_frame(stocks, Roles.from_arguments(time="date", target="close", series="symbol"))
    assert {calendar.freq for calendar in panel.calendars} == {"B"}
    assert panel.notes[-1] == holiday_hint(123, 3393)
    assert "pass freq='XNYS'" in panel.notes[-1]


@pytest.mark.parametrize("holes", [0, 3, 100])
def test_no_hint_where_days_are_missing_too_rarely_or_too_often(holes):
    days = pd.date_range("2020-01-01", "2021-12-31", freq="B")
    kept = days.delete(np.random.default_rng(0).choice(np.arange(1, 500), holes, replace=False))
    assert not any("XNYS" in note for note in panel_of(kept, freq="B").notes)
    assert any("XNYS" in note for note in panel_of(days.delete(np.arange(5, 500, 25)), freq="B").notes)


# --- the extra ---


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(MissingExtraError, match=r"hourglass_ts\[calendars\]"):
        Calendar.from_freq("XNYS")
    for name in ("_default", "_bounds"):
        getattr(sessions, name).cache_clear()
    with pytest.raises(MissingExtraError, match=r"hourglass_ts\[calendars\]"):
        Calendar("sessions", "XNYS").after(pd.Timestamp("2021-01-04"), 1)
    assert Calendar.from_freq("B").freq == "B"
    with pytest.raises(SettingsError):
        Calendar.from_freq("nonsense")


def test_nothing_imports_the_packages_before_they_are_used():
    code = (
        "import sys, pandas as pd\n"
        "from hourglass_ts.frames.schema import Roles, check_frame\n"
        "df = pd.DataFrame({'t': pd.date_range('2020', periods=300, freq='B'), 'y': 1.0})\n"
        "check_frame(df, Roles.from_arguments(time='t', target='y'))\n"
        "print([name for name in ('exchange_calendars', 'holidays') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
