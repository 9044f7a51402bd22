"""Whole batches of windows at once, in the very numbers that `TimeSeriesDataSet` reads one window at a time.

What is done upstream to one window in a loop is done here to a (batch, step) array, in the same order and the same
precision (`exact.py`); what all batches of a data set have in common is found out once (`plan.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data.encoders import EncoderNormalizer, GroupNormalizer, NaNLabelEncoder
from torch import Tensor
from torch.distributions import Beta

from hourglass_ts.windows.exact import MOST_STEPS, deviations, lines, means
from hourglass_ts.windows.plan import CannotGatherError, GroupScales, Plan, goes_on

Batch = tuple[dict[str, Any], tuple[Any, Any]]


@dataclass(frozen=True)
class _Lengths:
    """Of B windows: context and horizon, steps from start to end, steps cut off in front, rows of the data.

    In numpy: a call costs a fraction of torch's, which counts for a few numbers per window.
    """

    encoder: np.ndarray
    decoder: np.ndarray
    whole: np.ndarray
    cut: np.ndarray
    start: np.ndarray
    end: np.ndarray

    @property
    def gapped(self) -> np.ndarray:
        """(B,) bool: windows with fewer rows than steps."""
        return self.end - self.start + 1 < self.whole


@dataclass(frozen=True)
class _Side:
    """The context or the horizon of B windows: n places, of which the first `lengths` (B,) are inside.

    first: (B,) row of the data at the first place, where rows are consecutive.  rows: (B, n) the row at every place,
    where they are not.  repeated: (B, n) bool, True where a row stands for a missing time after it.
    """

    lengths: np.ndarray
    n: int
    first: Tensor
    rows: Tensor | None = None
    repeated: Tensor | None = None

    def take(self, tensor: Tensor) -> Tensor:
        """(B, n, …) what stands at each place; anything at places outside."""
        if self.rows is not None:
            return tensor.index_select(0, self.rows.reshape(-1)).view(*self.rows.shape, *tensor.shape[1:])
        windows = tensor.unfold(0, self.n, 1)  # a view: reading whole windows from it is several times faster
        return (windows.transpose(1, 2) if tensor.ndim == 2 else windows).index_select(0, self.first)

    def outside(self) -> Tensor | None:
        """(B, n) bool; None where every place is inside."""
        if self.lengths.min() == self.n:
            return None
        return torch.from_numpy(np.arange(self.n) >= self.lengths[:, None])


def gather(dataset: TimeSeriesDataSet, plan: Plan, indices: Sequence[int]) -> Batch:
    """The batch that upstream's samples make when they are collated.

    Raises CannotGatherError for windows that upstream refuses, and for those that one pass cannot do.
    """
    if plan.refusal is not None:
        raise CannotGatherError(plan.refusal)
    data, table = dataset.data, dataset.index
    places = plan.index_places(table.columns)
    picked = table.to_numpy()[np.asarray(indices, dtype=np.int64)].T.astype(np.int64)
    start, end, whole, series = (picked[place] for place in places)
    lengths = _lengths(dataset, start, end, whole)
    sides = _sides(dataset, plan, lengths)

    cont = [side.take(data["reals"]) for side in sides]
    cat = [side.take(data["categoricals"]) for side in sides]
    target = [[side.take(values) for values in data["target"]] for side in sides]
    if sides[0].repeated is not None:
        _fill_gaps(dataset, sides, lengths, cont, cat, target)
    _set_unknown(dataset, plan, lengths, cat)
    _set_lengths(dataset, lengths, cont)
    scales = _scale_by_context(dataset, plan, lengths, cont, target)
    _overwrite(dataset, cont, cat)

    for number, normalizer in enumerate(dataset.target_normalizers):
        if number not in scales:
            scales[number] = _target_scale(dataset, plan, normalizer, start, series)
    weight = None if data["weight"] is None else sides[1].take(data["weight"])
    for place, side in enumerate(sides):
        if (outside := side.outside()) is not None:
            for values in (cont[place], cat[place]):
                values.masked_fill_(outside[..., None], 0)
            for values in [*target[place], *([weight] if place == 1 and weight is not None else [])]:
                values.masked_fill_(outside, 0)
    several, origin = dataset.multi_target, data["time"].numpy()[start] + lengths.encoder
    x = {
        "encoder_cat": cat[0],
        "encoder_cont": cont[0],
        "encoder_target": target[0] if several else target[0][0],
        "encoder_lengths": torch.from_numpy(lengths.encoder),
        "decoder_cat": cat[1],
        "decoder_cont": cont[1],
        "decoder_target": target[1] if several else target[1][0],
        "decoder_lengths": torch.from_numpy(lengths.decoder),
        "decoder_time_idx": torch.from_numpy(origin[:, None] + np.arange(sides[1].n)),
        "groups": data["groups"][torch.from_numpy(start)],
        "target_scale": [scales[number] for number in sorted(scales)] if several else scales[0],
    }
    return x, (x["decoder_target"], weight)


def _lengths(dataset: TimeSeriesDataSet, start: np.ndarray, end: np.ndarray, whole: np.ndarray) -> _Lengths:
    """Context and horizon of every window, drawn anew where the data set randomises them."""
    after = dataset.data["time"].numpy()[end] - (dataset.min_prediction_idx - 1)  # as in `calculate_decoder_length`
    decoder = np.minimum(np.minimum(after, whole - dataset.min_encoder_length), dataset.max_prediction_length)
    encoder = whole - decoder
    if decoder.min() < dataset.min_prediction_length or encoder.min() < dataset.min_encoder_length:
        raise CannotGatherError("a window is shorter than the data set's minimum")
    if dataset.randomize_length is None:
        return _Lengths(encoder, decoder, whole, np.zeros_like(whole), start, end)
    share = Beta(*dataset.randomize_length).sample((len(whole),))  # in torch's float32, as the product with it
    drawn = (torch.from_numpy(encoder - dataset.min_encoder_length) * share).round().long().numpy()
    drawn += dataset.min_encoder_length
    longer = np.minimum(decoder + encoder - drawn, dataset.max_prediction_length)
    shortened = drawn + longer < whole
    cut = np.where(shortened, encoder - drawn, 0)
    return _Lengths(encoder - cut, np.where(shortened, longer, decoder), whole, cut, start, end)


def _sides(dataset: TimeSeriesDataSet, plan: Plan, lengths: _Lengths) -> tuple[_Side, _Side]:
    side = _consecutive_side
    if lengths.gapped.any():
        if not dataset.allow_missing_timesteps:
            raise CannotGatherError("a window has missing times, which allow_missing_timesteps would allow")
        side = _gapped_side
    past = side(plan, lengths.start, lengths.cut, lengths.encoder)
    return past, side(plan, lengths.start, lengths.cut + lengths.encoder, lengths.decoder)


def _consecutive_side(plan: Plan, start: np.ndarray, begin: np.ndarray, lengths: np.ndarray) -> _Side:
    first, n, n_rows = start + begin, int(lengths.max()), len(plan.tensors["time"])
    if n > 0 and first.max() + n <= n_rows:
        return _Side(lengths, n, torch.from_numpy(first))
    rows = np.minimum(first[:, None] + np.arange(n), n_rows - 1)
    return _Side(lengths, n, torch.from_numpy(first), torch.from_numpy(rows))


def _gapped_side(plan: Plan, start: np.ndarray, begin: np.ndarray, lengths: np.ndarray) -> _Side:
    place, row = plan.grid
    first, n = torch.from_numpy(place.numpy()[start] + begin), int(lengths.max())
    rows = row.unfold(0, n, 1).index_select(0, first) if n else row.new_empty(len(first), 0)
    before = torch.where(first > 0, row.index_select(0, (first - 1).clamp(min=0)), -1)
    return _Side(lengths, n, first, rows, rows == torch.cat([before[:, None], rows], dim=1)[:, :n])


def _fill_gaps(
    dataset: TimeSeriesDataSet,
    sides: tuple[_Side, _Side],
    lengths: _Lengths,
    cont: list[Tensor],
    cat: list[Tensor],
    target: list[list[Tensor]],
) -> None:
    """Count the time index on through the missing times, and set the values that the user wants there."""
    reals, codes, targets = dataset.reals, dataset.flat_categoricals, dataset.target_names
    if dataset.time_idx in reals:
        _count_time_on(dataset, sides, lengths, cont, reals.index(dataset.time_idx))
    for name, value in dataset.encoded_constant_fill_strategy.items():
        for place, side in enumerate(sides):
            if name in reals:
                cont[place][side.repeated, reals.index(name)] = value
            elif name in [f"__target__{own}" for own in targets]:
                target[place][targets.index(name.removeprefix("__target__"))][side.repeated] = value
            elif name in codes:
                cat[place][side.repeated, codes.index(name)] = value
            elif name not in targets:
                raise CannotGatherError(f"constant_fill_strategy names {name!r}, which is no variable")


def _count_time_on(
    dataset: TimeSeriesDataSet, sides: tuple[_Side, _Side], lengths: _Lengths, cont: list[Tensor], column: int
) -> None:
    stored, gapped = dataset.data["reals"][:, column], np.flatnonzero(lengths.gapped)
    first, last = (stored[torch.from_numpy(rows[gapped])] for rows in (lengths.start, lengths.end))
    line = lines(first, last, torch.from_numpy(lengths.whole[gapped]))
    for place, (side, begin) in enumerate(zip(sides, (lengths.cut, lengths.cut + lengths.encoder), strict=True)):
        places = np.minimum(begin[gapped][:, None] + np.arange(side.n), line.shape[1] - 1)
        cont[place][torch.from_numpy(gapped), :, column] = line.gather(1, torch.from_numpy(places))


def _set_unknown(dataset: TimeSeriesDataSet, plan: Plan, lengths: _Lengths, cat: list[Tensor]) -> None:
    """Upstream hides the categories that may be unknown where a drawn window has no context."""
    if dataset.randomize_length is None or not plan.may_be_unknown:
        return
    bare = torch.from_numpy(lengths.encoder == 0)
    for codes in cat:
        for column in plan.may_be_unknown:
            codes[bare, :, column] = 0


def _set_lengths(dataset: TimeSeriesDataSet, lengths: _Lengths, cont: list[Tensor]) -> None:
    longest = dataset.max_encoder_length
    if dataset.add_relative_time_idx:
        column, origin = dataset.reals.index("relative_time_idx"), lengths.encoder[:, None]
        past, future = (np.arange(part.shape[1]) for part in cont)
        cont[0][..., column] = torch.from_numpy(past - origin) / longest
        cont[1][..., column] = torch.from_numpy(future) / longest
    if dataset.add_encoder_length:
        column = dataset.reals.index("encoder_length")
        scaled = torch.from_numpy((lengths.encoder - 0.5 * longest) / longest * 2.0)
        for part in cont:
            part[..., column] = scaled[:, None]


def _scale_by_context(
    dataset: TimeSeriesDataSet, plan: Plan, lengths: _Lengths, cont: list[Tensor], target: list[list[Tensor]]
) -> dict[int, Tensor]:
    """Scale what is scaled by its own context; (B, 2) centre and scale of each target that is."""
    fitted: dict[int, Tensor] = {}
    scales: dict[int, Tensor] = {}
    for normalizer, number, column in plan.row_encoders:
        own, within = (cont[0], column) if number is None else (target[0][number], None)
        params = fitted[id(normalizer)] = _fit_rows(normalizer, own, within, lengths)
        if number is not None:
            scales[number] = params
        if column is not None:
            for place, part in enumerate(cont):
                values = part[..., column] if number is None else target[place][number]
                part[..., column] = _transform(normalizer, values, params)
        if number is not None and dataset.add_target_scales:
            for which, name in enumerate(("center", "scale")):
                name = f"{dataset.target_names[number]}_{name}"
                feature = plan.scaled(dataset, name, params[:, which])
                for part in cont:
                    part[..., dataset.reals.index(name)] = feature[:, None]
    for normalizer, column in plan.lagged:
        for part in cont:
            part[..., column] = _transform(normalizer, part[..., column], fitted[id(normalizer)])
    return scales


def _transform(normalizer: EncoderNormalizer, values: Tensor, params: Tensor) -> Tensor:
    return (normalizer.preprocess(values) - params[:, :1]) / params[:, 1:]


def _fit_rows(normalizer: EncoderNormalizer, values: Tensor, column: int | None, lengths: _Lengths) -> Tensor:
    """(B, 2) centre and scale of the contexts in `values` (B, n), or in a column of (B, n, k)."""
    own = lengths.encoder
    if own.min() < normalizer.min_length or own.max() > MOST_STEPS or not values.is_floating_point():
        raise CannotGatherError("a context is too short, too long, or of integers, to scale by")
    plain = values if column is None else values[..., column]
    if normalizer.method == "standard":
        apart = lengths.gapped if column is not None else np.zeros(len(own), dtype=bool)
        return _fit_standard(normalizer, plain, own, apart)
    params = torch.empty(len(own), 2, dtype=values.dtype)
    rows = copy(normalizer)
    for n in np.unique(own).tolist():
        mine = torch.from_numpy(np.flatnonzero(own == n))
        params[mine] = rows.fit(plain.index_select(0, mine)[:, :n]).get_parameters()
    return params


def _fit_standard(normalizer: EncoderNormalizer, values: Tensor, lengths: np.ndarray, apart: np.ndarray) -> Tensor:
    """Mean and standard deviation of each context in `values` (B, n).

    apart (B,) bool: columns whose gaps were filled, which upstream sums with the other columns in between.
    """
    steps = normalizer.max_length
    most = (values.shape[1],) * 2 if steps is None else (steps, steps) if isinstance(steps, int) else tuple(steps)
    values = normalizer.preprocess(values)
    begin = [np.maximum(lengths - n, 0) for n in most]
    centres = [means(values, first, lengths, apart) for first in (begin if most[0] != most[1] else begin[:1])]
    scale = deviations(values, centres[-1], begin[1], lengths, apart) + torch.finfo(values.dtype).eps
    return torch.stack([centres[0] if normalizer.center else torch.zeros_like(centres[0]), scale], dim=-1)


def _target_scale(
    dataset: TimeSeriesDataSet, plan: Plan, normalizer: Any, start: np.ndarray, series: np.ndarray
) -> Tensor:
    """(B, 2) centre and scale of a target that has them from the training rows."""
    groups = dataset.data["groups"]
    if isinstance(normalizer, NaNLabelEncoder):
        return torch.zeros(len(start), 2, dtype=torch.float)
    if not isinstance(normalizer, GroupNormalizer):
        return torch.stack([normalizer.get_parameters()] * len(start))
    scales = plan.group_scales.get(id(normalizer))
    if scales is None or scales.norm is not normalizer.norm_:
        n_series = int((~goes_on(dataset)).sum()) + 1
        scales = GroupScales(normalizer.norm_, np.zeros((n_series, 2), np.float32), np.zeros(n_series, dtype=bool))
        plan.group_scales[id(normalizer)] = scales
    for place in np.flatnonzero(~scales.known[series]):
        scales.values[series[place]] = normalizer.get_parameters(groups[start[place]], dataset.group_ids)
        scales.known[series[place]] = True
    return torch.from_numpy(scales.values[series])


def _overwrite(dataset: TimeSeriesDataSet, cont: list[Tensor], cat: list[Tensor]) -> None:
    """Set what the user overwrote, `set_overwrite_values`."""
    wanted = dataset._overwrite_values
    if wanted is None:
        return
    if wanted["values"].ndim > 0:
        raise CannotGatherError("several values are overwritten at once")
    parts, names = (cont, dataset.reals) if wanted["variable"] in dataset.reals else (cat, dataset.flat_categoricals)
    for part in {"encoder": parts[:1], "decoder": parts[1:], "all": parts}[wanted["target"]]:
        part[..., names.index(wanted["variable"])] = wanted["values"].to(part.dtype)
