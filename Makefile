# Everything a person or a machine does with Onefolio. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PY := .venv/bin/python
STAMP := .venv/.installed
JOBS ?= 2

.PHONY: help setup demo up down status token test lint format lock docs clean \
        bench-consolidate bench-providers bench-latency check-numbers check-fresh check-trading

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | while IFS=$$'\t' read -r name text; do printf '  \033[1m%-18s\033[0m %s\n' "$$name" "$$text"; done

setup: $(STAMP) ## Install the pinned dependencies and the members into .venv

$(STAMP): requirements.lock deploy/local/install.py $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)
	@$(PYTHON) deploy/local/install.py
	@touch $@

demo: $(STAMP) ## Link accounts through both providers and print the portfolio (ONCE=1: check it and stop)
	@$(PY) deploy/local/demo.py $(if $(filter 1 true yes,$(ONCE)),--once)

up: $(STAMP) ## Start the stack in the background (DATABASE_URL and AMQP_URL are used when given)
	@$(PY) deploy/local/stack.py up

down: ## Stop the stack and everything it started
	@if [ -x $(PY) ]; then $(PY) deploy/local/stack.py down; fi

status: $(STAMP) ## Show what runs and where
	@$(PY) deploy/local/stack.py status

token: $(STAMP) ## Print a development token for the running stack (FOR=somebody: the user's id)
	@$(PY) deploy/local/stack.py token $(FOR)

test: $(STAMP) ## Run the whole suite against a real RabbitMQ and a real PostgreSQL
	@$(PY) -m pytest -n $(JOBS) --dist worksteal $(ARGS)

lint: $(STAMP) ## ruff, mypy, import-linter, the lock and the generated documents
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@$(PY) -m mypy libs/*/src services/*/src
	@MYPYPATH=deploy/local $(PY) -m mypy -p local_servers -p local_stack -p local_demo
	@.venv/bin/lint-imports
	@deploy/lock.sh --check
	@$(PY) deploy/generate.py --check

format: $(STAMP) ## Format the code and fix what can be fixed
	@.venv/bin/ruff check --fix . || true
	@.venv/bin/ruff format .

lock: $(STAMP) ## Pin every dependency anew, with hashes
	@deploy/lock.sh

docs: $(STAMP) ## Regenerate the generated documents
	@$(PY) deploy/generate.py

bench-consolidate: $(STAMP) ## Holdings a second, against the naive pattern and the write floor
	@$(PY) bench/bench_consolidate.py $(ARGS)

bench-providers: $(STAMP) ## Fetch and normalize 500 holdings, against the official SDKs
	@$(PY) bench/bench_providers.py $(ARGS)

bench-latency: $(STAMP) ## From link completed to position visible over HTTP
	@$(PY) bench/bench_latency.py $(ARGS)

check-numbers: $(STAMP) ## Are the numbers right? Random portfolios, labelled pairs, explanations, faults, growth
	@$(PY) bench/check_numbers.py $(ARGS)

check-fresh: $(STAMP) ## Is everything fresh at a known cost? Impatient clicks, bad mail, 10,000 due at once, long histories
	@$(PY) bench/check_fresh.py $(ARGS)

check-trading: $(STAMP) ## Is no order placed twice and none lost? Chaos at the broker, killed processes, impatient users
	@$(PY) bench/check_trading.py $(ARGS)

clean: ## Stop everything and remove what was installed, run and cached, the private servers' data too
	@if [ -x $(PY) ]; then for name in stack demo; do \
	  $(PY) deploy/local/stack.py down --purge --dir "$${ONEFOLIO_RUN:-.run}/$$name" > /dev/null; done; fi
	@rm -rf .venv .run .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
