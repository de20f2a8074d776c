# Every target creates the environment first if need be.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
export PYTHONSAFEPATH = 1

.PHONY: demo test lint faults engines parallel pure interop browser docs reference tour bench clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/.installed  ## clean, tokenize, train, explain and report on sample_data
	$(BIN)/forge demo

test: $(VENV)/.installed  ## the suite
	$(BIN)/pytest

lint: $(VENV)/.installed  ## formatter, linter, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

faults: $(VENV)/.installed  ## kill -9 of clean, tokenize, train and sweep, 20 times each; 100,000 hostile pages
	FORGE_KILLS=20 FORGE_MUTANTS=100000 $(BIN)/pytest -m faults

engines: $(VENV)/.installed  ## one content digest on other Beam runners; Dask's where its extra is there
	$(BIN)/pytest -m engines

parallel: $(VENV)/.installed  ## training across processes: the same model, killed ranks, other layouts
	$(BIN)/pytest -m parallel

pure: $(VENV)/.installed  ## the kernels' tests again as plain Python, without compilation
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest tests/kernels

interop: $(VENV)/.installed  ## the recipes of docs/interop.md in an environment with the other tools
	$(PYTHON) -m venv .interop
	.interop/bin/python -m pip install --quiet datasets duckdb pandas 'datatrove[io]' transformers
	$(BIN)/pytest tests/test_interop.py

browser: $(VENV)/.installed  ## the reports in headless Chromium, judged by axe-core where npm is there
	-npm install --no-save --silent axe-core
	$(BIN)/pytest -m browser

reference: $(VENV)/.installed  ## pages that are made from code and from benchmarks, anew
	for page in cli_reference spec_reference performance_page; do $(BIN)/python tests/test_$$page.py; done

tour: $(VENV)/.installed  ## every command of the tutorial, of the recipes and of the Python page
	$(BIN)/pytest -m docs

docs: $(VENV)/.installed  ## the documentation as a site in build/site, strictly, without network
	$(BIN)/python -m pip install --quiet --constraint constraints.txt 'mkdocs-material>=9.6'
	$(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.installed  ## ratios against peers, each in an environment of its own
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) run build dist .pytest_cache .mypy_cache .ruff_cache
