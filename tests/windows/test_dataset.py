"""Windows as pytorch-forecasting's data set: which there are, and what stands in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_forecasting import TimeSeriesDataSet

from hourglass_ts.frames.schema import STEP, UNIT, Roles, check_frame
from hourglass_ts.windows.dataset import window_dataset
from hourglass_ts.windows.encode import UNKNOWN, TableEncoder, aligned_time
from hourglass_ts.windows.gather import gather
from hourglass_ts.windows.plan import Plan
from tests.reference.batches import batches_differ


def windows(n_series: int = 23, n: int = 20, **which: Any) -> tuple[Any, pd.DataFrame]:
    """A data set over series whose scaled target says which series and step it is: 100 · code + step."""
    number, step = np.repeat(np.arange(n_series), n), np.tile(np.arange(n), n_series)
    frame = pd.DataFrame({"id": number, "t": step, "y": 100.0 * number + step, "k": np.where(step % 2, "odd", "even")})
    panel = check_frame(frame, Roles.from_arguments("t", "y", "id", known="k"))
    fitted = TableEncoder.fit(panel, pd.Series(np.ones(len(frame), dtype=bool)), None)
    plain = type(fitted.scaler)(np.zeros(n_series), np.ones(n_series))
    encoder = TableEncoder(plain, fitted.covariates)
    last = np.full(n_series, n - 1)
    table = encoder.frame(panel.table, np.arange(n_series), aligned_time(panel.table, last, n))
    lengths = {"context": 5, "horizon": 3, "min_context": 2}
    codes = which.pop("codes", range(n_series))
    rows = panel.table[UNIT].isin(codes) & (panel.table[STEP] >= which.pop("from_step", 0))
    return window_dataset(table[rows.to_numpy()], encoder, n_series=n_series, **lengths, **which), table


def test_series_are_numbered_by_their_codes_whatever_rows_there_are() -> None:
    for codes in (range(23), [2, 10, 11, 22], [22]):
        dataset, _ = windows(codes=codes)
        seen = set()
        for x, _ in dataset.to_dataloader(train=False, batch_size=64):
            own = (x["encoder_target"][:, 0] / 100).floor().long()
            assert torch.equal(x["groups"][:, 0], own)
            seen |= set(own.tolist())
        assert seen == set(codes)


def lengths_and_firsts(dataset: Any) -> list[tuple[int, int]]:
    """(encoder length, first target's time) of every window, sorted by time."""
    found = [
        pair
        for x, _ in dataset.to_dataloader(train=False, batch_size=7)
        for pair in zip(x["encoder_lengths"].tolist(), x["decoder_time_idx"][:, 0].tolist(), strict=True)
    ]
    return sorted(found, key=lambda pair: pair[1])


def test_every_origin_has_one_window_as_long_as_its_history_allows() -> None:
    dataset, _ = windows(n_series=1)  # times 1 … 20, 5 steps of context, 3 of horizon
    assert lengths_and_firsts(dataset) == [(2, 3), (3, 4), (4, 5), *[(5, first) for first in range(6, 19)]]


def test_targets_follow_their_context() -> None:
    dataset, _ = windows(n_series=3)
    for x, (y, weight) in dataset.to_dataloader(train=False, batch_size=64):
        last = x["encoder_target"].gather(1, x["encoder_lengths"][:, None] - 1)
        assert torch.equal(y, last + torch.arange(1, 4))
        assert (weight == 1).all()


def test_first_target_keeps_earlier_rows_as_context_alone() -> None:
    dataset, _ = windows(n_series=2, first_target=15)
    assert lengths_and_firsts(dataset) == [(5, first) for first in (15, 15, 16, 16, 17, 17, 18, 18)]


def test_series_shorter_than_the_context_keep_their_windows() -> None:
    dataset, _ = windows(n_series=2, from_step=14)
    assert lengths_and_firsts(dataset) == [(length, first) for length, first in ((2, 17), (3, 18)) for _ in range(2)]


def test_the_last_window_alone() -> None:
    dataset, _ = windows(n_series=12, last_window_only=True)
    ((_, (y, _)),) = dataset.to_dataloader(train=False, batch_size=64)
    assert len(y) == 12
    np.testing.assert_array_equal(y % 100, np.tile([17.0, 18.0, 19.0], (12, 1)))


def test_an_unknown_category_has_a_class_of_its_own() -> None:
    dataset, table = windows(n_series=1)
    usual = torch.cat([x["decoder_cat"] for x, _ in dataset.to_dataloader(train=False)]).unique()
    assert usual.tolist() == [1, 2]
    spoilt = type(dataset).from_dataset(dataset, table.assign(known_0=UNKNOWN))
    assert torch.cat([x["decoder_cat"] for x, _ in spoilt.to_dataloader(train=False)]).unique().tolist() == [0]


def test_gathered_batches_are_upstreams_to_the_bit() -> None:
    for which in ({}, {"first_target": 18}, {"last_window_only": True}, {"codes": [2, 11, 22]}, {"from_step": 13}):
        dataset, _ = windows(**which)
        order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0)).tolist()
        for places in (order[:1], order[:7], order):
            one_by_one = TimeSeriesDataSet._collate_fn([dataset[place] for place in places])
            assert batches_differ(gather(dataset, Plan.of(dataset), places), one_by_one) == []
