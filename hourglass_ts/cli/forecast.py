"""`hourglass-ts forecast`: fit on a file and forecast what follows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hourglass_ts.cli.files import (
    PICTURES,
    TABLES,
    as_list,
    calibrated,
    check_extras,
    folder_problems,
    given_alone,
    given_roles,
    number_or_word,
    parse_quantiles,
    plain_time,
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

if TYPE_CHECKING:
    from collections.abc import Hashable

    import pandas as pd

    from hourglass_ts.forecaster import HourGlassForecaster


def forecast(
    file: File,
    time: Time,
    target: Target,
    horizon: Horizon,
    series: Series = None,
    known: Annotated[
        list[str] | None, typer.Option(metavar="COL", help="Column known in advance; repeat. Needs --future.")
    ] = None,
    past: Past = None,
    static: Static = None,
    future: Annotated[Path | None, typer.Option(metavar="FILE", help="Future rows of the known columns.")] = None,
    context: Context = None,
    freq: Freq = None,
    holidays: Annotated[
        str | None, typer.Option(metavar="NAME", help="Holidays of a country or an exchange: US, DE-BY, XNYS.")
    ] = None,
    quantiles: Quantiles = None,
    calibrate: Calibrate = False,
    transform: Transform = None,
    pipeline: Pipeline = None,
    scaler: Annotated[str | None, typer.Option(metavar="NAME", help="Series' own scale: standard or robust.")] = None,
    fill: Annotated[
        str | None, typer.Option(metavar="HOW", help="Fill holes: last, seasonal or a number; else they stay holes.")
    ] = None,
    max_epochs: MaxEpochs = None,
    time_budget: TimeBudget = None,
    seed: Seed = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Forecast: .csv, .csv.gz, .parquet; else stdout.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Picture: .png, .svg or .pdf.")] = None,
    save: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for the fitted model.")] = None,
    quiet: Quiet = False,
) -> None:
    """Fit a forecaster on FILE and forecast the steps that follow it."""
    _check_arguments(file, future=future, known=known, out=out, plot=plot, save=save, calibrate=calibrate)
    settings = given_alone(
        horizon=horizon,
        context=context,
        freq=freq,
        holidays=holidays,
        quantiles=parse_quantiles(quantiles),
        transform=transform,
        pipeline=pipeline,
        scaler=scaler,
        fill=number_or_word(fill),
        max_epochs=max_epochs,
        time_budget=time_budget,
        seed=seed,
        progress=not quiet,
    )
    history = read_frame(file, time)
    future_rows = read_frame(future, time) if future else None
    roles = given_roles(history, time, target, series=series, known=known, past=past, static=static)
    if future_rows is not None:
        _check_future(future_rows, history, roles, horizon)

    from hourglass_ts.forecaster import HourGlassForecaster

    with stdout_for_results_alone():
        forecaster = HourGlassForecaster(**settings)
        model = (calibrated(forecaster) if calibrate else forecaster).fit(history, **roles)
        if save:
            model.save(save)
        predicted = model.forecast(known=future_rows)
        forecaster = model.model_ if calibrate else model
    write_table(predicted, out)
    pictures = _draw(_tidied(forecaster, history, roles), predicted, roles, plot) if plot else []
    if not quiet:
        _summarise(history, predicted, roles, forecaster, [path for path in (out, save) if path] + pictures)


def _check_arguments(
    file: Path,
    *,
    future: Path | None,
    known: list[str] | None,
    out: Path | None,
    plot: Path | None,
    save: Path | None,
    calibrate: bool,
) -> None:
    """Refuse, before any training, what could not be read or written after it; all problems at once."""
    from hourglass_ts.errors import Problem, SettingsError, raise_problems

    problems = [*reading_problems(file), *(reading_problems(future) if future else [])]
    problems += writing_problems(out, TABLES) if out else []
    problems += writing_problems(plot, PICTURES) if plot else []
    problems += folder_problems(save) if save else []
    if save and calibrate:
        hint = "Leave one of them out, or keep the calibrated forecaster with joblib.dump in Python."
        problems.append(Problem("--save with --calibrate", "a forecaster that can be saved", hint))
    if known and not future:
        problems.append(
            Problem(
                f"--known {' '.join(known)} without --future",
                "a file with their values over the horizon",
                "Pass --future FILE.",
            )
        )
    if future and not known:
        problems.append(Problem("--future without --known", "columns to read from it", "Name each with --known COL."))
    raise_problems(SettingsError, problems)
    check_extras([path for path in (file, future, out) if path], plot)


def _check_future(future: pd.DataFrame, history: pd.DataFrame, roles: dict[str, Any], horizon: int) -> None:
    """Refuse, before training, known-future rows that cannot reach over the horizon."""
    from hourglass_ts.errors import DataError, Problem, raise_problems

    keys = as_list(roles["series"])
    missing = [label for label in [roles["time"], *keys, *roles["known"]] if label not in future.columns]
    raise_problems(
        DataError,
        [
            Problem("no such column in the --future file", f"one of {list(future.columns)}", "Add it.", column=label)
            for label in missing
        ],
    )
    if any(label not in history.columns for label in [roles["time"], *keys, *as_list(roles["target"])]):
        return  # the forecaster names these, with every other problem of the history
    _check_same_times(future[roles["time"]], history[roles["time"]])
    raise_problems(
        DataError,
        [
            Problem(
                f"{n} known-future rows after {plain_time(last)}",
                f"{horizon}, one for each step of the horizon",
                "Add them to the --future file.",
                series=name,
            )
            for name, last, n in _future_rows(future, history, roles, keys)
            if n < horizon
        ],
    )


def _check_same_times(future: pd.Series, history: pd.Series) -> None:
    from hourglass_ts.errors import DataError, Problem, raise_problem

    try:
        _ = future.max() > history.max()
    except TypeError:
        found = f"times of type {future.dtype} in the --future file"
        expected = f"{history.dtype}, as in the history"
        raise_problem(DataError, Problem(found, expected, "Write both in one form.", column=history.name))


def _future_rows(
    future: pd.DataFrame, history: pd.DataFrame, roles: dict[str, Any], keys: list[Hashable]
) -> Iterator[tuple[Any, Any, int]]:
    """Per series: its name, its last observed time, and how many future rows lie after it."""
    observed = history.dropna(subset=as_list(roles["target"]), how="all")
    time: Any = roles["time"]
    if not keys:
        last = observed[time].max()
        yield None, last, int((future[time] > last).sum())
        return
    times = dict(iter(future.groupby(keys, observed=True)[time]))
    for name, last in observed.groupby(keys, observed=True)[time].max().items():
        key = name if isinstance(name, tuple) else (name,)
        yield name, last, int((times[key] > last).sum()) if key in times else 0


def _tidied(forecaster: HourGlassForecaster, history: pd.DataFrame, roles: dict[str, Any]) -> pd.DataFrame:
    """The history in the columns that a pipeline makes of it, where the forecaster has one."""
    from hourglass_ts.forecast.piping import tidied
    from hourglass_ts.frames.roles import Roles

    return tidied(forecaster, history, Roles.from_arguments(roles["time"], series=roles["series"]))


def _draw(history: pd.DataFrame, predicted: pd.DataFrame, roles: dict[str, Any], path: Path) -> list[Path]:
    """One picture; for several targets one each, named after it."""
    from hourglass_ts.report.figures import plot_forecast, save_figure

    targets = as_list(roles["target"])
    paths = [path] if len(targets) == 1 else [_named_after(path, target) for target in targets]
    return [
        save_figure(
            plot_forecast(history, predicted, time=roles["time"], target_label=target, series=roles["series"]),
            target_path,
        )
        for target, target_path in zip(targets, paths, strict=True)
    ]


def _named_after(path: Path, target: Hashable) -> Path:
    """The path with the target in its name.

    Example:
        >>> _named_after(Path("out.png"), "temp (max)").name
        'out-temp-max.png'
    """
    import re

    return path.with_name(f"{path.stem}-{re.sub(r'[^0-9A-Za-z_]+', '-', str(target)).strip('-')}{path.suffix}")


def _summarise(
    history: pd.DataFrame,
    predicted: pd.DataFrame,
    roles: dict[str, Any],
    forecaster: HourGlassForecaster,
    written: list[Path],
) -> None:
    times = predicted[roles["time"]]
    keys = as_list(roles["series"])
    n_series = predicted[keys].drop_duplicates().shape[0] if keys else 1
    span = f"{plain_time(times.min())} to {plain_time(times.max())}"
    lines = [
        f"Read {len(history):,} rows. Forecast {len(predicted):,}: {n_series:,} series, {span}.",
        f"The network's share of the forecast is {forecaster.share_:.2f}; the rest is the linear floor.",
        f"Chosen: {'; '.join(forecaster.settings_.words)}.",
        *forecaster.notes_,
        *(f"Wrote {path}" for path in written),
    ]
    typer.echo("\n".join(lines), err=True)
