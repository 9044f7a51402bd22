"""The sun: its elevation against published times and angles, and its columns on every kind of row."""

import json

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.errors import SettingsError
from hourglass_ts.frames.calendars import Calendar
from hourglass_ts.frames.features import feature_from_json, feature_to_json
from hourglass_ts.frames.solar import SolarElevationFeature, solar_elevation

HOURLY, DAILY = Calendar("datetime", "h"), Calendar("datetime", "D")
BERLIN, SYDNEY = (52.52, 13.405), (-33.87, 151.21)
TURNING = {  # sunrise and sunset as almanacs give them: the upper edge, lifted by refraction, -0.833 degrees
    "Berlin, June": ("Europe/Berlin", BERLIN, ["2024-06-21 04:43", "2024-06-21 21:33"]),
    "Berlin, December": ("Europe/Berlin", BERLIN, ["2024-12-21 08:15", "2024-12-21 15:54"]),
    "Sydney, June": ("Australia/Sydney", SYDNEY, ["2024-06-21 07:00", "2024-06-21 16:54"]),
    "Sydney, December": ("Australia/Sydney", SYDNEY, ["2024-12-21 05:41", "2024-12-21 20:05"]),
}


@pytest.mark.parametrize("case", TURNING)
def test_sunrise_and_sunset_are_when_they_are_published(case):
    zone, place, times = TURNING[case]
    elevation = solar_elevation(pd.DatetimeIndex(times, tz=zone), *place)
    np.testing.assert_allclose(elevation, -0.833, atol=0.2)  # a minute is up to 0.2 degrees


@pytest.mark.parametrize(
    ("latitude", "day", "expected"),
    [(0.0, "2024-03-20", 90.0), (23.44, "2024-06-20", 90.0), (51.48, "2024-06-20", 61.96), (-66.56, "2024-06-20", 0.0)],
    ids=["equator", "tropic", "Greenwich", "polar circle"],
)
def test_the_noon_sun_stands_as_high_as_geometry_says(latitude, day, expected):
    minutes = pd.date_range(day, periods=1440, freq="min")
    assert solar_elevation(minutes, latitude, 0.0).max() == pytest.approx(expected, abs=0.3)


def test_noon_comes_by_longitude_and_the_equation_of_time():
    for day, minutes in (("2024-02-11", 14.2), ("2024-11-03", -16.5), ("2024-04-15", 0.0)):
        times = pd.date_range(day, periods=1440 * 2, freq="30s")
        noon = times[np.argmax(solar_elevation(times, 40.0, 30.0))]
        late = (noon - pd.Timestamp(day) - pd.Timedelta(hours=10)) / pd.Timedelta(minutes=1)
        assert late == pytest.approx(minutes, abs=1.0)


def test_the_zone_of_the_times_does_not_matter():
    utc = pd.date_range("2024-03-30", periods=72, freq="h", tz="UTC")
    feature = SolarElevationFeature(*BERLIN, timezone="Asia/Tokyo")
    expected = feature.values(utc, HOURLY)
    np.testing.assert_array_equal(feature.values(utc.tz_convert("Europe/Berlin"), HOURLY), expected)
    local = utc.tz_convert("Asia/Tokyo").tz_localize(None)
    np.testing.assert_array_equal(feature.values(local, HOURLY), expected)
    np.testing.assert_array_equal(SolarElevationFeature(*BERLIN).values(utc.tz_localize(None), HOURLY), expected)


def test_columns_are_the_sine_and_the_sine_by_day():
    times = pd.date_range("2024-06-20", periods=48, freq="h", tz="UTC")
    values = SolarElevationFeature(*BERLIN).values(times, HOURLY)
    sine = np.sin(np.deg2rad(solar_elevation(times, *BERLIN)))
    np.testing.assert_allclose(values[:, 0], sine)
    np.testing.assert_array_equal(values[:, 1], np.where(values[:, 0] > 0, values[:, 0], 0))
    assert (values[:, 1] == 0).any()


@pytest.mark.parametrize("freq", ["D", "24h", "W", "MS"])
def test_rows_of_days_have_the_means_of_their_days(freq):
    days = pd.DatetimeIndex(["2024-01-07", "2024-06-23"], tz="Europe/Berlin")
    values = SolarElevationFeature(*BERLIN).values(days, Calendar("datetime", freq, "Europe/Berlin"))
    for day, row in zip(days, values, strict=True):
        minutes = pd.date_range(day, periods=1440, freq="min")
        sine = np.sin(np.deg2rad(solar_elevation(minutes, *BERLIN)))
        np.testing.assert_allclose(row, [sine.mean(), sine.clip(min=0).mean()], atol=2e-3)
    assert values[1, 1] > 3 * values[0, 1]


@pytest.mark.parametrize("freq", ["D", "24h", "W", "MS"])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_rows_named_by_their_ends_have_the_means_before_them(freq, zone):
    place = (*BERLIN, "Europe/Berlin")
    ends = pd.date_range("2024-03-01", periods=14, freq=freq, tz=zone)
    calendar = Calendar("datetime", freq, zone)
    values = SolarElevationFeature(*place, ends=True).values(ends, calendar)
    for k in range(1, len(ends)):
        days = pd.date_range(ends[k - 1], ends[k], freq="D", inclusive="left")
        expected = SolarElevationFeature(*place).values(days, DAILY).mean(axis=0)
        np.testing.assert_allclose(values[k], expected, atol=4e-3)
    np.testing.assert_array_equal(SolarElevationFeature(*place, ends=True).values(ends[3:4], calendar), values[3:4])
    assert SolarElevationFeature(*place, ends=True).values(ends[:0], calendar).shape == (0, 2)


def test_clock_changes_at_midnight_and_none_at_all():
    feature = SolarElevationFeature(-23.5, -46.6, "America/Sao_Paulo")  # 2018-11-04 begins at 1 o'clock
    days = pd.date_range("2018-11-03", periods=3)
    aware = days.tz_localize("America/Sao_Paulo", nonexistent="shift_forward")
    np.testing.assert_allclose(feature.values(days, DAILY), feature.values(aware, DAILY))
    assert np.ptp(feature.values(days, DAILY)[:, 1]) < 0.01


def test_every_time_alone_and_none():
    feature = SolarElevationFeature(*SYDNEY)
    times = pd.date_range("2024-01-01", periods=30, freq="7h")
    order = np.random.default_rng(0).permutation(30)
    np.testing.assert_array_equal(feature.values(times[order], HOURLY), feature.values(times, HOURLY)[order])
    assert feature.values(times[:0], HOURLY).shape == (0, 2)
    assert feature.values(times[:0], DAILY).shape == (0, 2)


def test_it_is_saved_and_refuses_numbers():
    feature = SolarElevationFeature(52.0, 13.0, "Europe/Berlin", ends=True)
    assert feature_from_json(json.loads(json.dumps(feature_to_json(feature)))) == feature
    with pytest.raises(SettingsError, match="int64 times"):
        feature.values(pd.Index([1, 2]), Calendar("integer", 1))
