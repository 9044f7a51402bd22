"""From a pytorch-forecasting data set to what the floor is fitted on: whole series, and the origins to use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from pytorch_forecasting import TimeSeriesDataSet
from torch import Tensor

from hourglass_ts.errors import Problem
from hourglass_ts.network.floor import Stretch

HELD_OUT_SHARE = 0.2


def series_numbers(groups: Tensor, group_sizes: Sequence[int]) -> Tensor:
    """One number per combination of group codes (n, G) → (n,); −1 where a code is outside the sizes known."""
    number = torch.zeros(len(groups), dtype=torch.long, device=groups.device)
    known = torch.ones_like(number, dtype=torch.bool)
    for column, size in zip(groups.T, group_sizes, strict=True):
        known &= (column >= 0) & (column < size)
        number = number * size + column
    return number.where(known, -1)


def numbering_problems(encoders: Mapping[str, Any], dataset: TimeSeriesDataSet) -> list[Problem]:
    """Group columns whose series `dataset` numbers otherwise than the encoders of the data set behind the model do."""
    problems = []
    for name in dataset.group_ids:
        known = encoders[f"__group_id__{name}"].classes_
        found = dataset._categorical_encoders[f"__group_id__{name}"].classes_
        differing = [label for label, code in known.items() if found.get(label) != code]
        if differing:
            problems.append(
                Problem(
                    f"another number for {len(differing)} series (a data set numbers its series when it is made)",
                    "the numbering of the data set that the model was made from",
                    "Make this one with TimeSeriesDataSet.from_dataset(training, frame, ...).",
                    column=name,
                    series=differing[0],
                )
            )
    return problems


def dataset_stretches(
    dataset: TimeSeriesDataSet,
    target: int,
    preprocess: Callable[[Tensor], Tensor],
    codes: Callable[[Tensor], Tensor],
    observed_real: str | None,
) -> list[Stretch]:
    """Every series of the data set on its full time grid, in the target's transformed space, with the set's origins.

    Missing time steps repeat the value before them and count as unobserved, as do rows of weight 0 and rows where the
    column `observed_real` is 0.
    """
    time = dataset.data["time"]
    values = preprocess(dataset.data["target"][target].float())
    observed = torch.ones(len(time), dtype=torch.bool)
    if dataset.data["weight"] is not None:
        observed &= dataset.data["weight"] > 0
    if observed_real is not None:
        observed &= dataset.data["reals"][:, dataset.reals.index(observed_real)] > 0.5

    groups = dataset.data["groups"]
    starts = torch.cat([torch.ones(1, dtype=torch.bool), (groups[1:] != groups[:-1]).any(1)]).nonzero().squeeze(1)
    ends = torch.cat([starts[1:], torch.tensor([len(time)])])
    origins = _origins(dataset)
    series_of_origin = torch.searchsorted(starts, origins[:, 0].contiguous(), right=True) - 1
    counts = series_of_origin.bincount(minlength=len(starts)).tolist()
    origins_of_series = origins[series_of_origin.argsort(stable=True), 1].split(counts)

    found, unknown = [], 0
    numbers = codes(groups[starts]).tolist()
    for number, start, end, own in zip(numbers, starts.tolist(), ends.tolist(), origins_of_series, strict=True):
        grid = torch.arange(int(time[start]), int(time[end - 1]) + 1)
        row = start + torch.searchsorted(time[start:end], grid, right=True) - 1
        origin = (own - grid[0]).unique()
        if number < 0:  # series that the model does not know: apart from each other
            unknown -= 1
            number = unknown
        seen = observed[row] & (time[row] == grid)
        stretch = Stretch(number, values[row], seen, origin[origin >= 0], start=int(grid[0]))
        if len(stretch.origins):
            found.append(stretch)
    return found


def _origins(dataset: TimeSeriesDataSet) -> Tensor:
    """(n, 2): the row where a window of the set begins, and the time of the last step before its decoder."""
    start = dataset.index["index_start"].to_numpy().astype(np.int64)
    time_last = dataset.data["time"].numpy()[dataset.index["index_end"].to_numpy()]
    decoder = dataset.calculate_decoder_length(time_last, dataset.index["sequence_length"].to_numpy())
    return torch.from_numpy(np.stack([start, time_last - np.asarray(decoder, dtype=np.int64)], axis=1))


def hold_out_tail(stretches: Sequence[Stretch], horizon: int) -> tuple[list[Stretch], list[Stretch]]:
    """Split each series' origins by time: the last fifth judges, and a whole horizon lies between the two."""
    training, held_out = [], []
    for stretch in stretches:
        n_held = int(len(stretch.origins) * HELD_OUT_SHARE)
        cut = int(stretch.origins[len(stretch.origins) - n_held]) if n_held else int(stretch.origins[-1]) + 1
        early = stretch.origins[stretch.origins + horizon < cut]
        if n_held and len(early):
            training.append(replace(stretch, origins=early))
            held_out.append(replace(stretch, origins=stretch.origins[stretch.origins >= cut]))
        else:
            training.append(stretch)
    return training, held_out
