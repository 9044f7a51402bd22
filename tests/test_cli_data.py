"""`hourglass-ts data`: what there is, what is known of it, and how it comes here."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hourglass_ts.cli import main as cli
from hourglass_ts.frames.catalogue import DATASETS
from hourglass_ts.frames.registry import FOLDER_VARIABLE, dataset_path

REPOSITORY = Path(__file__).resolve().parents[1]
CONTENT = b"date,HUFL,OT\n2016-07-01 00:00:00,1.5,30\n"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line as a shell does: arguments → exit code, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["hourglass-ts", "data", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """The user's folder, and no other."""
    path = tmp_path / "data"
    path.mkdir()
    monkeypatch.setenv(FOLDER_VARIABLE, str(path))
    monkeypatch.setattr("hourglass_ts.frames.registry.cache_folder", lambda: None)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return path


@pytest.fixture
def served(monkeypatch, tmp_path):
    """`etth1` and `etth2` as small files on a server of our own; gives their folder there."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    path = tmp_path / "served"
    path.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=path)) as server:
        for name in ("etth1", "etth2"):
            info = DATASETS[name]
            (path / info.file).write_bytes(CONTENT)
            url = f"http://127.0.0.1:{server.server_port}/{info.file}"
            changed = {"url": url, "sha256": hashlib.sha256(CONTENT).hexdigest(), "size": len(CONTENT)}
            monkeypatch.setitem(DATASETS, name, dataclasses.replace(info, **changed))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield path
        server.shutdown()
        thread.join()


def states(out):
    """Name → the rest of its line, up to the title."""
    return {
        line.split()[0]: line.split(DATASETS[line.split()[0]].title)[0].split(maxsplit=1)[1].strip() for line in out
    }


def test_the_list_says_what_is_here(run, folder, served):
    (folder / "ETTh1.csv").write_bytes(CONTENT)
    (folder / "weather.csv").write_bytes(b"other")
    code, out, err = run("list")
    assert (code, err) == (0, "")
    found = states(out.splitlines())
    assert list(found) == list(DATASETS)
    expected = {"seattle-weather": "shipped", "etth1": "found", "weather": "altered", "ili": "to be fetched (68 kB)"}
    assert expected.items() <= found.items()
    assert found["ettm1"] == "to be fetched (10.4 MB)"


def test_data_alone_lists(run):
    assert run() == run("list")


def test_get_fetches_and_prints_where_it_lies(run, folder, served):
    code, out, err = run("get", "etth1", "stocks", "etth2")
    assert (code, err) == (0, "")
    paths = [Path(line) for line in out.splitlines()]
    assert paths == [folder / "ETTh1.csv", dataset_path("stocks"), folder / "ETTh2.csv"]
    assert (folder / "ETTh1.csv").read_bytes() == CONTENT
    for file in served.iterdir():
        file.unlink()
    assert run("get", "etth1") == (0, f"{folder / 'ETTh1.csv'}\n", ""), "it was here already"


def test_quiet_reaches_the_download(run, monkeypatch):
    wanted = []
    monkeypatch.setattr("hourglass_ts.frames.registry.fetch", lambda *_, progress, **__: wanted.append(progress))
    run("get", "etth1")
    run("get", "etth1", "--quiet")
    assert wanted == [True, False]


def test_a_failed_get_is_one_message(run, folder, served):
    (served / "ETTh2.csv").write_bytes(b"other")
    code, out, err = run("get", "etth1", "etth2", "etth1")
    assert code == 2
    assert out == f"{folder / 'ETTh1.csv'}\n", "what came before has come"
    assert err.startswith("Error: Found no file ETTh2.csv for data set 'etth2', as its download failed")
    assert err.count("\n") == 1
    for piece in (DATASETS["etth2"].url, DATASETS["etth2"].sha256, str(folder)):
        assert piece in err


def test_a_slip_in_a_name_is_told_before_anything_is_fetched(run, folder, served):
    code, out, err = run("get", "etth1", "etth3")
    assert (code, out) == (2, "")
    assert "Did you mean 'etth" in err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("arguments", [["get"], ["describe"], ["lists"]], ids=" ".join)
def test_a_wrong_call_is_a_usage_error(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Usage" in err


@pytest.mark.parametrize("name", DATASETS)
def test_the_card_says_all_that_is_known(run, name):
    code, out, err = run("describe", name)
    assert (code, err) == (0, "")
    info, words = DATASETS[name], " ".join(out.split())
    for text in (info.title, info.source, info.licence, info.sha256, info.file, f"{info.rows:,} rows", *info.defects):
        assert " ".join(text.split()) in words
    for column in info.columns:
        assert " ".join(f"{column.name} {column.unit or ''} {column.meaning}".split()) in words
    assert (info.url or "CARD.md") in words
    assert max(map(len, out.splitlines())) <= 140


def test_the_card_says_where_the_file_is(run, folder, served):
    assert f"here      shipped: {dataset_path('stocks')}\n" in run("describe", "stocks")[1]
    card = next(line for line in run("describe", "stocks")[1].splitlines() if line.startswith("card"))
    assert Path(card.split(maxsplit=1)[1]).read_text(encoding="utf-8").startswith("# stocks")
    assert "here      to be fetched" in run("describe", "etth1")[1]
    (folder / "ETTh1.csv").write_bytes(CONTENT)
    assert f"here      found: {folder / 'ETTh1.csv'}\n" in run("describe", "etth1")[1]
    (folder / "ETTh1.csv").write_bytes(b"other")
    assert f"here      altered: {folder / 'ETTh1.csv'}\n" in run("describe", "etth1")[1]


def test_the_card_of_a_set_with_sentinels_names_them(run):
    assert "missing   -9999 instead of a value\n" in run("describe", "weather")[1]
    assert "missing" not in run("describe", "etth1")[1]


def test_an_unknown_name_has_no_card(run):
    code, out, err = run("describe", "stock")
    assert (code, out) == (2, "")
    assert "Did you mean 'stocks'?" in err


@pytest.mark.parametrize("arguments", [["--help"], ["get", "--help"]], ids=" ".join)
def test_help_imports_nothing_heavy(arguments):
    code = f"""
import sys
sys.argv = ["hourglass-ts", "data", *{arguments}]
from hourglass_ts.cli.main import main
try:
    main()
finally:
    heavy = {{"torch", "pandas", "numpy", "sklearn", "rich", "http.client", "urllib.request"}}
    print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert run.stderr.strip() == "[]"
    assert "Usage: hourglass-ts data" in run.stdout
