"""Holes are filled only where it is asked for, and never from later values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.frames.schema import OBSERVED, VALUE, Panel, Roles, check_frame
from hourglass_ts.windows.fill import NEWEST_SEASON, PERSISTENCE, fill_panel, fill_problems, lay_placeholders


def daily(values: list[float], name: str = "a") -> pd.DataFrame:
    return pd.DataFrame({"id": name, "t": pd.date_range("2024-01-01", periods=len(values)), "y": values})


def panel(*frames: pd.DataFrame) -> Panel:
    return check_frame(pd.concat(frames), Roles.from_arguments("t", "y", "id"))


NAN = np.nan
WEEKS = [1.0, 2, 3, NAN, 5, 6, 7, 11, NAN, 13, NAN, 15, 16, 17, 21, NAN, NAN, NAN, 25]


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        ("last", [1, 2, 3, 3, 5, 6, 7, 11, 11, 13, 13, 15, 16, 17, 21, 21, 21, 21, 25]),
        ("seasonal", [1, 2, 3, 3, 5, 6, 7, 11, 2, 13, 13, 15, 16, 17, 21, 2, 13, 13, 25]),
        (0, [1, 2, 3, 0, 5, 6, 7, 11, 0, 13, 0, 15, 16, 17, 21, 0, 0, 0, 25]),
        (-2.5, [1, 2, 3, -2.5, 5, 6, 7, 11, -2.5, 13, -2.5, 15, 16, 17, 21, -2.5, -2.5, -2.5, 25]),
    ],
)
def test_each_way(fill: Any, expected: list[float]) -> None:
    holey = panel(daily(WEEKS))
    filled = fill_panel(holey, fill)
    assert filled.table[VALUE].tolist() == expected
    assert filled.table[OBSERVED].all()
    assert filled.notes[-1] == f"6 missing values filled, as fill={fill!r} asked"
    assert holey.table[VALUE].isna().sum() == 6


def test_none_fills_nothing_and_whole_series_stay_as_they_are() -> None:
    holey, whole = panel(daily(WEEKS)), panel(daily([1.0, 2.0, 3.0]))
    assert fill_panel(holey, None) is holey
    assert fill_panel(whole, "last") is whole


def test_series_do_not_fill_each_other() -> None:
    filled = fill_panel(panel(daily([1.0, 2.0, NAN, 4.0]), daily([9.0, NAN, 7.0], "b")), "seasonal")
    assert filled.table[VALUE].tolist() == [1, 2, 2, 4, 9, 9, 7]


@pytest.mark.parametrize("fill", ["last", "seasonal", 1.0])
def test_later_values_change_no_filling(fill: Any) -> None:
    rng = np.random.default_rng(0)
    values = np.where(rng.random(60) < 0.4, NAN, rng.normal(size=60))
    values[[0, 59]] = 1.0
    before = fill_panel(panel(daily(list(values))), fill).table[VALUE]
    for cut in range(1, 60):
        later = np.where(np.arange(60) < cut, values, rng.normal(size=60) * 1e3)
        after = fill_panel(panel(daily(list(later))), fill).table[VALUE]
        pd.testing.assert_series_equal(before[:cut], after[:cut], check_exact=True)


@pytest.mark.parametrize("fill", ["linear", True, NAN, np.inf, [1.0], ("last",)])
def test_what_is_no_way_is_refused(fill: Any) -> None:
    assert next(str(problem) for problem in fill_problems(fill)).startswith("Found fill=")
    assert all(not fill_problems(way) for way in (None, "last", "seasonal", 0, 1.5, np.float32(2)))


# --- placeholders ----------------------------------------------------------------------------------------------------


def holey(n: int = 60, seed: int = 0) -> list[float]:
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(n) < 0.4, NAN, 5 + rng.gamma(2, 1, n))
    values[[0, n - 1]] = 6.0
    return list(values)


def guesses_by_hand(values: list[float], season: int = 7) -> list[float]:
    """The reference: one value after the other."""
    profile: dict[int, float] = {}
    out, deviation, age, seen = [], NAN, 0, []
    for step, value in enumerate(values):
        expected = profile.get(step % season, NAN)
        if np.isnan(value):
            age += 1
            guess = expected + PERSISTENCE**age * deviation
            out.append(seen[-1] if np.isnan(guess) else min(max(guess, min(seen)), max(seen)))
            continue
        seen.append(value)
        age = 0
        deviation = deviation if np.isnan(expected) else value - expected
        out.append(value)
        profile.setdefault(step % season, value)
        profile[step % season] = ewm_mean(values[step % season : step + 1 : season])
    return out


def ewm_mean(values: list[float]) -> float:
    own = [value for value in values if not np.isnan(value)][::-1]
    weights = [(1 - NEWEST_SEASON) ** place for place in range(len(own))]
    return sum(w * v for w, v in zip(weights, own, strict=True)) / sum(weights)


def test_placeholders_are_what_they_say() -> None:
    values = [holey(60, seed) for seed in (1, 2)]
    laid = lay_placeholders(panel(daily(values[0]), daily([1.0, 2.0, 3.0], "b"), daily(values[1], "c"))).table
    expected = [*guesses_by_hand(values[0]), 1, 2, 3, *guesses_by_hand(values[1])]
    np.testing.assert_allclose(laid[VALUE], expected, rtol=1e-12)
    assert laid[OBSERVED].tolist() == [*~np.isnan(values[0]), True, True, True, *~np.isnan(values[1])]


def test_placeholders_know_nothing_later_to_the_last_bit() -> None:
    values = holey()
    before = lay_placeholders(panel(daily(values))).table[VALUE]
    for cut in range(1, 60):
        later = [*values[:cut], *(1e3 * np.random.default_rng(cut).random(60 - cut))]
        after = lay_placeholders(panel(daily(later))).table[VALUE]
        pd.testing.assert_series_equal(before[:cut], after[:cut], check_exact=True)


def test_without_holes_nothing_is_laid() -> None:
    whole = panel(daily([1.0, 2.0, 3.0]))
    assert lay_placeholders(whole) is whole
