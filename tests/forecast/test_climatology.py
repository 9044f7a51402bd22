"""Climatology: the mean course of year, week and day, against least squares of statsmodels and planted courses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from hourglass_ts.errors import SettingsError
from hourglass_ts.forecast.climatology import Climatology

DAY = 86_400.0
YEAR, WEEK = 365.2425 * DAY, 7 * DAY


def wall_seconds(times: pd.DatetimeIndex) -> np.ndarray:
    """One by one, so that no unit or zone is taken for granted."""
    return np.array([(time.tz_localize(None) - pd.Timestamp("1970-01-01")).total_seconds() for time in times])


def design(clock: np.ndarray, cycles: list[tuple[float, int]]) -> np.ndarray:
    waves = [
        f(2 * np.pi * k * clock / length) for length, n in cycles for k in range(1, n + 1) for f in (np.cos, np.sin)
    ]
    seen = [wave for wave in waves if np.abs(wave).max() > 1e-6]  # a sine at two steps a period is 0 at every step
    return np.column_stack([np.ones(len(clock)), *seen])


def forecast(model: Climatology, times: pd.Index, values: np.ndarray) -> pd.DataFrame:
    return model.fit(pd.DataFrame({"t": times, "y": values}), time="t", target="y").forecast()


@pytest.mark.parametrize("zone", [None, "Europe/Berlin", "America/New_York"])
def test_a_planted_course_of_year_and_day_is_found_again(zone: str | None) -> None:
    """People's days follow the wall clock: over a change to summer time the course must, too."""
    times = pd.date_range("2022-01-01", periods=2 * 8766 + 24 * 80, freq="h", tz=zone)  # the horizon crosses March
    clock = wall_seconds(times)
    day, year = 2 * np.pi * clock / DAY, 2 * np.pi * clock / YEAR
    course = 10 + 3 * np.cos(day - 1) + 0.5 * np.sin(3 * day) + 8 * np.cos(year + 2) + 1.5 * np.sin(3 * year)
    n = len(times) - 24 * 75
    noise = np.random.default_rng(0).normal(size=n)
    exact, noisy = (forecast(Climatology(24 * 75), times[:n], course[:n] + e) for e in (0, noise))
    assert exact["t"].tolist() == times[n:].tolist()
    np.testing.assert_allclose(exact["forecast"], course[n:], atol=1e-6)
    assert np.abs(noisy["forecast"] - course[n:]).max() < 0.25


CASES: dict[str, tuple[pd.DatetimeIndex, list[tuple[float, int]]]] = {
    "hours, three years": (pd.date_range("2020-01-01", periods=3 * 8766, freq="h"), [(YEAR, 3), (WEEK, 3), (DAY, 4)]),
    "hours, three weeks": (pd.date_range("2020-01-01", periods=21 * 24, freq="h"), [(WEEK, 3), (DAY, 4)]),
    "hours, three days": (pd.date_range("2020-01-01", periods=72, freq="h"), [(DAY, 4)]),
    "six hours, three weeks": (pd.date_range("2020-01-01", periods=84, freq="6h"), [(WEEK, 3), (DAY, 2)]),
    "days, three years": (pd.date_range("2020-01-01", periods=1096), [(YEAR, 3), (WEEK, 3)]),
    "days, one year": (pd.date_range("2020-01-01", periods=366), [(WEEK, 3)]),
    "months, three years": (pd.date_range("2020-01-01", periods=36, freq="MS"), [(YEAR, 3)]),
    "quarters, three years": (pd.date_range("2020-01-01", periods=12, freq="QS"), [(YEAR, 2)]),
    "hours, a day and a half": (pd.date_range("2020-01-01", periods=36, freq="h"), []),
    "days, a week and a half": (pd.date_range("2020-01-01", periods=10), []),
    "years": (pd.date_range("1980-01-01", periods=40, freq="YS"), []),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_least_squares_on_the_cycles_that_the_data_show(case: str) -> None:
    times, cycles = CASES[case]
    rng = np.random.default_rng(1)
    values = rng.normal(size=len(times)) + np.arange(len(times)) % 24
    values[rng.random(len(times)) < 0.1] = np.nan
    values[[0, -1]] = 1.0, 2.0
    found = forecast(Climatology(5), times, values)
    fit = sm.OLS(values, design(wall_seconds(times), cycles), missing="drop").fit()
    expected = fit.predict(design(wall_seconds(pd.DatetimeIndex(found["t"])), cycles))
    np.testing.assert_allclose(found["forecast"], expected, rtol=1e-6, atol=1e-8)
    if not cycles:
        np.testing.assert_allclose(found["forecast"], np.nanmean(values))


@pytest.mark.parametrize("season", [2, 5, 12])
def test_a_season_of_integers_is_its_mean_for_every_place(season: int) -> None:
    """With all its harmonics, and whole seasons, least squares gives the means."""
    values = np.random.default_rng(2).normal(size=season * 6)
    found = forecast(Climatology(season, season), pd.Index(np.arange(season * 6) * 10 + 3), values)
    np.testing.assert_allclose(found["forecast"], values.reshape(6, season).mean(axis=0), atol=1e-9)


def test_integers_without_a_season_and_single_rows_have_the_mean() -> None:
    values = np.array([1.0, 5.0, 3.0])
    assert forecast(Climatology(2), pd.Index([1, 2, 3]), values)["forecast"].tolist() == pytest.approx([3.0, 3.0])
    assert forecast(Climatology(2, freq=1), pd.Index([1]), values[1:2])["forecast"].tolist() == pytest.approx([5.0] * 2)


def test_every_series_has_a_course_of_its_own() -> None:
    times = pd.date_range("2024-01-01", periods=60)
    parts = {name: 5 * k + np.roll(np.arange(60) % 7, k).astype(float) for k, name in enumerate("ab")}
    frame = pd.concat([pd.DataFrame({"id": name, "t": times, "y": y}) for name, y in parts.items()])
    model = Climatology(7).fit(frame, time="t", target="y", series="id")
    both = model.forecast()
    for name, y in parts.items():
        own = both[both["id"] == name]["forecast"].to_numpy()
        np.testing.assert_allclose(own, forecast(Climatology(7), times, y)["forecast"])
    some = model.forecast(frame[frame["id"] == "b"])
    pd.testing.assert_frame_equal(some, both[both["id"] == "b"].reset_index(drop=True))


def test_new_rows_move_its_beginning_and_nothing_else() -> None:
    times = pd.date_range("2024-01-01", periods=90)
    frame = pd.DataFrame({"t": times, "y": np.random.default_rng(3).normal(size=90)})
    model = Climatology(10).fit(frame[:60], time="t", target="y")
    far = model.forecast(frame[:64].assign(y=1e9))
    np.testing.assert_array_equal(far["forecast"][:6], model.forecast()["forecast"][4:])
    pd.testing.assert_frame_equal(model.forecast(horizon=3), model.forecast()[:3])


@pytest.mark.parametrize("wrong", [{"horizon": 0}, {"season": 0}, {"season": 1.5}], ids=str)
def test_faulty_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=f"{next(iter(wrong))}="):
        Climatology(**{"horizon": 1, **wrong}).fit(pd.DataFrame({"t": [1, 2], "y": [1.0, 2.0]}), time="t", target="y")
