"""One cell of the accuracy grid: a model on a data set, context, horizon and seed, in a process of its own.

    python benchmarks/cells.py '{"data": "etth1", …}' WINDOWS.npz CELL.json

`accuracy.py` calls it so for every cell, with the interpreter of the model's environment: the peak of memory is the
cell's own, and a crash costs no other. This module itself needs numpy alone.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common import commit, machine, versions
from long_horizon import Windows, score_test

NEURAL = ("dlinear", "nlinear", "patchtst", "itransformer", "nhits", "tide")  # of the peers' environment
UPSTREAM = ("tft", "upstream-nhits")
OURS = ("hourglass", "hourglass-no-floor")
SIMPLE = ("naive", "seasonal-naive", "drift", "ridge", "ridge+validation")
M4 = "m4-weekly"


@dataclass(frozen=True)
class Cell:
    """What names a cell, and the CPU seconds that its training may take."""

    data: str
    context: int
    horizon: int
    model: str
    seed: int
    budget: float

    @property
    def name(self) -> str:
        """The name of the cell's file, less its ending."""
        return f"{self.data}-{self.context}-{self.horizon}-{self.model}-seed{self.seed}"


def run(cell: Cell, file: Path) -> dict[str, Any]:
    """Fit and score the model, and tell what it was measured on."""
    record = score_m4(cell) if cell.data == M4 else score_long(cell, file)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    own = {"neuralforecast": version("neuralforecast")} if cell.model in NEURAL else {}
    made_on = {"machine": machine(), "commit": commit(), "versions": versions() | own}
    return asdict(cell) | record | {"peak_mib": round(peak, 1)} | made_on


def score_long(cell: Cell, file: Path) -> dict[str, Any]:
    """A long-horizon cell, on the windows of a file."""
    windows = Windows.read(file, cell.context, cell.horizon)
    module = "peers.neural" if cell.model in NEURAL else "peers.upstream" if cell.model in UPSTREAM else "long_models"
    fit = import_module(module).fit
    begun = time.process_time()
    fitted = fit(cell.model, cell.data, windows, cell.budget, cell.seed)
    done = time.process_time()
    record = score_test(fitted.forecast, windows)
    seconds = {"seconds": done - begun, "forecast_seconds": time.process_time() - done}
    return {"share": None, "curve": None, "chosen": None} | fitted.facts | seconds | record


def score_m4(cell: Cell) -> dict[str, Any]:
    """A cell of M4 Weekly."""
    return import_module("m4_weekly").score_m4(cell.model, cell.seed)


def main() -> None:
    settings, file, path = sys.argv[1:]
    import_module("torch").set_num_threads(1)
    record = run(Cell(**json.loads(settings)), Path(file))
    fresh = Path(path).with_suffix(".part")
    fresh.write_text(json.dumps(record, indent=None) + "\n", encoding="utf-8")
    os.replace(fresh, path)


if __name__ == "__main__":
    main()
