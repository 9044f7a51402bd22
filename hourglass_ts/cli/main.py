"""The command line: arguments → forecaster → files.

Everything heavy is imported inside the commands, so that `--help` answers at once. Errors a user can cause are one
message on stderr and exit code 2; results alone go to stdout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hourglass_ts.cli.data import data
from hourglass_ts.cli.evaluate import audit, backtest
from hourglass_ts.cli.forecast import forecast

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


app.command()(forecast)
app.command()(backtest)
app.command()(audit)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the pictures and tables.")] = Path("demo"),
) -> None:
    """Forecast the weather and stock data that ship with the library."""
    from hourglass_ts.demo import run

    run(out)


app.add_typer(data, name="data")


if __name__ == "__main__":
    main()
