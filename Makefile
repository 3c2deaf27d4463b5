# The short way to everything. On a fresh machine each target sets the project up first.
MODEL ?= tinysr-nano
BUNDLE ?= bundles/$(notdir $(MODEL))
PRECISION ?= fp32
PYTHON ?= python3

BIN := .venv/bin
TINYSR := $(BIN)/tinysr
STAMP := .venv/.installed
ROOMS := export runtime calibration benchmarks

.DEFAULT_GOAL := help
.PHONY: help setup demo export parity bench test test-slow lint typecheck clean wheel

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP)  ## Make .venv with the pinned versions and the tinysr command

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@mkdir -p build/typing && rm -rf build/typing/tinysr && mkdir build/typing/tinysr
	@cd build/typing/tinysr && ln -s ../../../src/tinysr/* . \
		&& for room in $(ROOMS); do ln -s ../../../$$room $$room; done
	@touch $@

lint: setup  ## Check style and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

typecheck: setup  ## Check types strictly
	$(BIN)/mypy -p tinysr

test: setup  ## Run the tests (under 10 minutes on 2 cores)
	$(BIN)/pytest

test-slow: setup  ## Run the full-size checks
	$(BIN)/pytest -m slow
