# Weft: `make` prints this help.
VENV   ?= .venv
PYTHON ?= python3
MINUTES ?= 10
BIN     = $(VENV)/bin
# torch comes first and by exact version: left to a resolver, it can bring gigabytes of CUDA packages.
TORCH   = torch==2.13.0

.DEFAULT_GOAL := help
.PHONY: help demo test check accept coverage laws bench docs clean

help: ## print this help
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(BIN)/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (the first time takes some minutes)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt $(TORCH) numpy
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(BIN)/.installed-dev: $(BIN)/.installed
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps torchvision==0.28.0
	@touch $@

$(BIN)/.installed-docs: $(BIN)/.installed
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

demo: $(BIN)/.installed ## build specs/examples/digits.weft: data to verified ONNX, with its report
	$(BIN)/weft build specs/examples/digits.weft -o output/digits

test: $(BIN)/.installed-dev ## install what the tests need and run them all
	$(BIN)/python -m pytest -n auto --dist worksteal

check: $(BIN)/.installed-dev ## what CI runs: format, lint, types, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist worksteal

accept: $(BIN)/.installed-dev ## accept changed goldens (read the diff before you commit it)
	$(BIN)/python -m pytest -n auto --dist worksteal --accept

coverage: $(BIN)/.installed-dev ## run the tests under branch coverage; the floor is in pyproject.toml
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not timed" --cov --cov-report=term

laws: $(BIN)/.installed-dev ## draw new cases for MINUTES=10, and print those that fail
	$(BIN)/python -m tests.new_cases --minutes $(MINUTES)

docs: $(BIN)/.installed-docs ## the guide, the textbook and a page per word and message as a site, output/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "to look at it: $(BIN)/python -m http.server -d output/site"

bench: $(BIN)/.installed-dev ## the benchmarks, as ratios against what a user would use instead
	$(BIN)/python -m benchmarks

clean: ## remove the virtual environment and build output
	rm -rf $(VENV) output
