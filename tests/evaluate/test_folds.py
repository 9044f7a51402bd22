"""Where every fold of a backtest begins and ends, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.evaluate.folds import FoldPlan

AXIS = pd.Index(range(100, 130))  # 30 times, so that a place is never mistaken for a time


def positions(plan: FoldPlan) -> list[tuple[Any, ...]]:
    """Origin, start, number of the fit, its first and last row, of every fold."""
    folds = plan.lay(AXIS)
    assert [fold.number for fold in folds] == list(range(len(folds)))
    return [(fold.origin, fold.start, fold.fit, fold.fit_start, fold.fit_end) for fold in folds]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        # the last of 3 folds has leads 127, 128, 129 to score
        (
            FoldPlan(3, 3),
            [(120, None, 0, None, 120), (123, None, 0, None, 120), (126, None, 0, None, 120)],
        ),
        (
            FoldPlan(3, 3, refit=True),
            [(120, None, 0, None, 120), (123, None, 1, None, 123), (126, None, 2, None, 126)],
        ),
        (
            FoldPlan(2, 5, stride=1, refit=2),
            [
                (123, None, 0, None, 123),
                (124, None, 0, None, 123),
                (125, None, 1, None, 125),
                (126, None, 1, None, 125),
                (127, None, 2, None, 127),
            ],
        ),
        (
            FoldPlan(2, 2, window=10, refit=True),  # ten rows each: 116 to 125, 118 to 127
            [(125, 116, 0, 116, 125), (127, 118, 1, 118, 127)],
        ),
        (
            FoldPlan(2, 2, window=10),
            [(125, 116, 0, 116, 125), (127, 118, 0, 116, 125)],
        ),
        (
            FoldPlan(2, 2, window=26),  # longer than what lies before the first origin, which is row 26
            [(125, None, 0, None, 125), (127, 102, 0, None, 125)],
        ),
        (
            FoldPlan(5, 2, stride=4, gap=4, embargo=4, refit=True),
            [(120, None, 0, None, 116), (124, None, 1, None, 120)],
        ),
        (
            FoldPlan(2, 2, embargo=3, window=10),  # the fit has its ten rows too
            [(125, 116, 0, 113, 122), (127, 118, 0, 113, 122)],
        ),
        (
            FoldPlan(4, 1),
            [(125, None, 0, None, 125)],
        ),
        (
            FoldPlan(10, 3, stride=9, embargo=1),  # all that fit: the first fit has a single row
            [(101, None, 0, None, 100), (110, None, 0, None, 100), (119, None, 0, None, 100)],
        ),
        (
            FoldPlan(3, [110, 111, 126], refit=2),
            [(110, None, 0, None, 110), (111, None, 0, None, 110), (126, None, 1, None, 126)],
        ),
        (
            FoldPlan(3, (110.5, 126.9)),  # between two times: the earlier one
            [(110, None, 0, None, 110), (126, None, 0, None, 110)],
        ),
        (
            FoldPlan(3, np.array([105, 120]), embargo=2, window=4, refit=True),
            [(105, 102, 0, None, 103), (120, 117, 1, 115, 118)],
        ),
        (
            FoldPlan(3, [109, 110], window=10, refit=True),
            [(109, None, 0, None, 109), (110, 101, 1, 101, 110)],
        ),
    ],
    ids=[
        "expanding",
        "refit in every fold",
        "refit in every second, stride 1",
        "rolling, refit",
        "rolling, fitted once",
        "a window longer than the history",
        "gap, embargo and stride",
        "embargo with a window",
        "one fold",
        "the most that fit",
        "origins given",
        "origins between times",
        "origins with embargo and window",
        "a window as long as the history, and one row shorter",
    ],
)
def test_positions(plan: FoldPlan, expected: list[tuple[Any, ...]]) -> None:
    assert positions(plan) == expected


@pytest.mark.parametrize("refit", [False, 0], ids=str)
def test_no_refit_is_one_fit(refit: Any) -> None:
    assert {fold.fit for fold in FoldPlan(2, 6, refit=refit).lay(AXIS)} == {0}


@pytest.mark.parametrize("embargo", [0, 2, 7])
@pytest.mark.parametrize("stride", [1, 3, 4])
@pytest.mark.parametrize("horizon", [1, 4, 9])
def test_the_message_says_how_many_folds_fit_and_they_do(horizon: int, stride: int, embargo: int) -> None:
    def fits(folds: int) -> bool:
        last = len(AXIS) - 1 - horizon
        return last - (folds - 1) * stride - embargo >= 0

    most = max(folds for folds in range(1, 40) if fits(folds))
    assert len(FoldPlan(horizon, most, stride, embargo=embargo).lay(AXIS)) == most
    with pytest.raises(DataError, match=rf"30 steps in the data.*Pass folds={most} or fewer"):
        FoldPlan(horizon, most + 1, stride, embargo=embargo).lay(AXIS)


def test_how_many_steps_it_would_take() -> None:
    with pytest.raises(DataError, match=r"expected 33 or more for 4 folds of 3 steps, 9 apart, after an embargo of 2"):
        FoldPlan(3, 4, 9, embargo=2).lay(AXIS)
    with pytest.raises(
        DataError, match=r"expected 31 or more for 10 folds of 3 steps, 3 apart\. Pass folds=9 or fewer"
    ):
        FoldPlan(3, 10).lay(AXIS)


@pytest.mark.parametrize("plan", [FoldPlan(30, 1), FoldPlan(5, 1, embargo=25)], ids=["horizon", "embargo"])
def test_where_no_fold_fits(plan: FoldPlan) -> None:
    with pytest.raises(DataError, match="Pass a shorter horizon or embargo, or bring more history"):
        plan.lay(AXIS)


@pytest.mark.parametrize(
    ("origins", "message"),
    [
        ([], "no origins"),
        ([110, 105], "out of order or twice"),
        ([110, 110], "out of order or twice"),
        ([110.2, 110.6], "two origins with no time of the data between them"),
        ([99], "first at 99: found no training rows up to an origin"),
        ([102, 110], "first at 102: found no training rows.*an embargo of 3 steps"),
        ([110, 127], "first at 127: found 2 steps of test data after an origin; expected a horizon of 3"),
        ([140], "first at 140: found 0 steps of test data"),
        ([98, 99, 110, 128], "(?s)3 problems.*98.*99.*128"),
        ([pd.Timestamp("2024-01-01")], r"origins of type datetime64\[\w+\]; expected times such as 100"),
        (["110"], "origins of type (str|object)"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_origins_that_cannot_be(origins: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        FoldPlan(3, origins, embargo=3).lay(AXIS)


@pytest.mark.parametrize("origin", [3, pd.Timestamp("2024-01-05", tz="UTC")], ids=["integer", "aware"])
def test_origins_of_another_kind_than_dates(origin: Any) -> None:
    with pytest.raises(DataError, match=r"origins of type.*expected times such as 2024-01-01"):
        FoldPlan(1, [origin]).lay(pd.date_range("2024-01-01", periods=20))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"horizon": 0}, "horizon=0"),
        ({"horizon": 2.0}, "horizon=2.0"),
        ({"folds": 0}, "folds=0"),
        ({"folds": True}, "folds=True"),
        ({"folds": 2.5}, "folds=2.5"),
        ({"folds": None}, "folds=None"),
        ({"folds": "all"}, "folds='all'"),
        ({"folds": pd.Timestamp("2024-01-01")}, "folds=Timestamp"),
        ({"stride": 0}, "stride=0"),
        ({"window": -1}, "window=-1"),
        ({"gap": -1}, "gap=-1"),
        ({"gap": 1.5}, "gap=1.5"),
        ({"embargo": True}, "embargo=True"),
        ({"refit": -2}, "refit=-2"),
        ({"refit": "always"}, "refit='always'"),
        ({"gap": 3}, "gap=3 with a horizon of 3 steps.*no lead is left to score"),
        ({"gap": 5}, "gap=5 with a horizon of 3 steps"),
    ],
    ids=str,
)
def test_settings_that_no_data_satisfy(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        FoldPlan(**{"horizon": 3, **wrong}).lay(AXIS)


def test_all_wrong_settings_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        FoldPlan(0, 0, 0, -1, -1, 0, -1).check()
    names = ("horizon=0", "folds=0", "stride=0", "gap=-1", "embargo=-1", "window=0", "refit=-1")
    assert all(name in str(refused.value) for name in names)
