"""Batches per second: upstream's `TimeSeriesDataSet`, `FastTimeSeriesDataSet`, and a bare gather of the same tensors.

Four kinds of data sets, batches of 64, 128 and 1,024 windows, 0 and 2 workers; every batch of a first pass is compared
with upstream's, bit for bit. Each figure is the best of several passes, and all ratios are of passes made in turn.

    python benchmarks/loader.py [--quick] [--json PATH]
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import Report, arguments, table
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data.encoders import EncoderNormalizer, GroupNormalizer, MultiNormalizer
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).parents[1]))
from hourglass_ts import FastTimeSeriesDataSet
from tests.reference.batches import batches_differ

CONTEXT, HORIZON = 168, 24
BATCH_SIZES, WORKERS = (64, 128, 1024), (0, 2)
PASSES = 3


def frame(n_series: int, n_steps: int) -> pd.DataFrame:
    """Hourly-like series with two targets, covariates and categories."""
    rng = np.random.default_rng(0)
    n = n_series * n_steps
    step = np.tile(np.arange(n_steps), n_series)
    columns = {
        "series": np.repeat([f"series {number}" for number in range(n_series)], n_steps),
        "t": step,
        "load": np.sin(step / 4) + rng.normal(scale=0.3, size=n) + 3,
        "wind": rng.normal(size=n),
        "price": rng.normal(size=n),
        "day": np.array([f"day {d}" for d in range(7)])[step // 24 % 7],
        "kind": np.repeat(rng.choice(["home", "office"], n_series), n_steps),
    }
    return pd.DataFrame(columns)


def kinds(data: pd.DataFrame) -> dict[str, tuple[pd.DataFrame, dict[str, Any]]]:
    """Name → the frame, and how its data set is made."""
    plain = {
        "time_idx": "t",
        "target": "load",
        "group_ids": ["series"],
        "max_encoder_length": CONTEXT,
        "max_prediction_length": HORIZON,
        "time_varying_unknown_reals": ["load"],
        "target_normalizer": GroupNormalizer(groups=["series"]),
    }
    rich = plain | {
        "static_categoricals": ["series", "kind"],
        "time_varying_known_categoricals": ["day"],
        "time_varying_known_reals": ["t", "price"],
        "time_varying_unknown_reals": ["load", "wind"],
        "add_relative_time_idx": True,
        "add_target_scales": True,
        "add_encoder_length": True,
    }
    scaled = rich | {"target_normalizer": EncoderNormalizer(), "min_encoder_length": CONTEXT // 2}
    several = rich | {
        "target": ["load", "wind"],
        "target_normalizer": MultiNormalizer([EncoderNormalizer(), GroupNormalizer(groups=["series"])]),
        "allow_missing_timesteps": True,
    }
    rng = np.random.default_rng(1)
    holes = (rng.random(len(data)) < 0.05) & (data["t"] > 0).to_numpy() & (data["t"] < data["t"].max()).to_numpy()
    return {
        "one target, no covariates": (data, plain),
        "covariates and categories": (data, rich),
        "scaled by context, lengths vary": (data, scaled),
        "two targets, gaps": (data[~holes], several),
    }


class Gather(Dataset[Any]):
    """What no loader can do without: the rows of every window, out of the same tensors."""

    def __init__(self, dataset: TimeSeriesDataSet) -> None:
        data = dataset.data
        self.tensors = [data[name] for name in ("reals", "categoricals", "time", "weight") if data[name] is not None]
        self.tensors += data["target"]
        self.groups = data["groups"]
        self.start = torch.from_numpy(dataset.index["index_start"].to_numpy(copy=True)).long()
        self.steps = torch.arange(CONTEXT + HORIZON)
        self.n_rows = len(self.groups)

    def __len__(self) -> int:
        return len(self.start)

    def __getitems__(self, indices: list[int]) -> list[torch.Tensor]:
        start = self.start[indices]
        rows = (start[:, None] + self.steps).clamp(max=self.n_rows - 1)
        flat = rows.reshape(-1)
        windows = [tensor.index_select(0, flat).view(*rows.shape, *tensor.shape[1:]) for tensor in self.tensors]
        return [*windows, self.groups.index_select(0, start)]


def loader(dataset: Any, batch_size: int, workers: int, n_batches: int) -> DataLoader[Any]:
    """The same windows in the same disorder for every data set."""
    order = torch.randint(len(dataset), (batch_size * n_batches,), generator=torch.Generator().manual_seed(0)).tolist()
    collate = dataset._collate_fn if isinstance(dataset, TimeSeriesDataSet) else lambda batch: batch
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=order,
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context="fork" if workers else None,
    )


def seconds(loaded: DataLoader[Any]) -> float:
    """One pass over a loader."""
    started = time.perf_counter()
    for _ in loaded:
        pass
    return time.perf_counter() - started


def rows(quick: bool) -> Iterator[dict[str, Any]]:
    """Measure every kind, batch size and number of workers."""
    data = frame(n_series=20 if quick else 100, n_steps=600 if quick else 2000)
    for kind, (own, how) in kinds(data).items():
        theirs, ours = TimeSeriesDataSet(own.copy(), **how), FastTimeSeriesDataSet(own.copy(), **how)
        for batch_size in BATCH_SIZES[:: 2 if quick else 1]:
            for workers in WORKERS[: 1 if quick else 2]:
                n_batches = max(2, (1_024 if quick else 4_096) // batch_size)
                loaders = [
                    loader(dataset, batch_size, workers, n_batches * (1 if dataset is theirs else 8))
                    for dataset in (theirs, ours, Gather(ours))
                ]
                unequal = sum(bool(batches_differ(a, b)) for a, b in zip(loaders[1], loaders[0], strict=False))
                times = [[seconds(one) for one in loaders] for _ in range(1 if quick else PASSES)]
                upstream, fast, bare = (min(column) for column in zip(*times, strict=True))
                yield {
                    "kind": kind,
                    "batch": batch_size,
                    "workers": workers,
                    "upstream": n_batches / upstream,
                    "ours": 8 * n_batches / fast,
                    "gather": 8 * n_batches / bare,
                    "unequal": unequal,
                    "compared": n_batches,
                }


def main() -> None:
    options = arguments(__doc__ or "").parse_args()
    warnings.filterwarnings("ignore")  # printing upstream's warnings would slow upstream down
    torch.set_num_threads(1)
    report, found = Report(), []
    for row in rows(options.quick):
        found.append(row)
        case = f"{row['kind']}, batches of {row['batch']}, {row['workers']} workers"
        speedup, over = row["ours"] / row["upstream"], row["gather"] / row["ours"]
        print(f"{case}: {speedup:.0f} times upstream, {over:.2f} of a gather's time", file=sys.stderr, flush=True)
        for name in ("upstream", "ours", "gather"):
            report.add(f"loader_batches_per_second:{row['kind']}:{row['batch']}:{row['workers']}:{name}", row[name])
    speedups = [row["ours"] / row["upstream"] for row in found]
    over = [row["gather"] / row["ours"] for row in found]
    report.add("loader_speedup_median", statistics.median(speedups))
    report.add("loader_speedup_min", min(speedups))
    report.add("loader_over_gather", max(over))
    report.add("loader_over_gather_median", statistics.median(over))
    report.add("loader_unequal_batches", sum(row["unequal"] for row in found))
    header = ["kind", "batch", "workers", "upstream /s", "ours /s", "bare gather /s", "× upstream", "× gather's time"]
    lines = [
        [
            row["kind"],
            str(row["batch"]),
            str(row["workers"]),
            *[f"{row[name]:,.0f}" for name in ("upstream", "ours", "gather")],
            f"{speedup:.0f}",
            f"{ratio:.2f}",
        ]
        for row, speedup, ratio in zip(found, speedups, over, strict=True)
    ]
    print(table(header, lines))
    print(
        f"\nmedian {statistics.median(speedups):.0f} times upstream, least {min(speedups):.0f}; "
        f"{sum(row['unequal'] for row in found)} of {sum(row['compared'] for row in found)} batches unequal"
    )
    report.write(options.json)


if __name__ == "__main__":
    main()
