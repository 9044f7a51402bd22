"""Ten leaks as people write them, and a covariate from the future: each is found, and named by stage and column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data.encoders import TorchNormalizer
from pytorch_forecasting.metrics import MAE
from pytorch_forecasting.models.base import BaseModel
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import PowerTransformer, StandardScaler, TargetEncoder
from torch import Tensor, nn

from hourglass_ts.evaluate.leakage import audit, audit_function
from hourglass_ts.evaluate.leaks.datasets import audit_dataset
from hourglass_ts.evaluate.leaks.encoders import audit_encoder
from hourglass_ts.evaluate.leaks.networks import audit_network
from hourglass_ts.evaluate.leaks.result import AuditResult
from hourglass_ts.forecast.baselines import Naive
from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.layers import shortening

N, HORIZON, CUTOFF = 150, 6, 110
START = pd.Timestamp("2024-01-01")
ROLES: dict[str, Any] = {"time": "t", "target": "y", "series": "id", "cutoff": START + pd.Timedelta(days=CUTOFF)}
OTHER = {"naive": Naive(HORIZON), "none": None}


def series_frame(seed: int = 0) -> pd.DataFrame:
    """Two daily series with a shop, a positive target with a walk in it, and a covariate of its own."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(2, N)).cumsum(axis=1) + 3 * rng.normal(size=(2, N))
    return pd.DataFrame(
        {
            "id": np.repeat(["a", "b"], N),
            "t": np.tile(pd.date_range(START, periods=N), 2),
            "shop": rng.choice(["north", "south", "west"], 2 * N),
            "wind": rng.normal(size=2 * N),
            "y": 60 + noise.ravel(),
        }
    )


def whole_series_scaling(df: pd.DataFrame) -> pd.DataFrame:
    return df.assign(y=StandardScaler().fit_transform(df[["y"]]).ravel())


def target_encoding_before_the_split(df: pd.DataFrame) -> pd.DataFrame:
    return df.assign(shop_level=df.groupby("shop")["y"].transform("mean"))


def target_encoder_of_sklearn(df: pd.DataFrame) -> pd.DataFrame:
    return df.assign(shop_level=TargetEncoder(random_state=0).fit_transform(df[["shop"]], df["y"])[:, 0])


def centred_rolling_mean(df: pd.DataFrame) -> pd.DataFrame:
    smooth = df.groupby("id")["y"].transform(lambda y: y.rolling(5, center=True, min_periods=1).mean())
    return df.assign(trend=smooth)


def bfill(df: pd.DataFrame) -> pd.DataFrame:
    holes = df["wind"].mask(df["t"].dt.day % 5 == 0)
    return df.assign(wind=holes.groupby(df["id"]).bfill())


def full_sample_box_cox(df: pd.DataFrame) -> pd.DataFrame:
    return df.assign(y=PowerTransformer(method="box-cox").fit_transform(df[["y"]]).ravel())


PIPELINES: list[tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = [
    (whole_series_scaling, "y"),
    (target_encoding_before_the_split, "shop_level"),
    (target_encoder_of_sklearn, "shop_level"),
    (centred_rolling_mean, "trend"),
    (bfill, "wind"),
    (full_sample_box_cox, "y"),
]


@pytest.mark.parametrize(("prepare", "column"), PIPELINES, ids=[pipeline.__name__ for pipeline, _ in PIPELINES])
@pytest.mark.filterwarnings("ignore::FutureWarning:sklearn")
def test_a_leaking_pipeline_is_found(prepare: Callable[[pd.DataFrame], pd.DataFrame], column: str) -> None:
    result = audit(Naive(HORIZON), series_frame(), prepare=prepare, **ROLES)
    assert not result.passed
    first = result.findings.iloc[0]
    assert (first["stage"], first["column"]) == ("prepare", column)
    assert set(result.findings.query("stage == 'prepare'")["column"]) == {column}
    assert first["effect"] > 0
    assert pd.Timestamp(first["first_time"]) <= ROLES["cutoff"]
    assert repr(column) in str(result)


def test_the_first_time_is_where_it_enters() -> None:
    """A window of five centred on a row sees two rows ahead: the last two rows up to the cutoff change, no others."""
    finding = audit(None, series_frame(), prepare=centred_rolling_mean, **ROLES).findings.iloc[0]
    assert finding["first_time"] == ROLES["cutoff"] - pd.Timedelta(days=1)
    assert "4 cells" in finding["detail"]
    assert "values of 'y'" in finding["detail"]


def test_a_leak_in_features_reaches_the_forecasts() -> None:
    findings = audit(Naive(HORIZON), series_frame(), prepare=whole_series_scaling, **ROLES).findings
    assert findings["stage"].tolist() == ["prepare", "fit"]
    assert "rows that it was given differ" in findings["detail"].iloc[-1]


def shuffled_split(df: pd.DataFrame, cutoff: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    train, test = train_test_split(df, test_size=0.25, random_state=0)
    return train, test


@pytest.mark.parametrize("model", OTHER.values(), ids=list(OTHER))
def test_a_shuffled_split_is_found(model: Any) -> None:
    findings = audit(model, series_frame(), split=shuffled_split, **ROLES).findings
    first = findings.iloc[0]
    assert (first["stage"], first["check"]) == ("split", "training rows end at the cutoff")
    assert "shuffled" in first["detail"]
    assert ROLES["cutoff"] < first["first_time"]


def with_copies(df: pd.DataFrame, cutoff: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    late = df["t"] > cutoff
    copies = df[~late].groupby("id").tail(2).assign(y=0.0)
    return df[~late], pd.concat([copies, df[late]])


def test_rows_in_both_parts_are_found() -> None:
    """Whatever their values."""
    (row,) = audit(None, series_frame(), split=with_copies, **ROLES).findings.to_dict("records")
    assert (row["stage"], row["check"]) == ("split", "no row in both parts")
    assert "4 stand in the test part" in row["detail"]
    assert row["first_time"] == ROLES["cutoff"] - pd.Timedelta(days=1)


def scaling_split(df: pd.DataFrame, cutoff: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    late = df["t"] > cutoff
    scaled = df.assign(y=df["y"] / df["y"].max())
    return scaled[~late], scaled[late]


def test_a_split_that_scales_is_found() -> None:
    (row,) = audit(None, series_frame(), split=scaling_split, **ROLES).findings.to_dict("records")
    assert (row["stage"], row["column"]) == ("split", "y")


def revised_frame() -> pd.DataFrame:
    """Every value is published the same day, and revised 30 days later."""
    first = series_frame().assign(published=lambda f: f["t"])
    final = first.assign(published=first["t"] + pd.Timedelta(days=30), y=first["y"] * 1.1)
    return pd.concat([first, final], ignore_index=True)


def last_revision(df: pd.DataFrame) -> pd.DataFrame:
    return df.sort_values("published").drop_duplicates(["id", "t"], keep="last")


def last_revision_alone(df: pd.DataFrame) -> pd.DataFrame:
    return last_revision(df).drop(columns="published")


def as_known(df: pd.DataFrame, cutoff: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    known = last_revision(df[(df["t"] <= cutoff) & (df["published"] <= cutoff)])
    return known, last_revision(df[df["t"] > cutoff])


@pytest.mark.parametrize("model", OTHER.values(), ids=list(OTHER))
def test_later_revisions_are_found(model: Any) -> None:
    given = {**ROLES, "known_at": "published"}
    split = audit(model, revised_frame(), prepare=last_revision, **given).findings.query("stage == 'split'")
    assert split["column"].tolist() == ["published"]
    assert split["first_time"].iloc[0] == ROLES["cutoff"] - pd.Timedelta(days=29)
    dropped = audit(model, revised_frame(), prepare=last_revision_alone, **given).findings.iloc[0]
    assert (dropped["stage"], dropped["column"]) == ("prepare", "y")
    assert audit(model, revised_frame(), split=as_known, **given).passed


# --- covariates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["past", "known"])
def test_a_covariate_of_six_steps_later_is_named(role: str) -> None:
    df = series_frame().assign(harmless=lambda f: f["y"] + 5 * f["wind"])
    df["oracle"] = 3 - 2 * df.groupby("id")["y"].shift(-6)
    result = audit(None, df, **ROLES, **{role: ["wind", "oracle", "harmless"]})
    (row,) = result.findings.to_dict("records")
    assert (row["stage"], row["column"]) == ("data", "oracle")
    assert "holds the target 'y' 6 steps later" in row["detail"]
    assert row["effect"] == pytest.approx(1)
    assert row["first_time"] == START


def test_it_is_named_across_missing_rows_and_under_noise() -> None:
    df = series_frame()
    df["oracle"] = df.groupby("id")["y"].shift(-6) + 0.1 * np.random.default_rng(1).normal(size=len(df))
    gone = df.drop(index=df.index[40:43])
    (row,) = audit(None, gone, past="oracle", **ROLES).findings.to_dict("records")
    assert "6 steps later" in row["detail"]


def test_the_target_under_another_name_is_no_known_column() -> None:
    df = series_frame().assign(sold=lambda f: 2 * f["y"] + 1)
    (row,) = audit(None, df, known="sold", **ROLES).findings.to_dict("records")
    assert row["column"] == "sold"
    assert "of the same time" in row["detail"]
    assert audit(None, df, past="sold", **ROLES).passed


def test_a_known_column_made_of_later_targets_is_found() -> None:
    def trailing(df: pd.DataFrame) -> pd.DataFrame:
        return df.assign(level=df.groupby("id")["y"].transform(lambda y: y.shift(1).rolling(7).mean()))

    given = {**ROLES, "known": "level", "prepare": trailing}
    (row,) = audit(None, series_frame(), horizon=HORIZON, **given).findings.to_dict("records")
    assert (row["stage"], row["column"]) == ("prepare", "level")
    assert row["first_time"] == ROLES["cutoff"] + pd.Timedelta(days=2)
    assert audit(None, series_frame(), horizon=1, **given).passed


# --- whole programs --------------------------------------------------------------------------------------------------


def test_a_function_that_scales_by_all_rows_is_found() -> None:
    def program(df: pd.DataFrame) -> pd.DataFrame:
        scaled = df.assign(y=df["y"] - df["wind"].mean())
        history = scaled[scaled["t"] <= ROLES["cutoff"]]
        return Naive(HORIZON).fit(history, time="t", target="y", series="id").forecast()

    result = audit_function(program, series_frame(), **ROLES)
    assert set(result.findings["column"].dropna()) == {"wind"}
    assert "rows removed" in result.findings["detail"].str.cat()


class ReadsOn(Naive):
    """A forecaster whose rolling forecasts are scaled by the whole frame."""

    def forecast_from(self, df: pd.DataFrame, origins: Any, **given: Any) -> pd.DataFrame:
        forecasts = super().forecast_from(df, origins, **given)
        return forecasts.assign(forecast=forecasts["forecast"] + df["y"].mean())


def test_a_forecaster_that_reads_on_is_found() -> None:
    findings = audit(ReadsOn(HORIZON), series_frame(), **ROLES).findings
    assert findings["stage"].unique().tolist() == ["forecast"]
    assert "y" in findings["column"].tolist()


TINY: dict[str, Any] = {"max_epochs": 1, "steps_per_epoch": 2, "d_model": 8, "n_heads": 2, "d_ff": 16, "patch": 1}


def hourglass() -> HourGlassForecaster:
    return HourGlassForecaster(HORIZON, 12, progress=False, accelerator="cpu", **TINY)


def test_fillings_from_later_rows_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = type(pd.Series([1.0]).groupby([0]))
    df = series_frame()
    df.loc[df["t"] == ROLES["cutoff"], "wind"] = np.nan
    forward = groups.ffill
    monkeypatch.setattr(groups, "ffill", lambda self: self.bfill().fillna(forward(self)))
    findings = audit(hourglass(), df, past="wind", **ROLES).findings
    assert findings.query("column == 'wind'")["stage"].unique().tolist() == ["forecast"]


def test_a_pooling_that_is_padded_on_the_right_is_found_inside_the_forecaster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortening, "prepend_zeros", lambda x, count: torch.cat([x, x.new_zeros(count, *x.shape[1:])]))
    findings = audit(hourglass(), series_frame(), **ROLES).findings
    assert "no gradient by later inputs" in findings.query("stage == 'encoder'")["check"].tolist()


class InRowOrder:
    """A forecaster that takes the last row for the latest."""

    def fit(self, df: pd.DataFrame, **roles: Any) -> InRowOrder:
        self.last = df.groupby("id", as_index=False).tail(1)
        return self

    def forecast(self, df: Any = None, *, known: Any = None) -> pd.DataFrame:
        return self.last[["id", "t"]].assign(forecast=self.last["y"])


def test_a_forecaster_of_the_row_order_is_found() -> None:
    findings = audit(InRowOrder(), series_frame(), **ROLES).findings
    assert findings["check"].tolist() == ["forecasts do not depend on the order of the rows"]


class Guess(InRowOrder):
    """Forecasts that nobody can repeat."""

    def forecast(self, df: Any = None, *, known: Any = None) -> pd.DataFrame:
        return super().forecast().assign(forecast=np.random.default_rng().normal(size=2))


def test_what_cannot_be_repeated_is_no_leak_and_has_not_passed() -> None:
    result = audit(Guess(), series_frame(), **ROLES)
    assert result.findings.empty
    assert not result.passed
    assert "not deterministic" in str(result)


# --- networks and data sets ------------------------------------------------------------------------------------------


def dataset(df: pd.DataFrame | None = None, **settings: Any) -> TimeSeriesDataSet:
    frame = series_frame() if df is None else df
    frame = frame.assign(step=(frame["t"] - START).dt.days)
    common: dict[str, Any] = {
        "time_idx": "step",
        "target": "y",
        "group_ids": ["id"],
        "min_encoder_length": 5,
        "max_encoder_length": 12,
        "max_prediction_length": HORIZON,
        "time_varying_known_reals": ["step"],
        "time_varying_unknown_reals": ["y", "wind"],
        "time_varying_unknown_categoricals": ["shop"],
        "target_normalizer": TorchNormalizer(),
        "randomize_length": (0.2, 0.05),
    }
    return TimeSeriesDataSet(frame, **{**common, **settings})


class Tiny(BaseModel):
    """The last normalised target of each window, through a line; leaks are planted in `encoded` and `decoded`."""

    def __init__(self) -> None:
        super().__init__(loss=MAE())
        self.output = nn.Linear(2, HORIZON)

    def forward(self, x: dict[str, Tensor]) -> Any:
        prediction = self.output(self.encoded(x)) + self.decoded(x)
        return self.to_network_output(prediction=prediction[:, : x["decoder_target"].shape[1], None])

    def encoded(self, x: dict[str, Tensor]) -> Tensor:
        last = x["encoder_lengths"] - 1
        return x["encoder_cont"][torch.arange(len(last)), last][:, 1:3]

    def decoded(self, x: dict[str, Tensor]) -> Tensor | float:
        return 0.0


class ReadsDecoderTarget(Tiny):
    def decoded(self, x: dict[str, Tensor]) -> Tensor:
        return 0.1 * x["decoder_target"].mean(dim=1, keepdim=True)


class ReadsDecoderTargetLater(Tiny):
    """Through a head that starts at zero: its untrained forecasts show nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.head.weight)

    def decoded(self, x: dict[str, Tensor]) -> Tensor:
        return self.head(x["decoder_target"].mean(dim=1, keepdim=True))


class ReadsDecoderCont(Tiny):
    """All columns of the decoder, as if all were known."""

    def decoded(self, x: dict[str, Tensor]) -> Tensor:
        return x["decoder_cont"].sum(dim=(1, 2), keepdim=True)[..., 0]


class ReadsDecoderCat(Tiny):
    def decoded(self, x: dict[str, Tensor]) -> Tensor:
        return x["decoder_cat"].float().mean(dim=(1, 2), keepdim=True)[..., 0]


class PoolsPadding(Tiny):
    """A mean over the padded encoder."""

    def encoded(self, x: dict[str, Tensor]) -> Tensor:
        return x["encoder_cont"][..., 1:3].mean(dim=1)


class NormalisesBatch(Tiny):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2)

    def encoded(self, x: dict[str, Tensor]) -> Tensor:
        return self.norm(super().encoded(x))


class CentresBatch(Tiny):
    """Batch statistics by hand, in evaluation too."""

    def encoded(self, x: dict[str, Tensor]) -> Tensor:
        encoded = super().encoded(x)
        return encoded - encoded.mean(dim=0)


class Draws(Tiny):
    def decoded(self, x: dict[str, Tensor]) -> Tensor:
        return torch.from_numpy(np.random.default_rng().normal(size=(len(x["groups"]), HORIZON))).float()


def network_findings(model: nn.Module) -> pd.DataFrame:
    return audit_network(model, dataset()).findings


def test_a_network_without_leaks_passes() -> None:
    result = audit_network(Tiny(), dataset())
    assert result.passed, str(result)
    assert result.checks["tried"].min() > 0
    assert "encoder padding is not read" in result.checks["check"].tolist()


@pytest.mark.parametrize("model", [ReadsDecoderTarget, ReadsDecoderTargetLater])
def test_a_read_of_the_decoder_target_is_found(model: type[Tiny]) -> None:
    findings = network_findings(model())
    assert findings["column"].tolist() == ["y"]
    assert findings["check"].tolist() == ["no future target or unknown column is read"]
    assert "decoder_target" in findings["detail"].iloc[0]


def test_reads_of_unknown_decoder_columns_are_named() -> None:
    findings = network_findings(ReadsDecoderCont())
    assert set(findings["column"]) == {"y", "wind"}
    assert findings["check"].nunique() == 2  # by its effect, and by the gradient
    categories = network_findings(ReadsDecoderCat())
    assert categories["column"].tolist() == ["shop"]


def test_pooling_of_right_padding_is_found() -> None:
    findings = network_findings(PoolsPadding())
    assert findings["check"].tolist() == [
        "encoder padding is not read",
        "a forecast is the same alone, and in any order",
    ]


def test_batch_norm_is_found() -> None:
    (row,) = network_findings(NormalisesBatch()).to_dict("records")
    assert (row["stage"], row["check"]) == ("network", "no statistics of the batch in training")
    assert "norm" in row["detail"]


def test_statistics_of_the_batch_in_evaluation_are_found() -> None:
    assert "a forecast does not depend on other windows' values" in network_findings(CentresBatch())["check"].tolist()


def test_a_network_that_cannot_be_repeated_has_not_passed() -> None:
    result = audit_network(Draws(), dataset())
    assert result.findings.empty
    assert not result.passed


def pooled_from_the_right(x: Tensor) -> Tensor:
    """The common mistake of an hourglass: pad at the end, pool, repeat, without a shift."""
    length, padded = len(x), torch.cat([x, x.new_zeros(-len(x) % 3, *x.shape[1:])])
    return padded.unflatten(0, (-1, 3)).mean(dim=1).repeat_interleave(3, dim=0)[:length]


def test_right_padded_pooling_is_found() -> None:
    findings = audit_encoder(pooled_from_the_right, 4).findings
    assert findings["check"].tolist() == ["a prefix is encoded like the whole", "no gradient by later inputs"]
    assert "prefix of 1 of 24" in findings["detail"].iloc[0]
    assert "output 0 by input" in findings["detail"].iloc[1]


class BatchNormEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.flatten(0, 1)).view_as(x)


def test_batch_norm_in_an_encoder_is_found() -> None:
    assert audit_encoder(BatchNormEncoder(), 4).findings["check"].tolist() == ["no statistics of the batch in training"]


def test_a_data_set_of_the_whole_frame_is_found() -> None:
    df = series_frame().assign(step=lambda f: (f["t"] - START).dt.days)
    late = df["step"] > CUTOFF
    df.loc[late, ["y", "wind"]] += 20
    df.loc[df.index[-1], "shop"] = "east"
    settings: dict[str, Any] = {"randomize_length": None, "static_categoricals": ["id"]}
    leaky, clean = dataset(df, **settings), dataset(df[~late], **settings)
    findings = audit_dataset(leaky, df, CUTOFF).findings
    assert set(findings["column"].dropna()) == {"y", "wind", "shop", "step"}
    assert findings["first_time"].dropna().tolist() == [CUTOFF + 1]
    assert audit_dataset(clean, df, CUTOFF).passed


def test_results_add_up() -> None:
    leaky = audit(None, series_frame(), split=shuffled_split, **ROLES)
    both = audit_encoder(pooled_from_the_right, 4) + leaky
    assert not both.passed
    assert len(both.findings) == len(leaky.findings) + 2
    assert both.findings["stage"].iloc[0] == "split"
    assert isinstance(both, AuditResult)
