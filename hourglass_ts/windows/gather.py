"""Whole batches of windows at once, in the very numbers that `TimeSeriesDataSet` reads one window at a time.

`Plan.of` asks once what the windows of a data set need, and `gather` makes a batch of it. What is done to one window in
a loop upstream is done here to a (batch, step) array, in the same order and in the same precision. Two things decide
the bits: the standard deviation is computed in two passes in float64, and the random lengths are drawn in the order of
the windows.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data.encoders import (
    EncoderNormalizer,
    GroupNormalizer,
    MultiNormalizer,
    NaNLabelEncoder,
    TorchNormalizer,
)
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from torch import Tensor
from torch.distributions import Beta

Batch = tuple[dict[str, Any], tuple[Any, Any]]
INDEX = ("index_start", "index_end", "sequence_length", "sequence_id")
NORMALIZERS = (TorchNormalizer, GroupNormalizer, EncoderNormalizer, NaNLabelEncoder, MultiNormalizer)
SCALERS = (StandardScaler, RobustScaler, MinMaxScaler, MaxAbsScaler)
MOST_STEPS = 32_768  # torch splits longer sums among its threads
DOUBT = 1e-12
"""Relative distance to the middle of two float32 numbers below which summing in another order could decide."""


class CannotGatherError(Exception):
    """These windows must be read one by one; the message says why."""


@dataclass(frozen=True)
class _GroupScales:
    """What a group normaliser, as fitted in `norm`, says of each series: `values` (n_series, 2) where `known`."""

    norm: Any
    values: Tensor
    known: Tensor


@dataclass(frozen=True)
class Plan:
    """What all batches of one data set have in common.

    target, scalers, tensors: what the plan was made for; another one needs another plan.
    row_encoders: (normaliser, target number or None, column of reals or None), in the order of fitting.
    lagged: (normaliser, column) of lagged reals, scaled by what was fitted last.
    refusal: why the windows must be read one by one, if they must.
    group_scales: the scales of the series met so far, per group normaliser.
    may_be_unknown: columns of the categories with a class for the unknown.
    standard: float64 mean and scale of the scale features whose scaler is known to do just that.
    """

    target: Any
    scalers: Any
    tensors: Any
    refusal: str | None
    row_encoders: tuple[tuple[EncoderNormalizer, int | None, int | None], ...]
    lagged: tuple[tuple[EncoderNormalizer, int], ...]
    group_scales: dict[int, _GroupScales]
    may_be_unknown: tuple[int, ...]
    standard: dict[str, tuple[Tensor, Tensor]]

    @classmethod
    def of(cls, dataset: TimeSeriesDataSet) -> Plan:
        """Look through a data set once."""
        reals, codes, targets = dataset.reals, dataset.flat_categoricals, dataset.target_names
        row_encoders: list[tuple[EncoderNormalizer, int | None, int | None]] = [
            (normalizer, number, reals.index(target) if target in reals else None)
            for number, (normalizer, target) in enumerate(zip(dataset.target_normalizers, targets, strict=True))
            if isinstance(normalizer, EncoderNormalizer)
        ]
        lagged = []
        for column, name in enumerate(reals):
            scaler = dataset.get_transformer(name)
            if not isinstance(scaler, EncoderNormalizer) or name in targets:
                continue
            if name in dataset.lagged_variables:
                lagged.append((scaler, column))
            else:
                row_encoders.append((scaler, None, column))
        return cls(
            target=dataset.target_normalizer,
            scalers=dataset._scalers,
            tensors=dataset.data,
            refusal=_refusal(dataset),
            row_encoders=tuple(row_encoders),
            lagged=tuple(lagged),
            group_scales={},
            may_be_unknown=tuple(codes.index(name) for name in dataset.dropout_categoricals if name in codes),
            standard=_standard_features(dataset),
        )

    def scaled(self, dataset: TimeSeriesDataSet, name: str, values: Tensor) -> Tensor:
        """What the data set's scaler of a feature makes of `values` (B,)."""
        if name not in self.standard:
            return torch.as_tensor(dataset.transform_values(name, values))
        centre, scale = self.standard[name]
        return (values.double() - centre) / scale

    def serves(self, dataset: TimeSeriesDataSet) -> bool:
        """Say whether the data set is still what the plan was made for."""
        return (
            self.target is dataset.target_normalizer
            and self.scalers is dataset._scalers
            and self.tensors is dataset.data
        )


def _refusal(dataset: TimeSeriesDataSet) -> str | None:
    """Say what of a data set is not known to come out the same in one go; None where all of it is."""
    if type(dataset).__getitem__ is not TimeSeriesDataSet.__getitem__:
        return f"{type(dataset).__name__} has a __getitem__ of its own"
    whole = [dataset.target_normalizer] if dataset.multi_target else []
    for normalizer in [*dataset.target_normalizers, *whole]:
        if type(normalizer) not in NORMALIZERS:
            return f"the target normaliser is a {type(normalizer).__name__}"
    reals = dataset.reals
    if len(set(reals)) < len(reals):
        return "a variable has two roles"
    for name in reals:
        scaler = dataset.get_transformer(name)
        if isinstance(scaler, EncoderNormalizer) and type(scaler) is not EncoderNormalizer:
            return f"the scaler of {name!r} is a {type(scaler).__name__}"
    for target, normalizer in zip(dataset.target_names, dataset.target_normalizers, strict=True):
        if isinstance(normalizer, EncoderNormalizer) and dataset.add_target_scales:
            for name in (f"{target}_center", f"{target}_scale"):
                if type(dataset.get_transformer(name)) not in SCALERS:
                    return f"the scaler of {name!r} is not one of scikit-learn's"
    time, groups = dataset.data["time"], dataset.data["groups"]
    if ((time[1:] <= time[:-1]) & (groups[1:] == groups[:-1]).all(dim=1)).any():
        return "a series holds a time twice"
    return None


def _standard_features(dataset: TimeSeriesDataSet) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and scale of the scale features where scikit-learn's checks can be left out, and that is tried first."""
    found = {}
    probe = torch.randn(1_000, generator=torch.Generator().manual_seed(0))
    for name in [f"{target}_{part}" for target in dataset.target_names for part in ("center", "scale")]:
        scaler = dataset._scalers.get(name)
        if type(scaler) is StandardScaler and name in dataset.reals:
            centre, scale = (torch.from_numpy(part) for part in (scaler.mean_, scaler.scale_))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of feature names
                expected = torch.as_tensor(dataset.transform_values(name, probe))
            if torch.equal((probe.double() - centre) / scale, expected):
                found[name] = (centre, scale)
    return found


@dataclass(frozen=True)
class _Lengths:
    """Of B windows: context and horizon, steps from start to end, steps cut off in front, rows of the data."""

    encoder: Tensor
    decoder: Tensor
    whole: Tensor
    cut: Tensor
    start: Tensor
    end: Tensor

    def gapped(self) -> Tensor:
        """(B,) bool: windows with fewer rows than steps."""
        return self.end - self.start + 1 < self.whole


@dataclass(frozen=True)
class _Side:
    """The context or the horizon of B windows: n places, of which the first `lengths` (B,) are inside.

    first: (B,) row of the data at the first place, where rows are consecutive.  rows: (B, n) the row at every place,
    where they are not.  repeated: (B, n) bool, True where a row stands for a missing time after it.
    """

    lengths: Tensor
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
        if int(self.lengths.min()) == self.n:
            return None
        return torch.arange(self.n) >= self.lengths[:, None]


def gather(dataset: TimeSeriesDataSet, plan: Plan, indices: Sequence[int]) -> Batch:
    """The batch that upstream's samples make when they are collated.

    Raises CannotGatherError for windows that upstream refuses, and for those that one pass cannot do.
    """
    if plan.refusal is not None:
        raise CannotGatherError(plan.refusal)
    data, table, names = dataset.data, dataset.index, list(dataset.index.columns)
    picked = torch.from_numpy(table.to_numpy()[np.asarray(indices, dtype=np.int64)].astype(np.int64))
    start, end, whole, series = (picked[:, names.index(name)] for name in INDEX)
    lengths = _lengths(dataset, start, end, whole)
    sides = _sides(dataset, lengths)

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
    several = dataset.multi_target
    x = {
        "encoder_cat": cat[0],
        "encoder_cont": cont[0],
        "encoder_target": target[0] if several else target[0][0],
        "encoder_lengths": lengths.encoder,
        "decoder_cat": cat[1],
        "decoder_cont": cont[1],
        "decoder_target": target[1] if several else target[1][0],
        "decoder_lengths": lengths.decoder,
        "decoder_time_idx": (data["time"][start] + lengths.encoder)[:, None] + torch.arange(sides[1].n),
        "groups": data["groups"][start],
        "target_scale": [scales[number] for number in sorted(scales)] if several else scales[0],
    }
    return x, (x["decoder_target"], weight)


def _lengths(dataset: TimeSeriesDataSet, start: Tensor, end: Tensor, whole: Tensor) -> _Lengths:
    """Context and horizon of every window, drawn anew where the data set randomises them."""
    last = dataset.data["time"][end].numpy()
    decoder = torch.from_numpy(np.asarray(dataset.calculate_decoder_length(last, whole.numpy()), dtype=np.int64))
    encoder = whole - decoder
    if int(decoder.min()) < dataset.min_prediction_length or int(encoder.min()) < dataset.min_encoder_length:
        raise CannotGatherError("a window is shorter than the data set's minimum")
    if dataset.randomize_length is None:
        return _Lengths(encoder, decoder, whole, torch.zeros_like(whole), start, end)
    share = Beta(*dataset.randomize_length).sample((len(whole),))
    drawn = dataset.min_encoder_length + ((encoder - dataset.min_encoder_length) * share).round().long()
    longer = (decoder + encoder - drawn).clamp(max=dataset.max_prediction_length)
    shortened = drawn + longer < whole
    cut = torch.where(shortened, encoder - drawn, 0)
    return _Lengths(encoder - cut, torch.where(shortened, longer, decoder), whole, cut, start, end)


def _sides(dataset: TimeSeriesDataSet, lengths: _Lengths) -> tuple[_Side, _Side]:
    time, start = dataset.data["time"], lengths.start
    sizes = (lengths.encoder, int(lengths.encoder.max())), (lengths.decoder, int(lengths.decoder.max()))
    begins = (lengths.cut, lengths.cut + lengths.encoder)
    if not bool(lengths.gapped().any()):
        parts = []
        for begin, (own, n) in zip(begins, sizes, strict=True):
            first = start + begin
            fits = n > 0 and int(first.max()) + n <= len(time)
            rows = None if fits else (first[:, None] + torch.arange(n)).clamp(max=len(time) - 1)
            parts.append(_Side(own, n, first, rows))
        return parts[0], parts[1]
    if not dataset.allow_missing_timesteps:
        raise CannotGatherError("a window has missing times, which allow_missing_timesteps would allow")
    all_rows = _rows_with_gaps(time, start, lengths.end - start + 1, int(lengths.whole.max()))
    again = torch.zeros_like(all_rows, dtype=torch.bool)
    again[:, 1:] = all_rows[:, 1:] == all_rows[:, :-1]
    parts = []
    for begin, (own, n) in zip(begins, sizes, strict=True):
        places = (begin[:, None] + torch.arange(n)).clamp(max=all_rows.shape[1] - 1)
        parts.append(_Side(own, n, start + begin, all_rows.gather(1, places), again.gather(1, places)))
    return parts[0], parts[1]


def _rows_with_gaps(time: Tensor, start: Tensor, n_rows: Tensor, n: int) -> Tensor:
    """(B, n) the last row at or before each step: a mark at every row's own step, counted up."""
    rows = start[:, None] + torch.minimum(torch.arange(int(n_rows.max())), n_rows[:, None] - 1)
    marks = torch.zeros(len(start), n, dtype=torch.int64)
    marks.scatter_(1, time[rows] - time[start][:, None], 1)
    return start[:, None] + marks.cumsum(1) - 1


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
    stored = dataset.data["reals"][:, column]
    gapped = torch.nonzero(lengths.gapped())[:, 0]
    first, last = stored[lengths.start[gapped]].tolist(), stored[lengths.end[gapped]].tolist()
    steps = lengths.whole[gapped].tolist()
    # The formula of linspace would round otherwise than linspace does.
    lines = [torch.linspace(*ends, dtype=stored.dtype) for ends in zip(first, last, steps, strict=True)]
    line = torch.nn.utils.rnn.pad_sequence(lines, batch_first=True)
    for place, (side, begin) in enumerate(zip(sides, (lengths.cut, lengths.cut + lengths.encoder), strict=True)):
        places = (begin[gapped][:, None] + torch.arange(side.n)).clamp(max=line.shape[1] - 1)
        cont[place][gapped, :, column] = line.gather(1, places)


def _set_unknown(dataset: TimeSeriesDataSet, plan: Plan, lengths: _Lengths, cat: list[Tensor]) -> None:
    """Upstream hides the categories that may be unknown where a drawn window has no context."""
    if dataset.randomize_length is None or not plan.may_be_unknown:
        return
    bare = lengths.encoder == 0
    for codes in cat:
        for column in plan.may_be_unknown:
            codes[bare, :, column] = 0


def _set_lengths(dataset: TimeSeriesDataSet, lengths: _Lengths, cont: list[Tensor]) -> None:
    longest, encoder = dataset.max_encoder_length, lengths.encoder
    if dataset.add_relative_time_idx:
        column = dataset.reals.index("relative_time_idx")
        past, future = (torch.arange(part.shape[1]) for part in cont)
        cont[0][..., column] = (past - encoder[:, None]).to(cont[0].dtype) / longest
        cont[1][..., column] = future.to(cont[1].dtype) / longest
    if dataset.add_encoder_length:
        column = dataset.reals.index("encoder_length")
        scaled = (encoder.double() - 0.5 * longest) / longest * 2.0
        for part in cont:
            part[..., column] = scaled[:, None].to(part.dtype)


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
                part[..., column] = normalizer.transform(values, target_scale=params)
        if number is not None and dataset.add_target_scales:
            for which, name in enumerate(("center", "scale")):
                name = f"{dataset.target_names[number]}_{name}"
                feature = plan.scaled(dataset, name, params[:, which])
                for part in cont:
                    part[..., dataset.reals.index(name)] = feature[:, None].to(part.dtype)
    for normalizer, column in plan.lagged:
        for part in cont:
            part[..., column] = normalizer.transform(part[..., column], target_scale=fitted[id(normalizer)])
    return scales


def _fit_rows(normalizer: EncoderNormalizer, values: Tensor, column: int | None, lengths: _Lengths) -> Tensor:
    """(B, 2) centre and scale of the contexts in `values` (B, n), or in a column of (B, n, k)."""
    own = lengths.encoder
    if int(own.min()) < normalizer.min_length or int(own.max()) > MOST_STEPS or not values.is_floating_point():
        raise CannotGatherError("a context is too short, too long, or of integers, to scale by")
    plain = values if column is None else values[..., column]
    if normalizer.method == "standard":
        apart = lengths.gapped() if column is not None else torch.zeros_like(own, dtype=torch.bool)
        return _fit_standard(normalizer, plain, own, apart)
    params = torch.empty(len(own), 2)
    rows = copy(normalizer)
    for n in own.unique().tolist():
        mine = torch.nonzero(own == n)[:, 0]
        params[mine] = rows.fit(plain.index_select(0, mine)[:, :n]).get_parameters()
    return params


def _fit_standard(normalizer: EncoderNormalizer, values: Tensor, lengths: Tensor, apart: Tensor) -> Tensor:
    """Mean and standard deviation of each context in `values` (B, n), in the precision that one window alone has.

    A float32 sum depends on its length and memory layout. So means are taken of windows of one length together; and
    upstream's columns are contiguous until gaps are filled (`apart`, (B,) bool): then they are `values`' stride apart.
    """
    steps = normalizer.max_length
    most = (values.shape[1],) * 2 if steps is None else (steps, steps) if isinstance(steps, int) else tuple(steps)
    values = normalizer.preprocess(values)
    begin = [(lengths - n).clamp(min=0) for n in most]
    means = [_means(values, first, lengths, apart) for first in (begin if most[0] != most[1] else begin[:1])]
    scale = _deviation(values, means[-1], begin[1], lengths, apart) + torch.finfo(values.dtype).eps
    return torch.stack([means[0] if normalizer.center else torch.zeros_like(means[0]), scale], dim=-1)


def _means(values: Tensor, begin: Tensor, end: Tensor, apart: Tensor) -> Tensor:
    """(B,) mean of `values` (B, n) from `begin` to before `end`; equal ends have equal begins."""
    kinds = 2 * end + apart
    order = kinds.argsort()
    kinds, counts = kinds[order].unique_consecutive(return_counts=True)
    first = begin[order[counts.cumsum(0) - 1]].tolist()
    parts = values.index_select(0, order).split(counts.tolist())
    strided = _in_columns(values, order).split(counts.tolist()) if bool(apart.any()) else parts
    means = [
        torch.mean((strided if kind % 2 else parts)[place][:, start : kind // 2], dim=-1)
        for place, (kind, start) in enumerate(zip(kinds.tolist(), first, strict=True))
    ]
    return torch.cat(means)[order.argsort()]


def _in_columns(values: Tensor, order: Tensor) -> Tensor:
    """Rows of a column `values` (B, n) of a wider array in that array's layout."""
    stride = values.stride(1)
    spread = torch.empty(len(order), values.shape[1], stride)
    spread[..., 0] = values.index_select(0, order)
    return spread[..., 0]


def _deviation(values: Tensor, means: Tensor, begin: Tensor, end: Tensor, apart: Tensor) -> Tensor:
    """(B,) standard deviation from `begin` to before `end`, as torch has it for one row: in two passes, in float64."""
    gaps = values.double() - means.double()[:, None]
    place = torch.arange(values.shape[1])
    if int(begin.max()) > 0 or int(end.min()) < values.shape[1]:
        gaps.masked_fill_((place < begin[:, None]) | (place >= end[:, None]), 0)
    exact = (gaps.square_().sum(dim=-1) / (end - begin - 1)).sqrt()
    found = exact.float()
    in_doubt = (exact * (1 - DOUBT)).float() != (exact * (1 + DOUBT)).float()
    for row in torch.nonzero(in_doubt)[:, 0].tolist():
        own = values[row, int(begin[row]) : int(end[row])]
        found[row] = torch.std(own if apart[row] else own.contiguous(), dim=-1)
    return found


def _target_scale(dataset: TimeSeriesDataSet, plan: Plan, normalizer: Any, start: Tensor, series: Tensor) -> Tensor:
    """(B, 2) centre and scale of a target that has them from the training rows."""
    groups = dataset.data["groups"]
    if isinstance(normalizer, NaNLabelEncoder):
        return torch.zeros(len(start), 2)
    if not isinstance(normalizer, GroupNormalizer):
        return torch.stack([normalizer.get_parameters()] * len(start))
    scales = plan.group_scales.get(id(normalizer))
    if scales is None or scales.norm is not normalizer.norm_:
        n_series = int((groups[1:] != groups[:-1]).any(dim=1).sum()) + 1
        scales = _GroupScales(normalizer.norm_, torch.zeros(n_series, 2), torch.zeros(n_series, dtype=torch.bool))
        plan.group_scales[id(normalizer)] = scales
    for place in torch.nonzero(~scales.known[series])[:, 0].tolist():
        found = normalizer.get_parameters(groups[start[place]], dataset.group_ids)
        scales.values[series[place]] = torch.from_numpy(np.asarray(found, dtype=np.float32))
        scales.known[series[place]] = True
    return scales.values[series]


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
