# Every target sets itself up: one command on a bare machine with Python 3.11+ is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.seedframe-installed
EXTRAS := .[storyboard,fast,heif,xlsx]

.PHONY: demo test check slow bench bench-storyboard docs lock audit install
.DEFAULT_GOAL := demo

demo: $(STAMP)  ## three pictures through the MCP server, offline, free of charge
	$(BIN)/seedframe demo

test: $(STAMP)  ## the fast tests, in parallel and in random order
	$(BIN)/python -m pytest -q -n auto

check: $(STAMP)  ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

slow: $(STAMP)  ## what needs its own environment, a browser or minutes
	$(BIN)/python -m pytest -q -m slow -p no:randomly

bench: $(STAMP)  ## the numbers behind every claim
	$(BIN)/python -m bench.prompts
	$(BIN)/python -m bench.asks
	$(BIN)/python -m bench

bench-storyboard: $(STAMP)  ## 20,000 shots, several workers, kill -9
	$(BIN)/python -m bench.storyboard

docs: $(STAMP)  ## regenerate the pages computed from the data
	$(BIN)/python -m scripts.reference_pages

lock: $(STAMP)  ## lock every dependency with its hashes, from pypi.org alone, and list their licences
	env -u PIP_FIND_LINKS -u UV_FIND_LINKS uv lock --no-config --default-index https://pypi.org/simple
	$(BIN)/python scripts/licences.py

audit: $(STAMP)  ## ask the index for known vulnerabilities of what is locked; says so where it does not answer
	$(BIN)/python scripts/audit.py

install: $(STAMP)

$(STAMP): pyproject.toml hatch_build.py Makefile
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python ">=3.11" $(VENV) && \
		uv pip install --quiet --python $(BIN)/python -e "$(EXTRAS)" --group dev; \
	else \
		{ [ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV); } && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1" && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -e "$(EXTRAS)" --group dev; \
	fi
	@touch $@
