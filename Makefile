# Needs: make, and Python of at least 3.11. Everything else lands in .venv and .tools, from the lock, by hash.

.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory

export PATH := $(CURDIR)/.tools/bin:$(PATH):$(HOME)/go/bin
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/.venv
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

PY := .venv/bin/python
SYNC := .tools/uv/bin/uv sync --frozen --inexact --quiet
LOCKED := uv.lock pyproject.toml tools/uv.txt
SOURCES := marketml services tests tools benchmarks deploy
PATHS = $(wildcard $(SOURCES))

TESTS ?= tests
PYTEST_FLAGS ?=
# A file's tests stay together: what they share is started once.
JOBS ?= auto
DATA ?=
# What contracts must stay compatible with: the published main, or, on it, what stood before the last change of them.
AGAINST ?= $(shell base=$$(git rev-parse --verify --quiet origin/main || git rev-parse --verify --quiet main); \
    [ "$$base" != "$$(git rev-parse HEAD)" ] || base=$$(git log -1 --format=%H -- protos)^; \
    git rev-parse --verify --quiet "$$base")

##@ Use
.PHONY: run
run: .venv/.server  ## Run the whole workflow on real market data: make run [DATA=FOLDER]
	$(PY) -m marketml.cli.main demo $(if $(DATA),--data "$(DATA)")

.PHONY: up
up: .venv/.server  ## Start the four rooms and keep them running
	$(PY) -m marketml.cli.main up

.PHONY: serve-data serve-features serve-training serve-registry
serve-data serve-features serve-training serve-registry: serve-%: .venv/.server  ## Start one room
	$(PY) -m services.$*

##@ Develop
.PHONY: setup
setup: .venv/.dev  ## Install everything for development (every other target does this by itself)

.PHONY: tools
tools:  ## Find or install what Python cannot bring: PostgreSQL, grpcurl, kustomize
	@tools/system.sh

.PHONY: test
test: .venv/.dev tools  ## Run the tests: make test [TESTS=tests/data] [PYTEST_FLAGS=-x] [JOBS=1]
	$(PY) -m pytest -n $(JOBS) --dist loadfile $(PYTEST_FLAGS) $(TESTS)

.PHONY: kill-ingest
kill-ingest: .venv/.dev tools  ## Kill the data room at random moments of ingests: make kill-ingest [KILLS=50] [SEED=NUMBER]
	INGEST_KILLS=$(or $(KILLS),50) INGEST_KILLS_SEED=$(or $(SEED),$(shell date +%s)) \
	    $(PY) -m pytest tests/faults/test_ingest_kill.py

.PHONY: kill-jobs
kill-jobs: .venv/.dev tools  ## Kill workers, fitters, servers, clients and parts of a Dask cluster under jobs: make kill-jobs [KILLS=200] [SEED=NUMBER]
	JOB_KILLS=$(or $(KILLS),200) JOB_KILLS_SEED=$(or $(SEED),$(shell date +%s)) \
	    $(PY) -m pytest tests/training/test_call_kills.py tests/training/test_job_kills.py

.PHONY: matrix
matrix: .venv/.dev  ## Train every model with every label and every splitter, and let a registry answer
	MATRIX=all $(PY) -m pytest -n $(JOBS) $(PYTEST_FLAGS) tests/training/test_model_matrix.py

.PHONY: truths
truths: .venv/.dev  ## Score every combination on random walks and on a planted signal: make truths [WALKS=1]
	TRUTH_WALKS=$(or $(WALKS),1) $(PY) -m pytest $(PYTEST_FLAGS) tests/training/test_truth_matrix.py

.PHONY: bench
bench: .venv/.dev  ## Measure the numbers of the README: make bench [BENCH=benchmarks/serving.py]
	@set -e; for script in $(or $(BENCH),$(sort $(wildcard benchmarks/*.py))); do \
	    echo "== $$script"; $(PY) "$$script"; done

.PHONY: protos
protos: .venv/.dev  ## Compile protos/ into the generated code
	$(PY) tools/protos.py

.PHONY: format
format: .venv/.dev  ## Format the code and the contracts
	$(PY) -m ruff check --fix-only --quiet $(PATHS)
	$(PY) -m ruff format $(PATHS)
	.venv/bin/buf format --write --path protos/marketml

##@ Check
.PHONY: check
check: lint types contracts  ## lint, types and contracts

.PHONY: lint
lint: .venv/.dev  ## Style and likely mistakes (ruff)
	$(PY) -m ruff check $(PATHS)
	$(PY) -m ruff format --check --quiet --diff $(PATHS)

.PHONY: types
types: .venv/.dev  ## Types (mypy, strict)
	$(PY) -m mypy
	$(PY) -m mypy $(wildcard tools/*.py deploy/*.py)

.PHONY: contracts
contracts: .venv/.dev  ## Contract style, compatibility with AGAINST (the last main), fresh generated code
	.venv/bin/buf lint
	.venv/bin/buf format --diff --exit-code --path protos/marketml
	@if [ -n "$(AGAINST)" ] && git cat-file -e "$(AGAINST):buf.yaml" 2>/dev/null; then \
	    echo "buf breaking against $(AGAINST)"; .venv/bin/buf breaking --against ".git#ref=$(AGAINST)"; \
	else echo "No earlier contracts are here: nothing to be compatible with"; fi
	$(PY) -m pytest -q tests/house -k "generated or contract"

.PHONY: deploy
deploy: .venv/.dev tools  ## Validate the image's recipe, the compose file and the manifests
	.venv/bin/hadolint deploy/Dockerfile
	$(PY) -m pytest -q tests/deploy

##@ Clean
.PHONY: clean
clean:  ## Remove caches and builds
	rm -rf dist bench-results .mypy_cache .ruff_cache .hypothesis *.egg-info
	find marketml services inference tests tools benchmarks deploy -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

.PHONY: distclean
distclean: clean  ## Remove, too, the environment, the tools and the data of the last run
	rm -rf .venv .tools .run

.PHONY: help
help:  ## Show this
	@awk 'BEGIN { FS = ":.*  ## " } \
	    /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z].*:.*  ## / { printf "  %-16s %s\n", ($$1 ~ / /) ? "serve-ROOM" : $$1, $$2 }' $(MAKEFILE_LIST)
	@echo

# The environment, rebuilt only when the lock changes. --inexact: `make run` after `make test` takes nothing away.
.venv/.dev: $(LOCKED)
	@python=$$(tools/uv.sh) && echo "Installing the development environment" && \
	    $(SYNC) --python "$$python" --all-extras --all-groups
	@touch .venv/.server $@

.venv/.server: $(LOCKED)
	@python=$$(tools/uv.sh) && echo "Installing the servers" && \
	    $(SYNC) --python "$$python" --no-default-groups --extra server
	@touch $@
