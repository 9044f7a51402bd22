"""What holds for all scores alike: gaps, weights, shapes, containers, and numbers that are none."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.metrics import arrays, points, probabilistic

NAN = float("nan")
N = 12


@dataclass(frozen=True)
class Score:
    function: Any
    names: tuple[str, ...] = ("actual", "forecast")
    wide: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    def columns(self, seed=0):
        rng = np.random.default_rng(seed)
        drawn = {name: rng.uniform(0.5, 5.0, size=(N, 3) if name == self.wide else N) for name in self.names}
        if "probability" in drawn:
            drawn = {"actual": (drawn["actual"] > 2.0).astype(float), "probability": drawn["probability"] / 5.0}
        return drawn

    def __call__(self, columns, **weights):
        return self.function(**columns, **self.settings, **weights)


HISTORY = {"history": [1.0, 4.0, 2.0, 7.0, NAN, 3.0], "season": 2}
LEVELS = {"levels": [0.1, 0.5, 0.9]}
INTERVAL = ("actual", "lower", "upper")
SCORES = {
    "mae": Score(points.mae),
    "mse": Score(points.mse),
    "rmse": Score(points.rmse),
    "bias": Score(points.bias),
    "mape": Score(points.mape),
    "smape": Score(points.smape),
    "mase": Score(points.mase, settings=HISTORY),
    "rmsse": Score(points.rmsse, settings=HISTORY),
    "qlike": Score(points.qlike, ("realised_variance", "variance")),
    "pinball": Score(probabilistic.pinball, settings={"quantile": 0.3}),
    "weighted_quantile_loss": Score(
        probabilistic.weighted_quantile_loss, ("actual", "forecasts"), "forecasts", settings=LEVELS
    ),
    "crps_quantiles": Score(probabilistic.crps_quantiles, ("actual", "forecasts"), "forecasts", settings=LEVELS),
    "crps_ensemble": Score(probabilistic.crps_ensemble, ("actual", "samples"), "samples"),
    "crps_normal": Score(probabilistic.crps_normal, ("actual", "mean", "deviation")),
    "interval_score": Score(probabilistic.interval_score, INTERVAL, settings={"level": 0.8}),
    "coverage": Score(probabilistic.coverage, INTERVAL),
    "brier": Score(probabilistic.brier, ("actual", "probability")),
    "brier_skill": Score(probabilistic.brier_skill, ("actual", "probability")),
}
EVERY_SCORE = pytest.mark.parametrize("score", SCORES.values(), ids=SCORES.keys())
COLUMNS = [(score, name) for score in SCORES.values() for name in score.names]
EVERY_COLUMN = pytest.mark.parametrize(
    ("score", "name"), COLUMNS, ids=[f"{score.function.__name__} {name}" for score, name in COLUMNS]
)


def only(columns, kept):
    return {name: values[kept] for name, values in columns.items()}


def with_value(columns, name, place, value):
    changed = columns[name].copy()
    changed[place] = value
    return columns | {name: changed}


def test_every_score_is_in_the_table():
    public = {
        name
        for module in (points, probabilistic)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }
    assert public - set(SCORES) == {"owa", "seasonal_naive_mae", "seasonal_naive_mse", "pit_quantiles", "pit_ensemble"}


@EVERY_SCORE
def test_equal_weights_are_no_weights(score):
    columns = score.columns()
    assert score(columns, weights=np.full(N, 1e-300)) == pytest.approx(score(columns), rel=1e-12)


@EVERY_SCORE
def test_whole_weights_are_repetitions(score):
    columns, counts = score.columns(), np.random.default_rng(1).integers(0, 4, size=N)
    repeated = {name: np.repeat(values, counts, axis=0) for name, values in columns.items()}
    weighted = score(columns, weights=counts)
    assert weighted == pytest.approx(score(repeated), rel=1e-12)
    assert weighted != pytest.approx(score(columns), rel=1e-6)


@EVERY_SCORE
@pytest.mark.parametrize("absent", [0.0, NAN], ids=["weight 0", "weight NaN"])
def test_a_pair_without_weight_is_left_out(score, absent):
    columns, weights = score.columns(), np.random.default_rng(2).uniform(1.0, 2.0, size=N)
    # Even one that, counted, would make the score undefined.
    emptied = with_value(columns, score.names[0], 3, 0.0)
    weights[3] = absent
    kept = np.arange(N) != 3
    assert score(emptied, weights=weights) == pytest.approx(score(only(columns, kept), weights=weights[kept]))


@EVERY_SCORE
@pytest.mark.parametrize("weights", [np.zeros(N), np.full(N, NAN)], ids=["all 0", "all NaN"])
def test_no_weight_at_all_is_nan(score, weights):
    assert math.isnan(score(score.columns(), weights=weights))


@EVERY_COLUMN
def test_a_pair_with_a_gap_is_left_out(score, name):
    columns, kept = score.columns(), np.arange(N) != 4
    place = (4, 1) if name == score.wide else 4
    assert score(with_value(columns, name, place, NAN)) == score(only(columns, kept))


@EVERY_SCORE
def test_nothing_to_compare_is_nan(score):
    columns = score.columns()
    assert math.isnan(score(only(columns, slice(0))))
    assert math.isnan(score(columns | {score.names[0]: np.full(N, NAN)}))
    assert math.isnan(score(only(columns, slice(0)), weights=[]))


@EVERY_SCORE
def test_one_pair_has_a_score_unless_it_needs_two_classes(score):
    value = score(only(score.columns(), slice(1)))
    assert math.isnan(value) == (score.function is probabilistic.brier_skill)
    assert isinstance(value, float)


@EVERY_COLUMN
@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e200], ids=["inf", "-inf", "too large"])
def test_an_infinite_value_is_named(score, name, value):
    place = (4, 1) if name == score.wide else 4
    with pytest.raises(DataError, match=rf"{name} with the value {value:g}".replace("+", r"\+")):
        score(with_value(score.columns(), name, place, value))


@EVERY_SCORE
def test_wrong_weights_are_named(score):
    columns = score.columns()
    for weights, message in [
        (np.append(np.ones(N - 1), -1.0), "weights with the value -1"),
        (np.append(np.ones(N - 1), np.inf), "weights with the value inf"),
        (np.ones(N - 1), rf"weights of shape \({N - 1},\)"),
        (["a"] * N, "weights that is not numeric"),
    ]:
        with pytest.raises(DataError, match=message):
            score(columns, weights=weights)


@EVERY_SCORE
def test_shapes_are_not_stretched(score):
    columns = score.columns()
    last = score.names[-1]
    with pytest.raises(DataError, match=rf"{last} of shape"):
        score(columns | {last: columns[last][..., np.newaxis]})
    with pytest.raises(DataError, match=rf"{last} of shape"):
        score(columns | {last: columns[last][:-1]})


@EVERY_SCORE
def test_more_axes_score_over_all_values(score):
    columns = score.columns()
    folded = {name: values.reshape(3, 4, *values.shape[1:]) for name, values in columns.items()}
    assert score(folded) == score(columns)
    weights = np.arange(N)
    assert score(folded, weights=weights.reshape(3, 4)) == score(columns, weights=weights)


@EVERY_SCORE
def test_inputs_are_not_changed(score):
    columns, weights = score.columns(), np.arange(float(N))
    before = {name: values.copy() for name, values in columns.items()}
    score(columns, weights=weights)
    for name, values in before.items():
        np.testing.assert_array_equal(columns[name], values)
    np.testing.assert_array_equal(weights, np.arange(float(N)))


@EVERY_SCORE
@pytest.mark.parametrize("container", [list, tuple, pd.Series, torch.tensor], ids=lambda kind: kind.__name__)
def test_every_container_gives_the_same_score(score, container):
    columns = score.columns()
    held = {
        name: pd.DataFrame(values) if container is pd.Series and values.ndim == 2 else container(values.tolist())
        for name, values in columns.items()
    }
    assert score(held) == pytest.approx(score(columns), rel=1e-6)  # tensors are in single precision


def test_pandas_missing_values_are_left_out():
    actual = pd.Series([1, None, 3], dtype="Int64")
    assert points.mae(actual, pd.Series([2.0, 2.0, 5.0])) == 1.5


def test_masked_values_are_left_out():
    actual = np.ma.masked_array([1.0, 1e6, 3.0], mask=[False, True, False])
    assert points.mae(actual, [2.0, 2.0, 5.0]) == 1.5


def test_position_counts_not_the_index():
    actual = pd.Series([1.0, 2.0], index=[0, 1])
    assert points.mae(actual, pd.Series([1.0, 2.0], index=[1, 0])) == 0.0


NOT_NUMBERS = {
    "text": ["a", "b"],
    "complex": np.array([1.0, 2.0j]),
    "times": pd.to_datetime(["2020-01-01", "2020-01-02"]),
    "spans": pd.to_timedelta(["1 h", "2 h"]),
    "ragged": [[1.0], [1.0, 2.0]],
    "tensor with a gradient": torch.ones(2, requires_grad=True),
}


@pytest.mark.parametrize("values", NOT_NUMBERS.values(), ids=NOT_NUMBERS.keys())
def test_what_is_no_number_is_named(values):
    with pytest.raises(DataError, match="forecast that is not numeric"):
        points.mae([1.0, 2.0], values)


def test_all_problems_come_at_once():
    with pytest.raises(DataError, match="2 problems") as caught:
        points.mae(["a"], [math.inf])
    assert "actual that is not numeric" in str(caught.value)
    assert "forecast with the value inf" in str(caught.value)


def test_large_numbers_neither_overflow_nor_warn():
    large, small = np.full(1_000, 1e140), np.full(1_000, 1e-300)
    assert points.mse(large, -large) == pytest.approx(4e280)
    assert points.mse(small, large, weights=large) == pytest.approx(1e280)
    assert math.isnan(points.mape(small, large))
    assert math.isnan(points.qlike(large, small))


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(6.0, 3.0, 2.0), (1.0, 0.0, NAN), (0.0, 0.0, NAN), (1.0, 1e-310, NAN), (NAN, 1.0, NAN), (1.0, NAN, NAN)],
)
def test_a_ratio_is_finite_or_nan(numerator, denominator, expected):
    assert arrays.ratio(numerator, denominator) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2", None], ids=repr)
def test_counts_are_whole_numbers(count):
    with pytest.raises(SettingsError, match="season="):
        arrays.check_counts(season=count)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 90, NAN, "0.9", None], ids=repr)
def test_shares_lie_between_0_and_1(share):
    with pytest.raises(SettingsError, match="level="):
        arrays.check_shares(level=share)


def test_settings_of_numpy_are_settings():
    arrays.check_counts(season=np.int64(1))
    arrays.check_counts(0, seed=0)
    arrays.check_shares(level=np.float64(0.5))
