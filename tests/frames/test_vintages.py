"""Known covariates as they were known at the time, against a search row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.errors import DataError
from hourglass_ts.frames.vintages import Vintages, comparable


def random_issues(seed: int, n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    columns = {"id": rng.choice([*"abc"], n), "t": rng.integers(0, 12, n), "made": rng.integers(0, 8, n)}
    return pd.DataFrame({**columns, "rain": rng.normal(size=n)}, index=rng.permutation(n))


def newest(issues: pd.DataFrame, origin: int) -> dict[tuple[str, int], float]:
    """Row by row: a later issue replaces an earlier one, and of two of the same moment the later row stands."""
    found: dict[tuple[str, int], tuple[int, float]] = {}
    for row in issues.to_dict("records"):
        key = (row["id"], row["t"])
        if row["made"] <= origin and (key not in found or row["made"] >= found[key][0]):
            found[key] = (row["made"], row["rain"])
    return {key: rain for key, (_, rain) in found.items()}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("origin", [-1, 0, 3, 7, 100])
def test_the_newest_issue_up_to_the_origin(seed: int, origin: int) -> None:
    issues = random_issues(seed)
    before = issues.copy(deep=True)
    found = Vintages(issues, "made", "t", ["id"]).known_at(origin)
    assert not found.duplicated(["id", "t"]).any()
    assert found.set_index(["id", "t"])["rain"].to_dict() == newest(issues, origin)
    pd.testing.assert_frame_equal(issues, before)


@pytest.mark.parametrize("seed", range(3))
def test_issues_made_after_the_origin_change_nothing(seed: int) -> None:
    issues, origin = random_issues(seed), 4
    late = issues["made"] > origin
    honest = Vintages(issues, "made", "t", ["id"]).known_at(origin)
    for altered in (issues.assign(rain=issues["rain"].where(~late, 1e6)), issues[~late]):
        pd.testing.assert_frame_equal(Vintages(altered, "made", "t", ["id"]).known_at(origin), honest)
    earlier = issues.assign(rain=issues["rain"].where(late, 1e6))
    assert not Vintages(earlier, "made", "t", ["id"]).known_at(origin).equals(honest)


@pytest.mark.parametrize(
    ("made", "origin", "rain"),
    [
        (["2024-01-01", "2024-01-03"], pd.Timestamp("2024-01-02"), [1.0]),
        (pd.to_datetime(["2024-01-01 06:00", "2024-01-01 18:00"]), pd.Timestamp("2024-01-01 12:00"), [1.0]),
        (pd.to_datetime(["2024-01-01", "2024-01-02"]), pd.Timestamp("2024-01-02"), [2.0]),
        (
            pd.to_datetime(["2024-01-01 23:30+00:00", "2024-01-02 00:30+00:00"]),
            pd.Timestamp("2024-01-02 01:00", tz="Europe/Berlin"),
            [1.0],
        ),
    ],
    ids=["text", "hours", "made at the origin itself", "another zone's clock"],
)
def test_issue_times_of_every_kind(made: Any, origin: Any, rain: list[float]) -> None:
    issues = pd.DataFrame({"t": [9, 9], "made": made, "rain": [1.0, 2.0]})
    assert Vintages(issues, "made", "t").known_at(origin)["rain"].tolist() == rain


def test_columns_that_lack_are_named_together() -> None:
    with pytest.raises(DataError) as refused:
        Vintages(pd.DataFrame({"t": [1]}), "made", "t", ["id"]).check(["rain"], pd.Index([1]))
    assert all(
        f"column {label!r}: found no such column in `vintages`" in str(refused.value) for label in ("made", "id")
    )
    assert "3 problems" in str(refused.value)


@pytest.mark.parametrize(
    ("made", "times", "message"),
    [
        ([1, 2], pd.date_range("2024-01-01", periods=2), "issue times of type int64.*such as 2024-01-01"),
        (pd.date_range("2024-01-01", periods=2), pd.Index([1, 2]), "issue times of type datetime64.*such as 1"),
        (
            pd.date_range("2024-01-01", periods=2),
            pd.date_range("2024-01-01", periods=2, tz="UTC"),
            r"issue times of type datetime64\[\w+\]; expected.*2024-01-01 00:00\+0000",
        ),
        ([1.0, np.nan], pd.Index([1, 2]), "float64, 1 of them missing"),
    ],
    ids=["integers", "dates", "naive", "missing"],
)
def test_issue_times_that_cannot_be_compared(made: Any, times: pd.Index, message: str) -> None:
    with pytest.raises(DataError, match="column 'made'.*" + message):
        Vintages(pd.DataFrame({"t": times, "made": made, "rain": 1.0}), "made", "t").check(["rain"], times)


def test_what_can_be_compared() -> None:
    naive, aware = pd.date_range("2024-01-01", periods=2), pd.date_range("2024-01-01", periods=2, tz="UTC")
    assert comparable(naive, naive)
    assert comparable(aware.tz_convert("Asia/Tokyo"), aware)
    assert comparable(pd.Index([1.5]), pd.Index([1]))
    assert not comparable(naive, aware)
    assert not comparable(pd.Index([1]), naive)
