# NileCare. `make` alone says what there is; every target sets up what it needs.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PATIENTS ?= 40
SEED ?= 1
WORKERS ?= 3

# Processes start by the dozen here: each module is compiled once, also where Python is told to keep nothing.
export PYTHONDONTWRITEBYTECODE :=
# Types are checked on both cores of the smallest machine; the rules beside them take a few seconds.
export MYPY_NUM_WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test check types rules bench up down

help: ## say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 15

setup: $(READY) ## make the virtual environment, with every package as pinned in constraints.txt

$(READY): pyproject.toml constraints.txt
	@./.ci/venv $(VENV)
	@touch $@

demo: $(READY) ## watch domain events cross the services, while a broker and a service are killed
	@$(BIN)/nilecare demo --patients $(PATIENTS) --seed $(SEED)

test: check ## run every check, then every test, on real servers
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile

check: $(READY) ## lint, format, types, import rules, contracts, generated pages
	@$(MAKE) --no-print-directory --jobs --output-sync types rules

types:
	$(BIN)/mypy

rules:
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/nilecare contracts check
	$(BIN)/nilecare event-map --check
	$(BIN)/nilecare service-pages --check

bench: $(READY) ## measure the backbone against others, as ratios of one run (QUICK=1: in five minutes)
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

up: $(READY) ## run the platform: with Docker Compose, or without Docker from this machine's servers
	@$(BIN)/python -m nilecare.stack up

down: $(READY) ## end every process and container of this checkout; what `make up` stored stays
	@$(BIN)/python -m nilecare.stack down
