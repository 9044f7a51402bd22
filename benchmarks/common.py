"""What every benchmark program shares: arguments, machine, commit, versions, and the JSON that it writes."""

from __future__ import annotations

import argparse
import json
import math
import platform
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("hourglass_ts", "torch", "lightning", "pytorch-forecasting", "pandas", "numpy", "scikit-learn", "arch")


class Report:
    """Collects measures while a program runs, and writes them with what they were measured on."""

    def __init__(self) -> None:
        self.measures: list[dict[str, Any]] = []
        self.started = time.perf_counter()

    def add(self, name: str, value: float) -> None:
        """Keep one measure; None where it is no number, for which JSON has no word."""
        self.measures.append({"name": name, "value": value if math.isfinite(value) else None})

    def write(self, path: Path | None) -> None:
        """Write everything as JSON, if a path was given."""
        if path is None:
            return
        record = {
            "measures": self.measures,
            "machine": machine(),
            "commit": commit(),
            "versions": versions(),
            "seconds": round(time.perf_counter() - self.started, 1),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def arguments(description: str) -> argparse.ArgumentParser:
    """The two options that every program takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--quick", action="store_true", help="measure the same thing smaller, within a minute on 2 cores"
    )
    parser.add_argument("--json", type=Path, help="where to write the measures")
    return parser


def machine() -> str:
    """Processor and cores, in words."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    cores = sum(line.startswith("processor") for line in _lines(Path("/proc/cpuinfo")))
    return f"{model}, {cores} cores, {platform.system()}, Python {platform.python_version()}"


def commit() -> str:
    """The commit that was measured, with a mark when the tree was changed."""
    here = Path(__file__).parent
    found = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def versions() -> dict[str, str]:
    """Versions of the packages that decide the figures."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows as a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
