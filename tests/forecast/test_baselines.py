"""The forecasts that any model must beat, against loops that anyone can check."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from hourglass_ts.errors import DataError, NotFittedError, SettingsError
from hourglass_ts.forecast.baselines import Drift, EWMAWalk, Naive, RidgeFloor, SeasonalNaive
from hourglass_ts.forecast.climatology import Climatology
from hourglass_ts.network.floor import COMMON_STRENGTHS, SERIES_STRENGTHS

holey_values = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=3, max_size=40).filter(
    lambda values: values[0] is not None and values[-1] is not None
)


def frame_of(values: list[Any], **columns: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {"t": np.arange(len(values)), "y": pd.array(values, dtype="Float64").to_numpy(float, na_value=np.nan)}
    )


def seasonal_reference(values: np.ndarray, season: int, horizon: int) -> list[float]:
    """Step by step: the latest observed value a whole number of seasons before, else the last value."""
    forecasts = []
    for ahead in range(1, horizon + 1):
        places = [place for place in range(len(values)) if (len(values) - 1 + ahead - place) % season == 0]
        seen = [values[place] for place in places if not np.isnan(values[place])]
        forecasts.append(seen[-1] if seen else values[-1])
    return forecasts


@given(values=holey_values, horizon=st.integers(1, 12))
@settings(deadline=None, max_examples=40)
def test_naive_is_the_last_value(values: list[Any], horizon: int) -> None:
    forecast = Naive(horizon, freq=1).fit(frame_of(values), time="t", target="y").forecast()
    assert forecast["forecast"].tolist() == [float(values[-1])] * horizon
    assert forecast["t"].tolist() == list(range(len(values), len(values) + horizon))


@given(values=holey_values, season=st.integers(1, 50), horizon=st.integers(1, 12))
@settings(deadline=None, max_examples=60)
def test_seasonal_naive_is_the_last_season_with_its_holes_filled(values: list[Any], season: int, horizon: int) -> None:
    frame = frame_of(values)
    forecast = SeasonalNaive(horizon, season, freq=1).fit(frame, time="t", target="y").forecast()
    assert forecast["forecast"].tolist() == seasonal_reference(frame["y"].to_numpy(), season, horizon)


def test_seasonal_naive_takes_each_series_own_season() -> None:
    hours = pd.DataFrame({"id": "h", "t": pd.date_range("2024-01-01", periods=60, freq="h"), "y": np.arange(60.0)})
    days = pd.DataFrame({"id": "d", "t": pd.date_range("2024-01-01", periods=60), "y": np.arange(60.0)})
    model = SeasonalNaive(2).fit(pd.concat([hours, days]), time="t", target="y", series="id")
    assert model.forecast()["forecast"].tolist() == [60.0 - 7, 61.0 - 7, 60.0 - 24, 61.0 - 24]


def wave(n: int = 80, seed: int = 0) -> np.ndarray:
    return 5 + np.sin(np.arange(n) / 3) + 0.3 * np.random.default_rng(seed).normal(size=n)


def test_ridge_floor_is_the_mean_of_ridge_regressions() -> None:
    """With the ridges and strengths it reports, their solutions in plain numpy."""
    values, context, horizon = wave(400), 16, 2
    model = RidgeFloor(horizon, context).fit(frame_of(list(values)), time="t", target="y")
    (common,), (own,) = model.report_.common_strengths, model.report_.own_strengths.get(0, (np.inf,))
    assert common in COMMON_STRENGTHS
    assert np.isfinite(common)
    assert own in SERIES_STRENGTHS

    scaled = (values - values.mean()) / values.std()
    origins = range(context - 1, len(values) - horizon)
    seen = scaled[: origins[-1] + 1]  # level and unit are those of the rows up to the last origin
    x = np.stack([[*(scaled[o - context + 1 : o] - scaled[o]), scaled[o] - seen.mean()] for o in origins])
    y = np.stack([scaled[o + 1 : o + 1 + horizon] - scaled[o] for o in origins])

    def mean_of_ridges(prior: np.ndarray, strength: float) -> np.ndarray:
        solutions = []
        for ridge in model.report_.ridges:
            read, weights = ridge.weights(context).numpy() > 0, prior.copy()
            penalty = seen.var() * strength * np.diag(1 / ridge.weights(context).numpy()[read] ** 2)
            right = x[:, read].T @ (y - x[:, ~read] @ prior[~read]) + penalty @ prior[read]
            weights[read] = np.linalg.solve(x[:, read].T @ x[:, read] + penalty, right)
            solutions.append(weights)
        return np.mean(solutions, axis=0)

    weights = mean_of_ridges(np.zeros((context, horizon)), common)
    if np.isfinite(own):
        weights = mean_of_ridges(weights, own)
    last = np.array([*(scaled[-context:-1] - scaled[-1]), scaled[-1] - seen.mean()])
    expected = scaled[-1] + last @ weights
    np.testing.assert_allclose(model.forecast()["forecast"], values.mean() + values.std() * expected, rtol=1e-4)


def test_ridge_floor_beats_naive_where_a_line_can() -> None:
    values = 5 + np.sin(np.arange(300) / 3)
    frame = frame_of(list(values[:290]))
    ridge = RidgeFloor(10, 20).fit(frame, time="t", target="y").forecast()["forecast"]
    assert np.abs(ridge - values[290:]).max() < 0.1


def test_ridge_floor_is_naive_on_a_random_walk_and_on_next_to_nothing() -> None:
    for values in (np.random.default_rng(0).normal(size=600).cumsum(), np.array([1.0, 4.0, 2.0]), np.array([3.0, 3.0])):
        forecast = RidgeFloor(2, 12).fit(frame_of(list(values)), time="t", target="y").forecast()
        np.testing.assert_allclose(forecast["forecast"], values[-1], rtol=0.05)


def test_ridge_floor_with_holes_series_and_logarithm() -> None:
    parts = [
        frame_of(list(np.where(np.arange(90) % 11 == 3, np.nan, 10.0**level * wave(90, level)))).assign(id=f"s{level}")
        for level in range(3)
    ]
    model = RidgeFloor(3, 8, transform="log").fit(pd.concat(parts), time="t", target="y", series="id")
    future = model.forecast()
    assert (future["forecast"] > 0).all()
    assert np.isfinite(future["forecast"]).all()
    assert (future.groupby("id")["forecast"].mean() / [1.0, 10.0, 100.0]).between(3, 7).all()
    pd.testing.assert_frame_equal(model.forecast(pd.concat(parts[::-1])), future)
    some = model.forecast(parts[2])
    np.testing.assert_allclose(some["forecast"], future[future["id"] == "s2"]["forecast"], rtol=1e-6)


@pytest.mark.parametrize(
    "model",
    [Naive(2), SeasonalNaive(2, 3), RidgeFloor(2, 5), Drift(2), Climatology(2), EWMAWalk(2, ())],
    ids=lambda model: type(model).__name__,
)
def test_all_of_them_keep_the_protocol(model: Any) -> None:
    frame = pd.concat([frame_of(list(wave(40, seed))).assign(id=seed) for seed in (3, 1)])
    with pytest.raises(NotFittedError):
        type(model)(2).forecast()
    future = model.fit(frame, time="t", target="y", series="id").forecast()
    assert list(future) == ["id", "t", "forecast"]
    assert future["id"].tolist() == [1, 1, 3, 3]
    pd.testing.assert_frame_equal(model.forecast(frame), future)
    pd.testing.assert_frame_equal(model.forecast(horizon=1), future[::2].reset_index(drop=True))
    earlier = model.forecast(frame[frame["t"] < 30])
    spoilt = frame.assign(y=frame["y"].where(frame["t"] < 30, 1e9))
    pd.testing.assert_frame_equal(model.forecast(spoilt[spoilt["t"] < 30]), earlier)
    with pytest.raises(DataError, match="not fitted on"):
        model.forecast(frame.assign(id=7).drop_duplicates("t"))
    with pytest.raises(SettingsError, match="fitted horizon of 2"):
        model.forecast(horizon=3)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Naive(0), "horizon=0"),
        (SeasonalNaive(2, 0), "season=0"),
        (RidgeFloor(2, 0), "context=0"),
        (RidgeFloor(2, 5, validation=-1), "validation=-1"),
        (RidgeFloor(2, 5, transform="sqrt"), "transform='sqrt'"),
        (Drift(0), "horizon=0"),
        (EWMAWalk(2, (0.1, 2.0)), "quantiles="),
        (EWMAWalk(2, decay=1.0), "decay=1.0"),
        (EWMAWalk(2, decay="slow"), "decay='slow'"),
        (EWMAWalk(2, transform="log1p"), "transform='log1p'; expected None or \"log\""),
    ],
)
def test_faulty_settings(model: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        model.fit(frame_of([1.0, 2.0, 3.0]), time="t", target="y")


@pytest.mark.parametrize("model", [RidgeFloor(1, 2, transform="log"), EWMAWalk(1, transform="log")], ids=repr)
def test_a_logarithm_of_zero_is_refused(model: Any) -> None:
    with pytest.raises(DataError, match="0 or less"):
        model.fit(frame_of([1.0, 0.0, 3.0]), time="t", target="y")
    model.fit(frame_of([1.0, 2.0, 3.0]), time="t", target="y")
    with pytest.raises(DataError, match="0 or less"):
        model.forecast(frame_of([1.0, -1.0, 3.0]))


# --- drift, the random walk with volatility, and ridge without a context ---------------------------------------------


@given(values=holey_values, horizon=st.integers(1, 6))
@settings(deadline=None, max_examples=40)
def test_drift_goes_on_from_the_first_value_through_the_last(values: list[Any], horizon: int) -> None:
    forecast = Drift(horizon, freq=1).fit(frame_of(values), time="t", target="y").forecast()
    slope = (values[-1] - values[0]) / (len(values) - 1)  # a hole counts as a step
    expected = [values[-1] + slope * lead for lead in range(1, horizon + 1)]
    np.testing.assert_allclose(forecast["forecast"], expected, rtol=1e-12, atol=1e-9)


def test_drift_of_a_single_row_and_of_several_series() -> None:
    assert Drift(2, freq=1).fit(frame_of([4.0]), time="t", target="y").forecast()["forecast"].tolist() == [4.0, 4.0]
    frame = pd.concat([frame_of([0.0, 1.0, np.nan, 6.0]).assign(id="a"), frame_of([5.0, 3.0]).assign(id="b")])
    found = Drift(2).fit(frame, time="t", target="y", series="id").forecast()
    assert found["forecast"].tolist() == [8.0, 10.0, 1.0, -1.0]


LEVELS = (0.05, 0.5, 0.7, 0.975)


def walk_quantiles(values: np.ndarray, decay: float, horizon: int) -> np.ndarray:
    """RiskMetrics' recursion, change by change; over a hole the change is spread over its steps."""
    seen = np.flatnonzero(~np.isnan(values))
    variance = None
    for before, after in itertools.pairwise(seen):
        square = (values[after] - values[before]) ** 2 / (after - before)
        variance = square if variance is None else decay * variance + (1 - decay) * square
    spread = np.sqrt((variance or 0.0) * np.arange(1, horizon + 1))
    return values[seen[-1]] + spread[:, None] * norm.ppf(LEVELS)


@pytest.mark.parametrize("decay", [0.8, 0.94])
@pytest.mark.parametrize("holes", [0.0, 0.3])
@pytest.mark.parametrize("transform", [None, "log"])
def test_the_walks_volatility_is_riskmetrics_recursion(decay: float, holes: float, transform: str | None) -> None:
    rng = np.random.default_rng(0)
    values = np.exp(5 + 0.02 * rng.normal(size=900).cumsum())
    values[rng.random(900) < holes] = np.nan
    values[[0, -1]] = 100.0, 120.0
    model = EWMAWalk(4, LEVELS, decay, transform).fit(frame_of(list(values)), time="t", target="y")
    found = model.forecast()
    bent = np.log(values) if transform else values
    expected = walk_quantiles(bent, decay, 4)
    names = [f"q{level:g}" for level in LEVELS]
    assert list(found) == ["t", "forecast", *names]
    np.testing.assert_allclose(found[names], np.exp(expected) if transform else expected, rtol=1e-9)
    np.testing.assert_allclose(found["forecast"], 120.0, rtol=1e-12)


def test_the_walk_of_short_and_constant_series_has_no_width() -> None:
    for values in ([3.0], [3.0, 3.0, 3.0]):
        found = EWMAWalk(2, (0.1, 0.9), freq=1).fit(frame_of(values), time="t", target="y").forecast()
        assert (found[["forecast", "q0.1", "q0.9"]] == 3.0).all(axis=None)


def test_the_first_changes_weigh_no_more_than_the_others() -> None:
    """With few changes the recursion would hang on its first; the weights are those of a mean instead."""
    values = np.array([0.0, 10.0, 11.0])
    found = EWMAWalk(1, (0.841344746,), 0.5).fit(frame_of(list(values)), time="t", target="y").forecast()
    assert found.iloc[0, -1] == pytest.approx(11 + np.sqrt((1.0 + 0.5 * 100.0) / 1.5))


@pytest.mark.parametrize(
    ("n", "horizon", "freq", "context"),
    [(400, 3, "h", 100), (800, 3, "h", 192), (400, 3, "D", 56), (400, 40, "D", 80), (40, 3, "D", 10), (5, 3, "D", 1)],
)
def test_ridge_without_a_context_takes_eight_seasons_or_two_horizons_or_a_quarter_of_the_rows(
    n: int, horizon: int, freq: str, context: int
) -> None:
    frame = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=n, freq=freq), "y": wave(n)})
    model = RidgeFloor(horizon).fit(frame, time="t", target="y")
    assert model.context_ == context
    named = RidgeFloor(horizon, context).fit(frame, time="t", target="y")
    pd.testing.assert_frame_equal(model.forecast(), named.forecast())


def test_seasonal_naive_of_a_history_shorter_than_its_season() -> None:
    found = SeasonalNaive(5, 4).fit(frame_of([1.0, 2.0]), time="t", target="y").forecast()
    assert found["forecast"].tolist() == [2.0, 2.0, 1.0, 2.0, 2.0]
