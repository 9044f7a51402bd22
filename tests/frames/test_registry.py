"""The registry: what ships is unaltered and carded; what is missing or corrupted is named with its checksum."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.frames import registry
from hourglass_ts.frames.registry import dataset_info, dataset_path, list_datasets, load_dataset
from hourglass_ts.frames.schema import Roles, check_frame

pytestmark = pytest.mark.filterwarnings("error")
SHIPPED = [name for name in list_datasets() if dataset_info(name).shipped]


@pytest.fixture(autouse=True)
def _no_folder(monkeypatch):
    monkeypatch.delenv(registry.FOLDER_VARIABLE, raising=False)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_data_loads_and_passes_the_check(name):
    info, df = dataset_info(name), load_dataset(name)
    assert df[info.time].dtype.kind == "M"
    panel = check_frame(df, Roles.from_arguments(info.time, info.target, info.series))
    assert {calendar.freq for calendar in panel.calendars} == {info.freq}
    assert panel.table["__observed__"].sum() == len(df)


@pytest.mark.parametrize("name", SHIPPED)
def test_cards_state_checksum_rows_and_columns(name):
    card = (dataset_path(name).parent / "CARD.md").read_text(encoding="utf-8")
    df = load_dataset(name)
    assert dataset_info(name).sha256 in card
    assert f"{len(df):,} rows" in card
    for column in df.columns:
        assert f"`{column}`" in card


def test_stocks_are_long_and_tidy():
    df = load_dataset("stocks")
    assert df.groupby("symbol").size().to_dict() == {"AAPL": 3270, "FB": 196, "GOOG": 2148, "IBM": 3270, "MSFT": 3270}
    assert (df.low <= df.high).all()


def test_missing_file_says_what_to_do(monkeypatch, tmp_path):
    info = dataset_info("etth1")
    for folder in (None, tmp_path):
        if folder:
            monkeypatch.setenv(registry.FOLDER_VARIABLE, str(folder))
        with pytest.raises(DataError) as caught:
            load_dataset("etth1")
        for piece in ("ETTh1.csv", info.sha256, info.source, registry.FOLDER_VARIABLE, str(folder or "not set")):
            assert piece in str(caught.value)


def test_corrupted_file_is_refused_even_where_a_good_one_ships(monkeypatch, tmp_path):
    good = dataset_path("seattle-weather").read_bytes()
    monkeypatch.setenv(registry.FOLDER_VARIABLE, str(tmp_path))
    copy = tmp_path / "seattle-weather.csv"
    copy.write_bytes(good)
    assert dataset_path("seattle-weather") == copy
    copy.write_bytes(good[:-1])
    with pytest.raises(DataError) as caught:
        load_dataset("seattle-weather")
    for piece in (str(copy), dataset_info("seattle-weather").sha256, hashlib.sha256(good[:-1]).hexdigest()):
        assert piece in str(caught.value)
    copy.unlink()
    assert dataset_path("seattle-weather").read_bytes() == good


def test_installed_layout_is_found(monkeypatch, tmp_path):
    (tmp_path / "weather").mkdir()
    inside = tmp_path / "weather" / "seattle-weather.csv"
    inside.write_bytes(dataset_path("seattle-weather").read_bytes())
    monkeypatch.setattr(registry, "_SHIPPED", (tmp_path,))
    assert dataset_path("seattle-weather") == inside


def _put(monkeypatch, folder: Path, name: str, text: str) -> None:
    """Make `name` a small file of our own, with its own checksum."""
    info = dataset_info(name)
    (folder / info.file).write_text(text, encoding="utf-8")
    fields = {**info.__dict__, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    monkeypatch.setitem(registry._DATASETS, name, registry.DataSet(**fields))
    monkeypatch.setenv(registry.FOLDER_VARIABLE, str(folder))


def test_m4_becomes_long(monkeypatch, tmp_path):
    _put(monkeypatch, tmp_path, "m4-weekly", '"V1","V2","V3","V4"\n"W2","1","2.5",\n"W1","7","8","9"\n')
    df = load_dataset("m4-weekly")
    expected = {"series": ["W2", "W2", "W1", "W1", "W1"], "step": [1, 2, 1, 2, 3], "value": [1, 2.5, 7, 8, 9]}
    pd.testing.assert_frame_equal(df, pd.DataFrame(expected), check_dtype=False)


def test_dates_and_broken_units(monkeypatch, tmp_path):
    _put(monkeypatch, tmp_path, "exchange", "date,0,OT\n1990/1/1 0:00,1,2\n1990/1/2 0:00,3,4\n")
    assert load_dataset("exchange")["date"].tolist() == list(pd.date_range("1990-01-01", periods=2))
    _put(monkeypatch, tmp_path, "weather", "date,SWDR (W/m\ufffd),OT\n2020-01-01 00:10:00,1,-9999\n")
    assert load_dataset("weather").columns.tolist() == ["date", "SWDR (W/m²)", "OT"]


def test_unknown_name_suggests_the_closest():
    with pytest.raises(SettingsError, match="Did you mean 'etth"):
        load_dataset("etth")
    with pytest.raises(SettingsError, match="list_datasets"):
        dataset_path("?")
