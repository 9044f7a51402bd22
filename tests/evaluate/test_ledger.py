"""What is written into a ledger stays, once and whole; a file that is another's or broken is refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from hourglass_ts.errors import SavedModelError, SettingsError
from hourglass_ts.evaluate.ledger import FILE, Ledger


def rows(seed: int = 0, n: int = 5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "unit": rng.integers(9, size=n).astype(np.int32),
        "lead": np.arange(n, dtype=np.int64),
        "forecast": np.where(np.arange(n) == 2, np.nan, rng.normal(size=n)),
        "q0.1": np.array([np.inf, -np.inf, 1e-300, 0.1 + 0.2, -0.0])[:n],
    }


def assert_same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert list(found) == list(wanted)
    for name in wanted:
        assert found[name].dtype == wanted[name].dtype
        np.testing.assert_array_equal(found[name], wanted[name])


@pytest.mark.parametrize("in_memory", [True, False])
def test_rows_come_back_as_they_were(tmp_path: Path, in_memory: bool) -> None:
    ledger = Ledger(None if in_memory else tmp_path / "a" / "b", "x")
    ledger.add_forecasts("m", {2: rows(2), 0: rows(0), 1: rows(0, 0)}, 3.0)
    ledger.add_forecasts("other", {7: rows(7)}, 1.0)
    found = ledger.forecasts("m")
    assert list(found) == [0, 1, 2]
    assert_same(found[0], rows(0))
    assert_same(found[1], rows(0, 0))
    assert_same(found[2], rows(2))
    assert ledger.done("m") == {0, 1, 2}
    assert ledger.done("other") == {7}
    assert ledger.done("stranger") == set()
    assert ledger.forecasts("stranger") == {}
    ledger.close()
    assert (tmp_path / "a" / "b" / FILE).exists() == (not in_memory)


def test_it_goes_on_where_it_ended(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "x")
    ledger.add_forecasts("m", {0: rows(0)}, 1.0)
    ledger.add_fit("m", 0, 5.0)
    again = Ledger(tmp_path, "x")  # while the first is open, as after a kill
    assert again.done("m") == {0}
    again.add_forecasts("m", {1: rows(1)}, 1.0)
    assert ledger.done("m") == {0, 1}
    assert_same(again.forecasts("m")[0], rows(0))


def test_the_first_rows_of_a_fold_stay() -> None:
    ledger = Ledger(None, "")
    ledger.add_forecasts("m", {0: rows(0)}, 1.0)
    ledger.add_forecasts("m", {0: rows(9), 1: rows(1)}, 1.0)
    assert_same(ledger.forecasts("m")[0], rows(0))
    assert_same(ledger.forecasts("m")[1], rows(1))


def test_costs() -> None:
    ledger = Ledger(None, "")
    assert ledger.costs("m") == {"fit_seconds": 0.0, "forecast_seconds": 0.0, "fits": 0}
    ledger.add_fit("m", 0, 2.0)
    ledger.add_fit("m", 0, 100.0)  # the first time counts
    ledger.add_fit("m", 1, 3.0)
    ledger.add_fit("n", 0, 50.0)
    ledger.add_forecasts("m", {0: rows(), 1: rows(), 2: rows()}, 6.0)
    ledger.add_forecasts("m", {}, 0.0)
    assert ledger.costs("m") == {"fit_seconds": 5.0, "forecast_seconds": pytest.approx(6.0), "fits": 2}


def test_another_run_is_refused_and_the_file_stays_the_firsts(tmp_path: Path) -> None:
    first = Ledger(tmp_path, "x")
    first.add_forecasts("m", {0: rows()}, 1.0)
    first.close()
    for _ in range(2):
        with pytest.raises(SettingsError, match=r"another backtest.*Name another folder"):
            Ledger(tmp_path, "y")
    assert Ledger(tmp_path, "x").done("m") == {0}


def broken_file(folder: Path) -> None:
    (folder / FILE).write_bytes(b"no database at all" * 100)


def torn_file(folder: Path) -> None:
    """The head, with the tables' names, is whole; the rows are not."""
    ledger = Ledger(folder, "x")
    for fold in range(300):
        ledger.add_forecasts("m", {fold: rows(fold)}, 1.0)
    ledger.close()
    data = bytearray((folder / FILE).read_bytes())
    data[3 * 4096 :] = b"\xff" * (len(data) - 3 * 4096)
    (folder / FILE).write_bytes(bytes(data))


def other_tables(folder: Path) -> None:
    with sqlite3.connect(folder / FILE) as database:
        database.execute("CREATE TABLE run (one TEXT, two TEXT)")


@pytest.mark.parametrize("spoil", [broken_file, torn_file, other_tables], ids=lambda spoil: spoil.__name__)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, spoil: object) -> None:
    spoil(tmp_path)  # type: ignore[operator]
    with pytest.raises(SavedModelError, match=r"backtest\.sqlite that cannot be read or written.*Name another"):
        Ledger(tmp_path, "x")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("something")
    with pytest.raises(SavedModelError, match="Name another"):
        Ledger(tmp_path / "file", "x")
    assert (tmp_path / "file").read_text() == "something"
