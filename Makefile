# `make help` says what there is. Everything happens in this folder: .venv (packages), .demo (the demo's world), reports.
SHELL := bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell bash .ci/find-python)
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
STAMP := $(VENV)/installed

# Ansible ignores an ansible.cfg in a folder that everybody may write to, unless it is named.
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
# Progress is to be seen when it happens, also through a pipe.
export PYTHONUNBUFFERED := 1
export PATH := $(BIN):$(PATH)
export MYPYPATH := $(CURDIR)/module_utils:$(CURDIR)/demo
# Where molecule finds the scenarios, seen from here.
export MOLECULE_GLOB := tests/molecule/*/molecule.yml
# Its own notes, and the world of each scenario, stay in this folder too.
export MOLECULE_EPHEMERAL_DIRECTORY := $(CURDIR)/.ansible/molecule
unexport ANSIBLE_INVENTORY

WORLD := PYTHONPATH="$(CURDIR)/demo" python -m world

.PHONY: help
help:  ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.txt requirements-dev.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later was found; install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Installing the pinned packages into $(VENV) ..."
	@"$(PYTHON)" -m venv $(VENV)
	@"$(BIN)/python" -m pip install -qq --no-compile --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	@touch $@

.PHONY: venv
venv: $(STAMP)  ## Install the pinned packages into .venv

.PHONY: world
world: $(STAMP)
	@$(WORLD) start

.PHONY: demo
demo: world  ## Restore, migrate, seed and verify the demo's database
	ansible-playbook restore_dev.yml

.PHONY: demo-new-dump
demo-new-dump: world  ## Make production's dump of a week later
	@$(WORLD) new-dump

.PHONY: demo-check
demo-check: $(STAMP)  ## Compare the demo's database with the sandbox, row by row
	@$(WORLD) check

.PHONY: demo-stop
demo-stop: $(STAMP)  ## Stop what `make demo` started; its data stay
	@$(WORLD) stop

.PHONY: demo-clean
demo-clean: $(STAMP)  ## Stop what `make demo` started and remove it
	@$(WORLD) reset

.PHONY: lint
lint: $(STAMP)  ## Check style, types, roles and YAML
	ruff check .
	mypy -p dev_refresh -p world -p xero_sandbox
	yamllint --strict .
	ansible-lint --offline

.PHONY: test
test: lint  ## Run the checks and all tests, long matrices by a sample
	pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not full"
	@$(MAKE) --no-print-directory test-installed ON_INSTALLED='-m "not full" tests/integration/refresh/test_refresh_restore.py tests/integration/refresh/test_refresh_load.py'
	molecule test

.PHONY: test-all
test-all: lint  ## Run the checks and all tests
	pytest -n 2 --dist loadfile --no-loadscope-reorder
	@$(MAKE) --no-print-directory test-installed
	molecule test

# The servers that are installed here, whose versions are others than the wheel's.
INSTALLED := $(patsubst %/initdb,%,$(wildcard /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb))
ON_INSTALLED ?= tests/integration/refresh tests/integration/dump

.PHONY: test-installed
test-installed: $(STAMP)  ## Run the restore's tests on each PostgreSQL that is installed here
	@test -n "$(INSTALLED)" || echo "No PostgreSQL is installed here: nothing was tested on another version than the wheel's."
	@for bin in $(INSTALLED); do \
	  echo "With the PostgreSQL in $$bin:"; \
	  DEV_REFRESH_TEST_PG_BIN=$$bin pytest -n 2 --dist load $(ON_INSTALLED) || exit 1; \
	done

.PHONY: bench
bench: $(STAMP)  ## Measure against the best possible
	python tests/benchmarks/run_all.py --quick

.PHONY: requirements
requirements: $(STAMP)  ## Pin the newest packages that requirements*.in allow
	python -m pip install --quiet pip-tools
	for name in requirements requirements-host requirements-dev; do \
	  CUSTOM_COMPILE_COMMAND="make requirements" pip-compile --quiet --upgrade --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	    --output-file $$name.txt $$name.in || exit 1; \
	done
