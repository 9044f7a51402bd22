"""A fitted model goes on: with more training on other rows, and on series that it never saw."""

from __future__ import annotations

import subprocess
import sys
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.forecast.baselines import Naive
from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.windows.encode import UNKNOWN

ROLES: dict[str, Any] = {"time": "day", "target": "y", "series": "id"}
NUMBERS = ["forecast", "q0.1", "q0.5", "q0.9"]
NEW = "were not fitted"


def forecaster(horizon: int = 3, context: int | None = 14, **changes: Any) -> HourGlassForecaster:
    tiny = {"max_epochs": 1, "steps_per_epoch": 3, "d_model": 16, "n_heads": 2, "d_ff": 16, "progress": False}
    return HourGlassForecaster(horizon, context, accelerator="cpu", **{**tiny, **changes})


def wave(n: int, seed: int, level: float = 0.0, size: float = 1.0) -> np.ndarray:
    noise = 0.1 * np.random.default_rng(seed).normal(size=n)
    return level + size * (np.sin(2 * np.pi * (np.arange(n) + 3 * seed) / 7) + noise)


def shop(name: str, n: int = 100, seed: int = 0, **changes: Any) -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=n)
    return pd.DataFrame({"id": name, "day": days, "y": wave(n, seed, level=10.0 * seed)} | changes)


def shops(*names: str, n: int = 100) -> pd.DataFrame:
    return pd.concat([shop(name, n, seed) for seed, name in enumerate(names)], ignore_index=True)


@pytest.fixture(scope="module")
def model() -> HourGlassForecaster:
    """Fitted on a and b; tests only ask it for forecasts."""
    return forecaster(max_epochs=2).fit(shops("a", "b"), **ROLES)


def weights(model: HourGlassForecaster) -> torch.Tensor:
    return torch.cat([weight.flatten() for weight in model.trained_.model.network.state_dict().values()])


def of(forecast: pd.DataFrame, name: str) -> pd.DataFrame:
    return forecast[forecast["id"] == name].reset_index(drop=True)


# --- going on with training ------------------------------------------------------------------------------------------


def test_without_a_fit_a_warm_start_is_a_first_fit(model: HourGlassForecaster) -> None:
    first = forecaster(max_epochs=2).fit(shops("a", "b"), **ROLES, warm_start=True)
    pd.testing.assert_frame_equal(first.forecast(), model.forecast(), check_exact=True)


def test_it_goes_on_from_the_weights_and_fits_the_rest_anew() -> None:
    """With steps that move nothing, the network is the old one; floor, scales and series are the new data's."""
    model = forecaster(max_epochs=3, steps_per_epoch=10).fit(shops("a", "b"), **ROLES)
    before, scaler = weights(model), model.trained_.encoder.scaler
    common = model.trained_.model.floors[0].common.clone()
    model.set_params(learning_rate=1e-12, max_epochs=1, seed=5)
    more = pd.concat([shops("a", n=130), shop("c", 110, seed=4, y=wave(110, 4, 500.0, 20.0))])
    model.fit(more, **ROLES, warm_start=True)
    torch.testing.assert_close(weights(model), before, atol=1e-7, rtol=0)
    cold = forecaster(seed=5).fit(more, **ROLES)
    assert (weights(cold) - before).abs().max() > 0.1
    torch.testing.assert_close(model.trained_.model.floors[0].common, cold.trained_.model.floors[0].common)
    assert not torch.allclose(model.trained_.model.floors[0].common, common)
    np.testing.assert_array_equal(model.trained_.encoder.scaler.scale, cold.trained_.encoder.scaler.scale)
    assert len(scaler.scale) == 2
    future = model.forecast()
    assert future["id"].tolist() == ["a"] * 3 + ["c"] * 3
    assert of(future, "a")["day"].iloc[0] == pd.Timestamp("2024-05-10")
    assert of(future, "c")["forecast"].between(460, 540).all()


def logistic_map(n: int, start: float = 0.3) -> pd.DataFrame:
    values = [start]
    for _ in range(n - 1):
        values.append(3.9 * values[-1] * (1 - values[-1]))
    return pd.DataFrame({"t": np.arange(n), "y": values})


CHAOS = {"horizon": 1, "context": 8, "d_model": 32, "d_ff": 64}


@pytest.fixture(scope="module")
def learnt() -> HourGlassForecaster:
    """Knows the logistic map; to be copied."""
    return forecaster(**CHAOS, max_epochs=4, steps_per_epoch=40).fit(logistic_map(1000), time="t", target="y")


def test_what_was_learnt_is_not_learnt_again(learnt: HourGlassForecaster) -> None:
    """A short second training on other rows ends far below a first one of its length."""
    other = logistic_map(800, start=0.45)
    short = {"max_epochs": 1, "steps_per_epoch": 10}
    warm = deepcopy(learnt).set_params(**short).fit(other, time="t", target="y", warm_start=True)
    cold = forecaster(**CHAOS, **short).fit(other, time="t", target="y")
    assert warm.curve_["epoch"].tolist() == [0, 1]
    assert warm.curve_["step"].tolist() == [0, 10]
    assert warm.curve_["validation_loss"].min() < 0.5 * cold.curve_["validation_loss"].min()
    assert warm.share_ > 0.8


def test_training_that_only_does_harm_is_undone(learnt: HourGlassForecaster) -> None:
    """What it went on from is judged as well, and stands when nothing after it is better."""
    before = weights(learnt)
    model = deepcopy(learnt).set_params(learning_rate=1.0, max_epochs=2, steps_per_epoch=10)
    model.fit(logistic_map(1000), time="t", target="y", warm_start=True)
    assert model.curve_["validation_loss"].idxmin() == 0
    torch.testing.assert_close(weights(model), before)
    assert model.share_ > 0.5


def covariates(frame: pd.DataFrame, scale: float, skies: list[str]) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    region = frame["id"].map({"a": "north", "b": "south"}).fillna("elsewhere")
    signal, sky = scale * rng.normal(size=len(frame)), rng.choice(skies, len(frame))
    return frame.assign(signal=signal, sky=sky, region=region)


COVARIATES = {"past": ["signal", "sky"], "static": ["region"]}


def test_covariates_keep_their_codes_and_units() -> None:
    """The weights read them so; a category that is new is unknown."""
    model = forecaster().fit(covariates(shops("a", "b"), 1.0, ["sun", "rain"]), **ROLES, **COVARIATES)
    learnt = model.trained_.encoder.covariates
    embeddings = {n: e.weight.clone() for n, e in model.trained_.model.reader.embeddings.items()}
    frame = covariates(shops("b", "c"), 50.0, ["hail", "rain"])
    model.set_params(learning_rate=1e-12).fit(frame, **ROLES, **COVARIATES, warm_start=True)
    assert model.trained_.encoder.covariates == learnt
    sky = next(covariate for covariate in learnt if covariate.label == "sky")
    assert sky.categories == ("rain", "sun")
    coded = sky.encode(frame["sky"], pd.Series(0, index=frame.index))
    assert set(coded) == {"0", UNKNOWN}
    for name, embedding in model.trained_.model.reader.embeddings.items():
        torch.testing.assert_close(embedding.weight[1:], embeddings[name][1:], atol=1e-7, rtol=0)
    assert np.isfinite(model.forecast()[NUMBERS]).all(axis=None)


def test_every_difference_comes_at_once_and_the_fit_stays() -> None:
    frame = covariates(shops("a", "b"), 1.0, ["sun", "rain"])
    model = forecaster().fit(frame, **ROLES, **COVARIATES)
    before = model.forecast()
    model.set_params(horizon=5, context=21, quantiles=[0.5], transform="yeo-johnson", scaler="robust", patch=3)
    model.set_params(shortening_factors=[3], d_model=32, n_heads=4, d_ff=8, normalise="prefix", floor=False)
    with pytest.raises(SettingsError) as refused:
        model.fit(frame, **{**ROLES, **COVARIATES, "past": ["sky"]}, warm_start=True)
    message = str(refused.value)
    for found, expected in {
        "horizon=5": "horizon=3",
        "context=21": "context=14",
        "quantiles=[0.5]": "quantiles=[0.1, 0.5, 0.9]",
        "transform='yeo-johnson'": "transform=None",
        "scaler='robust'": "scaler='standard'",
        "patch=3": "patch=1",
        "shortening_factors=[3]": "shortening_factors=[2, 2]",
        "d_model=32": "d_model=16",
        "n_heads=4": "n_heads=2",
        "d_ff=8": "d_ff=16",
        "normalise='prefix'": "normalise='last'",
        "floor=False": "floor=True",
        "past=['sky']": "past=['signal', 'sky']",
    }.items():
        assert f"ound {found}; expected {expected}, as in the fit to go on from" in message
    assert "13 problems" in message
    pd.testing.assert_frame_equal(model.forecast(), before, check_exact=True)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda f: f.assign(sky=np.arange(len(f)) * 1.0), "numbers in column 'sky'; expected text"),
        (lambda f: f.assign(signal="high"), "text in column 'signal'; expected numbers"),
        (lambda f: f.assign(day=pd.date_range("2024", periods=100, freq="h").tolist() * 2), "steps of h.*steps of D"),
    ],
)
def test_differences_in_the_data(changed: Any, words: str) -> None:
    frame = covariates(shops("a", "b"), 1.0, ["sun", "rain"])
    model = forecaster().fit(frame, **ROLES, **COVARIATES)
    with pytest.raises(SettingsError, match=words):
        model.fit(changed(frame), **ROLES, **COVARIATES, warm_start=True)


def test_other_holidays_and_another_target_are_differences() -> None:
    frame = shop("a").assign(z=1.0)
    model = forecaster(holidays=["2024-02-01"]).fit(frame, **ROLES)
    with pytest.raises(SettingsError, match=r"(?s)target=\['z'\].*made from the time"):
        model.set_params(holidays=["2024-03-01"]).fit(frame, **{**ROLES, "target": "z"}, warm_start=True)


def test_what_steers_the_training_may_change() -> None:
    model = forecaster().fit(shops("a", "b"), **ROLES)
    model.set_params(
        learning_rate=1e-3, patience=3, seed=7, max_epochs=2, steps_per_epoch=2, time_budget=60, fill="last"
    )
    assert np.isfinite(model.fit(shops("b", "c"), **ROLES, warm_start=True).forecast()[NUMBERS]).all(axis=None)


def test_chosen_sizes_are_those_of_the_first_fit() -> None:
    """Other data would choose another context; the network has one."""
    model = forecaster(context=None).fit(shops("a", n=400), **ROLES)
    model.fit(shops("a", n=100), **ROLES, warm_start=True)
    assert model.settings_.context == model.trained_.model.network.config.context == 56
    assert len(model.forecast()) == 3


@pytest.mark.parametrize(
    "frame",
    [shop("z", y=4.0), shop("z", 12), shop("z", 60, y=np.r_[np.full(20, np.nan), wave(40, 0)])],
    ids=["constant", "shorter than the context", "begins with holes"],
)
def test_going_on_with_odd_series(frame: pd.DataFrame) -> None:
    model = forecaster().fit(shops("a", "b"), **ROLES)
    assert np.isfinite(model.fit(frame, **ROLES, warm_start=True).forecast()[NUMBERS]).all(axis=None)


def test_faulty_data_leave_the_fit_alone(model: HourGlassForecaster) -> None:
    before = model.forecast()
    doubled = pd.concat([shop("a"), shop("a").tail(1)])
    for frame, words in ((doubled, "duplicate"), (shop("a", y=np.nan), "no value"), (shop("a", 4), "shorter")):
        with pytest.raises(DataError, match=words):
            model.fit(frame, **ROLES, warm_start=True)
    pd.testing.assert_frame_equal(model.forecast(), before, check_exact=True)


IN_ANOTHER_PROCESS = """
import sys, pandas as pd
from hourglass_ts import HourGlassForecaster
folder = sys.argv[1]
model = HourGlassForecaster.load(folder + "/model")
frame = pd.read_pickle(folder + "/frame.pkl")
model.forecast(frame).to_pickle(folder + "/new.pkl")
model.fit(frame, time="day", target="y", series="id", past=["signal", "sky"], static=["region"], warm_start=True)
model.forecast().to_pickle(folder + "/warm.pkl")
"""


def test_both_work_after_loading_in_another_process(tmp_path: Path) -> None:
    settings = {"transform": "yeo-johnson", "scaler": "robust", "max_epochs": 2}
    model = forecaster(**settings).fit(covariates(shops("a", "b"), 1.0, ["sun", "rain"]), **ROLES, **COVARIATES)
    frame = covariates(shops("b", "c"), 2.0, ["hail", "rain"])
    model.save(tmp_path / "model")
    frame.to_pickle(tmp_path / "frame.pkl")
    again = subprocess.run([sys.executable, "-c", IN_ANOTHER_PROCESS, str(tmp_path)], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert NEW in again.stderr
    with pytest.warns(UserWarning, match=NEW):
        expected = model.forecast(frame)
    pd.testing.assert_frame_equal(pd.read_pickle(tmp_path / "new.pkl"), expected, check_exact=True)
    model.fit(frame, **ROLES, **COVARIATES, warm_start=True)
    pd.testing.assert_frame_equal(pd.read_pickle(tmp_path / "warm.pkl"), model.forecast(), check_exact=True)


# --- series that were not fitted -------------------------------------------------------------------------------------


def test_a_new_series_is_forecast_in_its_own_scale_and_a_warning_says_so(model: HourGlassForecaster) -> None:
    frame = pd.concat([shops("a", "b"), shop("new", 50, y=wave(50, 2, 1e6, 1e3))])
    with pytest.warns(UserWarning, match=r"1 of 3 series were not fitted, first series 'new'.*its own rows\.$") as told:
        future = model.forecast(frame)
    assert len(told) == 1
    assert told[0].filename == __file__
    assert of(future, "new")["forecast"].between(1e6 - 1500, 1e6 + 1500).all()
    assert (of(future, "new")["day"] == pd.date_range("2024-02-20", periods=3)).all()
    fitted = pd.concat([of(future, "a"), of(future, "b")], ignore_index=True)
    pd.testing.assert_frame_equal(fitted, model.forecast(), rtol=1e-6)


@pytest.mark.parametrize(("level", "size"), [(1e9, 1.0), (-1e9, 1.0), (0.0, 1e-30), (1e9, 1e-3)])
def test_units_of_a_new_series_do_not_matter(model: HourGlassForecaster, level: float, size: float) -> None:
    """They are measured by its own rows, before anything becomes float32."""
    y = wave(60, 2)
    with pytest.warns(UserWarning, match=NEW):
        plain, other = (model.forecast(shop("new", 60, y=values))[NUMBERS] for values in (y, level + size * y))
    np.testing.assert_allclose((other - level) / size, plain, atol=5e-3)


def test_a_new_series_gets_the_common_map() -> None:
    """By hand: the last value, and the window less that through the common map."""
    model = forecaster(scaler=None, max_epochs=1).fit(shops("a", "b", n=400), **ROLES)
    model.trained_.model.share.zero_()
    floor = model.trained_.model.floors[0]
    floor.own.fill_(99.0)  # and no series' own
    y = wave(30, 5, 3.0)
    with pytest.warns(UserWarning, match=NEW):
        future = model.forecast(shop("new", 30, y=y))
    expected = y[-1] + (y[-14:] - y[-1]) @ floor.common.double().numpy()
    np.testing.assert_allclose(future["forecast"], expected, rtol=1e-5)


def test_new_series_are_no_fitted_ones_by_place_or_name(model: HourGlassForecaster) -> None:
    """Whatever they are called and however they are ordered, each has its own forecast."""
    names = ["_", "aa", "zz"]
    frame = pd.concat([shop(name, 40, seed, y=wave(40, seed, 100.0 * seed)) for seed, name in enumerate(names)])
    with pytest.warns(UserWarning, match="3 of 3"):
        together = model.forecast(frame)
    for name in names:
        with pytest.warns(UserWarning, match="1 of 1"):
            alone = model.forecast(frame[frame["id"] == name])
        pd.testing.assert_frame_equal(of(together, name), alone, rtol=1e-6)


@pytest.mark.parametrize("transform", [None, "log", "box-cox", "yeo-johnson"])
@pytest.mark.parametrize("scaler", ["standard", "robust", None])
def test_new_series_with_every_transform_and_scaler(transform: str | None, scaler: str | None) -> None:
    def positive(name: str, seed: int, n: int = 80) -> pd.DataFrame:
        return shop(name, n, y=np.exp(0.3 * wave(n, seed) + seed))

    settings = {"transform": transform, "scaler": scaler, "steps_per_epoch": 1}
    model = forecaster(**settings).fit(pd.concat([positive("a", 0), positive("b", 1)]), **ROLES)
    with pytest.warns(UserWarning, match=NEW):
        future = model.forecast(positive("new", 8))
    assert future["forecast"].between(np.exp(7), np.exp(9)).all()
    assert (np.diff(future[["q0.1", "q0.5", "q0.9"]], axis=1) >= 0).all()


def test_nothing_but_the_past_scales_a_new_series(model: HourGlassForecaster) -> None:
    """From origins inside the frame, with later rows altered or cut off."""
    frame = pd.concat([shops("a", "b", n=140), shop("aa", 140, y=wave(140, 3, 50.0))])
    origins = [pd.Timestamp("2024-03-20"), pd.Timestamp("2024-04-20")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rolled = model.forecast_from(frame, origins)
        altered = frame.assign(y=frame["y"].where(frame["day"] <= origins[0], 1e6))
        again = model.forecast_from(altered, origins[:1])
    assert rolled["id"].tolist() == 2 * (["a"] * 3 + ["aa"] * 3 + ["b"] * 3)
    first = rolled[rolled["origin"] == origins[0]].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, first)
    for origin in origins:
        with pytest.warns(UserWarning, match="1 of 3"):
            once = model.forecast(frame[frame["day"] <= origin])
        ours = rolled[rolled["origin"] == origin].reset_index(drop=True)
        pd.testing.assert_frame_equal(ours[list(once)], once, rtol=1e-5)
    alone = model.forecast_from(frame[frame["id"] == "aa"], origins)
    pd.testing.assert_frame_equal(alone, of(rolled, "aa"), rtol=1e-5)


def test_unknown_categories_stand_in_the_middle_of_the_known() -> None:
    frame = covariates(shops("a", "b"), 1.0, ["sun", "rain"])
    model = forecaster().fit(frame, **ROLES, **COVARIATES)
    for embedding in model.trained_.model.reader.embeddings.values():
        torch.testing.assert_close(embedding.weight[0], embedding.weight[1:].mean(0))
    strange = covariates(shop("new"), 1.0, ["hail"])
    with pytest.warns(UserWarning, match=NEW):
        assert np.isfinite(model.forecast(strange)[NUMBERS]).all(axis=None)
    seen = forecaster().fit(frame.assign(sky=frame["sky"].where(frame.index % 100 > 20)), **ROLES, **COVARIATES)
    named = {c.label: c.name for c in seen.trained_.encoder.covariates}
    weight = seen.trained_.model.reader.embeddings[named["sky"]].weight
    assert not torch.allclose(weight[0], weight[1:].mean(0))  # training has seen holes


@pytest.mark.parametrize(
    ("frame", "low", "high"),
    [
        (shop("new", 1, y=7.0), 6.9, 7.1),
        (shop("new", 5, y=wave(5, 0, 40.0)), 37, 43),
        (shop("new", 60, y=0.25), 0.2499, 0.2501),
        (shop("new", 60, y=0.0), -1e-3, 1e-3),
        (shop("new", 60, y=np.r_[np.full(40, np.nan), wave(20, 0, 9.0)]), 6, 12),
    ],
    ids=["one row", "shorter than the context", "constant", "zeros", "begins with holes"],
)
def test_odd_new_series(model: HourGlassForecaster, frame: pd.DataFrame, low: float, high: float) -> None:
    with pytest.warns(UserWarning, match=NEW):
        future = model.forecast(frame)
    assert future["forecast"].between(low, high).all()
    assert (np.diff(future[["q0.1", "q0.5", "q0.9"]], axis=1) >= 0).all()


def test_faulty_new_series_are_refused(model: HourGlassForecaster) -> None:
    for frame, words in (
        (shop("new", y=np.nan), "no value"),
        (pd.concat([shop("new"), shop("new").tail(1)]), "'new'.*duplicate"),
        (shop("new").assign(y=lambda f: f["y"].where(f.index != 9, np.inf)), "inf"),
    ):
        with pytest.raises(DataError, match=words):
            model.forecast(frame)
    with pytest.raises(DataError, match="not fitted on"):
        Naive(3).fit(shops("a", "b"), **ROLES).forecast(shop("new"))


def test_a_new_column_of_a_wide_frame_is_a_new_series() -> None:
    days = pd.date_range("2024-01-01", periods=100, name="day")
    wide = pd.DataFrame({"a": wave(100, 0), "b": wave(100, 1, 10.0)}, index=days)
    model = forecaster().fit(wide)
    warm = forecaster().fit(wide).fit(wide.assign(c=wave(100, 2, 70.0)), warm_start=True)
    assert warm.forecast().groupby("target")["forecast"].mean().between(68, 72)["c"]
    assert set(model.forecast()["target"]) == {"a", "b"}


# --- trained on one set, used on another -----------------------------------------------------------------------------


def sinusoids(first: int, n_series: int, n: int = 150) -> pd.DataFrame:
    """Series of periods between 5 and 16 steps, with noise; on no calendar."""
    parts = []
    for number in range(first, first + n_series):
        rng = np.random.default_rng(number)
        step, period = np.arange(n), rng.uniform(5, 16)
        y = rng.normal(0, 50) + rng.uniform(1, 20) * (np.sin(2 * np.pi * step / period) + 0.05 * rng.normal(size=n))
        parts.append(pd.DataFrame({"id": f"s{number}", "day": step, "y": y}))
    return pd.concat(parts, ignore_index=True)


def test_what_one_set_taught_serves_another() -> None:
    model = forecaster(4, 32, max_epochs=3, steps_per_epoch=15, d_model=32, d_ff=64).fit(sinusoids(0, 40), **ROLES)
    other = sinusoids(1000, 20)
    past, actual = other[other["day"] < 146], other[other["day"] >= 146]
    with pytest.warns(UserWarning, match="20 of 20"):
        future = model.forecast(past)
    both = future.merge(actual, on=["id", "day"], validate="one_to_one")
    naive = Naive(4).fit(past, **ROLES).forecast().merge(actual, on=["id", "day"])
    size = both["id"].map(other.groupby("id")["y"].std())
    errors, naive_errors = ((frame["y"] - frame["forecast"]).abs() / size for frame in (both, naive))
    assert len(both) == 80
    assert errors.mean() < 0.65 * naive_errors.mean()


def test_new_series_in_other_steps(model: HourGlassForecaster) -> None:
    """The horizon counts steps; a frequency is never guessed from new series alone."""
    hours = shop("new", 60).assign(day=pd.date_range("2024-01-01", periods=60, freq="h"))
    with pytest.raises(DataError, match="freq"):
        model.forecast(hours)
    with pytest.warns(UserWarning, match=r"Their steps are h, the fitted ones D\.$"):
        future = model.forecast(hours, freq="h")
    assert future["day"].tolist() == list(pd.date_range("2024-01-03 12:00", periods=3, freq="h"))
    daily = shop("new", 60)
    with pytest.warns(UserWarning, match=NEW):
        np.testing.assert_allclose(model.forecast(daily)["forecast"], future["forecast"])

    weeks = shop("new", 60).assign(day=pd.date_range("2024-01-01", periods=60, freq="7D"))
    with pytest.warns(UserWarning, match="rows are missing in steps of D: pass `freq`"):
        model.forecast(weeks)
    with pytest.raises(DataError, match=r"steps of 'h' in series 'a'.*steps of 'D', as in the data of the fit"):
        model.forecast(hours.assign(id="a"), freq="h")
