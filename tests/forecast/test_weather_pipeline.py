"""Forecasts of weather through its pipeline: in the stations' units, with what is known of the time ahead, saved."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from hourglass_ts import HourGlassForecaster, RidgeFloor, backtest, load_dataset
from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.frames.calendars import Calendar
from hourglass_ts.frames.harmonics import HarmonicsFeature
from hourglass_ts.frames.schema import TIME, future_rows
from hourglass_ts.frames.solar import SolarElevationFeature
from hourglass_ts.frames.weather import WeatherPipeline

FAST = {"max_epochs": 1, "steps_per_epoch": 2, "d_model": 16, "d_ff": 16, "context": 24, "progress": False}
BERLIN = "Europe/Berlin"


@pytest.fixture(scope="module")
def seattle():
    df = load_dataset("seattle-weather")
    return df[df["date"] < "2015-01-01"]


@pytest.fixture(scope="module")
def station():
    """Ten-minute rows of two stations over the spring's clock change, by a local clock, with sentinels."""
    rng = np.random.default_rng(0)
    true = pd.date_range("2024-03-20 00:10", periods=16 * 144, freq="10min", tz=BERLIN)
    hour = true.tz_convert("UTC").hour + true.minute / 60
    parts = []
    for name, level in (("A", 5.0), ("B", 15.0)):
        temp = level - 4 * np.cos(2 * np.pi * (hour - 3) / 24) + rng.normal(0, 0.5, len(true))
        turn = 90 + 60 * np.sin(2 * np.pi * hour / 24) + rng.normal(0, 10, len(true))
        wet = (rng.random(len(true) // 36 + 1) < 0.3).repeat(36)[: len(true)]
        columns = {"time": true.tz_localize(None), "id": name, "T (degC)": temp, "wd (deg)": turn % 360}
        columns |= {
            "wv (m/s)": rng.gamma(2, 1, len(true)),
            "rain (mm)": np.where(wet, rng.gamma(0.5, 0.4, len(true)), 0),
        }
        parts.append(pd.DataFrame(columns | {"rh (%)": np.clip(100 - 3 * temp, 0, 100)}))
    df = pd.concat(parts, ignore_index=True)
    df.loc[[50, 700], "T (degC)"] = -9999.0
    return df


def hourly(**settings):
    return WeatherPipeline(resample="h", timezone=BERLIN, latitude=50.9, longitude=11.6, **settings)


ROLES = {"time": "time", "series": "id"}


@pytest.fixture(scope="module")
def model(station):
    forecaster = HourGlassForecaster(12, pipeline=hourly(), **FAST)
    return forecaster.fit(station, target="T (degC)", past=["wd (deg)", "rh (%)", "rain (mm)"], **ROLES)


# --- Seattle ---


def test_seattle_by_name(seattle):
    model = HourGlassForecaster(7, pipeline="weather", **FAST)
    result = model.backtest(
        seattle, time="date", target="temp_max", past=["wind", "weather"], folds=40, stride=3, progress=False
    )
    scores = result.scores.set_index("model")["MAE"]
    assert scores["HourGlassForecaster"] < 0.85 * scores["naive"]
    plain = backtest(
        RidgeFloor(7), seattle, time="date", target="temp_max", folds=40, stride=3, horizon=7, progress=False
    )
    assert scores["HourGlassForecaster"] < 0.95 * plain.scores.set_index("model")["MAE"]["ridge"]
    known = seattle.set_index("date")["temp_max"]
    rows = result.forecasts[result.forecasts["model"] == "HourGlassForecaster"]
    np.testing.assert_array_equal(rows["actual"], known.loc[rows["date"]])
    assert (rows["q0.1"] < rows["q0.5"]).all()
    assert (rows["q0.5"] < rows["q0.9"]).all()


def test_what_is_known_of_the_year_reaches_the_horizon(seattle):
    model = HourGlassForecaster(7, pipeline="weather", **FAST).fit(seattle, time="date", target="temp_max")
    feature = HarmonicsFeature(year=2)
    assert model.history_.roles.known == feature.labels
    ahead = future_rows(model.history_, 7)
    assert ahead[TIME].tolist() == pd.date_range("2015-01-01", periods=7).tolist()
    expected = feature.values(pd.DatetimeIndex(ahead[TIME]), Calendar("datetime", "D"))
    np.testing.assert_array_equal(ahead[list(feature.labels)], expected)
    assert any(note.startswith("the mean course of the year is taken off") for note in model.notes_)


def test_rain_is_never_negative_and_it_is_said(seattle):
    model = HourGlassForecaster(7, pipeline="weather", **FAST).fit(seattle, time="date", target="precipitation")
    with pytest.warns(UserWarning, match="of 'precipitation' below 0 mm, and put there"):
        frame = model.forecast()
    numbers = frame[["forecast", "q0.1", "q0.5", "q0.9"]]
    assert (numbers >= 0).all(axis=None)
    assert (numbers == 0).any(axis=None)
    assert (numbers["q0.1"] <= numbers["q0.9"]).all()


# --- a station ---


def test_forecasts_are_those_of_the_transformed_frame_undone(station, model):
    pipeline = WeatherPipeline("time", "id", resample="h", timezone=BERLIN).fit(station)
    seen = pipeline.transform(station)
    plain = HourGlassForecaster(12, freq="h", **FAST)
    known = SolarElevationFeature(50.9, 11.6, BERLIN), HarmonicsFeature(day=2)
    ahead = pd.date_range(seen["time"].max(), periods=13, freq="h")[1:]
    times = pd.DatetimeIndex(seen["time"]).append(ahead).unique()
    table = pd.DataFrame({"time": times})
    for feature in reversed(known):
        table[list(feature.labels)] = feature.values(times, Calendar("datetime", "h", BERLIN))
    labels = list(table.columns.drop("time"))
    past = ["wd (deg)_cos", "wd (deg)_sin", "rh (%)", "rain (mm)"]
    plain.fit(seen.merge(table, on="time"), target="T (degC)", known=labels, past=past, **ROLES)
    frame = plain.forecast(known=table.merge(pd.DataFrame({"id": ["A", "B"]}), how="cross"))
    for name in ("forecast", "q0.1", "q0.5", "q0.9"):
        back = pipeline.inverse_transform(frame[["id", "time"]].assign(**{"T (degC)": frame[name]}))
        frame[name] = back["T (degC)"]
    pd.testing.assert_frame_equal(model.forecast(), frame, check_exact=False, rtol=1e-6)


def test_the_sun_is_known_ahead_by_the_local_clock(model):
    ahead = future_rows(model.history_, 12)
    times = pd.DatetimeIndex(ahead[TIME])
    assert str(times.tz) == BERLIN
    expected = SolarElevationFeature(50.9, 11.6).values(times.tz_convert("UTC"), Calendar("datetime", "h"))
    np.testing.assert_allclose(ahead[["sun_sine", "sun_above_horizon"]], expected)
    frame = model.forecast()
    assert frame["time"].min() == pd.Timestamp("2024-04-05 02:00", tz=BERLIN)
    assert frame.groupby("id")["forecast"].mean().diff().iloc[-1] == pytest.approx(10, abs=1.5)


def test_directions_without_quantiles_speeds_and_winds_of_both(station):
    with pytest.raises(SettingsError, match=r"column 'wd \(deg\)'.*quantiles"):
        HourGlassForecaster(6, pipeline=hourly(), **FAST).fit(station, target="wd (deg)", **ROLES)
    for wind in ("speed", "components"):
        model = HourGlassForecaster(6, pipeline=hourly(wind=wind), quantiles=(), **FAST)
        frame = model.fit(station, target=["wd (deg)", "wv (m/s)"], **ROLES).forecast()
        assert frame.groupby(["id", "target"]).size().eq(6).all()
        values = frame.set_index("target")["forecast"]
        assert values["wd (deg)"].between(30, 150).all()
        assert values["wv (m/s)"].between(0, 4).all()


def test_one_station_needs_no_series(station):
    own = station[station["id"] == station["id"].iloc[0]].drop(columns="id")
    model = HourGlassForecaster(6, pipeline=hourly(), quantiles=(), **FAST)
    frame = model.fit(own, time="time", target=["wd (deg)", "T (degC)"]).forecast()
    assert frame["target"].tolist() == ["wd (deg)"] * 6 + ["T (degC)"] * 6
    assert frame.groupby("target")["time"].apply(lambda times: times.is_monotonic_increasing).all()
    assert frame.loc[:5, "forecast"].between(0, 360).all()


@pytest.mark.filterwarnings("ignore:of .* rows.* 'wet' (below 0|above 1), and put there")
def test_a_wet_day_has_a_probability(seattle):
    wet = seattle.assign(wet=(seattle["precipitation"] > 0).astype(float))
    model = HourGlassForecaster(7, pipeline="weather", **FAST).fit(wet, time="date", target="wet")
    chance = model.forecast().drop(columns="date")
    assert chance.ge(0).all(axis=None)
    assert chance.le(1).all(axis=None)
    summer = model.forecast(wet[wet["date"] < "2014-08-01"])["forecast"].mean()
    assert summer < 0.3 < model.forecast(wet[wet["date"] < "2014-01-01"])["forecast"].mean()


def test_backtests_compare_with_tidy_values(station):
    tidy = WeatherPipeline("time", "id", resample="h", timezone=BERLIN).tidy(station)
    model = HourGlassForecaster(12, pipeline=hourly(), **FAST)
    result = model.backtest(station, target="T (degC)", **ROLES, folds=3, progress=False)
    actual = tidy.set_index(["id", "time"])["T (degC)"]
    rows = result.forecasts
    np.testing.assert_array_equal(rows["actual"], actual.loc[pd.MultiIndex.from_frame(rows[["id", "time"]])])
    scores = result.scores.set_index("model")["MAE"]
    assert scores["HourGlassForecaster"] < scores["naive"]


@pytest.mark.parametrize("faults", ["refuse", "nan"])
def test_no_leak_is_found(seattle, faults):
    model = HourGlassForecaster(3, pipeline=WeatherPipeline(faults=faults), **FAST)
    last = seattle[-300:]
    assert model.audit(last, time="date", target="temp_max", past=["precipitation", "weather"]).passed


@pytest.mark.parametrize("resample", [None, "h"])
def test_later_rows_change_nothing_before(station, resample):
    rows = station if resample else station[station["time"].dt.minute == 0]
    cut = pd.Timestamp("2024-03-31 09:30")  # hours after the clock was put forward, and inside an interval
    late = (rows["time"] > cut).to_numpy()
    altered = rows.assign(**{"T (degC)": rows["T (degC)"].mask(late, 33.0), "wd (deg)": rows["wd (deg)"].mask(late)})
    altered.loc[late, ["rain (mm)", "rh (%)"]] = [500.0, -9999.0]
    frames = []
    for df in (rows, altered, rows[~late]):
        pipeline = WeatherPipeline(resample=resample, timezone=BERLIN)
        model = HourGlassForecaster(3, pipeline=pipeline, **FAST)
        model.fit(df[(df["time"] <= cut).to_numpy()], target="T (degC)", past=["rain (mm)", "wd (deg)"], **ROLES)
        frames.append(model.forecast_from(df, [cut.tz_localize(BERLIN)]))
    assert len(frames[0]) == 6
    for frame in frames[1:]:
        pd.testing.assert_frame_equal(frame, frames[0], check_exact=True)


def test_round_trip_in_a_new_process(station, model, tmp_path):
    model.save(tmp_path / "model")
    station.to_csv(tmp_path / "df.csv", index=False)
    script = f"""
import pandas as pd
from hourglass_ts import HourGlassForecaster
model = HourGlassForecaster.load({str(tmp_path / "model")!r})
model.forecast().to_pickle({str(tmp_path / "out.pkl")!r})
df = pd.read_csv({str(tmp_path / "df.csv")!r})
model.forecast(df).to_pickle({str(tmp_path / "again.pkl")!r})
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    pd.testing.assert_frame_equal(pd.read_pickle(tmp_path / "out.pkl"), model.forecast(), check_exact=True)
    again = pd.read_pickle(tmp_path / "again.pkl")
    pd.testing.assert_frame_equal(again, model.forecast(station), check_exact=False, rtol=1e-9)


def test_errors_of_the_frame_reach_the_user(station):
    wrong = station.assign(**{"rain (mm)": station["rain (mm)"].mask(station.index == 77, -1.0)})
    with pytest.raises(DataError, match=r"column 'rain \(mm\)', series 'A', first at .*: found 1 value that cannot be"):
        HourGlassForecaster(3, pipeline="weather", **FAST).fit(wrong, target="T (degC)", **ROLES)


@pytest.fixture
def naive():
    """Hourly rows of a local clock without a zone, over the night that has an hour twice."""
    times = pd.date_range("2024-10-10", periods=24 * 40, freq="h", tz="UTC").tz_convert(BERLIN).tz_localize(None)
    rng = np.random.default_rng(3)
    return pd.DataFrame({"time": times, "temp (degC)": 9 + rng.normal(size=len(times))})


def test_a_clock_that_the_pipeline_gives_a_zone_is_audited_and_asked_naively(naive):
    model = HourGlassForecaster(3, pipeline=WeatherPipeline(timezone=BERLIN), **FAST)
    roles = {"time": "time", "target": "temp (degC)"}
    assert model.audit(naive, **roles, cutoff=pd.Timestamp("2024-11-10 02:00")).passed
    model.fit(naive, **roles)
    origin = pd.Timestamp("2024-11-12 05:00")
    aware = model.forecast_from(naive, [origin.tz_localize(BERLIN)])
    pd.testing.assert_frame_equal(model.forecast_from(naive, [origin]), aware)
    folds = [origin, origin + pd.Timedelta(days=1)]
    result = model.backtest(naive, **roles, folds=folds, progress=False)
    assert list(result.forecasts["origin"].unique()) == [fold.tz_localize(BERLIN) for fold in folds]


def test_a_speed_without_a_direction_keeps_its_quantiles(naive):
    windy = naive.rename(columns={"temp (degC)": "wv (m/s)"})
    model = HourGlassForecaster(3, pipeline=WeatherPipeline(timezone=BERLIN, wind="components"), **FAST)
    assert "q0.9" in model.fit(windy, time="time", target="wv (m/s)").forecast()
