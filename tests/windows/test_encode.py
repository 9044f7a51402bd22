"""From a checked table to numbers: scaled by training rows, filled from earlier rows, coded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hourglass_ts.frames.schema import STEP, TIME, UNIT, VALUE, Panel, Roles, check_frame
from hourglass_ts.windows.encode import (
    FLAG,
    SERIES,
    TARGET,
    TIME_IDX,
    UNKNOWN,
    WEIGHT,
    Covariate,
    TableEncoder,
    aligned_time,
    series_labels,
)


def panel_of(n: int = 60, seed: int = 0) -> Panel:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "id": np.repeat(["a", "b"], n),
            "t": np.tile(np.arange(n), 2),
            "y": np.where(rng.random(2 * n) < 0.2, np.nan, rng.normal(5, 2, 2 * n)),
            "real": np.where(rng.random(2 * n) < 0.2, np.nan, rng.normal(size=2 * n)),
            "word": np.where(rng.random(2 * n) < 0.5, "x", "y"),
            "size": np.repeat([1.0, 3.0], n),
        }
    )
    frame.loc[[0, n, n - 1, 2 * n - 1], "y"] = 5.0
    roles = Roles.from_arguments("t", "y", "id", past=["real", "word"], static=["size"])
    return check_frame(frame, roles)


def encoded(encoder: TableEncoder, table: pd.DataFrame) -> pd.DataFrame:
    return encoder.frame(table, np.arange(2), table[STEP].to_numpy())


@given(cut=st.integers(5, 55), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_later_rows_never_change_earlier_ones(cut: int, seed: int) -> None:
    panel = panel_of()
    encoder = TableEncoder.fit(panel, panel.table[STEP] < 40, None)
    late = (panel.table[STEP] >= cut).to_numpy()
    rng = np.random.default_rng(seed)
    altered = panel.table.copy()
    for label in (VALUE, "real"):
        altered.loc[late, label] = np.where(rng.random(late.sum()) < 0.5, np.nan, 100.0)
    altered.loc[late, "word"] = None
    before, after = encoded(encoder, panel.table), encoded(encoder, altered)
    pd.testing.assert_frame_equal(before[~late], after[~late])
    assert not before[late].equals(after[late])


def test_statistics_come_from_training_rows_alone() -> None:
    panel = panel_of()
    training = panel.table[STEP] < 40
    altered = panel.table.copy()
    altered.loc[~training, [VALUE, "real"]] = 1e6
    altered.loc[~training, "word"] = "new"
    other = Panel(panel.roles, panel.keys, altered, panel.calendars, ())
    ours, theirs = TableEncoder.fit(panel, training, None), TableEncoder.fit(other, training, None)
    assert ours.covariates == theirs.covariates
    np.testing.assert_array_equal(ours.scaler.centre, theirs.scaler.centre)
    np.testing.assert_array_equal(ours.scaler.scale, theirs.scaler.scale)
    assert ours.covariates[1].categories == ("x", "y")


def test_holes_take_the_value_before_and_are_flagged() -> None:
    frame = pd.DataFrame({"t": range(5), "y": [1.0, np.nan, 3.0, np.nan, 5.0]})
    panel = check_frame(frame, Roles.from_arguments("t", "y"))
    encoder = TableEncoder.fit(panel, pd.Series([True] * 5), None)
    out = encoder.frame(panel.table, np.array([0]), np.arange(5))
    undone = encoder.scaler.invert(out[TARGET].to_numpy(), np.zeros(5, dtype=int))
    np.testing.assert_allclose(undone, [1, 1, 3, 3, 5])
    assert out[FLAG].tolist() == out[WEIGHT].tolist() == [1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 3.0, np.nan], [-1.0, 1.0, 1.0]),
        ([np.nan, 1.0, 3.0], [0.0, -1.0, 1.0]),
        ([np.nan, np.nan, np.nan], [0.0, 0.0, 0.0]),
        ([0.1, 0.1, 0.1], [0.0, 0.0, 0.0]),
        ([1e-12, 3e-12, 1e-12], [-(0.5**0.5), 2**0.5, -(0.5**0.5)]),
    ],
)
def test_real_covariates(values: list[float], expected: list[float]) -> None:
    column = pd.Series(values)
    covariate = Covariate.fit("past_0", "p", "past", column)
    assert np.allclose(covariate.encode(column, pd.Series([0, 0, 0])), expected)


def test_fillings_stay_within_their_series() -> None:
    column, units = pd.Series([1.0, 2.0, np.nan, 4.0]), pd.Series([0, 0, 1, 1])
    covariate = Covariate("past_0", "p", "past", None)
    assert covariate.encode(column, units).tolist() == [1.0, 2.0, 0.0, 4.0]


def test_categories_are_coded_and_unseen_ones_share_one_class() -> None:
    column = pd.Series(["b", None, "a", "c"], dtype=object)
    covariate = Covariate.fit("known_0", "k", "known", pd.Series(["b", "a", None], dtype=object))
    assert covariate.categories == ("a", "b")
    assert covariate.encode(column, pd.Series([0, 0, 0, 0])).tolist() == ["1", "1", "0", UNKNOWN]
    assert covariate.encode(column, pd.Series([0, 1, 1, 1])).tolist() == ["1", UNKNOWN, "0", UNKNOWN]


def test_units_are_coded_as_told_and_time_is_aligned_at_the_last_step() -> None:
    panel = check_frame(
        pd.DataFrame({"id": ["a"] * 3 + ["b"] * 5, "t": [7, 8, 9, 1, 2, 3, 4, 5], "y": np.arange(8.0)}),
        Roles.from_arguments("t", "y", "id"),
    )
    time_idx = aligned_time(panel.table, np.array([2, 4]), longest=5)
    assert time_idx.tolist() == [3, 4, 5, 1, 2, 3, 4, 5]
    encoder = TableEncoder.fit(panel, pd.Series([True] * 8), None)
    swapped = encoder.frame(panel.table, np.array([1, 0]), time_idx)
    assert swapped[SERIES].tolist() == [*series_labels(np.array([1, 1, 1])), *series_labels(np.zeros(5, dtype=int))]
    assert swapped[TIME_IDX].tolist() == time_idx.tolist()
    expected = encoder.scaler.transform(np.arange(3.0), np.ones(3, dtype=int))
    np.testing.assert_array_equal(swapped[TARGET][:3], expected)


def test_labels_sort_as_numbers_do() -> None:
    codes = np.array([0, 2, 10, 99, 100, 10**8])
    labels = series_labels(codes).tolist()
    assert labels == sorted(labels)


def test_state_comes_back() -> None:
    panel = panel_of()
    encoder = TableEncoder.fit(panel, panel.table[STEP] < 40, None)
    plain, arrays = encoder.state()
    again = TableEncoder.from_state(plain, arrays, panel.roles.covariates)
    assert again.covariates == encoder.covariates
    pd.testing.assert_frame_equal(encoded(again, panel.table), encoded(encoder, panel.table))


def test_the_table_is_left_alone() -> None:
    panel = panel_of()
    before: Any = panel.table.copy(deep=True)
    encoded(TableEncoder.fit(panel, panel.table[STEP] < 40, None), panel.table)
    pd.testing.assert_frame_equal(panel.table, before)
    assert list(panel.table)[:3] == [UNIT, STEP, TIME]
