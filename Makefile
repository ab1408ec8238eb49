# `make demo` serves a demo shop, `make test` runs everything; `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo install test check format bench assets migration clean help
.DEFAULT_GOAL := help

demo: .venv/.app assets ## a demo shop at http://127.0.0.1:8000, in var/demo
	$(BIN)/rapport demo $(ARGS)

install: .venv/.app assets ## the program in .venv, for a shop of your own

test: .venv/.dev assets ## the whole suite (ARGS="-k lists" runs a part)
	$(BIN)/pytest --numprocesses auto --dist loadgroup $(ARGS)

check: .venv/.dev ## style, types, layers and what must not be committed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.committed

format: .venv/.dev ## put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/.dev ## one benchmark, e.g. make bench NAME=lists ARGS="--quick"
	$(BIN)/python -m tests.benchmarks.$(NAME) $(ARGS)

assets: .venv/.app ## the browser's files, from npm
	@$(BIN)/python -m web.assets.build

migration: .venv/.dev ## a migration from the models, e.g. make migration MESSAGE="loyalty cards"
	$(BIN)/rapport migration "$(MESSAGE)"

clean: ## remove what was built (workspaces under var/ stay)
	rm -rf .venv node_modules web/static/dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.app: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

.venv/.dev: .venv/.app
	$(PIP) --editable '.[dev]'
	@touch $@

.venv/.spark: .venv/.dev
	$(PIP) --editable '.[dev,spark]'
	@touch $@

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
