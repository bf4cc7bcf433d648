# offhook: two commands to begin with are `make demo` and `make test`. `make help` prints what stands behind ##.
# ARGS goes to the command behind a target: make demo ARGS="--calls 3", make test ARGS="tests/test_phone.py -x".

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo serve test screenshots torture bench mutants check lock clean run-environment dev-environment
.NOTPARALLEL:

unexport PYTHONDONTWRITEBYTECODE  # what is compiled once need not be at each of hundreds of starts

ARGS ?=
WORKERS ?= 3
python := .venv/bin/python

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: run-environment  ## serve a demo organisation, with calls trickling in, and show them in the terminal
	@$(python) -m offhook demo $(ARGS)

serve: run-environment  ## serve on 127.0.0.1:2212; the settings are OFFHOOK_ variables, see offhook.example.env
	@$(python) -m offhook serve $(ARGS)

test: dev-environment  ## run every test that takes less than a minute, on SQLite and on a real PostgreSQL and Redis
	@tools/services
	@$(python) -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

screenshots: dev-environment  ## picture every page of the dashboard anew, in docs/screenshots; needs Chromium
	@$(python) -m pytest tests/test_screenshots.py -m "torture or not torture" --screenshots docs/screenshots $(ARGS)

torture: dev-environment  ## run the long tests, which kill, stop, freeze and fill what offhook stands on
	@tools/services
	@$(python) -m pytest -m torture --timeout 1800 $(ARGS)

bench: dev-environment  ## measure against the handler that ElevenLabs' documentation shows; prints the table of ratios
	@tools/services
	@$(python) -m bench $(ARGS)

mutants: dev-environment  ## change the code that must not be wrong, and see whether the tests notice; ARGS=spool for one part
	@$(python) tools/mutants.py $(ARGS)

check: dev-environment  ## lint, formatting, types and the direction of imports
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy
	.venv/bin/lint-imports --no-logo

lock: dev-environment  ## write requirements/*.txt anew from pyproject.toml; ARGS=--upgrade takes newer versions
	@tools/lock $(ARGS)

clean:  ## remove .venv and every cache; data folders stay
	rm -rf .venv .mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	find src tests -name __pycache__ -prune -exec rm -rf {} +

run-environment:
	@tools/setup run

dev-environment:
	@tools/setup dev
