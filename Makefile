# Every target makes the environment it needs, from nothing but Python and a package registry.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test slow check format docs bench results clean

demo: $(VENV)/.runtime  ## train, evaluate and report LeNet-5
	$(BIN)/deepkit run lenet --run-dir runs/lenet

test: $(VENV)/.dev  ## the fast tests
	$(BIN)/python -m pytest -n auto -m "not slow"

slow: $(VENV)/.dev  ## the tests that train on real data
	$(BIN)/python -m pytest -n auto --dist loadfile -m slow

check: $(VENV)/.dev  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.docs  ## the documentation, into site/
	$(BIN)/mkdocs build --strict

results: $(VENV)/.runtime  ## recorded results in the recipes' present words, and their table in the README
	$(BIN)/deepkit results --refresh recipes/results.json
	$(BIN)/deepkit results --write README.md

bench: $(VENV)/.bench  ## the ratios of docs/benchmarks.md, a quarter of an hour; BENCH="NAME --pairs 3" for less
	$(BIN)/python -m benchmarks $(BENCH)

clean:
	rm -rf $(VENV) site build dist .pytest_cache .mypy_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.runtime: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

$(VENV)/.docs: $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	touch $@

# PyTorch, to measure against; its row says so where it cannot be had
$(VENV)/.bench: $(VENV)/.runtime
	-$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[bench]"
	touch $@
