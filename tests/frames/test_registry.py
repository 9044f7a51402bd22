"""The registry: every set has a card; what is found is unaltered; what is not is fetched, or named by its checksum."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.frames import registry
from hourglass_ts.frames.catalogue import DATASETS
from hourglass_ts.frames.registry import dataset_info, dataset_path, download_dataset, list_datasets, load_dataset
from hourglass_ts.frames.schema import Roles, check_frame

pytestmark = pytest.mark.filterwarnings("error")
SHIPPED = [name for name in list_datasets() if dataset_info(name).shipped]
NAMES = {"etth1", "etth2", "ettm1", "ettm2", "weather", "exchange", "ili", "m4-weekly", "m4-hourly"}
CACHE_FOLDER = registry.cache_folder  # the real one: no test has it otherwise
REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = "date,HUFL,OT\n2016-07-01 00:00:00,1.5,30\n2016-07-01 01:00:00,2.5,31\n"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """No folder of the user's, an empty cache that is not yet there, and nothing from outside."""
    monkeypatch.delenv(registry.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(registry, "cache_folder", lambda: tmp_path / "cache" / "datasets")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache" / "datasets"


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """The user's folder."""
    path = tmp_path / "data"
    path.mkdir()
    monkeypatch.setenv(registry.FOLDER_VARIABLE, str(path))
    return path


@pytest.fixture
def small(monkeypatch, tmp_path):
    """`etth1` as a small file of our own on a server of our own; gives the file behind it, to alter or remove."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    served = tmp_path / "served"
    served.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=served)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        _register(monkeypatch, "etth1", SMALL, url=f"http://127.0.0.1:{server.server_port}/ETTh1.csv")
        (served / "ETTh1.csv").write_text(SMALL, encoding="utf-8")
        yield served / "ETTh1.csv"
        server.shutdown()
        thread.join()


def _register(monkeypatch, name: str, text: str, **changed) -> None:
    """Make `name` a small file of our own, with its own checksum."""
    content = text.encode()
    changed |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    monkeypatch.setitem(DATASETS, name, dataclasses.replace(DATASETS[name], **changed))


def _put(monkeypatch, folder: Path, name: str, text: str) -> None:
    _register(monkeypatch, name, text)
    (folder / dataset_info(name).file).write_text(text, encoding="utf-8")


# What there is


def test_the_sets_that_users_expect_are_there():
    assert set(SHIPPED) == {"seattle-weather", "stocks"}
    assert set(list_datasets()) >= NAMES | set(SHIPPED)


@pytest.mark.parametrize("name", list_datasets())
def test_every_set_has_a_whole_card(name):
    info = dataset_info(name)
    labels = [column.name for column in info.columns]
    assert info.title
    assert info.licence
    assert info.source
    assert info.defects
    assert re.fullmatch(r"[0-9a-f]{64}", info.sha256)
    assert info.rows > 0
    assert info.size > 0
    assert len(set(labels)) == len(labels)
    assert {info.time, *filter(None, [info.target, info.series])} <= set(labels)
    assert all(column.meaning and column.unit != "" for column in info.columns)
    assert (info.url is None) == (info.shipped is not None)
    assert info.url is None or info.url.startswith("https://")


def test_no_two_sets_share_a_file():
    infos = DATASETS.values()
    assert len({info.file for info in infos}) == len({info.sha256 for info in infos}) == len(infos)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_data_loads_and_passes_the_check(name):
    info, df = dataset_info(name), load_dataset(name)
    assert df[info.time].dtype.kind == "M"
    assert (len(df), list(df)) == (info.rows, [column.name for column in info.columns])
    assert dataset_path(name).stat().st_size == info.size
    panel = check_frame(df, Roles.from_arguments(info.time, info.target, info.series))
    assert {calendar.freq for calendar in panel.calendars} == {info.freq}
    assert panel.table["__observed__"].sum() == len(df)


@pytest.mark.parametrize("name", SHIPPED)
def test_cards_state_checksum_rows_and_columns(name):
    card = registry.card_of(dataset_info(name)).read_text(encoding="utf-8")
    df = load_dataset(name)
    assert dataset_info(name).sha256 in card
    assert f"{len(df):,} rows" in card
    for column in df.columns:
        assert f"`{column}`" in card


def test_stocks_are_long_and_tidy():
    df = load_dataset("stocks")
    assert df.groupby("symbol").size().to_dict() == {"AAPL": 3270, "FB": 196, "GOOG": 2148, "IBM": 3270, "MSFT": 3270}
    assert (df.low <= df.high).all()


def test_unknown_name_suggests_the_closest():
    with pytest.raises(SettingsError, match="Did you mean 'etth"):
        load_dataset("etth")
    with pytest.raises(SettingsError, match="list_datasets"):
        dataset_path("?")


# What is loaded


def test_units_are_on_the_frame():
    assert load_dataset("seattle-weather").attrs == {
        "name": "seattle-weather",
        "units": {"precipitation": "mm", "temp_max": "°C", "temp_min": "°C", "wind": "m/s"},
    }
    prices = dict.fromkeys(["open", "high", "low", "close", "adjusted_close"], "$ per share")
    assert load_dataset("stocks").attrs["units"] == prices | {"volume": "shares"}


def test_units_of_fetched_sets():
    weather = dataset_info("weather").units
    assert len(weather) == len(dataset_info("weather").columns) - 1
    expected = {"p (mbar)": "mbar", "T (degC)": "°C", "rh (%)": "%", "rho (g/m**3)": "g/m³", "wd (deg)": "°"}
    expected |= {"SWDR (W/m²)": "W/m²", "max. PAR (µmol/m²/s)": "µmol/m²/s", "rain (mm)": "mm"}
    assert expected.items() <= weather.items()
    assert dataset_info("etth1").units == {"OT": "°C"}
    assert dataset_info("m4-weekly").units == {}


def test_attrs_are_plain_and_survive_what_pandas_does(tmp_path):
    df = load_dataset("stocks")
    assert json.loads(json.dumps(df.attrs)) == df.attrs
    halves = pd.concat([df[:6000], df[6000:]])
    assert halves.attrs == df.attrs
    pd.testing.assert_frame_equal(halves, df)
    assert pd.concat([df, load_dataset("seattle-weather")]).attrs == {}
    df.to_parquet(tmp_path / "stocks.parquet")
    assert pd.read_parquet(tmp_path / "stocks.parquet").attrs == df.attrs
    df.attrs["units"]["close"] = "€"
    assert load_dataset("stocks").attrs["units"]["close"] == "$ per share", "one user's change reached another"


def test_m4_becomes_long(monkeypatch, folder):
    _put(monkeypatch, folder, "m4-weekly", '"V1","V2","V3","V4"\n"W2","1","2.5",\n"W1","7","8","9"\n')
    df = load_dataset("m4-weekly")
    expected = {"series": ["W2", "W2", "W1", "W1", "W1"], "step": [1, 2, 1, 2, 3], "value": [1, 2.5, 7, 8, 9]}
    pd.testing.assert_frame_equal(df, pd.DataFrame(expected), check_dtype=False)
    assert df.attrs == {"name": "m4-weekly", "units": {}}


def test_exchange_rates_become_long(monkeypatch, folder):
    _put(monkeypatch, folder, "exchange", "date,0,OT\n1990/1/1 0:00,1,2\n1990/1/2 0:00,3,4\n")
    df, days = load_dataset("exchange"), pd.date_range("1990-01-01", periods=2)
    expected = pd.DataFrame({"currency": ["0", "0", "OT", "OT"], "date": [*days, *days], "rate": [1, 3, 2, 4]})
    pd.testing.assert_frame_equal(df, expected, check_dtype=False)
    info = dataset_info("exchange")
    panel = check_frame(df, Roles.from_arguments(info.time, info.target, info.series))
    assert {calendar.freq for calendar in panel.calendars} == {info.freq}


def test_broken_units_are_repaired_and_sentinels_named(monkeypatch, folder):
    text = "date,SWDR (W/m\ufffd),PAR (\ufffdmol/m\ufffd/s),OT\n2020-01-01 00:10:00,1,2,-9999\n"
    _put(monkeypatch, folder, "weather", text)
    df = load_dataset("weather")
    assert df.columns.tolist() == ["date", "SWDR (W/m²)", "PAR (µmol/m²/s)", "OT"]
    assert df["OT"].tolist() == [-9999], "values are as in the file"
    assert df.attrs["sentinels"] == [-9999.0]
    assert df.attrs["units"] == {"SWDR (W/m²)": "W/m²", "PAR (µmol/m²/s)": "µmol/m²/s", "OT": "ppm"}


# Where it is looked for


def test_the_users_folder_comes_before_the_cache(monkeypatch, tmp_path, folder, cache):
    _put(monkeypatch, folder, "etth1", SMALL)
    cache.mkdir(parents=True)
    (cache / "ETTh1.csv").write_text(SMALL, encoding="utf-8")
    assert dataset_path("etth1") == folder / "ETTh1.csv"
    (folder / "ETTh1.csv").unlink()
    assert dataset_path("etth1") == cache / "ETTh1.csv"
    monkeypatch.delenv(registry.FOLDER_VARIABLE)
    assert dataset_path("etth1") == cache / "ETTh1.csv"
    assert load_dataset("etth1")["HUFL"].tolist() == [1.5, 2.5]


def test_installed_layout_is_found(monkeypatch, tmp_path):
    (tmp_path / "weather").mkdir()
    inside = tmp_path / "weather" / "seattle-weather.csv"
    inside.write_bytes(dataset_path("seattle-weather").read_bytes())
    monkeypatch.setattr(registry, "_SHIPPED", (tmp_path,))
    assert dataset_path("seattle-weather") == inside


def test_a_folder_may_be_named_by_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv(registry.FOLDER_VARIABLE, "~/data")
    assert registry.data_folder() == tmp_path / "data"
    monkeypatch.setenv(registry.FOLDER_VARIABLE, "")
    assert registry.data_folder() is None


CACHES = {
    "linux": ("linux", {}, "/home/me/.cache/hourglass_ts/datasets"),
    "linux, XDG": ("linux", {"XDG_CACHE_HOME": "/big/cache"}, "/big/cache/hourglass_ts/datasets"),
    "linux, XDG relative": ("linux", {"XDG_CACHE_HOME": "cache"}, "/home/me/.cache/hourglass_ts/datasets"),
    "mac": ("darwin", {"XDG_CACHE_HOME": "/big/cache"}, "/home/me/Library/Caches/hourglass_ts/datasets"),
    "windows": ("win32", {"LOCALAPPDATA": "/home/me/AppData/Local"}, "/home/me/AppData/Local/hourglass_ts/datasets"),
    "windows, unset": ("win32", {}, None),
    "no home": ("linux", {"HOME": "~"}, None),
}


@pytest.mark.skipif(sys.platform == "win32", reason="paths as POSIX writes them")
@pytest.mark.parametrize("case", CACHES)
def test_the_cache_is_where_the_platform_keeps_caches(case, monkeypatch):
    platform, environment, expected = CACHES[case]
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"HOME": "/home/me"} | environment).items():
        monkeypatch.setenv(name, value)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", platform)
        found = CACHE_FOLDER()
    assert found == (Path(expected) if expected else None)


# What is fetched


def test_what_is_nowhere_is_fetched_into_the_cache_and_found_from_then_on(cache, small):
    with pytest.raises(DataError, match="no file ETTh1"):
        dataset_path("etth1")
    df = load_dataset("etth1")
    assert df["date"].tolist() == list(pd.date_range("2016-07-01", periods=2, freq="h"))
    assert df.attrs == {"name": "etth1", "units": {"OT": "°C"}}
    assert [path.name for path in cache.iterdir()] == ["ETTh1.csv"]
    small.unlink()
    assert load_dataset("etth1").equals(df)
    assert download_dataset("etth1") == dataset_path("etth1") == cache / "ETTh1.csv"


def test_the_users_folder_gets_what_is_fetched(small, folder, cache):
    assert download_dataset("etth1", progress=False) == folder / "ETTh1.csv"
    assert not cache.exists()


def test_finding_downloads_nothing(monkeypatch):
    monkeypatch.setattr(registry, "fetch", lambda *_, **__: pytest.fail("it went to the network"))
    for name in set(list_datasets()) - set(SHIPPED):
        with pytest.raises(DataError, match=re.escape(dataset_info(name).sha256)):
            dataset_path(name)
    for name in SHIPPED:
        assert download_dataset(name) == dataset_path(name)


def test_progress_is_passed_on(monkeypatch, cache):
    wanted = []
    monkeypatch.setattr(registry, "fetch", lambda *_, progress, **__: wanted.append(progress))
    download_dataset("etth1")
    download_dataset("etth1", progress=False)
    assert wanted == [True, False]


def test_an_altered_file_of_the_users_is_refused_and_left_alone(small, folder):
    own = folder / "ETTh1.csv"
    own.write_text("mine", encoding="utf-8")
    for call in (load_dataset, dataset_path, download_dataset):
        with pytest.raises(DataError) as caught:
            call("etth1")
        for piece in (str(own), dataset_info("etth1").sha256, hashlib.sha256(b"mine").hexdigest()):
            assert piece in str(caught.value)
    assert own.read_text() == "mine"
    assert list(folder.iterdir()) == [own]


def test_an_altered_file_is_refused_even_where_a_good_one_ships(folder):
    good = dataset_path("seattle-weather").read_bytes()
    copy = folder / "seattle-weather.csv"
    copy.write_bytes(good)
    assert dataset_path("seattle-weather") == copy
    copy.write_bytes(good[:-1])
    with pytest.raises(DataError) as caught:
        load_dataset("seattle-weather")
    for piece in (str(copy), dataset_info("seattle-weather").sha256, hashlib.sha256(good[:-1]).hexdigest()):
        assert piece in str(caught.value)
    copy.unlink()
    assert dataset_path("seattle-weather").read_bytes() == good


def test_an_altered_file_in_the_cache_is_replaced(small, cache):
    cache.mkdir(parents=True)
    (cache / "ETTh1.csv").write_text("half", encoding="utf-8")
    with pytest.raises(DataError, match="no file ETTh1"):
        dataset_path("etth1")
    assert load_dataset("etth1")["OT"].tolist() == [30, 31]
    assert (cache / "ETTh1.csv").read_text() == SMALL


def test_an_altered_file_in_the_cache_stays_while_no_other_comes(small, cache):
    cache.mkdir(parents=True)
    (cache / "ETTh1.csv").write_text("half", encoding="utf-8")
    small.unlink()
    with pytest.raises(DataError, match="404"):
        load_dataset("etth1")
    assert (cache / "ETTh1.csv").read_text() == "half"


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


FAILURES = {
    "offline": (lambda served: None, "no connection"),
    "gone": (lambda served: served.unlink(), "answered 404"),
    "altered": (lambda served: served.write_text(SMALL[::-1]), hashlib.sha256(SMALL[::-1].encode()).hexdigest()),
}


@pytest.mark.parametrize("case", FAILURES)
@pytest.mark.parametrize("own", [True, False], ids=["own folder", "cache"])
def test_a_failed_download_says_which_file_from_where_which_checksum_and_where_to_put_it(
    case, own, small, cache, monkeypatch, tmp_path
):
    break_it, reason = FAILURES[case]
    break_it(small)
    if case == "offline":
        _register(monkeypatch, "etth1", SMALL, url=f"http://127.0.0.1:{_closed_port()}/ETTh1.csv")
    if own:
        monkeypatch.setenv(registry.FOLDER_VARIABLE, str(tmp_path))
    info = dataset_info("etth1")
    with pytest.raises(DataError) as caught:
        load_dataset("etth1")
    message = str(caught.value)
    for piece in ("'etth1'", info.file, info.url, info.sha256, registry.FOLDER_VARIABLE, reason):
        assert piece in message
    assert f"put the file into {tmp_path if own else cache}," in message
    assert not (tmp_path / "ETTh1.csv").exists()
    assert not (cache / "ETTh1.csv").exists()


def test_the_file_put_where_the_error_says_is_found(small, cache):
    text = small.read_text()
    small.unlink()
    with pytest.raises(DataError, match=f"put the file into {re.escape(str(cache))}"):
        load_dataset("etth1")
    (cache / "ETTh1.csv").write_text(text, encoding="utf-8")
    assert len(load_dataset("etth1")) == 2


def _no_folder(path):
    """The user's folder may be a slip: it is not made."""


def _file_in_its_place(path):
    path.write_text("a file")


UNWRITABLE = {
    "no folder": (_no_folder, "No such file or directory"),
    "a file in its place": (_file_in_its_place, "Not a directory"),
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_a_folder_that_cannot_be_written_is_one_clear_error(case, small, monkeypatch, tmp_path):
    prepare, reason = UNWRITABLE[case]
    place = tmp_path / "data"
    prepare(place)
    monkeypatch.setenv(registry.FOLDER_VARIABLE, str(place))
    with pytest.raises(DataError) as caught:
        load_dataset("etth1")
    info = dataset_info("etth1")
    for piece in (f"folder {place}", reason, info.file, info.url, info.sha256, registry.FOLDER_VARIABLE):
        assert piece in str(caught.value)
    assert case != "no folder" or not place.exists()


def test_a_cache_that_cannot_be_made_is_one_clear_error(small, cache):
    cache.parent.write_text("a file in its place")
    with pytest.raises(DataError, match=f"folder {re.escape(str(cache))}, where ETTh1.csv cannot be written"):
        load_dataset("etth1")


def test_a_full_disk_is_one_clear_error(small, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(registry, "fetch", full)
    with pytest.raises(DataError, match=r"No space left on device.*make room"):
        load_dataset("etth1")


def test_a_user_without_a_home_is_told_of_the_variable(small, monkeypatch):
    monkeypatch.setattr(registry, "cache_folder", lambda: None)
    with pytest.raises(DataError, match=f"folder that {registry.FOLDER_VARIABLE} names"):
        load_dataset("etth1")
    assert load_dataset("seattle-weather").shape == (1461, 6)


def test_a_file_that_cannot_be_read_is_one_clear_error(monkeypatch, folder):
    def closed(_):
        raise PermissionError(errno.EACCES, "Permission denied")

    (folder / "ETTh1.csv").write_text(SMALL, encoding="utf-8")
    monkeypatch.setattr(registry, "sha256_of", closed)
    with pytest.raises(DataError, match=r"ETTh1\.csv, which cannot be read \(Permission denied\)"):
        load_dataset("etth1")


def test_an_installation_without_its_files_is_told_so(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "_SHIPPED", (tmp_path,))
    for call in (load_dataset, dataset_path):
        with pytest.raises(DataError, match="install the library anew"):
            call("stocks")


def test_importing_goes_nowhere_and_makes_nothing(tmp_path):
    code = """
import socket
def refuse(*_, **__):
    raise AssertionError("the network was asked")
socket.socket.connect = socket.getaddrinfo = refuse
import hourglass_ts.frames.registry as registry
registry.list_datasets()
"""
    environment = os.environ | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY, env=environment)
    assert list(tmp_path.iterdir()) == []
