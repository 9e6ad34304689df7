# Every task has a name here, and CI calls the same ones. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
# `make UV= ...` uses pip although uv is there; `make PYTHON=/path/to/python ...` chooses the interpreter.
UV ?= $(shell command -v uv)
PYTHON ?=
# `make demo SERVE=0` ends after the report.
SERVE ?= 1
# `make test PYTEST_ARGS='-k store'`
PYTEST_ARGS ?=

# Nothing calls out. The code says so too, before it imports them; this holds for the tools around it.
export DO_NOT_TRACK := 1
export BENTOML_DO_NOT_TRACK := True
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help
help: ## list what can be made
	@echo "Steadyline: make TARGET"
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/\1\t\2/p' Makefile | while IFS=$$'\t' read -r name what; do \
		printf '  %-8s %s\n' "$$name" "$$what"; done

.PHONY: env
env: $(VENV)/.ready ## make the environment in .venv, if it is not there or out of date

.PHONY: demo
demo: env ## from the exports of a virtual plant to risks and work orders, then serve (SERVE=0: end there)
	@$(BIN)/steadyline demo $(if $(filter 0,$(SERVE)),--no-serve,--serve)

.PHONY: test
test: lint types layers ## lint, types, layers, then the tests
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

.PHONY: lint
lint: env ## style and likely bugs (ruff)
	@$(BIN)/ruff check .

.PHONY: types
types: env ## static types (mypy)
	@$(BIN)/mypy

.PHONY: layers
layers: env ## the allowed direction of imports (import-linter)
	@$(BIN)/lint-imports --no-logo --no-cache

.PHONY: bench
bench: env ## benchmarks, side by side with peers
	@$(BIN)/python -m benchmarks.run

.PHONY: docs
docs: env ## make the reference pages out of the code
	@$(BIN)/python docs/build.py

.PHONY: lock
lock: ## requirements.lock from pyproject.toml; needs uv (UPGRADE=1: the newest versions)
	@test -n "$(UV)" || { echo "make lock needs uv on the PATH: https://docs.astral.sh/uv/" >&2; exit 1; }
	@sed -i '/^#/d' requirements.lock
	@"$(UV)" pip compile pyproject.toml --quiet --extra test --universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		$(if $(filter 1,$(UPGRADE)),--upgrade) --output-file requirements.lock >/dev/null
	@sed -i "1i # The exact environment, made from pyproject.toml by 'make lock'; installed with --no-deps --require-hashes." requirements.lock

.PHONY: clean
clean: ## remove the environment, builds and caches; the state in var/ and mlruns/ stays
	@rm -rf $(VENV) build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A shim of a version manager answers to its name and then fails: run a candidate before choosing it.
define choose_python
python=""; \
for candidate in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11 python); do \
	if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		python=$$("$$candidate" -c 'import sys; print(sys.executable)'); break; fi; done; \
if [ -z "$$python" ]; then \
	echo "Steadyline needs Python 3.11 or newer; found: $$($(or $(PYTHON),python3) --version 2>&1 || true)" >&2; \
	echo "Next: install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; fi
endef

# uv stops where it cannot write its cache; pip goes on without one by itself.
define choose_cache
cache=$$("$(UV)" cache dir); \
mkdir -p "$$cache" 2>/dev/null && [ -w "$$cache" ] || export UV_NO_CACHE=1
endef

# --no-deps: the lock is complete (`check` says so), and with hashes pip's resolver stumbles over `pandas[parquet]`.
# Two stamps: a new lock means a new environment, an edited pyproject.toml only that the project is installed again.
$(VENV)/.locked: requirements.lock
	@$(choose_python); \
	total=$$(grep -c '==' requirements.lock); \
	echo "Making $(VENV) with $$($$python --version) and $(if $(UV),uv,pip): about $$total packages, some minutes ..."; \
	rm -rf $(VENV); \
	$(if $(UV),$(choose_cache); \
		"$(UV)" venv --quiet --no-python-downloads --python "$$python" $(VENV); \
		"$(UV)" pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --require-hashes -r requirements.lock; \
		"$(UV)" pip check --quiet --python $(BIN)/python, \
		"$$python" -m venv $(VENV); \
		$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --no-deps --require-hashes -r requirements.lock \
		| awk -v total="$$total" '/^Collecting/ && ++n % 25 == 0 { print "  " n " of about " total; fflush() } \
			/^Installing/ { print "  installing"; fflush() }'; \
		$(BIN)/python -m pip check)
	@touch $@

$(VENV)/.ready: $(VENV)/.locked pyproject.toml
	@$(if $(UV),$(choose_cache); "$(UV)" pip install --quiet --offline --python $(BIN)/python, \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index) \
		--no-deps --no-build-isolation -e .
	@touch $@
