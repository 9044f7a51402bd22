"""What the two stories share: tables of numbers on screen and page, the share of the network, where they were made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from common import Report, commit, machine, table

from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.metrics.comparison import Interval
from hourglass_ts.report import tables
from hourglass_ts.report.parts import Section

OURS = "HourGlass"
NETWORK = {"d_model": 32, "d_ff": 64, "max_epochs": 6, "steps_per_epoch": 60}
"""Smaller and trained shorter than by default, to save time."""
CENTRAL = ((0.8, "q0.1", "q0.9"), (0.95, "q0.025", "q0.975"))
"""Central intervals: nominal coverage, and the quantiles at their ends."""


class Watched(HourGlassForecaster):
    """The forecaster; notes the network's share of every fit."""

    shares: ClassVar[list[float]] = []

    def fit(self, *args: Any, **roles: Any) -> Watched:
        """Fit, and note the share."""
        super().fit(*args, **roles)
        self.shares.append(self.share_)
        return self


def markdown(frame: pd.DataFrame) -> str:
    """A frame of numbers as a Markdown table, its index first."""
    rows = [[str(label), *map(_number, row)] for label, row in zip(frame.index, frame.to_numpy(), strict=True)]
    return table([str(frame.index.name), *map(str, frame.columns)], rows)


def page_table(frame: pd.DataFrame) -> tables.Table:
    """A frame of numbers as a table of the report page, its index first."""
    first = tables.Column(str(frame.index.name).capitalize(), tables.texts(frame.index), numeric=False)
    return tables.table([first, *(tables.Column(str(label), [*map(_number, frame[label])]) for label in frame)])


def _number(value: float) -> str:
    return f"{value:.3f}".replace("-", "−") if math.isfinite(value) else "–"


def held_table(found: Mapping[str, Interval]) -> pd.DataFrame:
    """How often intervals held, one row each."""
    rows = {label: {"held": own.estimate, "low": own.low, "high": own.high} for label, own in found.items()}
    return pd.DataFrame(rows).T.rename_axis("interval")


def add_coverage(report: Report, nominal: float, held: Interval) -> None:
    """Keep a coverage and the ends of its interval."""
    for ending, value in (("", held.estimate), ("_low", held.low), ("_high", held.high)):
        report.add(f"coverage{100 * nominal:.0f}{ending}", round(float(value), 4))


def made_section(seeds: int) -> Section:
    """Where and of what the page was made."""
    text = f"{seeds} seed(s), commit {commit()}, {machine()}."
    return Section("made-on", "Made on", text)


def check_page(path: Path | None) -> None:
    """Refuse a page that could not be written after the run."""
    if path is not None and not path.parent.is_dir():
        raise SystemExit(f"There is no folder {path.parent} for the page. Make it, or pass another path.")
