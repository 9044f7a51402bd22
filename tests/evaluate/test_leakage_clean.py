"""More than fifty configurations without a leak: the audit must not raise an alarm on any of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_forecasting import NHiTS, TemporalFusionTransformer, TimeSeriesDataSet
from pytorch_forecasting.data.encoders import (
    EncoderNormalizer,
    GroupNormalizer,
    MultiNormalizer,
    NaNLabelEncoder,
    TorchNormalizer,
)
from sklearn.preprocessing import RobustScaler
from torch import Tensor, nn

from hourglass_ts.evaluate.leakage import audit, audit_function
from hourglass_ts.evaluate.leaks.datasets import audit_dataset
from hourglass_ts.evaluate.leaks.encoders import audit_encoder
from hourglass_ts.evaluate.leaks.networks import audit_network
from hourglass_ts.evaluate.leaks.result import AuditResult
from hourglass_ts.forecast.baselines import Naive, RidgeFloor, SeasonalNaive
from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.frames.registry import load_dataset
from hourglass_ts.layers.hourglass import HourGlass
from hourglass_ts.model._model import HourGlassModel
from hourglass_ts.windows.dataset import FastTimeSeriesDataSet

N, HORIZON = 90, 3
TINY: dict[str, Any] = {
    "max_epochs": 1,
    "steps_per_epoch": 2,
    "d_model": 8,
    "n_heads": 2,
    "d_ff": 16,
    "progress": False,
    "accelerator": "cpu",
}


def hourglass(**settings: Any) -> HourGlassForecaster:
    return HourGlassForecaster(HORIZON, 10, **{**TINY, **settings})


# --- frames ----------------------------------------------------------------------------------------------------------


def long(seed: int = 0) -> pd.DataFrame:
    """Two daily series, positive, with covariates of every role."""
    rng = np.random.default_rng(seed)
    n = 2 * N
    return pd.DataFrame(
        {
            "id": np.repeat(["a", "b"], N),
            "t": np.tile(pd.date_range("2024-01-01", periods=N), 2),
            "y": np.repeat([10.0, 50.0], N) + np.tile(np.sin(np.arange(N) / 3), 2) + rng.gamma(2, 1, n),
            "price": rng.normal(size=n),
            "event": np.where(rng.random(n) < 0.3, "sale", "none"),
            "wind": rng.normal(size=n),
            "sky": rng.choice(["sun", "rain"], n),
            "size": np.repeat([1.0, 2.0], N),
        }
    )


def single(seed: int = 0) -> pd.DataFrame:
    return long(seed).query("id == 'a'")[["t", "y"]].reset_index(drop=True)


def gaps() -> pd.DataFrame:
    """Rows gone and values missing, in any order."""
    frame, rng = long(), np.random.default_rng(1)
    free = frame["t"].between("2024-01-05", "2024-03-20") & (frame["t"] != pd.Timestamp("2024-03-12"))
    frame.loc[free & (rng.random(len(frame)) < 0.15), "y"] = np.nan
    frame.loc[free & (rng.random(len(frame)) < 0.15), "wind"] = np.nan
    return frame[~(free & (rng.random(len(frame)) < 0.1))].sample(frac=1, random_state=0)


def wide() -> pd.DataFrame:
    return long().pivot(index="t", columns="id", values="y").reset_index().rename_axis(columns=None)


def at(times: pd.Index | list[Any]) -> pd.DataFrame:
    frame = single()
    return frame.assign(t=times[: len(frame)])


def berlin() -> pd.DataFrame:
    """Hours across the change to summer time."""
    return at(pd.date_range("2024-03-29", periods=N, freq="h", tz="Europe/Berlin"))


LONG: dict[str, Any] = {"time": "t", "target": "y", "series": "id"}
ONE: dict[str, Any] = {"time": "t", "target": "y"}
ROLES: dict[str, Any] = {**LONG, "known": ["price", "event"], "past": ["wind", "sky"], "static": "size"}

FORECASTERS: dict[str, tuple[Any, pd.DataFrame, dict[str, Any]]] = {
    "naive, long": (Naive(HORIZON), long(), LONG),
    "naive, one series": (Naive(HORIZON), single(), ONE),
    "naive, wide": (Naive(HORIZON), wide(), {"time": "t"}),
    "naive, gaps": (Naive(HORIZON, freq="D"), gaps(), LONG),
    "naive, the end as cutoff": (Naive(HORIZON), single(), {**ONE, "cutoff": "2024-03-29"}),
    "naive, a class": (lambda: Naive(HORIZON), single(), ONE),
    "naive, summer time": (Naive(HORIZON), berlin(), ONE),
    "naive, utc": (Naive(HORIZON), at(pd.date_range("2024-01-01", periods=N, tz="UTC")), ONE),
    "naive, integers": (Naive(HORIZON), at(list(range(5, 5 + N))), ONE),
    "naive, text": (Naive(HORIZON), at(pd.date_range("2024-01-01", periods=N).astype(str)), ONE),
    "naive, dates": (Naive(HORIZON), at(pd.Index(pd.date_range("2024-01-01", periods=N).date)), ONE),
    "naive, periods": (Naive(HORIZON), at(pd.period_range("2017-01", periods=N, freq="M")), ONE),
    "naive, business days": (Naive(HORIZON), at(pd.bdate_range("2024-01-01", periods=N)), ONE),
    "naive, months": (Naive(HORIZON), at(pd.date_range("2015-01-01", periods=N, freq="MS")), ONE),
    "naive, index": (Naive(HORIZON), single().set_index("t"), {"target": "y"}),
    "naive, two levels": (Naive(HORIZON), long().set_index(["id", "t"])[["y"]], {"target": "y", "series": "id"}),
    "naive, categories": (Naive(HORIZON), long().astype({"id": "category"}), LONG),
    "naive, two targets": (Naive(HORIZON), long(), {**LONG, "target": ["y", "wind"]}),
    "naive, whole numbers": (Naive(HORIZON), long().assign(y=lambda f: f["y"].round().astype(int)), LONG),
    "seasonal naive": (SeasonalNaive(HORIZON), long(), LONG),
    "seasonal naive, gaps": (SeasonalNaive(HORIZON, season=5, freq="D"), gaps(), LONG),
    "ridge": (RidgeFloor(HORIZON, context=10), long(), LONG),
    "ridge, log": (RidgeFloor(HORIZON, context=10, transform="log"), long(), LONG),
    "ridge, gaps": (RidgeFloor(HORIZON, context=10, freq="D"), gaps(), LONG),
    "ridge, wide": (RidgeFloor(HORIZON, context=10), wide(), {"time": "t"}),
    "hourglass": (hourglass(), long(), LONG),
    "hourglass, roles": (hourglass(), long(), ROLES),
    "hourglass, gaps and past": (hourglass(fill="seasonal", freq="D"), gaps(), {**LONG, "past": "wind"}),
    "hourglass, prefix and Box-Cox": (hourglass(normalise="prefix", transform="box-cox"), long(), LONG),
    "hourglass, robust": (hourglass(normalise="robust", scaler="robust", quantiles=()), single(), ONE),
    "hourglass, holidays": (hourglass(holidays=["2024-03-01"], freq="D"), single(), ONE),
    "hourglass, no floor": (hourglass(floor=False, transform="yeo-johnson"), wide(), {"time": "t"}),
}


def passed(result: AuditResult) -> bool:
    print(result)
    return result.passed and (result.checks["verdict"] == "passed").all()


@pytest.mark.parametrize("case", FORECASTERS)
@pytest.mark.filterwarnings("ignore:.* forecast numbers lie beyond the range")
def test_a_forecaster_without_leaks_passes(case: str) -> None:
    model, frame, roles = FORECASTERS[case]
    before = frame.copy()
    result = audit(model, frame, **roles)
    assert passed(result)
    assert {"split", "fit", "forecast"} <= set(result.checks["stage"])
    assert result.checks.query("stage == 'forecast'")["tried"].min() >= 4
    pd.testing.assert_frame_equal(frame, before)
    assert not hasattr(model, "history_")


# --- pipelines -------------------------------------------------------------------------------------------------------


def of_series(name: str, function: Callable[[pd.Series], pd.Series]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda df: df.assign(**{name: df.groupby("id")["y"].transform(function)})


def scaled_by_early_rows(df: pd.DataFrame) -> pd.DataFrame:
    early = df["t"] < "2024-02-15"
    return df.assign(y=RobustScaler().fit(df.loc[early, ["y"]]).transform(df[["y"]]).ravel())


def encoded_by_the_past(df: pd.DataFrame) -> pd.DataFrame:
    """The mean target of a level over all earlier days."""
    daily = df.groupby(["sky", "t"])["y"].agg(["sum", "count"]).groupby(level="sky").cumsum()
    before = daily.groupby(level="sky").shift(1)
    rate = (before["sum"] / before["count"]).rename("rate").reset_index()
    return df.merge(rate, on=["sky", "t"], how="left")


def fixed_dummies(df: pd.DataFrame) -> pd.DataFrame:
    sky = pd.Categorical(df["sky"], categories=["sun", "rain"])
    return pd.concat([df, pd.get_dummies(sky, prefix="is", dtype=float).set_index(df.index)], axis=1)


PIPELINES: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], dict[str, Any]]] = {
    "lag": (of_series("lag", lambda y: y.shift(1)), {"past": "lag"}),
    "a lag known beforehand": (of_series("lag", lambda y: y.shift(HORIZON)), {"known": "lag"}),
    "forward fill": (of_series("filled", lambda y: y.where(y.index % 3 > 0).ffill()), {"past": "filled"}),
    "expanding mean": (of_series("mean", lambda y: y.expanding().mean()), {"past": "mean"}),
    "trailing mean": (of_series("mean", lambda y: y.rolling(7, min_periods=1).mean()), {"past": "mean"}),
    "trailing deviation": (of_series("spread", lambda y: y.rolling(7, min_periods=2).std()), {"past": "spread"}),
    "exponential mean": (of_series("mean", lambda y: y.ewm(span=5).mean()), {"past": "mean"}),
    "running maximum": (of_series("record", lambda y: y.cummax()), {"past": "record"}),
    "logarithm": (lambda df: df.assign(y=np.log(df["y"])), {}),
    "differences": (lambda df: df.assign(y=df.groupby("id")["y"].diff()), {}),
    "calendar": (lambda df: df.assign(day=df["t"].dt.dayofweek), {"known": "day"}),
    "early statistics": (scaled_by_early_rows, {}),
    "encoding by the past": (encoded_by_the_past, {"past": "rate"}),
    "fixed dummies": (fixed_dummies, {"past": ["is_sun", "is_rain"]}),
    "sorted anew": (lambda df: df.sort_values(["t", "id"]).reset_index(drop=True), {}),
}


@pytest.mark.parametrize("case", PIPELINES)
def test_a_causal_pipeline_passes(case: str) -> None:
    prepare, roles = PIPELINES[case]
    result = audit(Naive(HORIZON), long(), prepare=prepare, **LONG, **roles)
    assert passed(result)
    assert result.checks.query("stage == 'prepare'")["tried"].iloc[0] == 7


def test_a_pipeline_on_the_index_passes() -> None:
    frame = single().set_index("t")
    assert passed(
        audit(Naive(HORIZON), frame, target="y", prepare=lambda df: df.assign(y=df["y"].rolling("3D").mean()))
    )


def test_a_split_by_position_passes() -> None:
    def split(df: pd.DataFrame, cutoff: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
        n = int((df["t"] <= cutoff).sum())
        return df.iloc[:n], df.iloc[n:]

    assert passed(audit(Naive(HORIZON), single(), split=split, **ONE))


def test_rows_known_in_time_pass() -> None:
    frame = long().assign(known=lambda f: f["t"])
    assert passed(audit(Naive(HORIZON), frame, known_at="known", **LONG))


def test_a_function_without_leaks_passes() -> None:
    cutoff = pd.Timestamp("2024-03-10")

    def program(df: pd.DataFrame) -> pd.DataFrame:
        past = df[df["t"] <= cutoff]
        return RidgeFloor(HORIZON, context=10, freq="D").fit(past, **LONG).forecast()

    assert passed(audit_function(program, long(), cutoff=cutoff, **LONG))


# --- columns ---------------------------------------------------------------------------------------------------------

STEP = np.arange(400)
WALK = np.random.default_rng(3).normal(size=400).cumsum()
SPIKES = np.where(STEP % 40 == 0, 100.0, 0.0) + np.random.default_rng(4).random(400)
SEASON = np.tile(np.random.default_rng(9).normal(size=50), 8)
DAY = np.tile(np.random.default_rng(5).normal(size=24), 17)[:400]

COLUMNS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "clock of a sine": (np.sin(STEP / 5), np.cos(STEP / 5 + 1)),
    "clock of a slow sine": (np.sin(STEP / 40), np.sin((STEP + 20) / 40)),
    "trend": (2.0 * STEP, STEP.astype(float)),
    "lag": (WALK, np.roll(WALK, 3)),
    "smooth lag": (WALK.cumsum(), np.roll(WALK.cumsum(), 1)),
    "constant": (WALK, np.ones(400)),
    "event": (SPIKES, np.where((STEP + 2) % 40 == 0, 1.0, 0.0) + np.random.default_rng(6).random(400) / 100),
    "day of a daily pattern": (DAY, np.roll(DAY, 6)),
    "lag by a long season, which is a lead too": (SEASON, np.roll(SEASON, 30)),
    "noise": (WALK, np.random.default_rng(7).normal(size=400)),
    "foretells a part": (WALK, np.roll(WALK, -3) + np.random.default_rng(8).normal(size=400)),
    "missing": (WALK, np.full(400, np.nan)),
}


@pytest.mark.parametrize("role", ["past", "known"])
@pytest.mark.parametrize("case", COLUMNS)
def test_an_honest_covariate_passes(case: str, role: str) -> None:
    y, x = COLUMNS[case]
    assert passed(audit(None, pd.DataFrame({"t": STEP, "y": y, "x": x}), **ONE, **{role: "x"}))


def test_real_covariates_pass() -> None:
    weather = load_dataset("seattle-weather")
    past = ["temp_min", "precipitation", "wind", "weather"]
    assert passed(audit(None, weather, time="date", target="temp_max", past=past, horizon=7))


# --- data sets and networks ------------------------------------------------------------------------------------------


def steps() -> pd.DataFrame:
    return long().assign(step=lambda f: (f["t"] - f["t"].min()).dt.days)


def dataset(frame: pd.DataFrame, kind: type = TimeSeriesDataSet, **settings: Any) -> TimeSeriesDataSet:
    common: dict[str, Any] = {
        "time_idx": "step",
        "target": "y",
        "group_ids": ["id"],
        "max_encoder_length": 10,
        "max_prediction_length": HORIZON,
        "time_varying_known_reals": ["price"],
        "time_varying_known_categoricals": ["event"],
        "time_varying_unknown_reals": ["y", "wind"],
        "static_categoricals": ["id"],
    }
    return kind(frame, **{**common, **settings})


DATASETS: dict[str, dict[str, Any]] = {
    "group": {"target_normalizer": GroupNormalizer(groups=["id"], transformation="softplus")},
    "encoder": {"target_normalizer": EncoderNormalizer(), "min_encoder_length": 4},
    "all": {"target_normalizer": TorchNormalizer(method="robust"), "add_relative_time_idx": True},
    "several": {
        "target": ["y", "wind"],
        "target_normalizer": MultiNormalizer([TorchNormalizer(), EncoderNormalizer()]),
    },
    "scalers": {
        "scalers": {"price": RobustScaler(), "wind": None},
        "categorical_encoders": {"event": NaNLabelEncoder(add_nan=True)},
        "lags": {"y": [2, 5]},
    },
}


@pytest.mark.parametrize("kind", [TimeSeriesDataSet, FastTimeSeriesDataSet])
@pytest.mark.parametrize("case", DATASETS)
def test_a_data_set_of_the_past_passes(case: str, kind: type) -> None:
    frame = steps()
    training = dataset(frame[frame["step"] <= 60], kind, **DATASETS[case])
    assert passed(audit_dataset(training, frame, 60))


NETWORKS: dict[str, tuple[Callable[[TimeSeriesDataSet], nn.Module], dict[str, Any]]] = {
    "hourglass": (lambda data: HourGlassModel.from_dataset(data, d_model=16), {"min_encoder_length": 3}),
    "hourglass, several targets": (lambda data: HourGlassModel.from_dataset(data, d_model=16), DATASETS["several"]),
    "hourglass, lags": (lambda data: HourGlassModel.from_dataset(data, d_model=16), {"lags": {"y": [2, 5]}}),
    "tft": (
        lambda data: TemporalFusionTransformer.from_dataset(data, hidden_size=8, hidden_continuous_size=4, dropout=0.1),
        {"min_encoder_length": 3, "min_prediction_length": 1},
    ),
    "nhits": (lambda data: NHiTS.from_dataset(data, hidden_size=16), {}),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_a_network_without_leaks_passes(case: str) -> None:
    build, settings = NETWORKS[case]
    data = dataset(steps(), **settings)
    model = build(data)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert passed(audit_network(model, data.to_dataloader(batch_size=4)))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.training


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(4, 4, num_layers=2, dropout=0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


ENCODERS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "sum": (lambda x: x.cumsum(0), 4),
    "lstm": (Recurrent(), 4),
    "hourglass": (HourGlass(2, 8, 0.1, 16, [2, 3]), 8),
    "hourglass, linear": (HourGlass(2, 8, 0.0, 16, [3], shortening="linear", upsampling="linear"), 8),
}


@pytest.mark.parametrize("case", ENCODERS)
def test_a_causal_encoder_passes(case: str) -> None:
    encode, width = ENCODERS[case]
    assert passed(audit_encoder(encode, width))


def test_there_are_more_than_fifty() -> None:
    networks = len(NETWORKS) + len(ENCODERS)
    assert len(FORECASTERS) + len(PIPELINES) + 2 * len(COLUMNS) + 2 * len(DATASETS) + networks + 5 > 50
