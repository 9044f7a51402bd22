"""Checks of settings that forecasters share, and the names of quantile columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from hourglass_ts.errors import Problem


def count_problems(**values: object) -> list[Problem]:
    """One problem for every named value that is not an integer of 1 or more."""
    return [
        Problem(f"{name}={value!r}", "an integer of 1 or more", f"Pass another {name}.")
        for name, value in values.items()
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1
    ]


def quantile_names(levels: Iterable[float]) -> list[str]:
    """The columns of quantile forecasts: 0.1 is `q0.1`."""
    return [f"q{level:g}" for level in levels]


def quantile_problems(quantiles: Any) -> list[Problem]:
    """The problem, if any, of levels that are no different numbers between 0 and 1."""
    levels: list[Any] = list(quantiles) if isinstance(quantiles, (list, tuple, np.ndarray)) else [None]
    inside = all(isinstance(level, (float, np.floating)) and 0 < level < 1 for level in levels)
    if inside and len(set(quantile_names(levels))) == len(levels):
        return []
    return [
        Problem(f"quantiles={quantiles!r}", "different numbers between 0 and 1", "Pass for example (0.1, 0.5, 0.9).")
    ]
