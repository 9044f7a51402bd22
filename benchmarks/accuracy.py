"""Accuracy on the field's own tables: long horizons on every test window, and M4 Weekly by the competition's rules.

    python benchmarks/accuracy.py --data etth1,weather --horizons 96,336 --models ridge,hourglass,patchtst --seeds 3
    python benchmarks/accuracy.py --data m4-weekly --models naive,ridge,hourglass,hourglass-no-floor --seeds 3
    python benchmarks/accuracy.py --tables

Long horizons: splits as published (ETT 12/4/4 months, others 70/10/20 %), every channel standardised by its training
part, all test windows at stride 1, MSE and MAE averaged over channels and leads. Every model reads the same rows from
one file, and has one thread and the same budget of CPU seconds; `long_models.py` and `peers/` say what each model is.
M4 Weekly has a context and horizon of its own, and no budget.

The grid of data, context, horizon, model and seed is filled cell by cell: each is a file in `--cells`, kept, and not
run again unless `--fresh`. The tables are made of all cells that are there, whoever ran them. Models that draw no
random number have one seed. The peers of neuralforecast get an environment of their own, made at their first cell
(peers/requirements.txt). Data are found through HOURGLASS_TS_DATA, or downloaded.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from accuracy_tables import add_measures, page
from cells import M4, NEURAL, OURS, SIMPLE, UPSTREAM, Cell
from common import Report, arguments
from long_data import LongData
from m4_weekly import CONTEXT, HORIZON
from m4_weekly import MODELS as M4_MODELS
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

HERE = Path(__file__).parent
CELLS = HERE / "results" / "accuracy"
PEERS = HERE / "peers"
MODELS = (*SIMPLE, *OURS, *NEURAL, *UPSTREAM)
QUICK = {
    "data": "etth1",
    "context": 96,
    "horizons": "96",
    "models": "naive,ridge,upstream-nhits,hourglass",
    "seeds": 1,
    "budget": 4.0,
    "cells": None,
    "fresh": True,
}


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "cells" if options.cells is None else options.cells
        report, failures = Report(), {}
        if not options.tables:
            failures = fill(list(grid(options)), folder, Path(temporary), fresh=options.fresh)
        cells = read_cells(folder)
        text = page(cells)
        print(text)
        folder.with_suffix(".md").write_text(text, encoding="utf-8")
        add_measures(report, cells)
        report.write(options.json)
    for name, reason in failures.items():
        print(f"FAILED {name}: {reason}", file=sys.stderr)
    sys.exit(1 if failures else 0)


def parse() -> argparse.Namespace:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--data", default="etth1,ettm1,weather,exchange,m4-weekly")
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--horizons", default="96,192,336,720")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=120.0, help="CPU seconds of training per cell")
    parser.add_argument("--cells", type=Path, default=CELLS, help="the folder of the cells")
    parser.add_argument("--fresh", action="store_true", help="run cells again that are there")
    parser.add_argument(
        "--tables", action="store_true", help="run nothing; make the tables of the cells that are there"
    )
    options = parser.parse_args()
    unknown = set(options.models.split(",")) - set(MODELS)
    if unknown:
        parser.error(f"no model {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
    if options.quick:
        vars(options).update(QUICK)
    return options


def grid(options: argparse.Namespace) -> Iterator[Cell]:
    """Every cell that was asked for: seed by seed, horizon by horizon, model by model, so that tables fill evenly."""
    names, models = options.data.split(","), options.models.split(",")
    long = [name for name in names if name != M4]
    for seed in range(options.seeds):
        drawn = [model for model in models if seed == 0 or model not in SIMPLE]
        if M4 in names:
            yield from (Cell(M4, CONTEXT, HORIZON, model, seed, 0.0) for model in drawn if model in M4_MODELS)
        for horizon in map(int, options.horizons.split(",")):
            for model in drawn:
                for name in long:
                    yield Cell(name, options.context, horizon, model, seed, options.budget)


def fill(cells: list[Cell], folder: Path, temporary: Path, *, fresh: bool) -> dict[str, str]:
    """Run the cells that are not there. Returns the names of those that failed, and why."""
    folder.mkdir(parents=True, exist_ok=True)
    failures = {}
    missing = [cell for cell in cells if fresh or not (folder / f"{cell.name}.json").exists()]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=len(cells), completed=len(cells) - len(missing))
        for cell in missing:
            progress.update(bar, description=cell.name)
            try:
                run_cell(cell, folder / f"{cell.name}.json", temporary)
            except subprocess.CalledProcessError as error:
                lines = (error.stderr or "").strip().splitlines()
                failures[cell.name] = lines[-1] if lines else f"exit status {error.returncode}"
            progress.advance(bar)
            if not sys.stderr.isatty():
                print(f"{'failed' if cell.name in failures else 'done'} {cell.name}", file=sys.stderr, flush=True)
    return failures


def run_cell(cell: Cell, path: Path, temporary: Path) -> None:
    """Run one cell in a process of its own, with one thread."""
    windows = temporary / f"{cell.data}.npz"
    if cell.data != M4 and not windows.exists():
        LongData.load(cell.data).windows(cell.context, cell.horizon).write(windows)
    python = peers_python() if cell.model in NEURAL else Path(sys.executable)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [python, HERE / "cells.py", json.dumps(asdict(cell)), windows, path]
    subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | threads)


def peers_python() -> Path:
    """The interpreter of the peers' environment, which is made if it is not there: torch first and alone, as pinned."""
    folder = PEERS / ".venv"
    python, done = folder / "bin" / "python", folder / ".installed"
    if not done.exists():
        requirements = PEERS / "requirements.txt"
        torch = next(line for line in requirements.read_text().splitlines() if line.startswith("torch=="))
        venv.create(folder, with_pip=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        for wanted in ([torch], ["-r", requirements]):
            subprocess.run([*pip, *wanted], check=True, capture_output=True, text=True)
        done.touch()
    return python


def read_cells(folder: Path) -> list[dict]:
    """Every kept cell, in the order of their names."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


if __name__ == "__main__":
    main()
