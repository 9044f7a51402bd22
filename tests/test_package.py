"""What a user installs and imports: the public names, the wheel's contents, and the pins."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import hourglass_ts

REPOSITORY = Path(__file__).resolve().parents[1]
HEAVY = ["torch", "pandas", "numpy", "lightning", "pytorch_forecasting", "sklearn", "matplotlib", "optuna"]


def test_importing_the_package_imports_nothing_heavy():
    code = f"import sys, hourglass_ts; dir(hourglass_ts); print([name for name in {HEAVY} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(set(hourglass_ts.__all__) - {"__version__"}))
def test_every_public_name_loads_and_is_documented(name):
    value = getattr(hourglass_ts, name)
    assert value.__name__ == name
    assert value.__doc__


def test_public_names_are_listed():
    assert hourglass_ts.__all__ == sorted(hourglass_ts.__all__)
    assert set(hourglass_ts.__all__) <= set(dir(hourglass_ts))
    assert set(hourglass_ts.__all__) == {*hourglass_ts._MODULE_OF, "__version__"}


def test_type_checkers_see_every_public_name():
    source = Path(hourglass_ts.__file__).read_text(encoding="utf-8")
    for name, module in hourglass_ts._MODULE_OF.items():
        assert re.search(rf"from {re.escape(module)} import .*\b{name}\b", source), name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'HourGlas'"):
        _ = hourglass_ts.HourGlas


def test_version_is_that_of_pyproject():
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{hourglass_ts.__version__}"' in text


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory):
    """Names in a wheel built from a copy: building in place leaves files that a later build would pick up."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    for name in ("hourglass_ts", "datasets"):
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", out, source]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_holds_every_module_and_the_type_marker(wheel_files):
    modules = {file.relative_to(REPOSITORY).as_posix() for file in (REPOSITORY / "hourglass_ts").rglob("*.py")}
    assert modules | {"hourglass_ts/py.typed"} <= wheel_files


def test_wheel_holds_every_data_file(wheel_files):
    files = [
        file for file in (REPOSITORY / "datasets").rglob("*") if file.is_file() and "__pycache__" not in file.parts
    ]
    assert files
    assert {f"hourglass_ts/{file.relative_to(REPOSITORY).as_posix()}" for file in files} <= wheel_files


def test_wheel_brings_one_import_name(wheel_files):
    assert {name.split("/")[0] for name in wheel_files if ".dist-info/" not in name} == {"hourglass_ts"}


def test_pins_name_releases_alone():
    """A path, an address or a local build would bind them to one machine."""
    pins = [line for line in (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines() if line]
    assert [line for line in pins if not re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line)] == []
    assert "torch==2.13.0" in pins
