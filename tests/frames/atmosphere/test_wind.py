"""Wind: components against vectors by hand, circular means against complex numbers, and what has no direction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourglass_ts.frames.atmosphere.wind import components, direction_of, from_components, mean_direction

BY_HAND = {  # where it comes from, where it blows to
    0: (0, -1),
    45: (-np.sqrt(0.5), -np.sqrt(0.5)),
    90: (-1, 0),
    180: (0, 1),
    225: (np.sqrt(0.5), np.sqrt(0.5)),
    270: (1, 0),
}


@pytest.mark.parametrize("direction", BY_HAND)
def test_a_wind_blows_to_the_other_side(direction):
    u, v = components(np.array([2.0]), np.array([float(direction)]))
    np.testing.assert_allclose([u[0], v[0]], 2 * np.array(BY_HAND[direction]), atol=1e-12)


@given(st.floats(1e-6, 100), st.floats(0, 360, exclude_max=True))
def test_components_come_back(speed, direction):
    back = from_components(*components(np.array([speed]), np.array([direction])))
    assert back[0][0] == pytest.approx(speed, rel=1e-12)
    apart = abs(back[1][0] - direction)
    assert min(apart, 360 - apart) <= 1e-9 * max(direction, 1e-3)
    assert 0 <= back[1][0] < 360


def test_calm_air_has_components_and_no_direction():
    u, v = components(np.array([0.0, 0.0, np.nan, 1.0]), np.array([np.nan, 90.0, 90.0, np.nan]))
    np.testing.assert_array_equal(u, [0, 0, np.nan, np.nan])
    np.testing.assert_array_equal(v, [0, 0, np.nan, np.nan])
    speed, direction = from_components(u, v)
    np.testing.assert_array_equal(speed, [0, 0, np.nan, np.nan])
    assert np.isnan(direction).all()


@pytest.mark.parametrize(
    ("cosine", "sine", "expected"),
    [(1.0, 0.0, 0.0), (1.0, -0.0, 0.0), (1.0, -1e-20, 0.0), (-1.0, -0.0, 180.0), (0.0, -5.0, 270.0)],
)
def test_directions_lie_from_0_to_below_360(cosine, sine, expected):
    found = direction_of(np.array([cosine]), np.array([sine]))[0]
    assert found == expected
    assert not np.signbit(found)


DIRECTIONS = {
    "around north": ([350.0, 20.0], None, 5.0),
    "not the mean of numbers": ([359.0, 1.0], None, 0.0),
    "by speed": ([0.0, 90.0], [3.0, 3.0], 45.0),
    "the strong wind": ([0.0, 90.0], [1.0, np.sqrt(3)], 60.0),
    "one alone, as it is": ([123.456], None, 123.456),
    "one with wind": ([10.0, 200.0], [0.0, 2.0], 200.0),
    "some missing": ([10.0, np.nan, 30.0], None, 20.0),
    "speed missing": ([10.0, 200.0], [1.0, np.nan], 10.0),
    "opposite": ([0.0, 180.0], None, np.nan),
    "calm": ([10.0, 20.0], [0.0, 0.0], np.nan),
    "nothing": ([np.nan], None, np.nan),
}


@pytest.mark.parametrize("case", DIRECTIONS)
def test_means_of_directions(case):
    directions, speeds, expected = DIRECTIONS[case]
    speed = None if speeds is None else np.array(speeds)
    found = mean_direction(np.array(directions), speed, np.zeros(len(directions), dtype=int), 1)[0]
    apart = abs(found - expected) % 360
    assert np.isnan(found) == np.isnan(expected)
    assert np.isnan(expected) or min(apart, 360 - apart) < 1e-9
    assert len(directions) > 1 or np.isnan(expected) or found == expected


def test_means_by_group_are_those_of_complex_numbers():
    rng = np.random.default_rng(0)
    direction, speed, group = rng.uniform(0, 360, 500), rng.gamma(2, 1, 500), np.sort(rng.integers(0, 20, 500))
    found = mean_direction(direction, speed, group, 20)
    vectors = [np.sum(speed[group == g] * np.exp(1j * np.deg2rad(direction[group == g]))) for g in range(20)]
    np.testing.assert_allclose(found, np.rad2deg(np.angle(vectors)) % 360, atol=1e-9)
