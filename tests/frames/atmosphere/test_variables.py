"""Names and units of weather columns: those of the usual sources, of plain English, broken and unknown ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourglass_ts.frames.atmosphere.units import KINDS, read_unit, standard_unit
from hourglass_ts.frames.atmosphere.variables import VARIABLES, find_columns, find_pairs

JENA = {
    "p (mbar)": ("pressure", "mbar", "mean"),
    "T (degC)": ("temperature", "°C", "mean"),
    "Tpot (K)": ("potential_temperature", "K", "mean"),
    "Tdew (degC)": ("dew_point", "°C", "mean"),
    "rh (%)": ("humidity", "%", "mean"),
    "VPmax (mbar)": ("saturation_vapour_pressure", "mbar", "mean"),
    "VPact (mbar)": ("vapour_pressure", "mbar", "mean"),
    "VPdef (mbar)": ("vapour_pressure_deficit", "mbar", "mean"),
    "sh (g/kg)": ("specific_humidity", "g/kg", "mean"),
    "H2OC (mmol/mol)": ("water_vapour", "mmol/mol", "mean"),
    "rho (g/m**3)": ("air_density", "g/m³", "mean"),
    "wv (m/s)": ("wind_speed", "m/s", "mean"),
    "max. wv (m/s)": ("wind_speed", "m/s", "max"),
    "wd (deg)": ("wind_direction", "°", "direction"),
    "rain (mm)": ("precipitation", "mm", "sum"),
    "raining (s)": ("rain_duration", "s", "sum"),
    "SWDR (W/m²)": ("radiation", "W/m²", "mean"),
    "PAR (µmol/m²/s)": ("photon_flux", "µmol/m²/s", "mean"),
    "max. PAR (µmol/m²/s)": ("photon_flux", "µmol/m²/s", "max"),
    "SWDR (W/m\ufffd)": ("radiation", "W/m²", "mean"),
    "PAR (\ufffdmol/m\ufffd/s)": ("photon_flux", "µmol/m²/s", "mean"),
    "max. PAR (\ufffdmol/m\ufffd/s)": ("photon_flux", "µmol/m²/s", "max"),
    "Tlog (degC)": ("surface_temperature", "°C", "mean"),
}
SEATTLE = {
    "precipitation": ("precipitation", "mm", "sum"),
    "temp_max": ("temperature", "°C", "max"),
    "temp_min": ("temperature", "°C", "min"),
    "wind": ("wind_speed", "m/s", "mean"),
}
METEOSTAT = {
    "temp": ("temperature", "°C", "mean"),
    "tmin": ("temperature", "°C", "min"),
    "tmax": ("temperature", "°C", "max"),
    "tavg": ("temperature", "°C", "mean"),
    "dwpt": ("dew_point", "°C", "mean"),
    "rhum": ("humidity", "%", "mean"),
    "prcp": ("precipitation", "mm", "sum"),
    "wspd": ("wind_speed", "km/h", "mean"),
    "wdir": ("wind_direction", "°", "direction"),
    "wpgt": ("wind_gust", "km/h", "max"),
    "pres": ("pressure", "hPa", "mean"),
    "tsun": ("sunshine_duration", "min", "sum"),
}
OPEN_METEO = {
    "temperature_2m": ("temperature", "°C", "mean"),
    "temperature_2m (°F)": ("temperature", "°F", "mean"),
    "temperature_2m_max": ("temperature", "°C", "max"),
    "relative_humidity_2m": ("humidity", "%", "mean"),
    "dew_point_2m": ("dew_point", "°C", "mean"),
    "wind_speed_10m": ("wind_speed", "km/h", "mean"),
    "wind_speed_10m (m/s)": ("wind_speed", "m/s", "mean"),
    "wind_direction_10m": ("wind_direction", "°", "direction"),
    "wind_direction_10m_dominant": ("wind_direction", "°", "direction"),
    "wind_gusts_10m": ("wind_gust", "km/h", "max"),
    "precipitation_sum": ("precipitation", "mm", "sum"),
    "pressure_msl": ("pressure", "hPa", "mean"),
    "surface_pressure": ("pressure", "hPa", "mean"),
    "shortwave_radiation": ("radiation", "W/m²", "mean"),
    "cloud_cover": ("cloud_cover", "%", "mean"),
    "vapour_pressure_deficit": ("vapour_pressure_deficit", "kPa", "mean"),
    "snowfall": ("snowfall", "cm", "sum"),
}
GHCN = {
    "PRCP": ("precipitation", "mm", "sum"),
    "TMAX": ("temperature", "°C", "max"),
    "TMIN": ("temperature", "°C", "min"),
    "AWND": ("wind_speed", "m/s", "mean"),
    "SNWD": ("snow_depth", "mm", "mean"),
    "WSF2": ("wind_gust", "m/s", "max"),
    "WDF2": ("wind_direction", "°", "direction"),
}
ENGLISH = {
    "Air Temperature [K]": ("temperature", "K", "mean"),
    "Highest temperature": ("temperature", "°C", "max"),
    "Dew point": ("dew_point", "°C", "mean"),
    "Relative humidity (fraction)": ("humidity", "1", "mean"),
    "windSpeed (mph)": ("wind_speed", "mph", "mean"),
    "Sea-level pressure (inHg)": ("pressure", "inHg", "mean"),
    "Rainfall (in)": ("precipitation", "in", "sum"),
    "Cloud cover (okta)": ("cloud_cover", "okta", "mean"),
    "Wind chill": ("apparent_temperature", "°C", "mean"),
}


@pytest.mark.parametrize(
    ("label", "expected"),
    [pair for table in (JENA, SEATTLE, METEOSTAT, OPEN_METEO, GHCN, ENGLISH) for pair in table.items()],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_labels_in_use_are_understood(label, expected):
    column = find_columns([label], {}, {})[0][label]
    assert (column.name, column.unit.symbol, column.aggregate) == expected


UNKNOWN = {
    "OT": "known by this name",
    "weather": "known by this name",
    "snow": "known by this name",  # fallen, or lying?
    "temperature (furlong)": "'furlong' is no unit known for temperature",
    "rain (W/m²)": "'W/m²' is no unit known for precipitation",
    "shortwave_radiation_sum (MJ/m²)": "'MJ/m²' is no unit",
    "T": "so short a name needs a unit",
    3: "known by this name",
    ("temp", "°C"): "known by this name",
}


@pytest.mark.parametrize("label", UNKNOWN, ids=str)
def test_what_is_not_understood_is_left_alone_and_told(label):
    columns, notes = find_columns([label], {}, {})
    assert columns == {}
    assert len(notes) == 1
    assert notes[0].startswith(repr(label))
    assert UNKNOWN[label] in notes[0]
    assert notes[0].endswith("passed on untouched")


def test_names_and_units_by_hand():
    names = {"Feuchte": "humidity", 3: "temperature", ("a", 1): "wind_speed", "temp": None, "rain": "snowfall"}
    units = {3: "°F", ("a", 1): "kn", "OT": "ppm", "p": "kPa"}
    columns, notes = find_columns(["Feuchte", 3, ("a", 1), "temp", "rain", "p"], names, units)
    found = {label: (column.name, column.unit.symbol) for label, column in columns.items()}
    assert found == {
        "Feuchte": ("humidity", "%"),
        3: ("temperature", "°F"),
        ("a", 1): ("wind_speed", "kn"),
        "rain": ("snowfall", "mm"),
        "p": ("pressure", "kPa"),
    }
    assert [note.partition(":")[0] for note in notes] == ["'Feuchte'", "'rain'"]
    assert columns["p"].bounds() == pytest.approx((30, 110))


def test_what_is_given_beats_the_label_and_what_was_assumed_is_told():
    columns, notes = find_columns(["T (degC)", "wspd"], {}, {"T (degC)": "K"})
    assert columns["T (degC)"].unit.symbol == "K"
    assert notes == ["'wspd': taken for km/h; pass units={'wspd': …} otherwise"]


def test_units_that_lost_a_letter_are_told():
    assert find_columns(["SWDR (W/m\ufffd)"], {}, {})[1] == [
        "'SWDR (W/m\ufffd)': its unit 'W/m\ufffd' lost a letter, and is read as W/m²"
    ]


SPELLINGS = {
    "temperature": {
        "degC": "°C",
        "deg C": "°C",
        "C": "°C",
        "°F": "°F",
        "\ufffdC": "°C",
        "º C": "°C",
        "0.1 °C": "0.1 °C",
    },
    "speed": {"m s-1": "m/s", "m s⁻¹": "m/s", "m·s^-1": "m/s", "km h-1": "km/h", "Knots": "kn", "MPH": "mph"},
    "irradiance": {"W m-2": "W/m²", "W m**-2": "W/m²", "W/m^2": "W/m²", "W/mÂ²": "W/m²"},
    "photons": {"umol m-2 s-1": "µmol/m²/s", "μmol/m²/s": "µmol/m²/s", "umol/(m2 s)": "µmol/m²/s"},
    "density": {"g/m**3": "g/m³", "kg m^-3": "kg/m³"},
    "length": {"MM": "mm", "kg m-2": "mm", "inches": "in"},
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, table in SPELLINGS.items() for text in table])
def test_spellings_of_units(kind, text):
    assert read_unit(text, kind).symbol == SPELLINGS[kind][text]


@pytest.mark.parametrize(
    ("text", "kind", "value", "standard"),
    [
        ("°F", "temperature", 212.0, 100.0),
        ("K", "temperature", 273.15, 0.0),
        ("kn", "speed", 1.943844, 1.0),
        ("mph", "speed", 2.236936, 1.0),
        ("km/h", "speed", 3.6, 1.0),
        ("inHg", "pressure", 29.92126, 1013.25),
        ("mmHg", "pressure", 760.0, 1013.25),
        ("kPa", "pressure", 101.325, 1013.25),
        ("in", "length", 1.0, 25.4),
        ("okta", "share", 8.0, 100.0),
        ("1", "share", 1.0, 100.0),
        ("h", "time", 24.0, 86400.0),
        ("g/m³", "density", 1225.0, 1.225),
    ],
)
def test_units_convert_as_published(text, kind, value, standard):
    unit = read_unit(text, kind)
    assert unit.to_standard(value) == pytest.approx(standard, rel=1e-5, abs=1e-9)
    assert unit.from_standard(standard) == pytest.approx(value, rel=1e-5)


@given(st.sampled_from(sorted(KINDS)).flatmap(lambda kind: st.tuples(st.just(kind), st.sampled_from([*KINDS[kind]]))))
def test_every_unit_reads_its_own_symbol(pair):
    kind, unit = pair
    assert read_unit(unit.symbol, kind) == unit


@pytest.mark.parametrize("name", VARIABLES)
def test_the_table_is_whole(name):
    variable = VARIABLES[name]
    assert variable.unit in KINDS
    assert standard_unit(variable.unit).scale == 1
    assert -1e6 < variable.low < variable.high < 1e6
    assert variable.low == 0 or variable.transform == "plain"
    assert variable.aggregate in ("mean", "sum", "max", "direction")
    assert find_columns(["x"], {"x": name}, {})[0]["x"].name == name
    assert find_columns([name], {}, {})[0][name].name == name  # its own name, too, is understood


def test_sums_may_grow_with_their_days():
    column = find_columns(["rain (cm)"], {}, {})[0]["rain (cm)"]
    assert column.bounds() == pytest.approx((0, 200))
    assert column.bounds(31) == pytest.approx((0, 6200))
    assert find_columns(["T (K)"], {}, {})[0]["T (K)"].bounds(31)[1] == pytest.approx(338.15)


PAIRS = {
    "the only ones": (["wv (m/s)", "wd (deg)", "max. wv (m/s)"], {"wd (deg)": "wv (m/s)"}),
    "of one height": (
        ["wind_speed_10m", "wind_speed_100m", "wind_direction_100m", "wind_direction_10m"],
        {"wind_direction_100m": "wind_speed_100m", "wind_direction_10m": "wind_speed_10m"},
    ),
    "of other heights, but alone": (["wind_speed", "wind_direction_10m"], {"wind_direction_10m": "wind_speed"}),
    "which of two?": (["wind", "wspd", "wd"], {}),
    "of the strongest gust": (["AWND", "WDF2", "WSF2"], {}),
    "no speed": (["wd"], {}),
}


@pytest.mark.parametrize("case", PAIRS)
def test_directions_find_their_speeds(case):
    labels, expected = PAIRS[case]
    assert find_pairs(find_columns(labels, {}, {})[0]) == expected


def test_short_names_ask_for_a_unit_of_their_own():
    _, notes = find_columns(["p", "T"], {}, {})
    assert "'p (hPa)'" in notes[0]
    assert "'T (°C)'" in notes[1]


def test_sums_of_radiation_are_no_irradiance():
    labels = ["shortwave_radiation_sum", "ghi_sum", "PAR sum", "precipitation_sum", "total radiation", "ghi sum (W/m2)"]
    columns, notes = find_columns(labels, {}, {})
    assert list(columns) == labels[3:]
    assert notes[0] == "'shortwave_radiation_sum': a sum over time is no radiation: passed on untouched"
    assert list(find_columns(labels[:1], {labels[0]: "radiation"}, {})[0]) == labels[:1]
