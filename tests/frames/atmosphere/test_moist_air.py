"""Moist air: every formula against tables, and columns that follow from others, in their own units."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourglass_ts.frames.atmosphere import moist_air
from hourglass_ts.frames.atmosphere.moist_air import FORMULAS, derived_columns, dew_point, saturation_vapour_pressure
from hourglass_ts.frames.atmosphere.variables import find_columns

TABLES = {
    # Smithsonian Meteorological Tables, 6th edition, table 94 (Goff and Gratch), hPa
    "saturation_vapour_pressure": [
        *[((-20.0,), 1.2540), ((-10.0,), 2.8627), ((0.0,), 6.1078), ((10.0,), 12.272)],
        *[((20.0,), 23.373), ((30.0,), 42.430), ((40.0,), 73.777)],
    ],
    # psychrometric tables, and the standard atmosphere
    "dew_point": [((20.0, 50.0), 9.3), ((25.0, 60.0), 16.7), ((30.0, 70.0), 23.9), ((10.0, 80.0), 6.7)],
    "wet_bulb_temperature": [((20.0, 50.0), 13.8), ((30.0, 50.0), 22.0), ((10.0, 80.0), 8.2)],
    "vapour_pressure": [((20.0, 50.0), 11.69), ((30.0, 100.0), 42.43)],
    "vapour_pressure_deficit": [((20.0, 50.0), 11.69), ((30.0, 100.0), 0.0), ((25.0, 40.0), 19.0)],
    "potential_temperature": [((0.0, 850.0), 13.0), ((-50.0, 250.0), 58.4), ((17.0, 1000.0), 17.0)],
    "specific_humidity": [((20.0, 100.0, 1013.25), 14.5), ((30.0, 50.0, 1013.25), 13.1)],
    "water_vapour": [((20.0, 50.0, 1013.25), 11.5), ((30.0, 100.0, 1000.0), 42.4)],
    "air_density": [((15.0, 0.0, 1013.25), 1.225), ((0.0, 0.0, 1013.25), 1.2923), ((20.0, 50.0, 1013.25), 1.199)],
}


def test_every_formula_has_a_table():
    assert set(TABLES) == set(FORMULAS)


@pytest.mark.parametrize(
    ("name", "inputs", "expected"), [(name, *row) for name, rows in TABLES.items() for row in rows], ids=str
)
def test_formulas_give_what_tables_say(name, inputs, expected):
    found = getattr(moist_air, name)(*[np.array([value]) for value in inputs])[0]
    assert FORMULAS[name].function is getattr(moist_air, name)
    assert found == pytest.approx(expected, rel=5e-3, abs=0.5 if name == "wet_bulb_temperature" else 0.05)


@given(st.floats(-40, 45), st.floats(1, 100))
def test_air_at_its_dew_point_is_saturated(temperature, humidity):
    point = dew_point(np.array([temperature]), np.array([humidity]))
    assert point[0] <= temperature + 1e-9
    pressure = saturation_vapour_pressure(np.array([temperature])) * humidity / 100
    np.testing.assert_allclose(saturation_vapour_pressure(point), pressure, rtol=1e-9)


def test_dry_air_has_no_dew_point():
    assert np.isnan(dew_point(np.array([20.0, np.nan]), np.array([0.0, 50.0]))).all()


def air(n=300):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"T (degC)": rng.uniform(-10, 30, n), "rh (%)": rng.uniform(20, 100, n)})
    return frame.assign(**{"p (mbar)": rng.uniform(950, 1040, n)})


def derived(frame):
    return derived_columns(frame, find_columns(frame.columns, {}, {})[0])


@pytest.mark.parametrize(
    ("label", "name", "to_own"),
    [
        ("Tdew (degC)", "dew_point", lambda value: value),
        ("dew_point_2m (°F)", "dew_point", lambda value: 32 + 1.8 * value),
        ("VPmax (mbar)", "saturation_vapour_pressure", lambda value: value),
        ("VPact (kPa)", "vapour_pressure", lambda value: value / 10),
        ("VPdef (mbar)", "vapour_pressure_deficit", lambda value: value),
        ("Tpot (K)", "potential_temperature", lambda value: value + 273.15),
        ("sh (g/kg)", "specific_humidity", lambda value: value),
        ("H2OC (mmol/mol)", "water_vapour", lambda value: value),
        ("rho (g/m**3)", "air_density", lambda value: 1000 * value),
        ("wet bulb (°C)", "wet_bulb_temperature", lambda value: value),
    ],
)
def test_what_follows_from_others_is_found_in_its_own_unit(label, name, to_own):
    frame = air()
    formula = FORMULAS[name]
    sources = {"temperature": "T (degC)", "humidity": "rh (%)", "pressure": "p (mbar)"}
    labels = tuple(sources[source] for source in formula.sources)
    frame[label] = to_own(formula.function(*[frame[each].to_numpy() for each in labels]))
    frame.loc[3, label] = frame.loc[5, "T (degC)"] = np.nan
    frame.loc[7, label] += 1000  # one row in three hundred does not matter
    found, notes = derived(frame)
    assert found == {label: labels}
    assert len(notes) == 1
    assert notes[0].startswith(f"{label!r} follows from 'T (degC)'")
    assert notes[0].endswith("in 99% of rows): derived, no new information")
    wrong = frame.assign(**{label: frame[label].sample(frac=1, random_state=0).to_numpy()})
    found, notes = derived(wrong)
    assert found == {}
    assert "should follow from" in notes[0]


def test_what_lacks_its_sources_is_told_apart():
    frame = air()[["T (degC)"]].assign(**{"Tdew (degC)": 1.0})
    assert derived(frame) == ({}, ["'Tdew (degC)' is a derived quantity; unchecked, as the frame has no humidity"])
    empty = air().assign(**{"Tdew (degC)": np.nan})
    assert derived(empty)[1] == [
        "'Tdew (degC)' is a derived quantity; unchecked, as no row has it with 'T (degC)' and 'rh (%)'"
    ]


def test_extremes_of_a_day_are_no_sources():
    frame = air().rename(columns={"T (degC)": "T_max (degC)"}).assign(**{"Tdew (degC)": 1.0})
    assert "no temperature" in derived(frame)[1][0]
