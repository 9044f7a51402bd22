"""Scores by hand, and against loops in plain Python."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.evaluate.scores import POINT_SCORES, common_rows, interval_pairs, score_notes, score_rows

NAN = math.nan


def frame(rows: Sequence[tuple[Any, ...]], *quantiles: str) -> pd.DataFrame:
    """Rows of (model, fold, unit, lead, actual, forecast, quantiles…); the time is the fold's and lead's own."""
    table = pd.DataFrame(rows, columns=["model", "fold", "unit", "lead", "actual", "forecast", *quantiles])
    table.insert(3, "time", table["fold"] * 100 + table["lead"])
    return table.assign(model=pd.Categorical(table["model"], categories=list(dict.fromkeys(table["model"]))))


def scales(*pairs: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["mae", "mse"])


ONE = scales((1.0, 1.0))


def test_one_series_by_hand() -> None:
    rows = frame([("m", 0, 0, 1, 10.0, 12.0), ("m", 0, 0, 2, 10.0, 6.0)])
    (found,) = score_rows(rows, scales((4.0, 40.0))).to_dict("records")
    assert list(found) == ["model", "n", *POINT_SCORES]
    assert found == {
        "model": "m",
        "n": 2,
        "MAE": 3.0,
        "RMSE": pytest.approx(math.sqrt((4 + 16) / 2)),
        "bias": -1.0,
        "sMAPE": pytest.approx(200 * (2 / 22 + 4 / 16) / 2),
        "MASE": 0.75,
        "RMSSE": pytest.approx(math.sqrt(10 / 40)),
    }


def test_quantile_scores_by_hand() -> None:
    rows = frame(
        [
            ("m", 0, 0, 1, 10.0, 10.0, 8.0, 10.0, 12.0),  # inside
            ("m", 0, 0, 2, 10.0, 10.0, 11.0, 12.0, 14.0),  # one below the lower end
            ("m", 0, 0, 3, 10.0, 10.0, 5.0, 6.0, 7.0),  # three above the upper end
            ("m", 0, 0, 4, 10.0, 10.0, 10.0, 10.0, 10.0),  # on the ends is inside
        ],
        "q0.1",
        "q0.5",
        "q0.9",
    )
    (found,) = score_rows(rows, ONE).to_dict("records")
    pinballs = [0.1 * 2, 0, 0.1 * 2, 0.9 * 1, 0.5 * 2, 0.1 * 4, 0.1 * 5, 0.5 * 4, 0.9 * 3, 0, 0, 0]
    assert found["WQL"] == pytest.approx(2 * (sum(pinballs) / 12) / 10)
    assert found["coverage 80 %"] == 0.5
    assert found["interval score 80 %"] == pytest.approx((4 + 3 + 2 + 0) / 4 + 2 / 0.2 * (1 + 3) / 4)


def test_every_series_counts_the_same() -> None:
    rows = frame([("m", fold, 0, 1, 0.0, 1.0) for fold in range(9)] + [("m", 0, 1, 1, 0.0, 11.0)])
    table = score_rows(rows, scales((1.0, 1.0), (11.0, 121.0)))
    assert table["MAE"].tolist() == [6.0]
    assert table["RMSE"].tolist() == [6.0]  # a root for each series, then their mean
    assert table["MASE"].tolist() == [1.0]
    assert table["RMSSE"].tolist() == [1.0]
    assert table["n"].tolist() == [10]


def test_a_constant_series_has_no_mase_and_does_not_hide_the_others() -> None:
    rows = frame([("m", 0, 0, 1, 5.0, 7.0), ("m", 0, 1, 1, 3.0, 4.0)])
    ground = scales((NAN, NAN), (2.0, 4.0))
    table = score_rows(rows, ground)
    assert table[["MAE", "MASE", "RMSSE"]].iloc[0].tolist() == [1.5, 0.5, 0.5]
    notes = score_notes(rows, table, ["flat", "b"], ground)
    assert notes[0] == "MASE and RMSSE leave out flat: nothing changes over a season in training."
    alone = score_rows(rows[:1], ground)
    assert alone[["MASE", "RMSSE"]].isna().all(axis=None)
    assert alone["MAE"].tolist() == [2.0]
    third = pd.concat([rows, rows[:1].assign(unit=2)])
    several = score_notes(third, table, ["", "b", "c"], scales((NAN, NAN), (2.0, 4.0), (NAN, NAN)))
    assert several[0].startswith("MASE and RMSSE leave out the series and 1 more:")


def test_a_pair_of_zeros_has_no_percentage() -> None:
    rows = frame(
        [("m", 0, 0, 1, 0.0, 0.0), ("m", 0, 0, 2, 1.0, 3.0), ("n", 0, 0, 1, 0.0, 2.0), ("n", 0, 0, 2, 1.0, 1.0)]
    )
    table = score_rows(rows, ONE)
    assert table["sMAPE"].isna().all()  # of n, too: models are averaged over the same series
    assert table["MAE"].tolist() == [1.0, 1.0]
    assert score_notes(rows, table, [""], ONE)[0].startswith("sMAPE leaves out the series: an actual value and a")
    others = rows[rows["model"] == "n"]
    found = score_rows(others, ONE)
    assert found["sMAPE"].tolist() == [100.0]
    assert not any("sMAPE" in note for note in score_notes(others, found, [""], ONE))
    second = pd.concat([rows, rows[1::2].assign(unit=1)])
    both = score_rows(second, scales((1.0, 1.0), (1.0, 1.0)))
    assert both["sMAPE"].tolist() == [100.0, 0.0]
    assert score_notes(second, both, ["a", "b"], scales((1.0, 1.0), (1.0, 1.0)))[0].startswith("sMAPE leaves out a:")


def test_series_without_a_common_forecast_are_told() -> None:
    rows = frame([("m", 0, 1, 1, 2.0, 3.0)])
    ground = scales((NAN, NAN), (1.0, 1.0), (1.0, 1.0))
    notes = score_notes(rows, score_rows(rows, ground), ["a", "b", "c"], ground)
    assert notes[0].startswith("Not scored: a and 1 more;")
    assert not any("MASE" in note for note in notes)


def test_a_model_without_quantiles_beside_one_with() -> None:
    rows = frame(
        [("with", 0, 0, 1, 1.0, 2.0, 0.0, 3.0), ("without", 0, 0, 1, 1.0, 2.0, NAN, NAN)],
        "q0.05",
        "q0.95",
    )
    table = score_rows(rows, ONE)
    assert table["coverage 90 %"].tolist()[0] == 1.0
    assert table.set_index("model").loc["without", ["WQL", "coverage 90 %", "interval score 90 %"]].isna().all()
    assert score_notes(rows, table, [""], ONE) == ["No interval scores for models without quantiles: without."]
    nobody = score_rows(rows.drop(columns=["q0.05", "q0.95"]), ONE)
    assert "WQL" not in nobody
    assert score_notes(rows, nobody, [""], ONE) == ["No interval scores for models without quantiles: with, without."]


def test_all_actual_values_zero_have_no_wql() -> None:
    table = score_rows(frame([("m", 0, 0, 1, 0.0, 1.0, 1.0)], "q0.5"), ONE)
    assert table["WQL"].isna().all()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["q0.1", "q0.5", "q0.9"], {0.8: ("q0.1", "q0.9")}),
        (["q0.975", "q0.25", "q0.025", "q0.75"], {0.95: ("q0.025", "q0.975"), 0.5: ("q0.25", "q0.75")}),
        (["q0.1", "q0.8"], {}),
        (["q0.005", "q0.995"], {0.99: ("q0.005", "q0.995")}),
        (["q0.5"], {}),
        (["quality", "q", "q1", "q0", "qnan"], {}),
    ],
)
def test_intervals_are_the_pairs_that_match(labels: list[str], expected: dict[float, tuple[str, str]]) -> None:
    assert interval_pairs(labels) == expected


def test_only_days_that_all_models_forecast_are_common() -> None:
    rows = frame(
        [
            *[(model, 0, 0, 1, 1.0, 1.0) for model in "ab"],
            ("a", 0, 0, 2, 1.0, 1.0),
            ("b", 0, 0, 2, 1.0, NAN),
            ("b", 0, 1, 1, 1.0, 1.0),
            *[(model, 1, 1, 1, 1.0, 1.0) for model in "ab"],
        ]
    )
    found = common_rows(rows)
    assert found[["model", "fold", "unit", "lead"]].to_numpy().tolist() == [
        ["a", 0, 0, 1],
        ["b", 0, 0, 1],
        ["a", 1, 1, 1],
        ["b", 1, 1, 1],
    ]
    assert len(common_rows(rows[:0])) == 0


@pytest.mark.parametrize(("n", "is_kept"), [(0, False), (4, False), (5, True), (10, True)])
def test_a_model_with_fewer_than_half_of_the_days_does_not_cost_the_others(n: int, is_kept: bool) -> None:
    whole = [(model, fold, 0, 1, 1.0, 1.0) for model in "ab" for fold in range(10)]
    rows = frame([*whole, *[("c", fold, 0, 1, 1.0, 1.0 if fold < n else NAN) for fold in range(10)]])
    found = common_rows(rows)
    assert set(found["model"]) == (set("abc") if is_kept else set("ab"))
    assert sorted(found["fold"].unique()) == list(range(n if is_kept else 10))


@pytest.mark.parametrize("by", [[], ["lead"], ["unit", "fold"]], ids=str)
def test_no_rows_give_no_scores(by: list[str]) -> None:
    rows = frame([("m", 0, 0, 1, 1.0, 1.0, 1.0, 1.0)], "q0.1", "q0.9")[:0]
    table = score_rows(rows, ONE, by)
    assert len(table) == 0
    assert {"model", "n", "MAE", "WQL", *by} <= set(table)
    assert score_notes(rows, table, ["x"], ONE)[0].startswith("Not scored: x;")


# --- against loops ---------------------------------------------------------------------------------------------------


def mean(values: Sequence[float]) -> float:
    """NaN where one of them is, or where there are none."""
    return sum(values) / len(values) if values else NAN


def of_series(rows: list[dict[str, Any]], mae: float, mse: float, levels: Sequence[float]) -> dict[str, float]:
    errors = [row["forecast"] - row["actual"] for row in rows]
    sizes = [abs(row["forecast"]) + abs(row["actual"]) for row in rows]
    scores = {
        "MAE": mean([abs(error) for error in errors]),
        "RMSE": math.sqrt(mean([error**2 for error in errors])),
        "bias": mean(errors),
        "sMAPE": mean([200 * abs(error) / size if size else NAN for error, size in zip(errors, sizes, strict=True)]),
        "MASE": mean([abs(error) for error in errors]) / mae,
        "RMSSE": math.sqrt(mean([error**2 for error in errors]) / mse),
    }
    losses = []
    for row in rows:
        own = []
        for level in levels:
            gap = row["actual"] - row[f"q{level:g}"]
            own.append(level * gap if gap >= 0 else (level - 1) * gap if gap < 0 else NAN)
        losses.append(mean(own))
    total = mean([abs(row["actual"]) for row in rows])
    scores["WQL"] = 2 * mean(losses) / total if total else NAN
    hits, widths = [], []
    for row in rows:
        low, high, actual = row["q0.1"], row["q0.9"], row["actual"]
        known = not (math.isnan(low) or math.isnan(high))
        hits.append(float(low <= actual <= high) if known else NAN)
        beyond = low - actual if actual < low else actual - high if actual > high else 0.0
        widths.append(high - low + 2 / 0.2 * beyond if known else NAN)
    return scores | {"coverage 80 %": mean(hits), "interval score 80 %": mean(widths)}


def reference(
    rows: pd.DataFrame, ground: pd.DataFrame, by: Sequence[str], levels: Sequence[float]
) -> dict[tuple[Any, ...], dict[str, float]]:
    groups: dict[tuple[Any, ...], dict[int, list[dict[str, Any]]]] = {}
    for row in rows.to_dict("records"):
        key = tuple(row[name] for name in ("model", *by))
        groups.setdefault(key, {}).setdefault(row["unit"], []).append(row)
    each = {
        (key, unit): of_series(own, ground["mae"][unit], ground["mse"][unit], levels)
        for key, series in groups.items()
        for unit, own in series.items()
    }
    lost = {(key[1:], unit, name) for (key, unit), own in each.items() for name in own if math.isnan(own[name])}
    found = {}
    for key, series in groups.items():
        found[key] = {"n": float(sum(len(own) for own in series.values()))}
        for name in each[key, next(iter(series))]:
            known = [each[key, unit][name] for unit in series if not math.isnan(each[key, unit][name])]
            if name in POINT_SCORES:  # a series without it for one model is left out for all
                known = [each[key, unit][name] for unit in series if (key[1:], unit, name) not in lost]
            found[key][name] = mean(known)
    return found


@pytest.mark.parametrize("by", [[], ["lead"], ["unit"], ["fold"], ["unit", "lead"], ["fold", "unit", "lead"]], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_a_loop(seed: int, by: list[str]) -> None:
    luck = random.Random(seed)
    levels = (0.1, 0.5, 0.9)
    rows = []
    for model in ("plain", "sharp", "holey"):
        for fold, unit, lead in ((f, u, h) for f in range(4) for u in range(3) for h in (1, 2, 3)):
            if luck.random() < 0.2:
                continue
            actual = float(luck.choice([0, luck.gauss(0, 3), luck.gauss(10, 1)]))
            centre = float(luck.choice([0, actual, luck.gauss(5, 3)]))
            ends = sorted(luck.gauss(centre, 2) for _ in levels)
            given = [NAN] * 3 if model == "plain" or (model == "holey" and luck.random() < 0.1) else ends
            rows.append((model, fold, unit, lead, actual, centre, *given))
    luck.shuffle(rows)
    table, ground = frame(rows, "q0.1", "q0.5", "q0.9"), scales((2.0, 5.0), (NAN, NAN), (0.5, 0.3))
    found = score_rows(table, ground, by)
    wanted = reference(table, ground, by, levels)
    assert len(found) == len(wanted)
    for row in found.to_dict("records"):
        expected = wanted[tuple(row[name] for name in ("model", *by))]
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True)


def test_groups_come_in_order_and_models_as_given() -> None:
    rows = frame([("z", fold, 0, lead, 1.0, 1.0) for fold in (1, 0) for lead in (2, 1)])
    rows = pd.concat([rows, rows.assign(model="a")], ignore_index=True)
    rows["model"] = pd.Categorical(rows["model"], categories=["z", "unused", "a"])
    found = score_rows(rows, ONE, ["fold", "lead"])
    assert found[["model", "fold", "lead"]].to_numpy().tolist() == [
        [model, fold, lead] for model in "za" for fold in (0, 1) for lead in (1, 2)
    ]
    assert np.array_equal(found["n"], np.ones(8))
