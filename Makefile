# Everything a newcomer needs, from nothing but Python 3.11 (or newer) with venv and pip:
#   make demo    the main job on the simulated cohort; the last line is the path of the report
#   make test    the tests, with coverage
# Each makes the environment that it needs in $(VENV), once; a change of pyproject.toml renews it.
# Choose another interpreter with PYTHON=/path/to/python3.13 (and VENV=.venv-3.13 to keep both).

VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo-report
ARGS ?=
COV ?= --cov --cov-branch --cov-report=term-missing:skip-covered
# One process a core, four at most; a file of tests stays in one, so that its fixtures are made once.
# ARGS="-n 0" runs all of it in a single process (for --pdb, or to read what is printed as it comes).
WORKERS ?= --numprocesses=logical --maxprocesses=4 --dist=loadfile

# The first interpreter that really runs, is new enough, and can make environments.
# (A name on PATH is not enough: version managers leave shims that only print an error.)
GOOD_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3 python \
	"$$HOME"/.pyenv/versions/3.1[1-9]*/bin/python; do \
	if "$$name" -c "$(GOOD_ENOUGH)" >/dev/null 2>&1; then command -v "$$name"; break; fi; done)

.DEFAULT_GOAL := help
.PHONY: help demo test lint ruff mypy docs notebooks picture clean

help:
	@echo "make demo       run the main job on the simulated cohort; prints the path of the report"
	@echo "make test       run the tests, with coverage (ARGS=... goes to pytest)"
	@echo "make lint       ruff and mypy --strict"
	@echo "make notebooks  execute the notebooks"
	@echo "make docs       build the documentation into docs/_build/html"
	@echo "make picture    take the README's picture of the report (needs a Chromium)"
	@echo "make clean      remove environments and everything that was built"

demo: $(VENV)/.has-scifn
	@$(BIN)/scifn demo -o $(abspath $(DEMO)) --overwrite

test: export OMP_NUM_THREADS ?= 1
test: $(VENV)/.has-test
	$(BIN)/python -m pytest $(WORKERS) $(COV) $(ARGS)

lint: ruff mypy

ruff: $(VENV)/.has-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

mypy: $(VENV)/.has-lint
	$(BIN)/mypy

docs: $(VENV)/.has-docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "$(abspath docs/_build/html)/index.html"

notebooks: $(VENV)/.has-notebooks
	$(BIN)/python notebooks/run_all.py

picture: demo
	$(BIN)/python docs/make_picture.py $(DEMO)/report.html docs/_static/report.png

clean:
	rm -rf .venv .venv-* build dist $(DEMO) docs/_build docs/generated notebooks/_executed
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
	find src tests docs notebooks benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@if [ -z "$(PYTHON)" ] || ! "$(PYTHON)" -c "$(GOOD_ENOUGH)"; then \
	echo "scifn needs Python 3.11 or newer with the modules venv and ensurepip$(if $(PYTHON), ($(PYTHON) is not one),; none was found)."; \
	echo "Install one (Debian, Ubuntu: apt install python3.11 python3.11-venv) or name one: make $(firstword $(MAKECMDGOALS)) PYTHON=/path/to/python"; \
	exit 1; fi
	@echo "Making $(VENV) with $(PYTHON)"
	@"$(PYTHON)" -m venv $(VENV)
	@touch $@

$(VENV)/.has-scifn: $(VENV)/.made pyproject.toml
	@echo "Installing scifn into $(VENV) (a minute or two, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.has-%: $(VENV)/.has-scifn pyproject.toml
	@echo "Installing what '$*' needs into $(VENV) (a minute, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@
