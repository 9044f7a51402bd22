"""The command line, with a fake forecaster for what it hands over, and once with the real one."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.cli import main as cli
from hourglass_ts.errors import DataError
from hourglass_ts.frames.files import read_table

REPOSITORY = Path(__file__).resolve().parents[1]
HORIZON = 3


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line as a shell does: arguments → exit code, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["hourglass-ts", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture
def calls(monkeypatch):
    """What a fake forecaster was asked to do, in order."""
    calls = {}

    class FakeForecaster:
        share_, notes_ = 0.25, ("1 missing step laid in, first 2024-01-03",)
        settings_ = SimpleNamespace(words=("context 7: 1 week of days", "patch 1: 9 tokens"))

        def __init__(self, **settings):
            calls["settings"] = settings

        def fit(self, df, **roles):
            print("progress")
            calls["history"], calls["roles"] = df, roles
            if roles["time"] not in df.columns:
                raise DataError(f"column {roles['time']!r}: not there")
            return self

        def forecast(self, *, known):
            calls["known"] = known
            history, roles = calls["history"], calls["roles"]
            times = pd.date_range(history[roles["time"]].max(), periods=HORIZON + 1, freq="D")[1:]
            values = {"forecast": 1.5, "q0.1": 1.0, "q0.5": 1.5, "q0.9": 2.0}
            targets = roles["target"] if isinstance(roles["target"], list) else [None]
            parts = [pd.DataFrame({roles["time"]: times} | ({"target": t} if t else {}) | values) for t in targets]
            keys = {roles["series"]: "a"} if roles["series"] else {}
            return pd.concat(parts).assign(**keys)

        def save(self, folder):
            calls["saved"] = Path(folder)
            folder.mkdir()

    module = ModuleType("hourglass_ts.forecaster")
    module.HourGlassForecaster = FakeForecaster
    monkeypatch.setitem(sys.modules, "hourglass_ts.forecaster", module)
    return calls


@pytest.fixture
def history(tmp_path):
    """A CSV of one series: day, load, price."""
    path = tmp_path / "history.csv"
    n = 40
    days = pd.date_range("2024-01-01", periods=n, freq="D")
    pd.DataFrame({"day": days, "load": np.arange(n) * 1.0, "price": 2.0}).to_csv(path, index=False)
    return path


@pytest.fixture
def future(tmp_path):
    path = tmp_path / "future.csv"
    days = pd.date_range("2024-02-10", periods=HORIZON, freq="D")
    pd.DataFrame({"day": days, "price": 3.0}).to_csv(path, index=False)
    return path


def basic(file):
    return ["forecast", file, "--time", "day", "--target", "load", "--horizon", HORIZON]


def test_stdout_is_the_forecast_alone(run, calls, history):
    code, out, err = run(*basic(history))
    assert code == 0
    frame = pd.read_csv(io.StringIO(out), parse_dates=["day"])
    assert list(frame.columns) == ["day", "forecast", "q0.1", "q0.5", "q0.9"]
    assert frame["day"].iloc[0] == pd.Timestamp("2024-02-10")
    assert "progress" in err
    assert "Read 40 rows. Forecast 3: 1 series, 2024-02-10 to 2024-02-12." in err
    assert "The network's share of the forecast is 0.25" in err
    assert "Chosen: context 7: 1 week of days; patch 1: 9 tokens." in err
    assert "1 missing step laid in" in err


def test_only_given_settings_are_passed(run, calls, history):
    run(*basic(history))
    assert calls["settings"] == {"horizon": HORIZON, "progress": True}
    run(
        *basic(history),
        *("--context", 7, "--freq", "D", "--quantiles", "0.2,0.8", "--max-epochs", 4),
        *("--time-budget", 2.5, "--seed", 9, "--quiet"),
    )
    assert calls["settings"] == {
        "horizon": HORIZON,
        "context": 7,
        "freq": "D",
        "quantiles": (0.2, 0.8),
        "max_epochs": 4,
        "time_budget": 2.5,
        "seed": 9,
        "progress": False,
    }


def test_transform_and_scaler_reach_the_forecaster(run, calls, history):
    run(*basic(history), "--transform", "yeo-johnson", "--scaler", "robust")
    assert calls["settings"]["transform"] == "yeo-johnson"
    assert calls["settings"]["scaler"] == "robust"


@pytest.mark.parametrize(("text", "fill"), [("last", "last"), ("seasonal", "seasonal"), ("-2.5", -2.5), ("0", 0.0)])
def test_a_filling_is_a_word_or_a_number(run, calls, history, text, fill):
    run(*basic(history), "--fill", text)
    assert calls["settings"]["fill"] == fill
    assert isinstance(calls["settings"]["fill"], type(fill))


def test_quiet_says_nothing(run, calls, history, tmp_path):
    _, out, err = run(*basic(history), "--quiet", "--out", tmp_path / "out.csv")
    assert out == ""
    assert err.replace("progress\n", "") == ""


def test_roles_are_passed_as_the_file_names_them(run, calls, history, future):
    table = pd.read_csv(history).assign(site="a", kind="x", wind=0.0)
    table.to_csv(history, index=False)
    pd.read_csv(future).assign(site="a").to_csv(future, index=False)
    run(
        *basic(history),
        *("--target", "wind", "--series", "site", "--known", "price", "--past", "load", "--static", "kind"),
        *("--future", future),
    )
    assert calls["roles"] == {
        "time": "day",
        "target": ["load", "wind"],
        "series": "site",
        "known": ["price"],
        "past": ["load"],
        "static": ["kind"],
    }
    assert calls["known"]["day"].dtype.kind == "M"


def test_labels_that_are_not_text_are_found(run, calls, tmp_path):
    path = tmp_path / "history.parquet"
    pd.DataFrame({0: pd.date_range("2024-01-01", periods=9), 7: 1.0}).to_parquet(path)
    run("forecast", path, "--time", "0", "--target", "7", "--horizon", 3)
    assert (calls["roles"]["time"], calls["roles"]["target"]) == (0, 7)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_every_format_is_read_and_written(run, calls, history, tmp_path, suffix):
    frame = pd.read_csv(history, parse_dates=["day"])
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    frame.to_parquet(source) if suffix == ".parquet" else frame.to_csv(source, index=False)
    code, out, err = run(*basic(source), "--out", target)
    assert (code, out) == (0, "")
    assert str(target) in err
    pd.testing.assert_frame_equal(calls["history"], frame, check_dtype=False)
    read = pd.read_parquet(target) if suffix == ".parquet" else pd.read_csv(target)
    assert len(read) == HORIZON
    if suffix == ".csv.gz":
        assert gzip.decompress(target.read_bytes()).startswith(b"day,")


def test_picture_and_model_are_written(run, calls, history, tmp_path):
    run(*basic(history), "--plot", tmp_path / "p.png", "--save", tmp_path / "model")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert calls["saved"] == tmp_path / "model"


def test_several_targets_get_a_picture_each(run, calls, history, tmp_path):
    _, _, err = run(*basic(history), "--target", "price", "--plot", tmp_path / "p.png")
    assert sorted(file.name for file in tmp_path.glob("*.png")) == ["p-load.png", "p-price.png"]
    assert "p-price.png" in err


TIMES = {
    "dates": (["2024-01-01", "2024-01-02"], "datetime64"),
    "slashes": (["2024/01/01", "2024/01/02"], "datetime64"),
    "zone": (["2024-01-01T00:00+01:00", "2024-01-02T00:00+01:00"], "UTC+01:00"),
    "zone over daylight saving": (["2024-03-30T00:00+01:00", "2024-04-01T00:00+02:00"], "UTC"),
    "day first": (["01/02/2024", "13/02/2024"], "datetime64"),
    "words": (["1 Feb 2024", "2 Feb 2024"], "datetime64"),
    "a gap": (["2024-01-01", None], "datetime64"),
    "whole numbers": ([1, 2], "int"),
}


@pytest.mark.parametrize("case", TIMES)
def test_times_are_read(case, tmp_path):
    values, dtype = TIMES[case]
    path = tmp_path / "a.csv"
    pd.DataFrame({"day": values}).to_csv(path, index=False)
    assert dtype in str(read_table(path, "day")[0]["day"].dtype)


def test_the_day_comes_first_where_only_that_reads_every_row(tmp_path):
    path = write(tmp_path / "a.csv", "day\n01/02/2024\n13/02/2024\n")
    assert list(read_table(path, "day")[0]["day"].dt.month) == [2, 2]


def test_dates_without_hours_are_read_from_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"day": [pd.Timestamp("2024-01-01").date()]}).to_parquet(path)
    assert read_table(path, "day")[0]["day"].dtype.kind == "M"


def write(path, text):
    path.write_text(text)
    return path


REFUSED = {
    "no file": (lambda d: [d / "none.csv"], "none.csv"),
    "unknown suffix": (lambda d: [write(d / "a.xlsx", "x")], ".csv, .csv.gz or .parquet"),
    "a folder": (lambda d: [d], "a name ending in"),
    "empty file": (lambda d: [write(d / "a.csv", "")], "cannot be read"),
    "ragged file": (lambda d: [write(d / "a.csv", "day,load\n1,2\n1,2,3\n")], "cannot be read"),
    "not Parquet": (lambda d: [write(d / "a.parquet", "day,load\n1,2\n")], "cannot be read"),
    "bad time": (lambda d: [write(d / "a.csv", "day,load\n2024-01-01,2\nsoon,2\n")], "column 'day', first at row 2"),
    "the time of the run": (lambda d: [write(d / "a.csv", "day,load\n2024-01-01,2\nnow,2\n")], "such as 'now'"),
    "day or month": (lambda d: [write(d / "a.csv", "day,load\n01/02/2024,2\n01/03/2024,2\n")], "could be either"),
    "missing column": (lambda d: [write(d / "a.csv", "date,load\n2024-01-01,2\n")], "column 'day'"),
    "bad quantiles": (lambda d: [d / "history.csv", "--quantiles", "10%"], "--quantiles '10%'"),
    "out: no folder": (lambda d: [d / "history.csv", "--out", d / "none/a.csv"], "Create it first"),
    "out: unknown suffix": (lambda d: [d / "history.csv", "--out", d / "a.xlsx"], "a name ending in"),
    "out: a folder": (lambda d: [d / "history.csv", "--out", d], "a folder at"),
    "plot: no folder": (lambda d: [d / "history.csv", "--plot", d / "none/a.png"], "Create it first"),
    "plot: unknown suffix": (lambda d: [d / "history.csv", "--plot", d / "a.bmp"], ".png, .svg or .pdf"),
    "save: no folder": (lambda d: [d / "history.csv", "--save", d / "none/model"], "Create it first"),
    "known alone": (lambda d: [d / "history.csv", "--known", "price"], "--future FILE"),
    "future alone": (lambda d: [d / "history.csv", "--future", d / "future.csv"], "--known COL"),
    "future: no column": (
        lambda d: [d / "history.csv", "--known", "load", "--future", d / "future.csv"],
        "column 'load': found no such column in the --future file",
    ),
    "future: too short": (
        lambda d: [
            *(d / "history.csv", "--known", "price", "--future"),
            write(d / "short.csv", "day,price\n2024-02-09,1\n2024-02-10,1\n"),
        ],
        "Found 1 known-future rows after 2024-02-09; expected 3",
    ),
    "future: other times": (
        lambda d: [*(d / "history.csv", "--known", "price", "--future"), write(d / "f.csv", "day,price\n1,1\n")],
        "times of type int64",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_one_message_before_any_training(case, run, calls, history, future, tmp_path):
    arguments, message = REFUSED[case]
    file, *rest = arguments(tmp_path)
    code, out, err = run(*basic(file), *rest)
    assert (code, out) == (2, "")
    assert err.replace("progress\n", "").startswith("Error: ")
    assert message in err
    assert "Traceback" not in err
    assert "known" not in calls, "it forecast"
    assert case == "missing column" or "roles" not in calls, "it trained"


def test_all_problems_come_at_once(run, calls, tmp_path):
    code, _, err = run(*basic(tmp_path / "none.csv"), "--out", tmp_path / "none/a.csv", "--known", "price")
    assert code == 2
    assert "3 problems" in err


def test_a_future_file_is_counted_per_series(run, calls, history, future, tmp_path):
    table = pd.read_csv(history)
    pd.concat([table.assign(site="a"), table.assign(site="b")]).to_csv(history, index=False)
    pd.read_csv(future).assign(site="a").to_csv(future, index=False)
    code, _, err = run(*basic(history), "--series", "site", "--known", "price", "--future", future)
    assert code == 2
    assert "series 'b'" in err
    assert "series 'a'" not in err


def test_a_closed_folder_is_refused_before_training(run, calls, history, tmp_path, monkeypatch):
    def closed(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", closed)
    code, _, err = run(*basic(history), "--out", tmp_path / "a.csv")
    assert code == 2
    assert "nothing can be written (Permission denied)" in err
    assert calls == {}


@pytest.mark.parametrize(("extra", "module"), [("parquet", "pyarrow"), ("plot", "matplotlib")])
def test_a_missing_extra_is_named_before_training(extra, module, run, calls, history, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == module else name)
    code, _, err = run(*basic(history), "--out", tmp_path / "a.parquet", "--plot", tmp_path / "a.png")
    assert code == 2
    assert f'pip install "hourglass_ts[{extra}]"' in err
    assert calls == {}


def test_a_failed_write_leaves_the_old_file(run, calls, history, tmp_path, monkeypatch):
    out = write(tmp_path / "out.csv", "old")

    def fail(self, path, **_):
        Path(path).write_text("half")
        raise RuntimeError("disk")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    monkeypatch.setattr(sys, "argv", ["hourglass-ts", *map(str, basic(history)), "--out", str(out)])
    with pytest.raises(RuntimeError, match="disk"):
        cli.main()
    assert out.read_text() == "old"
    assert not list(tmp_path.glob(".*"))


def test_a_wrong_option_is_a_usage_error(run):
    code, _, err = run("forecast", "--horizon", "many")
    assert code == 2
    assert "Usage" in err


def test_other_errors_keep_their_traceback(run, monkeypatch):
    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_version(run):
    import hourglass_ts

    assert run("--version") == (0, f"{hourglass_ts.__version__}\n", "")


def test_demo_is_given_its_folder(run, monkeypatch, tmp_path):
    seen = []
    module = ModuleType("hourglass_ts.demo")
    module.run = seen.append
    monkeypatch.setitem(sys.modules, "hourglass_ts.demo", module)
    run("demo")
    run("demo", "--out", tmp_path)
    assert seen == [Path("demo"), tmp_path]


def test_data_lists_the_registry(run):
    from hourglass_ts.frames.registry import list_datasets

    code, out, _ = run("data")
    assert code == 0
    assert out
    assert all(str(name) in out for name in list_datasets())


@pytest.mark.parametrize("arguments", [["--help"], ["forecast", "--help"]], ids=" ".join)
def test_help_imports_nothing_heavy(arguments):
    code = f"""
import sys
sys.argv = ["hourglass-ts", *{arguments}]
from hourglass_ts.cli.main import main
try:
    main()
finally:
    heavy = {{"torch", "pandas", "numpy", "sklearn", "lightning", "matplotlib", "rich", "pygments"}}
    print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert run.stderr.strip() == "[]"
    assert "Usage: hourglass-ts" in run.stdout


def test_end_to_end_with_the_real_forecaster(run, tmp_path):
    n, rng = 120, np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=n, freq="D")
    table = pd.DataFrame({"Day": days, "Load": 10 + np.sin(np.arange(n) * 2 * np.pi / 7) + 0.1 * rng.normal(size=n)})
    table.to_csv(tmp_path / "in.csv", index=False)
    out, plot = tmp_path / "out.csv", tmp_path / "out.png"
    code, _, err = run(
        *("forecast", tmp_path / "in.csv", "--time", "Day", "--target", "Load", "--horizon", 7, "--context", 28),
        *("--max-epochs", 1, "--quiet", "--out", out, "--plot", plot, "--save", tmp_path / "model"),
    )
    assert code == 0, err
    frame = pd.read_csv(out, parse_dates=["Day"])
    assert list(frame.columns) == ["Day", "forecast", "q0.1", "q0.5", "q0.9"]
    assert list(frame["Day"]) == list(pd.date_range(days[-1], periods=8, freq="D")[1:])
    assert np.isfinite(frame.drop(columns="Day").to_numpy()).all()
    assert plot.exists()
    assert (tmp_path / "model").is_dir()


@pytest.mark.parametrize("command", ["forecast", "backtest", "audit"])
def test_a_pipeline_is_handed_over(command, run, history, monkeypatch):
    handed = {}

    def stop(self, **settings):
        handed.update(settings)
        raise DataError("enough")

    monkeypatch.setattr("hourglass_ts.forecaster.HourGlassForecaster.__init__", stop)
    arguments = ["--time", "day", "--target", "load", "--horizon", HORIZON, "--pipeline", "weather"]
    code, _, stderr = run(command, history, *arguments)
    assert (code, handed["pipeline"]) == (2, "weather")
    assert "enough" in stderr


def test_stocks_through_their_pipeline(run, tmp_path):
    from hourglass_ts import load_dataset

    raw = load_dataset("stocks").query("symbol == 'IBM' and date > '2012-09-01'")
    raw.drop(columns="symbol").to_csv(tmp_path / "ibm.csv", index=False)
    out, plot = tmp_path / "out.csv", tmp_path / "out.png"
    roles = ["--time", "date", "--target", "volatility", "--past", "return"]
    sizes = ["--horizon", 2, "--context", 20, "--time-budget", 1, "--quiet"]
    code, _, stderr = run(
        "forecast", tmp_path / "ibm.csv", *roles, *sizes, "--pipeline", "stocks", "--out", out, "--plot", plot
    )
    assert code == 0, stderr
    found = pd.read_csv(out)
    assert found["date"].tolist() == ["2013-03-04", "2013-03-05"]
    assert (found.drop(columns="date") > 0).all(axis=None)
    assert plot.stat().st_size > 1000
