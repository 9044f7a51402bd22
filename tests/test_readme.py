"""The README is true: its blocks run as they stand, what it links is there, and it stays short."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_python_blocks_run_in_order(tmp_path: Path) -> None:
    """In one process, in an empty directory, as a reader would paste them."""
    assert len(blocks("python")) >= 3
    code = "\n".join(blocks("python"))
    (tmp_path / "blocks.py").write_text(code, encoding="utf-8")
    run = subprocess.run([sys.executable, "blocks.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert re.search(r"the network's share is [01]\.\d\d", run.stdout)
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "model.json",
        "numbers.safetensors",
        "checksums.json",
    }


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", "\n".join(blocks("bash")), flags=re.MULTILINE)
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


def test_the_command_line_has_the_options_shown(tmp_path: Path) -> None:
    """The line runs on a small file of the same columns."""
    (line,) = re.findall(r"^hourglass-ts forecast (.*)$", "\n".join(blocks("bash")), flags=re.MULTILINE)
    rows = [f"2024-{1 + number // 28:02d}-{1 + number % 28:02d},{number % 7}" for number in range(112)]
    (tmp_path / "weather.csv").write_text("\n".join(["date,temp_max", *rows]), encoding="utf-8")
    tool = Path(sys.executable).with_name("hourglass-ts")
    command = [str(tool), "forecast", *shlex.split(line), "--freq", "D", "--max-epochs", "1"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "future.csv").read_text().startswith("date,forecast,q0.1")
    assert (tmp_path / "future.png").stat().st_size > 5000


def links() -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", README)


@pytest.mark.parametrize("link", sorted({link for link in links() if not link.startswith("http")}))
def test_linked_files_exist(link: str) -> None:
    assert (ROOT / link.partition("#")[0]).exists()


def test_files_named_as_proof_exist() -> None:
    named = set(re.findall(r"`(?:python )?((?:tests|benchmarks|docs|datasets)/[\w./-]+)`", README))
    assert len(named) >= 3
    missing = sorted(path for path in named if not (ROOT / path).exists())
    assert not missing


def test_it_stays_short() -> None:
    assert len(README.splitlines()) < 150
