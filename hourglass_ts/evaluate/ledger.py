"""The results of a backtest as they come in: an SQLite file that survives a kill, or memory."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hourglass_ts.errors import Problem, SavedModelError, SettingsError, raise_problem

FILE = "backtest.sqlite"
TABLES = """
CREATE TABLE IF NOT EXISTS run (fingerprint TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS fits (model TEXT, fit INTEGER, seconds REAL, PRIMARY KEY (model, fit));
CREATE TABLE IF NOT EXISTS forecasts (model TEXT, fold INTEGER, seconds REAL, rows BLOB, PRIMARY KEY (model, fold));
"""


class Ledger:
    """Which fold of which model is done, and what it gave; each is written once, and whole.

    folder: where the file is made or gone on with; None keeps all in memory.  fingerprint: of data, settings and
    models; another run's file is refused.
    """

    def __init__(self, folder: Path | None, fingerprint: str) -> None:
        self.folder = folder
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(":memory:" if folder is None else folder / FILE, timeout=60)
            with self._database:
                (sound,) = self._database.execute("PRAGMA quick_check(1)").fetchone()
                if sound != "ok":
                    raise sqlite3.DatabaseError("the file is damaged")
                self._database.executescript(TABLES)
                self._database.execute("INSERT OR IGNORE INTO run VALUES (?)", (fingerprint,))
                runs = self._database.execute("SELECT count(*) FROM run").fetchone()[0]
                if runs > 1:
                    self._database.execute("DELETE FROM run WHERE fingerprint = ?", (fingerprint,))
        except (sqlite3.DatabaseError, OSError) as error:
            found = f"{folder} with a {FILE} that cannot be read or written ({error})"
            raise_problem(SavedModelError, Problem(found, "a folder of an earlier run, or a new one", "Name another."))
        if runs > 1:
            found = f"{folder} with the folds of another backtest (other data, models or settings)"
            hint = "Name another folder, or delete this one."
            raise_problem(SettingsError, Problem(found, "the same backtest, to go on with, or a new folder", hint))

    def done(self, model: str) -> set[int]:
        """The folds of a model that are there."""
        rows = self._database.execute("SELECT fold FROM forecasts WHERE model = ?", (model,))
        return {fold for (fold,) in rows}

    def add_fit(self, model: str, fit: int, seconds: float) -> None:
        """Note how long a fit took; the first time counts."""
        with self._database:
            self._database.execute("INSERT OR IGNORE INTO fits VALUES (?, ?, ?)", (model, fit, seconds))

    def add_forecasts(self, model: str, folds: Mapping[int, Mapping[str, np.ndarray]], seconds: float) -> None:
        """Write the rows of some folds in one transaction; a fold that is there already stays as it is."""
        share = seconds / max(len(folds), 1)
        with self._database:
            self._database.executemany(
                "INSERT OR IGNORE INTO forecasts VALUES (?, ?, ?, ?)",
                [(model, fold, share, _packed(rows)) for fold, rows in folds.items()],
            )

    def forecasts(self, model: str) -> dict[int, dict[str, np.ndarray]]:
        """The rows of every fold of a model, in order."""
        query = "SELECT fold, rows FROM forecasts WHERE model = ? ORDER BY fold"
        return {fold: _unpacked(rows) for fold, rows in self._database.execute(query, (model,))}

    def costs(self, model: str) -> dict[str, float]:
        """Seconds of all fits and all forecasts, and the number of fits."""
        fits = self._database.execute("SELECT total(seconds), count(*) FROM fits WHERE model = ?", (model,)).fetchone()
        query = "SELECT total(seconds) FROM forecasts WHERE model = ?"
        (forecasts,) = self._database.execute(query, (model,)).fetchone()
        return {"fit_seconds": fits[0], "forecast_seconds": forecasts, "fits": fits[1]}

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _packed(rows: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as bytes, without pickle: their names and types in a line of JSON, then the numbers."""
    buffer = io.BytesIO()
    head = json.dumps({name: [array.dtype.str, len(array)] for name, array in rows.items()})
    buffer.write(head.encode() + b"\n")
    for array in rows.values():
        buffer.write(np.ascontiguousarray(array).tobytes())
    return buffer.getvalue()


def _unpacked(data: bytes) -> dict[str, np.ndarray]:
    head, _, body = data.partition(b"\n")
    rows: dict[str, Any] = {}
    place = 0
    for name, (kind, length) in json.loads(head).items():
        rows[name] = np.frombuffer(body, dtype=kind, count=length, offset=place)
        place += rows[name].nbytes
    return rows
