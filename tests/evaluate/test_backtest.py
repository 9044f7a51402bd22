"""Backtests: no model sees a row after its origin, a failure or a kill costs nothing else, scores are as by hand."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.errors import DataError, SavedModelError, SettingsError
from hourglass_ts.evaluate import running
from hourglass_ts.evaluate.backtest import backtest
from hourglass_ts.evaluate.ledger import FILE
from hourglass_ts.evaluate.result import Backtest
from hourglass_ts.forecast.baselines import Drift, EWMAWalk, Naive, RidgeFloor, SeasonalNaive
from hourglass_ts.forecast.conformal import ConformalForecaster

BASELINES = ["naive", "seasonal naive", "ridge"]
CALLS: list[tuple[str, pd.DataFrame, dict[str, Any]]] = []
"""What every Spy was given; copies of it are fitted, so that it cannot be kept in the spy itself."""


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


class Spy:
    """A plain class: forecasts `value` for two days after the last row of every shop."""

    def __init__(self, value: Any = 0.0, error: str = "", at: Any = None) -> None:
        self.value = value
        self.error = error
        self.at = at

    def fit(self, df: pd.DataFrame, **roles: Any) -> Spy:
        CALLS.append(("fit", df.copy(), roles))
        if self.error == "fit" and self.at in (None, df["day"].max()):
            raise RuntimeError("no fit today")
        self.keys = roles["series"]
        return self

    def forecast(self, df: pd.DataFrame | None = None, *, known: pd.DataFrame | None = None) -> Any:
        assert df is not None
        CALLS.append(("forecast", df.copy(), {"known": known}))
        if self.error == "forecast" and self.at in (None, df["day"].max()):
            raise RuntimeError("no forecast today")
        parts = [
            pd.DataFrame({"day": pd.date_range(part["day"].max(), periods=3)[1:], "forecast": self.value}).assign(
                **({self.keys: shop} if self.keys else {})
            )
            for shop, part in (df.groupby(self.keys) if self.keys else [(None, df)])
        ]
        return pd.concat(parts)


class Watched(Naive):
    """The naive forecast, of any horizon."""

    def fit(self, df: pd.DataFrame, **roles: Any) -> Watched:
        CALLS.append(("fit", df.copy(), roles))
        return super().fit(df, **roles)


def calls(kind: str) -> list[pd.DataFrame]:
    return [df for name, df, _ in CALLS if name == kind]


def day(number: int) -> pd.Timestamp:
    return pd.Timestamp("2024-01-01") + pd.Timedelta(days=number)


def days(n: int = 10) -> pd.DataFrame:
    return pd.DataFrame({"day": pd.date_range("2024-01-01", periods=n), "y": np.arange(float(n)) ** 2})


def two_shops() -> pd.DataFrame:
    """`a` has 12 days, `b` begins on the fifth and ends on the tenth."""
    a = days(12).assign(shop="a")
    b = pd.DataFrame({"day": pd.date_range(day(4), day(9)), "y": [3.0, 5.0, 4.0, 6.0, 5.0, 9.0], "shop": "b"})
    return pd.concat([a, b]).sample(frac=1.0, random_state=1)


def noise(n: int = 80, seed: int = 0) -> pd.DataFrame:
    values = np.random.default_rng(seed).normal(size=n).cumsum() + 3 * np.sin(np.arange(n) * 2 * np.pi / 7) + 30
    return pd.DataFrame({"day": pd.date_range("2024-01-01", periods=n), "y": values})


def run(models: Any, df: pd.DataFrame, **options: Any) -> Backtest:
    return backtest(models, df, **{"time": "day", "target": "y", "progress": False, "horizon": 2, **options})


# --- what models see, and what they are measured against -------------------------------------------------------------


@pytest.mark.parametrize("window", [None, 4])
def test_no_model_sees_a_row_after_its_origin(window: int | None) -> None:
    run(Spy(), days(12).sample(frac=1.0, random_state=0), folds=3, refit=True, window=window)
    origins = [day(5), day(7), day(9)]
    first = [day(0)] * 3 if window is None else [day(2), day(4), day(6)]
    for kind in ("fit", "forecast"):
        assert [given["day"].max() for given in calls(kind)] == origins
        assert [given["day"].min() for given in calls(kind)] == first


def test_models_are_fitted_once_and_as_they_were_asked() -> None:
    spy = Spy()
    frame = two_shops().assign(price=1.0, wind=2.0, size=3.0)
    roles = {"series": "shop", "known": ["price"], "past": ["wind"], "static": ["size"]}
    run({"spy": spy}, frame, folds=2, stride=1, **roles)
    ((_, given, arguments),) = [call for call in CALLS if call[0] == "fit"]
    assert arguments == {"time": "day", "target": "y", **roles}
    assert given["day"].max() == day(8)
    assert not hasattr(spy, "keys")  # a copy was fitted
    assert all(call[2]["known"]["day"].min() > call[1]["day"].max() for call in CALLS if call[0] == "forecast")
    assert all(list(call[2]["known"]) == ["day", "shop", "price"] for call in CALLS if call[0] == "forecast")


def test_forecasts_meet_their_actual_values() -> None:
    result = run({"spy": Spy([1.0, 2.0])}, days(), folds=[day(4), day(5), day(7)])
    found = result.forecasts[result.forecasts["model"] == "spy"]
    assert list(found) == ["model", "fold", "origin", "day", "lead", "actual", "forecast"]
    assert found["fold"].tolist() == [0, 0, 1, 1, 2, 2]
    assert found["origin"].tolist() == [day(4), day(4), day(5), day(5), day(7), day(7)]
    assert found["day"].tolist() == [day(5), day(6), day(6), day(7), day(8), day(9)]
    assert found["lead"].tolist() == [1, 2] * 3
    assert found["actual"].tolist() == [25.0, 36.0, 36.0, 49.0, 64.0, 81.0]
    assert found["forecast"].tolist() == [1.0, 2.0] * 3


def test_missing_actual_values_are_left_out() -> None:
    frame = days()
    frame.loc[5, "y"] = np.nan
    result = run(Spy(), frame, folds=[day(4)])
    assert result.forecasts["actual"].unique().tolist() == [36.0]
    assert result.forecasts["lead"].unique().tolist() == [2]


def test_leads_of_the_gap_are_not_scored() -> None:
    result = run({"far": Naive(4)}, days(20), horizon=4, folds=2, gap=2)
    assert sorted(result.forecasts["lead"].unique()) == [3, 4]
    assert result.scores["n"].tolist() == [4] * 4


def test_series_of_unequal_length() -> None:
    result = run({"own": Naive(2)}, two_shops(), series="shop", folds=[day(5), day(8), day(9)])
    table = result.forecasts[result.forecasts["model"] == "own"].set_index(["origin", "shop", "lead"])
    assert table.loc[(day(5), "b", 1)][["actual", "forecast"]].tolist() == [4.0, 5.0]
    assert table.loc[(day(8), "b", 1)][["actual", "forecast"]].tolist() == [9.0, 5.0]
    assert (day(8), "b", 2) not in table.index  # b has ended
    assert (day(9), "b", 1) not in table.index
    assert table.loc[(day(9), "a", 2)]["actual"] == 121.0
    assert len(table) == 4 + 3 + 2


def test_several_targets_of_several_series_keep_their_names() -> None:
    parts = [pd.DataFrame({"k": k, "t": range(20), "z": np.arange(20.0) + k, "y": 100.0 + k}) for k in (3, 1)]
    result = backtest(
        Drift(2), pd.concat(parts), time="t", target=["z", "y"], series="k", folds=2, season=1, progress=False
    )
    table = result.forecasts[result.forecasts["model"] == "Drift"]
    assert list(table)[:6] == ["model", "fold", "origin", "k", "target", "t"]
    assert (table["forecast"] - table["actual"]).abs().max() < 1e-9
    ys = table[table["target"] == "y"]
    assert (ys["actual"] == 100.0 + ys["k"]).all()
    by = result.scores_by("series")
    assert by.loc[by["model"] == "naive", ["k", "target", "MAE"]].to_numpy().tolist() == [
        [1, "z", 1.5],
        [1, "y", 0.0],
        [3, "z", 1.5],
        [3, "y", 0.0],
    ]


def test_a_wide_frame_over_an_index_without_a_name() -> None:
    frame = pd.DataFrame({"x": noise(40, 0)["y"], "y": noise(40, 1)["y"]})
    frame.index = pd.date_range("2024-01-01", periods=40)
    wide = backtest(Naive(2), frame, folds=3, progress=False)
    long = pd.concat([noise(40, seed).assign(target=name) for seed, name in enumerate("xy")])
    as_long = run(Naive(2), long.rename(columns={"target": "name"}), series="name", folds=3)
    np.testing.assert_array_equal(wide.forecasts["forecast"], as_long.forecasts["forecast"])
    pd.testing.assert_frame_equal(wide.scores, as_long.scores)


def test_a_forecast_sees_the_newest_issue_up_to_its_origin() -> None:
    frame = days(12).assign(rain=0.0)
    issues = pd.concat(
        [frame[["day"]].assign(rain=float(ahead), made=frame["day"] - pd.Timedelta(days=ahead)) for ahead in (3, 1)]
    )
    run({"spy": Spy()}, frame, known="rain", folds=[day(8)], vintages=issues, issued="made")
    (known,) = [call[2]["known"] for call in CALLS if call[0] == "forecast"]
    ahead = known[known["day"] > day(8)].set_index("day")["rain"]
    assert ahead.to_dict() == {day(9): 1.0, day(10): 3.0, day(11): 3.0}


@pytest.mark.parametrize("span", [2, 5])
def test_with_an_embargo_and_a_gap_no_target_of_the_training_overlaps_one_that_is_scored(span: int) -> None:
    """A target that spans `span` days, forwards or backwards, shares none with the targets that are scored."""
    frame = noise(60)

    def overlaps(**purged: int) -> bool:
        CALLS.clear()
        result = run(Watched(span + 1), frame, horizon=span + 1, folds=3, refit=True, **purged)
        learnt = [set(given["day"]) for given in calls("fit")]
        scored = [set(part["day"]) for _, part in result.forecasts.groupby("fold")]
        assert len(learnt) == len(scored) == 3
        ends = [fold.origin - pd.Timedelta(days=purged.get("embargo", 0)) for fold in result.run.folds]
        assert [max(part) for part in learnt] == ends  # later targets that look forwards are not known at the origin
        return any(
            abs((a - b).days) < span
            for training, test in zip(learnt, scored, strict=True)
            for a, b in itertools.product(training, test)
        )

    assert overlaps()
    assert not overlaps(embargo=span - 1, gap=span - 1)


# --- baselines and names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("models", "names"),
    [
        ({}, BASELINES),
        (Naive(2), ["Naive", *BASELINES]),
        ([Naive(2), Drift(2)], ["Naive", "Drift", *BASELINES]),
        ({"mine": Naive(2), "yours": Naive(2)}, ["mine", "yours", *BASELINES]),
        ({"ridge": Naive(2), "b": Naive(2)}, ["ridge", "b", "naive", "seasonal naive"]),
    ],
    ids=["none", "one", "several", "by name", "a baseline's name"],
)
def test_baselines_stand_beside_the_users_models(models: Any, names: list[str]) -> None:
    result = run(models, noise(), folds=2)
    assert list(result.models) == names
    assert result.scores["model"].tolist() == names


def test_ones_own_model_replaces_the_baseline_of_its_name() -> None:
    result = run({"naive": Spy(7.0)}, noise(), folds=2)
    assert (result.forecasts.loc[result.forecasts["model"] == "naive", "forecast"] == 7.0).all()


def test_baselines_are_those_of_the_library_with_the_settings_that_were_asked_for() -> None:
    frame = noise()
    frame["y"] = np.exp(frame["y"] / 10)
    result = run(EWMAWalk(2, transform="log"), frame, folds=4, season=3)
    training = frame[frame["day"] <= result.run.folds[0].origin]
    origins = [fold.origin for fold in result.run.folds]
    for name, model in {
        "naive": Naive(2),
        "seasonal naive": SeasonalNaive(2, 3),
        "ridge": RidgeFloor(2, transform="log"),  # the same chances as the model beside it
    }.items():
        own = model.fit(training, time="day", target="y").forecast_from(frame, origins)
        np.testing.assert_array_equal(
            result.forecasts.loc[result.forecasts["model"] == name, "forecast"], own["forecast"]
        )
    assert result.scales["mae"].tolist() == pytest.approx([training["y"].diff(3).abs().mean()])


# --- scores ----------------------------------------------------------------------------------------------------------


def test_scores_are_what_a_hand_calculates() -> None:
    result = run({}, two_shops(), series="shop", folds=[day(8)], season=1)
    table = result.scores.set_index("model")
    # a: forecast 64 for 81, 100.  b: forecast 5 for 9.  In training a changes by 1, 3, … 15: 8 on average; b by 1.5.
    assert table.loc["naive", "MAE"] == pytest.approx(((17 + 36) / 2 + 4) / 2)
    changes = np.abs(np.diff([3.0, 5.0, 4.0, 6.0, 5.0])).mean()
    assert table.loc["naive", "MASE"] == pytest.approx(((17 + 36) / 2 / 8 + 4 / changes) / 2)
    assert table.loc["naive", "bias"] == pytest.approx(-((17 + 36) / 2 + 4) / 2)
    assert table["n"].tolist() == [3, 3, 3]
    by_shop = result.scores_by("series").set_index(["model", "shop"])
    assert by_shop.loc[("naive", "a"), "MAE"] == pytest.approx((17 + 36) / 2)
    assert by_shop.loc[("naive", "b"), "RMSE"] == pytest.approx(4.0)
    by_lead = result.scores_by("lead", "series").set_index(["model", "shop", "lead"])
    assert by_lead["MAE"].loc["naive"].to_dict() == {("a", 1): 17.0, ("b", 1): 4.0, ("a", 2): 36.0}


def test_seasonal_scores_take_the_season() -> None:
    result = run({}, two_shops(), series="shop", folds=[day(8)], season=2)
    # it says 49, 64 for a, and 6 for b
    table = result.scores.set_index("model")
    assert table.loc["seasonal naive", "MAE"] == pytest.approx(((32 + 36) / 2 + 3) / 2)
    a, b = np.arange(9.0) ** 2, np.array([3.0, 5.0, 4.0, 6.0, 5.0])
    scales = [np.abs(part[2:] - part[:-2]).mean() for part in (a, b)]
    assert table.loc["seasonal naive", "MASE"] == pytest.approx(((32 + 36) / 2 / scales[0] + 3 / scales[1]) / 2)


@pytest.mark.parametrize("by", [("lead",), ("fold",), ("origin",), ("fold", "lead"), ("series", "fold"), ()])
def test_scores_by_are_the_scores_of_each_part(by: tuple[str, ...]) -> None:
    result = run(EWMAWalk(2), pd.concat([noise(60, k).assign(shop=k) for k in (2, 1)]), series="shop", folds=4)
    found = result.scores_by(*by)
    if not by:
        pd.testing.assert_frame_equal(found, result.scores)
        return
    columns = [{"series": "shop", "origin": "fold"}.get(name, name) for name in by]
    forecasts = result.forecasts
    for _, part in found.groupby(columns):
        keys = {name: part[name].iloc[0] for name in columns}
        rows = forecasts[(forecasts[list(keys)] == pd.Series(keys)).all(axis=1)]
        error = (rows["forecast"] - rows["actual"]).abs()
        mean = error.groupby([rows["model"], rows["shop"]]).mean().groupby("model").mean()
        np.testing.assert_allclose(part["MAE"], mean[part["model"]])
    if "fold" in columns:
        assert (found["origin"] == found["fold"].map(lambda fold: result.run.folds[fold].origin)).all()


def test_scores_by_something_else() -> None:
    with pytest.raises(SettingsError, match=r"scores by 'day'.*'series', 'lead', 'fold', 'origin'"):
        run({}, noise(), folds=2).scores_by("lead", "day")


def test_a_flat_series_is_told() -> None:
    frame = pd.concat([days().assign(shop="a"), days().assign(shop="flat", y=7.0)])
    result = run({"own": Naive(2)}, frame, series="shop", folds=[day(6)], season=1)
    assert result.scores["MASE"].iloc[0] == pytest.approx((13 + 28) / 2 / 6)
    assert any("MASE and RMSSE leave out flat" in note for note in result.score_notes)


def test_row_order_does_not_matter_and_the_frame_is_left_alone() -> None:
    frame = two_shops()
    before = frame.copy(deep=True)
    first = run({"d": Drift(2)}, frame, series="shop", folds=2)
    pd.testing.assert_frame_equal(frame, before)
    second = run({"d": Drift(2)}, frame.sort_values(["day", "shop"]), series="shop", folds=2)
    pd.testing.assert_frame_equal(first.forecasts, second.forecasts)
    pd.testing.assert_frame_equal(first.scores, second.scores)


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize("kind", ["fit", "forecast"])
def test_a_model_that_fails_in_a_fold_costs_that_fold_alone(kind: str, refit: bool) -> None:
    if kind == "fit" and not refit:
        return
    models = {"bad": Spy(1.0, kind, day(7)), "good": Naive(2)}
    with pytest.warns(UserWarning, match=rf"'bad' failed in fold 1: RuntimeError: no {kind} today \(test_backtest.py"):
        result = run(models, days(12), folds=3, refit=refit)
    assert [(failure.model, failure.folds) for failure in result.run.failures] == [("bad", (1,))]
    table = result.forecasts.groupby("model", observed=True)["fold"].unique().map(list)
    assert table.to_dict() == {name: [0, 2] if name == "bad" else [0, 1, 2] for name in result.models}
    assert result.scores["n"].tolist() == [4] * 5  # all on the folds that all have
    assert any("2 of 6 forecast days are not scored" in note for note in result.score_notes)
    assert any("bad failed in 1 folds from 1 on: RuntimeError" in note for note in result.score_notes)


def test_a_model_that_always_fails_does_not_cost_the_others() -> None:
    with pytest.warns(UserWarning, match="'bad' failed in fold 0 and 2 more"):
        result = run({"bad": Spy(0.0, "fit"), "good": Naive(2)}, days(12), folds=3)
    assert "bad" not in set(result.scores["model"])
    assert result.scores["n"].tolist() == [6] * 4


def test_all_of_ones_own_models_failing_is_an_error() -> None:
    with pytest.raises(DataError, match=r"(?s)'one'.*no fit today.*'two'.*no forecast today"):
        run({"one": Spy(0.0, "fit"), "two": Spy(0.0, "forecast")}, days(12), folds=3)


def test_a_failure_is_tried_again_when_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"folds": 3, "refit": True, "folder": tmp_path}
    models = {"bad": Spy(1.0, "fit", day(7)), "good": Naive(2)}
    with pytest.warns(UserWarning, match="'bad' failed in fold 1"):
        run(models, days(12), **options)
    CALLS.clear()
    monkeypatch.setattr(Spy, "fit", lambda self, df, **roles: CALLS.append(("fit", df, roles)) or self)
    monkeypatch.setattr(Spy, "keys", None, raising=False)
    mended = run(models, days(12), **options)
    assert [given["day"].max() for given in calls("fit")] == [day(7)]
    assert mended.run.failures == ()
    assert mended.scores["n"].tolist() == [6] * 5


class Odd(Spy):
    """Gives whatever it was made with."""

    def forecast(self, df: pd.DataFrame | None = None, *, known: pd.DataFrame | None = None) -> Any:
        right = super().forecast(df, known=known)
        return self.value(right.assign(forecast=0.0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda frame: frame["forecast"].to_numpy(), "a ndarray from Odd.forecast; expected a DataFrame"),
        (lambda frame: None, "a NoneType from Odd.forecast"),
        (lambda frame: frame.drop(columns="forecast"), "column 'forecast'.*no such column in what Odd.forecast gives"),
        (lambda frame: frame.drop(columns="day"), "column 'day'.*no such column"),
        (lambda frame: frame.drop(columns="shop"), "column 'shop'.*no such column"),
        (lambda frame: pd.concat([frame, frame]), "column 'day', first at 2024-01-07.*that it gives already"),
        (
            lambda frame: frame.replace({"shop": {"b": "c"}}),
            "column 'shop', series 'c'.*a series that the data do not have",
        ),
        (lambda frame: frame.assign(day=range(len(frame))), "column 'day'.*times of type int64; expected datetime64"),
        (lambda frame: frame.assign(day=frame["day"].dt.tz_localize("UTC")), "column 'day'.*UTC.*expected datetime64"),
        (lambda frame: frame.assign(lead=1), "column 'lead'.*Leave it out"),
    ],
    ids=[
        "array",
        "None",
        "no forecast",
        "no time",
        "no series",
        "twice",
        "unknown series",
        "numbers for times",
        "aware times",
        "our column",
    ],
)
def test_what_a_model_gives_wrongly_is_named(wrong: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        run({"odd": Odd(wrong)}, two_shops(), series="shop", folds=[day(5)])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda frame: frame.assign(day=frame["day"] + pd.Timedelta("12h")),
        lambda frame: frame.assign(forecast=np.nan),
        lambda frame: frame[:0],
    ],
    ids=["times off the grid", "NaN alone", "no rows"],
)
def test_a_model_that_forecasts_nothing_that_came_true_does_not_vanish_silently(wrong: Any) -> None:
    with pytest.raises(DataError, match=r"no forecast of 'odd'.*None meets an actual value"):
        run({"odd": Odd(wrong)}, days(12), folds=2)
    with pytest.warns(UserWarning, match="no forecast of 'odd'"):
        run({"odd": Odd(wrong), "good": Naive(2)}, days(12), folds=2)


def test_a_fit_that_gives_nothing_back_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spy, "fit", lambda self, df, **roles: None)
    with pytest.raises(DataError, match=r"a NoneType from Spy\.fit; expected the fitted model\. Return self"):
        run(Spy(), days(12), folds=3)


class Slotted:
    """Has neither sklearn's methods nor a `__dict__`."""

    __slots__ = ("last",)

    def fit(self, df: pd.DataFrame, **roles: Any) -> Slotted:
        return self

    def forecast(self, df: pd.DataFrame | None = None, *, known: pd.DataFrame | None = None) -> pd.DataFrame:
        assert df is not None
        times = pd.date_range(df["day"].max(), periods=3)[1:]
        return pd.DataFrame({"day": times[::-1], "forecast": [2.0, 1.0], "q0.9": 5.0})


def test_anything_with_fit_and_forecast_will_do() -> None:
    result = run(Slotted(), noise(), folds=3)
    own = result.forecasts[result.forecasts["model"] == "Slotted"]
    assert own["forecast"].tolist() == own["lead"].tolist()
    assert own["q0.9"].tolist() == [5.0] * 6
    assert result.run.settings["Slotted"] == "Slotted()"


# --- processes, folders, kills ---------------------------------------------------------------------------------------


def test_processes_and_chunks_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    models = {"walk": EWMAWalk(2), "conformal": ConformalForecaster(Naive(2), (0.1, 0.9), calibration=25)}
    options: dict[str, Any] = {"folds": 10, "stride": 1, "refit": 5}
    frame = noise(120)
    one = run(models, frame, **options)
    two = run(models, frame, jobs=2, **options)
    monkeypatch.setattr(running, "LEAST_CHUNK", 1)
    small = run(models, frame, **options)
    for other in (two, small):
        pd.testing.assert_frame_equal(one.forecasts, other.forecasts, check_exact=True)
        pd.testing.assert_frame_equal(one.scores, other.scores, check_exact=True)
    assert one.run.costs["fits"].tolist() == two.run.costs["fits"].tolist() == [2] * 5


SCRIPT = """
import os, sys, time
from pathlib import Path
import numpy as np, pandas as pd
from hourglass_ts.evaluate.backtest import backtest

def note(text):
    with open(os.environ["SIDE"], "a") as file:
        file.write(text + "\\n")

class Slow:
    horizon = 2
    def fit(self, df, **roles):
        self.end = str(df["day"].max().date())
        note(f"fit {self.end}")
        return self
    def forecast(self, df=None, *, known=None):
        note(f"forecast {df['day'].max().date()} fitted {self.end}")
        time.sleep(float(os.environ["PAUSE"]))
        mean = df["y"].iloc[-5:].mean()
        return pd.DataFrame({"day": pd.date_range(df["day"].max(), periods=3)[1:], "forecast": [mean, mean + 1]})
    def save(self, place):
        Path(place).write_text(self.end)
    @classmethod
    def load(cls, place):
        model = cls()
        model.end = Path(place).read_text()
        return model

df = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=60), "y": np.arange(60) % 7 + np.arange(60) / 9})
result = backtest({"slow": Slow()}, df, time="day", target="y", folds=12, refit=True, folder=sys.argv[1] or None,
                  progress=False)
result.forecasts.to_pickle(sys.argv[2])
"""


def started(folder: Path | str, out: Path, side: Path, pause: float) -> subprocess.Popen[bytes]:
    script = out.parent / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "SIDE": str(side), "PAUSE": str(pause), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, str(script), str(folder), str(out)], env=environment)


def folds_in(file: Path) -> set[int]:
    try:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
            return {fold for (fold,) in database.execute("SELECT fold FROM forecasts WHERE model = 'slow'")}
    except sqlite3.OperationalError:  # not made yet
        return set()


def is_forecasting(folder: Path, side: Path, at_least: int) -> bool:
    """Whether so many folds are noted, and the next one's forecast has begun."""
    done, lines = len(folds_in(folder / FILE)), side.read_text().splitlines() if side.exists() else []
    return done >= at_least and sum(line.startswith("forecast") for line in lines) > done


def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    folder, side, out = tmp_path / "run", tmp_path / "side", tmp_path / "out.pkl"
    whole_side, whole_out = tmp_path / "whole_side", tmp_path / "whole.pkl"
    killed = started(folder, out, side, pause=0.5)
    undisturbed = started("", whole_out, whole_side, pause=0)
    deadline = time.monotonic() + 120
    while not is_forecasting(folder, side, at_least=4) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    done = folds_in(folder / FILE)
    assert 4 <= len(done) < 12
    before = side.read_text().splitlines()

    assert started(folder, out, side, pause=0).wait() == 0
    assert undisturbed.wait() == 0
    found, whole = pd.read_pickle(out), pd.read_pickle(whole_out)
    pd.testing.assert_frame_equal(found, whole, check_exact=True)
    assert not found.duplicated(["model", "fold", "day"]).any()

    after = side.read_text().splitlines()[len(before) :]
    origins = [str(origin.date()) for origin in whole["origin"].unique()]
    lines = [f"forecast {origin} fitted {origin}" for origin in origins]
    assert [line for line in after if line.startswith("forecast")] == [
        line for fold, line in enumerate(lines) if fold not in done
    ]
    fits = [line for line in [*before, *after] if line.startswith("fit")]
    assert fits == [f"fit {origin}" for origin in origins]  # also the one whose forecast the kill cut off


class Kept(Spy):
    """A Spy that can be saved; its forecast tells who was loaded."""

    def fit(self, df: pd.DataFrame, **roles: Any) -> Kept:
        super().fit(df, **roles)
        return self

    def save(self, place: Path) -> None:
        Path(place).write_text(str(self.value))

    @classmethod
    def load(cls, place: Path) -> Kept:
        model = cls(float(Path(place).read_text()))
        model.keys = None
        return model


def test_models_whose_names_differ_in_signs_alone_keep_their_own_fits(tmp_path: Path) -> None:
    models = {"кот": Kept(1.0), "пёс": Kept(2.0), "a b": Kept(3.0), "a-b": Kept(4.0)}
    run(models, days(12), folds=3, folder=tmp_path)
    (tmp_path / FILE).unlink()  # so that the forecasts are made again, with the fits that were kept
    CALLS.clear()
    again = run(models, days(12), folds=3, folder=tmp_path)
    assert calls("fit") == []
    values = again.forecasts.groupby("model", observed=True)["forecast"].first()
    assert values[list(models)].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_a_finished_run_is_read_back_without_a_fit(tmp_path: Path) -> None:
    first = run({"spy": Spy(3.0)}, noise(), folds=3, folder=tmp_path)
    n = len(CALLS)
    second = run({"spy": Spy(3.0)}, noise(), folds=3, folder=str(tmp_path))
    assert len(CALLS) == n
    pd.testing.assert_frame_equal(first.forecasts, second.forecasts, check_exact=True)
    pd.testing.assert_frame_equal(first.run.costs, second.run.costs)


@pytest.mark.parametrize(
    "change",
    [
        {"models": {"spy": Spy(4.0)}},
        {"models": {"spy": Spy([3.0, 3.0])}},
        {"models": {"spy": Naive(2)}},
        {"models": {"spy": ConformalForecaster(Spy(3.0))}},
        {"models": {"other": Spy(3.0)}},
        {"df": noise(80, 1)},
        {"df": noise(80).assign(y=lambda frame: frame["y"].where(frame.index != 79, 0.0))},
        {"folds": 4},
        {"stride": 1},
        {"refit": True},
        {"gap": 1},
        {"embargo": 1},
        {"window": 20},
        {"season": 3},
    ],
)
def test_the_folder_of_another_backtest_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    given: dict[str, Any] = {"models": {"spy": Spy(3.0)}, "df": noise(), "folds": 3}
    run(given.pop("models"), given.pop("df"), folder=tmp_path, **given)
    changed = {"models": {"spy": Spy(3.0)}, "df": noise(), "folds": 3, **change}
    with pytest.raises(SettingsError, match=r"another backtest.*Name another folder"):
        run(changed.pop("models"), changed.pop("df"), folder=tmp_path, **changed)


def test_a_plain_model_inside_another_is_known_again(tmp_path: Path) -> None:
    """Its place in memory is no setting."""
    results = [
        run({"c": ConformalForecaster(Slotted(), calibration=30)}, noise(), folds=2, folder=tmp_path) for _ in range(2)
    ]
    pd.testing.assert_frame_equal(results[0].forecasts, results[1].forecasts)
    with pytest.raises(SettingsError, match="another backtest"):
        run({"c": ConformalForecaster(Slotted(), calibration=31)}, noise(), folds=2, folder=tmp_path)


def test_a_function_among_the_settings_is_known_again(tmp_path: Path) -> None:
    for _ in range(2):
        run({"odd": Odd(lambda frame: frame)}, noise(), folds=2, folder=tmp_path)
    assert len(calls("fit")) == 1


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"nothing of the kind" * 99)
    with pytest.raises(SavedModelError, match="cannot be read or written"):
        run({}, noise(), folds=2, folder=tmp_path)


# --- settings and data that cannot be --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"models": [Naive(2), Naive(2)]}, "2 models of class Naive.*Pass a dict"),
        ({"models": {"x": 5}}, "'x' without fit and forecast"),
        ({"models": Naive}, "without fit and forecast"),
        ({"models": {"x": Spy()}, "horizon": None}, "no horizon, and models that do not say theirs"),
        ({"models": Naive(1)}, "horizon=2; expected at most the 1 steps of 'Naive'"),
        ({"horizon": 0}, "horizon=0"),
        ({"jobs": 0}, "jobs=0"),
        ({"season": 0}, "season=0"),
        ({"folds": None}, "folds=None"),
        ({"gap": 2}, "no lead is left to score"),
        ({"issued": "made"}, "issued without vintages"),
        ({"vintages": days()}, "vintages without issued"),
        ({"vintages": days(), "issued": "made"}, "vintages, and no known columns"),
        ({"known": "y"}, "one role per column"),
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, Any], message: str) -> None:
    given = {"models": {}, **wrong}
    with pytest.raises(SettingsError, match=message):
        run(given.pop("models"), noise(), **given)


@pytest.mark.parametrize("label", ["origin", "model", "lead", "actual", "forecast", "fold"])
@pytest.mark.parametrize("role", ["shop", "day"])
def test_columns_named_like_ours_are_refused(label: str, role: str) -> None:
    frame = two_shops().rename(columns={role: label})
    names = {"time": "day", "series": "shop", {"shop": "series", "day": "time"}[role]: label}
    with pytest.raises(DataError, match=f"column '{label}'.*Rename"):
        run({}, frame, folds=1, **names)


def test_vintages_are_checked() -> None:
    frame = days(20).assign(rain=1.0)
    issues = frame[["day", "rain"]].assign(made=range(20))
    with pytest.raises(DataError, match=r"column 'made': found issue times of type int64.*such as 2024-01-01"):
        run({}, frame, known="rain", folds=2, vintages=issues, issued="made")
    with pytest.raises(DataError, match=r"column 'made': found no such column in `vintages`"):
        run({}, frame, known="rain", folds=2, vintages=frame, issued="made")
    late = issues.assign(made=frame["day"].where(frame.index != 3))
    with pytest.raises(DataError, match=r"column 'made'.*1 of them missing"):
        run({}, frame, known="rain", folds=2, vintages=late, issued="made")


def test_folds_that_do_not_fit_are_told_before_anything_is_fitted() -> None:
    with pytest.raises(DataError, match="Pass folds=4 or fewer"):
        run({"spy": Spy()}, days(10), folds=5)
    assert CALLS == []
