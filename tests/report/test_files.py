"""A file is whole or absent."""

from __future__ import annotations

import pytest

from hourglass_ts.report.files import written_aside


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_text("old")

    def fail():
        with written_aside(path) as aside:
            aside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_text("old")
    with written_aside(path) as aside:
        assert aside.name.endswith(".csv.gz")
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
