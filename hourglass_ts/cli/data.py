"""The `data` commands: which data sets there are, where they lie, what is known of them; fetch them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hourglass_ts.frames.catalogue import DataSet

data = typer.Typer(help="List, fetch and describe the data sets that the library knows.", rich_markup_mode=None)


@data.callback(invoke_without_command=True)
def _list_unless_told(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_()


@data.command("list")
def list_() -> None:
    """List the data sets, and whether they are here."""
    from hourglass_ts.frames.catalogue import DATASETS

    rows = [(dataset.name, _state(dataset), dataset.title) for dataset in DATASETS.values()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, state, title in rows:
        typer.echo(f"{name:{widths[0]}}  {state:{widths[1]}}  {title}")


@data.command()
def get(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Names that `data list` shows.")],
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Download data sets that are not here yet, and print where they lie.

    They go into the folder that HOURGLASS_TS_DATA names, else into the cache. A download that broke off goes on where
    it ended.
    """
    from hourglass_ts.frames.registry import dataset_info, download_dataset

    for name in names:
        dataset_info(name)  # a slip in the last name is told before the first download
    for name in names:
        typer.echo(download_dataset(name, progress=not quiet))


@data.command()
def describe(name: Annotated[str, typer.Argument(metavar="NAME", help="A name that `data list` shows.")]) -> None:
    """Print a data set's card: origin, licence, checksum, columns with units, known defects, and where it lies."""
    from hourglass_ts.frames.registry import dataset_info

    for line in _card(dataset_info(name)):
        typer.echo(line)


def _card(dataset: DataSet) -> Iterator[str]:
    from hourglass_ts.frames.registry import card_of, places_of

    yield f"{dataset.name}: {dataset.title}"
    yield ""
    yield f"origin    {dataset.source}"
    if dataset.url:
        yield f"download  {dataset.url}"
    yield f"licence   {dataset.licence}"
    yield f"file      {dataset.file}, {_size(dataset)}"
    yield f"SHA-256   {dataset.sha256}"
    card = card_of(dataset)
    if card:
        yield f"card      {card}"
    places = places_of(dataset)
    yield f"here      {_state(dataset)}" + (f": {places[0].path}" if places else "")
    roles = {"time": dataset.time, "target": dataset.target, "series": dataset.series, "freq": dataset.freq}
    yield "roles     " + ", ".join(f"{role}={value!r}" for role, value in roles.items() if value is not None)
    if dataset.sentinels:
        yield f"missing   {', '.join(f'{value:g}' for value in dataset.sentinels)} instead of a value"
    yield ""
    yield f"{dataset.rows:,} rows, as loaded, with columns"
    widths = [max(len(text) for text in texts) for texts in zip(*_columns(dataset), strict=True)]
    for label, unit, meaning in _columns(dataset):
        yield f"  {label:{widths[0]}}  {unit:{widths[1]}}  {meaning}"
    yield ""
    yield "Known defects"
    for defect in dataset.defects:
        yield from textwrap.wrap(defect, 100, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)


def _columns(dataset: DataSet) -> list[tuple[str, str, str]]:
    return [(column.name, column.unit or "", column.meaning) for column in dataset.columns]


def _state(dataset: DataSet) -> str:
    """Say whether the file is here; where several are, the first counts."""
    from hourglass_ts.frames.registry import places_of

    for place in places_of(dataset)[:1]:
        if place.digest() != dataset.sha256:
            return "altered"
        return "shipped" if place.of == "the library" else "found"
    return f"to be fetched ({_size(dataset)})"


def _size(dataset: DataSet) -> str:
    """The file's size, in decimal units as download bars count."""
    return f"{dataset.size / 1e6:.1f} MB" if dataset.size >= 1e6 else f"{dataset.size / 1e3:.0f} kB"
