# `make demo` and `make test` work on a fresh clone: each first makes .venv, with the pinned packages and the project in it.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-warn-script-location
STAMP := .venv/.installed
WORKERS ?= 2

.PHONY: demo test test-fast check format install clean

demo: install
	$(BIN)/hourglass-ts demo

test: install
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-fast: install
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow"

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install: $(STAMP)

# torch goes first and alone, as pinned: no other package's requirement may choose its build.
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || { echo "Making .venv (a minute or two, once)"; $(PYTHON) -m venv .venv; }
	@$(PIP) -c constraints.txt torch
	@$(PIP) -c constraints.txt -e ".[dev]"
	@touch $@

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
