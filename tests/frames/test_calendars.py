"""Calendars: inference with gaps, anchors, time zones on both changes of the clock, and the round trip to JSON."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.frames.calendars import Calendar, infer_calendar
from hourglass_ts.frames.frequency import coarse_hint, common_step
from hourglass_ts.frames.schema import STEP, TIME, Roles, check_frame, future_rows
from hourglass_ts.frames.wording import show_gaps, show_span

pytestmark = pytest.mark.filterwarnings("error")

BERLIN = "Europe/Berlin"
AXES = {
    "hourly": ("h", pd.date_range("2021-01-01", periods=60, freq="h")),
    "hourly, odd minute": ("h", pd.date_range("2021-01-01 00:07", periods=60, freq="h")),
    "10 minutes": ("10min", pd.date_range("2021-01-01", periods=60, freq="10min")),
    "15 minutes": ("15min", pd.date_range("2021-01-01", periods=60, freq="15min")),
    "90 minutes": ("90min", pd.date_range("2021-01-01", periods=60, freq="90min")),
    "milliseconds": ("250ms", pd.date_range("2021-01-01", periods=60, freq="250ms", unit="ms")),
    "hourly, seconds": ("h", pd.date_range("2021-01-01", periods=60, freq="h", unit="s")),
    "daily": ("D", pd.date_range("2021-01-01", periods=60)),
    "daily, at six": ("D", pd.date_range("2021-01-01 06:00", periods=60)),
    "every second day": ("2D", pd.date_range("2021-01-01", periods=60, freq="2D")),
    "business": ("B", pd.date_range("2021-01-01", periods=60, freq="B")),
    "weekly, Tuesday": ("W-TUE", pd.date_range("2021-01-01", periods=60, freq="W-TUE")),
    "two weeks": ("2W-SUN", pd.date_range("2021-01-01", periods=60, freq="2W")),
    "month start": ("MS", pd.date_range("2021-01-01", periods=60, freq="MS")),
    "month end": ("ME", pd.date_range("2021-01-01", periods=60, freq="ME")),
    "business month end": ("BME", pd.date_range("2021-01-01", periods=60, freq="BME")),
    "business month start": ("BMS", pd.date_range("2021-01-01", periods=60, freq="BMS")),
    "two months": ("2MS", pd.date_range("2021-01-01", periods=60, freq="2MS")),
    "two years": ("2YE-DEC", pd.date_range("1971-01-01", periods=60, freq="2YE")),
    "7 minutes": ("7min", pd.date_range("2021-01-01 00:03", periods=60, freq="7min")),
    "5 seconds": ("5s", pd.date_range("2021-01-01", periods=60, freq="5s")),
    "4 hours from two": ("4h", pd.date_range("2021-01-01 02:00", periods=60, freq="4h")),
    "third Fridays": ("WOM-3FRI", pd.date_range("2021-01-01", periods=60, freq="WOM-3FRI")),
    "first Mondays": ("WOM-1MON", pd.date_range("2021-01-01", periods=60, freq="WOM-1MON")),
    "last Fridays": ("LWOM-FRI", pd.date_range("2021-01-01", periods=60, freq="LWOM-FRI")),
    "fiscal quarters": ("QE-NOV", pd.date_range("2021-02-28", periods=60, freq="QE-NOV")),
    "business quarters": ("BQE-OCT", pd.date_range("2021-01-29", periods=60, freq="BQE-OCT")),
    "month end from February": ("ME", pd.date_range("2021-02-28", periods=60, freq="ME")),
    "ends of February": ("YE-FEB", pd.date_range("1961-02-28", periods=60, freq="YE-FEB")),
    "quarter start": ("QS-OCT", pd.date_range("2021-01-01", periods=60, freq="QS")),
    "quarter end": ("QE-DEC", pd.date_range("2021-01-01", periods=60, freq="QE")),
    "year start": ("YS-JAN", pd.date_range("1961-01-01", periods=60, freq="YS")),
    "year end": ("YE-JUN", pd.date_range("1961-01-01", periods=60, freq="YE-JUN")),
    "integers": (1, pd.Index(range(5, 65))),
    "every tenth": (10, pd.Index(range(3, 603, 10))),
    "negative": (3, pd.Index(range(-90, 90, 3))),
    "hourly, zone": ("h", pd.date_range("2021-03-27", periods=60, freq="h", tz=BERLIN)),
    "hourly, zone, back": ("h", pd.date_range("2021-10-30", periods=60, freq="h", tz=BERLIN)),
    "daily, zone": ("D", pd.date_range("2021-03-01", periods=60, tz=BERLIN)),
    "daily, zone, back": ("D", pd.date_range("2021-10-01 09:30", periods=60, tz=BERLIN)),
    "business, zone": ("B", pd.date_range("2021-03-01", periods=60, freq="B", tz="America/New_York")),
    "monthly, zone": ("MS", pd.date_range("2021-01-01", periods=60, freq="MS", tz=BERLIN)),
    "fixed offset": ("h", pd.date_range("2021-01-01", periods=60, freq="h", tz="UTC+01:00")),
}


@pytest.mark.parametrize("name", AXES)
def test_infers_checks_and_continues(name):
    freq, times = AXES[name]
    given = times[:50]
    calendar = infer_calendar(given)
    assert calendar.freq == freq
    pd.testing.assert_index_equal(calendar.grid(given[0], given[-1]), given, exact="equiv", check_names=False)
    pd.testing.assert_index_equal(calendar.after(given[-1], 10), times[50:], exact="equiv")
    assert Calendar.from_json(json.loads(json.dumps(calendar.to_json()))) == calendar


@pytest.mark.parametrize("name", AXES)
@pytest.mark.parametrize("seed", range(3))
def test_gaps_do_not_change_the_frequency(name, seed):
    freq, times = AXES[name]
    kept = np.random.default_rng(seed).permutation(np.arange(1, 59))[:40]
    kept = np.sort(np.r_[0, kept, 59])
    calendar = infer_calendar(times[kept])
    grid = calendar.grid(times[0], times[-1])
    pd.testing.assert_index_equal(grid, times, exact="equiv", check_names=False)
    months = ("QS-", "YS-", "QE-", "YE-", "BQE-")  # the anchor month may differ, the grid not
    assert calendar.freq == freq or str(freq).startswith(months)
    steps, fits = calendar.steps(times, times[:1].repeat(60))
    assert fits.all()
    np.testing.assert_array_equal(steps, np.arange(60))


@pytest.mark.parametrize(
    ("freq", "season"),
    [
        *[("h", 24), ("15min", 96), ("10min", 144), ("5min", 288), ("min", 60), ("s", 60), ("30s", 120), ("6h", 4)],
        *[("24h", 7), ("D", 7), ("2D", 7), ("7D", 1), ("B", 5), ("C", 5), ("W-TUE", 52), ("2W-SUN", 26)],
        *[("ME", 12), ("MS", 12), ("2MS", 6), ("BME", 12), ("SME", 24), ("WOM-3FRI", 12)],
        *[("QS-JAN", 4), ("QE-DEC", 4), ("BQE-DEC", 4), ("YE-DEC", 1), ("YS-JAN", 1), (1, 1), (7, 1)],
    ],
)
def test_season(freq, season):
    assert Calendar.from_freq(freq).season_length == season


def test_days_of_23_and_25_hours():
    for day, hours in (("2021-03-28", 23), ("2021-10-31", 25)):
        start = pd.Timestamp(day, tz=BERLIN)
        end = start + pd.offsets.Day()
        assert len(Calendar("datetime", "h", BERLIN).grid(start, end)) - 1 == hours
        assert Calendar("datetime", "D", BERLIN).after(start, 1)[0] == end.normalize()


def test_daily_time_that_summer_time_skips_or_repeats():
    skipped = Calendar("datetime", "D", BERLIN).after(pd.Timestamp("2021-03-27 02:30", tz=BERLIN), 2)
    assert skipped.strftime("%d %H:%M").tolist() == ["28 03:00", "29 02:30"]
    days = pd.DatetimeIndex([*pd.date_range("2021-03-24 02:30", periods=4, tz=BERLIN), *skipped])
    assert infer_calendar(days, "D").freq == "D"
    twice = Calendar("datetime", "D", BERLIN).after(pd.Timestamp("2021-10-30 02:30", tz=BERLIN), 1)
    assert twice[0].utcoffset() == pd.Timedelta("2h")


BAD_FREQ = ["nonsense", "H", "-1D", "0D", 0, -3, True, 1.5, pd.DateOffset(months=1), "bh", {}]


@pytest.mark.parametrize("freq", BAD_FREQ, ids=str)
def test_bad_freq(freq):
    with pytest.raises(SettingsError, match="freq="):
        Calendar.from_freq(freq)


def test_custom_business_days_keep_their_holidays():
    offset = pd.offsets.CustomBusinessDay(holidays=["2021-12-24"], weekmask="Sun Mon Tue Wed Thu Fri")
    calendar = Calendar.from_freq(offset)
    assert (calendar.season_length, calendar.holidays) == (6, ("2021-12-24",))
    again = Calendar.from_json(json.loads(json.dumps(calendar.to_json())))
    assert again.after(pd.Timestamp("2021-12-23"), 2).strftime("%d").tolist() == ["26", "27"]
    with pytest.raises(DataError, match="2021-12-24"):
        infer_calendar(pd.DatetimeIndex(["2021-12-23", "2021-12-24"]), offset)


def test_user_freq_as_offset_timedelta_and_bare_week():
    times = pd.date_range("2021-01-05", periods=9, freq="W-TUE")
    assert infer_calendar(times, "W").freq == "W-TUE"
    assert infer_calendar(times, pd.offsets.Week(weekday=1)).freq == "W-TUE"
    assert infer_calendar(times, pd.Timedelta("1D")).freq in ("D", "24h")
    with pytest.raises(DataError, match="W-MON"):
        infer_calendar(times, "W-MON")


BAD_TIMES = {
    "stray minute": (
        pd.date_range("2021-01-01", periods=20, freq="h").insert(5, pd.Timestamp("2021-01-01 04:07")),
        None,
        ["column 't'", "series 'A'", "2021-01-01 04:07", "'h'", "2021-01-01 04:00 or 2021-01-01 05:00", "freq="],
    ),
    "Saturday": (pd.date_range("2021-01-01", periods=9), "B", ["2021-01-02", "'B'", "2021-01-04"]),
    "month": (pd.DatetimeIndex(["2021-01-01", "2021-02-02"]), "MS", ["2021-02-02", "'MS'", "2021-03-01"]),
    "anchor": (pd.DatetimeIndex(["2021-01-02", "2021-02-02"]), "MS", ["2021-01-02", "first time does not lie"]),
    "integers": (pd.Index([0, 10, 20, 30, 35, 40, 50, 60]), None, ["time 35", "steps of 10", "30 or 40"]),
    "single": (pd.Index([4]), None, ["single row", "freq="]),
    "clock": (pd.DatetimeIndex(["2021-01-01", "2021-01-02 01:00"]), "D", ["2021-01-02 01:00", "'D'"]),
}


@pytest.mark.parametrize("name", BAD_TIMES)
def test_off_grid_times_are_named(name):
    times, freq, pieces = BAD_TIMES[name]
    with pytest.raises(DataError) as caught:
        infer_calendar(times, freq, column="t", series="A")
    for piece in pieces:
        assert piece in str(caught.value)


@pytest.mark.parametrize(
    ("times", "freq"), [(pd.Index([1, 2]), "D"), (pd.date_range("2021", periods=2), 1)], ids=["integers", "dates"]
)
def test_freq_of_the_wrong_kind(times, freq):
    with pytest.raises(SettingsError, match="times"):
        infer_calendar(times, freq)


def test_a_calendar_refuses_times_of_the_wrong_kind_and_off_its_grid():
    with pytest.raises(SettingsError):
        Calendar("datetime", "D").after(3, 2)
    with pytest.raises(DataError, match="2021-01-02"):
        Calendar("datetime", "B").after(pd.Timestamp("2021-01-02"), 2)
    with pytest.raises(DataError):
        Calendar("integer", 2).grid(0, 3)
    with pytest.raises(SettingsError, match="at least as fine"):
        Calendar("datetime", "500ms").after(pd.Timestamp("2021-01-01").as_unit("s"), 2)


def test_every_second_business_day():
    times = pd.date_range("2021-01-01", periods=9, freq="2B")
    calendar = infer_calendar(times[:7].delete(3), "2B")
    assert calendar.after(times[6], 2).tolist() == times[7:].tolist()
    with pytest.raises(DataError, match="2021-01-04"):
        infer_calendar(times.insert(1, pd.Timestamp("2021-01-04")), "2B")


def test_one_stray_time_does_not_refine_the_grid():
    assert common_step(np.array([60] * 10 + [7, 53])) == 60
    assert common_step(np.array([2, 3])) == 1
    assert common_step(np.array([2, 2, 1])) == 1
    assert common_step(np.array([4, 6, 10, 8])) == 2


# --- daylight saving ---

CHANGES = {
    "Berlin, spring": (BERLIN, "2021-03-28", 23),
    "Berlin, autumn": (BERLIN, "2021-10-31", 25),
    "New York, spring": ("America/New_York", "2021-03-14", 23),
    "New York, autumn": ("America/New_York", "2021-11-07", 25),
}


def panel_of(times, freq=None):
    frame = pd.DataFrame({"t": times, "y": np.arange(len(times)) * 1.0})
    return check_frame(frame, Roles.from_arguments(time="t", target="y"), freq)


@pytest.mark.parametrize("case", CHANGES)
def test_hours_go_on_through_a_change_of_the_clock(case):
    zone, day, hours = CHANGES[case]
    start = pd.Timestamp(day, tz=zone)
    times = pd.date_range(start - pd.Timedelta("24h"), periods=96, freq="h")
    panel = panel_of(times)
    on_the_day = panel.table[TIME].dt.tz_localize(None).dt.normalize() == pd.Timestamp(day)
    assert on_the_day.sum() == hours
    assert panel.table[STEP].tolist() == list(range(96))
    ahead = future_rows(panel_of(times[:25]), 71)  # from the first hour of the day over the change
    pd.testing.assert_index_equal(pd.DatetimeIndex(ahead[TIME]), times[25:], check_names=False, exact="equiv")


@pytest.mark.parametrize("clock", ["00:00", "02:30", "09:30"])
@pytest.mark.parametrize("case", CHANGES)
def test_days_keep_their_clock_through_a_change(case, clock):
    zone, day, _ = CHANGES[case]
    wall = pd.date_range(f"{pd.Timestamp(day) - pd.Timedelta('10D'):%Y-%m-%d} {clock}", periods=20)
    times = wall.tz_localize(zone, nonexistent="shift_forward", ambiguous=np.ones(20, dtype=bool))
    for freq in ("D", None):
        panel = panel_of(times[:12], freq)
        assert panel.calendars[0].freq == "D"
        assert panel.notes == ()
        ahead = future_rows(panel_of(times[:5], freq), 15)
        pd.testing.assert_index_equal(pd.DatetimeIndex(ahead[TIME]), times[5:], check_names=False, exact="equiv")


def test_a_repeated_naive_hour_looks_like_daylight_saving():
    local = pd.date_range("2021-10-30", periods=72, freq="h", tz=BERLIN).tz_localize(None)
    with pytest.raises(
        DataError, match=r"'t', first at 2021-10-31 02:00.*duplicate.*daylight saving.*ambiguous='infer'"
    ):
        panel_of(local)
    halves = pd.date_range("2021-11-06", periods=144, freq="30min", tz="America/New_York").tz_localize(None)
    with pytest.raises(DataError, match="daylight saving"):
        panel_of(halves)
    assert panel_of(local.tz_localize(BERLIN, ambiguous="infer")).notes == ()


@pytest.mark.parametrize(
    "times",
    [
        pd.date_range("2021-10-30", periods=72, freq="h").insert(60, pd.Timestamp("2021-10-31 12:00")),
        pd.date_range("2021-10-30", periods=72, freq="h").insert(60, pd.Timestamp("2021-11-01 02:00")),
        pd.date_range("2021-10-25", periods=9, freq="D").insert(6, pd.Timestamp("2021-10-31")),
        pd.Index([1, 2, 2, 3]),
    ],
    ids=["noon", "Monday", "days", "integers"],
)
def test_other_duplicates_do_not(times):
    with pytest.raises(DataError, match="duplicate") as caught:
        panel_of(times)
    assert "daylight" not in str(caught.value)


def test_a_skipped_naive_hour_is_a_gap():
    local = pd.date_range("2021-03-27", periods=72, freq="h", tz=BERLIN).tz_localize(None)
    assert panel_of(local).notes == ("1 missing step laid in, first 2021-03-28 02:00",)


MIXED = {
    "offsets in text": ["2021-03-27T00:00+01:00", "2021-03-28T00:00+01:00", "2021-03-29T00:00+02:00"],
    "aware and naive text": ["2021-03-27T00:00+01:00", "2021-03-28T00:00"],
    "objects": [pd.Timestamp("2021-03-27", tz=BERLIN), pd.Timestamp("2021-03-28", tz="UTC")],
    "aware and naive objects": [pd.Timestamp("2021-03-27", tz=BERLIN), pd.Timestamp("2021-03-28")],
}


@pytest.mark.parametrize("case", MIXED)
def test_mixed_time_zones_are_refused(case):
    times = pd.Series(MIXED[case], dtype=object)
    with pytest.raises(DataError, match=r"column 't': found times of mixed time zones.*utc=True.*tz_convert"):
        panel_of(times)


def test_the_next_step_for_mixed_offsets_works():
    times = pd.Series(MIXED["offsets in text"], dtype=object)
    panel = panel_of(pd.to_datetime(times, utc=True).dt.tz_convert(BERLIN))
    assert (panel.calendars[0].freq, panel.calendars[0].tz, panel.notes) == ("D", BERLIN, ())


# --- evidence ---


def test_gaps_are_told_with_their_numbers_and_places():
    times = pd.date_range("2021-01-01", periods=80).insert(63, pd.Timestamp("2021-03-04 08:53")).delete([5, 6, 30])
    told = (
        "gaps of 1 day (73 times), 8 h 53 min (1, first after 2021-03-04), 15 h 7 min (1, first after 2021-03-04 08:53)"
    )
    assert show_gaps(times) == told + ", 2 days (1, first after 2021-01-30), and 1 more"
    with pytest.raises(DataError, match=r"first at 2021-03-04 08:53: found time 2021-03-04 08:53, among gaps of 1 day"):
        panel_of(times)
    assert show_gaps(pd.Index([1, 2, 5])) == "gaps of 1 (once), 3 (1, first after 2)"
    assert [show_span(n) for n in (0, 1, 1500, 90 * 10**9, 86_400 * 10**9)] == [
        "0 s",
        "1 ns",
        "1 us 500 ns",
        "1 min 30 s",
        "1 day",
    ]


HINTS = {
    "a day of the month": (["2021-01-15", "2021-02-15", "2021-03-15", "2021-05-15"], "to_period('M')"),
    "the 30th": (["2021-01-30", "2021-02-28", "2021-03-30", "2021-04-30", "2021-05-30"], "to_period('M')"),
    "a day of the quarter": (["2020-03-15", "2020-06-15", "2020-09-15", "2020-12-15", "2021-03-15"], "to_period('Q')"),
    "a day of the year": (["2016-03-15", "2017-03-15", "2018-03-15", "2020-03-15"], "to_period('Y')"),
    "midnights in UTC": (pd.date_range("2021-03-20", periods=20, tz=BERLIN).tz_convert("UTC"), ".dt.tz_convert("),
    "naive midnights": (
        pd.date_range("2021-10-20", periods=20, tz=BERLIN).tz_convert("UTC").tz_localize(None),
        ".dt.tz_localize('UTC').dt.tz_convert(",
    ),
    "anything else": (["2021-01-01", "2021-01-02", "2021-01-03", "2021-01-04 05:00", "2021-01-05"], "pass `freq=`"),
}


@pytest.mark.parametrize("case", HINTS)
def test_times_without_an_alias_get_a_next_step(case):
    times, hint = HINTS[case]
    with pytest.raises(DataError) as caught:
        panel_of(pd.DatetimeIndex(times))
    assert hint in str(caught.value)
    assert "among gaps of" in str(caught.value)
    assert "column 't'" in str(caught.value)


# --- any frequency, start, zone and holes ---

FREQS = [
    "7min",
    "h",
    "4h",
    "D",
    "2D",
    "B",
    "W-WED",
    "2W-SUN",
    "MS",
    "ME",
    "BME",
    "QS-NOV",
    "QE-NOV",
    "YE-JUN",
    "WOM-2TUE",
]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_holey_axis_is_found_and_continued_as_pandas_would(data):
    freq = data.draw(st.sampled_from(FREQS))
    zone = data.draw(st.sampled_from([None, BERLIN, "America/New_York", "UTC"]))
    start = data.draw(st.datetimes(pd.Timestamp("1995-01-01"), pd.Timestamp("2030-01-01"))).replace(microsecond=0)
    if freq not in ("7min", "h", "4h"):
        start = start.replace(hour=0, minute=0, second=0)
    start = pd.Timestamp(start).tz_localize(zone, nonexistent="shift_forward", ambiguous=True)
    times = pd.date_range(start, periods=60, freq=freq)
    holes = data.draw(st.sets(st.integers(1, 38), max_size=10))
    given_times = times[:40].delete(sorted(holes))
    calendar = infer_calendar(given_times)
    place = np.delete(np.arange(40), sorted(holes))
    steps, fits = calendar.steps(given_times, given_times[:1].repeat(len(place)))
    assert fits.all()
    assert steps.tolist() == place.tolist()
    equal = {"check_names": False, "exact": "equiv"}
    pd.testing.assert_index_equal(calendar.at(times[:1].repeat(60), np.arange(60)), times, **equal)
    pd.testing.assert_index_equal(calendar.after(given_times[-1], 20), times[40:], **equal)
    again = infer_calendar(given_times, freq)
    assert again.steps(given_times, given_times[:1].repeat(len(place)))[0].tolist() == place.tolist()


@pytest.mark.parametrize("first", ["2021-09-01", "2021-09-05", "2021-09-06"])
@pytest.mark.parametrize("hole", [False, True])
def test_a_midnight_that_summer_time_skips_anchors_nothing(first, hole):
    """In Santiago 2021-09-05 begins at 01:00; all other days, before and ahead, begin at midnight."""
    days = pd.date_range(first, periods=12)
    times = days.tz_localize("America/Santiago", nonexistent="shift_forward")
    frame = pd.DataFrame({"t": times, "y": np.arange(12.0)})
    panel = check_frame(frame.drop(index=3) if hole else frame, Roles.from_arguments("t", "y"))
    assert panel.table[TIME].tolist() == times.tolist()
    assert panel.table[STEP].tolist() == list(range(12))
    ahead = future_rows(panel, 3)[TIME].dt.strftime("%m-%d %H").tolist()
    assert ahead == [f"{day:%m-%d} 00" for day in pd.date_range(days[-1], periods=4)[1:]]


def test_rows_ahead_need_not_the_rows_that_are_let_go():
    times = pd.date_range("2021-07-01", periods=71).tz_localize("America/Santiago", nonexistent="shift_forward")
    panel = check_frame(pd.DataFrame({"t": times, "y": np.arange(71.0)}), Roles.from_arguments("t", "y"))
    kept = panel.table.tail(5)  # begins with the shifted day
    ahead = future_rows(replace(panel, table=kept.assign(**{STEP: range(len(kept))})), 2)[TIME]
    assert ahead.dt.strftime("%m-%d %H").tolist() == ["09-10 00", "09-11 00"]


@pytest.mark.parametrize(
    ("times", "form"),
    [([20240130, 20240131, 20240201], "%Y%m%d"), ([202411, 202412, 202501], "%Y%m")],
)
def test_dates_written_as_numbers_are_refused(times, form):
    frame = pd.DataFrame({"t": times, "y": 1.0})
    with pytest.raises(DataError, match=f"column 't'.*dates written as whole numbers.*{form}.*freq=1"):
        check_frame(frame, Roles.from_arguments("t", "y"))
    assert check_frame(frame, Roles.from_arguments("t", "y"), freq=1).table[STEP].iloc[0] == 0
    check_frame(frame.assign(t=[20240130, 20249999, 20250000]), Roles.from_arguments("t", "y"), freq=1)


@pytest.mark.parametrize(
    "times",
    [pd.Index(np.arange(60) + (2**63 - 62)), pd.date_range("2262-02-01", periods=69, unit="ns")],
    ids=["integers", "nanoseconds"],
)
def test_times_that_leave_their_types_range_are_refused(times):
    panel = check_frame(pd.DataFrame({"t": times, "y": 1.0}), Roles.from_arguments("t", "y"))
    with pytest.raises(DataError, match="times beyond the range of"):
        future_rows(panel, 9)


def test_days_without_an_alias_are_not_taken_for_moved_clocks():
    days = [day for day in pd.date_range("2024-01-01", periods=200) if day.dayofweek in (0, 2, 4)]
    assert "clocks change" not in coarse_hint(pd.DatetimeIndex(days))
    assert "clocks change" in coarse_hint(pd.date_range("2021-03-20", periods=20, tz=BERLIN).tz_convert("UTC"))
