# make sweep   install what is needed and run the default sweep
# make test    install what is needed and run the tests
# make faults  the tests of what can go wrong, as often as is promised: takes long
# make check   format, lint, types, import rules
#
# TORCH_INDEX: a package index with a CPU-only torch, for machines where the plain index would bring the CUDA one:
#   make sweep TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SWEEP_FILE ?= search_spaces/digits.yaml

.PHONY: sweep test faults check

sweep: $(VENV)/.installed
	$(BIN)/python -m sweeps run $(SWEEP_FILE)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

faults: $(VENV)/.installed-dev
	FAULTS=long $(BIN)/python -m pytest tests/faults --timeout 3600

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; give it as PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(PIP) --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	touch $@
