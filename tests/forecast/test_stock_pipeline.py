"""Stocks through the pipeline and the forecaster: prices, returns and volatility on real sessions, and no later row."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from hourglass_ts import ConformalForecaster, HourGlassForecaster, backtest, load_dataset
from hourglass_ts.errors import DataError, MissingExtraError, SettingsError
from hourglass_ts.evaluate.leaks.result import AuditResult
from hourglass_ts.frames.calendars import Calendar
from hourglass_ts.frames.market.bars import BAR
from hourglass_ts.frames.schema import TIME, future_rows
from hourglass_ts.frames.stocks import StockPipeline

FAST = {"max_epochs": 1, "steps_per_epoch": 2, "d_model": 16, "d_ff": 16, "context": 14, "progress": False}
KEYS = {"time": "date", "series": "symbol"}
PRICE = {**KEYS, "target": "adjusted_close"}
SESSIONS = Calendar("sessions", "XNYS")
NUMBERS = ["forecast", "q0.1", "q0.5", "q0.9"]


def forecaster(pipeline="stocks", horizon: int = 3, **settings) -> HourGlassForecaster:
    return HourGlassForecaster(horizon, pipeline=pipeline, **{**FAST, **settings})


@pytest.fixture(scope="module")
def stocks() -> pd.DataFrame:
    """Two names up to the Friday before Christmas."""
    df = load_dataset("stocks").query("'2012-06-01' < date < '2012-12-24' and symbol in ['AAPL', 'IBM']")
    return df.reset_index(drop=True)


@pytest.fixture(scope="module")
def model(stocks) -> HourGlassForecaster:
    return forecaster().fit(stocks, **PRICE, past=["return_score", "volume_score"])


def days_of(frame: pd.DataFrame, name: str = "AAPL") -> list[str]:
    return frame[frame["symbol"] == name]["date"].dt.strftime("%m-%d").tolist()


# --- prices ---


class Logarithms(StockPipeline):
    """Leaves forecasts as the network gives them."""

    def inverse_transform(self, df: pd.DataFrame) -> pd.DataFrame:
        return df


def test_prices_and_their_quantiles_are_exponentials_of_cumulative_returns(stocks, model):
    logs = forecaster(Logarithms()).fit(stocks, **PRICE, past=["return_score", "volume_score"]).forecast()
    found = model.forecast()
    assert list(found) == ["symbol", "date", *NUMBERS]
    np.testing.assert_allclose(found[NUMBERS], np.exp(logs[NUMBERS]), rtol=1e-15)
    assert (found[["q0.1", "q0.5", "q0.9"]].diff(axis=1).iloc[:, 1:] > 0).all().all()
    last = stocks.groupby("symbol")["adjusted_close"].last()
    assert (found["forecast"] / found["symbol"].map(last)).between(0.9, 1.1).all()


def test_scaling_a_price_scales_its_forecast(stocks, model):
    """Cumulative log returns know no unit: cents give a hundred times the forecast in dollars, quantiles too."""
    cents = stocks.assign(**{part: 100 * stocks[part] for part in (*BAR, "adjusted_close")})
    again = forecaster().fit(cents, **PRICE, past=["return_score", "volume_score"])
    np.testing.assert_allclose(again.forecast()[NUMBERS], 100 * model.forecast()[NUMBERS], rtol=1e-6)


def test_raw_and_tidy_histories_give_the_same(stocks, model):
    cut = stocks[stocks["date"] <= "2012-11-20"]
    pd.testing.assert_frame_equal(model.forecast(StockPipeline("date", "symbol").tidy(cut)), model.forecast(cut))


def test_recent_rows_forecast_on_the_scale_of_the_whole(stocks, tmp_path):
    """A split of 4 for 1 in a history without an adjusted close: made forward from the first row of the fit."""
    raw = stocks.drop(columns="adjusted_close").assign(split=0.0)
    own = raw["symbol"] == "IBM"
    raw.loc[own & (raw["date"] == "2012-09-04"), "split"] = 4.0
    raw.loc[own & (raw["date"] >= "2012-09-04"), [*BAR]] /= 4
    made = forecaster().fit(raw, **PRICE)
    made.save(tmp_path / "model")
    recent = raw[raw["date"] >= "2012-10-01"]
    for model in (made, HourGlassForecaster.load(tmp_path / "model")):
        np.testing.assert_allclose(model.forecast(recent)[NUMBERS], made.forecast()[NUMBERS], rtol=1e-5)
    earlier = forecaster().fit(raw[raw["date"] < "2012-11-01"], **PRICE)
    with pytest.raises(DataError, match=r"column 'close', series 'IBM', first at 2012-11-0"):
        earlier.forecast(raw[raw["date"] >= "2012-11-01"])


def test_twins_do_not_change_the_way_back(stocks):
    twins = stocks.assign(last=100.0)
    found = forecaster().fit(twins, **KEYS, target="last").forecast()
    np.testing.assert_allclose(found["forecast"], 100.0, rtol=0.05)


# --- the calendar ---


def test_rows_fall_on_sessions(stocks, model):
    assert days_of(model.forecast()) == ["12-24", "12-26", "12-27"]
    assert days_of(model.forecast(stocks[stocks["date"] <= "2012-11-20"])) == ["11-21", "11-23", "11-26"]


def test_known_columns_reach_the_horizon_unasked(model):
    assert model.roles_.known == ()
    ahead = future_rows(model.history_, 3).iloc[:3].set_index(TIME)
    assert ahead["half_day"].tolist() == [1, 0, 0]
    assert ahead["days_closed_after"].tolist() == [1, 0, 0]
    assert ahead["monday"].tolist() == [1, 0, 0]
    assert ahead["sessions_to_month_end"].tolist() == [4, 3, 2]


def test_they_are_as_columns_of_the_users_own(stocks):
    """The network alone, from the same columns by hand: equal forecasts, and others for other days ahead."""

    def with_calendar(frame: pd.DataFrame) -> pd.DataFrame:
        made = [feature.values(pd.DatetimeIndex(frame["date"]), SESSIONS) for feature in StockPipeline().features]
        return frame.assign(**dict(zip(labels, np.concatenate(made, axis=1).T, strict=True)))

    labels = [label for feature in StockPipeline().features for label in feature.labels]
    found = forecaster(floor=False).fit(stocks, **PRICE).forecast()
    by_hand = HourGlassForecaster(3, freq="XNYS", floor=False, **FAST)
    by_hand.fit(with_calendar(StockPipeline("date", "symbol").fit_transform(stocks)), **PRICE, known=labels)
    ahead = with_calendar(found[["symbol", "date"]])
    np.testing.assert_array_equal(np.exp(by_hand.forecast(known=ahead)[NUMBERS]), found[NUMBERS])
    for label in ("half_day", "monday", "sessions_to_month_end"):
        other = by_hand.forecast(known=ahead.assign(**{label: 1 - ahead[label]}))
        assert (np.exp(other["forecast"]) != found["forecast"]).any()


def test_columns_of_the_users_own_go_beside(stocks):
    own = stocks.assign(earnings=(stocks["date"].dt.day == 24) * 1.0, sector="IT")
    model = forecaster().fit(own, **PRICE, known="earnings", static="sector")
    with pytest.raises(DataError, match="no future values of 'earnings'"):
        model.forecast()
    ahead = pd.DataFrame({"date": pd.to_datetime(["2012-12-24", "2012-12-26", "2012-12-27"]), "earnings": [1.0, 0, 0]})
    ahead = pd.concat([ahead.assign(symbol=name) for name in ("AAPL", "IBM")])
    assert days_of(model.forecast(known=ahead)) == ["12-24", "12-26", "12-27"]
    assert model.roles_.known == ("earnings",)


def test_days_and_names_in_an_index(stocks):
    model = forecaster().fit(stocks.set_index(["symbol", "date"]), **PRICE)
    pd.testing.assert_frame_equal(model.forecast(), forecaster().fit(stocks, **PRICE).forecast())


def test_aware_days(stocks):
    """As some vendors write them: midnight in New York."""
    aware = stocks.assign(date=stocks["date"].dt.tz_localize("America/New_York"))
    model = forecaster().fit(aware, **PRICE)
    assert days_of(model.forecast()) == ["12-24", "12-26", "12-27"]
    plain = forecaster().fit(stocks, **PRICE)
    np.testing.assert_array_equal(model.forecast()[NUMBERS], plain.forecast()[NUMBERS])


def test_without_an_exchange(stocks):
    pipeline = StockPipeline(exchange=None, volatility="parkinson", window=10)
    model = forecaster(pipeline, freq="B").fit(stocks, **PRICE)
    assert days_of(model.forecast()) == ["12-24", "12-25", "12-26"]
    assert "half_day" not in model.history_.roles.known
    assert "friday" in model.history_.roles.known
    assert (pipeline.time, hasattr(pipeline, "floors_")) == (None, False)  # a copy is fitted


def test_sessions_need_the_extra(stocks, monkeypatch):
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(MissingExtraError, match=r"hourglass_ts\[calendars\]"):
        forecaster().fit(stocks, **PRICE)


def test_an_exchange_that_is_none(stocks):
    with pytest.raises(SettingsError, match="'NOWHERE'"):
        forecaster(StockPipeline(exchange="NOWHERE")).fit(stocks, **PRICE)
    aliased = forecaster(StockPipeline(exchange="NYSE")).fit(stocks, **PRICE)
    assert days_of(aliased.forecast()) == ["12-24", "12-26", "12-27"]


# --- returns and volatility ---


@pytest.mark.parametrize("target", ["volatility", "range_variance", "realised_volatility"])
def test_volatility(stocks, target):
    past = ["absolute_return", "negative_return", "ewma_volatility", "log_volume"]
    found = forecaster().fit(stocks, **KEYS, target=target, past=past).forecast()
    tidy = StockPipeline("date", "symbol").tidy(stocks)
    middle = found["symbol"].map(tidy.groupby("symbol")[target].median())
    assert (found[NUMBERS] > 0).all().all()
    assert (found["forecast"] / middle).between(0.2, 5).all()
    assert (found["q0.1"] < found["q0.9"]).all()


def test_several_targets_at_once(stocks):
    targets = ["adjusted_close", "return", "volatility", "volume"]
    found = forecaster().fit(stocks, **KEYS, target=targets).forecast().set_index(["symbol", "target"])
    tidy = StockPipeline("date", "symbol").tidy(stocks).set_index("symbol")
    for name in ("AAPL", "IBM"):
        for target in targets:
            seen = tidy.loc[name, target]
            assert found.loc[(name, target), "forecast"].between(seen.min(), seen.max()).all()
    assert (found.loc[("AAPL", "return"), "q0.1"] < 0).all()


# --- names that come, go and pause ---


def test_new_gone_and_paused_names(stocks):
    bars = load_dataset("stocks").query("'2012-06-01' < date < '2012-12-24'")
    new = bars[(bars["symbol"] == "FB") & (bars["date"] > "2012-11-09")]
    gone = bars[(bars["symbol"] == "MSFT") & (bars["date"] <= "2012-11-20")]
    paused = stocks[~((stocks["symbol"] == "IBM") & stocks["date"].between("2012-10-01", "2012-10-12"))]
    model = forecaster(context=7).fit(pd.concat([new, gone, paused]), **PRICE)
    for note in (
        "FB begins on 2012-11-12",
        "MSFT ends on 2012-11-20",
        "IBM lacks 10 day(s) on which others were traded",
        "series 'IBM': 10 missing steps laid in, first 2012-10-01",
    ):
        assert note in model.notes_
    found = model.forecast()
    assert {name: days_of(found, name)[0] for name in ("AAPL", "FB", "IBM", "MSFT")} == {
        **dict.fromkeys(["AAPL", "FB", "IBM"], "12-24"),
        "MSFT": "11-21",
    }
    assert np.isfinite(found[NUMBERS]).all().all()


# --- scores ---


def test_backtests_score_in_dollars_on_sessions(stocks):
    conformal = ConformalForecaster(forecaster(), quantiles=(0.1, 0.9), calibration=30)
    models = {"conformal": conformal, "plain": forecaster()}
    result = backtest(models, stocks, **PRICE, folds=3, progress=False)
    scored = result.forecasts.merge(stocks, on=["symbol", "date"], suffixes=("", "_given"))
    assert (scored["actual"] == scored["adjusted_close"]).all()
    errors = result.scores.set_index("model")["MAE"]
    assert errors["naive"] < errors[["plain", "conformal"]].min() * 2
    assert errors["naive"] > errors[["plain", "conformal"]].max() / 2
    ranges = scored[scored["model"] == "conformal"]
    assert ((ranges["q0.9"] - ranges["q0.1"]) / ranges["actual"]).between(0.005, 0.5).all()
    leads = scored[scored["model"] == "naive"].groupby("origin")["date"].unique()
    for origin, days in leads.items():
        assert sorted(days) == sorted(stocks["date"].unique()[stocks["date"].unique() > origin][:3])


def test_a_target_made_by_the_pipeline_is_scored(stocks):
    result = backtest(forecaster(), stocks, **KEYS, target="volatility", folds=2, progress=False)
    tidy = StockPipeline("date", "symbol").tidy(stocks).set_index(["symbol", "date"])["volatility"]
    rows = result.forecasts.set_index(["symbol", "date"])
    np.testing.assert_array_equal(rows["actual"], tidy.loc[rows.index])


# --- nothing from later rows ---


def altered(df: pd.DataFrame, late: pd.Series) -> pd.DataFrame:
    """Other bars, prices, volumes and holes after the cutoff, each of which could be."""
    rng = np.random.default_rng(0)
    other = df.astype({"volume": float})
    other.loc[late, [*BAR, "adjusted_close"]] *= 10 ** rng.uniform(-2, 2, (late.sum(), 1))
    other.loc[late, "volume"] = rng.integers(0, 10**9, late.sum())
    other.loc[late & (df.index % 5 == 0), [*BAR, "adjusted_close", "volume"]] = np.nan
    return other


@pytest.mark.parametrize("target", ["adjusted_close", "return", "volatility"])
def test_the_leak_attack(stocks, target):
    cut = pd.Timestamp("2012-11-20")
    late = stocks["date"] > cut
    roles = {**KEYS, "target": target, "past": ["ewma_volatility", "volume_score", "realised_volatility"]}
    model = forecaster().fit(stocks[~late], **roles)
    origins = [cut - pd.Timedelta(days=8), cut]
    expected = model.forecast_from(stocks, origins)
    # where no rows follow, windows go through the network in other batches: sums of float32 are rounded otherwise
    np.testing.assert_allclose(expected[expected["origin"] == cut][NUMBERS], model.forecast()[NUMBERS], rtol=1e-6)
    worlds = [stocks, altered(stocks, late)]
    for world in [worlds[1], *(StockPipeline("date", "symbol").tidy(world) for world in worlds)]:
        pd.testing.assert_frame_equal(model.forecast_from(world, origins), expected, check_exact=True)
    assert (worlds[1].loc[late, "close"] != stocks.loc[late, "close"]).all()


class Recording(StockPipeline):
    """Notes the last day of the rows that each fit saw, and what it learnt from them."""

    fits: ClassVar[list[tuple[pd.Timestamp, dict]]] = []

    def fit(self, df: pd.DataFrame, y: object = None) -> StockPipeline:
        super().fit(df)
        self.fits.append((df["date"].max(), self.floors_))
        return self


def test_every_fold_fits_the_pipeline_anew_on_its_own_rows(stocks):
    origins = list(pd.to_datetime(["2012-10-31", "2012-11-20", "2012-12-10"]))
    learnt = []
    for df in (stocks, altered(stocks, stocks["date"] > origins[-1])):
        Recording.fits.clear()
        backtest(forecaster(Recording()), df, **PRICE, folds=origins, refit=True, progress=False)
        # to see what can be scored, on the first fold's rows; then the model's, and the ridge's beside it
        assert [last for last, _ in Recording.fits] == [origins[0], *origins * 2]
        learnt.append([floors for _, floors in Recording.fits])
    assert learnt[0] == learnt[1]
    assert learnt[0][1] != learnt[0][2]


def audited(stocks: pd.DataFrame, pipeline: StockPipeline) -> AuditResult:
    one = stocks[stocks["symbol"] == "IBM"].drop(columns="symbol").iloc[-90:]
    model = forecaster(pipeline, d_model=8, n_heads=2, d_ff=8, context=8)
    return model.audit(one, time="date", target="adjusted_close", past=["ewma_volatility"])


def test_the_audit_finds_nothing(stocks):
    for faults in ("nan", "refuse"):
        result = audited(stocks, StockPipeline(faults=faults))
        assert result.passed
        notes = result.checks.set_index("stage")["note"]
        for stage in ("prepare", "forecast"):
            tried, _, untried = notes[stage].partition("not tried")
            assert tried.startswith("altered after the cutoff: values")
            assert "missing values, rows removed" in tried
            assert "values" not in untried


def test_the_audit_finds_a_pipeline_that_looks_ahead(stocks):
    class Ahead(StockPipeline):
        def tidy(self, df: pd.DataFrame) -> pd.DataFrame:
            tidy = super().tidy(df)
            return tidy.assign(ewma_volatility=tidy["ewma_volatility"].rolling(5, center=True, min_periods=1).mean())

    assert not audited(stocks, Ahead()).passed


# --- saving ---


def test_round_trip_in_a_new_process(stocks, model, tmp_path):
    model.save(tmp_path / "model")
    stocks.to_pickle(tmp_path / "stocks.pkl")
    script = f"""
import pandas as pd
from hourglass_ts import HourGlassForecaster
from pathlib import Path
from typing import ClassVar
folder = Path({str(tmp_path)!r})
model = HourGlassForecaster.load(folder / "model")
assert model.pipeline == "stocks"
model.forecast().to_pickle(folder / "forecast.pkl")
model.forecast(pd.read_pickle(folder / "stocks.pkl").query("date < '2012-11-20'")).to_pickle(folder / "earlier.pkl")
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    earlier = model.forecast(stocks.query("date < '2012-11-20'"))
    for name, expected in {"forecast": model.forecast(), "earlier": earlier}.items():
        pd.testing.assert_frame_equal(pd.read_pickle(tmp_path / f"{name}.pkl"), expected, check_exact=True)


@pytest.mark.parametrize(
    "labels", [{"date": 0, "symbol": 1, "close": 2}, {"date": ("t", 0), "symbol": ("s", 0)}], ids=str
)
def test_labels_of_any_type_are_saved(stocks, model, labels, tmp_path: Path):
    pipeline = StockPipeline(columns={"close": labels.get("close", "close")}, faults="nan")
    df = stocks.set_axis(pd.Index([labels.get(c, c) for c in stocks.columns], tupleize_cols=False), axis=1)
    roles = {"time": labels["date"], "series": labels["symbol"], "past": ["return_score", "volume_score"]}
    fitted = forecaster(pipeline).fit(df, **roles, target="adjusted_close")
    fitted.save(tmp_path / "model")
    again = HourGlassForecaster.load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.forecast(), fitted.forecast(), check_exact=True)
    pd.testing.assert_frame_equal(again.forecast(df), fitted.forecast(df), check_exact=True)
    np.testing.assert_array_equal(again.forecast()[NUMBERS], model.forecast()[NUMBERS])
    assert again.pipeline.get_params() == fitted.piping_.pipeline.get_params()
    assert again.notes_ == fitted.notes_


# --- what is refused ---


def test_bad_bars_and_targets_are_refused(stocks):
    bad = stocks.assign(high=stocks["high"].mask(stocks.index == 5, 1.0))
    with pytest.raises(DataError, match=r"column 'high', series 'AAPL', first at 2012-06-11: found 1 row"):
        forecaster().fit(bad, **PRICE)
    with pytest.raises(DataError, match=r"'returns'.*Did you mean 'return'"):
        forecaster().fit(stocks, **KEYS, target="returns")
    with pytest.raises(DataError, match=r"column 'Schluss': found no such column for the close"):
        forecaster(StockPipeline(columns={"close": "Schluss"})).fit(stocks, **PRICE)
    mended = forecaster(StockPipeline(faults="nan")).fit(bad, **PRICE)
    assert any("Taken out." in note for note in mended.notes_)
    assert np.isfinite(mended.forecast()["forecast"]).all()
