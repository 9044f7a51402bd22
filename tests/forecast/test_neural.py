"""Holes, transforms and scalers from the frame to the forecast."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file, save_file

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.forecast.neural import TrainedHourGlass, new_model
from hourglass_ts.forecast.plan import WindowPlan
from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.frames.schema import OBSERVED, STEP, VALUE, Roles, check_frame
from hourglass_ts.network.ridge import Measure, Stretch
from hourglass_ts.windows.dataset import window_dataset
from hourglass_ts.windows.encode import TARGET, WEIGHT, TableEncoder


def forecaster(horizon: int = 3, context: int = 14, **changes: Any) -> HourGlassForecaster:
    tiny = {"max_epochs": 1, "steps_per_epoch": 3, "d_model": 8, "n_heads": 2, "d_ff": 8, "progress": False}
    return HourGlassForecaster(horizon, context, accelerator="cpu", **{**tiny, **changes})


def wave(n: int = 120, noise: float = 0.1) -> pd.DataFrame:
    values = 10 + 3 * np.sin(2 * np.pi * np.arange(n) / 7) + noise * np.random.default_rng(0).normal(size=n)
    return pd.DataFrame({"t": pd.date_range("2024-01-01", periods=n), "y": values})


def with_holes(frame: pd.DataFrame, share: float = 0.3, seed: int = 1) -> pd.DataFrame:
    missing = np.random.default_rng(seed).random(len(frame)) < share
    missing[[0, -1]] = False
    return frame.assign(y=frame["y"].mask(missing))


# --- a placeholder is flagged, and what stands in it is no evidence --------------------------------------------------


def encoded(frame: pd.DataFrame) -> tuple[TableEncoder, pd.DataFrame]:
    panel = check_frame(frame, Roles.from_arguments("t", "y"))
    encoder = TableEncoder.fit(panel, pd.Series(True, index=panel.table.index), None)
    return encoder, encoder.frame(panel.table, np.array([0]), panel.table[STEP].to_numpy())


@pytest.mark.parametrize("scaler", ["standard", "robust"])
def test_placeholders_are_no_part_of_the_statistics(scaler: str) -> None:
    panel = check_frame(with_holes(wave()), Roles.from_arguments("t", "y"))
    everywhere = pd.Series(True, index=panel.table.index)
    junk = panel.table.assign(**{VALUE: panel.table[VALUE].fillna(1e6)})
    clean, dirty = (TableEncoder.fit(replace(panel, table=t), everywhere, None, scaler) for t in (panel.table, junk))
    np.testing.assert_array_equal(clean.scaler.centre, dirty.scaler.centre)
    np.testing.assert_array_equal(clean.scaler.scale, dirty.scaler.scale)
    believed = TableEncoder.fit(replace(panel, table=junk.assign(**{OBSERVED: True})), everywhere, None, scaler)
    assert believed.scaler.scale != clean.scaler.scale


@pytest.mark.parametrize("quantiles", [(), (0.1, 0.9)])
def test_placeholders_are_no_part_of_the_loss(quantiles: tuple[float, ...]) -> None:
    encoder, frame = encoded(with_holes(wave()))
    plan = WindowPlan(context=14, horizon=3, min_context=3, validation=9)
    model = new_model(encoder, plan, 1, quantiles, {"d_model": 8, "n_heads": 2, "d_ff": 8})
    dataset = window_dataset(frame, encoder, n_series=1, context=14, horizon=3, min_context=3)
    x, (target, weight) = next(iter(dataset.to_dataloader(train=False, batch_size=64)))
    assert 0.2 < (weight == 0).float().mean() < 0.4

    def loss_of(altered: torch.Tensor) -> float:
        weighted = model._weighted((x, (altered, weight)))
        return float(model.loss(model(x).prediction, weighted[1]).detach())

    assert loss_of(torch.where(weight == 0, 1e6, target)) == loss_of(target)
    assert loss_of(torch.where(weight == 1, target + 1, target)) != loss_of(target)


def test_placeholders_are_no_targets_of_the_floor() -> None:
    _, frame = encoded(with_holes(wave()))
    values = torch.tensor(frame[TARGET].to_numpy(), dtype=torch.float32)
    observed = torch.tensor(frame[WEIGHT].to_numpy() > 0)
    origins = torch.arange(13, 117)
    for junk in (0.0, 1e6):
        part = Stretch(0, torch.where(observed, values, junk), observed, origins)
        ((inputs, targets, seen),) = part.windows(14, 3, Measure(0.0, 1.0))
        assert len(inputs) == int(observed[13:117].sum())  # an origin in a hole is none
        assert targets.abs().max() < 10
        assert (targets[~seen] == 0).all()


# --- forecasts from histories with holes -----------------------------------------------------------------------------


def test_a_week_missing_hardly_changes_the_forecast_of_a_weekly_wave() -> None:
    """A hole filled with the value before it would look like a week without a wave."""
    frame = wave(200)
    model = forecaster(7, 14, quantiles=()).fit(frame, time="t", target="y")
    holey = frame.assign(y=frame["y"].mask(frame.index.isin(range(191, 199))))
    repeated = holey.assign(y=holey["y"].ffill())
    whole, own, careless = (model.forecast(part)["forecast"].to_numpy() for part in (frame, holey, repeated))
    assert np.abs(own - whole).mean() < 0.3 < 0.6 < np.abs(careless - whole).mean()


def test_the_end_of_fit_and_the_frame_itself_give_one_forecast() -> None:
    """Placeholders inside the context may come from rows long before it."""
    frame = wave(200)
    frame = frame.assign(y=frame["y"].mask(frame.index.isin([*range(180, 199), 100, 170])))
    model = forecaster().fit(frame, time="t", target="y")
    pd.testing.assert_frame_equal(model.forecast(frame), model.forecast(), check_exact=True)


@pytest.mark.parametrize("fill", ["last", 7.5])
def test_a_filling_that_was_asked_for_is_like_the_users_own(fill: Any) -> None:
    holey = with_holes(wave())
    own = holey.assign(y=holey["y"].ffill() if fill == "last" else holey["y"].fillna(fill))
    asked = forecaster(fill=fill).fit(holey, time="t", target="y")
    by_hand = forecaster().fit(own, time="t", target="y")
    pd.testing.assert_frame_equal(asked.forecast(), by_hand.forecast(), check_exact=True)
    pd.testing.assert_frame_equal(asked.forecast(holey), by_hand.forecast(own), check_exact=True)
    n = int(holey["y"].isna().sum())
    assert asked.notes_[-1] == f"{n} missing values filled, as fill={fill!r} asked"
    left = forecaster().fit(holey, time="t", target="y")
    assert not any("filled" in note for note in left.notes_)
    assert not left.forecast().equals(asked.forecast())


# --- transforms, scalers, ways to normalise --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("transform", "value", "words"),
    [
        ("log", 0.0, ["values of 0 or less", "transform='log1p' or 'yeo-johnson'"]),
        ("box-cox", -1.0, ["values of 0 or less", "transform='log1p' or 'yeo-johnson'"]),
        ("log1p", -1.0, ["values of -1 or less", "transform='yeo-johnson'"]),
    ],
)
def test_values_that_a_transform_cannot_take_are_named(transform: str, value: float, words: list[str]) -> None:
    frame = wave()
    frame.loc[60, "y"] = value
    model = forecaster(transform=transform)
    with pytest.raises(DataError) as refused:
        model.fit(frame, time="t", target="y")
    for word in (*words, "'y'", "2024-03-01", f"transform={transform!r}"):
        assert word in str(refused.value)
    model.fit(wave(), time="t", target="y")
    with pytest.raises(DataError, match="2024-03-01"):
        model.forecast(frame)


def test_every_wrong_setting_is_told_at_once() -> None:
    wrong = {"transform": "root", "scaler": "minmax", "normalise": "first", "fill": "linear"}
    with pytest.raises(SettingsError) as refused:
        forecaster(**wrong).fit(wave(), time="t", target="y")
    assert all(f"{name}={value!r}" in str(refused.value) for name, value in wrong.items())
    forecaster(transform=np.str_("log")).fit(wave(), time="t", target="y")


def test_a_forecast_below_box_coxs_range_is_zero_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    model = forecaster(transform="box-cox").fit(wave(), time="t", target="y")
    assert np.max(model.trained_.encoder.scaler.power) > 0
    low = np.full((1, 3, 4), -1e3)
    low[:, 1] = 0.0
    monkeypatch.setattr(TrainedHourGlass, "_scaled_forecasts", lambda self, dataset: [(np.array([0]), low)])
    with pytest.warns(UserWarning, match=r"8 of 12 forecast numbers .* transform='box-cox'") as told:
        future = model.forecast()
    assert len(told) == 1
    assert (future.loc[[0, 2], ["forecast", "q0.1", "q0.9"]].abs() < 1e-6).all(axis=None)
    assert 5 < future["forecast"][1] < 15


SETTINGS = {"transform": "box-cox", "scaler": "robust", "normalise": "prefix", "fill": "seasonal"}


def test_new_settings_are_saved(tmp_path: Path) -> None:
    model = forecaster(**SETTINGS).fit(with_holes(wave()), time="t", target="y")
    model.save(tmp_path / "model")
    loaded = HourGlassForecaster.load(tmp_path / "model")
    assert {name: loaded.get_params()[name] for name in SETTINGS} == SETTINGS
    pd.testing.assert_frame_equal(loaded.forecast(), model.forecast(), check_exact=True)
    assert loaded.trained_.model.hparams.normalise == "prefix"


def test_a_model_from_before_these_settings_still_loads(tmp_path: Path) -> None:
    model = forecaster(transform="log").fit(with_holes(wave()), time="t", target="y")
    model.save(tmp_path)
    plain = json.loads((tmp_path / "model.json").read_text())
    for name in ("fill", "scaler", "normalise"):
        del plain["params"][name]
    del plain["network"]["normalise"]
    numbers = load_file(tmp_path / "numbers.safetensors")
    (tmp_path / "model.json").write_text(json.dumps(plain))
    save_file(
        {n: a for n, a in numbers.items() if n not in ("scaler_power", "scaler_unit")}, tmp_path / "numbers.safetensors"
    )
    sums = {n: hashlib.sha256((tmp_path / n).read_bytes()).hexdigest() for n in ("model.json", "numbers.safetensors")}
    (tmp_path / "checksums.json").write_text(json.dumps(sums))
    pd.testing.assert_frame_equal(HourGlassForecaster.load(tmp_path).forecast(), model.forecast(), check_exact=True)


@pytest.mark.parametrize("steps", [1, 2, 5, 10])
def test_the_shortest_trainings_end(steps: int) -> None:
    df = pd.DataFrame({"t": range(80), "y": np.tile([1.0, 2.0, 4.0, 3.0], 20)})
    model = HourGlassForecaster(2, max_epochs=1, steps_per_epoch=steps, progress=False)
    assert len(model.fit(df, time="t", target="y").forecast()) == 2


def test_a_filling_that_the_transform_cannot_take_is_named() -> None:
    df = pd.DataFrame({"t": range(80), "y": 5.0})
    with pytest.raises(SettingsError, match=r"fill=0 with transform='log'.*a number above 0"):
        forecaster(transform="log", fill=0).fit(df, time="t", target="y")
