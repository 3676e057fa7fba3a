# Everything runs in one virtual environment, made on first use. `make` alone lists the targets.
PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Written last, so that an interrupted installation is taken up again.
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.docs-installed

.DEFAULT_GOAL := help
.PHONY: help install quickstart test test-slow lint format docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo "settings: PYTHON=$(PYTHON) (3.10 or newer), VENV=$(VENV)"

install: $(STAMP) ## make the environment with torch, detectron2 and fcos_d2

quickstart: $(STAMP) ## train and test a small detector on this machine
	@$(BIN)/fcos quickstart

test: lint ## check style and types, then run the tests, on up to four cores
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

test-slow: $(STAMP) ## run the longer tests
	@$(BIN)/python -m pytest -m slow

lint: $(STAMP) ## check style and types without changing a file
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(STAMP) ## put the files into the style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(DOCS_STAMP) ## build the site from docs/ and docstrings into site/; a broken link fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "open site/index.html, or with search: $(BIN)/python -m http.server -d site"

clean: ## delete caches and build leftovers (keeps the environment, datasets and output)
	@rm -rf build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache
	@find fcos_d2 fcos_cli configs benchmarks demo tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): setup.py deploy/pyproject.toml constraints.txt tools/install_detectron2.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
	  echo "error: '$(PYTHON)' is missing or older than Python 3.10; name another one, e.g. make PYTHON=python3.11"; exit 1; }
	@echo "making the environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install -q -c constraints.txt --upgrade pip "setuptools<81" wheel
	@echo "installing torch and detectron2 into $(VENV) (about 2-3 minutes)"
	@# setuptools warns at length that an editable installation is one
	@PYTHONWARNINGS=ignore::UserWarning $(PIP) install -q -c constraints.txt -e ".[dev]"
	@# After fcos_d2, which brings a copy of it: changes in deploy/ shall have an effect, too.
	@PYTHONWARNINGS=ignore::UserWarning $(PIP) install -q --no-deps -e ./deploy
	@$(BIN)/python tools/install_detectron2.py
	@touch $@

$(DOCS_STAMP): $(STAMP)
	@PYTHONWARNINGS=ignore::UserWarning $(PIP) install -q -c constraints.txt -e ".[docs]"
	@PYTHONWARNINGS=ignore::UserWarning $(PIP) install -q --no-deps -e ./deploy
	@touch $@
