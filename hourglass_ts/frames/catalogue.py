"""Which data sets there are, and what is known of each: origin, licence, checksum, columns with units, known defects.

Texts and numbers alone: nothing here looks at a disk or a network. Every defect was seen in the file itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Layout = Literal["tidy", "series in rows", "series in columns"]


@dataclass(frozen=True)
class Column:
    """One column as loaded. unit: None where there is none, or none is known. in_file: its other name in the file."""

    name: str
    meaning: str
    unit: str | None = None
    in_file: str | None = None


@dataclass(frozen=True)
class DataSet:
    """One named file and its card. Rows, columns and roles are those of the loaded frame; no target means all columns.

    size: in bytes.  url: None for a file that ships, which lies in the folder `shipped` below `datasets/`.
    layout: how the file holds its series; the loaded frame has one row per time and series.  sentinels: numbers that
    stand for missing values; loading leaves them in.
    """

    name: str
    file: str
    size: int
    sha256: str
    title: str
    licence: str
    source: str
    rows: int
    columns: tuple[Column, ...]
    defects: tuple[str, ...] = ()
    url: str | None = None
    time: str = "date"
    target: str | None = None
    series: str | None = None
    freq: str | int | None = None
    shipped: str | None = None
    layout: Layout = "tidy"
    sentinels: tuple[float, ...] = ()

    @property
    def units(self) -> dict[str, str]:
        """Column → unit, where it has one that is known."""
        return {column.name: column.unit for column in self.columns if column.unit is not None}


SEATTLE = DataSet(
    "seattle-weather",
    "seattle-weather.csv",
    47_838,
    "62f0609f787158128aa2bd102967173a4953122dd4f872bf1d502cae1037df0b",
    title="Daily weather in Seattle, 2012 to 2015",
    licence="public domain",
    source="https://github.com/vega/vega-datasets (NOAA)",
    rows=1_461,
    columns=(
        Column("date", "local day"),
        Column("precipitation", "of the day", "mm"),
        Column("temp_max", "highest temperature of the day", "°C"),
        Column("temp_min", "lowest temperature of the day", "°C"),
        Column("wind", "mean wind speed of the day", "m/s"),
        Column("weather", "drizzle, fog, rain, snow or sun"),
    ),
    defects=(
        "weather changes its meaning over the years: fog on 5 days of 2012, on 82 to 173 of the years after; no snow "
        "after 2013.",
        "weather and precipitation disagree: 47 of 259 days called rain have none, 77 of 714 called sun have some.",
    ),
    target="temp_max",
    freq="D",
    shipped="weather",
)

STOCKS = DataSet(
    "stocks",
    "stocks.csv.gz",
    294_246,
    "5abadf99b2d394f920120a27de6f0df129859d71d4cfb0bf661bcc99446ab1fd",
    title="Daily prices and volumes of AAPL, FB, GOOG, IBM and MSFT, 2000 to 2013",
    licence="public domain",
    source="bokeh-sampledata on PyPI (Quandl WIKI)",
    rows=12_154,
    columns=(
        Column("symbol", "of the share", in_file="Ticker"),
        Column("date", "session of the American exchanges, a day in America/New_York", in_file="Date"),
        Column("open", "first price, as traded", "$ per share", "Open"),
        Column("high", "highest price, as traded", "$ per share", "High"),
        Column("low", "lowest price, as traded", "$ per share", "Low"),
        Column("close", "last price, as traded", "$ per share", "Close"),
        Column("volume", "traded that day", "shares", "Volume"),
        Column("adjusted_close", "adjusted back for splits and dividends", "$ per share", "Adj Close"),
    ),
    defects=(
        "open, high, low and close are not adjusted: splits halve them on 2000-06-21 and 2005-02-28 (AAPL) and "
        "2003-02-18 (MSFT).",
        "adjusted_close is adjusted for what came after the last row, too: its ratios were known on the day, its level "
        "was not.",
        "The five series start on different days. They were chosen in hindsight.",
    ),
    target="adjusted_close",
    series="symbol",
    freq="B",
    shipped="stocks",
)


def _ett(name: str, *, rows: int, size: int, sha256: str, defects: tuple[str, ...] = ()) -> DataSet:
    freq, spacing = ("h", "hourly") if "h" in name else ("15min", "15-minute")
    return DataSet(
        name.lower(),
        f"{name}.csv",
        size,
        sha256,
        title=f"Electricity transformer {name[-1]}, loads and oil temperature, {spacing}, 2016 to 2018",
        licence="CC BY-ND 4.0",
        source="https://github.com/zhouhaoyi/ETDataset",
        url=f"https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/{name}.csv",
        rows=rows,
        columns=(
            Column("date", "local time in China; the file names no zone"),
            Column("HUFL", "high useful load, unit not stated"),
            Column("HULL", "high useless load, unit not stated"),
            Column("MUFL", "middle useful load, unit not stated"),
            Column("MULL", "middle useless load, unit not stated"),
            Column("LUFL", "low useful load, unit not stated"),
            Column("LULL", "low useless load, unit not stated"),
            Column("OT", "oil temperature", "°C"),
        ),
        defects=(
            "On the 31st of every month all seven columns stand still for the whole day: 14 days not measured.",
            *defects,
            f"ETTh{name[-1]} holds every fourth row of ETTm{name[-1]}: they are no two sets to learn from and test on.",
        ),
        freq=freq,
    )


_MAY = ("They also stand still for 6 h and longer on 2017-05-26 and 27.",)
ETT = (
    _ett(
        "ETTh1",
        rows=17_420,
        size=2_589_657,
        sha256="f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
    ),
    _ett(
        "ETTh2",
        rows=17_420,
        size=2_417_960,
        sha256="a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b",
        defects=_MAY,
    ),
    _ett(
        "ETTm1",
        rows=69_680,
        size=10_360_719,
        sha256="6ce1759b1a18e3328421d5d75fadcb316c449fcd7cec32820c8dafda71986c9e",
    ),
    _ett(
        "ETTm2",
        rows=69_680,
        size=9_677_236,
        sha256="db973ca252c6410a30d0469b13d696cf919648d0f3fd588c60f03fdbdbadd1fd",
        defects=_MAY,
    ),
)


def _with_unit(header: str, meaning: str) -> Column:
    """Read the unit from the header's brackets; the file wrote U+FFFD where µ and ² stood."""
    (unit,) = re.findall(r"\((.+)\)$", header)
    unit = {"degC": "°C", "deg": "°", "g/m**3": "g/m³"}.get(unit, unit)
    in_file = re.sub("[µ²]", "\ufffd", header)
    return Column(header, meaning, unit, None if in_file == header else in_file)


_BENCHMARKS = "https://github.com/thuml/Time-Series-Library"
_BENCHMARK_FILES = "https://huggingface.co/datasets/thuml/Time-Series-Library/resolve/main"

WEATHER = DataSet(
    "weather",
    "weather.csv",
    7_235_425,
    "34ee981d07313e51da2a50bb600072c8ae4a69cb4b0651f4cb93a069d7a2ba63",
    title="Weather station in Jena, 10-minute, 2020",
    licence="Max Planck Institute for Biogeochemistry, Jena; for measurement only, do not pass it on",
    source=f"{_BENCHMARKS} (https://www.bgc-jena.mpg.de/wetter)",
    url=f"{_BENCHMARK_FILES}/weather/weather.csv",
    rows=52_696,
    columns=(
        Column("date", "end of the 10 minutes; the file names no zone"),
        _with_unit("p (mbar)", "air pressure"),
        _with_unit("T (degC)", "air temperature"),
        _with_unit("Tpot (K)", "potential temperature"),
        _with_unit("Tdew (degC)", "dew point"),
        _with_unit("rh (%)", "relative humidity"),
        _with_unit("VPmax (mbar)", "saturation vapour pressure"),
        _with_unit("VPact (mbar)", "vapour pressure"),
        _with_unit("VPdef (mbar)", "vapour pressure deficit"),
        _with_unit("sh (g/kg)", "specific humidity"),
        _with_unit("H2OC (mmol/mol)", "water vapour concentration"),
        _with_unit("rho (g/m**3)", "air density"),
        _with_unit("wv (m/s)", "wind speed"),
        _with_unit("max. wv (m/s)", "highest wind speed"),
        _with_unit("wd (deg)", "wind direction, 0 to 360"),
        _with_unit("rain (mm)", "rain of the 10 minutes"),
        _with_unit("raining (s)", "how long it rained"),
        _with_unit("SWDR (W/m²)", "short-wave radiation from above"),
        _with_unit("PAR (µmol/m²/s)", "photosynthetically active radiation"),
        _with_unit("max. PAR (µmol/m²/s)", "its highest value"),
        _with_unit("Tlog (degC)", "temperature of the logger"),
        Column("OT", "carbon dioxide: the station's own files call it CO2 (ppm)", "ppm"),
    ),
    defects=(
        "-9999 stands for missing: once in wv (m/s), 30 times in max. PAR, 50 times in OT.",
        "The row of 2020-05-12 06:00 is there twice.",
        "After 2020-05-29 09:30 comes 11:10: a gap of 100 minutes.",
        "The header's µ and ² are broken in the file; loading repairs them.",
        "wd (deg) is a direction: 359 and 1 are neighbours.",
    ),
    freq="10min",
    sentinels=(-9999.0,),
)

EXCHANGE = DataSet(
    "exchange",
    "exchange_rate.csv",
    637_800,
    "48b4d9d3d508f5104162e85b9a6042e3557fde11aa9f2944eba8c0d0efc89842",
    title="Eight daily exchange rates against the US dollar",
    licence="not stated; for measurement only, do not pass it on",
    source=f"{_BENCHMARKS} (https://github.com/laiguokun/multivariate-time-series-data)",
    url=f"{_BENCHMARK_FILES}/exchange_rate/exchange_rate.csv",
    rows=60_704,
    columns=(
        Column("currency", "the file's column: 0 to 6, and OT"),
        Column("date", "counts rows, see below"),
        Column("rate", "a unit's price; the file states none, its size tells", "$ per unit of the currency"),
    ),
    defects=(
        "The dates are invented: every day from 1990-01-01 to 2010-10-10, where the rates are of business days up to "
        "2016.",
        "The currencies are not named. By their first publication 0 to 6 and OT are those of Australia, Britain, "
        "Canada, Switzerland, China, Japan, New Zealand and Singapore, but the last two are swapped.",
        "Currency 4 was held fixed: its rate stands still for up to 190 rows.",
    ),
    target="rate",
    series="currency",
    freq="D",
    layout="series in columns",
)

ILI = DataSet(
    "ili",
    "national_illness.csv",
    67_620,
    "93601f64d2566dc796ca4305adad8b8560c2db1a1ff04543c3bd813a7263570a",
    title="Influenza-like illness in the United States, weekly",
    licence="United States government work (CDC), public domain; this copy's own terms are not stated",
    source=f"{_BENCHMARKS} (CDC, ILINet)",
    url=f"{_BENCHMARK_FILES}/illness/national_illness.csv",
    rows=966,
    columns=(
        Column("date", "a Tuesday for every week, see below"),
        Column("% WEIGHTED ILI", "visits for influenza-like illness, weighted by state population", "%"),
        Column("%UNWEIGHTED ILI", "ILITOTAL out of OT", "%"),
        Column("AGE 0-4", "patients with influenza-like illness, aged 0 to 4", "patients"),
        Column("AGE 5-24", "the same, aged 5 to 24", "patients"),
        Column("ILITOTAL", "the same, of every age", "patients"),
        Column("NUM. OF PROVIDERS", "that reported in the week", "providers"),
        Column("OT", "patients seen, for whatever reason", "patients"),
    ),
    defects=(
        "The dates are 39 weeks too early: the row of 2002-01-01 is the week that began on 2002-09-29, the CDC's week "
        "40, so winter's peaks fall into spring, and the pandemic autumn of 2009 into January.",
        "Fewer providers report outside the influenza season; counts leap where a season starts, "
        "as from 268 to 830 providers between 2002-12-24 and 2002-12-31.",
        "%UNWEIGHTED ILI is 100 ILITOTAL / OT exactly: none of the three is new beside the other two.",
    ),
    freq="W-TUE",
)


def _m4(spacing: str, half: str, *, rows: int, size: int, sha256: str) -> DataSet:
    folder = "https://raw.githubusercontent.com/Mcompetitions/M4-methods/master/Dataset"
    steps = {
        "train": "Series have no dates, and are of unequal length.",
        "test": "Series have no dates. Steps count from 1 here, too: step 1 follows the training part's last step.",
    }
    return DataSet(
        f"m4-{spacing}" if half == "train" else f"m4-{spacing}-test",
        f"m4-{spacing}-{half}.csv",
        size,
        sha256,
        title=f"M4 competition, {spacing}, {'training' if half == 'train' else 'test'} part",
        licence="free for research; do not pass it on",
        source="https://github.com/Mcompetitions/M4-methods",
        url=f"{folder}/{half.capitalize()}/{spacing.capitalize()}-{half}.csv",
        rows=rows,
        columns=(
            Column("series", f"name of the series, such as {spacing[0].upper()}1"),
            Column("step", "position in its series, from 1"),
            Column("value", "of many kinds; units are not stated"),
        ),
        defects=(steps[half],),
        time="step",
        target="value",
        series="series",
        freq=1,
        layout="series in rows",
    )


M4 = (
    _m4(
        "weekly",
        "train",
        rows=366_912,
        size=4_015_067,
        sha256="d478d3f6ed673e6ed3c2cb0fbed5425f72eedd51318ebebeb0b5ecfcefc37714",
    ),
    _m4(
        "weekly",
        "test",
        rows=4_667,
        size=44_247,
        sha256="3b2bc4be8e636e802260dcd843ca3c5da40536a1fbe1ecb3229a97dae4f44688",
    ),
    _m4(
        "hourly",
        "train",
        rows=353_500,
        size=2_347_115,
        sha256="ea59b7783573c49077a835ab6465c7d66f1474783360f310988a9a737fbca62f",
    ),
    _m4(
        "hourly",
        "test",
        rows=19_872,
        size=132_820,
        sha256="71a57fccb15e534d973626ada4fb87febf789e9317715b7cc6dd3b5f90db6f42",
    ),
)

DATASETS = {dataset.name: dataset for dataset in (SEATTLE, STOCKS, *ETT, WEATHER, EXCHANGE, ILI, *M4)}
