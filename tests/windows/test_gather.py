"""Gathered batches are those of upstream's `TimeSeriesDataSet`, bit for bit, whatever the data set."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data.encoders import (
    EncoderNormalizer,
    GroupNormalizer,
    MultiNormalizer,
    NaNLabelEncoder,
    TorchNormalizer,
)
from sklearn.preprocessing import MinMaxScaler, RobustScaler

from hourglass_ts import FastTimeSeriesDataSet
from hourglass_ts.windows import index
from hourglass_ts.windows.gather import gather
from hourglass_ts.windows.plan import Plan
from tests.reference.batches import batches_differ

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # upstream's, of scales, categories and short series


def table(gaps: bool = False, n_series: int = 5) -> pd.DataFrame:
    """Series of 40 steps and more with two keys, positive targets, covariates, categories and a weight."""
    rng = np.random.default_rng(7)
    frames = []
    for number in range(n_series):
        n = 40 + 3 * number
        frame = pd.DataFrame({"t": np.arange(n) + 5 * number, "shop": "ABCDE"[number], "item": "xy"[number % 2]})
        frame["y"] = np.exp(rng.normal(size=n)) * (1 + number) + 0.1
        frame["z"] = rng.normal(size=n).cumsum() + 50
        frame["c"] = rng.choice(["red", "green", "blue"], size=n)
        frame["d"] = rng.choice(["u", "v"], size=n)
        frame["price"] = rng.normal(size=n) + number
        frame["size"] = float(number)
        frame["w"] = rng.random(n)
        frame["k"] = rng.integers(0, 9, n)
        if gaps:
            keep = np.ones(n, dtype=bool)
            keep[rng.choice(np.arange(1, n - 1), size=12, replace=False)] = False
            keep[20:23] = False
            frame = frame[keep]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True).sample(frac=1.0, random_state=0).reset_index(drop=True)


BASE: dict[str, Any] = {
    "time_idx": "t",
    "target": "y",
    "group_ids": ["shop", "item"],
    "max_encoder_length": 12,
    "max_prediction_length": 4,
    "static_categoricals": ["shop"],
    "static_reals": ["size"],
    "time_varying_known_categoricals": ["c"],
    "time_varying_known_reals": ["t", "price"],
    "time_varying_unknown_categoricals": ["d"],
    "time_varying_unknown_reals": ["y", "z"],
}
SHORTER = {"min_encoder_length": 3, "min_prediction_length": 1}
EXTRAS = {"add_relative_time_idx": True, "add_target_scales": True, "add_encoder_length": True}


def multi(*normalizers: Any) -> dict[str, Any]:
    return {"target": ["y", "z"], "target_normalizer": MultiNormalizer(list(normalizers))}


def lengths_vary(normalizer: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {**SHORTER, **EXTRAS, "target_normalizer": normalizer()}


CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "upstream's choice": dict,
    "bare": lambda: {
        name: None for name in BASE if name.startswith(("static", "time_varying_known", "time_varying_unknown_c"))
    },
    "no reals at all": lambda: {name: None for name in BASE if name.startswith(("static", "time_varying"))},
    "no scaling": lambda: {"target_normalizer": None},
    "torch": lambda: {"target_normalizer": TorchNormalizer(), **EXTRAS},
    "torch, robust": lambda: {"target_normalizer": TorchNormalizer(method="robust", center=False)},
    "group": lambda: {"target_normalizer": GroupNormalizer(groups=["shop", "item"], transformation="softplus")},
    "group of one key": lambda: {"target_normalizer": GroupNormalizer(groups=["shop"]), "group_ids": ["shop"]},
    "group of another key": lambda: {"target_normalizer": GroupNormalizer(groups=["item"]), **EXTRAS},
    "group, by each key": lambda: {
        "target_normalizer": GroupNormalizer(groups=["shop", "item"], scale_by_group=True),
        **EXTRAS,
    },
    "group of nothing": lambda: {"target_normalizer": GroupNormalizer()},
    "encoder": lambda: {"target_normalizer": EncoderNormalizer(), **EXTRAS},
    "encoder, robust": lambda: {"target_normalizer": EncoderNormalizer(method="robust"), **EXTRAS},
    "encoder, identity": lambda: {"target_normalizer": EncoderNormalizer(method="identity"), "min_encoder_length": 0},
    "encoder, not centred": lambda: {"target_normalizer": EncoderNormalizer(center=False)},
    "encoder, last steps": lambda: {"target_normalizer": EncoderNormalizer(max_length=5)},
    "encoder, two lengths": lambda: {"target_normalizer": EncoderNormalizer(max_length=[4, 9])},
    "encoder, two lengths, logarithm": lambda: {
        "target_normalizer": EncoderNormalizer(max_length=[9, 4], transformation="log")
    },
    **{
        f"encoder, {name}": lambda name=name: {**EXTRAS, "target_normalizer": EncoderNormalizer(transformation=name)}
        for name in ("log", "log1p", "count", "softplus", "relu", "sqrt")
    },
    "several": lambda: multi(EncoderNormalizer(), GroupNormalizer(groups=["shop"])),
    "several, by context": lambda: {**multi(EncoderNormalizer(transformation="log"), EncoderNormalizer()), **SHORTER},
    "several, with scales": lambda: {**multi(EncoderNormalizer(), TorchNormalizer()), **SHORTER, **EXTRAS},
    "several, one normaliser for all": lambda: multi(*[EncoderNormalizer()] * 2),
    "several, one a category": lambda: {
        "target": ["y", "c"],
        "target_normalizer": MultiNormalizer([EncoderNormalizer(), NaNLabelEncoder()]),
        "time_varying_known_categoricals": [],
        "time_varying_unknown_categoricals": ["c", "d"],
    },
    "a category": lambda: {
        "target": "c",
        "target_normalizer": NaNLabelEncoder(),
        "time_varying_known_categoricals": [],
        "time_varying_unknown_categoricals": ["c", "d"],
        "time_varying_unknown_reals": ["z"],
    },
    "lengths vary": lambda: SHORTER,
    "lengths vary, torch": lengths_vary(TorchNormalizer),
    "lengths vary, group": lengths_vary(lambda: GroupNormalizer(groups=["shop", "item"])),
    "lengths vary, encoder": lengths_vary(EncoderNormalizer),
    "lengths vary, encoder robust": lengths_vary(lambda: EncoderNormalizer(method="robust")),
    "no context at all": lambda: {"min_encoder_length": 0, "max_encoder_length": 0, "target_normalizer": None},
    "one step of context": lambda: {"max_encoder_length": 1, "target_normalizer": None, **EXTRAS},
    "context from 0 steps": lambda: {
        **EXTRAS,
        "min_encoder_length": 0,
        "target_normalizer": GroupNormalizer(groups=["shop"]),
    },
    "from a time on": lambda: {**SHORTER, "min_prediction_idx": 44},
    "last window": lambda: {"predict_mode": True},
    "last window, lengths vary": lambda: {"predict_mode": True, **SHORTER},
    "random lengths": lambda: {**SHORTER, **EXTRAS, "randomize_length": True},
    "random lengths from 0, unknown categories": lambda: {
        "min_encoder_length": 0,
        "randomize_length": (0.1, 0.9),
        "target_normalizer": GroupNormalizer(groups=["shop"]),
        "categorical_encoders": {"c": NaNLabelEncoder(add_nan=True), "shop": NaNLabelEncoder(add_nan=True)},
    },
    "random lengths by context": lambda: {
        "min_encoder_length": 2,
        "randomize_length": (0.5, 0.5),
        "target_normalizer": EncoderNormalizer(),
    },
    "lags": lambda: {
        "lags": {"y": [1, 5], "price": [3], "c": [2]},
        "scalers": {"price": None},
        "target_normalizer": GroupNormalizer(),
    },
    "lags scaled by context": lambda: {
        "lags": {"y": [1, 5], "z": [2]},
        "target_normalizer": EncoderNormalizer(),
        "scalers": {"z": EncoderNormalizer()},
        **SHORTER,
    },
    "covariates scaled by context": lambda: {
        "scalers": {"z": EncoderNormalizer(), "price": EncoderNormalizer(method="robust"), "t": None, "size": None},
        "target_normalizer": EncoderNormalizer(),
        **SHORTER,
    },
    "one covariate, scaled by context": lambda: {
        **{name: None for name in BASE if name.startswith(("static", "time_varying_known", "time_varying_unknown_c"))},
        "time_varying_unknown_reals": ["z"],
        "scalers": {"z": EncoderNormalizer()},
    },
    "covariates with other scalers": lambda: {
        "scalers": {"z": RobustScaler(), "price": MinMaxScaler(), "size": GroupNormalizer(groups=["shop"])},
        "target_normalizer": GroupNormalizer(groups=["shop"]),
    },
    "whole numbers alone": lambda: {
        "static_reals": [],
        "time_varying_known_reals": ["t", "k"],
        "time_varying_unknown_reals": [],
        "scalers": {"t": None, "k": None},
    },
    "whole numbers and their places": lambda: {
        "static_reals": [],
        "time_varying_known_reals": ["k"],
        "time_varying_unknown_reals": [],
        "scalers": {"k": None},
        "add_relative_time_idx": True,
    },
    "weights": lambda: {"weight": "w"},
    "weights, lengths vary": lambda: {"weight": "w", **SHORTER},
    "whole weights": lambda: {"weight": "k"},
    "listed twice": lambda: {"time_varying_known_categoricals": ["c", "shop"]},
    "one group of categories": lambda: {
        "variable_groups": {"colours": ["c", "d"]},
        "time_varying_known_categoricals": ["colours"],
        "time_varying_unknown_categoricals": [],
    },
}
GAPS: dict[str, Callable[[], dict[str, Any]]] = {
    "constant": lambda: {"constant_fill_strategy": {"y": 0.5, "z": 1.0, "price": 2.0, "c": "red"}},
    "constant, several": lambda: {
        **multi(EncoderNormalizer(), GroupNormalizer(groups=["shop"])),
        "constant_fill_strategy": {"y": 0.5, "z": 1.0},
        **SHORTER,
    },
    "constant target that is no input": lambda: {
        "constant_fill_strategy": {"y": 0.5},
        "time_varying_unknown_reals": ["z"],
    },
}
HAVE_NO_GAPS = {"lags", "lags scaled by context"}
KINDS = [(name, make, False) for name, make in CASES.items()]
KINDS += [(name, make, True) for name, make in {**CASES, **GAPS}.items() if name not in HAVE_NO_GAPS]


def pair(make: Callable[[], dict[str, Any]], gaps: bool) -> tuple[TimeSeriesDataSet, FastTimeSeriesDataSet]:
    """Upstream's data set and ours, made alike."""
    arguments = {**BASE, "allow_missing_timesteps": gaps}
    frame = table(gaps)
    return (
        TimeSeriesDataSet(frame.copy(), **{**arguments, **make()}),
        FastTimeSeriesDataSet(frame.copy(), **{**arguments, **make()}),
    )


def orders(n: int) -> list[list[int]]:
    """One window, a few, and as many as there are, in disorder and some twice."""
    mixed = torch.randint(n, (n,), generator=torch.Generator().manual_seed(1)).tolist()
    return [[0], [n - 1], mixed[:7], mixed]


def read(dataset: TimeSeriesDataSet, places: list[int]) -> tuple[Any, torch.Tensor]:
    """Upstream's batch of some windows, and the random state after it."""
    torch.manual_seed(3)
    batch = TimeSeriesDataSet._collate_fn([dataset[place] for place in places])
    return batch, torch.get_rng_state()


def assert_same_insides(ours: TimeSeriesDataSet, theirs: TimeSeriesDataSet) -> None:
    """The same windows, tensors, scalers and encoders, to the bit."""
    pd.testing.assert_frame_equal(ours.index, theirs.index)
    assert ours.data.keys() == theirs.data.keys()
    for name, expected in theirs.data.items():
        found = ours.data[name]
        for a, b in zip(found, expected, strict=True) if name == "target" else [(found, expected)]:
            assert (a is None and b is None) or (a.dtype == b.dtype and torch.equal(a, b)), name
    for name in ("_categorical_encoders", "_scalers"):
        assert getattr(ours, name).keys() == getattr(theirs, name).keys()
        for key, upstreams in getattr(theirs, name).items():
            mine = getattr(ours, name)[key]
            assert type(mine) is type(upstreams)
            assert str(vars(mine) if mine else None) == str(vars(upstreams) if upstreams else None)


@pytest.mark.parametrize(("name", "make", "gaps"), KINDS, ids=[f"{k[0]}{', gaps' * k[2]}" for k in KINDS])
def test_batches_are_upstreams_to_the_bit(name: str, make: Callable[[], dict[str, Any]], gaps: bool) -> None:
    theirs, ours = pair(make, gaps)
    plan = Plan.of(ours)
    assert_same_insides(ours, theirs)
    for places in orders(len(ours)):
        expected, state = read(theirs, places)
        torch.manual_seed(3)
        assert batches_differ(gather(ours, plan, places), expected) == []
        assert torch.equal(torch.get_rng_state(), state)


def test_the_comparison_notices_every_kind_of_difference() -> None:
    _, ours = pair(CASES["several"], False)
    right = gather(ours, Plan.of(ours), [0, 5])
    for name, spoil in {
        "encoder_cont": lambda x: x + torch.tensor([0.0, 1e-7])[:, None, None] * x,
        "groups": lambda x: x.int(),
        "decoder_cat": lambda x: x[:, :-1],
        "encoder_cat": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    }.items():
        x, y = gather(ours, Plan.of(ours), [0, 5])
        x[name] = spoil(x[name])
        assert batches_differ((x, y), right) == [name]
    x, (target, weight) = gather(ours, Plan.of(ours), [0, 5])
    assert batches_differ((x, ([target[0], -target[1]], weight)), right) == ["target[1]"]
    assert batches_differ((x, (target, target[0])), right) == ["weight"]
    assert batches_differ(({"more": x["groups"], **x}, (target, weight)), right) == ["names"]


@pytest.mark.parametrize("dtype", ["str", "object", "category", "ordered"])
def test_keys_of_every_kind_give_the_same_data_set(dtype: str) -> None:
    frame = table()
    wanted = pd.CategoricalDtype(["x", "y", "z"], ordered=True) if dtype == "ordered" else dtype
    frame = frame.astype({"item": wanted, "shop": "str" if dtype == "ordered" else dtype})
    arguments = {**BASE, "target_normalizer": EncoderNormalizer(), "add_target_scales": True}
    untouched = frame.copy(deep=True)
    ours, theirs = FastTimeSeriesDataSet(frame, **arguments), TimeSeriesDataSet(frame, **arguments)
    assert_same_insides(ours, theirs)
    pd.testing.assert_frame_equal(frame, untouched)


@settings(max_examples=150, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(data=st.data())
def test_windows_are_those_that_upstreams_loop_finds(data: Any) -> None:
    n_series = data.draw(st.integers(1, 4))
    gap = data.draw(st.sampled_from([1, 1, 2, 9]))
    steps = [data.draw(st.lists(st.integers(1, gap), min_size=1, max_size=14)) for _ in range(n_series)]
    start = [data.draw(st.integers(-5, 5)) for _ in range(n_series)]
    frame = pd.concat(
        [
            pd.DataFrame({"t": first + np.cumsum(own), "id": f"s{n}"})
            for n, (first, own) in enumerate(zip(start, steps, strict=True))
        ],
        ignore_index=True,
    ).assign(y=1.0)
    longest, horizon = data.draw(st.integers(0, 6)), data.draw(st.integers(1, 4))
    arguments = {
        "time_idx": "t",
        "target": "y",
        "group_ids": ["id"],
        "max_encoder_length": longest,
        "min_encoder_length": data.draw(st.integers(0, longest)),
        "max_prediction_length": horizon,
        "min_prediction_length": data.draw(st.integers(1, horizon)),
        "min_prediction_idx": data.draw(st.sampled_from([None, 0, 4])),
        "predict_mode": data.draw(st.booleans()),
        "allow_missing_timesteps": data.draw(st.sampled_from([True, True, False])),
        "target_normalizer": None,
    }
    blocks = data.draw(st.sampled_from([3, 500_000]))
    outcomes = []
    for cls in (TimeSeriesDataSet, FastTimeSeriesDataSet):
        with warnings.catch_warnings(record=True) as told, mock.patch.object(index, "BLOCK", blocks):
            warnings.simplefilter("always")
            try:
                found: Any = cls(frame.copy(), **arguments).index
            except (AssertionError, IndexError, ValueError) as error:
                found = str(error)
        outcomes.append((found, [str(each.message) for each in told]))
    (theirs, their_warnings), (ours, our_warnings) = outcomes
    assert our_warnings == their_warnings
    if isinstance(theirs, str):
        assert ours == theirs
    else:
        pd.testing.assert_frame_equal(ours, theirs)
