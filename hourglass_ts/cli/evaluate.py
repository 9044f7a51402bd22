"""`hourglass-ts backtest` and `hourglass-ts audit`: whether to believe a forecast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hourglass_ts.cli.files import (
    TABLES,
    calibrated,
    check_extras,
    given_alone,
    given_roles,
    parse_quantiles,
    read_frame,
    reading_problems,
    stdout_for_results_alone,
    write_table,
    writing_problems,
)
from hourglass_ts.cli.options import (
    Calibrate,
    Context,
    File,
    Freq,
    Horizon,
    Known,
    MaxEpochs,
    Past,
    Pipeline,
    Quantiles,
    Quiet,
    Seed,
    Series,
    Static,
    Target,
    Time,
    TimeBudget,
    Transform,
)

PAGES = (".html",)


def backtest(
    file: File,
    time: Time,
    target: Target,
    horizon: Horizon,
    series: Series = None,
    known: Known = None,
    past: Past = None,
    static: Static = None,
    folds: Annotated[int, typer.Option(metavar="N", help="Origins, the last one a horizon before the end.")] = 8,
    stride: Annotated[int | None, typer.Option(metavar="N", help="Steps between origins; else the horizon.")] = None,
    gap: Annotated[int, typer.Option(metavar="N", help="First leads that are not scored.")] = 0,
    embargo: Annotated[int, typer.Option(metavar="N", help="Steps between a fit's rows and its first origin.")] = 0,
    window: Annotated[int | None, typer.Option(metavar="N", help="Steps to fit on; else all.")] = None,
    refit: Annotated[int, typer.Option(metavar="N", help="Fit anew every N folds; 0 fits once.")] = 0,
    jobs: Annotated[int, typer.Option(metavar="N", help="Processes.")] = 1,
    folder: Annotated[Path | None, typer.Option(metavar="DIR", help="Keeps finished folds, to go on with.")] = None,
    context: Context = None,
    freq: Freq = None,
    quantiles: Quantiles = None,
    calibrate: Calibrate = False,
    transform: Transform = None,
    pipeline: Pipeline = None,
    max_epochs: MaxEpochs = None,
    time_budget: TimeBudget = None,
    seed: Seed = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Scores: .csv, .csv.gz, .parquet; else stdout.")
    ] = None,
    forecasts: Annotated[Path | None, typer.Option(metavar="FILE", help="All forecasts: .csv or .parquet.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Report: one .html page.")] = None,
    quiet: Quiet = False,
) -> None:
    """Score a forecaster over the last origins of FILE, with naive, seasonal naive and ridge beside it."""
    _check_files(file, tables=[out, forecasts], page=report)
    settings = given_alone(
        horizon=horizon,
        context=context,
        freq=freq,
        quantiles=parse_quantiles(quantiles),
        transform=transform,
        pipeline=pipeline,
        max_epochs=max_epochs,
        time_budget=time_budget,
        seed=seed,
    )
    history = read_frame(file, time)
    roles = given_roles(history, time, target, series=series, known=known, past=past, static=static)

    from hourglass_ts.evaluate.backtest import backtest as run_backtest
    from hourglass_ts.forecaster import HourGlassForecaster

    with stdout_for_results_alone():
        model = HourGlassForecaster(**settings)
        result = run_backtest(
            {"HourGlassForecaster": calibrated(model) if calibrate else model},
            history,
            **roles,
            freq=freq,
            folds=folds,
            stride=stride,
            gap=gap,
            embargo=embargo,
            window=window,
            refit=refit,
            jobs=jobs,
            folder=folder,
            progress=not quiet,
        )
    write_table(result.scores, out)
    if forecasts:
        write_table(result.forecasts, forecasts)
    if report:
        result.to_html(report)
    if not quiet:
        typer.echo("\n".join([*result.summary, *result.score_notes, *result.notes]), err=True)


def audit(
    file: File,
    time: Time,
    target: Target,
    horizon: Horizon,
    series: Series = None,
    known: Known = None,
    past: Past = None,
    static: Static = None,
    cutoff: Annotated[str | None, typer.Option(metavar="TIME", help="The last time that is past.")] = None,
    known_at: Annotated[
        str | None, typer.Option(metavar="COL", help="Column saying when a row became known, where rows are revised.")
    ] = None,
    context: Context = None,
    freq: Freq = None,
    transform: Transform = None,
    pipeline: Pipeline = None,
    max_epochs: MaxEpochs = None,
    seed: Seed = None,
) -> None:
    """Look for leaks of the future in FILE's columns and in the forecaster; exit code 1 where there are any."""
    _check_files(file, tables=[], page=None)
    settings = given_alone(
        horizon=horizon,
        context=context,
        freq=freq,
        transform=transform,
        pipeline=pipeline,
        max_epochs=max_epochs,
        seed=seed,
        progress=False,
    )
    history = read_frame(file, time)
    roles: dict[str, Any] = given_roles(history, time, target, series=series, known=known, past=past, static=static)

    from hourglass_ts.forecaster import HourGlassForecaster

    with stdout_for_results_alone():
        found = HourGlassForecaster(**settings).audit(
            history, **roles, cutoff=_time_like(cutoff, history[roles["time"]]), known_at=known_at
        )
    typer.echo(str(found))
    raise typer.Exit(0 if found.passed else 1)


def _check_files(file: Path, tables: list[Path | None], page: Path | None) -> None:
    """Refuse, before any training, what could not be read or written after it."""
    from hourglass_ts.errors import Problem, SettingsError, raise_problems

    named = [path for path in tables if path]
    problems = [*reading_problems(file)]
    for path in named:
        problems += writing_problems(path, TABLES)
    problems += writing_problems(page, PAGES) if page else []
    doubled = {path for path in named if named.count(path) > 1}
    problems += [Problem(f"{str(path)!r} for scores and forecasts", "two files", "Rename one.") for path in doubled]
    raise_problems(SettingsError, problems)
    check_extras([file, *named], page)


def _time_like(text: str | None, times: Any) -> Any:
    """A time as the file's own are: a whole number or a date."""
    import pandas as pd

    from hourglass_ts.errors import Problem, SettingsError

    if text is None:
        return None
    try:
        if pd.api.types.is_integer_dtype(times):
            return int(text)
        time, zone = pd.Timestamp(text), getattr(times.dtype, "tz", None)
        return time if zone is None or time.tzinfo is not None else time.tz_localize(zone)
    except ValueError as error:
        problem = Problem(f"--cutoff {text!r}", f"a time such as {times.iloc[0]}", "Write it so.")
        raise SettingsError(str(problem)) from error
