# Every target sets up what it needs: a virtual environment in .venv, made with plain venv and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# One thread a process: more threads than cores make small models many times slower.
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: install demo test test-slow test-real lint format miniature benchmarks clean

install: $(VENV)/installed

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --requirement requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev: $(VENV)/installed requirements-dev.lock tests/plugin/pyproject.toml
	$(PIP) install --quiet --requirement requirements-dev.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable tests/plugin
	@touch $@

demo: $(VENV)/installed
	HF_HUB_OFFLINE=1 $(BIN)/holdfast arena --output_dir runs/demo

test: $(VENV)/dev
	$(BIN)/python -m pytest --numprocesses 2

test-slow: $(VENV)/dev
	$(BIN)/python -m pytest --numprocesses 2 -m "slow and not real and not gpu"

test-real: $(VENV)/dev
	$(BIN)/python -m pytest -m "real and not gpu"

lint: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

miniature: $(VENV)/installed
	$(BIN)/python scripts/build_miniature.py

benchmarks: $(VENV)/dev
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist
