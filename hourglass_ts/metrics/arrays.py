"""What all scores do with their numbers: one shape, complete pairs, weights, and division without infinities.

Common to all scores:

- arrays (or Series, frames, lists) of one shape are compared position by position, whatever their index;
- a pair in which a side or the weight is NaN is left out, and so is a pair of weight 0;
- a score with nothing to compare, or with a zero denominator, is NaN: never an infinity, never a warning;
- text, infinite numbers, unequal shapes and negative weights are errors.
"""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problems

Floats = NDArray[np.float64]
NAN = float("nan")
LARGEST = 1e140  # larger numbers, squared and added up, leave the range of a float
LARGEST_QUOTIENT = LARGEST**2
NOT_NUMBERS = "cmM"  # numpy would drop an imaginary part, and count a time in units of its own


def complete(weights: ArrayLike | None, wide: str = "", /, **columns: ArrayLike) -> tuple[list[Floats], Floats | None]:
    """All arrays, and the weights, at the places where none is NaN and no weight is 0; flat, in their order.

    The array named `wide` has one axis more than the others, its last, and keeps it.

    Raises:
        DataError: an array is not of numbers, holds an infinity or has another shape, or a weight is negative.

    Example:
        >>> complete([1.0, 0.0, 2.0], actual=[1.0, 2.0, float("nan")], forecast=[4.0, 5.0, 6.0])
        ([array([1.]), array([4.])], array([1.]))
    """
    if weights is None:
        arrays = aligned(wide, **columns)
        kept = ~missing(arrays, wide)
        return [array[kept] for array in arrays.values()], None
    arrays = aligned(wide, **columns, weights=weights)
    kept = ~missing(arrays, wide) & (arrays["weights"] != 0.0)
    check_no_negative(weights=arrays["weights"])
    weight = arrays.pop("weights")[kept]
    return [array[kept] for array in arrays.values()], weight


def aligned(wide: str = "", /, **columns: ArrayLike) -> dict[str, Floats]:
    """All arrays as floats of one shape, by name; `wide` as in `complete`.

    Shapes must be equal: numpy would stretch (n,) against (n, 1) to n × n and score that.

    Raises:
        DataError: an array is not of numbers, holds an infinity or has another shape.
    """
    arrays: dict[str, Floats] = {}
    problems = []
    for name, values in columns.items():
        try:
            arrays[name] = _floats(values)
        except (TypeError, ValueError, RuntimeError) as error:
            problems.append(Problem(f"{name} that is not numeric ({error})", "numbers", "Convert it before scoring."))
    problems += [
        Problem(
            f"{name} with the value {array[np.abs(array) > LARGEST][0]:g}",
            f"finite numbers, no larger than {LARGEST:g}",
            "Mark gaps with NaN.",
        )
        for name, array in arrays.items()
        if (np.abs(array) > LARGEST).any()
    ]
    raise_problems(DataError, [*problems, *_shape_problems(arrays, wide)])
    return arrays


def missing(arrays: dict[str, Floats], wide: str = "") -> NDArray[np.bool_]:
    """Where any of the arrays is NaN; an array with one axis more, `wide`, where any along its last axis is."""
    gaps = [np.isnan(array).any(axis=-1) if name == wide else np.isnan(array) for name, array in arrays.items()]
    return np.logical_or.reduce(gaps)


def average(values: Floats, weights: Floats | None = None) -> float:
    """The mean, weighted where weights are given; NaN of nothing.

    Example:
        >>> average(np.array([1.0, 4.0]), np.array([2.0, 1.0]))
        2.0
    """
    if not values.size:
        return NAN
    if weights is None:
        return float(np.mean(values))
    shares = weights / weights.max()  # sizes of weights are free, and their products must not overflow
    return float(np.sum(shares * values) / np.sum(shares))


def quotient(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """The quotients; NaN where the denominator is 0, or so small that the quotients have no mean within range.

    Example:
        >>> quotient([6.0, 1.0, 0.0], [3.0, 0.0, 0.0])
        array([ 2., nan, nan])
    """
    with np.errstate(all="ignore"):
        result = np.divide(numerator, denominator)
    return np.where(np.abs(result) <= LARGEST_QUOTIENT, result, NAN)


def ratio(numerator: float, denominator: float) -> float:
    """The quotient of two numbers, NaN as `quotient` is."""
    return float(quotient(numerator, denominator))


def check_no_negative(**arrays: Floats) -> None:
    """Raise DataError when one of the named arrays holds a number below 0."""
    raise_problems(
        DataError,
        [
            Problem(f"{name} with the value {array[array < 0.0][0]:g}", "0 or more", "Change it before scoring.")
            for name, array in arrays.items()
            if (array < 0.0).any()
        ],
    )


def check_shares(**settings: object) -> None:
    """Raise SettingsError unless every named setting is a number between 0 and 1, these two left out."""
    wrong = [(name, value) for name, value in settings.items() if not _is_share(value)]
    _refuse(wrong, "a level between 0 and 1", "Pass 0.9 for 90 %.")


def check_counts(least: int = 1, /, **settings: object) -> None:
    """Raise SettingsError unless every named setting is a whole number of `least` or more."""
    wrong = [(name, value) for name, value in settings.items() if not _is_count(value, least)]
    _refuse(wrong, f"a whole number, {least} or more", "Change it.")


def _refuse(wrong: list[tuple[str, object]], expected: str, next_step: str) -> None:
    raise_problems(SettingsError, [Problem(f"{name}={value!r}", expected, next_step) for name, value in wrong])


def _is_share(value: object) -> bool:
    return isinstance(value, Real) and 0.0 < float(value) < 1.0


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def _floats(values: ArrayLike) -> Floats:
    if isinstance(values, np.ma.MaskedArray):  # numpy would score what lies under the mask
        return np.asarray(np.ma.filled(values.astype(np.float64), NAN))
    kind = np.asarray(values).dtype
    if kind.kind in NOT_NUMBERS:
        raise TypeError(f"it is of {kind}")
    return np.asarray(values, dtype=np.float64)


def _shape_problems(arrays: dict[str, Floats], wide: str) -> list[Problem]:
    shapes = {name: array.shape for name, array in arrays.items()}
    compared = {shape[:-1] if name == wide and shape else shape for name, shape in shapes.items()}
    no_axis = wide in shapes and 0 in shapes[wide][-1:]
    if len(compared) <= 1 and not (wide in shapes and not shapes[wide]) and not no_axis:
        return []
    found = ", ".join(f"{name} of shape {shape}" for name, shape in shapes.items())
    expected = f"equal shapes, and for {wide} one axis more, its last, not empty" if wide else "equal shapes"
    return [Problem(found, expected, "Align them before scoring.")]
