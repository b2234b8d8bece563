# Needs Python 3.11 or newer, make and the package index. `make help` lists the targets.

# The first CPython of these that is new enough makes .venv; `make PYTHON=python3.13 test` chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
# Two workers for two cores; loadgroup keeps the tests of one real server on one worker.
PYTEST := $(BIN)/python -m pytest
PARALLEL ?= -n 2 --dist loadgroup
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run test style types pyright bench fuzz pythons clean
.DEFAULT_GOAL := help

help:
	@echo "make run      serve examples/hello on http://127.0.0.1:5000"
	@echo "make test     style, types and all tests"
	@echo "make style    ruff: lint and format"
	@echo "make types    mypy --strict, and pyright --verifytypes where node is found"
	@echo "make bench    the benchmarks; BENCH='--quick --only wsgi' passes options"
	@echo "make bench-all  all peers, real servers, cost growth; writes benchmarks/RESULTS.md and its plots (half an hour)"
	@echo "make fuzz     the property tests with many more examples and the measurements with their strict bounds"
	@echo "              (FUZZ='tests/http' narrows them), then each parser under a coverage-guided fuzzer for FUZZ_SECONDS=20"
	@echo "make pythons  the tests on every CPython from 3.11 up that is found"
	@echo "make clean    remove what these made"

# Each stamp stands for one set of extras and is renewed only when pyproject.toml changes.
$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "duoflask needs Python 3.11 or newer; none was found on PATH" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.stamp-run: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@ $(VENV)/.stamp-run

$(VENV)/.stamp-bench: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[bench]"
	@touch $@ $(VENV)/.stamp-run

$(VENV)/.stamp-bench-all: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[bench-all]"
	@touch $@ $(VENV)/.stamp-bench $(VENV)/.stamp-run

run: $(VENV)/.stamp-run
	@echo "serving examples/hello on http://127.0.0.1:5000 (Ctrl+C stops it)"
	@cd examples/hello && PORT=5000 exec ../../$(BIN)/python hello.py

test: style mypy
	$(PYTEST) $(PARALLEL)

style: $(VENV)/.stamp-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

.PHONY: mypy
mypy: $(VENV)/.stamp-dev
	$(BIN)/mypy

types: mypy pyright

# pyright is a node program, and only node itself can be missing. Its score is printed and fails nothing: it is not 100% yet.
# PYTHONPATH, because it does not follow the .pth file of an editable install.
pyright: $(VENV)/.stamp-dev
	@if command -v node >/dev/null; then \
		PYTHONPATH=src $(BIN)/pyright --pythonpath $(BIN)/python --verifytypes duoflask --ignoreexternal | grep -E "type:|score"; \
	else echo "pyright --verifytypes is SKIPPED: node was not found"; fi

bench: $(VENV)/.stamp-bench
	$(BIN)/python -m benchmarks.inprocess $(BENCH)

.PHONY: bench-all
bench-all: $(VENV)/.stamp-bench-all
	$(BIN)/python -m benchmarks.results $(BENCH)

# Seconds for each parser in the second half, which atheris guides by coverage. It has no wheel for each CPython and is
# not built from source (that takes clang with libFuzzer): without it parsers.py says that its half is skipped.
FUZZ_SECONDS ?= 20

fuzz: $(VENV)/.stamp-dev
	$(PYTEST) $(PARALLEL) -m "hypothesis or measures" --hypothesis-profile fuzz --timeout 3600 $(FUZZ)
	-@$(BIN)/python -c 'import atheris' 2>/dev/null || \
		$(BIN)/python -m pip install --quiet --only-binary atheris --editable ".[fuzz]"
	$(BIN)/python tests/fuzz/parsers.py all -max_total_time=$(FUZZ_SECONDS)

pythons:
	$(or $(PYTHON),python3) tools/pythons.py

clean:
	rm -rf $(VENV) .venvs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*
	find src tests benchmarks examples tools -name __pycache__ -type d -prune -exec rm -rf {} +
