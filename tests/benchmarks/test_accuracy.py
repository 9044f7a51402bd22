"""The accuracy program: the same windows for every model, cells that are kept, and tables that name what is lost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # programs import each other by bare names, found from here on

import accuracy  # noqa: E402
import accuracy_tables as tables  # noqa: E402
import long_models  # noqa: E402
from cells import M4, Cell  # noqa: E402
from long_horizon import MOST_GROUPS, Windows, group_means, score_test  # noqa: E402
from peers.training import Peer, TrainedPeer, rate_share, train  # noqa: E402
from peers.upstream import UpstreamPeer  # noqa: E402

CONTEXT, HORIZON, N_CHANNELS = 8, 3, 2


@pytest.fixture
def windows() -> Windows:
    values = np.random.default_rng(0).normal(size=(90, N_CHANNELS)).cumsum(0).astype(np.float32)
    return Windows(values, validation=50, test=65, end=85, context=CONTEXT, horizon=HORIZON)


# --- windows and scores -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("part", "first", "stop"), [("training", 0, 50), ("validation", 50, 65), ("test", 65, 85)])
def test_a_part_has_every_window_whose_targets_lie_in_it(windows: Windows, part: str, first: int, stop: int) -> None:
    wanted = [
        origin
        for origin in range(len(windows.values))
        if origin - CONTEXT + 1 >= 0 and origin + 1 >= first and origin + HORIZON < stop
    ]
    assert windows.origins(part).tolist() == wanted


def test_the_published_number_of_test_windows() -> None:
    month = 30 * 24
    etth1 = Windows(np.zeros((20 * month, 7), np.float32), 12 * month, 16 * month, 20 * month, 512, 96)
    assert len(etth1.origins("test")) == 2785
    assert len(etth1.origins("training")) == 8640 - 512 - 96 + 1


def test_windows_come_back_from_their_file(windows: Windows, tmp_path: Path) -> None:
    windows.write(tmp_path / "rows.npz")
    again = Windows.read(tmp_path / "rows.npz", CONTEXT, HORIZON)
    assert (again.validation, again.test, again.end) == (50, 65, 85)
    np.testing.assert_array_equal(again.values, windows.values)


def slow_errors(windows: Windows, forecast: np.ndarray) -> tuple[float, float]:
    """MSE and MAE, number by number."""
    squared, absolute = [], []
    for place, origin in enumerate(windows.origins("test")):
        for lead in range(HORIZON):
            for channel in range(N_CHANNELS):
                error = float(forecast[place, lead, channel]) - float(windows.values[origin + 1 + lead, channel])
                squared.append(error**2)
                absolute.append(abs(error))
    return sum(squared) / len(squared), sum(absolute) / len(absolute)


def check_scores(windows: Windows, forecast: np.ndarray, scored: np.ndarray) -> None:
    """What `score_test` says of `scored` against the slow errors of `forecast`."""
    first = int(windows.origins("test")[0])
    found = score_test(lambda origins: scored[origins - first], windows)
    np.testing.assert_allclose((found["mse"], found["mae"]), slow_errors(windows, forecast), rtol=1e-6)
    np.testing.assert_allclose(np.mean(found["errors"]), found["mse"], rtol=1e-4)


def test_scores_are_those_of_a_slow_loop(windows: Windows) -> None:
    forecast = np.random.default_rng(1).normal(size=(len(windows.origins("test")), HORIZON, N_CHANNELS))
    check_scores(windows, forecast, forecast)


@pytest.mark.parametrize("wrong", ["one lead late", "channels exchanged", "one number off"])
def test_the_check_of_scores_is_red_on_a_wrong_answer(windows: Windows, wrong: str) -> None:
    forecast = np.random.default_rng(1).normal(size=(len(windows.origins("test")), HORIZON, N_CHANNELS))
    altered = {"one lead late": np.roll(forecast, 1, 1), "channels exchanged": forecast[..., ::-1]}.get(wrong)
    if altered is None:
        altered = forecast.copy()
        altered[0, 0, 0] += 1.0
    with pytest.raises(AssertionError):
        check_scores(windows, forecast, altered)


@pytest.mark.parametrize("made", [np.zeros((1, HORIZON, N_CHANNELS)), np.full((18, HORIZON, N_CHANNELS), np.nan)])
def test_a_forecast_that_is_none_is_refused(windows: Windows, made: np.ndarray) -> None:
    with pytest.raises(ValueError, match="forecast of shape"):
        score_test(lambda origins: made, windows)


def test_groups_are_neighbours_in_order_and_of_one_size() -> None:
    means = group_means(np.arange(1000.0))
    sizes = [len(part) for part in np.array_split(np.arange(1000), MOST_GROUPS)]
    assert len(means) == MOST_GROUPS
    assert max(sizes) - min(sizes) <= 1
    assert means == sorted(means)
    assert len(group_means(np.arange(7.0))) == 7


# --- models -----------------------------------------------------------------------------------------------------------


def slow_rule(name: str, past: np.ndarray, lead: int) -> float:
    """One number of a simple forecast; the season is 4."""
    if name == "naive":
        return past[-1]
    if name == "seasonal-naive":
        return (list(past[-4:]) * HORIZON)[lead - 1]
    return past[-1] + lead * (past[-1] - past[0]) / (len(past) - 1)


@pytest.mark.parametrize("name", ["naive", "seasonal-naive", "drift"])
def test_simple_forecasts_are_those_of_a_loop(windows: Windows, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_models, "season", lambda data: 4)
    origins = windows.origins("test")
    made = long_models.fit(name, "any", windows, 1.0, 0).forecast(origins)
    for place, origin in enumerate(origins):
        for channel in range(N_CHANNELS):
            past = windows.values[origin - CONTEXT + 1 : origin + 1, channel]
            wanted = [slow_rule(name, past, lead) for lead in range(1, HORIZON + 1)]
            np.testing.assert_allclose(made[place, :, channel], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("part", ["training", "validation", "test"])
def test_the_ridge_is_fitted_on_the_same_windows(windows: Windows, part: str) -> None:
    origins = windows.origins(part)
    for stretch in long_models.stretches(windows, part):
        past = stretch.values[stretch.origins[:, None] + torch.arange(1 - CONTEXT, 1)]
        future = stretch.values[stretch.origins[:, None] + torch.arange(1, HORIZON + 1)]
        np.testing.assert_array_equal(past, windows.inputs(origins)[..., stretch.code])
        np.testing.assert_array_equal(future, windows.targets(origins)[..., stretch.code])
        assert bool(stretch.observed.all())


def test_the_ridge_forecasts_as_its_floor_does(windows: Windows) -> None:
    ridge, origins = long_models.Ridge(windows, refit=True), windows.origins("test")
    inputs = torch.from_numpy(windows.inputs(origins))
    for channel in range(N_CHANNELS):
        code = torch.full((len(origins),), channel)
        wanted = ridge.floor(inputs[..., channel], torch.ones(inputs.shape[:2], dtype=torch.bool), code)
        np.testing.assert_allclose(ridge.forecast(origins)[..., channel], wanted.numpy(), atol=1e-5)


def test_hourglass_forecasts_every_window_from_what_was_known(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal([0.0, 100.0], size=(150, N_CHANNELS)).astype(np.float32)
    windows = Windows(values, 100, 120, 150, CONTEXT, HORIZON)
    monkeypatch.setattr(long_models, "times", lambda data, n: pd.date_range("2000", periods=n, freq="h"))
    model, origins = long_models.HourGlass("any", windows, 1.0, 0), windows.origins("test")
    made = model.forecast(origins)
    np.testing.assert_allclose(made, windows.targets(origins), atol=20.0)  # every channel at its own level
    model.frame.iloc[origins[5] + 1 :, 1:] = 0.0
    np.testing.assert_allclose(model.forecast(origins)[:6], made[:6], rtol=1e-5, atol=1e-6)
    alone = model.forecast(origins[3:4])
    np.testing.assert_allclose(alone[0], made[3], rtol=1e-5, atol=1e-6)


class Echo(Peer):
    """Forecasts the last value, plus a number that is learnt."""

    def __init__(self, together: bool) -> None:
        super().__init__()
        self.together, self.batch, self.learning_rate = together, 8, 0.05
        self.offset = torch.nn.Parameter(torch.zeros(1))

    def outputs(self, inputs: torch.Tensor, channels: torch.Tensor, origins: torch.Tensor) -> torch.Tensor:
        return inputs[:, -1:].expand(-1, HORIZON, -1) + self.offset


@pytest.mark.parametrize("together", [False, True])
def test_peers_see_the_same_windows(windows: Windows, together: bool) -> None:
    origins = windows.origins("test")
    wanted = np.repeat(windows.values[origins][:, None], HORIZON, axis=1)
    np.testing.assert_array_equal(TrainedPeer(Echo(together), windows).forecast(origins), wanted)


@pytest.mark.parametrize("together", [False, True])
def test_a_peer_learns_and_is_left_at_its_best_weights(windows: Windows, together: bool) -> None:
    climbing = Windows(windows.values + np.arange(90, dtype=np.float32)[:, None], 50, 65, 85, CONTEXT, HORIZON)
    peer = Echo(together)
    before = TrainedPeer(peer, climbing).validation_error()
    trained = train(peer, climbing, budget=0.4, seed=0, begun=time.process_time())
    best = min(error for _, error in trained.facts["curve"])
    assert trained.validation_error() == pytest.approx(best, abs=1e-5)
    assert best < before
    assert trained.facts["chosen"]["validation_mse"] == pytest.approx(best)


def test_the_learning_rate_rises_and_falls_with_the_budget() -> None:
    rates = [rate_share(share) for share in (0.0, 0.02, 0.05, 0.5, 1.0)]
    assert rates[0] < rates[1] < rates[2] > rates[3] > rates[4]
    assert rates[4] == pytest.approx(0.0)


def test_upstream_peers_see_the_same_windows(windows: Windows) -> None:
    seen = {}

    class Watcher(UpstreamPeer):
        network = SimpleNamespace

    peer = Watcher(windows, relative_time=False)
    peer.__dict__["network"] = lambda x: seen.update(x) or {"prediction": x["decoder_target"][..., None]}
    channels, origins = torch.tensor([1, 0, 1]), torch.tensor([7, 66, 81])
    made = peer.outputs(torch.empty(0), channels, origins)
    rows, picked = np.arange(3), channels.numpy()
    np.testing.assert_allclose(seen["encoder_cont"][..., 0], windows.inputs(origins.numpy())[rows, :, picked])
    np.testing.assert_allclose(made[..., 0], windows.targets(origins.numpy())[rows, :, picked])


# --- the grid ---------------------------------------------------------------------------------------------------------

CELLS = [Cell("etth1", 512, 96, model, 0, 1.0) for model in ("naive", "ridge", "patchtst")]


def write_cell(ran: list[str], cell: Cell, path: Path, temporary: Path) -> None:
    if cell.model == "ridge" and not ran.count(cell.name):
        ran.append(cell.name)
        raise subprocess.CalledProcessError(1, "cells.py", stderr="Traceback\nValueError: no such thing")
    ran.append(cell.name)
    path.write_text("{}")


def test_cells_are_kept_and_a_crash_costs_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(accuracy, "run_cell", lambda *arguments: write_cell(ran, *arguments))
    failures = accuracy.fill(CELLS, tmp_path, tmp_path, fresh=False)
    assert failures == {"etth1-512-96-ridge-seed0": "ValueError: no such thing"}
    assert len(ran) == 3
    assert accuracy.fill(CELLS, tmp_path, tmp_path, fresh=False) == {}
    assert ran[3:] == ["etth1-512-96-ridge-seed0"]  # the one that was not there
    accuracy.fill(CELLS, tmp_path, tmp_path, fresh=False)
    assert len(ran) == 4
    accuracy.fill(CELLS, tmp_path, tmp_path, fresh=True)
    assert len(ran) == 7


def test_the_grid_has_each_cell_once_and_what_draws_no_number_one_seed() -> None:
    options = SimpleNamespace(
        data="etth1,m4-weekly", context=512, horizons="96,192", models="naive,hourglass,tft", seeds=2, budget=5.0
    )
    cells = list(accuracy.grid(options))
    names = [cell.name for cell in cells]
    assert len(set(names)) == len(names)
    assert sum(cell.model == "naive" for cell in cells) == 3
    assert sum(cell.model == "tft" for cell in cells) == 4
    assert {(cell.context, cell.horizon) for cell in cells if cell.data == M4} == {(52, 13)}


def test_a_cell_runs_in_a_process_of_its_own(windows: Windows, tmp_path: Path) -> None:
    windows.write(tmp_path / "etth1.npz")
    cell, path = Cell("etth1", CONTEXT, HORIZON, "naive", 0, 1.0), tmp_path / "cell.json"
    accuracy.run_cell(cell, path, tmp_path)
    record = json.loads(path.read_text())
    naive = np.repeat(windows.values[windows.origins("test")][:, None], HORIZON, axis=1)
    np.testing.assert_allclose((record["mse"], record["mae"]), slow_errors(windows, naive), rtol=1e-5)
    assert record["peak_mib"] > 10
    assert record["versions"]["numpy"]


# --- the tables -------------------------------------------------------------------------------------------------------


def fake(model: str, level: float, horizon: int = 96, seed: int = 0, **other: object) -> dict:
    """A cell whose errors lie around a level, with the same noise for all models."""
    noise = np.random.default_rng(horizon).normal(size=400)
    errors = level + 0.1 * noise + 0.001 * np.random.default_rng(len(model)).normal(size=400)
    record = {
        **{"data": "etth1", "context": 512, "horizon": horizon, "model": model, "seed": seed, "budget": 120.0},
        **{"mse": float(errors.mean()), "mae": 0.5, "errors": errors.tolist(), "n_origins": 2785, "seconds": 1.0},
        **{"forecast_seconds": 1.0, "parameters": 5, "peak_mib": 7.0, "share": None, "curve": None},
        **{"machine": "a machine", "commit": "abc", "versions": {"torch": "2"}},
    }
    return record | other


def test_the_tables_name_wins_losses_and_ties() -> None:
    cells = [fake("hourglass", 0.4), fake("dlinear", 0.5), fake("patchtst", 0.3), fake("ridge", 0.4)]
    text = tables.page(cells)
    rows = {
        row.split(" | ")[3]: row for row in text.splitlines() if row.startswith("| etth1 | 512 | 96 |") and "…" in row
    }
    assert rows["dlinear"].endswith("| win |")
    assert rows["patchtst"].endswith("| loss |")
    assert rows["ridge"].endswith("| tie |")
    assert "| patchtst | 0 | 1 | 0 | 0 |" in text


def test_ranks_are_over_the_tasks_that_all_ranked_models_have() -> None:
    cells = [fake(model, level, h) for model, level in (("a", 1.0), ("b", 2.0), ("c", 3.0)) for h in (96, 192, 336)]
    cells = [cell for cell in cells if (cell["model"], cell["horizon"]) != ("b", 336)]
    cells.append(fake("late", 0.1, 96))
    ranks, tasks = tables.mean_ranks(tables.measured(cells))
    assert ranks.to_dict() == {"a": 1.0, "b": 2.0, "c": 3.0}
    assert [task[2] for task in tasks] == [96, 192]
    assert "Not ranked, as they do not have all of these yet: late." in tables.page(cells)


def test_cells_of_other_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="different windows"):
        tables.page([fake("hourglass", 0.4), fake("ridge", 0.4, n_origins=2784)])


@pytest.mark.parametrize(("horizon", "n_origins", "block"), [(96, 2785, 28), (720, 2161, 133)])
def test_a_block_covers_two_horizons_or_a_third(horizon: int, n_origins: int, block: int) -> None:
    assert tables.block_of(horizon, n_origins, 400) == block


def test_seconds_to_the_reference_are_read_from_the_curves() -> None:
    cells = [
        fake("patchtst", 0.4, curve=[[1.0, 0.9], [50.0, 0.5], [80.0, 0.6]]),
        fake("tide", 0.4, curve=[[2.0, 0.8], [7.0, 0.4]]),
        fake("nhits", 0.4, curve=[[2.0, 0.8]]),
    ]
    assert "| etth1 | 512 | 96 | 0.5000 | 50 | – | 7 |" in tables.speed_text(cells)


def test_measures_have_the_names_of_the_contract() -> None:
    measures: dict[str, float] = {}
    weekly = {"smape": 6.0, "mase": 2.0, "owa": 0.7, "mse": None}
    cells = [fake("ridge", 0.4), fake("ridge", 0.6, seed=1), fake("hourglass", 0.4, data=M4, **weekly)]
    tables.add_measures(SimpleNamespace(add=measures.__setitem__), cells)
    assert measures["mse:etth1:512:96:ridge"] == pytest.approx(0.5, abs=0.01)
    assert measures["owa:m4-weekly:hourglass"] == 0.7
    assert set(measures) >= {"mae:etth1:512:96:ridge", "seconds:etth1:512:96:ridge", "mean_rank:ridge"}


def test_without_cells_there_is_a_page_all_the_same() -> None:
    assert tables.page([]) == "No cells yet.\n"
