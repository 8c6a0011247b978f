# Two commands do everything on a fresh machine: `make simulation` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: simulation smoke test faults check lint types benchmark clean

simulation: $(INSTALLED)
	$(BIN)/python simulation/run.py

smoke: $(INSTALLED)
	$(BIN)/python simulation/run.py +experiment=smoke

test: $(INSTALLED)
	$(BIN)/python -m pytest

faults: $(INSTALLED)
	$(BIN)/python -m pytest -m faults -rP tests/faults

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(INSTALLED)
	$(BIN)/mypy

check: lint types test

benchmark: $(INSTALLED)
	$(BIN)/python -m tests.benchmarks.preprocessing
	$(BIN)/python -m tests.benchmarks.federation

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
