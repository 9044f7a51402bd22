"""From a data set to the floor's stretches: gaps, weights, flags, numbers of series, origins."""

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data.encoders import TorchNormalizer

from hourglass_ts.model._series import dataset_stretches, hold_out_tail, series_numbers
from hourglass_ts.network.floor import Stretch


def make(frame, **changes):
    settings = {
        "time_idx": "time",
        "target": "y",
        "group_ids": ["series"],
        "max_encoder_length": 4,
        "max_prediction_length": 2,
        "time_varying_unknown_reals": ["y"],
        "target_normalizer": TorchNormalizer(method="identity"),
        "allow_missing_timesteps": True,
    }
    return TimeSeriesDataSet(frame, **{**settings, **changes})


def frame(times=range(12), series="a"):
    return pd.DataFrame({"series": series, "time": list(times), "y": [float(t) for t in times]})


def stretches(dataset, observed_real=None):
    return dataset_stretches(dataset, 0, lambda y: y, lambda groups: series_numbers(groups, [99]), observed_real)


def test_gaps_repeat_the_value_before_and_count_as_unobserved():
    (found,) = stretches(make(frame([0, 1, 2, 5, 6, 7, 8, 9, 10, 11])))
    assert found.values.tolist() == [0, 1, 2, 2, 2, 5, 6, 7, 8, 9, 10, 11]
    assert found.observed.tolist() == [t not in (3, 4) for t in range(12)]


def test_rows_of_weight_zero_and_flagged_rows_are_unobserved():
    table = frame().assign(w=lambda f: (f["time"] != 4) * 1.0, flag=lambda f: (f["time"] != 7) * 1.0)
    dataset = make(table, weight="w", time_varying_unknown_reals=["y", "flag"], scalers={"flag": None})
    (found,) = stretches(dataset, "flag")
    assert found.observed.tolist() == [t not in (4, 7) for t in range(12)]


def test_origins_are_those_of_the_data_set():
    table = pd.concat([frame(), frame(range(5, 20), "b")], ignore_index=True)
    dataset = make(table)
    found = {s.code: s for s in stretches(dataset)}
    for code, first in ((0, 0), (1, 5)):
        own = dataset.decoded_index.loc[lambda f, code=code: f["series"] == "ab"[code], "time_idx_first_prediction"]
        assert found[code].origins.tolist() == sorted(set(own - 1 - first))


def test_validation_origins_begin_at_the_first_prediction():
    training = make(frame(range(8)))
    validation = TimeSeriesDataSet.from_dataset(training, frame(), min_prediction_idx=8)
    (found,) = stretches(validation)
    first_row = int(validation.data["time"][0])
    assert found.origins.min() + first_row == 7


@pytest.mark.parametrize(
    ("groups", "sizes", "expected"),
    [
        ([[0, 0], [0, 1], [1, 0], [2, 1]], [3, 2], [0, 1, 2, 5]),
        ([[0, 2], [3, 0], [-1, 0]], [3, 2], [-1, -1, -1]),
    ],
)
def test_numbers_of_series(groups, sizes, expected):
    assert series_numbers(torch.tensor(groups), sizes).tolist() == expected


def test_held_out_tail_lies_a_horizon_after_the_rest():
    stretch = Stretch(0, torch.zeros(60), torch.ones(60, dtype=torch.bool), torch.arange(5, 55))
    (early,), (late,) = hold_out_tail([stretch], horizon=3)
    assert early.origins.max() + 3 < late.origins.min()
    assert len(late.origins) == 10
    assert late.origins.max() == 54


def test_series_too_short_for_a_tail_stay_whole():
    stretch = Stretch(0, torch.zeros(9), torch.ones(9, dtype=torch.bool), torch.arange(4, 7))
    training, held_out = hold_out_tail([stretch], horizon=2)
    assert training == [stretch]
    assert held_out == []
    assert np.all(training[0].origins.numpy() == [4, 5, 6])
