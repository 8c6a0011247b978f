# Two commands do everything on a fresh machine: `make simulation` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two test files at a time; the tests of one file share what they set up.
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile
INSTALLED := $(VENV)/.installed
# Where the environment forbids it, each of the many processes would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: simulation smoke test faults check lint types benchmark overhead accuracy ablation clean

simulation: $(INSTALLED)
	$(BIN)/python simulation/run.py

smoke: $(INSTALLED)
	$(BIN)/python simulation/run.py +experiment=smoke

test: $(INSTALLED)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

faults: $(INSTALLED)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m faults -rP tests/faults

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(INSTALLED)
	$(BIN)/mypy

check: lint types test

benchmark: $(INSTALLED)
	$(BIN)/python -m tests.benchmarks.preprocessing
	$(BIN)/python -m tests.benchmarks.federation

# Needs nginx; a few minutes.
overhead: $(INSTALLED)
	$(BIN)/python -m tests.benchmarks.round_overhead

# These train the default several times over: hours. What is there is not run again.
accuracy: $(INSTALLED)
	$(BIN)/python -m tests.benchmarks.accuracy

ablation: $(INSTALLED)
	$(BIN)/python -m tests.benchmarks.ablation

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
