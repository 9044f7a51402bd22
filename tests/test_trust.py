"""Backtest, audit and explanation as a user reaches them: from the forecaster, and from the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.cli import main as cli
from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.evaluate.leaks.result import AuditResult
from hourglass_ts.evaluate.result import Backtest
from hourglass_ts.forecaster import HourGlassForecaster

SMALL: dict[str, Any] = {"d_model": 8, "n_heads": 2, "d_ff": 16, "max_epochs": 1, "steps_per_epoch": 2}


def shops(n: int = 160) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=n)
    parts = [
        pd.DataFrame(
            {"day": days, "shop": shop, "y": 5 + np.sin(np.arange(n) / 7 * 2 * np.pi) + rng.normal(size=n) / 4}
        )
        for shop in ("a", "b")
    ]
    return pd.concat(parts, ignore_index=True).assign(promo=rng.integers(0, 2, size=2 * n).astype(float))


def forecaster(**settings: Any) -> HourGlassForecaster:
    return HourGlassForecaster(3, 14, progress=False, accelerator="cpu", **{**SMALL, **settings})


ROLES: dict[str, Any] = {"time": "day", "target": "y", "series": "shop"}


@pytest.fixture(scope="module")
def fitted() -> HourGlassForecaster:
    df = shops()
    return forecaster().fit(df[df["day"] < "2024-05-01"], **ROLES, known="promo")


def test_backtest_takes_the_roles_of_the_fit(fitted: HourGlassForecaster) -> None:
    given = forecaster().backtest(shops(), **ROLES, known=["promo"], folds=3, progress=False)
    remembered = fitted.backtest(shops(), folds=3, progress=False)
    pd.testing.assert_frame_equal(given.forecasts, remembered.forecasts)
    assert list(given.scores["model"]) == ["HourGlassForecaster", "naive", "seasonal naive", "ridge"]


def test_backtest_of_a_wide_frame() -> None:
    wide = shops().pivot(index="day", columns="shop", values="y")
    result = forecaster().backtest(wide, folds=2, progress=False)
    assert set(result.forecasts["target"]) == {"a", "b"}
    assert (result.scores["n"] == 2 * 2 * 3).all()


def test_the_forecaster_itself_is_left_alone(fitted: HourGlassForecaster) -> None:
    before = fitted.forecast(known=shops())
    fitted.backtest(shops(), folds=2, progress=False)
    fitted.explain(shops())
    pd.testing.assert_frame_equal(fitted.forecast(known=shops()), before, check_exact=True)


def test_audit_passes_the_forecaster_and_names_a_planted_leak(fitted: HourGlassForecaster) -> None:
    assert fitted.audit(shops()).passed
    later = shops().assign(oracle=lambda df: df.groupby("shop")["y"].shift(-6))
    found = forecaster().audit(later, **ROLES, past=["oracle"])
    assert isinstance(found, AuditResult)
    assert not found.passed
    assert "oracle" in found.findings["column"].tolist()
    assert "6 steps later" in str(found)


def test_the_report_shows_audit_and_explanation(fitted: HourGlassForecaster, tmp_path: Path) -> None:
    result = fitted.backtest(shops(), folds=8, stride=1, progress=False)
    assert isinstance(result, Backtest)
    why = fitted.explain(shops())
    page = result.to_html(tmp_path / "r.html", unit="pieces", explanation=why, audit=fitted.audit(shops()))
    text = page.read_text(encoding="utf-8")
    for piece in ("promo", "pieces", "a prefix is encoded like the whole", result.summary[0].split(";")[0]):
        assert piece in text, piece
    assert len(text) < 3_000_000


def test_settings_and_data_errors_come_before_any_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HourGlassForecaster, "fit", lambda *args, **kwargs: pytest.fail("trained"))
    with pytest.raises(DataError, match=r"160 steps.*folds=53 or fewer"):
        forecaster().backtest(shops(), **ROLES, folds=60)
    with pytest.raises(SettingsError, match="no lead is left to score"):
        forecaster().backtest(shops(), **ROLES, gap=3)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Run the command line in an empty folder that has shops.csv: arguments → exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    shops().to_csv("shops.csv", index=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        common = ["shops.csv", "--time", "day", "--target", "y", "--series", "shop", "--horizon", "3"]
        monkeypatch.setattr(sys, "argv", ["hourglass-ts", arguments[0], *common, "--max-epochs", "1", *arguments[1:]])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


def test_backtest_on_the_command_line(run: Any, tmp_path: Path) -> None:
    files = ["--out", "scores.csv", "--forecasts", "all.csv.gz", "--report", "report.html", "--folder", "kept"]
    code, out, err = run("backtest", "--folds", "30", "--stride", "1", "--calibrate", "--time-budget", "5", *files)
    assert code == 0, err
    assert out == ""
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert list(scores["model"]) == ["HourGlassForecaster", "naive", "seasonal naive", "ridge"]
    assert scores["coverage 80 %"].iloc[0] > 0.5
    assert len(pd.read_csv(tmp_path / "all.csv.gz")) == 4 * 30 * 3 * 2
    assert "Its 80 % intervals held" in err
    assert (tmp_path / "report.html").stat().st_size > 100_000
    assert (tmp_path / "kept" / "backtest.sqlite").exists()


def test_scores_alone_go_to_stdout(run: Any) -> None:
    code, out, _ = run("backtest", "--folds", "2", "--time-budget", "5", "--quiet")
    assert code == 0
    assert out.startswith("model,n,MAE")
    assert len(out.splitlines()) == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--report", "report.pdf"], ".html"),
        (["--report", "nowhere/report.html"], "nowhere"),
        (["--out", "scores.txt"], ".csv"),
        (["--folds", "0"], "folds=0"),
        (["--folds", "500"], "or fewer"),
        (["--jobs", "0"], "jobs=0"),
    ],
)
def test_what_is_refused_before_training(
    run: Any, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HourGlassForecaster, "fit", lambda *args, **kwargs: pytest.fail("trained"))
    code, _, err = run("backtest", *arguments)
    assert code == 2
    assert words in err


def test_audit_on_the_command_line(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hourglass_ts.forecast.defaults.MOST_WINDOWS", 8)  # every fit has 50 steps
    code, out, err = run("audit", "--past", "promo", "--cutoff", "2024-05-01")
    assert code == 0, err
    assert "no leak found" in out
    shops().assign(promo=lambda df: df.groupby("shop")["y"].shift(-2)).to_csv("shops.csv", index=False)
    code, out, _ = run("audit", "--past", "promo")
    assert code == 1
    assert "promo" in out
    code, _, err = run("audit", "--cutoff", "yesterday-ish")
    assert code == 2
    assert "a time such as 2024-01-01" in err


def test_a_calibrated_forecast_on_the_command_line(run: Any) -> None:
    code, out, err = run("forecast", "--calibrate", "--time-budget", "5")
    assert code == 0, err
    assert out.startswith("shop,day,forecast,q0.1,q0.5,q0.9")
    code, _, err = run("forecast", "--calibrate", "--save", "model")
    assert code == 2
    assert "--save with --calibrate" in err
