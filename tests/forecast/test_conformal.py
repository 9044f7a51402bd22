"""Conformal intervals, against slow definitions, hand-made calculations and the coverage that they promise."""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from hourglass_ts.errors import DataError, NotFittedError, SettingsError
from hourglass_ts.forecast.baselines import Drift, EWMAWalk, Naive, SeasonalNaive
from hourglass_ts.forecast.conformal import ConformalForecaster
from hourglass_ts.forecast.ensemble import OriginEnsemble
from hourglass_ts.forecast.offsets import OWN_SCORES, STEP, Offsets, Scores, conformal_quantile, in_order

LEVELS = (0.1, 0.5, 0.9)


def walk(n: int, seed: int = 0, spread: float = 1.0) -> np.ndarray:
    return 50 + spread * np.random.default_rng(seed).normal(size=n).cumsum()


def frame_of(*series: np.ndarray) -> pd.DataFrame:
    parts = [pd.DataFrame({"id": f"s{k}", "t": np.arange(len(y)), "y": y}) for k, y in enumerate(series)]
    return pd.concat(parts, ignore_index=True)


def fit(model: Any, df: pd.DataFrame, quantiles: Any = LEVELS, **options: Any) -> ConformalForecaster:
    return ConformalForecaster(model, quantiles, **options).fit(df, time="t", target="y", series="id")


# --- the quantile of scores ------------------------------------------------------------------------------------------


def slow_quantile(scores: list[float], level: float) -> float:
    """By ranks, in exact arithmetic; the median between two ranks."""
    ordered = sorted(score for score in scores if not math.isnan(score))
    exact = Fraction(str(level)) * (len(ordered) + 1)
    ranks = [math.floor(exact), math.ceil(exact)]
    if level != 0.5:
        ranks = [ranks[level > 0.5]] * 2
    inside = [min(max(rank, 1), len(ordered)) for rank in ranks]
    return sum(ordered[rank - 1] for rank in inside) / 2 if ordered else math.nan


@pytest.mark.parametrize("level", [0.025, 0.1, 0.25, 0.3, 0.5, 0.7, 0.9, 0.975, 0.99])
def test_conformal_quantile_is_its_definition(level: float) -> None:
    rng = np.random.default_rng(0)
    for n in range(42):
        scores = rng.normal(size=(n, 2, 3))
        scores[rng.random(scores.shape) < 0.2] = np.nan
        found = conformal_quantile(scores, level)
        expected = [[slow_quantile(scores[:, i, j].tolist(), level) for j in range(3)] for i in range(2)]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("n", [20, 39, 60, 199, 200])
def test_exchangeable_scores_are_covered_as_promised(n: int) -> None:
    """On average over draws, by at most 1 / (n + 1) more on either side, whatever the distribution."""
    draws = 20_000
    luck = np.random.default_rng(n).standard_t(2, size=(n + 1, draws)) ** 3 - 5
    scores, new = luck[:n], luck[n]
    low, high = conformal_quantile(scores, 0.1), conformal_quantile(scores, 0.9)
    error = 3 * math.sqrt(0.1 * 0.9 / draws)
    assert 0.1 - 1 / (n + 1) - error <= (new < low).mean() <= 0.1 + error
    assert 0.1 - 1 / (n + 1) - error <= (new > high).mean() <= 0.1 + error
    assert 0.8 - error <= ((low <= new) & (new <= high)).mean() <= 0.8 + 2 / (n + 1) + error


def test_too_few_scores_give_the_outermost_and_none_nothing() -> None:
    assert conformal_quantile(np.array([3.0, 1.0, 2.0]), 0.99) == 3.0
    assert conformal_quantile(np.array([3.0, 1.0, 2.0]), 0.01) == 1.0
    assert np.isnan(conformal_quantile(np.array([np.nan, np.nan]), 0.9))
    assert np.isnan(conformal_quantile(np.zeros((0, 2)), 0.9)).all()


def test_crossing_quantiles_are_put_in_order() -> None:
    values = np.random.default_rng(0).normal(size=(50, 4))
    found = in_order(values, (0.9, 0.1, 0.5, 0.3))
    np.testing.assert_array_equal(found[:, [1, 3, 2, 0]], np.sort(values, axis=1))


# --- by hand ---------------------------------------------------------------------------------------------------------


def volatility(values: np.ndarray, decay: float = 0.94) -> float:
    """The exponentially weighted mean of absolute changes, weights adding up to one."""
    changes = np.abs(np.diff(values))
    weights = [decay ** (len(changes) - 1 - k) for k in range(len(changes))]
    return float(np.dot(weights, changes) / sum(weights))


def scale_at(y: np.ndarray, origin: int, begin: int, scale: str) -> float:
    static = float(np.abs(np.diff(y[: begin + 1])).mean())
    return static if scale == "series" else max(volatility(y[: origin + 1]), 0.1 * static)


def by_hand(
    y: np.ndarray, n_fit: int, calibration: int, horizon: int, scale: str, adaptive: bool
) -> dict[str, list[float]]:
    """What the naive forecast's conformal quantiles are from the end of `y`, of which `n_fit` values were fitted."""
    end, begin = n_fit - 1, n_fit - 1 - calibration
    found: dict[str, list[float]] = {f"q{level:g}": [] for level in LEVELS}
    for lead in range(1, horizon + 1):
        scores = [(y[o + lead] - y[o]) / scale_at(y, o, begin, scale) for o in range(begin, end) if o + lead <= end]
        offsets = [slow_quantile(scores, level) for level in LEVELS]
        step = 0.1 * float(np.mean(np.abs(np.array(scores) - np.mean(scores))))
        for t in range(end + 1, len(y)) if adaptive else ():
            if t - lead >= end:
                score = (y[t] - y[t - lead]) / scale_at(y, t - lead, begin, scale)
                offsets = [
                    offset + step * (level if score > offset else level - 1)
                    for offset, level in zip(offsets, LEVELS, strict=True)
                ]
        width = scale_at(y, len(y) - 1, begin, scale)
        for name, value in zip(found, sorted(y[-1] + width * offset for offset in offsets), strict=True):
            found[name].append(value)
    return found


@pytest.mark.parametrize("comes_to_rest", [False, True])
@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize("scale", ["series", "volatility"])
def test_one_series_by_hand(scale: str, adaptive: bool, comes_to_rest: bool) -> None:
    """Where a series comes to rest, a tenth of its usual change remains as its volatility."""
    y = walk(160, 3)
    if comes_to_rest:
        y[112:] = y[112]
    model = fit(Naive(3), frame_of(y[:110]), calibration=40, scale=scale, adaptive=adaptive)
    now = model.forecast()
    assert list(now) == ["id", "t", "forecast", "q0.1", "q0.5", "q0.9"]
    for n, found in ((110, now), (111, model.forecast(frame_of(y[:111]))), (160, model.forecast(frame_of(y)))):
        expected = by_hand(y[:n], 110, 40, 3, scale, adaptive)
        assert found["forecast"].tolist() == [y[n - 1]] * 3
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-9)


def test_the_step_is_what_the_hand_took() -> None:
    assert STEP == 0.1


def test_the_models_own_quantiles_are_what_is_corrected() -> None:
    """Conformalised quantile regression for levels that the model gives, split conformal for others."""
    y, levels = walk(200, 4), (0.1, 0.3, 0.9)
    model = fit(EWMAWalk(2, (0.1, 0.5, 0.9)), frame_of(y), levels, calibration=60, scale="series")
    base_model = EWMAWalk(2, (0.1, 0.5, 0.9)).fit(frame_of(y[:140]), time="t", target="y", series="id")
    past = base_model.forecast_from(frame_of(y), list(range(139, 199)))
    past = past[past["t"] < 200].assign(actual=lambda rows: y[rows["t"]])
    now = base_model.forecast(frame_of(y))
    found = model.forecast()
    assert list(found) == ["id", "t", "forecast", "q0.1", "q0.3", "q0.9"]
    for lead in (1, 2):
        rows, ahead = past[past["lead"] == lead], now.iloc[lead - 1]
        corrected = []
        for level, base in ((0.1, "q0.1"), (0.3, "forecast"), (0.9, "q0.9")):
            corrected.append(ahead[base] + slow_quantile((rows["actual"] - rows[base]).tolist(), level))
        np.testing.assert_allclose(found.iloc[lead - 1, -3:].astype(float), sorted(corrected), rtol=1e-9)


def test_check_is_the_second_half_of_the_stretch_with_quantiles_of_its_first() -> None:
    y = walk(140, 5)
    check = fit(Naive(1), frame_of(y), calibration=41, scale="series").check_  # origins 98 to 138, the middle is 118
    assert check["origin"].tolist() == list(range(118, 139))
    scores = [y[origin + 1] - y[origin] for origin in range(98, 118)]  # known by 118
    for level in LEVELS:
        expected = y[118:139] + slow_quantile(scores, level)
        np.testing.assert_allclose(check[f"q{level:g}"], expected, rtol=1e-9)
    np.testing.assert_array_equal(check["actual"], y[119:140])


# --- series together and alone ---------------------------------------------------------------------------------------


def two_sizes(n: int = 300) -> pd.DataFrame:
    """Errors of `s0` are skewed upwards, those of `s1` downwards, and s1 is a hundred times larger."""
    luck = np.random.default_rng(1).exponential(size=(2, n)) - 1
    return frame_of(20 + luck[0].cumsum(), 2000 - 100 * luck[1].cumsum())


def in_scale(model: ConformalForecaster, name: str, scales: np.ndarray) -> np.ndarray:
    """Offsets of the first lead, in mean absolute changes, for both series."""
    first = model.forecast().groupby("id").first()
    return ((first[name] - first["forecast"]) / scales).to_numpy()


@pytest.mark.parametrize(
    ("pooled", "calibration", "is_own"),
    [(True, 150, False), (False, 60, True), (None, OWN_SCORES - 1, False), (None, OWN_SCORES, True)],
    ids=["pooled", "apart", "few scores", "enough scores"],
)
def test_series_have_offsets_of_their_own_or_the_pools(pooled: bool | None, calibration: int, is_own: bool) -> None:
    df = two_sizes()
    model = fit(Naive(1), df, pooled=pooled, calibration=calibration, scale="series")
    parts = [part["y"].to_numpy() for _, part in df.groupby("id")]
    begin = 299 - calibration
    scales = np.array([np.abs(np.diff(y[: begin + 1])).mean() for y in parts])
    scores = [(np.diff(y)[begin:] / scale).tolist() for y, scale in zip(parts, scales, strict=True)]
    assert [len(own) for own in scores] == [calibration] * 2
    assert model.offsets_.is_own.tolist() == [is_own] * 2
    for level in LEVELS:
        pool = [slow_quantile(scores[0] + scores[1], level)] * 2
        own = [slow_quantile(part, level) for part in scores]
        np.testing.assert_allclose(in_scale(model, f"q{level:g}", scales), own if is_own else pool, rtol=1e-8)


def test_a_short_series_gets_the_pools_beside_a_long_one() -> None:
    long, short = walk(400, 1), walk(400, 2)
    holey = np.where(np.arange(400) % 3, np.nan, 3 * short)  # only the third step meets a value
    model = fit(Naive(3), frame_of(long, holey), calibration=200, scale="series")
    assert model.offsets_.is_own.tolist() == [True, False]
    pool = fit(Naive(3), frame_of(long, holey), calibration=200, scale="series", pooled=True).offsets_
    np.testing.assert_array_equal(model.offsets_.values[1], pool.values[1])
    assert not np.allclose(model.offsets_.values[0, 2], pool.values[0, 2])


def tracked_by_hand(offsets: Offsets, table: pd.DataFrame, score: np.ndarray, until: int) -> np.ndarray:
    """Score by score: a series' own offsets move alone, those of the pool together, by the mean of their moves."""
    values, levels = offsets.values.copy(), np.array(offsets.levels)
    for time in sorted(table["time"].unique()):
        if time > until:
            break
        before = values.copy()
        for lead in range(values.shape[1]):
            rows = np.flatnonzero((table["time"] == time) & (table["lead"] == lead + 1))
            moves = {
                table["unit"][row]: offsets.steps[table["unit"][row], lead]
                * np.where(score[row] > before[table["unit"][row], lead], levels, levels - 1)
                for row in rows
            }
            pool = [move for unit, move in moves.items() if not offsets.is_own[unit]]
            for unit in range(len(values)):
                if offsets.is_own[unit] and unit in moves:
                    values[unit, lead] += moves[unit]
                if not offsets.is_own[unit] and pool:
                    values[unit, lead] += np.mean(pool, axis=0)
    return values


@pytest.mark.parametrize("is_own", [(True, True, True), (False, False, False), (True, False, False)])
def test_offsets_follow_as_a_loop_says(is_own: tuple[bool, ...]) -> None:
    rng = np.random.default_rng(6)
    everything = [(u, t, h) for u in range(3) for t in range(30) for h in (1, 2) if rng.random() < 0.8]
    table = pd.DataFrame(everything, columns=["unit", "time", "lead"]).sample(frac=1.0, random_state=0)
    table = table.reset_index(drop=True).assign(origin=0, actual=rng.normal(size=len(table)))
    scores = Scores(table, np.zeros((len(table), 3)), {"series": np.full(len(table), 0.5)}, LEVELS, (3, 2))
    pool = np.repeat(rng.normal(size=(1, 2, 3)), 3, axis=0)
    own = np.array(is_own)[:, None, None]
    offsets = Offsets(
        "series", LEVELS, np.where(own, rng.normal(size=(3, 2, 3)), pool), 0.1 + rng.random((3, 2, 3)), np.array(is_own)
    )
    asked = [(at, unit, lead) for at in (20, -1, 7, 29) for unit in range(3) for lead in (2, 1)]
    at, unit, lead = (np.array(part) for part in zip(*asked, strict=True))
    found = offsets.tracked(scores, at, unit, lead)
    score = table["actual"].to_numpy()[:, None] / 0.5
    for row, (until, u, h) in enumerate(asked):
        expected = tracked_by_hand(offsets, table, score, until)[u, h - 1]
        np.testing.assert_allclose(found[row], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("y", "scale"),
    [
        (np.concatenate([walk(100, k, spread) for k, spread in enumerate((1, 12, 1, 12))]), "volatility"),
        (walk(400, 7), "series"),
    ],
    ids=["calm and wild times", "the same always"],
)
def test_auto_takes_the_scale_that_did_better_on_the_second_half(y: np.ndarray, scale: str) -> None:
    def loss(model: ConformalForecaster) -> float:
        gaps = {level: model.check_["actual"] - model.check_[f"q{level:g}"] for level in LEVELS}
        return float(np.mean([np.where(gap > 0, level * gap, (level - 1) * gap) for level, gap in gaps.items()]))

    models = {
        name: fit(Naive(1), frame_of(y), calibration=150, scale=name) for name in ("auto", "series", "volatility")
    }
    losses = {name: loss(model) for name, model in models.items()}
    assert models["auto"].scale_ == scale == min(("series", "volatility"), key=losses.__getitem__)
    pd.testing.assert_frame_equal(models["auto"].forecast(), models[scale].forecast())


# --- coverage where data drift ---------------------------------------------------------------------------------------


def coverage(model: ConformalForecaster, df: pd.DataFrame, origins: range) -> float:
    found = model.forecast_from(df, list(origins))
    found = found[found["lead"] == 1].merge(df, on=["id", "t"])
    return float(((found["q0.1"] <= found["y"]) & (found["y"] <= found["q0.9"])).mean())


def test_exchangeable_errors_are_covered_from_the_first_day() -> None:
    """Many series of white noise changes: no drift to follow."""
    df = frame_of(*(walk(200, seed) for seed in range(40)))
    model = fit(Naive(1), df[df["t"] < 150], adaptive=False, scale="series")
    assert abs(coverage(model, df, range(149, 199)) - 0.8) < 0.03


def test_coverage_recovers_after_the_volatility_triples() -> None:
    changes = np.random.default_rng(2).normal(size=1000)
    df = frame_of(50 + np.where(np.arange(1000) < 300, changes, 3 * changes).cumsum())
    early = df[df["t"] < 300]
    follows, stays = (fit(Naive(1), early, adaptive=way, scale="series") for way in (True, False))
    late = range(800, 999)
    assert coverage(stays, df, late) < 0.45
    assert abs(coverage(follows, df, late) - 0.8) < 0.05


# --- what it sees ----------------------------------------------------------------------------------------------------


def test_what_comes_after_an_origin_changes_nothing_and_the_cut_frame_says_the_same() -> None:
    df = frame_of(walk(240, 1), walk(240, 2)[:200], walk(240, 3))
    model = fit(SeasonalNaive(3, 7), df[df["t"] < 120], calibration=50)
    origins = [119, 120, 150, 205, 239]
    found = model.forecast_from(df, origins)
    for origin in origins:
        own = found[found["origin"] == origin].drop(columns=["origin", "lead"]).reset_index(drop=True)
        pd.testing.assert_frame_equal(own, model.forecast(df[df["t"] <= origin]), check_exact=True)
        altered = df.assign(y=df["y"].where(df["t"] <= origin, 1e6))
        spoilt = model.forecast_from(altered, [origin]).drop(columns=["origin", "lead"])
        pd.testing.assert_frame_equal(own, spoilt, check_exact=True)
    earlier = model.forecast_from(df.assign(y=df["y"].where(df["t"] != 130, 1e3)), [150])
    assert not np.allclose(earlier["q0.9"], found.loc[found["origin"] == 150, "q0.9"])  # of the past it makes use


SEEN: list[tuple[str, Any]] = []


class Spy:
    """A plain class without a horizon; its forecast's rows are in no order."""

    def fit(self, df: pd.DataFrame, **roles: Any) -> Spy:
        SEEN.append(("fit", df["t"].max()))
        return self

    def forecast(self, df: pd.DataFrame | None = None, *, known: pd.DataFrame | None = None) -> pd.DataFrame:
        assert df is not None
        SEEN.append(("forecast", df["t"].max()))
        last = df.sort_values("t").groupby("id").last().reset_index()
        parts = [last[["id"]].assign(t=last["t"] + lead, forecast=last["y"]) for lead in (2, 1)]
        return pd.concat(parts)


def test_the_model_is_never_fitted_on_the_calibration_stretch() -> None:
    SEEN.clear()
    fit(Spy(), frame_of(walk(100)), calibration=30)
    assert [entry for entry in SEEN if entry[0] == "fit"] == [("fit", 69)]
    assert [time for kind, time in SEEN if kind == "forecast"] == list(range(69, 99))


def test_any_forecaster_will_do_whatever_the_order_of_its_rows() -> None:
    df = frame_of(walk(150, 1), walk(150, 2))
    plain, ours = (fit(model, df[df["t"] < 130], calibration=50) for model in (Spy(), Naive(2)))
    for frame in (None, df):
        found = plain.forecast(frame).sort_values(["id", "t"], ignore_index=True)
        pd.testing.assert_frame_equal(found, ours.forecast(frame), check_exact=True)
    found = plain.forecast_from(df, [135, 140]).sort_values(["origin", "id", "t"], ignore_index=True)
    pd.testing.assert_frame_equal(found[list(ours.forecast_from(df, [140]))], ours.forecast_from(df, [135, 140]))


def test_the_model_that_was_given_stays_as_it_is() -> None:
    given = Naive(2)
    model = fit(given, frame_of(walk(120)))
    assert not hasattr(given, "history_")
    assert model.get_params(deep=False)["model"] is given


# --- shapes, and what cannot be --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_quantiles_never_cross_and_the_point_forecast_stays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = rng.permutation([0.01, 0.05, 0.1, 0.3, 0.5, 0.51, 0.7, 0.9, 0.95, 0.99]).tolist()
    changes = rng.standard_t(1.2, size=(2, 170))
    df = frame_of(*changes.cumsum(axis=1))
    model = [Naive(2), Drift(2), EWMAWalk(2, (0.05, 0.3, 0.95))][seed % 3]
    conformal = fit(model, df[df["t"] < 120], levels, calibration=40, pooled=[None, True, False][seed % 3])
    found = conformal.forecast_from(df, list(range(119, 169, 7)))
    assert list(found)[5:] == [f"q{level:g}" for level in levels]
    ordered = found[[f"q{level:g}" for level in sorted(levels)]].to_numpy()
    assert np.isfinite(ordered).all()
    assert (np.diff(ordered, axis=1) >= 0).all()
    plain = conformal.model_.forecast_from(df, list(range(119, 169, 7)))
    np.testing.assert_array_equal(found["forecast"], plain["forecast"])


def test_a_constant_series_has_no_width() -> None:
    found = fit(Naive(2), frame_of(np.full(100, 7.0))).forecast()
    assert (found[["forecast", "q0.1", "q0.5", "q0.9"]] == 7.0).all(axis=None)


def test_a_history_too_short_to_show_its_frequency_has_that_of_the_fit() -> None:
    times = pd.date_range("2024-01-01", periods=120)
    df = frame_of(walk(120)).assign(t=times)
    model = fit(Naive(2), df)
    assert model.forecast(df.tail(1))["t"].tolist() == list(pd.date_range("2024-04-30", periods=2))
    every_other = df[df.index % 2 == 1]
    assert model.forecast(every_other)["t"].tolist() == list(pd.date_range("2024-04-30", periods=2))


def test_series_that_were_not_fitted() -> None:
    df = frame_of(walk(150, 1), walk(150, 2))
    early = df[(df["t"] < 120) & (df["id"] == "s0")]
    for model in (Spy(), Naive(2)):
        conformal = fit(model, early, calibration=50)
        own = conformal.forecast_from(df[df["id"] == "s0"], [140])
        pd.testing.assert_frame_equal(conformal.forecast_from(df, [140]), own)
        with pytest.raises(DataError, match="fitted"):
            conformal.forecast(df)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantiles": (0.1, 1.0)}, "quantiles="),
        ({"quantiles": (0.1, 0.1)}, "quantiles="),
        ({"quantiles": 0.5}, "quantiles=0.5"),
        ({"calibration": 0}, "calibration=0"),
        ({"calibration": 30.5}, "calibration=30.5"),
        ({"scale": "robust"}, r"scale='robust'; expected one of \('auto', 'volatility', 'series'\)"),
        ({"model": "naive"}, "model='naive'; expected a forecaster with fit and forecast"),
    ],
)
def test_faulty_settings(options: dict[str, Any], message: str) -> None:
    model = ConformalForecaster(**{"model": Naive(1), **options})
    with pytest.raises(SettingsError, match=message):
        model.fit(frame_of(walk(200)), time="t", target="y", series="id")


def test_all_faulty_settings_are_told_at_once() -> None:
    with pytest.raises(SettingsError, match=r"(?s)4 problems.*quantiles=.*calibration=.*scale=.*model="):
        ConformalForecaster(None, (), -1, scale="").fit(frame_of(walk(200)), time="t", target="y", series="id")


@pytest.mark.parametrize(
    ("n", "horizon", "calibration"),
    [(80, 1, None), (100, 6, None), (100, 1, 20), (100, 10, 29), (60, 1, 40)],
    ids=["short", "short for its horizon", "few origins", "few for its horizon", "nothing left to fit on"],
)
def test_too_little_history_is_refused(n: int, horizon: int, calibration: int | None) -> None:
    with pytest.raises(DataError, match=f"found {n} steps of data|Found {n} steps of data"):
        fit(Naive(horizon), frame_of(walk(n)), calibration=calibration)


@pytest.mark.parametrize(
    ("n", "horizon", "calibration"), [(84, 1, None), (104, 6, None), (100, 1, 21), (61, 1, 39)], ids=str
)
def test_just_enough_history(n: int, horizon: int, calibration: int | None) -> None:
    assert len(fit(Naive(horizon), frame_of(walk(n)), calibration=calibration).forecast()) == horizon


LOADED = """
import sys, joblib, pandas as pd
model, df = joblib.load(sys.argv[1])
pd.concat([model.forecast(), model.forecast(df)]).to_pickle(sys.argv[2])
"""


def test_another_process_that_loads_it_forecasts_the_same(tmp_path: Path) -> None:
    df = frame_of(walk(160, 1), walk(160, 2))
    model = fit(EWMAWalk(2), df[df["t"] < 130])
    joblib.dump((model, df), tmp_path / "model")
    subprocess.run([sys.executable, "-c", LOADED, str(tmp_path / "model"), str(tmp_path / "found")], check=True)
    expected = pd.concat([model.forecast(), model.forecast(df)])
    pd.testing.assert_frame_equal(pd.read_pickle(tmp_path / "found"), expected, check_exact=True)


def test_a_series_that_begins_inside_the_stretch_is_left_out() -> None:
    days = pd.date_range("2024-01-01", periods=200)
    values = np.random.default_rng(0).normal(size=200)
    old = pd.DataFrame({"id": "old", "day": days, "y": values})
    late = pd.DataFrame({"id": "late", "day": days[-20:], "y": values[-20:]})
    model = ConformalForecaster(Naive(2), quantiles=(0.1, 0.9))
    model.fit(pd.concat([late, old]), time="day", target="y", series="id")
    alone = ConformalForecaster(Naive(2), quantiles=(0.1, 0.9)).fit(old, time="day", target="y", series="id")
    pd.testing.assert_frame_equal(model.forecast(), alone.forecast())


@pytest.mark.parametrize("wrap", [ConformalForecaster, OriginEnsemble])
def test_fit_comes_first(wrap: Any) -> None:
    with pytest.raises(NotFittedError, match=r"Call fit\(df, \.\.\.\) first"):
        wrap(Naive(2)).forecast()
    with pytest.raises(NotFittedError, match="not fitted"):
        wrap(Naive(2)).forecast_from(pd.DataFrame({"t": [1], "y": [1.0]}), [1])
