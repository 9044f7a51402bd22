"""Units of weather variables: how their names are written, and how one becomes another."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import numpy as np

BROKEN = "\ufffd"
"""What stands where a file lost a letter, such as ° or µ."""


@dataclass(frozen=True)
class Unit:
    """A unit by its symbol: standard = value × scale + offset, where the first unit of each kind is the standard."""

    symbol: str
    scale: float = 1.0
    offset: float = 0.0

    def to_standard(self, values: np.ndarray) -> np.ndarray:
        """Give values of this unit in the standard one."""
        return values * self.scale + self.offset

    def from_standard(self, value: float) -> float:
        """Give a value of the standard unit in this one."""
        return (value - self.offset) / self.scale


_INCH, _KNOT, _MILE = 25.4, 1852 / 3600, 1609.344 / 3600
KINDS: dict[str, dict[Unit, str]] = {
    "temperature": {
        Unit("°C"): "degc c celsius",
        Unit("K", 1.0, -273.15): "k kelvin",
        Unit("°F", 5 / 9, -160 / 9): "degf f fahrenheit",
        Unit("0.1 °C", 0.1): "0.1degc 0.1c tenthsofdegc tenthsofdegreesc",
    },
    "pressure": {
        Unit("hPa"): "hpa",
        Unit("mbar"): "mbar mb millibar",
        Unit("kPa", 10.0): "kpa",
        Unit("Pa", 0.01): "pa",
        Unit("mmHg", 1.333224): "mmhg torr",
        Unit("inHg", 33.86389): "inhg",
    },
    "speed": {
        Unit("m/s"): "m/s ms-1 mps",
        Unit("km/h", 1 / 3.6): "km/h kmh kmh-1 kph",
        Unit("kn", _KNOT): "kn kt kts knot knots",
        Unit("mph", _MILE): "mph mp/h mi/h",
        Unit("0.1 m/s", 0.1): "0.1m/s 0.1ms-1 tenthsofm/s",
    },
    "length": {
        Unit("mm"): "mm kg/m2 kgm-2 l/m2",
        Unit("cm", 10.0): "cm",
        Unit("m", 1000.0): "m",
        Unit("in", _INCH): "in inch inches",
        Unit("0.1 mm", 0.1): "0.1mm tenthsofmm",
    },
    "share": {Unit("%"): "% percent pct", Unit("1", 100.0): "1 0-1 fraction", Unit("okta", 12.5): "okta oktas 1/8"},
    "angle": {Unit("°"): "deg degree degrees"},
    "irradiance": {Unit("W/m²"): "w/m2 wm-2", Unit("kW/m²", 1000.0): "kw/m2 kwm-2"},
    "photons": {Unit("µmol/m²/s"): "umol/m2/s umolm-2s-1 umol/(m2s) umol/sm2"},
    "time": {Unit("s"): "s sec second seconds", Unit("min", 60.0): "min minute minutes", Unit("h", 3600.0): "h hours"},
    "mass share": {Unit("g/kg"): "g/kg gkg-1", Unit("kg/kg", 1000.0): "kg/kg kgkg-1"},
    "molar share": {Unit("mmol/mol"): "mmol/mol mmolmol-1", Unit("mol/mol", 1000.0): "mol/mol molmol-1"},
    "density": {Unit("kg/m³"): "kg/m3 kgm-3", Unit("g/m³", 0.001): "g/m3 gm-3"},
}


def standard_unit(kind: str) -> Unit:
    """Give the unit in which bounds of this kind are written."""
    return next(iter(KINDS[kind]))


def read_unit(text: str, kind: str) -> Unit | None:
    """Give the unit of this kind that a text means; None where it means none.

    Letters that a file lost match any: "W/m\ufffd" is W/m².

    Example:
        >>> [read_unit(text, "temperature").symbol for text in ("degC", "Kelvin", "\\ufffdF")]
        ['°C', 'K', '°F']
    """
    pattern = ".{1,3}".join(re.escape(part) for part in _plain(text).split(BROKEN))
    for unit, spellings in KINDS[kind].items():
        if any(re.fullmatch(pattern, spelling) for spelling in (_plain(unit.symbol), *spellings.split())):
            return unit
    return None


def _plain(text: str) -> str:
    """The text with one way to write powers, micro, degrees and minus, and without blanks."""
    plain = unicodedata.normalize("NFKC", text.replace("Â", "").replace("º", "°")).lower()
    for old, new in (("µ", "u"), ("μ", "u"), ("°", "deg"), ("−", "-"), ("**", ""), ("^", "")):
        plain = plain.replace(old, new)
    return re.sub(r"[\s*·⋅_]", "", plain)
