# Every target sets itself up: one command on a bare machine with Python 3.11+ is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.seedframe-installed
DEV := $(VENV)/.seedframe-dev
DOCS := $(VENV)/.seedframe-docs
EXTRAS := .[storyboard,fast,heif,xlsx,objects]

# A test that failed beside others, or at a busy moment, is run once more by itself. What fails twice has failed.
OR_ALONE = || { [ $$? = 1 ] && $(BIN)/python -m pytest -q -m "slow or not slow" -p no:randomly --last-failed; }

.PHONY: demo test check slow bench bench-storyboard docs lock audit dist release evidence install
.DEFAULT_GOAL := demo

demo: $(STAMP)  ## three pictures through the MCP server, offline, free of charge
	$(BIN)/seedframe demo

test: $(DEV)  ## the fast tests, in parallel and in random order
	$(BIN)/python -m pytest -q -n auto

check: $(DEV)  ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

slow: $(DEV)  ## every test: what is reached is counted, also in child processes; what is timed runs alone
	mkdir -p .cache/coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -n 2 --dist worksteal -m "not timed" -p no:randomly --durations=20 $(OR_ALONE)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/python -m pytest -q -m timed -p no:randomly $(OR_ALONE)

bench: $(DEV)  ## the numbers behind every claim
	$(BIN)/python -m bench.prompts
	$(BIN)/python -m bench.asks
	$(BIN)/python -m bench

bench-storyboard: $(DEV)  ## 20,000 shots, several workers, kill -9
	$(BIN)/python -m bench.storyboard

docs: $(DOCS)  ## regenerate the pages computed from the data, then build the site into dist/site
	$(BIN)/python -m scripts.site

lock: $(DEV)  ## lock every dependency with its hashes, from pypi.org alone, and list their licences
	env -u PIP_FIND_LINKS -u UV_FIND_LINKS uv lock --no-config --default-index https://pypi.org/simple
	$(BIN)/python scripts/licences.py

audit: $(DEV)  ## ask the index for known vulnerabilities of what is locked; says so where it does not answer
	$(BIN)/python scripts/audit.py

dist: $(DEV)  ## every package: wheel, plugin, Skill, bundle, registry entry, container
	$(BIN)/python -m scripts.dist

release: $(DEV)  ## refuse what is not ready, build and check every package, print the commands that publish
	$(BIN)/python -m scripts.release

evidence: $(DEV)  ## measure everything that docs/evidence.md says, and write it anew (an hour)
	$(BIN)/python -m scripts.evidence

install: $(DEV)

# An old Python is told in one sentence; the demo needs the package alone, the rest needs the tools of developers.

$(STAMP): pyproject.toml hatch_build.py Makefile
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python ">=3.11" $(VENV) && \
		uv pip install --quiet --python $(BIN)/python -e .; \
	else \
		[ -x $(BIN)/python ] || { $(PYTHON) scripts/old_python.py && $(PYTHON) -m venv $(VENV); } && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1" && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .; \
	fi
	@touch $@

$(DEV): $(STAMP)
	@if command -v uv >/dev/null 2>&1; then \
		uv pip install --quiet --python $(BIN)/python -e "$(EXTRAS)" --group dev; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -e "$(EXTRAS)" --group dev; \
	fi
	@touch $@

$(DOCS): $(DEV)
	@if command -v uv >/dev/null 2>&1; then \
		uv pip install --quiet --python $(BIN)/python --group docs; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --group docs; \
	fi
	@touch $@
