"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

File = Annotated[Path, typer.Argument(metavar="FILE", help="History: .csv, .csv.gz or .parquet.")]
Time = Annotated[str, typer.Option(metavar="COL", help="Column of times: dates or whole numbers.")]
Target = Annotated[list[str], typer.Option(metavar="COL", help="Column to forecast; repeat for several.")]
Horizon = Annotated[int, typer.Option(metavar="N", help="Steps to forecast.")]
Series = Annotated[list[str] | None, typer.Option(metavar="COL", help="Column naming the series; repeat for several.")]
Known = Annotated[list[str] | None, typer.Option(metavar="COL", help="Column known in advance; repeat.")]
Past = Annotated[list[str] | None, typer.Option(metavar="COL", help="Column known so far only; repeat.")]
Static = Annotated[list[str] | None, typer.Option(metavar="COL", help="Column fixed per series; repeat.")]
Context = Annotated[int | None, typer.Option(metavar="N", help="Steps to look back; else by season and length.")]
Freq = Annotated[
    str | None, typer.Option(metavar="F", help="Step between times: a pandas alias (D, h, B) or an exchange (XNYS).")
]
Transform = Annotated[
    str | None, typer.Option(metavar="NAME", help="log, log1p, yeo-johnson or box-cox, undone at the end.")
]
Pipeline = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="weather or stocks: reads such files as they are, and undoes its steps."),
]
MaxEpochs = Annotated[int | None, typer.Option(metavar="N", help="Most passes over the training data.")]
TimeBudget = Annotated[float | None, typer.Option(metavar="SECONDS", help="Longest time of the whole fit.")]
Seed = Annotated[int | None, typer.Option(metavar="N", help="Seed of everything random.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")]
Quantiles = Annotated[str | None, typer.Option(metavar="LIST", help="Quantile levels, such as 0.1,0.5,0.9.")]
Calibrate = Annotated[
    bool, typer.Option("--calibrate", help="Calibrate the quantiles on a last stretch that training does not see.")
]
