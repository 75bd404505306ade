# make sweep   install what is needed and run the default sweep
# make test    install what is needed and run the tests
# make check   format, lint, types, import rules
# make faults  the fault tests at full length, an hour and more, and what they count
# make cluster-test  a sweep on a cluster of three nodes, end to end, with a node that is killed: some minutes
# make layouts-test  every layout of data, from folders and from S3, ingested and swept: some minutes
# make sbom    what the installation holds, as a CycloneDX software bill of materials: build/sbom.json
#
# TORCH_INDEX: a package index with a CPU-only torch, for machines where the plain index would bring the CUDA one:
#   make sweep TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SWEEP_FILE ?= search_spaces/digits.yaml

FAULT_TESTS ?= tests/faults

.PHONY: sweep test check faults cluster-test layouts-test sbom

sweep: $(VENV)/.installed
	$(BIN)/python -m sweeps run $(SWEEP_FILE)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

faults: $(VENV)/.installed-dev
	FAULTS=long $(BIN)/python -m pytest $(FAULT_TESTS) --timeout 3600

cluster-test: $(VENV)/.installed-dev
	CLUSTER=long $(BIN)/python -m pytest tests/cluster --timeout 900

layouts-test: $(VENV)/.installed-dev
	LAYOUTS=all $(BIN)/python -m pytest tests/sweeps/data/test_swept_layouts.py

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

sbom: $(VENV)/.installed
	$(PIP) --editable '.[sbom]'
	mkdir -p build
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file build/sbom.json $(BIN)/python

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; give it as PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(PIP) --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	touch $@
