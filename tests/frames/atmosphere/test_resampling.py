"""Intervals: their ends, what becomes of each variable, how many rows they need, and nothing from later."""

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.frames.atmosphere.resampling import interval_days, interval_ends
from hourglass_ts.frames.calendars import infer_calendar
from hourglass_ts.frames.weather import WeatherPipeline

BERLIN = "Europe/Berlin"
ENDS = {
    "the end belongs to it": ("h", "2024-01-01 01:00", "2024-01-01 01:00"),
    "and what is after, to the next": ("h", "2024-01-01 01:00:01", "2024-01-01 02:00"),
    "three hours from midnight": ("3h", "2024-01-01 03:10", "2024-01-01 06:00"),
    "half hours": ("30min", "2024-01-01 03:10", "2024-01-01 03:30"),
    "the first of January": ("D", "2024-01-01 00:10", "2024-01-02"),
    "midnight ends the day before": ("D", "2024-01-02 00:00", "2024-01-02"),
    "weeks to Sunday": ("W", "2024-01-01", "2024-01-07"),
    "a Sunday of daily rows": ("W", "2024-01-07", "2024-01-07"),
    "weeks to another day": ("W-WED", "2024-01-01 10:00", "2024-01-03"),
    "months of daily rows": ("ME", "2024-01-31", "2024-01-31"),
    "months of shorter rows": ("MS", "2024-01-31 23:50", "2024-02-01"),
}


@pytest.mark.parametrize("case", ENDS)
@pytest.mark.parametrize("zone", [None, BERLIN])
@pytest.mark.parametrize("unit", ["s", "ns"])
def test_every_time_has_its_end(case, zone, unit):
    rule, time, end = ENDS[case]
    found = interval_ends(pd.DatetimeIndex([time], tz=zone).as_unit(unit), rule)
    assert found[0] == pd.Timestamp(end, tz=zone)
    assert found.unit == unit
    assert interval_ends(found, rule)[0] == found[0]


def test_days_follow_the_local_date_over_clock_changes():
    for day in ("2024-03-31", "2024-10-27"):
        times = pd.date_range(day, periods=30, freq="h", tz=BERLIN)[1:]
        ends = interval_ends(times, "D")
        np.testing.assert_array_equal(ends == pd.Timestamp(day, tz=BERLIN) + pd.DateOffset(days=1), times <= ends[0])
        assert (times[times <= ends[0]][-1] - times[0]).total_seconds() / 3600 + 1 == {"2024-03-31": 23}.get(day, 25)


def test_hours_follow_one_another_over_clock_changes_and_odd_zones():
    for zone in (BERLIN, "Asia/Kolkata"):
        times = pd.date_range("2024-10-26 22:10", periods=60, freq="10min", tz=zone)
        ends = interval_ends(times, "h").unique()
        assert (np.diff(ends.asi8) == pd.Timedelta("1h") / pd.Timedelta(1, unit=ends.unit)).all()
        assert (ends.minute == 0).all()


@pytest.mark.parametrize("rule", ["10min", "h", "6h", "D", "W", "W-WED", "ME", "MS", "24h"])
def test_made_times_lie_on_the_calendar_of_their_rule(rule):
    times = pd.date_range("2024-03-01", "2024-05-31", freq="1h", tz=BERLIN)
    infer_calendar(interval_ends(times, rule).unique(), rule)


@pytest.mark.parametrize("rule", ["2D", "2ME", "B", "YE", "QS", "XNYS", "hour of need", 3, "-1h", pd.Timedelta("1h")])
def test_other_rules_are_refused(rule):
    assert interval_days(rule) is None
    with pytest.raises(SettingsError, match="resample="):
        WeatherPipeline(resample=rule).tidy(pd.DataFrame({"t": pd.date_range("2024", periods=2), "temp": 1.0}))


def test_days_of_rules():
    assert [interval_days(rule) for rule in ("10min", "24h", "D", "36h", "W", "ME")] == [1, 1, 1, 2, 7, 31]


def hours(n=24, freq="10min", **columns):
    times = pd.date_range("2024-01-01 00:10", periods=int(n * 3600 / pd.Timedelta(freq).total_seconds()), freq=freq)
    return pd.DataFrame({"t": times}).assign(**columns)


def test_every_variable_has_its_own_way():
    rng = np.random.default_rng(0)
    n = 24 * 6
    df = hours(
        temp=rng.normal(size=n),
        temp_max=rng.normal(size=n),
        temp_min=rng.normal(size=n),
        rain=rng.gamma(1, 1, n),
        raining=rng.integers(0, 600, n),
        gust=rng.gamma(2, 1, n),
        wind=rng.gamma(2, 1, n),
        wd=rng.uniform(0, 360, n),
        strange=rng.normal(size=n),
        sky=rng.choice(["sun", "rain"], n),
    )
    found = WeatherPipeline(resample="h", aggregate={"strange": "median", "temp": "first"}).tidy(df)
    parts = [df[k : k + 6] for k in range(0, n, 6)]
    assert found["t"].tolist() == [part["t"].iloc[-1] for part in parts]
    expected = {
        "temp": [part["temp"].iloc[0] for part in parts],
        "temp_max": [part["temp_max"].max() for part in parts],
        "temp_min": [part["temp_min"].min() for part in parts],
        "rain": [part["rain"].sum() for part in parts],
        "raining": [part["raining"].sum() for part in parts],
        "gust": [part["gust"].max() for part in parts],
        "wind": [part["wind"].mean() for part in parts],
        "strange": [part["strange"].median() for part in parts],
    }
    for label, values in expected.items():
        np.testing.assert_allclose(found[label], values)
    vectors = [np.sum(part["wind"] * np.exp(1j * np.deg2rad(part["wd"]))) for part in parts]
    np.testing.assert_allclose(found["wd"], np.rad2deg(np.angle(vectors)) % 360)
    assert found["sky"].tolist() == [part["sky"].iloc[-1] for part in parts]


def test_directions_without_a_speed_count_alike_and_calm_rows_do_not():
    df = hours(1, wd=[350.0, 10.0, 350.0, 10.0, 350.0, 10.0])
    assert WeatherPipeline(resample="h").tidy(df)["wd"].iloc[0] % 360 == pytest.approx(0, abs=1e-9)
    df = hours(2, wd=[90.0, 180.0] * 6, wind=[1.0, 0.0] * 3 + [0.0] * 6)
    found = WeatherPipeline(resample="h").tidy(df)["wd"]
    assert found[0] == 90.0
    assert np.isnan(found[1])


SHARES = {  # rows of six that are there → mean, sum
    "all": (6, True, True),
    "five": (5, True, False),
    "half": (3, False, False),
    "none": (0, False, False),
}


@pytest.mark.parametrize("case", SHARES)
@pytest.mark.parametrize("gone", ["rows", "values"])
def test_how_many_rows_an_interval_needs(case, gone):
    count, has_mean, has_sum = SHARES[case]
    df = hours(6, temp=1.0, rain=2.0)
    missing = np.arange(12 + count, 18)
    df = (
        df.drop(index=missing)
        if gone == "rows"
        else df.assign(temp=df.temp.mask(df.index.isin(missing)), rain=df.rain.mask(df.index.isin(missing)))
    )
    found = WeatherPipeline("t", resample="h").tidy(df).set_index("t")
    third = found.reindex([pd.Timestamp("2024-01-01 03:00")]).iloc[0]
    assert third["temp"] == 1.0 if has_mean else np.isnan(third["temp"])
    assert third["rain"] == 12.0 if has_sum else np.isnan(third["rain"])
    assert found.drop(index=pd.Timestamp("2024-01-01 03:00"), errors="ignore").notna().all(axis=None)


def test_the_first_interval_is_thin_where_the_rows_begin_within_it():
    whole = hours(3, temp=1.0)
    late = whole.iloc[5:]  # its first row is the end of the first hour, and alone there
    found = WeatherPipeline(resample="h").tidy(late)
    assert found["temp"].isna().tolist() == [True, False, False]
    notes = WeatherPipeline(resample="h").report(late)
    assert any("1 interval(s) hold less than 75%" in note and "first at 2024-01-01 01:00" in note for note in notes)


def test_the_last_interval_waits_for_its_end():
    df = hours(3, temp=1.0)
    pipeline = WeatherPipeline(resample="h")
    assert len(pipeline.tidy(df)) == 3
    assert len(pipeline.tidy(df.iloc[:-1])) == 2
    assert any("not over yet and left out, first at 2024-01-01 03:00" in note for note in pipeline.report(df.iloc[:-1]))
    assert not any("not over" in note for note in pipeline.report(df))


def test_a_station_may_change_its_pace():
    slow = pd.date_range("2024-01-01 01:00", periods=200, freq="h")
    fast = pd.date_range(slow[-1] + pd.Timedelta("10min"), periods=200 * 6, freq="10min")
    for times in (
        slow.append(fast),
        (fast - fast[0]).append(slow - slow[0] + (fast[-1] - fast[0]) + pd.Timedelta("1h")),
    ):
        times = pd.Timestamp("2024-01-01 01:00") + times if times.dtype.kind == "m" else times
        found = WeatherPipeline(resample="h").tidy(pd.DataFrame({"t": times, "temp": 1.0}))
        assert found["temp"].isna().sum() <= 60  # it takes the median of a hundred steps to notice
        assert found["temp"].tail(50).notna().all()


def test_reports_at_odd_times():
    rng = np.random.default_rng(0)
    times = pd.DatetimeIndex(
        [hour + pd.Timedelta(minutes=m) for hour in pd.date_range("2024-01-01", periods=48, freq="h") for m in (20, 50)]
    )
    special = times[10:11] + pd.Timedelta(minutes=7)  # one more, since the weather changed
    times = times.append(special).sort_values()
    df = pd.DataFrame({"valid": times, "tmpf": rng.normal(50, 5, len(times)), "sknt": 5.0, "drct": 90.0})
    pipeline = WeatherPipeline(resample="h", columns={"tmpf": "temperature"}, units={"tmpf": "°F"})
    found = pipeline.tidy(df)
    assert (np.diff(found["valid"]) == np.timedelta64(1, "h")).all()
    assert found.notna().all(axis=None)
    assert found["tmpf"][0] == pytest.approx(df["tmpf"][:2].mean())


def several(n=3):
    rng = np.random.default_rng(1)
    parts = [
        hours(
            n * 24, temp=rng.normal(size=n * 144), rain=rng.gamma(1, 1, n * 144), wd=rng.uniform(0, 360, n * 144)
        ).assign(id=name, wind=rng.gamma(2, 1, n * 144), sky="sun")
        for name in ("B", "A")
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("rule", ["10min", "h", "6h", "D"])
def test_what_is_resampled_comes_back_as_it_is(rule):
    pipeline = WeatherPipeline("t", "id", resample=rule)
    once = pipeline.tidy(several().drop(index=[5, 100, 101, 102, 103, 104, 500]))
    pd.testing.assert_frame_equal(pipeline.tidy(once), once)
    assert len(once) > 2


@pytest.mark.parametrize("rule", ["h", "D"])
def test_no_interval_knows_what_comes_after_it(rule):
    df = several()
    pipeline = WeatherPipeline("t", "id", resample=rule)
    whole = pipeline.tidy(df)
    for cut in (pd.Timestamp("2024-01-02 00:00"), pd.Timestamp("2024-01-02 13:30"), pd.Timestamp("2024-01-03 04:50")):
        early = whole[whole["t"] <= cut].reset_index(drop=True)
        pd.testing.assert_frame_equal(pipeline.tidy(df[df["t"] <= cut]), early)
        altered = df.assign(
            temp=df.temp.mask(df.t > cut, 60.0), rain=df.rain.mask(df.t > cut), sky=df.sky.mask(df.t > cut, "?")
        )
        pd.testing.assert_frame_equal(pipeline.tidy(altered)[whole["t"] <= cut].reset_index(drop=True), early)


def test_series_and_row_order_do_not_matter():
    df = several()
    pipeline = WeatherPipeline("t", "id", resample="h")
    whole = pipeline.tidy(df)
    mixed = pipeline.tidy(df.sample(frac=1, random_state=0))
    keys = ["id", "t"]
    pd.testing.assert_frame_equal(
        mixed.sort_values(keys, ignore_index=True), whole.sort_values(keys, ignore_index=True)
    )
    alone = pipeline.tidy(df[df["id"] == "A"])
    pd.testing.assert_frame_equal(whole[whole["id"] == "A"].reset_index(drop=True), alone)


def test_monthly_sums_may_exceed_those_of_a_day():
    days = pd.date_range("2024-01-01", periods=62)
    pipeline = WeatherPipeline(resample="ME")
    found = pipeline.tidy(pd.DataFrame({"t": days, "rain": 200.0}))
    assert found["rain"].tolist() == [6200.0, 5800.0]
    pd.testing.assert_frame_equal(pipeline.tidy(found), found)


def test_rows_farther_apart_than_their_intervals_are_told():
    df = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=9), "temp": 1.0})
    assert "rows lie 1 day apart, farther than resample='h'" in WeatherPipeline(resample="h").report(df)
    assert not any("apart" in note for note in WeatherPipeline(resample="D").report(df))


def test_unknown_columns_take_their_last_value_unless_asked():
    df = hours(2, weather_code=[0, 95] * 6, station_id=7, temp=1.0, x=np.arange(12.0))
    found = WeatherPipeline(resample="h", aggregate={"x": "mean"}).tidy(df)
    assert found["weather_code"].tolist() == [95, 95]
    assert found["station_id"].tolist() == [7, 7]
    assert found["x"].tolist() == [2.5, 8.5]
    notes = WeatherPipeline(resample="h", aggregate={"x": "mean"}).report(df)
    assert "'weather_code', 'station_id': the last value of each interval; pass aggregate= for another way" in str(
        notes
    )
    assert WeatherPipeline(resample="h", columns={"temp": None}).tidy(df.assign(temp=df.x))["temp"].tolist() == [5, 11]


@pytest.mark.parametrize("zone", [None, BERLIN])
def test_months_that_would_be_a_day_off_are_refused(zone):
    daily = pd.DataFrame({"t": pd.date_range("2020-01-01", periods=91, tz=zone), "temp": 1.0})
    within = pd.DataFrame({"t": pd.date_range("2020-01-01 01:00", periods=24 * 91, freq="h", tz=zone)})
    within["temp"] = (within["t"] - pd.Timedelta("1min")).dt.month.astype(float)
    with pytest.raises(DataError, match=r"'t', first at 2020-01-01 01:00.*rows within the day.*Pass resample=\"MS\""):
        WeatherPipeline(resample="ME").tidy(within)
    with pytest.raises(DataError, match=r"'t', first at 2020-01-02.*daily rows.*Pass resample=\"ME\""):
        WeatherPipeline(resample="MS").tidy(daily)
    months = WeatherPipeline(resample="MS").tidy(within)
    assert months["t"].dt.month.tolist() == [2, 3, 4]
    np.testing.assert_allclose(months["temp"], [1, 2, 3])
    for rule, df in (("ME", daily), ("MS", within)):
        once = WeatherPipeline(resample=rule).tidy(df)
        pd.testing.assert_frame_equal(WeatherPipeline(resample=rule).tidy(once), once)
    assert "W-MON" in str(WeatherPipeline(resample="W").report(within))
    assert "W-MON" not in str(WeatherPipeline(resample="W").report(daily))


@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "America/Havana", "Asia/Beirut"])
@pytest.mark.parametrize("rule", ["D", "W", "MS"])
def test_days_whose_midnight_clocks_skip_or_repeat(zone, rule):
    times = pd.date_range("2017-01-01 12:00", periods=24 * 365, freq="h", tz="UTC").tz_convert(zone)
    df = pd.DataFrame({"t": times, "temp": 1.0, "rain": 1.0})
    pipeline = WeatherPipeline(resample=rule, timezone=zone)
    once = pipeline.tidy(df)
    pd.testing.assert_frame_equal(pipeline.tidy(once), once)
    assert (interval_ends(times, rule) >= times).all()
    if rule == "D":
        assert once["rain"].dropna().value_counts().to_dict() == {24.0: len(once) - 3, 23.0: 1, 25.0: 1}
