"""The audit's own parts: other futures, what differs, refusals, what is printed; and its page runs as it stands."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_forecasting import TimeSeriesDataSet

from hourglass_ts.errors import DataError, HourGlassError, SettingsError
from hourglass_ts.evaluate.leakage import audit, audit_function
from hourglass_ts.evaluate.leaks.compare import changes, keyed
from hourglass_ts.evaluate.leaks.datasets import audit_dataset
from hourglass_ts.evaluate.leaks.networks import audit_network
from hourglass_ts.evaluate.leaks.result import AuditResult, Check, Finding
from hourglass_ts.evaluate.leaks.trials import repeatable
from hourglass_ts.evaluate.leaks.worlds import Cut, structural_alterations, with_other_rows, with_other_values
from hourglass_ts.forecast.baselines import Naive

ROOT = Path(__file__).resolve().parents[2]
N, CUTOFF = 40, 29


def frame(times: Any = None) -> pd.DataFrame:
    """Two series with a column of every type."""
    rng = np.random.default_rng(0)
    n = 2 * N
    return pd.DataFrame(
        {
            "id": np.repeat(["a", "b"], N),
            "t": list(pd.date_range("2024-01-01", periods=N) if times is None else times) * 2,
            "real": rng.normal(size=n),
            "positive": rng.gamma(2, 1, n),
            "count": rng.integers(0, 9, n),
            "small": rng.integers(0, 9, n).astype("int8"),
            "single": rng.normal(size=n).astype("float32"),
            "whole": pd.array(rng.integers(0, 9, n), dtype="Int64"),
            "flag": rng.random(n) < 0.5,
            "text": rng.choice(["x", "y"], n),
            "kind": pd.Categorical(rng.choice(["x", "y"], n)),
            "date": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 99, n), unit="D"),
            "holes": np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)),
            "constant": 1.0,
        }
    )


COLUMNS = [label for label in frame() if label not in ("id", "t")]
CUT = Cut.of(frame(), "t", ("id",), pd.Timestamp("2024-01-30"))


def test_other_rows_bring_values_that_were_there_in_their_company() -> None:
    df = frame()
    other, late = with_other_rows(df, CUT, COLUMNS, seed=0), CUT.late(df)
    pd.testing.assert_frame_equal(other[~late], df[~late])
    assert (other.dtypes == df.dtypes).all()
    assert (other.isna() == df.isna()).all(axis=None)
    assert (other.loc[late, "real"] != df.loc[late, "real"]).mean() > 0.7
    pairs = set(zip(df["real"], df["positive"], strict=True))
    assert set(zip(other["real"], other["positive"], strict=True)) <= pairs


@pytest.mark.parametrize("column", COLUMNS)
def test_other_values_differ_after_the_cutoff_alone_and_keep_their_type(column: str) -> None:
    df = frame()
    other, late = with_other_values(df, CUT, [column], seed=0), CUT.late(df)
    pd.testing.assert_frame_equal(other.drop(columns=column), df.drop(columns=column))
    before, after = df[column], other[column]
    assert before.dtype == after.dtype
    pd.testing.assert_series_equal(before[~late], after[~late])
    assert (before.isna() == after.isna()).all()
    assert (before[late & before.notna()] != after[late & before.notna()]).mean() > 0.7
    if column in ("positive", "count", "whole"):
        assert (after >= 0).all()
    if column in ("real", "positive", "holes"):
        assert abs(after[late].mean() - before.mean()) > before.std()
        assert after[late].min() < before.min()


@pytest.mark.parametrize("name", [name for name, _ in structural_alterations(frame(), CUT, COLUMNS, seed=0)])
def test_rows_up_to_the_cutoff_stay_in_every_other_future(name: str) -> None:
    df = frame()
    alter = dict(structural_alterations(df, CUT, COLUMNS, seed=0))[name]
    other = alter(df)
    same = [column for column in COLUMNS if column != "kind"]
    early, unaltered = other[~CUT.late(other)], df[~CUT.late(df)]
    pd.testing.assert_frame_equal(
        early[["id", "t", *same]].reset_index(drop=True),
        unaltered[["id", "t", *same]].reset_index(drop=True),
        check_dtype=False,
    )
    assert early["kind"].astype(str).tolist() == unaltered["kind"].astype(str).tolist()
    assert not other[CUT.late(other)].reset_index(drop=True).equals(df[CUT.late(df)].reset_index(drop=True))
    assert other.index.is_unique


def test_a_later_series_begins_after_the_cutoff_and_sorts_first() -> None:
    other = dict(structural_alterations(frame(), CUT, COLUMNS, seed=0))["a later series"](frame())
    (name,) = set(other["id"]) - {"a", "b"}
    assert name < "A"
    assert other.loc[other["id"] == name, "t"].min() > CUT.cutoff


TIMES: dict[str, Any] = {
    "days": pd.date_range("2024-01-01", periods=N),
    "hours in a zone": pd.date_range("2024-03-30", periods=N, freq="h", tz="Europe/Berlin"),
    "months": pd.date_range("2020-01-01", periods=N, freq="MS"),
    "periods": pd.period_range("2020-01", periods=N, freq="M"),
    "text": pd.date_range("2024-01-01", periods=N).astype(str),
    "dates": pd.date_range("2024-01-01", periods=N).date,
    "numbers": np.arange(N) * 10,
}


def demeaned(df: pd.DataFrame) -> pd.DataFrame:
    return df.assign(real=df["real"] - df["real"].mean())


@pytest.mark.parametrize("times", TIMES.values(), ids=list(TIMES))
def test_leaks_are_found_whatever_the_times_are(times: Any) -> None:
    df = frame(times)
    given: dict[str, Any] = {"time": "t", "target": "real", "series": "id"}
    result = audit(Naive(2), df, prepare=demeaned, past=["positive", "count"], **given)
    assert result.findings["stage"].tolist() == ["prepare", "fit"]
    assert result.findings["column"].iloc[0] == "real"
    assert result.findings["first_time"].iloc[0] == df["t"].iloc[0]
    assert "rows added" in result.checks["note"].str.cat()
    assert "not tried" not in result.checks["note"].str.cat()


def test_leaks_are_found_in_an_index() -> None:
    df = frame().query("id == 'a'").set_index("t")[["real"]]
    (row, *_) = audit(Naive(2), df, target="real", prepare=demeaned).findings.to_dict("records")
    assert (row["stage"], row["column"], row["series"]) == ("prepare", "real", None)


def slow_changes(one: pd.DataFrame, two: pd.DataFrame, column: str) -> list[tuple[Any, ...]]:
    """The rows of a column that differ, found one by one."""
    other = {(row.id, row.t): getattr(row, column) for row in two.itertuples()}
    pairs = [((row.t, row.id), getattr(row, column), other[row.id, row.t]) for row in one.itertuples()]
    return sorted(key for key, a, b in pairs if pd.isna(a) != pd.isna(b) or (not pd.isna(a) and a != b))


@pytest.mark.parametrize("column", COLUMNS)
def test_changes_are_those_of_a_slow_reference(column: str) -> None:
    df = frame()
    other = with_other_values(df, CUT, [column], seed=3)
    holes = df["t"].dt.day == 31
    if column not in ("flag", "small", "count"):
        other[column] = other[column].mask(holes)
    found = changes(keyed(df, ["id"], "t"), keyed(other.sample(frac=1, random_state=0), ["id"], "t"), 1)
    expected = slow_changes(df, other, column)
    (change,) = found
    assert (change.column, change.count) == (column, len(expected))
    assert (change.first_time, change.series) == expected[0]
    if column == "real":
        gap = (df["real"] - other["real"]).abs().max() / df["real"].std(ddof=0)
        assert change.effect == pytest.approx(gap)


def test_rows_and_columns_of_one_frame_alone_are_changes() -> None:
    df = frame()
    fewer = df.drop(index=[3, 50]).drop(columns="real")
    found = {change.column: change for change in changes(keyed(df, ["id"], "t"), keyed(fewer, ["id"], "t"), 1)}
    assert set(found) == {None, "real"}
    assert (found[None].count, found[None].first_time) == (2, pd.Timestamp("2024-01-04"))


def test_rounding_is_no_change() -> None:
    df = frame()
    near = df.assign(real=df["real"] + 1e-12)
    one, two = keyed(df, ["id"], "t"), keyed(near, ["id"], "t")
    assert changes(one, two, 1, rounding=1e-9) == []
    assert len(changes(one, two, 1)) == 1


# --- refusals --------------------------------------------------------------------------------------------------------

GIVEN: dict[str, Any] = {"time": "t", "target": "real", "series": "id"}

REFUSED: dict[str, tuple[dict[str, Any], type[HourGlassError], str]] = {
    "nothing after": ({"cutoff": "2030-01-01"}, SettingsError, "no rows after the cutoff"),
    "nothing before": ({"cutoff": "2020-01-01"}, SettingsError, "no rows up to the cutoff"),
    "zone": ({"cutoff": pd.Timestamp("2024-01-30", tz="UTC")}, SettingsError, "with a time zone"),
    "time": ({"time": "when"}, DataError, "column 'when'"),
    "series": ({"series": "station"}, DataError, "column 'station'"),
    "target": ({"target": "reel"}, DataError, "column 'reel'"),
    "known_at": ({"known_at": "published"}, DataError, "column 'published'"),
    "times of text": ({"known_at": "text"}, DataError, "column 'text'"),
    "horizon": ({"horizon": 0}, SettingsError, "horizon=0"),
    "roles": ({"known": "real"}, SettingsError, "one role per column"),
    "prepare": ({"prepare": lambda df: df["real"]}, DataError, "a Series from prepare"),
    "split": ({"split": lambda df, cutoff: df}, DataError, "from split"),
    "parts": ({"split": lambda df, cutoff: (df, None)}, DataError, "a NoneType from split"),
    "model": ({"model": 3}, SettingsError, "without fit and forecast"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_audited_is_refused_in_words(case: str) -> None:
    changed, error, message = REFUSED[case]
    given = {"model": None, **GIVEN, **changed}
    with pytest.raises(error, match=re.escape(message)):
        audit(given.pop("model"), frame(), **given)


def test_a_function_must_return_named_forecasts() -> None:
    with pytest.raises(DataError, match="a frame with the columns"):
        audit_function(lambda df: df["real"], frame(), **GIVEN)


def test_a_network_needs_two_windows() -> None:
    with pytest.raises(SettingsError, match="two windows or more"):
        audit_network(torch.nn.Identity(), [None], windows=8)  # type: ignore[arg-type]


def test_a_data_set_needs_rows_up_to_the_cutoff() -> None:
    df = frame(range(N))
    settings: dict[str, Any] = {"time_idx": "t", "target": "real", "group_ids": ["id"]}
    settings |= {"max_encoder_length": 10, "max_prediction_length": 3, "time_varying_unknown_reals": ["real"]}
    with pytest.raises(DataError, match="make no data set"):
        audit_dataset(TimeSeriesDataSet(df, **settings), df, 2)


def test_a_model_that_refuses_clean_rows_says_so_itself() -> None:
    class Refuses(Naive):
        def fit(self, df: pd.DataFrame, **roles: Any) -> Any:
            raise ValueError("too hot")

    with pytest.raises(ValueError, match="too hot"):
        audit(Refuses(2), frame(), **GIVEN)
    leaky = audit(Refuses(2), frame(), prepare=demeaned, **GIVEN)
    assert "too hot" in leaky.checks.query("verdict == 'open'")["note"].item()


# --- around the run --------------------------------------------------------------------------------------------------


def test_a_pipeline_that_draws_from_the_global_seed_can_be_audited() -> None:
    def noisy(df: pd.DataFrame) -> pd.DataFrame:
        draws = np.random.normal(size=2) + random.random() + torch.rand(1).item()
        return df.assign(real=df["real"] + draws[0])

    state = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()
    assert audit(None, frame(), prepare=noisy, **GIVEN).passed
    assert (np.random.get_state()[1] == state[0]).all()
    assert random.getstate() == state[1]
    assert torch.equal(torch.get_rng_state(), state[2])


def test_the_global_seed_is_put_back_after_an_error() -> None:
    state = random.getstate()
    with pytest.raises(KeyError), repeatable(3):
        raise KeyError
    assert random.getstate() == state


def test_a_pipeline_that_cannot_be_repeated_has_not_passed() -> None:
    def noisy(df: pd.DataFrame) -> pd.DataFrame:
        return df.assign(real=df["real"] + np.random.default_rng().normal())

    result = audit(None, frame(), prepare=noisy, **GIVEN)
    assert not result.passed
    assert result.findings.empty
    assert "prepare is not deterministic" in str(result)


def test_a_pipeline_that_refuses_every_other_future_has_not_passed() -> None:
    original = frame()

    def strict(df: pd.DataFrame) -> pd.DataFrame:
        if not df["positive"].equals(original["positive"]) or len(df) != len(original):
            raise ValueError("not my frame")
        return df

    result = audit(None, original, prepare=strict, **GIVEN)
    notes = result.checks.query("stage == 'prepare'")["note"].item()
    assert "not tried, since it raised" in notes
    assert "values of 'positive'" in notes


def counted(function: Callable[..., Any], calls: list[int]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        return function(*args, **kwargs)

    return call


def test_a_clean_forecaster_is_fitted_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [0]
    monkeypatch.setattr(Naive, "fit", counted(Naive.fit, calls))
    assert audit(Naive(2), frame(), **GIVEN).passed
    assert calls == [3]


def test_a_fitted_forecaster_is_fitted_anew_and_stays() -> None:
    model = Naive(2).fit(frame(), **GIVEN)
    before = model.forecast()
    assert audit(model, frame(), **GIVEN).passed
    pd.testing.assert_frame_equal(model.forecast(), before)


# --- the result ------------------------------------------------------------------------------------------------------


def test_a_result_is_read_and_printed_stage_by_stage() -> None:
    late = Finding("split", "ends", None, "a", 7, 0.25, "of the rows")
    early = Finding("prepare", "stays", "y", "a", 3, 1.5, "standard deviations")
    checks = Check("split", "ends", 1, (late,)), Check("prepare", "stays", 4, (early,)), Check("data", "columns", 2)
    result = AuditResult(checks) + AuditResult((Check("fit", "same", open="cannot tell"),))
    assert not result.passed
    assert result.findings["stage"].tolist() == ["prepare", "split"]
    assert list(result.findings) == ["stage", "check", "column", "series", "first_time", "effect", "detail"]
    assert result.findings["effect"].dtype == float
    assert result.checks["verdict"].tolist() == ["passed", "leak", "leak", "open"]
    lines = str(result).splitlines()
    assert lines[0] == "Leak audit: 4 checks, 2 findings, 1 open"
    assert "prepare: stays: column 'y', series 'a', first at 3, effect 1.5, standard deviations" in lines[-3]
    assert "does not prove" in lines[-1]


def test_a_result_without_findings_has_their_columns() -> None:
    result = AuditResult((Check("data", "columns"),))
    assert result.passed
    assert list(result.findings) == ["stage", "check", "column", "series", "first_time", "effect", "detail"]
    assert "no leak found" in str(result)
    assert not AuditResult((Check("fit", "same", open="cannot tell"),)).passed


PAGE = (ROOT / "docs" / "leak-audit.md").read_text(encoding="utf-8")


def test_the_page_shows_what_was_measured() -> None:
    measures = json.loads((ROOT / "benchmarks" / "results" / "audit-builtins.json").read_text())["measures"]
    found = {m["name"].removeprefix("audit_findings:"): m["value"] for m in measures if m["name"].count("findings")}
    models = {name: count for name, count in found.items() if not name.startswith("dataset:")}
    rows = {cells[1].strip(): cells for cells in (line.split("|") for line in PAGE.splitlines()) if len(cells) == 10}
    rows.pop("model"), rows.pop("---")
    assert {name: sum("**" in cell for cell in cells) for name, cells in rows.items()} == models


def test_the_page_runs_as_it_stands(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 3
    (tmp_path / "page.py").write_text("\n".join(blocks), encoding="utf-8")
    run = subprocess.run([sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr
    assert "column 'trend'" in run.stdout
