"""What follows from temperature, humidity and pressure: dew point, vapour pressure and the like.

Temperatures in °C, pressures in hPa, humidity in % over water, also below 0 °C, as stations report it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hourglass_ts.frames.atmosphere.variables import Column

ZERO = 273.15
VAPOUR_SHARE = 0.62198  # molar mass of water over that of dry air
DRY_AIR = 287.05  # J / kg / K
SHARE_OF_ROWS = 0.99


def saturation_vapour_pressure(temperature: np.ndarray) -> np.ndarray:
    """Give the vapour pressure in hPa at which air of this temperature (°C) is saturated over water.

    To 0.5 % from -20 to 40 °C. Source: the Magnus formula, constants of WMO-No. 8 (2018), volume I, annex 4.B.

    Example:
        >>> saturation_vapour_pressure(np.array([0.0, 20.0])).round(2).tolist()
        [6.11, 23.33]
    """
    return 6.112 * np.exp(17.62 * temperature / (243.12 + temperature))


def vapour_pressure(temperature: np.ndarray, humidity: np.ndarray) -> np.ndarray:
    """Give the vapour pressure in hPa of air of this temperature (°C) and relative humidity (%).

    Example:
        >>> vapour_pressure(np.array([20.0]), np.array([50.0])).round(2).tolist()
        [11.66]
    """
    return saturation_vapour_pressure(temperature) * humidity / 100


def vapour_pressure_deficit(temperature: np.ndarray, humidity: np.ndarray) -> np.ndarray:
    """Give what the vapour pressure lacks to saturation, in hPa.

    Example:
        >>> vapour_pressure_deficit(np.array([20.0]), np.array([100.0])).tolist()
        [0.0]
    """
    return saturation_vapour_pressure(temperature) - vapour_pressure(temperature, humidity)


def dew_point(temperature: np.ndarray, humidity: np.ndarray) -> np.ndarray:
    """Give the temperature in °C to which this air must cool to be saturated; NaN where it is wholly dry.

    Source: the same formula, solved for the temperature.

    Example:
        >>> dew_point(np.array([20.0, 20.0]), np.array([50.0, 100.0])).round(1).tolist()
        [9.3, 20.0]
    """
    pressure = vapour_pressure(temperature, humidity)
    logarithm = np.log(np.where(pressure > 0, pressure, np.nan) / 6.112)
    return 243.12 * logarithm / (17.62 - logarithm)


def wet_bulb_temperature(temperature: np.ndarray, humidity: np.ndarray) -> np.ndarray:
    """Give the wet-bulb temperature in °C at about 1000 hPa, to 1 °C for a humidity of 5 to 99 %.

    Source: R. Stull (2011), Wet-bulb temperature from relative humidity and air temperature, J. Appl. Meteor. Climatol.
    50, 2267.

    Example:
        >>> wet_bulb_temperature(np.array([20.0]), np.array([50.0])).round(1).tolist()
        [13.7]
    """
    warm = temperature * np.arctan(0.151977 * np.sqrt(humidity + 8.313659)) + np.arctan(temperature + humidity)
    moist = 0.00391838 * humidity**1.5 * np.arctan(0.023101 * humidity) - np.arctan(humidity - 1.676331)
    return warm + moist - 4.686035


def potential_temperature(temperature: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """Give the temperature in °C that this air would have at 1000 hPa, moved without heat.

    Source: Poisson's equation, with R / c_p = 0.2857 of dry air.

    Example:
        >>> potential_temperature(np.array([0.0]), np.array([850.0])).round(1).tolist()
        [13.0]
    """
    return (temperature + ZERO) * (1000 / pressure) ** 0.2857 - ZERO


def specific_humidity(temperature: np.ndarray, humidity: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """Give grams of water vapour in a kilogram of air.

    Example:
        >>> specific_humidity(np.array([20.0]), np.array([50.0]), np.array([1013.25])).round(1).tolist()
        [7.2]
    """
    vapour = vapour_pressure(temperature, humidity)
    return 1000 * VAPOUR_SHARE * vapour / (pressure - (1 - VAPOUR_SHARE) * vapour)


def water_vapour(temperature: np.ndarray, humidity: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """Give millimoles of water vapour in a mole of air.

    Example:
        >>> water_vapour(np.array([20.0]), np.array([50.0]), np.array([1000.0])).round(2).tolist()
        [11.66]
    """
    return 1000 * vapour_pressure(temperature, humidity) / pressure


def air_density(temperature: np.ndarray, humidity: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """Give the density of moist air in kg/m³.

    Example:
        >>> air_density(np.array([15.0]), np.array([0.0]), np.array([1013.25])).round(3).tolist()
        [1.225]
    """
    dry = pressure - (1 - VAPOUR_SHARE) * vapour_pressure(temperature, humidity)
    return 100 * dry / (DRY_AIR * (temperature + ZERO))


@dataclass(frozen=True)
class Formula:
    """How a variable follows from others, and how near it must come in its standard unit."""

    function: Callable[..., np.ndarray]
    sources: tuple[str, ...]
    tolerance: float


_AIR = ("temperature", "humidity")
FORMULAS = {
    "dew_point": Formula(dew_point, _AIR, 0.5),
    "wet_bulb_temperature": Formula(wet_bulb_temperature, _AIR, 1.5),
    "saturation_vapour_pressure": Formula(saturation_vapour_pressure, ("temperature",), 0.5),
    "vapour_pressure": Formula(vapour_pressure, _AIR, 0.5),
    "vapour_pressure_deficit": Formula(vapour_pressure_deficit, _AIR, 0.5),
    "potential_temperature": Formula(potential_temperature, ("temperature", "pressure"), 0.5),
    "specific_humidity": Formula(specific_humidity, (*_AIR, "pressure"), 0.3),
    "water_vapour": Formula(water_vapour, (*_AIR, "pressure"), 0.5),
    "air_density": Formula(air_density, (*_AIR, "pressure"), 0.01),
}


def derived_columns(
    frame: pd.DataFrame, columns: Mapping[Hashable, Column]
) -> tuple[dict[Hashable, tuple[Hashable, ...]], list[str]]:
    """Give the columns that follow from others of the frame, with those, and a note on each that should or could."""
    found, notes = {}, []
    plain = {column.name: column for column in reversed(list(columns.values())) if not column.statistic}
    for label, column in columns.items():
        formula = FORMULAS.get(column.name)
        if formula is None or column.statistic:
            continue
        missing = [name for name in formula.sources if name not in plain]
        if missing:
            names = ", ".join(missing)
            notes.append(f"{label!r} is a derived quantity; unchecked, as the frame has no {names}")
            continue
        sources = [plain[name] for name in formula.sources]
        text = _named([source.label for source in sources])
        off = _distance(frame, column, sources, formula)
        if np.isnan(off):
            notes.append(f"{label!r} is a derived quantity; unchecked, as no row has it with {text}")
            continue
        size = f"{off / column.unit.scale:.2g} {column.unit.symbol} in {SHARE_OF_ROWS:.0%} of rows"
        if off <= formula.tolerance:
            found[label] = tuple(source.label for source in sources)
            notes.append(f"{label!r} follows from {text} (within {size}): derived, no new information")
        else:
            cause = "its unit is another, or its rows are means over long times"
            notes.append(f"{label!r} should follow from {text}, but does so only within {size}: {cause}")
    return found, notes


def _distance(frame: pd.DataFrame, column: Column, sources: list[Column], formula: Formula) -> float:
    """How far most rows lie from the formula, in the standard unit; NaN where there is no row to tell."""
    inputs = [source.unit.to_standard(frame[source.label].to_numpy(np.float64)) for source in sources]
    error = np.abs(formula.function(*inputs) - column.unit.to_standard(frame[column.label].to_numpy(np.float64)))
    error = error[~np.isnan(error)]
    return float(np.quantile(error, SHARE_OF_ROWS)) if error.size else np.nan


def _named(labels: list[Hashable]) -> str:
    shown = [repr(label) for label in labels]
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]
