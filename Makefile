# Allobox: `make` alone says what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON := .venv/bin/python
RUN_ARGS ?=
# Three at a time on two cores, handed out one by one: tests in real time mostly wait (a quarter of a core each), and the long ones
# must not queue up behind each other. A test
# that a stalled machine made late is tried again, twice at most, and named as such (R) at the end.
PYTEST_ARGS ?=

.PHONY: help run test lint bench bench-voice machine-test image-check setup setup-dev docs clean

help: ## This list
	@echo "Allobox: an ordinary telephone that makes and takes SIP calls."
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

run: setup ## Set everything up, then the box with a simulated line, a test exchange and the page
	@exec .venv/bin/allobox run --simulate $(RUN_ARGS)

test: setup-dev ## Set everything up, then every test that needs no emulated machine
	@$(PYTHON) -m tests.system.fetch
	@$(PYTHON) -m pytest --numprocesses 3 --dist load --maxschedchunk 1 --reruns 2 -r fEsR $(PYTEST_ARGS)

lint: setup-dev ## Ruff (all rules but a reasoned list), mypy strict, import rules, diagrams up to date
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@$(PYTHON) docs/state-diagrams.py --check

bench: setup-dev ## Print every figure beside its reference, with the machine it ran on
	@$(PYTHON) -m tests.system.fetch
	@$(PYTHON) -m tests.bench

bench-voice: setup-dev ## The voice's figures in long form: delay, jitter, loss, clicks, faxes, lines, echo, frames late
	@$(PYTHON) -m tests.system.fetch
	@$(PYTHON) -m tests.bench --only round-trip voice-delay voice-loss voice-clicks fax late-frames disturbed gaps lines many-calls echo

image-check: setup-dev ## Validate board/ and buildroot-overlay/ as far as goes without a build
	@$(PYTHON) -m board.check

machine-test: ## The emulated machine's tests (none yet: see docs/architecture.md)
	@echo "make machine-test: no emulated machine yet; docs/architecture.md says what stands" >&2; exit 1

docs: setup-dev ## Regenerate what docs/ holds of generated pages
	@$(PYTHON) docs/state-diagrams.py

setup:
	@tools/setup.sh run

setup-dev:
	@tools/setup.sh dev

clean: ## Remove the virtual environment, caches and the simulated box's data
	rm -rf .venv .cache .data .mypy_cache .ruff_cache .pytest_cache .hypothesis
