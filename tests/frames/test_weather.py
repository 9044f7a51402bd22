"""The weather pipeline as a whole: every defect of known files, there and back, nothing from later, saved and read."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from hourglass_ts.errors import DataError, NotFittedError
from hourglass_ts.frames.atmosphere import moist_air
from hourglass_ts.frames.calendars import Calendar
from hourglass_ts.frames.features import feature_columns
from hourglass_ts.frames.harmonics import HarmonicsFeature
from hourglass_ts.frames.registry import load_dataset
from hourglass_ts.frames.solar import SolarElevationFeature
from hourglass_ts.frames.weather import WeatherPipeline

BROKEN = "\ufffd"
HEADER = [
    *("date", "p (mbar)", "T (degC)", "Tpot (K)", "Tdew (degC)", "rh (%)", "VPmax (mbar)", "VPact (mbar)"),
    *("VPdef (mbar)", "sh (g/kg)", "H2OC (mmol/mol)", "rho (g/m**3)", "wv (m/s)", "max. wv (m/s)", "wd (deg)"),
    *("rain (mm)", "raining (s)", "SWDR (W/m\ufffd)", "PAR (\ufffdmol/m\ufffd/s)"),
    *("max. PAR (\ufffdmol/m\ufffd/s)", "Tlog (degC)", "OT"),
]


def jena(days=5):
    """Made rows under the very header of the Jena file, without its defects."""
    rng = np.random.default_rng(0)
    times = pd.date_range("2020-05-01 00:10", periods=days * 144, freq="10min")
    n, hour = len(times), times.hour + times.minute / 60
    temp = (12 - 6 * np.cos(2 * np.pi * (hour - 3) / 24) + rng.normal(0, 0.3, n)).to_numpy()
    humidity, pressure = np.clip(100 - 3 * temp + rng.normal(0, 5, n), 20, 100), 990 + rng.normal(0, 2, n)
    sun = np.clip(-np.cos(2 * np.pi * hour / 24), 0, None).to_numpy() * 800
    wind, wet = rng.gamma(2, 1, n), rng.random(n) < 0.1
    columns = [
        times,
        pressure,
        temp,
        moist_air.potential_temperature(temp, pressure) + 273.15,
        moist_air.dew_point(temp, humidity),
        humidity,
        moist_air.saturation_vapour_pressure(temp),
        moist_air.vapour_pressure(temp, humidity),
        moist_air.vapour_pressure_deficit(temp, humidity),
        moist_air.specific_humidity(temp, humidity, pressure),
        moist_air.water_vapour(temp, humidity, pressure),
        1000 * moist_air.air_density(temp, humidity, pressure),
        wind,
        1.5 * wind,
        rng.uniform(0, 360, n),
        np.where(wet, rng.gamma(1, 0.5, n), 0),
        np.where(wet, rng.integers(10, 600, n), 0),
        sun,
        2 * sun,
        2.2 * sun,
        temp + 10,
        400 + rng.normal(0, 10, n),
    ]
    frame = pd.DataFrame(dict(zip(HEADER, columns, strict=True)))
    return frame.round(dict.fromkeys(HEADER[1:], 2)).astype(dict.fromkeys(HEADER[1:], float))


def with_defects(df):
    """What the file has, in these rows: sentinels in three columns, an equal double row, a gap of 100 minutes."""
    df = df.copy()
    df.loc[30, "wv (m/s)"] = -9999.0
    df.loc[40:69, f"max. PAR ({BROKEN}mol/m{BROKEN}/s)"] = -9999.0
    df.loc[30:79, "OT"] = -9999.0
    df.loc[100, "wd (deg)"] = 360.0
    df = df.drop(index=range(300, 309))
    return pd.concat([df[:200], df[199:200], df[200:]], ignore_index=True)


@pytest.fixture(scope="module")
def raw():
    return with_defects(jena())


@pytest.fixture(scope="module")
def fitted(raw):
    return WeatherPipeline("date").fit(raw)


# --- every defect of the two files ---


def test_the_made_file_has_the_header_and_the_defects_of_the_real_one(raw):
    assert len(HEADER) == 22
    assert sum(BROKEN in label for label in HEADER) == 3
    assert (raw == -9999).sum()[lambda counts: counts > 0].to_dict() == {
        "wv (m/s)": 1,
        f"max. PAR ({BROKEN}mol/m{BROKEN}/s)": 30,
        "OT": 50,
    }
    assert raw["date"].duplicated().sum() == 1
    assert raw["date"].diff().max() == pd.Timedelta("100min")


def test_units_that_lost_their_letters(raw):
    tidy = WeatherPipeline("date").tidy(raw)
    assert list(tidy) == HEADER
    assert tidy.attrs["units"][f"SWDR (W/m{BROKEN})"] == "W/m²"
    assert tidy.attrs["units"][f"max. PAR ({BROKEN}mol/m{BROKEN}/s)"] == "µmol/m²/s"
    assert sum("lost a letter" in note for note in WeatherPipeline("date").report(raw)) == 3


def test_sentinels_are_nan_in_all_three_columns_and_nowhere_else(raw):
    tidy = WeatherPipeline("date").tidy(raw)
    expected = raw.drop(index=200).reset_index(drop=True).replace(-9999.0, np.nan)
    assert tidy.isna().equals(expected.isna())
    assert tidy.isna().sum().sum() == 81
    numbers = expected.drop(columns=["date", "wd (deg)"])
    pd.testing.assert_frame_equal(tidy[numbers.columns], numbers)
    notes = "\n".join(WeatherPipeline("date").report(raw))
    for label, count in (("wv (m/s)", "1 sentinel"), ("OT", "50 sentinels")):
        assert f"{label!r}: {count} -9999 taken for no value, first at 2020-05-01 05:10" in notes


def test_the_double_row_and_the_gap(raw):
    pipeline = WeatherPipeline("date")
    assert not pipeline.tidy(raw)["date"].duplicated().any()
    notes = "\n".join(pipeline.report(raw))
    assert "1 double row, equal in all columns, left out, first at 2020-05-02 09:20" in notes
    assert "1 h 40 min (1, first after 2020-05-03 02:00)" in notes
    hours = WeatherPipeline("date", resample="h").tidy(raw).set_index("date")
    assert np.isnan(hours.loc["2020-05-03 04:00", "T (degC)"])  # two rows of six
    assert pd.Timestamp("2020-05-03 03:00") not in hours.index  # none


def test_directions_become_cosine_and_sine_and_360_is_0(raw, fitted):
    tidy, seen = fitted.tidy(raw), fitted.transform(raw)
    assert tidy["wd (deg)"].max() < 360
    assert tidy["wd (deg)"][100] == 0
    assert "wd (deg)" not in seen
    np.testing.assert_allclose(seen["wd (deg)_cos"], np.cos(np.deg2rad(tidy["wd (deg)"])))
    np.testing.assert_allclose(seen["wd (deg)_sin"], np.sin(np.deg2rad(tidy["wd (deg)"])))
    assert fitted.outputs_of("wd (deg)") == ("wd (deg)_cos", "wd (deg)_sin")


def test_derived_columns_are_recognised(fitted):
    air = ("T (degC)", "rh (%)")
    assert fitted.derived_ == {
        "Tpot (K)": ("T (degC)", "p (mbar)"),
        "Tdew (degC)": air,
        "VPmax (mbar)": ("T (degC)",),
        "VPact (mbar)": air,
        "VPdef (mbar)": air,
        "sh (g/kg)": (*air, "p (mbar)"),
        "H2OC (mmol/mol)": (*air, "p (mbar)"),
        "rho (g/m**3)": (*air, "p (mbar)"),
    }
    assert any(note.startswith("'Tdew (degC)' follows from 'T (degC)' and 'rh (%)' (within ") for note in fitted.notes_)


def test_the_unknown_column_is_passed_on_and_told(raw, fitted):
    assert fitted.transform(raw)["OT"].equals(fitted.tidy(raw)["OT"])
    assert any(note.startswith("'OT' is no variable") for note in fitted.notes_)


def test_seattles_text_and_its_dictionary_of_units():
    df = load_dataset("seattle-weather")
    pipeline = WeatherPipeline().fit(df)
    seen = pipeline.transform(df)
    pd.testing.assert_series_equal(seen["weather"], df["weather"])
    assert any(note.startswith("'weather' is no variable") for note in pipeline.notes_)
    assert list(seen) == list(df)
    assert seen["temp_max"].std() < 0.6 * df["temp_max"].std()  # the year is taken off
    np.testing.assert_array_equal(seen["precipitation"] == 0, df["precipitation"] == 0)
    np.testing.assert_allclose(seen["precipitation"], np.log1p(df["precipitation"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = pipeline.inverse_transform(seen)
    pd.testing.assert_frame_equal(back, pipeline.tidy(df), rtol=1e-9)
    assert (back["precipitation"][df["precipitation"] == 0] == 0).all()


# --- there and back ---


@pytest.mark.parametrize("options", [{}, {"wind": "components"}, {"anomalies": False}, {"resample": "h"}], ids=str)
def test_all_of_it_comes_back(raw, options):
    pipeline = WeatherPipeline("date", **options).fit(raw)
    tidy, seen = pipeline.tidy(raw), pipeline.transform(raw)
    assert list(seen.columns.drop(["date"])) == pipeline.get_feature_names_out().tolist()
    lost = tidy["wd (deg)"].isna() | tidy["wv (m/s)"].isna()  # u and v need both
    expected = (
        tidy
        if options != {"wind": "components"}
        else tidy.mask(pd.DataFrame({label: lost & (label in ("wd (deg)", "wv (m/s)")) for label in tidy}))
    )
    back = pipeline.inverse_transform(seen)
    assert set(back) == set(tidy)
    pd.testing.assert_frame_equal(back[tidy.columns], expected, rtol=1e-9, atol=1e-12)


LABELS = [label for label in HEADER if label not in ("date", "OT", "wd (deg)")]


@settings(max_examples=60, deadline=None)
@given(label=st.sampled_from(LABELS), share=st.floats(0, 1), step=st.integers(0, 5000))
def test_any_value_at_any_time_comes_back(fitted, label, share, step):
    low, high = fitted.layout_.columns[label].bounds()
    value = low + share * (high - low)
    df = pd.DataFrame({"date": [pd.Timestamp("2020-01-01") + pd.Timedelta(hours=step)], label: [value]})
    seen = fitted.transform(df)
    assert np.isfinite(seen[label]).all()
    np.testing.assert_allclose(fitted.inverse_transform(seen)[label], value, rtol=1e-9, atol=1e-13 * (high - low))


def test_some_columns_alone_come_back(raw, fitted):
    seen = fitted.transform(raw)
    for labels in (["T (degC)"], ["wd (deg)_sin", "wd (deg)_cos"], ["OT", "rain (mm)"], []):
        part = seen[["date", *labels]].iloc[::-7].set_axis(range(1000, 1000 + len(seen.iloc[::-7])))
        back = fitted.inverse_transform(part)
        assert back.index.equals(part.index)
        whole = fitted.inverse_transform(seen).iloc[::-7].set_axis(part.index)
        pd.testing.assert_frame_equal(back, whole[back.columns])
    assert list(fitted.inverse_transform(seen[["date", "wd (deg)_sin", "wd (deg)_cos"]])) == ["date", "wd (deg)"]
    assert fitted.inverse_transform(seen[:0]).shape == (0, 22)
    assert "T (degC)" not in fitted.transform(raw[["date", "rain (mm)"]])


def test_numbers_beyond_the_range_are_put_at_its_end_and_told_once(fitted):
    times = pd.date_range("2020-05-02", periods=4, freq="h")
    seen = pd.DataFrame({"date": times, "rain (mm)": [-1.0, 0.0, np.nan, 1e9], "rh (%)": [-1e9, 0.0, 1e9, 1e9]})
    seen["T (degC)"] = [1e6, -1e6, np.nan, 0.0]
    words = r"of 4 rows: 1 of 'rh \(%\)' below 0 %, and put there; 2 of 'rh \(%\)' above 100 %, and put there; "
    words += r"1 of 'rain \(mm\)' below 0 mm, and put there; 1 of 'rain \(mm\)' above 2000 mm, and put there"
    with pytest.warns(UserWarning, match=words) as told:
        back = fitted.inverse_transform(seen)
    assert len(told) == 1
    np.testing.assert_allclose(back["rain (mm)"], [0, 0, np.nan, 2000])
    assert back["rh (%)"].tolist()[::2] == [0, 100]
    assert back["T (degC)"].isna().tolist() == [False, False, True, False]


def test_a_vector_of_no_length_has_no_direction(fitted):
    seen = pd.DataFrame({"date": pd.date_range("2020-05-02", periods=3, freq="h")})
    seen["wd (deg)_cos"], seen["wd (deg)_sin"] = [0.0, 1.0, np.nan], [0.0, 1.0, 1.0]
    with pytest.warns(UserWarning, match=r"of 3 rows: 1 of 'wd \(deg\)' in calm air, which has no direction"):
        back = fitted.inverse_transform(seen)
    np.testing.assert_allclose(back["wd (deg)"], [np.nan, 45, np.nan])


def test_order_is_kept_by_all_but_directions(raw):
    for wind, turning in (("speed", {"wd (deg)"}), ("components", {"wd (deg)", "wv (m/s)"})):
        pipeline = WeatherPipeline("date", wind=wind).fit(raw)
        assert {label for label in HEADER if not pipeline.keeps_order(label)} == turning
        seen = pipeline.transform(raw)
        for label in pipeline.names_:
            if label in HEADER and label != "OT":
                more = pipeline.inverse_transform(seen.assign(**{label: seen[label] + 0.01}))[label]
                assert (more > pipeline.tidy(raw)[label])[seen[label].notna()].all()


def test_bounds_are_what_is_possible(raw, fitted):
    assert fitted.bounds_of("rh (%)") == (0, 100)
    assert fitted.bounds_of("T (degC)") == (-95, 65)
    assert fitted.bounds_of("wd (deg)") == (0, 360)
    assert fitted.bounds_of("OT") == (-np.inf, np.inf)
    days = pd.DataFrame({"date": pd.date_range("2024-01-01", periods=21), "p": 100.0, "rain (mm)": 1.0})
    weekly = WeatherPipeline("date", units={"p": "kPa"}, resample="W").fit(days)
    assert weekly.bounds_of("p") == pytest.approx((30, 110))
    assert weekly.bounds_of("rain (mm)") == (0, 14_000)


def test_winds_are_components_where_asked(raw):
    pipeline = WeatherPipeline("date", wind="components").fit(raw)
    assert pipeline.outputs_of("wd (deg)") == pipeline.outputs_of("wv (m/s)") == ("wv (m/s)_u", "wv (m/s)_v")
    tidy, seen = pipeline.tidy(raw), pipeline.transform(raw)
    np.testing.assert_allclose(seen["wv (m/s)_u"], -tidy["wv (m/s)"] * np.sin(np.deg2rad(tidy["wd (deg)"])))
    np.testing.assert_allclose(seen["wv (m/s)_v"], -tidy["wv (m/s)"] * np.cos(np.deg2rad(tidy["wd (deg)"])))
    with pytest.raises(DataError, match=r"column 'wv \(m/s\)': found a wind without 'wd \(deg\)'"):
        pipeline.transform(raw.drop(columns="wd (deg)"))
    assert "1 row(s) have a speed or a direction alone, and so no u and v: 'wv (m/s)' and 'wd (deg)'" in pipeline.notes_
    assert WeatherPipeline("date", wind="components").fit(raw.drop(columns="wd (deg)")).outputs_of("wv (m/s)") == (
        "wv (m/s)",
    )


@pytest.mark.parametrize("wind", ["speed", "components"])
def test_calm_air_comes_back_as_calm(wind):
    df = jena(3)[["date", "wd (deg)", "wv (m/s)"]]
    df.loc[10:19, "wv (m/s)"] = 0.0
    pipeline = WeatherPipeline("date", wind=wind).fit(df)
    seen = pipeline.transform(df)
    if wind == "components":
        with pytest.warns(UserWarning, match="10 of 'wd \\(deg\\)' in calm air, which has no direction"):
            back = pipeline.inverse_transform(seen)
        assert (seen.loc[10:19, ["wv (m/s)_u", "wv (m/s)_v"]] == 0).all(axis=None)
        assert (back.loc[10:19, "wv (m/s)"] == 0).all()
    else:
        back = pipeline.inverse_transform(seen)
    assert back["wd (deg)"].isna().tolist() == (df["wv (m/s)"] == 0).tolist()
    pd.testing.assert_frame_equal(back[df.columns], pipeline.tidy(df), rtol=1e-9, atol=1e-12)


def test_what_hinders_the_way_back_is_refused(raw, fitted):
    seen = fitted.transform(raw)
    with pytest.raises(DataError, match=r"column 'wd \(deg\)_cos': found it without 'wd \(deg\)_sin'"):
        fitted.inverse_transform(seen.drop(columns="wd (deg)_sin"))
    with pytest.raises(DataError, match=r"column 'date': found no such column; expected it, for the mean course"):
        fitted.inverse_transform(seen.drop(columns="date"))
    assert list(fitted.inverse_transform(seen[["rain (mm)"]])) == ["rain (mm)"]  # which has no course
    text = seen[["date", "T (degC)"]].astype({"T (degC)": object})
    text.loc[3, "T (degC)"] = "warm"
    with pytest.raises(DataError, match=r"column 'T \(degC\)', first at row 3: found 1 cell\(s\) that are no numbers"):
        fitted.inverse_transform(text)


def test_names_that_are_made_must_be_free(raw):
    with pytest.raises(DataError, match=r"column 'wd \(deg\)_cos': found a name that a column made from the wind has"):
        WeatherPipeline("date").fit(raw.assign(**{"wd (deg)_cos": 1.0}))


# --- tidy, and nothing from later ---


def test_a_tidy_frame_comes_back_as_it_is_and_the_raw_one_stays(raw):
    before = raw.copy()
    tidy = WeatherPipeline("date").tidy(raw)
    tidy.attrs["more"] = 1
    again = WeatherPipeline("date").tidy(tidy)
    pd.testing.assert_frame_equal(again, tidy)
    assert again.attrs == tidy.attrs
    again.loc[:, "T (degC)"] = 0.0
    pd.testing.assert_frame_equal(raw, before)
    assert raw.attrs == {}


@pytest.mark.parametrize(
    "options", [{}, {"resample": "h"}, {"wind": "components", "timezone": "Europe/Berlin"}], ids=str
)
def test_later_rows_change_nothing_before(raw, options):
    pipeline = WeatherPipeline("date", **options)
    cut = pd.Timestamp("2020-05-03 12:00")
    late = raw["date"] > cut
    altered = raw.copy()
    altered.loc[late, HEADER[1:-1]] = (0.5 * raw.loc[late, HEADER[1:-1]]).clip(lower=0)
    altered["p (mbar)"], altered["Tpot (K)"] = raw["p (mbar)"], raw["Tpot (K)"]
    altered["rho (g/m**3)"] = raw["rho (g/m**3)"]
    altered.loc[late, "OT"] = -9999.0
    fits = [pipeline.fit(rows[~late]) for rows in (raw, altered)]
    for rows in (raw, altered):
        for fit in fits:
            for method in ("tidy", "transform"):
                whole, early = (getattr(fit, method)(part) for part in (rows, raw[~late]))
                pd.testing.assert_frame_equal(whole[: len(early)], early)
    assert len(pipeline.tidy(altered)) == len(pipeline.tidy(raw))
    assert not pipeline.tidy(altered).equals(pipeline.tidy(raw))


def test_a_series_knows_nothing_of_the_others():
    one, two = jena(3).assign(id="A"), jena(3).assign(id="B", **{"T (degC)": 20.0})
    both = WeatherPipeline("date", "id").fit(pd.concat([one, two]))
    alone = WeatherPipeline("date", "id").fit(one)
    seen = both.transform(pd.concat([two, one]))
    rows = seen["id"] == "A"
    pd.testing.assert_frame_equal(seen[rows].reset_index(drop=True), alone.transform(one))
    np.testing.assert_allclose(seen["T (degC)"][~rows], 0, atol=1e-9)
    new = both.transform(one.assign(id="C"))["T (degC)"] + one["T (degC)"] * 0
    middle = (alone.transform(one)["T (degC)"] + (one["T (degC)"] - 20)) / 2
    np.testing.assert_allclose(new, middle, atol=1e-9)


# --- edges ---

EDGES = {
    "one row": jena(1)[:1],
    "two rows": jena(1)[:2],
    "constant": jena(3)
    .assign(**{label: 1.0 for label in HEADER[1:] if label not in ("p (mbar)", "Tpot (K)")})
    .drop(columns="rho (g/m**3)"),
    "nothing known": jena(3).assign(**dict.fromkeys(HEADER[1:], np.nan)),
    "unsorted": jena(3).sample(frac=1, random_state=0),
    "with a zone": jena(3).assign(date=lambda df: df["date"].dt.tz_localize("Asia/Tokyo")),
    "in the index": jena(3).set_index("date"),
    "whole numbers": jena(3).assign(**{"T (degC)": 7, "rain (mm)": 1}),
    "objects": jena(3).assign(**{"T (degC)": lambda df: df["T (degC)"].astype(object)}),
    "nullable": jena(3).convert_dtypes(),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", EDGES)
def test_edges(case):
    df = EDGES[case]
    pipeline = WeatherPipeline().fit(df)
    tidy = pipeline.tidy(df)
    assert len(tidy) == len(df)
    pd.testing.assert_frame_equal(pipeline.tidy(tidy), tidy)
    back = pipeline.inverse_transform(pipeline.transform(df))
    pd.testing.assert_frame_equal(back, tidy, rtol=1e-9, atol=1e-12)


def test_no_rows_are_refused():
    with pytest.raises(DataError, match="without rows"):
        WeatherPipeline("date").tidy(jena(1)[:0])


def test_labels_may_be_anything():
    df = jena(3)[["date", "T (degC)", "wd (deg)", "OT"]]
    df.columns = pd.Index([("when", 0), 3, ("wind", "from"), 4.5], tupleize_cols=False)
    names = {3: "temperature", ("wind", "from"): "wind_direction"}
    pipeline = WeatherPipeline(("when", 0), columns=names).fit(df)
    assert pipeline.outputs_of(("wind", "from")) == ("('wind', 'from')_cos", "('wind', 'from')_sin")
    seen = pipeline.transform(df)
    back = pipeline.inverse_transform(seen)
    pd.testing.assert_frame_equal(back, pipeline.tidy(df), rtol=1e-9)
    again = WeatherPipeline.from_json(json.loads(json.dumps(pipeline.to_json())))
    pd.testing.assert_frame_equal(again.transform(df), seen)


@pytest.mark.parametrize("label", LABELS)
def test_every_column_may_have_another_name(raw, fitted, label):
    column = fitted.layout_.columns[label]
    df = raw[["date", label]].rename(columns={label: "Größe"})
    pipeline = WeatherPipeline("date", columns={"Größe": column.name}, units={"Größe": column.unit.symbol}).fit(df)
    np.testing.assert_array_equal(pipeline.transform(df)["Größe"], fitted.transform(raw)[label])


def test_units_are_those_of_the_fit():
    df = jena(3)[["date", "T (degC)"]].rename(columns={"T (degC)": "temp"})
    fahrenheit = df.assign(temp=df["temp"] * 1.8 + 32)
    fahrenheit.attrs["units"] = {"temp": "°F"}
    pipeline = WeatherPipeline("date").fit(fahrenheit)
    bare = pd.DataFrame(fahrenheit.to_dict("series"))
    assert pipeline.tidy(bare).attrs["units"] == {"temp": "°F"}
    df.attrs["units"] = {"temp": "degC"}
    with pytest.raises(DataError, match="column 'temp': found values in °C; expected °F, as in the fit"):
        pipeline.transform(df)
    with pytest.raises(DataError, match="column 'temp': found values of type str; expected numbers, as in the fit"):
        pipeline.transform(bare.assign(temp="warm"))
    assert pipeline.fit(df).tidy(df).attrs["units"] == {"temp": "°C"}


# --- what a model gets with it ---


def test_features_are_those_that_the_rows_show():
    days = pd.DataFrame({"t": pd.date_range("2020-01-01", periods=900), "temp": 1.0})
    assert WeatherPipeline().fit(days).features == (HarmonicsFeature(year=2),)
    assert WeatherPipeline().fit(days[:400]).features == ()
    hours = pd.DataFrame({"t": pd.date_range("2020-01-01", periods=900, freq="h"), "temp": 1.0})
    assert WeatherPipeline().fit(hours).features == (HarmonicsFeature(day=2),)
    settings = {"latitude": 50, "longitude": 11.6, "timezone": "Europe/Berlin"}
    found = WeatherPipeline(**settings).fit(hours).features
    assert found == (HarmonicsFeature(day=2), SolarElevationFeature(50.0, 11.6, "Europe/Berlin"))
    columns = feature_columns(found, [Calendar("datetime", "h")], np.zeros(900, dtype=int), pd.Index(hours["t"]))
    assert list(columns) == ["day_cos_1", "day_sin_1", "day_cos_2", "day_sin_2", "sun_sine", "sun_above_horizon"]
    daily = WeatherPipeline(**settings, resample="D").fit(hours).features
    assert daily == (SolarElevationFeature(50.0, 11.6, "Europe/Berlin", ends=True),)
    assert WeatherPipeline(resample="D").freq == "D"
    assert WeatherPipeline().freq is None


def test_a_place_without_a_zone_is_told():
    hours = pd.DataFrame({"t": pd.date_range("2020-01-01", periods=50, freq="h"), "temp": 1.0})
    settings = {"latitude": 50.0, "longitude": 11.6}
    assert "taken for UTC to find the sun" in WeatherPipeline(**settings).fit(hours).notes_[-1]
    assert "sun" not in WeatherPipeline(**settings, timezone="UTC").fit(hours).notes_[-1]


def test_notes_say_which_courses_are_taken_off(raw, fitted):
    assert fitted.notes_[-1].startswith("the mean course of the day is taken off 14 column(s); that of the year is not")
    assert not any("mean course" in note for note in WeatherPipeline("date", anomalies=False).fit(raw).notes_)
    few = WeatherPipeline("date").fit(raw[:5])
    assert few.notes_[-1] == "the training rows show no whole cycle twice: only means are taken off"
    report = WeatherPipeline("date").report(raw)
    assert report == fitted.notes_[: len(report)]


def test_as_scikit_learn_has_it(raw):
    pipeline = WeatherPipeline("date", sentinels=(-9999.0,), columns={"OT": None})
    copy = clone(pipeline)
    assert copy.get_params() == pipeline.get_params()
    assert pipeline.fit(raw) is pipeline
    pd.testing.assert_frame_equal(copy.fit_transform(raw), pipeline.transform(raw))
    for method in ("transform", "inverse_transform"):
        with pytest.raises(NotFittedError, match="a WeatherPipeline that was not fitted"):
            getattr(WeatherPipeline("date"), method)(raw)
    for read in (
        lambda new: new.features,
        lambda new: new.get_feature_names_out(),
        lambda new: new.outputs_of("x"),
        lambda new: new.to_json(),
    ):
        with pytest.raises(NotFittedError):
            read(WeatherPipeline("date"))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"wind": "components", "timezone": "Europe/Berlin", "latitude": 50.9, "longitude": 11.6},
        {"resample": "h", "aggregate": {"OT": "median"}, "sentinels": {"OT": (-9999,)}, "faults": "nan"},
        {"columns": {"OT": None, "T (degC)": "temperature"}, "units": {"T (degC)": "°C"}, "anomalies": False},
    ],
    ids=["plain", "components", "hours", "by hand"],
)
def test_it_is_saved_to_the_last_bit(raw, options):
    df = (
        raw.assign(id=np.where(np.arange(len(raw)) % 2, 1, 2), other="x")
        if "columns" in options
        else raw.assign(id="A", other="x")
    )
    pipeline = WeatherPipeline("date", ["id", "other"], **options).fit(df)
    again = WeatherPipeline.from_json(json.loads(json.dumps(pipeline.to_json())))
    assert again.get_params() == pipeline.get_params()
    for name in ("notes_", "derived_", "names_", "cycles_", "time_", "series_", "features"):
        assert getattr(again, name) == getattr(pipeline, name)
    seen = pipeline.transform(df)
    pd.testing.assert_frame_equal(again.transform(df), seen, check_exact=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backs = [each.inverse_transform(seen) for each in (pipeline, again)]
    pd.testing.assert_frame_equal(*backs, check_exact=True)
    assert all(again.outputs_of(label) == pipeline.outputs_of(label) for label in df)


def test_sklearns_pandas_output_changes_nothing():
    df = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=5), "wind": 2.0, "wind direction": 90.0})
    pipeline = WeatherPipeline(wind="components")
    with sklearn.config_context(transform_output="pandas"):
        found = pipeline.fit_transform(df)
    pd.testing.assert_frame_equal(found, pipeline.transform(df))


def test_infinite_numbers_are_put_at_their_bounds():
    df = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=3), "temp": 1.0, "wind": 2.0, "wd": 90.0})
    pipeline = WeatherPipeline(wind="components").fit(df)
    seen = pipeline.transform(df).assign(temp=[np.inf, -np.inf, 0.0])
    with pytest.warns(UserWarning, match="1 of 'temp' below -95 °C, and put there; 1 of 'temp' above 65 °C"):
        assert pipeline.inverse_transform(seen)["temp"].tolist() == [65.0, -95.0, 1.0]


def test_speeds_of_mean_vectors_are_told():
    df = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=3), "wind": 2.0, "wd": 90.0})
    words = "'wind' and 'wd' become u and v: a point forecast of the speed is the length of the mean vector"
    assert words in str(WeatherPipeline(wind="components").fit(df).notes_)
    assert "mean vector" not in str(WeatherPipeline().fit(df).notes_)
    assert "mean vector" not in str(WeatherPipeline(wind="components").fit(df.drop(columns="wd")).notes_)


def test_columns_of_levels_are_refused():
    df = pd.DataFrame(1.0, pd.date_range("2024-01-01", periods=3), [["temp", "temp"], ["A", "B"]])
    with pytest.raises(DataError, match="labels of 2 levels"):
        WeatherPipeline().fit(df)
