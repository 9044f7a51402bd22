"""What the commands share: files read and written, arguments made into settings and roles."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Hashable

    import pandas as pd

    from hourglass_ts.forecast.conformal import ConformalForecaster
    from hourglass_ts.forecaster import HourGlassForecaster

TABLES = (".csv", ".csv.gz", ".parquet")
PICTURES = (".png", ".svg", ".pdf")


def reading_problems(path: Path) -> Iterator[Any]:
    """What prevents reading a table."""
    from hourglass_ts.errors import Problem

    if suffix_of(path, TABLES) is None:
        yield Problem(f"file {str(path)!r}", f"a name ending in {_either(TABLES)}", "Convert or rename it.")
    elif not path.is_file():
        yield Problem(f"no file {str(path)!r}", "a file that can be read", "Check the name.")


def writing_problems(path: Path, suffixes: tuple[str, ...]) -> Iterator[Any]:
    """What prevents writing a file with one of `suffixes`."""
    from hourglass_ts.errors import Problem

    if suffix_of(path, suffixes) is None:
        yield Problem(f"output {str(path)!r}", f"a name ending in {_either(suffixes)}", "Rename it.")
    if path.is_dir():
        yield Problem(f"a folder at {str(path)!r}", "a file name", "Name a file inside it.")
    yield from folder_problems(path)


def folder_problems(path: Path) -> Iterator[Any]:
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


def check_extras(tables: list[Path], plot: Path | None) -> None:
    """Refuse files whose writer or reader is not installed."""
    from importlib.util import find_spec

    from hourglass_ts.errors import MissingExtraError

    if any(suffix_of(path, TABLES) == ".parquet" for path in tables) and find_spec("pyarrow") is None:
        raise MissingExtraError('Parquet files need pyarrow: pip install "hourglass_ts[parquet]"')
    if plot and find_spec("matplotlib") is None:
        raise MissingExtraError('Pictures need matplotlib: pip install "hourglass_ts[plot]"')


def suffix_of(path: Path, suffixes: tuple[str, ...]) -> str | None:
    """The one of `suffixes` that the file's name ends in.

    Example:
        >>> suffix_of(Path("Data.CSV.gz"), TABLES), suffix_of(Path("data.xlsx"), TABLES)
        ('.csv.gz', None)
    """
    return next((suffix for suffix in suffixes if path.name.lower().endswith(suffix)), None)


def _either(suffixes: tuple[str, ...]) -> str:
    return " or ".join(part for part in (", ".join(suffixes[:-1]), suffixes[-1]) if part)


def given_alone(**settings: Any) -> dict[str, Any]:
    """The settings that were given: the forecaster alone knows the defaults of the others."""
    return {name: value for name, value in settings.items() if value is not None}


def parse_quantiles(text: str | None) -> tuple[float, ...] | None:
    """Levels between commas."""
    if text is None:
        return None
    try:
        return tuple(float(level) for level in text.split(","))
    except ValueError:
        from hourglass_ts.errors import Problem, SettingsError, raise_problem

        problem = Problem(f"--quantiles {text!r}", "numbers between commas", "Pass for example 0.1,0.5,0.9.")
        raise_problem(SettingsError, problem)


def number_or_word(text: str | None) -> str | float | None:
    """A number where the text is one."""
    try:
        return text if text is None else float(text)
    except ValueError:
        return text


def read_frame(path: Path, time: str) -> pd.DataFrame:
    """Read a table, and say on stderr what was noticed."""
    from hourglass_ts.frames.files import read_table

    frame, notes = read_table(path, time)
    for note in notes:
        typer.echo(f"Note: {note}", err=True)
    return frame


def given_roles(
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


def as_list(labels: Any) -> list[Any]:
    """One label, several, or none, as a list."""
    if labels is None:
        return []
    return labels if isinstance(labels, list) else [labels]


def calibrated(forecaster: HourGlassForecaster) -> ConformalForecaster:
    """The forecaster with its quantiles calibrated."""
    from hourglass_ts.forecast.conformal import ConformalForecaster

    return ConformalForecaster(forecaster, quantiles=forecaster.quantiles)


@contextmanager
def stdout_for_results_alone() -> Iterator[None]:
    """Send progress and notes to stderr: stdout may be a CSV that another program reads."""
    from contextlib import redirect_stdout

    with redirect_stdout(sys.stderr):
        yield


def write_table(frame: pd.DataFrame, path: Path | None) -> None:
    """Write a table whole or not at all; to stdout without a path."""
    if path is None:
        frame.to_csv(sys.stdout, index=False)
        return
    from hourglass_ts.report.files import written_aside

    with written_aside(path) as aside:
        if suffix_of(path, TABLES) == ".parquet":
            frame.to_parquet(aside, index=False)
        else:
            frame.to_csv(aside, index=False)


def plain_time(time: Any) -> str:
    """A time without its midnight."""
    return str(time).removesuffix(" 00:00:00")
