"""What every test gets: one thread per process, no display, a fixed seed."""

from __future__ import annotations

import os
import random
import sys

import pytest
from hypothesis import settings

# Before torch and numpy load, and for child processes too: the run has a process per core; one thread is repeatable.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")


# The same examples on every run: a red test is one that the change made red. `--hypothesis-seed=random` looks further.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    """Make unseeded randomness repeatable, whatever ran before."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
