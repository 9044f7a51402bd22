"""What the way from a frame to windows costs: seconds against rows, and peak memory against the data and upstream.

    python benchmarks/scale.py --quick

Every cell runs in a process of its own. Peak is the growth of resident memory while the step runs, over what it was
with the frame loaded: all that the step allocates, its result included. Windows are indexed, not cut. The frame has
an id of categories, hourly datetimes, a float64 target and one known float64, in sorted series without holes.
`forecaster` is check_frame, TableEncoder and window_dataset; `fast` and `upstream` are the two data sets alone.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import Report, arguments, table

SERIES_LENGTH, CONTEXT, HORIZON = 1_000, (24, 168), 24
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
SLOPE_PATHS = ("forecaster", "fast", "upstream")
REPEATS_BELOW = 1_000_000  # smaller sizes are repeated in their process, after one run that warms up
CHECKED_IDS = ("int64", "category", "str", "object")
MANY, MANY_LENGTH = 100_000, 50
FRESH = multiprocessing.get_context("forkserver")  # each cell's process is forked from one that has only imported


def panel_frame(rows: int, length: int, ids: str = "category") -> pd.DataFrame:
    """`rows` // `length` series, sorted, with ids of the given dtype."""
    count = rows // length
    codes = np.repeat(np.arange(count, dtype=np.int32), length)
    names = [f"series {number:06d}" for number in range(count)]
    values = np.random.default_rng(0)
    series: Any = {
        "int64": lambda: codes.astype("int64"),
        "category": lambda: pd.Categorical.from_codes(codes, names),
        "str": lambda: pd.Series(np.array(names, dtype=object)[codes], dtype="str"),
        "object": lambda: pd.Series(np.array(names, dtype=object)[codes], dtype=object),
    }[ids]()
    return pd.DataFrame(
        {
            "series": series,
            "time": np.tile(pd.date_range("2000-01-01", periods=length, freq="h"), count),
            "step": np.tile(np.arange(length), count),
            "y": values.normal(size=rows).cumsum() / 100,
            "price": values.normal(size=rows),
        }
    )


def check(df: pd.DataFrame) -> Any:
    from hourglass_ts.frames.schema import Roles, check_frame

    return check_frame(df, Roles.from_arguments(time="time", target="y", series="series", known="price"))


def forecaster(df: pd.DataFrame, context: tuple[int, int]) -> Any:
    """The library's own way from a user's frame."""
    from hourglass_ts.frames.schema import STEP
    from hourglass_ts.windows.dataset import window_dataset
    from hourglass_ts.windows.encode import TableEncoder

    panel = check(df)
    encoder = TableEncoder.fit(panel, pd.Series(np.ones(len(panel.table), dtype=bool)), None)
    frame = encoder.frame(panel.table, np.arange(len(panel.keys)), panel.table[STEP].to_numpy())
    lengths = {"min_context": context[0], "context": context[1], "horizon": HORIZON}
    return window_dataset(frame, encoder, n_series=len(panel.keys), **lengths)


def data_set(df: pd.DataFrame, context: tuple[int, int], fast: bool) -> Any:
    """A user's own data set, ours or upstream's."""
    if fast:
        from hourglass_ts import FastTimeSeriesDataSet as DataSet
    else:
        from pytorch_forecasting import TimeSeriesDataSet as DataSet
    return DataSet(
        df,
        time_idx="step",
        target="y",
        group_ids=["series"],
        min_encoder_length=context[0],
        max_encoder_length=context[1],
        min_prediction_length=HORIZON,
        max_prediction_length=HORIZON,
        static_categoricals=["series"],
        time_varying_known_reals=["price"],
        time_varying_unknown_reals=["y"],
    )


def cell(path: str, rows: int, length: int, ids: str) -> dict[str, float]:
    """Measure one path on one size: seconds, peak and the frame's own bytes."""
    context = CONTEXT if length > sum(CONTEXT) else (8, 16)
    run: Callable[[pd.DataFrame], Any] = {
        "check": check,
        "forecaster": lambda df: forecaster(df, context),
        "fast": lambda df: data_set(df, context, fast=True),
        "upstream": lambda df: data_set(df, context, fast=False),
    }[path]
    columns = ["series", "step", "y", "price"] if path in ("fast", "upstream") else ["series", "time", "y", "price"]
    warnings.simplefilter("ignore")
    run(panel_frame(10 * length, length, ids)[columns])  # imports and first calls cost once
    df = panel_frame(rows, length, ids)[columns].copy()
    gc.collect()
    size, before = int(df.memory_usage(deep=True).sum()), rest_and_reset_peak()
    seconds, peak = [], 0.0
    for repeat in range(5 if rows < REPEATS_BELOW else 1):
        begun = time.perf_counter()
        result = run(df)
        seconds.append(time.perf_counter() - begun)
        if repeat == 0:
            peak = status("VmHWM") - before
        del result
    return {"seconds": float(np.median(seconds)), "peak": peak, "bytes": size}


def rest_and_reset_peak() -> int:
    """Give unused memory back to the system, start the peak anew, and say what is resident."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return status("VmRSS")


def status(key: str) -> int:
    """Bytes of this process, from the kernel."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def measure(path: str, rows: int, length: int = SERIES_LENGTH, ids: str = "category") -> dict[str, float] | None:
    """Run one cell in a process of its own; None when it died, most likely for memory."""
    print(f"{path}, {rows:,} rows, {ids} ids …", file=sys.stderr, flush=True)
    try:
        with ProcessPoolExecutor(1, mp_context=FRESH) as process:
            return process.submit(cell, path, rows, length, ids).result()
    except BrokenProcessPool:
        print(f"{path}, {rows:,} rows: the process died", file=sys.stderr)
        return None


def slope(found: dict[int, dict[str, float]]) -> float:
    """The exponent of seconds in rows; 1 is linear."""
    seconds = [found[rows]["seconds"] for rows in found]
    return float(np.polyfit(np.log(list(found)), np.log(seconds), 1)[0])


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="rows of the largest frame")
    options = parser.parse_args()
    FRESH.set_forkserver_preload(["pytorch_forecasting", "hourglass_ts.windows.dataset"])
    report, largest = Report(), 1_000_000 if options.quick else options.largest
    run_slopes([rows for rows in SIZES if rows <= largest], options.quick, report)
    run_checks(largest, ("category",) if options.quick else CHECKED_IDS, report)
    run_many(10_000 if options.quick else MANY, report)
    report.write(options.json)


def run_slopes(sizes: list[int], quick: bool, report: Report) -> None:
    found: dict[str, dict[int, dict[str, float]]] = {}
    rows_of_table = []
    for path in SLOPE_PATHS:
        mine = [100_000] if quick and path == "upstream" else sizes
        cells = {rows: measure(path, rows) for rows in mine}
        found[path] = {rows: one for rows, one in cells.items() if one is not None}
        for rows, one in found[path].items():
            ratio = one["peak"] / one["bytes"]
            rows_of_table.append(
                [path, f"{rows:,}", f"{one['seconds']:.3f}", f"{one['peak'] / 1e6:.0f}", f"{ratio:.1f}"]
            )
    print(table(["frame → windows", "rows", "seconds", "peak MB", "peak / frame"], rows_of_table), "\n")
    for path in SLOPE_PATHS:
        if len(found[path]) > 1:
            report.add(f"frame_to_windows_slope:{path}", slope(found[path]))
    report.add("frame_to_windows_slope", max(slope(found[path]) for path in ("forecaster", "fast")))
    # Below a few MB the kernel's counters say more about the allocator than about the data sets.
    both = [rows for rows in found["fast"] if rows in found["upstream"] and rows >= 100_000]
    report.add(
        "peak_over_upstream", max(found["fast"][rows]["peak"] / found["upstream"][rows]["peak"] for rows in both)
    )
    print(table(["measure", "value"], [[one["name"], f"{one['value']:.3f}"] for one in report.measures]), "\n")


def run_checks(rows: int, ids: tuple[str, ...], report: Report) -> None:
    ratios, rows_of_table = [], []
    for kind in ids:
        one = measure("check", rows, 10_000, kind)
        if one is None:
            continue
        ratios.append(one["peak"] / one["bytes"])
        cells = [
            f"{one['bytes'] / rows:.0f}",
            f"{one['peak'] / rows:.0f}",
            f"{ratios[-1]:.2f}",
            f"{one['seconds']:.2f}",
        ]
        rows_of_table.append([kind, f"{rows:,}", *cells])
    header = ["check_frame, ids", "rows", "bytes per row", "peak per row", "peak / frame", "seconds"]
    print(table(header, rows_of_table), "\n")
    report.add("checks_peak_over_data", max(ratios))


def run_many(count: int, report: Report) -> None:
    rows_of_table = []
    for path in ("forecaster", "fast"):
        one = measure(path, count * MANY_LENGTH, MANY_LENGTH)
        if one is None:
            continue
        rows_of_table.append([path, f"{count:,}", str(MANY_LENGTH), f"{one['seconds']:.1f}"])
        name = "series_100k_seconds" if path == "forecaster" else "series_100k_seconds:fast"
        report.add(name, one["seconds"] * MANY / count)
    print(table(["many series", "series", "rows each", "seconds"], rows_of_table))


if __name__ == "__main__":
    main()
