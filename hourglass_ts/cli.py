"""The command line: arguments → forecaster → files.

Everything heavy is imported inside the commands, so that `--help` answers at once. Errors a user can cause are one
message on stderr and exit code 2; the forecast alone goes to stdout.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Hashable

    import pandas as pd

    from hourglass_ts.forecaster import HourGlassForecaster

TABLES = (".csv", ".csv.gz", ".parquet")
PICTURES = (".png", ".svg", ".pdf")

# Plain help: drawing it with rich takes as long as all the rest.
app = typer.Typer(
    help="Forecast time series with a causal HourGlass transformer on a linear floor.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; the library's own errors end as one message and exit code 2."""
    try:
        app()
    except Exception as error:
        if not _is_library_error(error):
            raise
        typer.secho(f"Error: {error}", fg=typer.colors.RED, err=True)
        raise SystemExit(2) from None


def _is_library_error(error: Exception) -> bool:
    from hourglass_ts.errors import HourGlassError

    return isinstance(error, HourGlassError)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("hourglass_ts"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def forecast(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="History: .csv, .csv.gz or .parquet.")],
    time: Annotated[str, typer.Option(metavar="COL", help="Column of times: dates or whole numbers.")],
    target: Annotated[list[str], typer.Option(metavar="COL", help="Column to forecast; repeat for several.")],
    horizon: Annotated[int, typer.Option(metavar="N", help="Steps to forecast.")],
    series: Annotated[
        list[str] | None, typer.Option(metavar="COL", help="Column naming the series; repeat for several.")
    ] = None,
    known: Annotated[
        list[str] | None, typer.Option(metavar="COL", help="Column known in advance; repeat. Needs --future.")
    ] = None,
    past: Annotated[list[str] | None, typer.Option(metavar="COL", help="Column known so far only; repeat.")] = None,
    static: Annotated[list[str] | None, typer.Option(metavar="COL", help="Column fixed per series; repeat.")] = None,
    future: Annotated[Path | None, typer.Option(metavar="FILE", help="Future rows of the known columns.")] = None,
    context: Annotated[int | None, typer.Option(metavar="N", help="Steps to look back.")] = None,
    freq: Annotated[
        str | None,
        typer.Option(metavar="F", help="Step between times, as pandas names it: D, h, B; or an exchange: XNYS."),
    ] = None,
    holidays: Annotated[
        str | None, typer.Option(metavar="NAME", help="Holidays of a country or an exchange: US, DE-BY, XNYS.")
    ] = None,
    quantiles: Annotated[str | None, typer.Option(metavar="LIST", help="Quantile levels, such as 0.1,0.5,0.9.")] = None,
    transform: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Before all: log, log1p, yeo-johnson or box-cox; undone at the end."),
    ] = None,
    scaler: Annotated[str | None, typer.Option(metavar="NAME", help="Series' own scale: standard or robust.")] = None,
    fill: Annotated[
        str | None, typer.Option(metavar="HOW", help="Fill holes: last, seasonal or a number; else they stay holes.")
    ] = None,
    max_epochs: Annotated[int | None, typer.Option(metavar="N", help="Most passes over the training data.")] = None,
    time_budget: Annotated[float | None, typer.Option(metavar="SECONDS", help="Longest training time.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of everything random.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Forecast: .csv, .csv.gz, .parquet; else stdout.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Picture: .png, .svg or .pdf.")] = None,
    save: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for the fitted model.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")] = False,
) -> None:
    """Fit a forecaster on FILE and forecast the steps that follow it."""
    _check_arguments(file, future=future, known=known, out=out, plot=plot, save=save)
    settings = _given(
        horizon=horizon,
        context=context,
        freq=freq,
        holidays=holidays,
        quantiles=_parse_quantiles(quantiles),
        transform=transform,
        scaler=scaler,
        fill=_number_or_word(fill),
        max_epochs=max_epochs,
        time_budget=time_budget,
        seed=seed,
        progress=not quiet,
    )
    history = _read(file, time)
    future_rows = _read(future, time) if future else None
    roles = _roles(history, time, target, series=series, known=known, past=past, static=static)
    if future_rows is not None:
        _check_future(future_rows, history, roles, horizon)

    from hourglass_ts.forecaster import HourGlassForecaster

    with _stdout_for_results_alone():
        forecaster = HourGlassForecaster(**settings).fit(history, **roles)
        if save:
            forecaster.save(save)
        predicted = forecaster.forecast(known=future_rows)
    _write_table(predicted, out)
    pictures = _draw(history, predicted, roles, plot) if plot else []
    if not quiet:
        _summarise(history, predicted, roles, forecaster, [path for path in (out, save) if path] + pictures)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the pictures and tables.")] = Path("demo"),
) -> None:
    """Forecast the weather and stock data that ship with the library."""
    from hourglass_ts.demo import run

    run(out)


@app.command()
def data() -> None:
    """List the data sets that the library knows by name."""
    from hourglass_ts.frames.registry import list_datasets

    for name in list_datasets():
        typer.echo(name)


def _check_arguments(
    file: Path,
    *,
    future: Path | None,
    known: list[str] | None,
    out: Path | None,
    plot: Path | None,
    save: Path | None,
) -> None:
    """Refuse, before any training, what could not be read or written after it; all problems at once."""
    from hourglass_ts.errors import Problem, SettingsError, raise_problems

    problems = [*_reading_problems(file), *(_reading_problems(future) if future else [])]
    problems += _writing_problems(out, TABLES) if out else []
    problems += _writing_problems(plot, PICTURES) if plot else []
    problems += _folder_problems(save) if save else []
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
    _check_extras([path for path in (file, future, out) if path], plot)


def _reading_problems(path: Path) -> Iterator[Any]:
    from hourglass_ts.errors import Problem

    if _suffix(path, TABLES) is None:
        yield Problem(f"file {str(path)!r}", f"a name ending in {_either(TABLES)}", "Convert or rename it.")
    elif not path.is_file():
        yield Problem(f"no file {str(path)!r}", "a file that can be read", "Check the name.")


def _writing_problems(path: Path, suffixes: tuple[str, ...]) -> Iterator[Any]:
    from hourglass_ts.errors import Problem

    if _suffix(path, suffixes) is None:
        yield Problem(f"output {str(path)!r}", f"a name ending in {_either(suffixes)}", "Rename it.")
    if path.is_dir():
        yield Problem(f"a folder at {str(path)!r}", "a file name", "Name a file inside it.")
    yield from _folder_problems(path)


def _folder_problems(path: Path) -> Iterator[Any]:
    """What prevents creating `path`: no folder, or a closed one, found by writing there as rights alone mislead."""
    import tempfile

    from hourglass_ts.errors import Problem

    folder = path.parent
    if not folder.is_dir():
        yield Problem(f"no folder {str(folder)!r} for {path.name!r}", "an existing folder", "Create it first.")
        return
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        found = f"folder {str(folder)!r}, where nothing can be written ({error.strerror})"
        yield Problem(found, "a writable folder", f"Write {path.name!r} elsewhere.")


def _check_extras(tables: list[Path], plot: Path | None) -> None:
    from importlib.util import find_spec

    from hourglass_ts.errors import MissingExtraError

    if any(_suffix(path, TABLES) == ".parquet" for path in tables) and find_spec("pyarrow") is None:
        raise MissingExtraError('Parquet files need pyarrow: pip install "hourglass_ts[parquet]"')
    if plot and find_spec("matplotlib") is None:
        raise MissingExtraError('Pictures need matplotlib: pip install "hourglass_ts[plot]"')


def _suffix(path: Path, suffixes: tuple[str, ...]) -> str | None:
    """The one of `suffixes` that the file's name ends in.

    Example:
        >>> _suffix(Path("Data.CSV.gz"), TABLES), _suffix(Path("data.xlsx"), TABLES)
        ('.csv.gz', None)
    """
    return next((suffix for suffix in suffixes if path.name.lower().endswith(suffix)), None)


def _either(suffixes: tuple[str, ...]) -> str:
    return f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"


def _given(**settings: Any) -> dict[str, Any]:
    """The settings that were given: the forecaster alone knows the defaults of the others."""
    return {name: value for name, value in settings.items() if value is not None}


def _parse_quantiles(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(level) for level in text.split(","))
    except ValueError:
        from hourglass_ts.errors import Problem, SettingsError, raise_problem

        problem = Problem(f"--quantiles {text!r}", "numbers between commas", "Pass for example 0.1,0.5,0.9.")
        raise_problem(SettingsError, problem)


def _number_or_word(text: str | None) -> str | float | None:
    try:
        return text if text is None else float(text)
    except ValueError:
        return text


def _read(path: Path, time: str) -> pd.DataFrame:
    from hourglass_ts.frames.files import read_table

    frame, notes = read_table(path, time)
    for note in notes:
        typer.echo(f"Note: {note}", err=True)
    return frame


def _roles(
    history: pd.DataFrame,
    time: str,
    target: list[str],
    *,
    series: list[str] | None,
    **covariates: list[str] | None,
) -> dict[str, Any]:
    """The column arguments of `fit`, as labels of the frame; one name alone stays a scalar."""

    from hourglass_ts.frames.files import column_named

    def labels(names: list[str] | None) -> list[Hashable]:
        return [column_named(history, name) for name in names or []]

    def scalar(names: list[Hashable]) -> Any:
        return names[0] if len(names) == 1 else names or None

    roles = {"time": column_named(history, time), "target": scalar(labels(target)), "series": scalar(labels(series))}
    return roles | {role: labels(names) for role, names in covariates.items()}


def _check_future(future: pd.DataFrame, history: pd.DataFrame, roles: dict[str, Any], horizon: int) -> None:
    """Refuse, before training, known-future rows that cannot reach over the horizon."""
    from hourglass_ts.errors import DataError, Problem, raise_problems

    keys = _as_list(roles["series"])
    missing = [label for label in [roles["time"], *keys, *roles["known"]] if label not in future.columns]
    raise_problems(
        DataError,
        [
            Problem("no such column in the --future file", f"one of {list(future.columns)}", "Add it.", column=label)
            for label in missing
        ],
    )
    if any(label not in history.columns for label in [roles["time"], *keys, *_as_list(roles["target"])]):
        return  # the forecaster names these, with every other problem of the history
    _check_same_times(future[roles["time"]], history[roles["time"]])
    raise_problems(
        DataError,
        [
            Problem(
                f"{n} known-future rows after {_plain(last)}",
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
    observed = history.dropna(subset=_as_list(roles["target"]), how="all")
    time: Any = roles["time"]
    if not keys:
        last = observed[time].max()
        yield None, last, int((future[time] > last).sum())
        return
    times = dict(iter(future.groupby(keys, observed=True)[time]))
    for name, last in observed.groupby(keys, observed=True)[time].max().items():
        key = name if isinstance(name, tuple) else (name,)
        yield name, last, int((times[key] > last).sum()) if key in times else 0


def _as_list(labels: Any) -> list[Any]:
    if labels is None:
        return []
    return labels if isinstance(labels, list) else [labels]


@contextmanager
def _stdout_for_results_alone() -> Iterator[None]:
    """Send progress and notes to stderr: stdout may be a CSV that another program reads."""
    from contextlib import redirect_stdout

    with redirect_stdout(sys.stderr):
        yield


def _write_table(frame: pd.DataFrame, path: Path | None) -> None:
    if path is None:
        frame.to_csv(sys.stdout, index=False)
        return
    from hourglass_ts.report.files import written_aside

    with written_aside(path) as aside:
        if _suffix(path, TABLES) == ".parquet":
            frame.to_parquet(aside, index=False)
        else:
            frame.to_csv(aside, index=False)


def _draw(history: pd.DataFrame, predicted: pd.DataFrame, roles: dict[str, Any], path: Path) -> list[Path]:
    """One picture; for several targets one each, named after it."""
    from hourglass_ts.report.figures import plot_forecast, save_figure

    targets = _as_list(roles["target"])
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
    keys = _as_list(roles["series"])
    n_series = predicted[keys].drop_duplicates().shape[0] if keys else 1
    span = f"{_plain(times.min())} to {_plain(times.max())}"
    lines = [
        f"Read {len(history):,} rows. Forecast {len(predicted):,}: {n_series:,} series, {span}.",
        f"The network's share of the forecast is {forecaster.share_:.2f}; the rest is the linear floor.",
        *forecaster.notes_,
        *(f"Wrote {path}" for path in written),
    ]
    typer.echo("\n".join(lines), err=True)


def _plain(time: Any) -> str:
    return str(time).removesuffix(" 00:00:00")


if __name__ == "__main__":
    main()
