"""Calendars: inference with gaps, anchors, time zones on both changes of the clock, and the round trip to JSON."""

import json

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.frames.calendars import Calendar, infer_calendar
from hourglass_ts.frames.frequency import common_step

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
    months = ("QS-", "YS-", "QE-", "YE-")  # the anchor month may differ, the grid not
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
