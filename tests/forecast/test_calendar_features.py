"""Sessions and holidays through fitting, forecasting, scoring, saving and the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hourglass_ts import HourGlassForecaster, backtest, load_dataset
from hourglass_ts.cli import main as cli
from hourglass_ts.errors import DataError, MissingExtraError, SettingsError
from hourglass_ts.forecast import storage
from hourglass_ts.frames import sessions

COLUMNS = {"time": "date", "target": "adjusted_close", "series": "symbol"}
TINY = {"horizon": 5, "context": 16, "max_epochs": 1, "progress": False, "d_model": 8, "n_heads": 2, "d_ff": 8}


@pytest.fixture(scope="module")
def stocks() -> pd.DataFrame:
    return load_dataset("stocks").query("date >= '2012-01-01' and symbol in ['AAPL', 'IBM']")


@pytest.fixture(scope="module")
def model(stocks: pd.DataFrame) -> HourGlassForecaster:
    return HourGlassForecaster(**TINY, freq="XNYS", holidays="XNYS").fit(stocks, **COLUMNS)


def test_rows_ahead_fall_on_sessions(model: HourGlassForecaster, stocks: pd.DataFrame) -> None:
    assert model.notes_ == ()
    ahead = model.forecast(stocks[stocks.date <= "2012-12-24"])
    own = ahead[ahead.symbol == "AAPL"].date.dt.strftime("%m-%d").tolist()
    assert own == ["12-26", "12-27", "12-28", "12-31", "01-02"]
    assert model.roles_.known == ()


def test_the_columns_reach_the_forecast() -> None:
    days = pd.date_range("2021-01-01", periods=400)
    off = days[::10]
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"t": days, "y": rng.normal(size=400) * 0.1 + 5.0 * days.isin(off)})
    settings = {**TINY, "context": 7, "max_epochs": 6, "steps_per_epoch": 20, "learning_rate": 1e-2}
    listed = HourGlassForecaster(**settings, holidays=list(pd.date_range("2021-01-01", periods=60, freq="10D")))
    ahead = listed.fit(df, time="t", target="y").forecast(df[:398])  # the context sees no holiday, the third row is one
    assert days[391:398].isin(off).sum() == 0
    assert ahead.forecast.iloc[2] > ahead.forecast.iloc[[0, 1, 3, 4]].max() + 1


def test_they_are_saved(model: HourGlassForecaster, stocks: pd.DataFrame, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    again = HourGlassForecaster.load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.forecast(), model.forecast())
    cut = stocks[stocks.date <= "2012-12-24"]
    pd.testing.assert_frame_equal(again.forecast(cut), model.forecast(cut))
    assert (again.holidays, again.freq, again.history_.features) == ("XNYS", "XNYS", model.history_.features)
    assert again.roles_ == model.roles_


def test_named_dates_and_a_frequency_per_series_are_saved(stocks: pd.DataFrame, tmp_path: Path) -> None:
    freq, named = {"AAPL": "XNYS", "IBM": "B"}, {pd.Timestamp("2012-12-24"): "Christmas Eve"}
    model = HourGlassForecaster(**TINY, freq=freq, holidays=named).fit(stocks, **COLUMNS)
    model.save(tmp_path / "model")
    again = HourGlassForecaster.load(tmp_path / "model")
    assert (again.freq, again.holidays) == (freq, ["2012-12-24"])
    pd.testing.assert_frame_equal(again.forecast(stocks), model.forecast(stocks))


def test_a_model_of_the_first_schema_loads(stocks: pd.DataFrame, tmp_path: Path) -> None:
    model = HourGlassForecaster(**TINY, freq="B").fit(stocks, **COLUMNS)
    model.save(tmp_path)
    file = tmp_path / storage.MODEL_FILE
    state = json.loads(file.read_text())
    del state["panel"]["features"], state["params"]["holidays"]
    state["schema_version"] = 1
    file.write_text(json.dumps(state))
    sums = {name: storage._sha256(tmp_path / name) for name in (storage.MODEL_FILE, storage.NUMBERS_FILE)}
    (tmp_path / storage.CHECKSUM_FILE).write_text(json.dumps(sums))
    pd.testing.assert_frame_equal(HourGlassForecaster.load(tmp_path).forecast(), model.forecast())


def test_a_loaded_model_without_the_extra_names_it(
    model: HourGlassForecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.save(tmp_path)
    for cached in (sessions._default, sessions._decades, sessions._bounds):
        cached.cache_clear()
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(MissingExtraError, match=r"hourglass_ts\[calendars\]"):
        HourGlassForecaster.load(tmp_path).forecast()


def test_scores_put_baselines_beside_them(stocks: pd.DataFrame) -> None:
    origins = pd.to_datetime(["2012-11-20", "2012-12-24"])
    model = HourGlassForecaster(**TINY, freq="XNYS", holidays="XNYS", steps_per_epoch=2)
    rows = backtest({"ours": model}, stocks, **COLUMNS, freq="XNYS", folds=origins, progress=False).forecasts
    sizes = rows.groupby(["origin", "model", "symbol"]).size()
    assert len(sizes) == 2 * 4 * 2
    assert (sizes == 5).all()  # every row ahead has an actual value


@pytest.mark.parametrize(("holidays", "freq"), [("ZZ", None), ("US", "MS")])
def test_settings_are_refused(holidays: str, freq: str | None) -> None:
    times = pd.date_range("2015-01-01", periods=60, freq=freq or "D")
    df = pd.DataFrame({"t": times, "y": np.arange(60.0)})
    with pytest.raises(SettingsError, match="holidays"):
        HourGlassForecaster(**TINY, holidays=holidays).fit(df, time="t", target="y")


def test_the_command_line(
    stocks: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = stocks[(stocks.symbol == "IBM") & (stocks.date <= "2012-12-24")]
    own.to_csv(tmp_path / "ibm.csv", index=False)
    arguments = "--time date --target adjusted_close --horizon 2 --context 8 --max-epochs 1 --freq XNYS --holidays US"
    monkeypatch.setattr(sys, "argv", ["hourglass-ts", "forecast", str(tmp_path / "ibm.csv"), *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert [line[:10] for line in capsys.readouterr().out.splitlines()[1:]] == ["2012-12-26", "2012-12-27"]


def test_another_time_zone_than_in_the_fit_is_refused(stocks: pd.DataFrame) -> None:
    days = pd.date_range("2024-01-01", periods=60, tz="America/Santiago")
    frame = pd.DataFrame({"t": days, "y": np.arange(60.0)})
    fitted = HourGlassForecaster(**TINY, steps_per_epoch=2).fit(frame, time="t", target="y")
    for other in (frame.t.dt.tz_localize(None), frame.t.dt.tz_localize(None).dt.tz_localize("Europe/Berlin")):
        with pytest.raises(DataError, match=r"column 't'.*times (in Europe/Berlin|without).*America/Santiago"):
            fitted.forecast(frame.assign(t=other))
