"""Transforms against scikit-learn's, undone exactly, defined for every series, clipped where they have no inverse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.preprocessing import PowerTransformer, RobustScaler, StandardScaler

from hourglass_ts.windows.normalise import SeriesScaler
from hourglass_ts.windows.transforms import TRANSFORMS

NAMES = list(TRANSFORMS)
POSITIVE = ("log", "box-cox")


def drawn(seed: int = 0, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Positive values of four series, skewed to either side, near and far from 1, with holes."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, n)
    values = np.choose(
        codes, [rng.gamma(2, 3, n), rng.lognormal(size=n), 50 - rng.gamma(2, 1, n), 3 + rng.normal(0, 0.5, n) ** 2]
    )
    return np.where(rng.random(n) < 0.2, np.nan, values), codes


@pytest.mark.parametrize("name", ["yeo-johnson", "box-cox"])
def test_powers_and_values_are_scikit_learns(name: str) -> None:
    values, codes = drawn()
    values = values - np.array([6.0, 3.0, 48.0, 3.5])[codes] if name == "yeo-johnson" else values
    scaler = SeriesScaler.fit(values, codes, 4, name)
    n_inside = 0
    for code in range(4):
        own = values[codes == code][:, None]
        theirs = PowerTransformer(method=name, standardize=True).fit(own)
        inside = 0 < theirs.lambdas_[0] < 2
        n_inside += inside
        if inside:
            assert np.broadcast_to(scaler.power, 4)[code] == pytest.approx(theirs.lambdas_[0], abs=1e-5)
            ours = scaler.transform(own[:, 0], np.full(len(own), code))
            np.testing.assert_allclose(ours, theirs.transform(own)[:, 0], atol=1e-4)
    assert n_inside >= 2
    powers = np.broadcast_to(scaler.power, 4)
    assert (powers >= 0).all()
    assert (powers <= 2).all()
    assert len(set(powers)) == 4


@pytest.mark.parametrize(
    ("name", "theirs"), [("standard", StandardScaler()), ("robust", RobustScaler(unit_variance=True))]
)
def test_scalers_are_scikit_learns(name: str, theirs: object) -> None:
    values, codes = drawn()
    scaled = SeriesScaler.fit(values, codes, 4, None, name).transform(values, codes)
    for code in range(4):
        own = values[codes == code][:, None]
        np.testing.assert_allclose(scaled[codes == code], theirs.fit_transform(own)[:, 0], rtol=1e-9, atol=1e-12)


@given(
    values=arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e6, 1e6)),
    name=st.sampled_from(NAMES),
    scaler_name=st.sampled_from(["standard", "robust", None]),
    unit=st.sampled_from([1e-9, 1.0, 1e9]),
)
@settings(max_examples=300, deadline=None)
def test_what_was_transformed_comes_back(values: np.ndarray, name: str, scaler_name: str, unit: float) -> None:
    values = unit * (np.abs(values) + 1e-3 if name in POSITIVE else np.abs(values) if name == "log1p" else values)
    codes = np.arange(len(values)) % 2
    scaler = SeriesScaler.fit(values, codes, 2, name, scaler_name)
    scaled = scaler.transform(values, codes)
    assert np.isfinite(scaled).all()
    assert not scaler.beyond(scaled, codes).any()
    for code in (0, 1):
        own = values[codes == code]
        back = scaler.invert(scaled[codes == code], codes[codes == code])
        np.testing.assert_allclose(back, own, rtol=1e-9, atol=1e-9 * np.abs(own).max(initial=0.0))


@pytest.mark.parametrize("scaler_name", ["standard", "robust", None])
@pytest.mark.parametrize("name", NAMES)
def test_quantiles_stay_quantiles_and_nothing_is_infinite(name: str, scaler_name: str) -> None:
    values, codes = drawn()
    scaler = SeriesScaler.fit(values, codes, 4, name, scaler_name)
    ladder = np.concatenate([-np.logspace(8, -3, 50), np.logspace(-3, 8, 50)])
    back = scaler.invert(np.tile(ladder, (4, 1)), np.arange(4))
    assert np.isfinite(back).all()
    assert (np.diff(back, axis=1) >= 0).all()
    assert (np.diff(back[:, 48:52], axis=1) > 0).all()


def test_below_box_coxs_range_is_zero_and_told() -> None:
    values, codes = np.array([1.0, 4.0, 9.0, 16.0, 17.0]), np.zeros(5, dtype=int)
    scaler = SeriesScaler(np.zeros(1), np.ones(1), "box-cox", np.array([0.5]), np.array([1.0]))
    np.testing.assert_allclose(scaler.transform(values, codes), 2 * (np.sqrt(values) - 1))
    scaled = np.array([[-2.5, -2.0, -1.0, 4.0]])
    assert scaler.beyond(scaled, codes[:1]).tolist() == [[True, False, False, False]]
    np.testing.assert_allclose(scaler.invert(scaled, codes[:1]), [[0.0, 0.0, 0.25, 9.0]], atol=1e-30)


@pytest.mark.parametrize("name", ["yeo-johnson", "box-cox"])
@pytest.mark.parametrize(
    "values", [[], [np.nan, np.nan], [5.0], [5.0, 5.0, 5.0, 5.0], [0.3, 0.1 + 0.2, 0.3], [1e-30], [1e30] * 3]
)
def test_series_that_show_no_shape_are_not_bent(name: str, values: list[float]) -> None:
    array = np.array(values)
    codes = np.zeros(len(array), dtype=int)
    scaler = SeriesScaler.fit(array, codes, 2, name)
    assert (np.broadcast_to(scaler.power, 2) == 1.0).all()
    assert (scaler.scale > 0).all()
    np.testing.assert_allclose(scaler.invert(scaler.transform(array, codes), codes), array, rtol=1e-9)


def test_a_series_far_from_one_keeps_its_digits() -> None:
    for level in (1e-12, 1e12):
        values = level * np.random.default_rng(0).gamma(2, 1, 200)
        codes = np.zeros(200, dtype=int)
        scaler = SeriesScaler.fit(values, codes, 1, "box-cox")
        np.testing.assert_allclose(scaler.invert(scaler.transform(values, codes), codes), values, rtol=1e-9)
    small = np.array([1.0, 1.0, 1.1, 1.2, 1.1, 1e-9])  # λ = 2 would square the last one away
    scaler = SeriesScaler.fit(small, np.zeros(6, dtype=int), 1, "box-cox")
    back = scaler.invert(scaler.transform(small, np.zeros(6, dtype=int)), np.zeros(6, dtype=int))
    np.testing.assert_allclose(back, small, rtol=1e-9)


def test_wild_values_end_in_finite_numbers() -> None:
    for name in NAMES:
        values = np.array([1.0, 2.0, 1e60, 3.0, 1e-60])
        scaler = SeriesScaler.fit(values, np.zeros(5, dtype=int), 1, name)
        assert np.isfinite(scaler.transform(values, np.zeros(5, dtype=int))).all()
