# On a machine with Python >= 3.10 and make: `make demo`, `make test`.
#
#   PYTHON=python3.12 make test    another Python for .venv (remove .venv first)
#   TORCH=... make test            another PyTorch, e.g. the path of a CPU wheel

PYTHON ?= python3
TORCH ?= torch==2.13.0

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --progress-bar off

export TF_CPP_MIN_LOG_LEVEL ?= 3
export CUDA_VISIBLE_DEVICES ?= -1

.PHONY: demo test lint types unit parity live full export clean help
.DEFAULT_GOAL := help

help:
	@echo "make demo    separate a piece, measure the stems, and write the parity report to demo/"
	@echo "make test    lint, type check, unit tests, goldens, and the live PyTorch reference"
	@echo "make lint | types | unit | parity | live    one of these"
	@echo "make full    every full-size comparison, hours and 12 GB of memory"
	@echo "make export  exported files, their examples, the pages; needs Node.js and Chromium"
	@echo "make clean   remove .venv and everything that the other targets write"

demo: $(VENV)/.user
	$(BIN)/python examples/demo.py -o demo

test: lint types unit parity live

lint: $(VENV)/.developer
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.developer
	$(BIN)/mypy

unit: $(VENV)/.developer
	$(BIN)/pytest tests -m "not live" -n 2 --dist worksteal

parity: $(VENV)/.developer
	$(BIN)/pytest parity

live: $(VENV)/.developer
	$(BIN)/pytest tests -m live --live -n 2 --dist worksteal
	$(BIN)/pytest parity -m live --live
	$(BIN)/pytest parity/tests/test_live.py --live --full -k "full_size and float32 and demucs-full and not ht"

full: $(VENV)/.developer
	$(BIN)/pytest tests parity -m full --live --full

export: $(VENV)/.developer
	$(BIN)/pytest tests/export tests/runtimes tests/cli/test_exported.py tests/models/test_building.py --export
	$(BIN)/pytest parity/tests/test_engines.py tests/parity/test_exports.py --export
	$(BIN)/pytest tests/parity/test_report_browser.py --export

# Stamps: an installation is made anew when pyproject.toml is newer, and not otherwise.

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and \
	  "Python >= 3.10 is needed, $(PYTHON) is " + sys.version.split()[0])'
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.user: $(VENV)/.made pyproject.toml
	@echo "Installing into $(VENV) (TensorFlow is a download of several hundred MB)"
	$(PIP) --editable ".[demo]"
	@touch $@

$(VENV)/.developer: $(VENV)/.user
	@echo "Installing the tools and the PyTorch reference into $(VENV)"
	$(PIP) --editable ".[dev,reference]" "$(TORCH)"
	@touch $@

clean:
	rm -rf $(VENV) .tox .hypothesis .mypy_cache .pytest_cache .ruff_cache build demo \
	  fuzz-findings *.egg-info
