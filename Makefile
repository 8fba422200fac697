# Two commands on a bare machine: `make up` and `make test`. Each does all set-up itself.
SHELL := /bin/bash
ENGINE ?= rehearsal
BUCKET ?= s3
GRAIL := node dist/supervisor/main.js

.PHONY: help setup up down test fast lint format
.DEFAULT_GOAL := help

help:
	@echo "make up      set up, start a fleet on this machine, follow it to a validated window (ENGINE=transformers for a real model)"
	@echo "make down    stop it; nothing is left running"
	@echo "make test    set up, run all tests; ends with 'N passed, N failed'"
	@echo "make fast    the tests that take seconds"
	@echo "make lint    format and lint checks, as in make test"
	@echo "make bench   measure it against Redis and pyarrow (ONLY=names, LONG=1, PAGE=1: docs/performance.md)"

setup:
	@bash supervisor/setup/all.sh $(ENGINE)

up: setup
	@$(GRAIL) up --engine $(ENGINE) --bucket $(BUCKET)

down:
	@if [ -f dist/supervisor/main.js ]; then $(GRAIL) down; else echo "nothing was ever started here"; fi

test:
	@bash supervisor/setup/all.sh test
	@bash test/run.sh all

fast:
	@bash supervisor/setup/node.sh
	@bash test/run.sh fast

lint:
	@bash supervisor/setup/node.sh
	@bash supervisor/setup/test-python.sh
	@npx --no-install biome check .
	@npx --no-install eslint .
	@bash test/python-types.sh

format:
	@npx --no-install biome check --write .

# ONLY=claims,staging measures those alone; LONG=1 takes real windows, 1,024 generators and fifty windows (an hour and a half); PAGE=1 writes docs/performance.md.
.PHONY: bench
bench:
	@bash supervisor/setup/bench.sh
	@node dist/bench/main.js --only "$(ONLY)" $(if $(LONG),--long) $(if $(PAGE),--page)
