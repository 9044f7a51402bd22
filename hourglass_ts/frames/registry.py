"""Data sets by name: found in a folder of the user's or shipped with the library, and never read unless unaltered.

The user's folder is named by the environment variable HOURGLASS_TS_DATA. Nothing is downloaded.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem

FOLDER_VARIABLE = "HOURGLASS_TS_DATA"
_PACKAGE = Path(__file__).parents[1]
_SHIPPED = (_PACKAGE / "datasets", _PACKAGE.parent / "datasets")  # an installed wheel, a checkout


@dataclass(frozen=True)
class DataSet:
    """One named file. Roles are those of the loaded frame, for `HourGlassForecaster.fit`; no target means all columns.

    shipped: the folder below `datasets/`, None if the user has to bring the file. rename: column names as in the file,
    and as loaded. wide_rows: one series a row, as the M4 competition writes them.
    """

    name: str
    file: str
    sha256: str
    title: str
    licence: str
    source: str
    time: str = "date"
    target: str | None = None
    series: str | None = None
    freq: str | int | None = None
    shipped: str | None = None
    rename: tuple[tuple[str, str], ...] = ()
    wide_rows: bool = False


def _ett(name: str, freq: str, sha256: str) -> DataSet:
    spacing = {"h": "hourly", "15min": "15-minute"}[freq]
    return DataSet(
        name.lower(),
        f"{name}.csv",
        sha256,
        title=f"Electricity transformer temperature, {spacing}, 2016 to 2018",
        licence="CC BY-ND 4.0",
        source="https://github.com/zhouhaoyi/ETDataset",
        freq=freq,
    )


def _m4(part: str, sha256: str) -> DataSet:
    spacing, half = part.split("-")
    return DataSet(
        f"m4-{part}" if half == "test" else f"m4-{spacing}",
        f"m4-{part}.csv",
        sha256,
        title=f"M4 competition, {spacing}, {half} part (steps count from 1 in each part)",
        licence="free for research; not to be shipped",
        source="https://github.com/Mcompetitions/M4-methods",
        time="step",
        target="value",
        series="series",
        freq=1,
        wide_rows=True,
    )


_BENCHMARKS = "https://github.com/thuml/Time-Series-Library"
_ALL = (
    DataSet(
        "seattle-weather",
        "seattle-weather.csv",
        "62f0609f787158128aa2bd102967173a4953122dd4f872bf1d502cae1037df0b",
        title="Daily weather in Seattle, 2012 to 2015",
        licence="public domain",
        source="https://github.com/vega/vega-datasets (NOAA)",
        target="temp_max",
        freq="D",
        shipped="weather",
    ),
    DataSet(
        "stocks",
        "stocks.csv.gz",
        "5abadf99b2d394f920120a27de6f0df129859d71d4cfb0bf661bcc99446ab1fd",
        title="Daily prices and volumes of AAPL, FB, GOOG, IBM and MSFT, 2000 to 2013",
        licence="public domain",
        source="bokeh-sampledata on PyPI (Quandl WIKI)",
        target="adjusted_close",
        series="symbol",
        freq="B",
        shipped="stocks",
        rename=(
            ("Ticker", "symbol"),
            ("Date", "date"),
            ("Open", "open"),
            ("High", "high"),
            ("Low", "low"),
            ("Close", "close"),
            ("Volume", "volume"),
            ("Adj Close", "adjusted_close"),
        ),
    ),
    _ett("ETTh1", "h", "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066"),
    _ett("ETTh2", "h", "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b"),
    _ett("ETTm1", "15min", "6ce1759b1a18e3328421d5d75fadcb316c449fcd7cec32820c8dafda71986c9e"),
    _ett("ETTm2", "15min", "db973ca252c6410a30d0469b13d696cf919648d0f3fd588c60f03fdbdbadd1fd"),
    DataSet(
        "weather",
        "weather.csv",
        "34ee981d07313e51da2a50bb600072c8ae4a69cb4b0651f4cb93a069d7a2ba63",
        title="Jena weather station, 10-minute, 2020 (-9999 sentinels, one duplicate time, one gap)",
        licence="Max Planck Institute Jena, for measurement only; not to be shipped",
        source=_BENCHMARKS,
        freq="10min",
        rename=(  # the file lost its µ and ²
            ("SWDR (W/m\ufffd)", "SWDR (W/m²)"),
            ("PAR (\ufffdmol/m\ufffd/s)", "PAR (µmol/m²/s)"),
            ("max. PAR (\ufffdmol/m\ufffd/s)", "max. PAR (µmol/m²/s)"),
        ),
    ),
    DataSet(
        "exchange",
        "exchange_rate.csv",
        "48b4d9d3d508f5104162e85b9a6042e3557fde11aa9f2944eba8c0d0efc89842",
        title="Eight daily exchange rates (invented dates; the last two columns swapped against the first publication)",
        licence="for measurement only; not to be shipped",
        source=_BENCHMARKS,
        freq="D",
    ),
    DataSet(
        "illness",
        "national_illness.csv",
        "93601f64d2566dc796ca4305adad8b8560c2db1a1ff04543c3bd813a7263570a",
        title="Weekly influenza-like illness in the United States",
        licence="not stated; not to be shipped",
        source=_BENCHMARKS,
    ),
    _m4("weekly-train", "d478d3f6ed673e6ed3c2cb0fbed5425f72eedd51318ebebeb0b5ecfcefc37714"),
    _m4("weekly-test", "3b2bc4be8e636e802260dcd843ca3c5da40536a1fbe1ecb3229a97dae4f44688"),
    _m4("hourly-train", "ea59b7783573c49077a835ab6465c7d66f1474783360f310988a9a737fbca62f"),
    _m4("hourly-test", "71a57fccb15e534d973626ada4fb87febf789e9317715b7cc6dd3b5f90db6f42"),
)
_DATASETS = {dataset.name: dataset for dataset in _ALL}


def list_datasets() -> list[str]:
    """List the names that `load_dataset` knows, those shipped with the library first.

    Example:
        >>> list_datasets()[:2]
        ['seattle-weather', 'stocks']
    """
    return list(_DATASETS)


def dataset_info(name: str) -> DataSet:
    """Give a data set's origin, licence, checksum and roles. Raises SettingsError for an unknown name."""
    if name not in _DATASETS:
        close = difflib.get_close_matches(str(name), list(_DATASETS), n=1)
        hint = f"Did you mean {close[0]!r}?" if close else "See list_datasets()."
        raise_problem(SettingsError, Problem(f"data set {name!r}", f"one of {', '.join(_DATASETS)}", hint))
    return _DATASETS[name]


def dataset_path(name: str) -> Path:
    """Find a data set's file, in $HOURGLASS_TS_DATA first, and check that it is unaltered.

    Raises DataError when it is missing or its SHA-256 differs, SettingsError for an unknown name.
    """
    dataset = dataset_info(name)
    folder = os.environ.get(FOLDER_VARIABLE)
    places = [Path(folder) / dataset.file] if folder else []
    if dataset.shipped is not None:
        places += [root / dataset.shipped / dataset.file for root in _SHIPPED]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        where = f"in {folder}, where {FOLDER_VARIABLE} points" if folder else f"as {FOLDER_VARIABLE} is not set"
        hint = f"Get it from {dataset.source}, and put it into a folder that {FOLDER_VARIABLE} names."
        expected = f"{dataset.file} with SHA-256 {dataset.sha256}"
        raise_problem(DataError, Problem(f"no file {dataset.file} for data set {name!r}, {where}", expected, hint))
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != dataset.sha256:
        hint = f"Replace the file by the original from {dataset.source}."
        raise_problem(DataError, Problem(f"{path} with SHA-256 {found}", f"SHA-256 {dataset.sha256}", hint))
    return path


def load_dataset(name: str) -> pd.DataFrame:
    """Read a data set: dates parsed, tidy column names, values as in the file (defects included; see its card).

    Raises as `dataset_path`.

    Example:
        >>> load_dataset("stocks").columns.tolist()
        ['symbol', 'date', 'open', 'high', 'low', 'close', 'volume', 'adjusted_close']
    """
    dataset = dataset_info(name)
    df = pd.read_csv(dataset_path(name)).rename(columns=dict(dataset.rename))
    if dataset.wide_rows:
        return _long(df)
    return df.assign(**{dataset.time: pd.to_datetime(df[dataset.time], format="ISO8601")})


def _long(df: pd.DataFrame) -> pd.DataFrame:
    """One series a row, its name first, empty cells at the end → one value a row; series in the file's order."""
    table = df.set_index(df.columns[0])
    table.columns = pd.RangeIndex(1, len(table.columns) + 1)
    long = pd.Series(table.rename_axis(index="series", columns="step").stack(), name="value").dropna()
    return long.reset_index()
