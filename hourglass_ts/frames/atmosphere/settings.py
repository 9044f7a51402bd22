"""What can be wrong with the parameters of a `WeatherPipeline`."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from hourglass_ts.errors import Problem
from hourglass_ts.frames.atmosphere.resampling import AGGREGATES, resample_problems
from hourglass_ts.frames.atmosphere.variables import VARIABLES

CHOICES: dict[str, tuple[Any, ...]] = {
    "faults": ("refuse", "nan"),
    "wind": ("speed", "components"),
    "anomalies": (True, False),
}


def setting_problems(settings: Any) -> list[Problem]:
    """Give every problem of a pipeline's parameters."""
    problems = [
        Problem(f"{name}={getattr(settings, name)!r}", f"one of {choices}", "Pass one of them.")
        for name, choices in CHOICES.items()
        if getattr(settings, name) not in choices
    ]
    problems += _zone_problems(settings.timezone)
    problems += _place_problems(settings.latitude, settings.longitude)
    problems += _dict_problems("columns", settings.columns, (None, *VARIABLES))
    problems += _dict_problems("aggregate", settings.aggregate, AGGREGATES)
    if not isinstance(settings.units, (Mapping, type(None))):
        found, hint = f"units={settings.units!r}", 'Pass for example {"temp": "°C"}.'
        problems.append(Problem(found, "a dict from columns to units", hint))
    problems += _sentinel_problems(settings.sentinels)
    problems += resample_problems(settings.resample)
    if settings.aggregate and settings.resample is None:
        problems.append(Problem("aggregate without resample", "both, or none", 'Pass for example resample="h".'))
    return problems


def label_problems(settings: Any, labels: Collection[Hashable]) -> list[Problem]:
    """Give a problem for every column that the parameters name and a frame lacks."""
    named = {name: getattr(settings, name) for name in ("columns", "units", "aggregate", "sentinels")}
    return [
        Problem(f"{name} for a column that is not there", "one of the frame's columns", "Correct the label.", label)
        for name, given in named.items()
        if isinstance(given, Mapping)
        for label in given
        if label not in labels
    ]


def _zone_problems(zone: Any) -> list[Problem]:
    try:
        known = zone is None or (isinstance(zone, str) and ZoneInfo(zone) is not None)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # the last for names of folders, such as "Europe"
        known = False
    hint = "Pass a name of the IANA data base."
    return [] if known else [Problem(f"timezone={zone!r}", "a zone such as 'Europe/Berlin', or None", hint)]


def _place_problems(latitude: Any, longitude: Any) -> list[Problem]:
    if (latitude is None) != (longitude is None):
        found = "longitude without latitude" if latitude is None else "latitude without longitude"
        return [Problem(found, "both, or none", "Pass the other one, too.")]
    limits = {"latitude": (latitude, 90), "longitude": (longitude, 180)}
    return [
        Problem(f"{name}={value!r}", f"degrees from -{most} to {most}", "Pass it in degrees, north and east positive.")
        for name, (value, most) in limits.items()
        if value is not None and not (_is_number(value) and -most <= value <= most)
    ]


def _dict_problems(name: str, given: Any, choices: Collection[Any]) -> list[Problem]:
    if not isinstance(given, (Mapping, type(None))):
        return [Problem(f"{name}={given!r}", "a dict by column", "Pass a dict.")]
    expected = f"one of {', '.join(map(str, choices))}"
    return [
        Problem(f"{name} says {value!r}", expected, "Name one of them.", column=label)
        for label, value in (given or {}).items()
        if value not in choices
    ]


def _sentinel_problems(sentinels: Any) -> list[Problem]:
    listed = list(sentinels.values()) if isinstance(sentinels, Mapping) else [sentinels]
    fine = all(isinstance(each, (tuple, list)) and all(map(_is_number, each)) for each in listed)
    if sentinels == "auto" or fine:
        return []
    expected = '"auto", a tuple of numbers, or a dict of those by column'
    return [Problem(f"sentinels={sentinels!r}", expected, "Pass for example (-9999,).")]


def _is_number(value: Any) -> bool:
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return number and math.isfinite(value)
