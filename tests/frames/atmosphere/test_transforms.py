"""Transforms there and back, mean courses against least squares by hand, and the harmonics as columns."""

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from hourglass_ts.errors import SettingsError
from hourglass_ts.frames.atmosphere.transforms import Clock, Course, backward, forward, shown_cycles
from hourglass_ts.frames.calendars import Calendar
from hourglass_ts.frames.features import feature_from_json, feature_to_json
from hourglass_ts.frames.harmonics import HarmonicsFeature
from hourglass_ts.frames.plain import from_plain, to_plain

DAY, YEAR = 86_400.0, 365.2425 * 86_400.0
SHAPES = {
    "plain": (-95.0, 65.0, 1.0),
    "share": (0.0, 100.0, 1.0),
    "share of 1": (0.0, 1.0, 1.0),
    "clipped": (0.0, 1.0, 1.0),
    "root": (0.0, 115.0, 1.0),
    "log": (0.0, 2000.0, 1.0),
    "log in m": (0.0, 2.0, 0.001),
}


@pytest.mark.parametrize("case", SHAPES)
@given(share=st.floats(0, 1))
def test_there_and_back(case, share):
    low, high, scale = SHAPES[case]
    kind = case.split()[0]
    value = np.array([low + share * (high - low)])
    seen = forward(value, kind, low, high, scale)
    assert np.isfinite(seen).all()
    back, beyond = backward(seen, kind, low, high, scale)
    np.testing.assert_allclose(back, value, rtol=1e-9, atol=1e-14 * (high - low))
    assert not beyond.any()


@pytest.mark.parametrize("case", SHAPES)
def test_order_ends_zero_and_nan_stay(case):
    low, high, scale = SHAPES[case]
    kind = case.split()[0]
    values = np.linspace(low, high, 1001)
    seen = forward(values, kind, low, high, scale)
    assert (np.diff(seen) > 0).all()
    back, beyond = backward(seen, kind, low, high, scale)
    assert back[0] == low
    assert back[-1] == pytest.approx(high, rel=1e-15)
    assert not beyond.any()
    assert np.isnan(backward(forward(np.array([np.nan]), kind, low, high, scale), kind, low, high, scale)[0]).all()
    if kind in ("root", "log"):
        assert seen[0] == 0
        assert backward(np.array([0.0]), kind, low, high, scale)[0][0] == 0


@pytest.mark.parametrize("case", [case for case in SHAPES if case != "plain"])
def test_numbers_beyond_the_range_come_to_its_ends(case):
    low, high, scale = SHAPES[case]
    kind = case.split()[0]
    back, beyond = backward(np.array([-1e9, -50.0, np.nan, 1e3, 1e308]), kind, low, high, scale)
    np.testing.assert_allclose(back, [low, low, np.nan, high, high], rtol=1e-15)
    assert np.nanmax(back) <= high
    np.testing.assert_array_equal(beyond, [-1, -1, 0, 1, 1])


def clock_of(times, names=None):
    frame = pd.DataFrame({"t": times, "id": "A" if names is None else names})
    return Clock.of(frame, "t", [] if names is None else ["id"])


def by_hand(times, values, cycles):
    seconds = np.array([(time.tz_localize(None) - pd.Timestamp(0)).total_seconds() for time in times])
    waves = [f(2 * np.pi * k * seconds / n) for n, most in cycles for k in range(1, most + 1) for f in (np.cos, np.sin)]
    design = np.column_stack([np.ones(len(times)), *waves])
    return sm.OLS(values, design, missing="drop").fit().predict(design)


COURSES = {
    "hours, three years": (pd.date_range("2020-01-01", periods=3 * 8766, freq="h"), [(YEAR, 3), (DAY, 4)]),
    "three hours, five days": (pd.date_range("2020-01-01", periods=40, freq="3h"), [(DAY, 3)]),
    "six hours, five days": (pd.date_range("2020-01-01", periods=20, freq="6h"), [(DAY, 1)]),
    "days, three years": (pd.date_range("2020-01-01", periods=1096), [(YEAR, 3)]),
    "months, three years": (pd.date_range("2020-01-01", periods=36, freq="MS"), [(YEAR, 3)]),
    "days, a year and a half": (pd.date_range("2020-01-01", periods=548), []),
    "hours, a day and a half": (pd.date_range("2020-01-01", periods=36, freq="h"), []),
    "one row": (pd.date_range("2020-01-01", periods=1), []),
}


@pytest.mark.parametrize("case", COURSES)
def test_courses_are_least_squares_on_the_cycles_that_show(case):
    times, cycles = COURSES[case]
    rng = np.random.default_rng(0)
    values = rng.normal(size=len(times)) + 5
    values[1:-1][rng.random(max(len(times) - 2, 0)) < 0.02] = np.nan
    clock = clock_of(times)
    np.testing.assert_allclose(Course.fit(clock, values).at(clock), by_hand(times, values, cycles), atol=1e-6)
    shown = {length: most for length, most in cycles if most}
    assert shown_cycles(clock.seconds) == pytest.approx(shown)


def test_half_a_cycle_says_nothing_of_the_other_half():
    hours = pd.date_range("2024-06-01", periods=24 * 30, freq="h")
    awake = np.where((hours.hour >= 6) & (hours.hour <= 18), hours.hour + 0.0, np.nan)
    clock = clock_of(hours)
    np.testing.assert_allclose(Course.fit(clock, awake).at(clock), np.nanmean(awake))
    days = pd.date_range("2020-01-01", periods=4 * 366)
    winter = np.where(days.month <= 2, days.day + 0.0, np.nan)
    clock = clock_of(days)
    np.testing.assert_allclose(Course.fit(clock, winter).at(clock), np.nanmean(winter))


def test_every_series_has_its_own_course_and_a_new_one_their_mean():
    hours = pd.date_range("2024-01-01", periods=240, freq="h")
    times, names = hours.append([hours, hours]), np.repeat(["A", "B", "empty"], 240)
    values = np.concatenate([np.sin(hours.hour / 24 * 2 * np.pi), np.full(240, 7.0), np.full(240, np.nan)])
    course = Course.fit(clock_of(times, names), values)
    assert set(course.weights) == {("A",), ("B",)}
    np.testing.assert_allclose(course.at(clock_of(hours, "A")), values[:240], atol=1e-9)
    np.testing.assert_allclose(course.at(clock_of(hours, "B")), 7, atol=1e-9)
    for name in ("empty", "C"):
        np.testing.assert_allclose(course.at(clock_of(hours, name)), (values[:240] + 7) / 2, atol=1e-9)
    nothing = Course.fit(clock_of(hours), np.full(240, np.nan))
    np.testing.assert_array_equal(nothing.at(clock_of(hours)), 0)


def test_courses_depend_on_no_order_and_no_other_row():
    rng = np.random.default_rng(1)
    times = pd.date_range("2024-01-01", periods=500, freq="h")
    values, order = rng.normal(size=500), rng.permutation(500)
    clock, mixed = clock_of(times), clock_of(times[order])
    one, two = Course.fit(clock, values), Course.fit(mixed, values[order])
    np.testing.assert_array_equal(one.weights[()], two.weights[()])
    np.testing.assert_array_equal(one.at(mixed), one.at(clock)[order])
    np.testing.assert_array_equal(one.at(clock_of(times[7:9])), one.at(clock)[7:9])


def test_clock_changes_do_not_shift_the_day_against_the_sun():
    times = pd.date_range("2024-03-01", periods=24 * 60, freq="h", tz="Europe/Berlin")
    course = np.cos(2 * np.pi * times.tz_convert("UTC").hour / 24)
    clock = clock_of(times)
    np.testing.assert_allclose(Course.fit(clock, course.to_numpy()).at(clock), course, atol=1e-9)
    feature = HarmonicsFeature(day=1)
    np.testing.assert_allclose(
        feature.values(times, Calendar("datetime", "h", "Europe/Berlin"))[:, 0], course, atol=1e-9
    )


def test_harmonics_are_columns():
    feature = HarmonicsFeature(year=2, day=1)
    assert feature.labels == ("year_cos_1", "year_sin_1", "year_cos_2", "year_sin_2", "day_cos_1", "day_sin_1")
    times = pd.date_range("2024-01-01", periods=50, freq="5h")
    values = feature.values(times, Calendar("datetime", "5h"))
    seconds = np.array([time.timestamp() for time in times])
    expected = [
        f(2 * np.pi * k * seconds / length) for length, k in ((YEAR, 1), (YEAR, 2), (DAY, 1)) for f in (np.cos, np.sin)
    ]
    np.testing.assert_allclose(values, np.transpose(expected), atol=1e-9)
    assert HarmonicsFeature().labels == ()
    assert feature_from_json(json.loads(json.dumps(feature_to_json(feature)))) == feature
    with pytest.raises(SettingsError, match="int64 times"):
        feature.values(pd.Index([1]), Calendar("integer", 1))


PLAIN = [None, True, 1, 0.1, "a", (), ("a", 1), [1, ("b",)], {"a": 1}, {1: [None], ("a", 2): {"x": 0.5}}]


@pytest.mark.parametrize("value", [*PLAIN, pd.Timestamp("2024-01-01", tz="UTC")], ids=str)
def test_values_come_back_from_json(value):
    back = from_plain(json.loads(json.dumps(to_plain(value))))
    assert back == value
    assert type(back) is type(value)


def test_numpy_becomes_plain_and_other_things_are_refused():
    assert to_plain(np.float64(0.1)) == 0.1
    assert to_plain(np.array([1, 2])) == {"list": [1, 2]}
    with pytest.raises(TypeError, match="no plain value"):
        to_plain(object())
