"""The demonstration: real weather and real stocks, a held-out last stretch, honest baselines, pictures."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.frames.registry import dataset_info, load_dataset
from hourglass_ts.report.figures import plot_forecast, save_figure

LEVELS = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Example:
    """One data set of the demonstration: what is forecast, how far, and which last stretch is held out.

    held_out: steps at the end of the longest series that no model is fitted on; every `stride` steps is an origin.
    """

    name: str
    heading: str
    unit: str
    horizon: int
    context: int
    season: int
    held_out: int
    stride: int
    pipeline: str
    past: tuple[str, ...] = ()


EXAMPLES = (
    Example(
        name="seattle-weather",
        heading="Seattle weather: the highest temperature of the next 7 days",
        unit="°C",
        horizon=7,
        context=56,
        season=7,
        held_out=182,
        stride=7,
        pipeline="weather",
        past=("temp_min", "precipitation", "wind", "weather"),
    ),
    Example(
        name="stocks",
        heading="Five stocks: the adjusted close of the next 5 sessions",
        unit="dollars",
        horizon=5,
        context=60,
        season=5,
        held_out=60,
        stride=5,
        pipeline="stocks",
    ),
)


def run(directory: Path) -> None:
    """Fit, score and draw every example; tables go to the screen, pictures, forecasts and reports into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    console = Console()
    for example in EXAMPLES:
        run_example(example, directory, console)


def run_example(example: Example, directory: Path, console: Console) -> pd.DataFrame:
    """Show one example; returns the scores on the held-out stretch."""
    info = dataset_info(example.name)
    df = load_dataset(example.name)
    times = pd.Index(df[info.time].unique()).sort_values()
    origins = times[-example.held_out - 1 : -example.horizon : example.stride]

    console.rule(example.heading)
    console.print(f"Fitting on the rows up to {origins[0]:%Y-%m-%d}, forecasting from {len(origins)} origins …")
    template = HourGlassForecaster(
        horizon=example.horizon,
        context=example.context,
        quantiles=LEVELS,
        pipeline=example.pipeline,
        d_model=32,
        d_ff=64,
        max_epochs=6,
        steps_per_epoch=60,
    )
    with tempfile.TemporaryDirectory() as kept:
        result = template.backtest(
            df,
            time=info.time,
            target=info.target,
            series=info.series,
            past=list(example.past),
            folds=origins,
            stride=example.stride,
            season=example.season,
            folder=kept,
            progress=console.is_terminal,
        )
        model = HourGlassForecaster.load(next((Path(kept) / "fits").glob("HourGlassForecaster-*")))
    _print_scores(console, result.scores, example, len(origins))
    for sentence in result.summary:
        console.print(sentence)
    console.print(f"The network's share of the forecast is {model.share_:.2f}; the rest is the linear floor.")
    for note in model.notes_:
        console.print(f"[dim]{note}[/dim]")
    page = result.to_html(directory / f"{example.name}.html", title=example.heading, unit=example.unit)
    console.print(f"Report: {page}")

    future = model.forecast(df)
    console.print(_table(f"The next {example.horizon} steps ({example.unit})", future))
    future.to_csv(directory / f"{example.name}-forecast.csv", index=False)
    picture = plot_forecast(
        df,
        future,
        time=info.time,
        target_label=info.target,
        series=info.series,
        title=example.heading,
    )
    console.print(f"Picture: {save_figure(picture, directory / f'{example.name}.png')}\n")
    return result.scores


def _print_scores(console: Console, table: pd.DataFrame, example: Example, n_origins: int) -> None:
    caption = f"held-out last stretch, {n_origins} origins, {example.horizon} steps each; MAE in {example.unit}"
    shown = ["model", "MAE", "MASE", "coverage 80 %"]
    console.print(_table(caption, table.sort_values("MASE")[shown]))


def _table(caption: str, frame: pd.DataFrame) -> Table:
    table = Table(title=caption, title_justify="left")
    for name in frame.columns:
        is_number = pd.api.types.is_numeric_dtype(frame[name])
        table.add_column(str(name), justify="right" if is_number else "left")
    for row in frame.itertuples(index=False):
        table.add_row(*[_cell(value) for value in row])
    return table


def _cell(value: object) -> str:
    if isinstance(value, pd.Timestamp):
        return f"{value:%a %Y-%m-%d}"
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.3f}"
    return str(value)
