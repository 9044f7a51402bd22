"""Scaling series: statistics of their own, undone exactly."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.frames.schema import Roles, check_frame
from hourglass_ts.windows.normalise import SeriesScaler, check_transform

ONE = np.zeros(1, dtype=int)


@given(
    values=arrays.arrays(np.float64, st.integers(2, 30), elements=st.floats(-1e12, 1e12)),
    n_series=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_what_was_scaled_comes_back(values: np.ndarray, n_series: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, n_series, len(values))
    scaler = SeriesScaler.fit(values, codes, n_series)
    scaled = scaler.transform(values, codes)
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(scaler.invert(scaled, codes), values, rtol=1e-9, atol=1e-9 * np.abs(values).max())


@given(arrays.arrays(np.float64, st.integers(2, 30), elements=st.floats(1e-6, 1e6)))
@settings(deadline=None)
def test_logarithms_come_back(values: np.ndarray) -> None:
    codes = np.zeros(len(values), dtype=int)
    scaler = SeriesScaler.fit(values, codes, 1, "log")
    np.testing.assert_allclose(scaler.invert(scaler.transform(values, codes), codes), values, rtol=1e-9)


def test_each_series_has_mean_zero_and_deviation_one() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, 500)
    values = np.array([0.0, 1e9, -5.0])[codes] + np.array([1e-9, 3.0, 1e6])[codes] * rng.normal(size=500)
    scaled = SeriesScaler.fit(values, codes, 3).transform(values, codes)
    for code in range(3):
        own = scaled[codes == code]
        assert np.isclose(own.mean(), 0, atol=1e-6)
        assert np.isclose(own.std(), 1, atol=1e-6)


def test_statistics_are_pandas() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"id": rng.integers(0, 5, 200), "y": rng.normal(3, 2, 200)})
    frame.loc[rng.random(200) < 0.3, "y"] = np.nan
    scaler = SeriesScaler.fit(frame["y"].to_numpy(), frame["id"].to_numpy(), 5)
    groups = frame.groupby("id")["y"]
    np.testing.assert_allclose(scaler.centre, groups.mean())
    np.testing.assert_allclose(scaler.scale, groups.std(ddof=0))


@pytest.mark.parametrize(
    ("values", "centre", "scale"),
    [
        ([0.0, 0.0], 0.0, 1.0),
        ([np.nan, np.nan], 0.0, 1.0),
        ([], 0.0, 1.0),
        ([0.1] * 1001, 0.1, 0.1),
        ([-7.0], -7.0, 7.0),
        ([0.3, 0.1 + 0.2], 0.3, 0.3),  # rounding is no spread
        ([1e9, 1e9 + 0.002], 1e9 + 0.001, 0.001),
        ([2e-30, 4e-30], 3e-30, 1e-30),
    ],
)
def test_constants_and_odd_series(values: list[float], centre: float, scale: float) -> None:
    array = np.array(values, dtype=np.float64)
    scaler = SeriesScaler.fit(array, np.zeros(len(array), dtype=int), 1)
    assert np.isclose(scaler.centre[0], centre, rtol=1e-12, atol=0)
    assert np.isclose(scaler.scale[0], scale, rtol=1e-3, atol=0)


def test_a_constant_logarithm_has_scale_one() -> None:
    assert SeriesScaler.fit(np.full(5, 100.0), np.zeros(5, dtype=int), 1, "log").scale[0] == 1.0


def test_a_series_that_was_not_seen_is_left_as_it_is() -> None:
    scaler = SeriesScaler.fit(np.array([5.0, 7.0]), np.array([1, 1]), 3)
    np.testing.assert_array_equal(scaler.transform(np.array([4.0]), ONE), [4.0])
    np.testing.assert_array_equal(scaler.invert(np.array([[4.0, 1.0]]), ONE), [[4.0, 1.0]])


def test_rows_of_forecasts_are_undone_by_their_own_series() -> None:
    scaler = SeriesScaler(np.array([0.0, 10.0]), np.array([1.0, 2.0]))
    undone = scaler.invert(np.ones((2, 3, 4)), np.array([1, 0]))
    assert undone.shape == (2, 3, 4)
    assert (undone[0] == 12.0).all()
    assert (undone[1] == 1.0).all()


def test_a_log_of_nothing_positive_names_the_place() -> None:
    frame = pd.DataFrame({"id": ["a", "a", "b", "b"], "t": [1, 2, 1, 2], "y": [1.0, 2.0, 3.0, -4.0]})
    panel = check_frame(frame, Roles.from_arguments("t", "y", "id"))
    check_transform(panel, None)
    with pytest.raises(DataError, match=r"column 'y', first at 2: found 1 values of 0 or less, first in series 'b'"):
        check_transform(panel, "log")
    with pytest.raises(SettingsError, match=r"transform='root'.*log"):
        check_transform(panel, "root")
