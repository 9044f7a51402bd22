"""Data sets by name: found, or fetched, and never read unless unaltered.

A file is looked for in the folder that the environment variable HOURGLASS_TS_DATA names, in the cache (a folder of the
library's own below the platform's), and among what ships. A download goes into the first of these that there is.
"""

from __future__ import annotations

import difflib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import pandas as pd

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem
from hourglass_ts.frames.catalogue import DATASETS, DataSet
from hourglass_ts.frames.download import DownloadError, fetch, sha256_of

FOLDER_VARIABLE = "HOURGLASS_TS_DATA"
_PACKAGE = Path(__file__).parents[1]
_SHIPPED = (_PACKAGE / "datasets", _PACKAGE.parent / "datasets")  # an installed wheel, a checkout


def list_datasets() -> list[str]:
    """List the names that `load_dataset` knows, those shipped with the library first.

    Example:
        >>> list_datasets()[:2]
        ['seattle-weather', 'stocks']
    """
    return list(DATASETS)


def dataset_info(name: str) -> DataSet:
    """Give a data set's card: origin, licence, checksum, columns with units, defects, roles.

    Raises SettingsError for an unknown name.

    Example:
        >>> dataset_info("stocks").units["volume"]
        'shares'
    """
    if name not in DATASETS:
        close = difflib.get_close_matches(str(name), list(DATASETS), n=1)
        hint = f"Did you mean {close[0]!r}?" if close else "See list_datasets()."
        raise_problem(SettingsError, Problem(f"data set {name!r}", f"one of {', '.join(DATASETS)}", hint))
    return DATASETS[name]


def load_dataset(name: str) -> pd.DataFrame:
    """Read a data set into a tidy long frame, one row per time and series; a file that is nowhere is downloaded first.

    Dates are parsed and names tidied; values are as in the file, its known defects included. `df.attrs` holds "name",
    "units" (column → unit), and "sentinels" where numbers stand for missing values.
    Raises DataError as `download_dataset`, SettingsError for an unknown name.

    Example:
        >>> df = load_dataset("stocks")
        >>> df.columns.tolist(), df.attrs["units"]["close"]
        (['symbol', 'date', 'open', 'high', 'low', 'close', 'volume', 'adjusted_close'], '$ per share')
    """
    return _tidy(pd.read_csv(download_dataset(name)), dataset_info(name))


def download_dataset(name: str, *, progress: bool = True) -> Path:
    """Give the path of a data set's file; one that is nowhere is downloaded, into $HOURGLASS_TS_DATA or the cache.

    A download that broke off goes on where it ended. progress: a bar on stderr, where that is a terminal.
    Raises DataError where the file does not come whole, cannot be written, or is there but altered.

    Example:
        >>> download_dataset("stocks").name  # ships with the library: nothing to do
        'stocks.csv.gz'
    """
    dataset = dataset_info(name)
    return _find(dataset) or _download(dataset, progress)


def dataset_path(name: str) -> Path:
    """Find a data set's file, and check that it is unaltered; nothing is downloaded.

    Raises DataError when it is missing or its SHA-256 differs, SettingsError for an unknown name.

    Example:
        >>> dataset_path("seattle-weather").name
        'seattle-weather.csv'
    """
    dataset = dataset_info(name)
    return _find(dataset) or _refuse_missing(dataset)


@dataclass(frozen=True)
class Place:
    """A file with a data set's name, which may be altered, and whose folder it lies in."""

    path: Path
    of: Literal["the user", "the cache", "the library"]

    def digest(self) -> str:
        """Give its SHA-256. Raises DataError where it cannot be read."""
        try:
            return sha256_of(self.path)
        except OSError as error:
            found = f"file {self.path}, which cannot be read ({error.strerror})"
            raise_problem(DataError, Problem(found, "a readable file", "Check who may read it."))


def places_of(dataset: DataSet) -> list[Place]:
    """List the files that there are for a data set, the one that counts first."""
    folder, cache = data_folder(), cache_folder()
    places = [Place(folder / dataset.file, "the user")] if folder else []
    places += [Place(cache / dataset.file, "the cache")] if cache else []
    if dataset.shipped is not None:
        places += [Place(root / dataset.shipped / dataset.file, "the library") for root in _SHIPPED]
    return [place for place in places if os.path.isfile(place.path)]


def card_of(dataset: DataSet) -> Path | None:
    """Give the card of a data set that ships, a page on its origin and defects."""
    cards = [root / dataset.shipped / "CARD.md" for root in _SHIPPED if dataset.shipped is not None]
    return next((card for card in cards if os.path.isfile(card)), None)


def data_folder() -> Path | None:
    """Give the folder that HOURGLASS_TS_DATA names, there or not, if it is set."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return Path(os.path.expanduser(folder)) if folder else None


def cache_folder() -> Path | None:
    """Give the library's folder in the platform's cache, there or not; None for a user without a home."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        base = base if os.path.isabs(base) else os.path.expanduser("~/.cache")  # its standard ignores relative ones
    return Path(base) / "hourglass_ts" / "datasets" if os.path.isabs(base) else None


def _find(dataset: DataSet) -> Path | None:
    """Give the unaltered file. An altered one is refused, except in the cache: a download may replace it there."""
    for place in places_of(dataset):
        found = place.digest()
        if found == dataset.sha256:
            return place.path
        if place.of != "the cache":
            hint = f"Remove it, or replace it by the original from {_origin(dataset)}."
            raise_problem(DataError, Problem(f"{place.path} with SHA-256 {found}", f"SHA-256 {dataset.sha256}", hint))
    return None


def _download(dataset: DataSet, progress: bool) -> Path:
    folder = data_folder() or cache_folder()
    if folder is None or dataset.url is None:
        _refuse_missing(dataset)
    path = folder / dataset.file
    try:
        if folder == cache_folder():  # the user's own is not made: a name that is not there may be a slip
            folder.mkdir(parents=True, exist_ok=True)
        fetch(dataset.url, path, sha256=dataset.sha256, size=dataset.size, progress=progress)
    except DownloadError as error:
        found = f"no file {dataset.file} for data set {dataset.name!r}, as its download failed: {error}"
        hint = f"{error.next_step} Or put the file into {folder}, or any folder that {FOLDER_VARIABLE} names."
        raise DataError(str(Problem(found, _expected(dataset), hint))) from error
    except OSError as error:
        found = f"folder {folder}, where {dataset.file} cannot be written ({error.strerror or error})"
        expected = f"a folder that takes {_expected(dataset)}"
        hint = f"Create it or make room in it, or name another with {FOLDER_VARIABLE}."
        raise DataError(str(Problem(found, expected, hint))) from error
    return path


def _refuse_missing(dataset: DataSet) -> NoReturn:
    folder, cache = data_folder(), cache_folder()
    looked = [f"in {folder}, where {FOLDER_VARIABLE} points"] if folder else []
    looked += [f"in the cache, {cache}"] if cache else []
    found = f"no file {dataset.file} for data set {dataset.name!r} {' or '.join(looked) or 'anywhere'}"
    hint = f"Put it into a folder that {FOLDER_VARIABLE} names"
    hint += f", or call download_dataset({dataset.name!r})." if dataset.url else ", or install the library anew."
    raise_problem(DataError, Problem(found, _expected(dataset), hint))


def _expected(dataset: DataSet) -> str:
    return f"{dataset.file} from {_origin(dataset)}, with SHA-256 {dataset.sha256}"


def _origin(dataset: DataSet) -> str:
    return dataset.url or dataset.source


def _tidy(df: pd.DataFrame, dataset: DataSet) -> pd.DataFrame:
    """Give the file's table as a long frame with its card in `attrs`, which stays small and plain: pandas copies it."""
    df = df.rename(columns={column.in_file: column.name for column in dataset.columns if column.in_file})
    if dataset.layout == "series in rows":
        df = _long(df)
    else:
        df = df.assign(**{dataset.time: pd.to_datetime(df[dataset.time], format="ISO8601")})
    if dataset.layout == "series in columns":
        df = df.melt(dataset.time, var_name=dataset.series, value_name=dataset.target)
        df = df[[dataset.series, dataset.time, dataset.target]]
    attrs: dict[str, Any] = {"name": dataset.name}
    attrs["units"] = {column: unit for column, unit in dataset.units.items() if column in df}
    if dataset.sentinels:
        attrs["sentinels"] = list(dataset.sentinels)
    df.attrs = attrs
    return df


def _long(df: pd.DataFrame) -> pd.DataFrame:
    """One series a row, its name first, empty cells at the end → one value a row; series in the file's order."""
    table = df.set_index(df.columns[0])
    table.columns = pd.RangeIndex(1, len(table.columns) + 1)
    long = pd.Series(table.rename_axis(index="series", columns="step").stack(), name="value").dropna()
    return long.reset_index()
