"""What is chosen where nothing is given, how it is told, and how long a fit may take."""

from __future__ import annotations

import json
import logging
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.forecast.defaults import default_batch_size, default_factors, default_steps, span_in_words
from hourglass_ts.forecast.training import CURVE, TimeLimit
from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.frames.calendars import Calendar
from hourglass_ts.model._model import HourGlassModel
from hourglass_ts.network.network import default_patch

TINY = {"d_model": 8, "n_heads": 2, "d_ff": 8, "progress": False, "accelerator": "cpu"}


def wave(n: int = 300, freq: str = "D", seed: int = 0) -> pd.DataFrame:
    noise = np.random.default_rng(seed).normal(size=n)
    times = pd.date_range("2024-01-01", periods=n, freq=freq)
    return pd.DataFrame({"t": times, "y": 10 + 3 * np.sin(2 * np.pi * np.arange(n) / 7) + 0.3 * noise})


def fitted(frame: pd.DataFrame | None = None, horizon: int = 3, **changes: Any) -> HourGlassForecaster:
    return HourGlassForecaster(horizon, **{**TINY, **changes}).fit(
        wave() if frame is None else frame, time="t", target="y"
    )


# --- the rules -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("freq", "n_steps", "words"),
    [
        ("h", 336, "14 days of hours"),
        ("h", 24, "1 day of hours"),
        ("15min", 512, "5.3 days of 15min steps"),
        ("min", 60, "1 hour of minutes"),
        ("s", 120, "2 minutes of seconds"),
        ("7h", 48, "2 weeks of 7h steps"),
        ("D", 56, "8 weeks of days"),
        ("2D", 14, "4 weeks of 2D steps"),
        ("B", 40, "8 weeks of business days"),
        ("W-FRI", 104, "2 years of weeks"),
        ("ME", 18, "1.5 years of months"),
        ("BQS", 32, "8 years of quarters"),
        ("YS", 8, "8 YS steps"),
        ("h", 1, "1 hours"),
        ("50min", 96, "3.3 days of 50min steps"),
        ("7s", 96, "11.2 minutes of 7s steps"),
        ("7h", 96, "4 weeks of 7h steps"),
    ],
)
def test_a_context_in_words(freq: str, n_steps: int, words: str) -> None:
    assert span_in_words(Calendar("datetime", freq), n_steps) == words


def test_a_context_of_integers_or_sessions_in_words() -> None:
    assert span_in_words(Calendar("integer", 5), 8) == "8 steps"
    assert span_in_words(Calendar("sessions", "XNYS"), 40) == "8 weeks of sessions"


@pytest.mark.parametrize(
    ("context", "patch", "factors"),
    [
        *((512, None, (2, 2)), (14, None, (2, 2)), (5, None, (2, 2)), (4, None, (2,)), (3, None, (2,))),
        *((2, None, (1,)), (1, None, (1,)), (32, 16, (1,)), (33, 16, (2,)), (64, 16, (2,)), (65, 16, (2, 2))),
    ],
)
def test_few_tokens_are_shortened_less(context: int, patch: int | None, factors: tuple[int, ...]) -> None:
    assert default_factors(context, patch) == factors


def test_wide_windows_come_in_smaller_batches() -> None:
    for n_steps in (10, 216, 600, 5000):
        sizes = [default_batch_size(n_steps, n_channels) for n_channels in (1, 3, 30, 300, 3000, 10**6)]
        assert sizes == sorted(sizes, reverse=True)
        assert set(sizes) <= {16, 32, 64, 128, 256}
        for size, n_channels in zip(sizes, (1, 3, 30, 300, 3000, 10**6), strict=True):
            assert size == 16 or size * n_steps * n_channels <= 2**22
            assert size == 256 or 2 * size * n_steps * n_channels > 2**22


@pytest.mark.parametrize(("n_windows", "steps"), [(1, 10), (160, 10), (161, 11), (400, 25), (800, 50), (10**7, 50)])
def test_small_sets_are_not_drawn_over_and_over(n_windows: int, steps: int) -> None:
    assert default_steps(n_windows, 256) == steps


# --- what a fit does with them ---------------------------------------------------------------------------------------


def test_the_network_is_what_the_settings_say_and_the_log_tells(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="hourglass_ts"):
        model = fitted(max_epochs=1)
    chosen, network = model.settings_, model.trained_.model.network.config
    assert (chosen.context, chosen.patch, chosen.shortening_factors) == (56, default_patch(56), (2, 2))
    assert (network.context, network.patch, network.shortening_factors) == (56, default_patch(56), (2, 2))
    assert (chosen.d_model, chosen.batch_size, chosen.max_epochs) == (8, 256, 1)
    lines = chosen.describe().splitlines()
    assert lines[:2] == ["context 56: 8 weeks of days", f"patch 4: {network.n_tokens} tokens"]
    assert lines[2] == "shortening factors [2, 2]: 17, 9, 5 tokens per level"
    told = [record.getMessage() for record in caplog.records if record.name.startswith("hourglass_ts.forecast")]
    assert told == lines


def test_training_is_as_long_as_the_windows_allow_and_no_longer_than_asked() -> None:
    model = fitted(max_epochs=1)
    n_windows = 300 - model.trained_.plan.validation - 2 - model.trained_.plan.min_context
    assert model.settings_.steps_per_epoch == default_steps(n_windows, 256) < 50
    assert model.curve_["step"].tolist() == [model.settings_.steps_per_epoch]
    assert HourGlassForecaster(3).max_epochs is None
    assert fitted(max_epochs=2, steps_per_epoch=3).curve_["step"].tolist() == [3, 6]


def test_what_is_given_stands() -> None:
    given = {"context": 24, "patch": 6, "shortening_factors": [3], "max_epochs": 1, "steps_per_epoch": 2}
    model = fitted(**given)
    assert {name: getattr(model.settings_, name) for name in given} == {**given, "shortening_factors": (3,)}
    assert model.get_params()["shortening_factors"] == [3]


def test_a_short_context_is_not_shortened_twice() -> None:
    network = fitted(context=2, max_epochs=1).trained_.model.network.config
    assert (network.shortening_factors, network.n_tokens) == ((1,), 2)


def test_many_covariates_make_smaller_batches() -> None:
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(900, 60)), columns=[f"x{i}" for i in range(60)])
    columns = {"time": "t", "target": "y", "past": list(wide)}
    settings = {"context": 300, "max_epochs": 1, "steps_per_epoch": 1, "quantiles": ()}
    model = HourGlassForecaster(3, **{**TINY, **settings}).fit(pd.concat([wave(900), wide], axis=1), **columns)
    assert model.settings_.batch_size == 128
    assert np.isfinite(model.forecast()["forecast"]).all()


# --- the learning curve, and what is saved ---------------------------------------------------------------------------


def test_the_curve_has_a_row_for_every_validation() -> None:
    curve = fitted(max_epochs=3, steps_per_epoch=2).curve_
    assert list(curve) == list(CURVE)
    assert curve["epoch"].tolist() == [1, 2, 3]
    assert curve["step"].tolist() == [2, 4, 6]
    assert (curve["seconds"].diff().dropna() > 0).all()
    assert (curve["cpu_seconds"].diff().dropna() > 0).all()
    assert curve["validation_loss"].between(0, 100).all()
    assert curve["share"].between(0, 1).all()


def test_settings_and_curve_are_saved_and_older_models_do_without(tmp_path: Path) -> None:
    model = fitted(max_epochs=2, steps_per_epoch=2)
    model.save(tmp_path / "m")
    loaded = HourGlassForecaster.load(tmp_path / "m")
    assert loaded.settings_ == model.settings_
    pd.testing.assert_frame_equal(loaded.curve_, model.curve_)

    plain = json.loads((tmp_path / "m" / "model.json").read_text())
    for name in ("settings", "curve", "scaler"):
        del plain[name]
    plain["network"] |= {"patch": None}
    (tmp_path / "m" / "model.json").write_text(json.dumps(plain))
    _sign(tmp_path / "m")
    older = HourGlassForecaster.load(tmp_path / "m")
    pd.testing.assert_frame_equal(older.forecast(), model.forecast(), check_exact=True)
    assert (older.settings_.context, older.settings_.patch, older.settings_.max_epochs) == (56, 4, 2)
    assert older.settings_.describe() == ""
    assert older.trained_.scaler_name == "standard"
    assert list(older.curve_) == list(CURVE)
    assert older.curve_.empty


def _sign(directory: Path) -> None:
    from hourglass_ts.forecast.storage import _sha256

    sums = {name: _sha256(directory / name) for name in ("model.json", "numbers.safetensors")}
    (directory / "checksums.json").write_text(json.dumps(sums))


# --- a time budget ---------------------------------------------------------------------------------------------------


def slowed(monkeypatch: pytest.MonkeyPatch, name: str, seconds: float) -> None:
    """Let every call of a step of the model take so much longer."""
    step = getattr(HourGlassModel, name)

    def slow(self: HourGlassModel, batch: Any, batch_idx: int) -> Any:
        time.sleep(seconds)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(HourGlassModel, name, slow)


def timed(**settings: Any) -> tuple[HourGlassForecaster, float]:
    begin = time.monotonic()
    model = fitted(**settings)
    return model, time.monotonic() - begin


def test_a_budget_ends_an_epoch_that_takes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the budget and a step, with a validation at the end, and a learning rate that has come down."""
    rates: list[float] = []
    end = TimeLimit.on_train_batch_end

    def recorded(self: TimeLimit, trainer: Any, *args: Any) -> None:
        rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        end(self, trainer, *args)

    monkeypatch.setattr(TimeLimit, "on_train_batch_end", recorded)
    slowed(monkeypatch, "training_step", 0.05)
    model, seconds = timed(time_budget=3, max_epochs=20, steps_per_epoch=1000)
    assert seconds < 12  # far from the 50 s of one epoch, whatever else the machine does
    assert model.curve_["epoch"].tolist() == [1]
    assert model.curve_["step"].tolist() == [len(rates)]
    assert 3 < len(rates) < 60
    assert rates[-1] < 0.3 * max(rates)
    assert int(np.argmax(rates)) < len(rates) / 2
    assert np.isfinite(model.forecast()["forecast"]).all()


def test_a_budget_ends_a_validation_that_takes_longer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was not judged is not believed: the floor stands alone."""
    slowed(monkeypatch, "validation_step", 1.5)
    with caplog.at_level(logging.INFO, logger="hourglass_ts"):
        model, seconds = timed(horizon=14, frame=wave(4000), time_budget=2, max_epochs=3, steps_per_epoch=1)
    assert 2 < seconds < 4.5
    assert "spent before a validation was over" in caplog.text
    assert model.share_ == 0
    assert model.curve_.empty
    assert np.isfinite(model.forecast()["forecast"]).all()


def test_without_time_to_train_the_floor_stands_alone() -> None:
    hurried, calm = fitted(time_budget=1e-3), fitted(max_epochs=1, steps_per_epoch=1)
    assert hurried.share_ == calm.share_ == 0
    assert hurried.curve_.empty
    pd.testing.assert_series_equal(hurried.forecast()["forecast"], calm.forecast()["forecast"])


def test_a_budget_that_is_not_needed_changes_nothing() -> None:
    settings = {"max_epochs": 2, "steps_per_epoch": 5}
    free, bounded = fitted(**settings), fitted(time_budget=600, **settings)
    pd.testing.assert_frame_equal(bounded.forecast(), free.forecast(), check_exact=True)
    weights = [model.trained_.model.network.token.weight for model in (free, bounded)]
    assert weights[0].equal(weights[1])


# --- many series -----------------------------------------------------------------------------------------------------


def test_time_and_memory_grow_no_faster_than_the_number_of_series() -> None:
    """What is quadratic would take sixteen times as much for four times the series."""

    def cost(n_series: int) -> tuple[float, float]:
        n = 60
        y = np.random.default_rng(0).normal(size=n_series * n).cumsum()
        number = np.repeat(np.arange(n_series), n)
        frame = pd.DataFrame({"id": number, "t": np.tile(np.arange(n), n_series), "y": y})
        tracemalloc.start()
        begin = time.process_time()
        settings = {"context": 8, "max_epochs": 1, "steps_per_epoch": 1}
        model = HourGlassForecaster(2, **{**TINY, **settings}).fit(frame, time="t", target="y", series="id")
        assert len(model.forecast(frame)) == 2 * n_series
        seconds, (_, peak) = time.process_time() - begin, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return seconds, peak

    cost(10)
    (few_seconds, few_bytes), (many_seconds, many_bytes) = cost(250), cost(1000)
    assert many_bytes < 6 * few_bytes
    assert many_seconds < 8 * few_seconds


def test_few_series_are_judged_on_a_long_tail() -> None:
    """Channels of one station share their time: windows of many of them are no more evidence than those of one."""
    wide = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=2000, freq="h")})
    many = {f"y{code}": np.random.default_rng(code).normal(size=2000) for code in range(51)}
    tails = {}
    for n in (1, 50, 51):
        frame = wide.assign(**dict(list(many.items())[:n]))
        model = HourGlassForecaster(4, 24, **TINY, max_epochs=1, steps_per_epoch=1, quantiles=())
        tails[n] = model.fit(frame, time="t", target=None).trained_.plan.validation
    assert tails == {1: 200, 50: 200, 51: 20}
