"""Origin ensembling: the mean over the last origins, by hand; past alone; calmer than the model itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.errors import SettingsError
from hourglass_ts.evaluate.backtest import backtest
from hourglass_ts.forecast.baselines import Drift, EWMAWalk, Naive
from hourglass_ts.forecast.ensemble import OriginEnsemble

ROLES: dict[str, Any] = {"time": "day", "target": "y", "series": "id"}


def frame(n: int = 60) -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=n)
    walks = np.random.default_rng(0).normal(size=(2, n)).cumsum(axis=1)
    return pd.concat([pd.DataFrame({"id": name, "day": days, "y": y}) for name, y in zip("ab", walks, strict=True)])


@pytest.mark.parametrize("model", [Drift(4), EWMAWalk(4)], ids=["points", "quantiles"])
def test_it_is_the_mean_of_what_the_last_origins_said(model: Any) -> None:
    df, origin = frame(), pd.Timestamp("2024-02-10")
    found = OriginEnsemble(model, 3).fit(df, **ROLES).forecast_from(df, [origin])
    by_hand = [
        model.fit(df, **ROLES).forecast(df[df["day"] <= origin - pd.Timedelta(days=age)]).set_index(["id", "day"])
        for age in range(3)
    ]
    mean = pd.concat(by_hand).groupby(level=[0, 1]).mean().loc[by_hand[0].index]
    columns = list(mean.columns)
    np.testing.assert_allclose(found[columns], mean, rtol=1e-12)
    assert found["lead"].tolist() == [1, 2, 3, 4] * 2
    assert (found["origin"] == origin).all()


def test_one_origin_is_the_model_itself() -> None:
    df = frame()
    alone = Naive(3).fit(df, **ROLES).forecast()
    pd.testing.assert_frame_equal(OriginEnsemble(Naive(3), 1).fit(df, **ROLES).forecast(), alone)


def test_nothing_after_the_origin_counts() -> None:
    df, origins = frame(), pd.to_datetime(["2024-01-20", "2024-02-05"])
    model = OriginEnsemble(Drift(3), 3).fit(df[df["day"] <= origins[0]], **ROLES)
    other = df.assign(y=df["y"].where(df["day"] <= origins[1], 1e6))
    pd.testing.assert_frame_equal(model.forecast_from(df, origins), model.forecast_from(other, origins))


def test_known_columns_come_from_the_caller() -> None:
    class Promo:
        def fit(self, df: pd.DataFrame, **roles: Any) -> Any:
            return self

        def forecast(self, df: pd.DataFrame, *, known: pd.DataFrame) -> pd.DataFrame:
            ahead = known[known["t"] > df["t"].max()].sort_values("t").head(2)
            return pd.DataFrame({"t": ahead["t"], "forecast": ahead["promo"] + df["t"].max()})

    df = pd.DataFrame({"t": range(10), "y": np.arange(10.0), "promo": np.arange(10.0)})
    ahead = pd.DataFrame({"t": [10, 11], "promo": [10.0, 11.0]})
    found = OriginEnsemble(Promo(), 2).fit(df, time="t", target="y", known="promo").forecast(known=ahead)
    assert found["t"].tolist() == [10, 11]
    assert found["forecast"].tolist() == [((10 + 9) + (10 + 8)) / 2, 11 + 9]


def test_revisions_are_smaller() -> None:
    models = {"calm": OriginEnsemble(Naive(5), 3), "as is": Naive(5)}
    result = backtest(models, frame(), **ROLES, folds=25, stride=1, progress=False)
    moved = result.revisions[result.revisions["lead"].isna()].set_index("model")["revision"]
    assert moved["calm"] < 0.7 * moved["as is"]


@pytest.mark.parametrize(("model", "origins", "words"), [(Naive(2), 0, "origins=0"), (5, 3, "fit and forecast")])
def test_settings_are_refused(model: Any, origins: int, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        OriginEnsemble(model, origins).fit(frame(), **ROLES)
