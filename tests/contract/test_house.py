"""The way of the data: a stage imports only from stages above it, and importing anything changes nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = "hourglass_ts"
STAGES = [
    "errors",
    "frames",
    "metrics",
    "windows",
    "layers",
    "network",
    "model",
    "forecast",
    "report",
    "evaluate",
    "tuning",
    "forecaster",
    "demo",
    "cli",
]
# The first exposes the public names; the second imports inside a method, as pytorch-forecasting requires.
EXEMPT = {ROOT, f"{ROOT}.model._model_pkg"}
TENSORS_ALONE = {"layers", "network"}
NOT_FOR_TENSORS = {"pandas", "lightning", "pytorch_lightning", "pytorch_forecasting"}

REPOSITORY = Path(__file__).resolve().parents[2]


def violations(sources: Mapping[str, str]) -> list[str]:
    """Every breach of the house's rules in modules given as name → source; a package goes by its own name."""
    imports = {name: set(imported_modules(name, source, sources)) for name, source in sources.items()}
    held = sorted(set(sources) - EXEMPT)
    found = [breach for name in held for target in sorted(imports[name]) for breach in breaches(name, target)]
    found += [f"{name} has no place in the house" for name in held if stage_of(name) not in STAGES]
    beside = {name: {other for other in held if stage_of(other) == stage_of(name)} for name in held}
    return found + cycles({name: imports[name] & beside[name] for name in held})


def imported_modules(name: str, source: str, modules: Mapping[str, str]) -> Iterator[str]:
    """The full name of everything a module imports, wherever in it the import stands."""
    is_package = any(other.startswith(f"{name}.") for other in modules)
    package = name if is_package else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute_base(node, package)
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                # `from hourglass_ts import frames` reads the package root, whatever it is after.
                yield submodule if base != ROOT and submodule in modules else base
        elif isinstance(node, ast.Call) and called_name(node) in {"import_module", "__import__"}:
            yield from (arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant))


def absolute_base(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def called_name(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def breaches(name: str, target: str) -> Iterator[str]:
    package, stage = target.split(".")[0], stage_of(name)
    if stage in TENSORS_ALONE and package in NOT_FOR_TENSORS:
        yield f"{name} imports {target}: {stage} knows tensors alone"
    if target == ROOT:
        yield f"{name} imports the package root"
    elif package == ROOT and rank(stage_of(target)) > rank(stage):
        yield f"{name} imports {target}, which lies below it"


def stage_of(name: str) -> str:
    return name.split(".")[1] if "." in name else name


def rank(stage: str) -> int:
    return STAGES.index(stage) if stage in STAGES else -1


def cycles(graph: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return ["cycle: " + " → ".join(error.args[1])]
    return []


def module_sources() -> dict[str, str]:
    files = sorted((REPOSITORY / ROOT).rglob("*.py"))
    return {module_name(file): file.read_text(encoding="utf-8") for file in files}


def module_name(file: Path) -> str:
    parts = file.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_the_house_is_in_order():
    sources = module_sources()
    assert {"hourglass_ts.errors", "hourglass_ts.cli.main", "hourglass_ts.layers"} <= set(sources)
    assert violations(sources) == []


HOUSE = {
    "hourglass_ts": "from hourglass_ts.forecaster import F",
    "hourglass_ts.errors": "",
    "hourglass_ts.frames": "",
    "hourglass_ts.frames.calendars": "from hourglass_ts.errors import E",
    "hourglass_ts.frames.schema": "import pandas\nfrom . import calendars\nfrom ..errors import E",
    "hourglass_ts.layers": "",
    "hourglass_ts.layers.shift": "import torch",
    "hourglass_ts.model": "",
    "hourglass_ts.model._model": "import lightning\nimport hourglass_ts.layers.shift as shift",
    "hourglass_ts.model._model_pkg": "def f():\n    from hourglass_ts import F",
    "hourglass_ts.forecaster": "from hourglass_ts.frames import calendars, schema",
}

PLANTED = {
    "upward": ("frames.schema", "from hourglass_ts.forecaster import F", "below it"),
    "upward, plain": ("frames.schema", "import hourglass_ts.model._model", "below it"),
    "upward, in a function": ("frames.schema", "def f():\n    from hourglass_ts.model import _model", "below it"),
    "upward, for types": ("frames.schema", "if TYPE_CHECKING:\n    from hourglass_ts.model import _model", "below it"),
    "upward, relative": ("frames.schema", "from ..model._model import M", "below it"),
    "upward, relative in a package": ("frames", "from ..model import _model", "below it"),
    "upward, by name": ("frames.schema", "importlib.import_module('hourglass_ts.model._model')", "below it"),
    "root": ("forecaster", "import hourglass_ts", "package root"),
    "root, from": ("forecaster", "from hourglass_ts import frames", "package root"),
    "root, a name": ("forecaster", "def f():\n    from hourglass_ts import ShiftRight", "package root"),
    "root, relative": ("forecaster", "from . import frames", "package root"),
    "root, relative two up": ("frames.schema", "from .. import errors", "package root"),
    "cycle": ("frames.calendars", "from hourglass_ts.frames.schema import check", "cycle"),
    "cycle, relative": ("frames.calendars", "def f():\n    from . import schema", "cycle"),
    "cycle through the package": ("frames", "from hourglass_ts.frames.package import x", "cycle"),
    "pandas in a layer": ("layers.shift", "def f():\n    import pandas as pd", "tensors alone"),
    "lightning in a layer": ("layers.shift", "from lightning.pytorch import Trainer", "tensors alone"),
    "upstream in a layer": ("layers.shift", "import pytorch_forecasting.metrics", "tensors alone"),
    "unknown stage": ("helpers", "", "no place"),
}


def test_a_house_in_order_is_accepted():
    assert violations(HOUSE) == []


@pytest.mark.parametrize("case", PLANTED)
def test_every_planted_breach_is_found(case):
    module, source, message = PLANTED[case]
    extra = {"hourglass_ts.frames.package": "import hourglass_ts.frames"} if "package" in source else {}
    found = violations(HOUSE | extra | {f"hourglass_ts.{module}": source})
    assert len(found) == 1
    assert message in found[0]


# Run in a fresh process. What other libraries change when imported is theirs: they come before the first look.
WATCH = """
import importlib, json, logging, os, random, sys, warnings
for name in THIRD_PARTY:
    importlib.import_module(name)
import matplotlib, numpy, torch

def look():
    return {
        "torch dtype": str(torch.get_default_dtype()),
        "torch device": str(torch.get_default_device()),
        "torch threads": torch.get_num_threads(),
        "torch deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul precision": torch.get_float32_matmul_precision(),
        "torch random state": torch.get_rng_state().sum().item(),
        "numpy random state": str(numpy.random.get_state()[1].sum()) + str(numpy.random.get_state()[2]),
        "random state": hash(random.getstate()),
        "numpy errors": numpy.geterr(),
        "warnings filters": [str(each) for each in warnings.filters],
        "matplotlib backend": str(matplotlib.rcParams._get_backend_or_none()),
        "environment": sorted(os.environ.items()),
        "log level": logging.getLogger().level,
        "log handlers": len(logging.getLogger().handlers),
        "excepthook": repr(sys.excepthook),
    }

changed = {}
for name in MODULES:
    before = look()
    importlib.import_module(name)
    changed |= {f"{name}: {what}": [before[what], now] for what, now in look().items() if now != before[what]}
print(json.dumps(changed))
"""
THIRD_PARTY = [
    "lightning.pytorch",
    "matplotlib.figure",
    "matplotlib.dates",
    "optuna",
    "pandas",
    "pyarrow",
    "pytorch_forecasting",
    "rich.progress",
    "safetensors.torch",
    "scipy.linalg",
    "sklearn.base",
    "typer",
]


def changes_of_importing(modules: list[str], folder: Path) -> str:
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\nTHIRD_PARTY = {THIRD_PARTY}\nMODULES = {modules}\n{WATCH}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip().splitlines()[-1]


def test_importing_changes_nothing():
    assert changes_of_importing(list(module_sources()), REPOSITORY) == "{}"


def test_a_planted_side_effect_is_found(tmp_path):
    (tmp_path / "rude.py").write_text("import torch, warnings\ntorch.manual_seed(1)\nwarnings.simplefilter('ignore')\n")
    found = changes_of_importing(["rude"], tmp_path)
    assert "rude: torch random state" in found
    assert "rude: warnings filters" in found
