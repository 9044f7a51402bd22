"""Pipelines around a forecaster: fitted on training rows, undone in forecasts, saved with the model."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator

from hourglass_ts import ConformalForecaster, HourGlassForecaster, Naive, OriginEnsemble, audit, backtest
from hourglass_ts.errors import DataError, SavedModelError, SettingsError
from hourglass_ts.forecast.piping import fit_piping
from hourglass_ts.frames.features import HolidayFeature
from hourglass_ts.frames.roles import Roles

FAST = {"max_epochs": 1, "steps_per_epoch": 2, "d_model": 16, "d_ff": 16, "context": 14, "progress": False}


class Polar(BaseEstimator):
    """Logarithms of all positive columns over their training mean; `speed` and `angle` as x and y."""

    kind = "polar"
    freq = "D"

    def __init__(self, time=None, series=None, sentinel=-9.0):
        self.time = time
        self.series = series
        self.sentinel = sentinel

    @property
    def features(self):
        return (HolidayFeature(dates=("2024-02-01",)),)

    def tidy(self, df):
        numbers = df.select_dtypes("number").columns
        tidy = df.assign(**{label: df[label].where(df[label] != self.sentinel) for label in numbers})
        return tidy.assign(double=2 * tidy["y"]) if "y" in tidy else tidy

    def fit(self, df, y=None):
        tidy = self.tidy(df)
        self.means_ = {label: float(tidy[label].mean()) for label in ("y", "double") if label in tidy}
        self.notes_ = ("polar was here",)
        return self

    def transform(self, df):
        out = self.tidy(df).copy()
        for label, mean in self.means_.items():
            if label in out:
                out[label] = np.log(out[label] / mean)
        if "angle" in out:
            angle = np.deg2rad(out.pop("angle"))
            out["a"], out["b"] = np.cos(angle), np.sin(angle)
        return out

    def inverse_transform(self, df):
        out = df.copy()
        for label, mean in self.means_.items():
            if label in out:
                out[label] = np.exp(out[label]) * mean
        if "a" in out:
            out["angle"] = np.rad2deg(np.arctan2(out.pop("b"), out.pop("a"))) % 360
        return out

    def get_feature_names_out(self, input_features=None):
        return np.array(list(self.means_))

    def outputs_of(self, label):
        return ("a", "b") if label == "angle" else (label,)

    def keeps_order(self, label):
        return label != "angle"

    def bounds_of(self, label):
        return (0.0, 360.0) if label == "angle" else (0.0, np.inf) if label in ("y", "double") else (-np.inf, np.inf)

    def to_json(self):
        return {**self.get_params(), "means": self.means_}

    @classmethod
    def from_json(cls, fields):
        made = cls(fields["time"], fields["series"], fields["sentinel"])
        made.means_, made.notes_ = fields["means"], ()
        return made


@pytest.fixture(scope="module")
def df():
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=90)
    parts = [
        pd.DataFrame(
            {"day": days, "id": name, "y": level * np.exp(0.3 * rng.normal(size=90)), "angle": rng.uniform(0, 360, 90)}
        )
        for name, level in (("A", 5.0), ("B", 50.0))
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def model(df):
    model = HourGlassForecaster(3, pipeline=Polar(), **FAST)
    return model.fit(df, time="day", target="y", series="id", past="angle")


def by_hand(df, **roles):
    """Transformed before, undone after, by hand."""
    pipeline = Polar("day", "id").fit(df)
    model = HourGlassForecaster(3, freq="D", holidays=["2024-02-01"], **FAST)
    frame = model.fit(pipeline.transform(df), time="day", series="id", **roles).forecast()
    return pipeline, frame


def test_forecasts_are_those_of_the_transformed_frame_undone(df, model):
    pipeline, expected = by_hand(df, target="y", past=["a", "b"])
    for label in ("forecast", "q0.1", "q0.5", "q0.9"):
        expected[label] = np.exp(expected[label]) * pipeline.means_["y"]
    pd.testing.assert_frame_equal(model.forecast(), expected)
    assert model.roles_ == Roles("day", ("y",), ("id",), past=("angle",))
    assert "polar was here" in model.notes_


def test_new_history_and_many_origins_go_through_it(df, model):
    cut = pd.Timestamp("2024-03-01")
    alone = model.forecast(df[df["day"] <= cut])
    assert set(alone["day"]) == set(pd.date_range(cut, periods=4)[1:])
    several = model.forecast_from(df, [cut, cut + pd.Timedelta(days=5)])
    same = several[several["origin"] == cut].drop(columns=["origin", "lead"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(same, alone)


def test_the_index_may_hold_time_and_series(df, model):
    indexed = df.set_index(["id", "day"])
    again = HourGlassForecaster(3, pipeline=Polar(), **FAST).fit(
        indexed, time="day", target="y", series="id", past="angle"
    )
    pd.testing.assert_frame_equal(again.forecast(), model.forecast())


def test_a_target_of_two_components_comes_back_as_one(df):
    model = HourGlassForecaster(3, pipeline=Polar(), quantiles=(), **FAST)
    frame = model.fit(df, time="day", target="angle", series="id").forecast()
    assert list(frame) == ["id", "day", "forecast"]
    assert frame.groupby("id").size().to_dict() == {"A": 3, "B": 3}
    assert frame["forecast"].between(0, 360).all()
    rows = model.forecast_from(df, [pd.Timestamp("2024-03-01"), pd.Timestamp("2024-03-05")])
    assert rows.groupby(["origin", "id"]).size().eq(3).all()
    assert rows["lead"].tolist() == [1, 2, 3] * 4


def test_several_targets_keep_their_rows_apart(df):
    model = HourGlassForecaster(3, pipeline=Polar(), quantiles=(), **FAST)
    model.fit(df, time="day", target=["y", "angle", "double"], series="id")
    frame = model.forecast()
    assert list(frame) == ["id", "day", "target", "forecast"]
    assert (
        frame["target"].tolist()
        == ["y"] * 3 + ["angle"] * 3 + ["double"] * 3 + ["y"] * 3 + ["angle"] * 3 + ["double"] * 3
    )
    values = frame.set_index(["id", "target", "day"])["forecast"].sort_index()
    ratio = values.xs("double", level="target") / values.xs("y", level="target")
    assert ratio.between(1.0, 4.0).all()
    assert values["B", "y"].min() > 2 * values["A", "y"].max()


def test_quantiles_of_what_keeps_no_order_are_refused(df):
    with pytest.raises(SettingsError, match=r"column 'angle'.*quantiles"):
        HourGlassForecaster(3, pipeline=Polar(), **FAST).fit(df, time="day", target=["y", "angle"], series="id")


TURNING = {
    "quantiles": lambda model, df, roles: ConformalForecaster(model).fit(df, **roles),
    "averages": lambda model, df, roles: OriginEnsemble(model).fit(df, **roles),
    "scores": lambda model, df, roles: backtest(model, df, **roles, folds=2, progress=False),
}


@pytest.mark.parametrize("what", TURNING)
def test_of_a_direction_nothing_is_made_that_needs_an_order(df, what):
    model = HourGlassForecaster(3, pipeline=Polar(), quantiles=(), **FAST)
    with pytest.raises(SettingsError, match=f"column 'angle'.*{what}"):
        TURNING[what](model, df, {"time": "day", "target": "angle", "series": "id"})


def test_origins_are_averaged_in_tidy_columns(df):
    model = HourGlassForecaster(3, pipeline=Polar(), **FAST)
    roles = {"time": "day", "target": "double", "series": "id"}
    ensemble = OriginEnsemble(model, origins=2).fit(df, **roles)
    found = ensemble.forecast()
    days = sorted(df["day"].unique())
    both = ensemble.model_.forecast_from(df, days[-2:])
    expected = both.groupby(["id", "day"])["forecast"].mean()
    newest = both[both["origin"] == days[-1]].set_index(["id", "day"]).index
    np.testing.assert_allclose(found.set_index(["id", "day"])["forecast"], expected[newest])
    pd.testing.assert_frame_equal(ensemble.forecast(df), found)


def test_backtests_compare_with_tidy_values(df):
    raw = df.copy()
    raw.loc[[80, 85], "y"] = -9.0
    model = HourGlassForecaster(3, pipeline=Polar(), **FAST)
    result = backtest(model, raw, time="day", target="y", series="id", folds=4, progress=False)
    assert result.forecasts["actual"].min() > 0
    roles = {"time": "day", "target": "double", "series": "id"}
    made = backtest(ConformalForecaster(model, calibration=25), raw, **roles, folds=2, horizon=3, progress=False)
    assert "double" in made.run.truth.panel.roles.target
    own = HourGlassForecaster(3, pipeline=Polar(), **FAST).backtest(raw, **roles, folds=2, progress=False)
    assert np.isfinite(own.scores["MAE"]).all()


def test_calibrated_quantiles_stay_where_values_can_be(df):
    wild = df.assign(y=df["y"].where(df.index % 7 > 0, 60 * df["y"]))
    plain = ConformalForecaster(Naive(3), quantiles=(0.01, 0.99), calibration=30, scale="series")
    piped = ConformalForecaster(
        HourGlassForecaster(3, pipeline=Polar(), **FAST), quantiles=(0.01, 0.99), calibration=30, scale="series"
    )
    roles = {"time": "day", "target": "y", "series": "id"}
    assert plain.fit(wild, **roles).forecast()["q0.01"].min() < 0
    found = piped.fit(wild, **roles).forecast()
    assert found["q0.01"].min() >= 0
    assert np.isfinite(found["q0.99"]).all()
    several = piped.fit(wild, **{**roles, "target": ["y", "double"]}).forecast()
    assert several.groupby("target")["q0.01"].min().ge(0).all()


def test_the_audit_finds_nothing(df):
    model = HourGlassForecaster(3, pipeline=Polar(), **FAST)
    assert model.audit(df, time="day", target="y", series="id").passed


def test_the_audit_finds_a_pipeline_that_looks_ahead(df):
    class Ahead(Polar):
        def tidy(self, df):
            tidy = super().tidy(df)
            return tidy.assign(angle=tidy["angle"].rolling(5, center=True, min_periods=1).mean())

    roles = {"time": "day", "target": "y", "series": "id", "past": "angle"}
    assert not HourGlassForecaster(3, pipeline=Ahead(), **FAST).audit(df, **roles).passed
    assert audit(HourGlassForecaster(3, **FAST), df, **roles).passed


def test_later_rows_change_nothing_before(df):
    cut = pd.Timestamp("2024-03-01")
    altered = df.copy()
    later = altered["day"] > cut
    altered.loc[later, ["y", "angle"]] = [777.0, 1.0]
    frames = []
    for rows in (df, altered):
        model = HourGlassForecaster(3, pipeline=Polar(), **FAST)
        model.fit(rows[rows["day"] <= cut], time="day", target="y", series="id", past="angle")
        frames.append(model.forecast_from(rows, [cut]))
    pd.testing.assert_frame_equal(*frames)


def test_round_trip_in_a_new_process(df, model, tmp_path):
    model.save(tmp_path / "model")
    df.to_csv(tmp_path / "df.csv", index=False)
    script = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
import pandas as pd
from test_piping import Polar
from hourglass_ts import HourGlassForecaster
model = HourGlassForecaster.load({str(tmp_path / "model")!r}, pipeline=Polar)
model.forecast().to_pickle({str(tmp_path / "out.pkl")!r})
model.forecast(pd.read_csv({str(tmp_path / "df.csv")!r}, parse_dates=["day"]))
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    pd.testing.assert_frame_equal(pd.read_pickle(tmp_path / "out.pkl"), model.forecast())
    with pytest.raises(SavedModelError, match="kind 'polar'"):
        HourGlassForecaster.load(tmp_path / "model")


def test_what_cannot_be_saved_says_so(df, tmp_path):
    class Mute(Polar):
        to_json = property(lambda self: (_ for _ in ()).throw(AttributeError("none")))

    model = HourGlassForecaster(3, pipeline=Mute(), **FAST).fit(df, time="day", target="y", series="id")
    with pytest.raises(SavedModelError, match="Mute"):
        model.save(tmp_path / "model")
    assert len(model.forecast())


def test_labels_that_json_cannot_hold_are_named(df, tmp_path):
    class Dated(Polar):
        def to_json(self):
            return {**super().to_json(), "day": pd.Timestamp("2024-01-01")}

    model = HourGlassForecaster(3, pipeline=Dated(), **FAST).fit(df, time="day", target="y", series="id")
    with pytest.raises(SavedModelError, match=r"Dated that JSON cannot hold \(.*Timestamp"):
        model.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_feature_that_both_make_is_made_once(df):
    model = HourGlassForecaster(3, pipeline=Polar(), holidays=["2024-02-01"], **FAST)
    labels = [feature.labels for feature in model.fit(df, time="day", target="y", series="id").history_.features]
    assert len(labels) == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [("wether", "expected one of"), (object(), "without tidy"), (Polar, "without")],
    ids=["unknown name", "no methods", "a class"],
)
def test_what_is_no_pipeline_is_refused(df, given, words):
    with pytest.raises(SettingsError, match=words):
        HourGlassForecaster(3, pipeline=given, **FAST).fit(df, time="day", target="y", series="id")


def test_straight_is_straight(df):
    piping = fit_piping(None, df, Roles("day", ("y",)), ("forecast",))
    assert piping.frame(df) is df
    assert piping.invert(df) is df


def test_errors_of_the_frame_come_first(df):
    with pytest.raises(DataError, match="'nothing'"):
        HourGlassForecaster(3, pipeline=Polar(), **FAST).fit(df, time="day", target="nothing", series="id")
