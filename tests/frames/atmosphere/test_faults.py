"""What is no measurement: sentinels by card and rule, impossible and unusual values, rows that are there twice."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.frames.weather import WeatherPipeline


def frame(n=6, **columns):
    return pd.DataFrame({"t": pd.date_range("2024-01-01", periods=n, freq="h")}).assign(**columns)


def tidy(df, **settings):
    return WeatherPipeline("t", **settings).tidy(df)


def report(df, **settings):
    return "\n".join(WeatherPipeline("t", **settings).report(df))


SENTINELS = {  # label, value → taken for none
    "temp": {-9999: True, -999.9: True, 999: True, -99: True, 9999.9: True, 1e20: True, 9.96921e36: True, -40.0: False},
    "rh": {-9999: True, 999: True, -99.9: True, 99: False, 99.9: False, 100: False},
    "pressure": {-9999: True, 9999: True, 999: False, 999.9: False, 99: True},
    "wd": {999: True, 9999: True, -99: True, 99: False},
    "rain": {-9999: True, -99.9: True, 9999: True, 99.9: False, 999.9: False},
    "tmpf (°F)": {-99: False, 999: True},  # -73 °C is possible
    "OT": {-9999: True, -999: True, -999.9: True, -99: False, 9999: False, -32768: False, 99999: False},
}


@pytest.mark.parametrize(("label", "value"), [(label, value) for label in SENTINELS for value in SENTINELS[label]])
def test_sentinels_by_rule(label, value):
    df = frame(**{label: 500.0 if label == "pressure" else 50.0})
    df.loc[2, label] = value
    settings = {"columns": {"tmpf (°F)": "temperature"}} if label == "tmpf (°F)" else {}
    found = tidy(df, **settings)[label]
    assert np.isnan(found[2]) == SENTINELS[label][value]
    assert found.drop(2).tolist() == df[label].drop(2).tolist()
    said = f"{label!r}: 1 sentinel {value:g} taken for no value, first at 2024-01-01 02:00" in report(df, **settings)
    assert said == SENTINELS[label][value]


def test_sentinels_in_whole_and_single_precision():
    df = frame(temp=np.array([1, 2, -9999, 4, 5, 6]), OT=np.array([1, 2, 3, -999.9, 5, 6], dtype="float32"))
    found = tidy(df)
    assert found["temp"].isna().tolist() == [False, False, True, False, False, False]
    assert found["OT"].isna().tolist() == [False, False, False, True, False, False]


def test_sentinels_by_card_and_by_hand():
    df = frame(temp=[1.0, 7.0, 2.0, -9999.0, 3.0, 4.0], other=[1.0, 7.0, 2.0, -9999.0, 3.0, 4.0])
    df.attrs["sentinels"] = [7.0]
    assert tidy(df)["temp"].isna().tolist() == [False, True, False, True, False, False]
    assert tidy(df)["other"].isna().tolist() == [False, True, False, True, False, False]
    df.attrs["sentinels"] = {"temp": [7.0]}
    assert tidy(df)["other"].isna().tolist() == [False, False, False, True, False, False]
    kept = tidy(df, sentinels=(), columns={"temp": None})
    pd.testing.assert_frame_equal(kept, df)
    assert tidy(df, sentinels=(2,), columns={"temp": None})["temp"].tolist()[:2] == [1.0, 7.0]
    alone = tidy(df, sentinels={"other": (1.0,)}, columns={"temp": None})
    assert alone["other"].isna().tolist() == [True, False, False, False, False, False]
    assert alone["temp"].notna().all()


IMPOSSIBLE = {
    "rain": (-0.1, "0 to 2000 mm"),
    "rh": (300.0, "0 to 100 %"),
    "wd": (361.0, "0 to 360 °"),
    "temp": (80.0, "-95 to 65 °C"),
    "pressure (kPa)": (200.0, "30 to 110 kPa"),
    "wind": (-1.0, "0 to 115 m/s"),
    "radiation": (-5.0, "0 to 2200 W/m²"),
    "humidity (fraction)": (1.5, "0 to 1 1"),
    "dew point": (np.inf, "-110 to 40 °C"),
}


@pytest.mark.parametrize("label", IMPOSSIBLE)
def test_impossible_values_are_refused_with_column_count_time_and_value(label):
    value, bounds = IMPOSSIBLE[label]
    good = 0.5 if "fraction" in label else 50.0 if "kPa" in label else 40.0
    df = frame(**{label: [good, good, value, good, value, good]})
    df = df.rename(columns={"pressure (kPa)": label})
    with pytest.raises(DataError) as error:
        tidy(df)
    symbol = bounds.rpartition(" ")[2]
    text = f"column {label!r}, first at 2024-01-01 02:00: found 2 values that cannot be, the first {value:g} {symbol}"
    assert str(error.value).startswith(f"{text}; expected {bounds}.")
    assert 'pass faults="nan"' in str(error.value)
    found = tidy(df, faults="nan")[label]
    assert found.isna().tolist() == [False, False, True, False, True, False]
    assert "cannot be" in report(df, faults="nan")
    assert "first at 2024-01-01 02:00; taken out" in report(df, faults="nan")


def test_all_problems_come_at_once_with_their_series():
    df = pd.concat([frame(rain=1.0, rh=50.0).assign(id=name) for name in ("A", "B")], ignore_index=True)
    df.loc[8, "rain"], df.loc[3, "rh"] = -1.0, 130.0
    df.loc[11, "t"] = df.loc[10, "t"]
    df.loc[11, "rh"] = 60.0
    with pytest.raises(DataError) as error:
        WeatherPipeline("t", "id").tidy(df)
    assert str(error.value).startswith("3 problems:")
    assert "column 'rain', series 'B', first at 2024-01-01 02:00: found 1 value that cannot be" in str(error.value)
    assert "column 'rh', series 'A', first at 2024-01-01 03:00: found 1 value that cannot be" in str(error.value)
    assert "column 't', series 'B', first at 2024-01-01 04:00: found 2 rows that share their series and" in str(
        error.value
    )


def test_bounds_themselves_are_possible():
    df = frame(2, rh=[0.0, 100.0], rain=[0.0, 2000.0], wd=[0.0, 359.9], temp=[-95.0, 65.0])
    pd.testing.assert_frame_equal(tidy(df), df)
    kelvin = frame(2, **{"T (K)": [178.15, 338.15], "RH (fraction)": [0.0, 1.0]})
    pd.testing.assert_frame_equal(tidy(kelvin), kelvin)


@given(st.floats(-1e6, 1e6))
def test_nothing_is_repaired_in_silence(value):
    df = frame(3, rh=[50.0, value, 50.0])
    try:
        found = tidy(df)["rh"][1]
    except DataError:
        assert not 0 <= value <= 100
        return
    at_bound = found in (0, 100) and abs(found - value) <= 1e-7 and "by rounding, and put there" in report(df)
    assert found == value or at_bound or (np.isnan(found) and "sentinel" in report(df))


ROUNDED = {"wind": (-1e-9, 0.0), "ghi": (-1e-12, 0.0), "rain": (-1e-8, 0.0), "rh": (100 + 1e-8, 100.0)}


@pytest.mark.parametrize("label", ROUNDED)
@pytest.mark.parametrize("faults", ["refuse", "nan"])
def test_what_rounding_put_beyond_a_bound_is_put_there(label, faults):
    value, bound = ROUNDED[label]
    df = frame(**{label: [10.0, 20.0, value, 30.0, 40.0, 50.0]})
    pipeline = WeatherPipeline("t", faults=faults).fit(df)
    assert pipeline.tidy(df)[label].tolist() == [10.0, 20.0, bound, 30.0, 40.0, 50.0]
    assert np.isfinite(pipeline.transform(df)[label]).all()
    words = f"{label!r}: 1 value beyond {bound:g} "
    assert any(note.startswith(words) and "put there, first at 2024-01-01 02:00" in note for note in pipeline.notes_)
    assert not any("unusual" in note for note in pipeline.notes_)


def test_values_that_sentinels_often_have_are_told_where_they_are_possible():
    for label, value in (("rain", 999.9), ("wind", 99.9), ("dew point", -99.0)):
        df = frame(**{label: [1.0, value, 2.0, 3.0, 4.0, 5.0]})
        assert tidy(df)[label][1] == value
        assert f"looks like a sentinel: pass sentinels=({value:g},), or add it to df.attrs" in report(df)
        assert np.isnan(tidy(df, sentinels=(value,))[label][1])
    assert "sentinel" not in report(frame(rain=500.0, rh=99.0))


def test_shares_that_look_like_fractions_are_told():
    df = frame(humidity=[0.3, 0.5, np.nan, 0.9, 1.0, 0.0])
    assert "'humidity': no value above 1 %: looks like fractions; pass units={'humidity': '1'} if so" in report(df)
    assert "fractions" not in report(df, units={"humidity": "1"})
    for values in (0.0, np.nan, [0.3, 50.0, 60.0, 70.0, 80.0, 90.0]):
        assert "fractions" not in report(frame(cloud_cover=values, humidity=values))


UNUSUAL = {
    "rh": (3.0, "1 value below 5 %"),
    "temp": (-55.0, "1 value below -50 °C"),
    "T (°F)": (125.0, "1 value above 122 °F"),
    "rain": (500.0, "1 value above 400 mm"),
}


@pytest.mark.parametrize("label", UNUSUAL)
def test_unusual_values_stay_and_are_told(label):
    value, words = UNUSUAL[label]
    df = frame(**{label: [40.0, value, *[40.0] * 4]})
    assert tidy(df)[label].tolist() == df[label].tolist()
    assert f"{label!r}: {words}, the first {value:g}, first at 2024-01-01 01:00: unusual, and kept" in report(df)


def test_north_is_0_and_calm_air_has_no_direction():
    df = frame(wd=[360.0, 0.0, 90.0, 90.0, np.nan, 10.0], wind=[1.0, 1.0, 0.0, np.nan, 0.0, 2.0])
    found = tidy(df)["wd"]
    np.testing.assert_array_equal(found, [0, 0, np.nan, 90, np.nan, 10])
    assert "'wd': 1 value of 360 written as 0, which is north, too" in report(df)
    words = "'wd': 1 value of calm air ('wind' is 0), which has no direction, taken out, first at 2024-01-01 02:00"
    assert words in report(df)


def test_equal_double_rows_are_left_out():
    df = pd.concat([frame(temp=1.0, sky="sun"), frame(temp=1.0, sky="sun")[2:4], frame(temp=np.nan, sky="sun")[5:]])
    df.iloc[5, 1] = np.nan
    found = tidy(df)
    assert len(found) == 6
    assert found["t"].tolist() == frame()["t"].tolist()
    words = "'t': 3 double rows, equal in all columns, left out, first at 2024-01-01 02:00"
    assert words in report(df)
    assert len(WeatherPipeline("t", "id").tidy(pd.concat([frame().assign(id=name, temp=1.0) for name in "AB"]))) == 12


def test_double_rows_that_differ_are_refused_or_taken_out():
    df = pd.concat([frame(temp=1.0, rain=2.0, rh=50.0), frame(temp=3.0, rain=2.0, rh=np.nan)[2:4]], ignore_index=True)
    with pytest.raises(DataError) as error:
        tidy(df)
    words = (
        "column 't', first at 2024-01-01 02:00: found 4 rows that share their time but differ in 'temp'; expected one"
    )
    assert str(error.value).startswith(words)
    found = tidy(df, faults="nan")
    assert len(found) == 6
    assert found["temp"].isna().tolist() == [False, False, True, True, False, False]
    assert found["rain"].tolist() == [2.0] * 6
    assert found["rh"].tolist() == [50.0] * 6  # one row says nothing of it
    assert "what differs is taken out" in report(df, faults="nan")
    pd.testing.assert_frame_equal(tidy(found, faults="nan"), found)


def test_text_is_left_alone():
    df = frame(weather=list("abcabc"), wind=["calm", "strong"] * 3, cloud_cover=True)
    pd.testing.assert_frame_equal(tidy(df), df)
    assert "'wind' holds no numbers (str): passed on untouched" in report(df)
    assert "'cloud_cover' holds no numbers (bool): passed on untouched" in report(df)


WRONG = {
    "sentinels": ["none", (1, "a"), {"temp": 3}, None, (np.nan,)],
    "faults": ["drop", None],
    "wind": ["uv"],
    "anomalies": ["yes"],
    "columns": [["temp"], {"temp": "warmth"}],
    "units": ["°C"],
    "aggregate": [{"temp": "mode"}, ["mean"]],
    "latitude": [91.0, "north"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values], ids=str
)
def test_settings_that_cannot_be(name, value):
    more = {"longitude": 10.0} if name == "latitude" else {"resample": "h"} if name == "aggregate" else {}
    with pytest.raises(SettingsError, match=name):
        tidy(frame(temp=1.0), **{name: value}, **more)


def test_settings_that_need_one_another_and_all_at_once():
    with pytest.raises(SettingsError) as error:
        tidy(frame(temp=1.0), latitude=50.0, aggregate={"temp": "mean"}, faults="?")
    assert str(error.value).startswith("3 problems:")
    assert "latitude without longitude" in str(error.value)
    assert "aggregate without resample" in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [{"columns": {"tmp": "temperature"}}, {"units": {"tmp": "K"}}, {"resample": "h", "aggregate": {"tmp": "max"}}],
    ids=lambda settings: list(settings)[-1],
)
def test_settings_for_columns_that_are_not_there(settings):
    with pytest.raises(SettingsError, match=r"column 'tmp': found .* for a column that is not there"):
        WeatherPipeline("t", **settings).fit(frame(temp=1.0))


def test_tidy_and_report_take_frames_that_lack_columns_of_the_settings():
    pipeline = WeatherPipeline("t", units={"tmp": "K"})
    assert list(pipeline.tidy(frame(temp=1.0))) == ["t", "temp"]
    assert "'tmp': units for a column that is not there" in pipeline.report(frame(temp=1.0))
