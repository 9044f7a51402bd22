"""Which column of a weather frame is which variable: names in use, units, bounds, and what is done with each."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hourglass_ts.frames.atmosphere.units import BROKEN, Unit, read_unit, standard_unit

USUAL = (-math.inf, math.inf)
RATES = ("irradiance", "photons")
"""Kinds of unit whose sums over time have another."""


@dataclass(frozen=True)
class Variable:
    """A quantity of the weather.

    unit: its kind of unit.  low, high: what is physically possible, in that kind's standard unit; of sums, in a day.
    transform: "plain", "clipped" (plain, and put into its bounds on the way back), "share" (bounded on both sides),
    "root", "log" (both 0 or more; 0 stays 0), or "angle".
    aggregate: how rows become one.  scale: of the logarithm.  has_course: a model sees what differs from the mean
    course of year and day.  usual: what lies beyond is possible, and is told.
    """

    unit: str
    low: float
    high: float
    transform: str = "plain"
    aggregate: str = "mean"
    scale: float = 1.0
    has_course: bool = True
    usual: tuple[float, float] = USUAL


_AMOUNT: dict[str, Any] = {"transform": "log", "aggregate": "sum", "has_course": False}
VARIABLES: dict[str, Variable] = {
    "temperature": Variable("temperature", -95.0, 65.0, usual=(-50.0, 50.0)),
    "surface_temperature": Variable("temperature", -100.0, 100.0, usual=(-60.0, 75.0)),
    "apparent_temperature": Variable("temperature", -130.0, 100.0),
    "potential_temperature": Variable("temperature", -100.0, 130.0),
    "dew_point": Variable("temperature", -110.0, 40.0, usual=(-60.0, 33.0)),
    "wet_bulb_temperature": Variable("temperature", -95.0, 45.0),
    "humidity": Variable("share", 0.0, 100.0, "share", usual=(5.0, 100.0)),
    "cloud_cover": Variable("share", 0.0, 100.0, "share"),
    "occurrence": Variable("share", 0.0, 100.0, "clipped"),
    "pressure": Variable("pressure", 300.0, 1100.0, usual=(500.0, 1060.0)),
    "saturation_vapour_pressure": Variable("pressure", 0.0, 250.0),
    "vapour_pressure": Variable("pressure", 0.0, 80.0),
    "vapour_pressure_deficit": Variable("pressure", 0.0, 250.0, "root"),
    "specific_humidity": Variable("mass share", 0.0, 60.0),
    "water_vapour": Variable("molar share", 0.0, 100.0),
    "air_density": Variable("density", 0.3, 2.2),
    "wind_speed": Variable("speed", 0.0, 115.0, "root", usual=(0.0, 50.0)),
    "wind_gust": Variable("speed", 0.0, 150.0, "root", "max", usual=(0.0, 70.0)),
    "wind_component": Variable("speed", -115.0, 115.0),
    "wind_direction": Variable("angle", 0.0, 360.0, "angle", "direction", has_course=False),
    "precipitation": Variable("length", 0.0, 2000.0, usual=(0.0, 400.0), **_AMOUNT),
    "snowfall": Variable("length", 0.0, 2500.0, usual=(0.0, 1000.0), **_AMOUNT),
    "snow_depth": Variable("length", 0.0, 15_000.0, "log", scale=10.0, has_course=False),
    "rain_duration": Variable("time", 0.0, 86_400.0, scale=600.0, **_AMOUNT),
    "sunshine_duration": Variable("time", 0.0, 86_400.0, scale=600.0, **_AMOUNT),
    "radiation": Variable("irradiance", 0.0, 2200.0, "root", has_course=False, usual=(0.0, 1600.0)),
    "photon_flux": Variable("photons", 0.0, 4500.0, "root", has_course=False),
}

_NAMES = """
temperature: temperature temp t tair airtemp airtemperature tmax tmin tavg tmean tobs
surface_temperature: tlog loggertemperature soiltemperature surfacetemperature skintemperature
apparent_temperature: apparenttemperature feelslike windchill heatindex
potential_temperature: tpot/K potentialtemperature/K
dew_point: tdew dewpoint dewpointtemperature dwpt td
wet_bulb_temperature: wetbulb wetbulbtemperature
humidity: humidity relativehumidity relhumidity rh rhum relhum
cloud_cover: cloudcover cloudcoverlow cloudcovermid cloudcoverhigh clouds cloudiness
occurrence: occurrence/1 wet/1 wetday/1 rainday/1 rainy/1
pressure: pressure p pres pressuremsl mslpressure mslp slp surfacepressure stationpressure sealevelpressure airpressure
saturation_vapour_pressure: vpmax saturationvapourpressure saturationvaporpressure
vapour_pressure: vpact vapourpressure vaporpressure
vapour_pressure_deficit: vpdef vpd/kPa vapourpressuredeficit/kPa vaporpressuredeficit/kPa
specific_humidity: sh specifichumidity
water_vapour: h2oc watervapourconcentration watervaporconcentration
air_density: rho airdensity
wind_speed: wind windspeed windspeed@10m/km/h wv wspd/km/h awnd sknt/kn
wind_gust: windgust windgusts windgusts@10m/km/h gust gusts wpgt/km/h wsf2 wsf5 wsfg
wind_component: u10 v10 uwind vwind
wind_direction: winddirection winddir wd wdir drct wdf2 wdf5
precipitation: precipitation precip prcp rain rainfall showers p01i/in p01m
snowfall: snowfall/cm
snow_depth: snowdepth snwd
rain_duration: raining rainduration precipitationduration precipitationhours/h
sunshine_duration: sunshineduration tsun/min sunshine/min
radiation: radiation swdr shortwaveradiation globalradiation solarradiation directradiation diffuseradiation ghi dni dhi
photon_flux: par ppfd
"""
"""Names without capitals and blanks; after @ the height they need, after / a unit that they have by custom."""
_STATISTICS = {
    **dict.fromkeys(("max", "maximum", "highest", "peak"), "max"),
    **dict.fromkeys(("min", "minimum", "lowest"), "min"),
    **dict.fromkeys(("mean", "avg", "average", "sum", "total", "dominant", "daily", "hourly"), ""),
}
_EXTREMES = {"tmax": "max", "tmin": "min", "wdf2": "max", "wdf5": "max"}
_BRACKETS = re.compile(r"[(\[]([^()\[\]]*(?:\([^()]*\))?[^()\[\]]*)[)\]]\s*$")
_HEIGHT = re.compile(r"(?<![a-z0-9])(\d+)[ _]?(cm|m|hpa)(?![a-z0-9])")


@dataclass(frozen=True)
class Column:
    """A column that is understood.

    name: its variable's.  statistic: "max" or "min" of an interval, or "".  height: such as "10m", or "".
    """

    label: Hashable
    name: str
    unit: Unit
    statistic: str = ""
    height: str = ""

    @property
    def variable(self) -> Variable:
        """What is known of its quantity."""
        return VARIABLES[self.name]

    @property
    def aggregate(self) -> str:
        """How several rows become one."""
        own = self.variable.aggregate
        return own if own == "direction" else self.statistic or own

    def bounds(self, days: int = 1) -> tuple[float, float]:
        """What is possible, in its own unit; for sums over so many days."""
        longer = days if self.variable.aggregate == "sum" else 1
        return self.unit.from_standard(self.variable.low), self.unit.from_standard(self.variable.high * longer)

    @property
    def usual(self) -> tuple[float, float]:
        """What is not worth a word, in its own unit."""
        low, high = self.variable.usual
        return self.unit.from_standard(low), self.unit.from_standard(high)

    @property
    def scale(self) -> float:
        """The logarithm's, in its own unit."""
        return self.variable.scale / self.unit.scale


def find_columns(
    labels: Iterable[Hashable], names: Mapping[Hashable, str | None], units: Mapping[Hashable, str]
) -> tuple[dict[Hashable, Column], list[str]]:
    """Give the columns that are understood, and a note on each that is not, and on units that were taken for granted.

    names: variables by label where the label does not say it; None leaves a column alone.  units: by label, as text.

    Example:
        >>> columns, notes = find_columns(["T (degC)", "max. wv (m/s)", "OT"], {}, {})
        >>> [(column.name, column.unit.symbol, column.aggregate) for column in columns.values()]
        [('temperature', '°C', 'mean'), ('wind_speed', 'm/s', 'max')]
        >>> notes
        ["'OT' is no variable of the weather that is known by this name: passed on untouched"]
    """
    columns, notes = {}, []
    for label in labels:
        if label in names and names[label] is None:
            continue
        column, note = _read(label, names.get(label), units.get(label))
        if column is not None:
            columns[label] = column
        if note:
            notes.append(f"{label!r}{note}")
    return columns, notes


def _read(label: Hashable, given: str | None, unit: str | None) -> tuple[Column | None, str]:
    """A column and a note on it; None where its meaning or its unit is unknown."""
    text = label if isinstance(label, str) else ""
    in_label = _BRACKETS.search(text)
    key, height, statistic = _name_in(text[: in_label.start()] if in_label else text)
    written = in_label[1] if in_label and unit is None else unit
    known, custom = _KNOWN.get(f"{key}@{height}") or _KNOWN.get(key) or (None, "")
    name = given or known
    if name is None:
        return None, " is no variable of the weather that is known by this name: passed on untouched"
    if written is None and given is None and len(key) == 1:
        example = f"{label} ({standard_unit(VARIABLES[name].unit).symbol})"
        return None, f": so short a name needs a unit, such as {example!r}: passed on untouched"
    kind = VARIABLES[name].unit
    if written is None and given is None and kind in RATES and re.search(r"(?<![a-z])sum(?![a-z])", text.lower()):
        return None, f": a sum over time is no {name.replace('_', ' ')}: passed on untouched"
    if written is None:
        assumed = (read_unit(custom, kind) if custom and name == known else None) or standard_unit(kind)
        note = f": taken for {assumed.symbol}; pass units={{{label!r}: …}} otherwise"
        return Column(label, name, assumed, statistic, height), note
    found = read_unit(written, kind)
    if found is None:
        return None, f": {written!r} is no unit known for {name.replace('_', ' ')}: passed on untouched"
    note = f": its unit {written!r} lost a letter, and is read as {found.symbol}" if BROKEN in written else ""
    return Column(label, name, found, statistic, height), note


def _name_in(text: str) -> tuple[str, str, str]:
    """A label's letters without height and statistic, the height, and the statistic."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower()
    height = _HEIGHT.search(text.replace("_", " "))
    if height:
        text = text[: height.start()] + " " + text[height.end() :]
    tokens = re.findall(r"[^\W_]+", text)
    if "".join(tokens) in _KNOWN:
        key = "".join(tokens)
        return key, "".join(height.groups()) if height else "", _EXTREMES.get(key, "")
    statistics = [token for token in tokens if token in _STATISTICS]
    key = "".join(token for token in tokens if token not in _STATISTICS)
    statistic = next((_STATISTICS[token] for token in statistics if _STATISTICS[token]), "")
    return key, "".join(height.groups()) if height else "", statistic


def _known_names() -> dict[str, tuple[str, str]]:
    known: dict[str, tuple[str, str]] = {}
    for line in _NAMES.strip().splitlines():
        name, _, spellings = line.partition(": ")
        known[name.replace("_", "")] = (name, "")
        for spelling in spellings.split():
            key, _, custom = spelling.partition("/")
            known[key] = (name, custom)
    return known


_KNOWN = _known_names()


def find_pairs(columns: Mapping[Hashable, Column]) -> dict[Hashable, Hashable]:
    """Give the label of the mean wind speed that belongs to each direction: of the same height, or the only one."""
    directions, speeds = (
        [column for column in columns.values() if column.name == name and not column.statistic]
        for name in ("wind_direction", "wind_speed")
    )
    pairs: dict[Hashable, Hashable] = {}
    for direction in directions:
        same = [speed for speed in speeds if speed.height == direction.height]
        fitting = same if len(same) == 1 else speeds
        if len(fitting) == 1:
            pairs[direction.label] = fitting[0].label
    return pairs
