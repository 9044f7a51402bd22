"""Saved models: the same forecasts to the last bit in another process, whole or not at all, and nothing unpickled."""

from __future__ import annotations

import copy
import datetime
import hashlib
import json
import pickle
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hourglass_ts.errors import SavedModelError
from hourglass_ts.forecast import storage
from hourglass_ts.forecaster import HourGlassForecaster

FILES = {"model.json", "numbers.safetensors", "checksums.json"}


def forecaster(horizon: int = 3, context: int = 14, **changes: Any) -> HourGlassForecaster:
    tiny = {"max_epochs": 2, "steps_per_epoch": 5, "d_model": 16, "n_heads": 2, "d_ff": 16, "progress": False}
    return HourGlassForecaster(horizon, context, accelerator="cpu", **{**tiny, **changes})


def wave(n: int, seed: int = 0) -> np.ndarray:
    return 10 + np.sin(2 * np.pi * np.arange(n) / 7) + 0.2 * np.random.default_rng(seed).normal(size=n)


def plain_frame(n: int = 90) -> pd.DataFrame:
    return pd.DataFrame({"day": pd.date_range("2024-01-01", periods=n), "y": wave(n)})


def fitted(**changes: Any) -> HourGlassForecaster:
    return forecaster(**changes).fit(plain_frame(), time="day", target="y")


@pytest.fixture(scope="module")
def model() -> HourGlassForecaster:
    return fitted()


def saved(model: HourGlassForecaster, directory: Path) -> Path:
    model.save(directory)
    return directory


# --- round trips -----------------------------------------------------------------------------------------------------


def everything() -> tuple[HourGlassForecaster, pd.DataFrame, pd.DataFrame]:
    """Series, a time zone, every kind of covariate with holes, a logarithm, and names that are no text."""
    parts = []
    for number, (name, n) in enumerate({"b": 96, "a": 80}.items()):
        rng = np.random.default_rng(number)
        parts.append(
            pd.DataFrame(
                {
                    "id": name,
                    "t": pd.date_range("2024-10-23", periods=n + 3, freq="h", tz="Europe/Berlin"),
                    "y": np.r_[wave(n, number), [np.nan] * 3],
                    "known": rng.normal(size=n + 3),
                    "kind": np.where(rng.random(n + 3) < 0.5, "x", "y"),
                    "past": np.where(rng.random(n + 3) < 0.4, np.nan, rng.normal(size=n + 3)),
                    "sky": pd.Series(np.where(rng.random(n + 3) < 0.5, "ä", "b")).where(rng.random(n + 3) < 0.6),
                    "size": float(number),
                    "region": f"r{number}",
                }
            )
        )
    frame = pd.concat(parts, ignore_index=True)
    frame.columns = pd.Index([("c", label) for label in frame.columns], tupleize_cols=False)
    model = forecaster(transform="log", quantiles=[0.9, 0.1], shortening_factors=(3, 2)).fit(
        frame[frame[("c", "y")].notna()],
        time=("c", "t"),
        target=("c", "y"),
        series=[("c", "id")],
        known=[("c", "known"), ("c", "kind")],
        past=[("c", "past"), ("c", "sky")],
        static=[("c", "size"), ("c", "region")],
    )
    return model, frame[frame[("c", "y")].notna()], frame[frame[("c", "y")].isna()]


def several_targets() -> tuple[HourGlassForecaster, pd.DataFrame, None]:
    frame = plain_frame().assign(id="s", z=wave(90, 5) - 30)
    return forecaster().fit(frame, time="day", target=["z", "y"], series="id"), frame, None


def integer_time() -> tuple[HourGlassForecaster, pd.DataFrame, None]:
    frame = pd.DataFrame({"t": np.arange(0, 450, 5), "y": wave(90), "id": np.repeat([7, 3], 45)})
    return forecaster(quantiles=()).fit(frame, time="t", target="y", series="id"), frame, None


def category_ids_and_holidays() -> tuple[HourGlassForecaster, pd.DataFrame, None]:
    freq = pd.offsets.CustomBusinessDay(holidays=["2024-05-06", "2024-05-07"])
    days = pd.date_range(end="2024-05-03", periods=80, freq=freq)
    frame = pd.DataFrame({"day": days, "y": wave(80), "id": pd.Categorical(["b"] * 80, ["c", "b", "a"], ordered=True)})
    return forecaster(freq=freq).fit(frame, time="day", target="y", series="id"), frame, None


IN_ANOTHER_PROCESS = """
import sys, pandas as pd
from hourglass_ts import HourGlassForecaster
folder = sys.argv[1]
model = HourGlassForecaster.load(folder + "/model")
known = pd.read_pickle(folder + "/known.pkl")
model.forecast(known=known).to_pickle(folder + "/own.pkl")
model.forecast(pd.read_pickle(folder + "/frame.pkl"), known=known).to_pickle(folder + "/new.pkl")
"""


@pytest.mark.parametrize("case", [everything, several_targets, integer_time, category_ids_and_holidays])
def test_another_process_forecasts_the_same_to_the_last_bit(case: Any, tmp_path: Path) -> None:
    model, frame, known = case()
    model.save(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == FILES
    frame.to_pickle(tmp_path / "frame.pkl")
    pd.to_pickle(known, tmp_path / "known.pkl")
    expected = model.forecast(known=known)
    again = subprocess.run([sys.executable, "-c", IN_ANOTHER_PROCESS, str(tmp_path)], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    for result in ("own", "new"):
        pd.testing.assert_frame_equal(pd.read_pickle(tmp_path / f"{result}.pkl"), expected, check_exact=True)


def test_parameters_notes_and_share_come_back(tmp_path: Path) -> None:
    holey = plain_frame().drop(index=[5, 6])
    model = forecaster(quantiles=(0.25, 0.75), freq="D", time_budget=9.5).fit(holey, time="day", target="y")
    loaded = HourGlassForecaster.load(saved(model, tmp_path / "m"))
    assert loaded.get_params() == model.get_params()
    assert loaded.notes_ == model.notes_
    assert len(loaded.notes_) == 1
    assert loaded.share_ == model.share_
    with pytest.raises(Exception, match="fitted horizon of 3"):
        loaded.forecast(horizon=4)


def test_a_loaded_model_can_be_saved_again_and_fitted_again(model: HourGlassForecaster, tmp_path: Path) -> None:
    loaded = HourGlassForecaster.load(saved(model, tmp_path / "a"))
    twice = HourGlassForecaster.load(saved(loaded, tmp_path / "b"))
    pd.testing.assert_frame_equal(twice.forecast(), model.forecast(), check_exact=True)
    refitted = twice.fit(plain_frame(), time="day", target="y")
    pd.testing.assert_frame_equal(refitted.forecast(), model.forecast(), check_exact=True)


@pytest.mark.parametrize("freq", [pd.offsets.CustomBusinessDay(holidays=["2024-05-06"]), pd.Timedelta(days=1), "D", 5])
def test_a_frequency_comes_back_as_it_works(freq: Any, tmp_path: Path) -> None:
    days: Any = np.arange(0, 450, 5) if freq == 5 else pd.date_range(end="2024-05-03", periods=90, freq=freq)
    frame = pd.DataFrame({"t": days, "y": wave(90)})
    model = forecaster(freq=freq).fit(frame, time="t", target="y")
    loaded = HourGlassForecaster.load(saved(model, tmp_path / "m"))
    refitted = loaded.fit(frame, time="t", target="y")
    pd.testing.assert_frame_equal(refitted.forecast(), model.forecast())


def test_the_training_data_are_not_in_the_file(tmp_path: Path) -> None:
    """Only what a forecast can reach is kept: 14 steps of context, and back to an observed value."""
    long, short = (forecaster().fit(plain_frame(n), time="day", target="y") for n in (3000, 90))
    sizes = [
        sum(path.stat().st_size for path in saved(m, tmp_path / str(n)).iterdir()) for n, m in enumerate((long, short))
    ]
    assert abs(sizes[0] - sizes[1]) < 2000
    assert len(HourGlassForecaster.load(tmp_path / "0").history_.table) == 14


def test_nothing_is_unpickled(model: HourGlassForecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(model, tmp_path / "m")
    expected = model.forecast()

    def forbidden(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("something was unpickled")

    for owner, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(owner, name, forbidden)
    loaded = HourGlassForecaster.load(tmp_path / "m")
    pd.testing.assert_frame_equal(loaded.forecast(), expected, check_exact=True)
    for path in (tmp_path / "m").iterdir():
        assert not path.read_bytes().startswith((b"\x80", b"PK"))  # neither a pickle nor torch's archive of one


def test_loading_leaves_randomness_alone(model: HourGlassForecaster, tmp_path: Path) -> None:
    saved(model, tmp_path / "m")
    before = torch.get_rng_state()
    HourGlassForecaster.load(tmp_path / "m")
    assert torch.equal(torch.get_rng_state(), before)


# --- whole or not at all ---------------------------------------------------------------------------------------------


def test_saving_over_a_model_replaces_it(model: HourGlassForecaster, tmp_path: Path) -> None:
    other = fitted(horizon=2)
    saved(other, tmp_path / "m")
    saved(model, tmp_path / "m")
    assert len(HourGlassForecaster.load(tmp_path / "m").forecast()) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"m"}  # nothing is left beside it
    assert {path.name for path in (tmp_path / "m").iterdir()} == FILES


def test_text_paths_new_parents_and_the_working_directory(
    model: HourGlassForecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.save(str(tmp_path / "new" / "deep") + "/")
    assert len(HourGlassForecaster.load(str(tmp_path / "new" / "deep")).forecast()) == 3
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    model.save(".")
    assert len(HourGlassForecaster.load(tmp_path / "here").forecast()) == 3


@pytest.mark.parametrize("with_model", [True, False])
def test_other_files_are_never_deleted(with_model: bool, model: HourGlassForecaster, tmp_path: Path) -> None:
    if with_model:
        saved(model, tmp_path / "m")
    (tmp_path / "m").mkdir(exist_ok=True)
    (tmp_path / "m" / "thesis.txt").write_text("years of work")
    with pytest.raises(SavedModelError, match=r"thesis\.txt.*Name another directory"):
        model.save(tmp_path / "m")
    assert (tmp_path / "m" / "thesis.txt").read_text() == "years of work"


def test_a_file_in_the_place_of_the_directory(model: HourGlassForecaster, tmp_path: Path) -> None:
    (tmp_path / "m").write_text("mine")
    with pytest.raises(SavedModelError, match=r"a file at .*Name another directory"):
        model.save(tmp_path / "m")
    assert (tmp_path / "m").read_text() == "mine"


@pytest.mark.parametrize("broken", ["save_file", "_sha256", "_swap", "json.dumps", "_panel_state"])
def test_a_save_that_fails_leaves_the_old_model(
    broken: str, model: HourGlassForecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(fitted(horizon=2), tmp_path / "m")

    def fail(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"hourglass_ts.forecast.storage.{broken}", fail)
        with pytest.raises(KeyboardInterrupt):
            model.save(tmp_path / "m")
    assert {path.name for path in tmp_path.iterdir()} == {"m"}
    assert len(HourGlassForecaster.load(tmp_path / "m").forecast()) == 2


def test_a_disk_that_fails_between_the_renames_leaves_the_old_model(
    model: HourGlassForecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(fitted(horizon=2), tmp_path / "m")
    rename = Path.rename

    def fail_at_the_second(self: Path, target: Path) -> Path:
        if Path(target).name == "m" and not self.name.endswith("-old"):
            raise OSError("disk full")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail_at_the_second)
        with pytest.raises(OSError, match="disk full"):
            model.save(tmp_path / "m")
    assert len(HourGlassForecaster.load(tmp_path / "m").forecast()) == 2


@pytest.mark.parametrize("then", ["load", "save"])
def test_a_process_killed_between_the_renames_loses_nothing(
    then: str, model: HourGlassForecaster, tmp_path: Path
) -> None:
    """The old model then lies aside under a hidden name; whoever comes next puts it back first."""
    saved(fitted(horizon=2), tmp_path / "m")
    (tmp_path / "m").rename(tmp_path / ".m-old")
    if then == "load":
        assert len(HourGlassForecaster.load(tmp_path / "m").forecast()) == 2
    else:
        unsaveable = copy.copy(model)
        unsaveable.freq = object()
        with pytest.raises(SavedModelError):
            unsaveable.save(tmp_path / "m")
        assert len(HourGlassForecaster.load(tmp_path / "m").forecast()) == 2


# --- what cannot be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FILES))
def test_missing_truncated_and_altered_files(name: str, model: HourGlassForecaster, tmp_path: Path) -> None:
    source = saved(model, tmp_path / "whole")
    content = (source / name).read_bytes()
    middle = len(content) // 2
    altered = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    for number, changed in enumerate((None, b"", content[:-20], altered)):
        target = shutil.copytree(source, tmp_path / str(number))
        (target / name).unlink() if changed is None else (target / name).write_bytes(changed)
        with pytest.raises(SavedModelError, match=r"(without|altered or cut short).*(save|Copy)") as caught:
            HourGlassForecaster.load(target)
        assert name in str(caught.value)


@pytest.mark.parametrize("path", ["nowhere", "empty", "file"])
def test_no_model_there(path: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(SavedModelError, match=r"a directory that save\(\) wrote"):
        HourGlassForecaster.load(tmp_path / path)


def test_a_newer_schema_says_to_install_a_newer_release(model: HourGlassForecaster, tmp_path: Path) -> None:
    target = saved(model, tmp_path / "m")
    state = json.loads((target / "model.json").read_text())
    state["schema_version"] = newer = storage.SCHEMA_VERSION + 1
    (target / "model.json").write_text(json.dumps(state))
    sums = json.loads((target / "checksums.json").read_text())
    sums["model.json"] = hashlib.sha256((target / "model.json").read_bytes()).hexdigest()
    (target / "checksums.json").write_text(json.dumps(sums))
    with pytest.raises(SavedModelError, match=rf"schema version {newer}.*at most {newer - 1}.*newer hourglass_ts"):
        HourGlassForecaster.load(target)


@pytest.mark.parametrize("kind", ["uuid", "date", "timedelta", "numpy date"])
def test_ids_that_json_cannot_hold_are_refused_and_the_model_lives_on(kind: str, tmp_path: Path) -> None:
    ids: dict[str, Any] = {
        "uuid": uuid.UUID(int=5),
        "date": datetime.date(2024, 1, 1),
        "timedelta": pd.Timedelta(days=1),
        "numpy date": np.datetime64("2024-01-01", "ns"),
    }
    frame = plain_frame().assign(id=pd.Series([ids[kind]] * 90, dtype=object))
    model = forecaster().fit(frame, time="day", target="y", series="id")
    before = model.forecast()
    with pytest.raises(SavedModelError, match="series with a value of type"):
        model.save(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []
    pd.testing.assert_frame_equal(model.forecast(), before)


@pytest.mark.parametrize("ids", [[True, False], [1.5, -0.1], [pd.Timestamp("2024-01-01"), pd.Timestamp("2025-01-01")]])
def test_ids_of_other_types_come_back(ids: list[Any], tmp_path: Path) -> None:
    frame = pd.concat([plain_frame().assign(id=value) for value in ids])
    model = forecaster().fit(frame, time="day", target="y", series="id")
    loaded = HourGlassForecaster.load(saved(model, tmp_path / "m"))
    pd.testing.assert_frame_equal(loaded.forecast(), model.forecast(), check_exact=True)
    pd.testing.assert_frame_equal(loaded.forecast(frame), model.forecast(frame), check_exact=True)
