# Every target creates the environment it needs; only Python and a package registry are required.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo course test coverage slow thorough check format docs docs-check docs-outputs bench bench-gpu bench-workers results clean

demo: $(VENV)/.runtime  ## train, evaluate and report LeNet-5
	$(BIN)/deepkit run lenet --run-dir runs/lenet

course: $(VENV)/.runtime  ## run every recipe of the basics group, one after the other
	$(BIN)/deepkit run basics --run-dir runs/basics

test: $(VENV)/.dev  ## the fast tests
	$(BIN)/python -m pytest -n auto -m "not slow and not thorough"

coverage: $(VENV)/.dev  ## the fast tests, and the lines that they do not reach, into htmlcov/
	$(BIN)/python -m pytest -n auto -m "not slow and not thorough" --cov --cov-report=term --cov-report=html

slow: $(VENV)/.dev  ## the tests that train on real data
	$(BIN)/python -m pytest -n auto --dist loadfile -m slow

thorough: $(VENV)/.dev  ## the tests that are too long for CI
	$(BIN)/python -m pytest -n auto --dist loadfile -m thorough || [ $$? -eq 5 ]  # 5: no such test

check: $(VENV)/.dev  ## format, lint, types, spelling and vocabulary
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python .ci/any_share.py deepkit recipes --limit 10
	$(BIN)/codespell --builtin clear,rare,en-GB_to_en-US --dictionary=- --dictionary=.ci/vocabulary.txt

format: $(VENV)/.dev  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.docs  ## the documentation, into site/
	$(BIN)/mkdocs build --strict

docs-check: $(VENV)/.docs $(VENV)/.dev  ## links, images, widths and contrast of the pages in site/, with an installed Chromium
	$(BIN)/python -m pytest tests/site -m slow

docs-outputs: $(VENV)/.docs  ## the outputs of pages that take too long for `make docs`, if their code changed; PAGES="NAME.md"
	$(BIN)/python -m docs.executed_pages $(PAGES)
	$(BIN)/python -m docs.first_example

results: $(VENV)/.runtime  ## update the texts of recorded results, and their table in the README
	$(BIN)/deepkit results --refresh recipes/results.json
	$(BIN)/deepkit results --write README.md

bench: $(VENV)/.bench  ## measure the ratios of docs/benchmarks.md, three quarters of an hour; BENCH="NAME --pairs 3" for less
	$(BIN)/python -m benchmarks $(BENCH)

bench-gpu: $(VENV)/.bench-gpu  ## the checks and times of docs/gpu_benchmarks.md, five minutes on a GPU; a dry run without one
	$(BIN)/python -m benchmarks.gpu $(GPU)

bench-workers: $(VENV)/.runtime  ## the times and bytes of docs/worker_benchmarks.md; as root, with iproute2
	$(BIN)/python -m benchmarks.workers $(WORKERS)

clean:
	rm -rf $(VENV) site htmlcov .coverage build dist .pytest_cache .mypy_cache .ruff_cache

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

# PyTorch, for comparison; its row states if it cannot be installed
$(VENV)/.bench: $(VENV)/.runtime
	-$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[bench]"
	touch $@

# CUDA's libraries, if there is an NVIDIA card
$(VENV)/.bench-gpu: $(VENV)/.bench
	-test ! -e /dev/nvidia0 || $(BIN)/python -m pip install --quiet -c constraints.txt -e ".[gpu]"
	touch $@
