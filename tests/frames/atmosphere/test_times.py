"""Local clocks: the hour that autumn repeats, the one that spring skips, and times that are none."""

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.frames.weather import WeatherPipeline

BERLIN = "Europe/Berlin"


def local(start="2024-10-26", hours=72, freq="10min", **columns):
    """Rows as a station writes them whose clock is put back and forth: true times, and what was written."""
    true = pd.date_range(start, pd.Timestamp(start) + pd.Timedelta(hours=hours), freq=freq, tz=BERLIN)
    return true, pd.DataFrame({"t": true.tz_localize(None), "temp": np.arange(len(true)) * 0.01}).assign(**columns)


def pipeline(**settings):
    return WeatherPipeline("t", timezone=BERLIN, **settings)


@pytest.mark.parametrize("freq", ["10min", "h", "3h", "D"])
@pytest.mark.parametrize("start", ["2024-10-26", "2024-03-30"])
def test_local_times_are_told_apart_by_their_order(start, freq):
    true, df = local(start, freq=freq)
    found = pipeline().tidy(df)
    assert found["t"].tolist() == true.tolist()
    assert found["temp"].tolist() == df["temp"].tolist()
    pd.testing.assert_frame_equal(pipeline().tidy(found), found)


def test_every_series_has_its_own_repeated_hour():
    true, df = local(freq="h")
    both = pd.concat([df.assign(id="A"), df.assign(id="B")]).sort_values("t", kind="stable")
    found = WeatherPipeline("t", "id", timezone=BERLIN).tidy(both)
    for name in "AB":
        assert found.loc[found["id"] == name, "t"].tolist() == true.tolist()


def test_equal_values_in_the_repeated_hour_are_two_rows():
    true, df = local(freq="h", temp=1.0)
    assert len(pipeline().tidy(df)) == len(true)


def test_rows_before_are_read_the_same_when_later_ones_are_not_there_yet():
    _, df = local()
    whole = pipeline().tidy(df)
    for stop in range(140, 165):
        pd.testing.assert_frame_equal(pipeline().tidy(df[:stop]), whole[:stop])


def test_a_lone_row_of_the_repeated_hour_is_summer_time_and_told():
    _, df = local(freq="h")
    lone = df.drop(index=27).reset_index(drop=True)  # 02:00 the second time
    found = pipeline().tidy(lone)
    assert found["t"][26] == pd.Timestamp("2024-10-27 02:00+02:00")
    notes = pipeline().report(lone)
    assert any(
        "1 row in the hour that autumn repeats, there once" in note and "2024-10-27 02:00" in note for note in notes
    )
    assert not any("autumn" in note for note in pipeline().report(df))


def test_skipped_times_are_refused_or_left_out():
    df = pd.DataFrame({"t": pd.date_range("2024-03-31", periods=24, freq="20min"), "temp": 1.0})
    with pytest.raises(DataError) as error:
        pipeline().tidy(df)
    text = "column 't', first at 2024-03-31 02:00: found 3 rows at a time that Europe/Berlin skips in spring; expected "
    assert str(error.value).startswith(text)
    assert "Correct them or the zone" in str(error.value)
    kept = pipeline(faults="nan").tidy(df)
    assert len(kept) == 21
    notes = pipeline(faults="nan").report(df)
    assert any(note.endswith("skips in spring, first at 2024-03-31 02:00; left out") for note in notes)


def test_times_with_a_zone_are_converted_and_naive_ones_stay_without_one():
    utc = pd.DataFrame({"t": pd.date_range("2024-10-26", periods=72, freq="h", tz="UTC"), "temp": 1.0})
    found = pipeline().tidy(utc)
    assert str(found["t"].dt.tz) == BERLIN
    assert (found["t"] == utc["t"]).all()
    assert str(WeatherPipeline("t").tidy(utc)["t"].dt.tz) == "UTC"
    assert WeatherPipeline("t").tidy(utc.assign(t=utc["t"].dt.tz_localize(None)))["t"].dt.tz is None


def test_a_clock_put_back_without_a_zone_is_explained():
    _, df = local(freq="h")
    with pytest.raises(DataError, match=r"2 rows that share their time but differ in 'temp'.*pass timezone="):
        WeatherPipeline("t").tidy(df)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_units_of_time_stay(unit):
    _, df = local(freq="h")
    df["t"] = df["t"].astype(f"datetime64[{unit}]")
    assert pipeline().tidy(df)["t"].dt.unit == unit
    assert WeatherPipeline("t", resample="D").tidy(df.drop_duplicates("t"))["t"].dt.unit == unit


def test_text_and_index_are_read():
    times = pd.date_range("2024-01-01", periods=5, freq="h")
    text = pd.DataFrame({"when": times.astype(str), "temp": 1.0})
    assert WeatherPipeline("when").tidy(text)["when"].tolist() == times.tolist()
    indexed = pd.DataFrame({"temp": 1.0}, index=times)
    assert WeatherPipeline().tidy(indexed)["time"].tolist() == times.tolist()


def test_numbers_are_no_times():
    with pytest.raises(DataError, match=r"column 't': found times of type int64; expected dates"):
        WeatherPipeline("t").tidy(pd.DataFrame({"t": [1, 2], "temp": 1.0}))


@pytest.mark.parametrize("zone", ["Europe/Berlim", "Europe", "", 3, "../etc"])
def test_zones_that_are_none(zone):
    with pytest.raises(SettingsError, match="timezone="):
        WeatherPipeline(timezone=zone).tidy(local()[1])


def test_gaps_are_told_by_series():
    times = pd.date_range("2024-01-01", periods=10, freq="h")
    parts = [pd.DataFrame({"t": times.delete([3 + k]), "id": f"S{k}", "temp": 1.0}) for k in range(5)]
    df = pd.concat([*parts, pd.DataFrame({"t": times, "id": "whole", "temp": 1.0})])
    notes = [note for note in WeatherPipeline("t", "id").report(df) if "gaps" in note]
    assert notes[0] == "'t' of 'S0': gaps of 1 h (7 times), 2 h (1, first after 2024-01-01 02:00)"
    assert len(notes) == 4
    assert notes[3] == "'t': gaps in 2 more series"
