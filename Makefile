# Every verb is complete by itself: it sets up the environment first, if that is not done.
STACK ?= openmmlab
VENV_openmmlab = .venv
VENV_onedl = .venv-onedl
BIN = $(VENV_$(STACK))/bin
PYTEST = $(BIN)/python -m pytest -q -n auto --maxprocesses 8
# the first Python from 3.10 to 3.12 that runs
PYTHON ?= $(or $(shell for p in python3 python3.11 python3.12 python3.10; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && { echo $$p; break; }; \
	done),python3)

.DEFAULT_GOAL := help
.PHONY: help setup quickstart labelenc-digits test test-fast test-stacks lint data results docs clean

help:  ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup:  ## create .venv and install everything (STACK=onedl: the maintained fork, in .venv-onedl)
	@command -v $(PYTHON) >/dev/null || { echo 'setup: no python3; install Python 3.10, 3.11 or 3.12 (Debian, Ubuntu: apt install python3 python3-venv).' >&2; exit 1; }
	@command -v git >/dev/null || { echo 'setup: no git; install it (Debian, Ubuntu: apt install git).' >&2; exit 1; }
	@$(PYTHON) tools/setup_env.py --stack $(STACK)

quickstart: setup  ## teacher, plain student and distilled student on digits, compared (about 10 minutes on 2 cores)
	@$(BIN)/python tools/quickstart.py

labelenc-digits: data  ## both steps of LabelEnc and the baseline on digits, compared in a table (about 10 minutes on 2 cores)
	@$(BIN)/python tools/run_study.py configs/studies/labelenc-digits.yaml --pairs retinanet --seeds 0 \
		--variants step1-joint step2-joint --work-dir work_dirs/labelenc-digits --results work_dirs/labelenc-digits

test: setup  ## lint and the whole test suite
	@$(MAKE) --no-print-directory lint
	@$(PYTEST) -m 'not slow'
	@$(PYTEST) -m slow

test-fast: setup  ## the fast tests alone (under two minutes on 2 cores)
	@$(PYTEST) -m 'not slow'

test-stacks:  ## the whole test suite on both stacks
	@$(MAKE) --no-print-directory test STACK=openmmlab
	@$(MAKE) --no-print-directory test STACK=onedl

lint: setup  ## ruff, mypy, and whether every table agrees with its rows
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python tools/make_results.py --check

data: setup  ## write the digits data set to data/digits
	@$(BIN)/python tools/make_digits.py

results: setup  ## write the tables and plots from the rows in results/
	@$(BIN)/python tools/make_results.py

docs: setup  ## build the documentation, docs/_build/html/index.html
	@$(BIN)/python -m sphinx -W --keep-going -q -d docs/_build/cache docs docs/_build/html
	@echo 'wrote docs/_build/html/index.html'

clean:  ## remove the environments and caches, keep data and work_dirs
	rm -rf docs/_build .venv .venv-onedl .mypy_cache .ruff_cache .pytest_cache *.egg-info
