"""Wind: speed and direction as components and back, and the mean of directions, which is no mean of numbers.

A direction says where the wind comes from, in degrees clockwise from north: 90 is an east wind. 0 and 360 are both
north; 0 is written here. Calm air, of speed 0, has no direction.
"""

from __future__ import annotations

import numpy as np


def components(speed: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give u (towards east) and v (towards north) in the unit of the speed; both are 0 in calm air.

    Source: World Meteorological Organization, Guide to Instruments (WMO-No. 8), volume I, chapter 5.

    Example:
        >>> [part.round(6).tolist() for part in components(np.array([2.0, 3.0]), np.array([90.0, 180.0]))]
        [[-2.0, -0.0], [-0.0, 3.0]]
    """
    angle, calm = np.deg2rad(direction), speed == 0
    return np.where(calm, 0.0, -speed * np.sin(angle)), np.where(calm, 0.0, -speed * np.cos(angle))


def from_components(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give speed and direction in degrees, 0 ≤ direction < 360; the direction of calm air is NaN.

    Example:
        >>> [part.tolist() for part in from_components(np.array([-2.0, 0.0]), np.array([0.0, 0.0]))]
        [[2.0, 0.0], [90.0, nan]]
    """
    return np.hypot(u, v), direction_of(-v, -u)


def direction_of(cosine: np.ndarray, sine: np.ndarray) -> np.ndarray:
    """Give the direction in degrees, 0 ≤ direction < 360, of any vector (north, east) that it comes from; NaN of none.

    Example:
        >>> direction_of(np.array([0.0, -1e-20, 0.0]), np.array([-3.0, -0.0, 0.0])).tolist()
        [270.0, 180.0, nan]
    """
    degrees = np.rad2deg(np.arctan2(sine, cosine))
    degrees = np.where(degrees < 0, degrees + 360, degrees)
    degrees = np.where(degrees >= 360, 0.0, degrees)  # a tiny negative angle rounds up to 360
    return np.where((cosine == 0) & (sine == 0), np.nan, degrees + 0.0)


def mean_direction(direction: np.ndarray, speed: np.ndarray | None, groups: np.ndarray, n_groups: int) -> np.ndarray:
    """Give the circular mean (n_groups,) of directions (n,), weighted by the speed (n,) where it is given.

    groups (n,): 0 to n_groups - 1. NaN where nothing is known, the air was calm, or the directions cancel out.
    A single direction comes back as it is.

    Example:
        >>> mean_direction(np.array([350.0, 20.0]), None, np.array([0, 0]), 1).round(6).tolist()
        [5.0]
    """
    weight = np.ones(len(direction)) if speed is None else speed
    seen = ~np.isnan(direction) & ~np.isnan(weight) & (weight > 0)
    groups, direction, weight = groups[seen], direction[seen], weight[seen]
    cosine, sine, total = (
        np.bincount(groups, part, n_groups)
        for part in (weight * np.cos(np.deg2rad(direction)), weight * np.sin(np.deg2rad(direction)), weight)
    )
    mean = direction_of(cosine, sine)
    mean[np.hypot(cosine, sine) < 1e-9 * total] = np.nan
    alone = np.bincount(groups, minlength=n_groups)[groups] == 1
    mean[groups[alone]] = direction[alone]
    return mean
