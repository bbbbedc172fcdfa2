# make run      the whole recipe, tiny, on this machine
# make test     all tests
# Both set up .venv first. pip's own settings (PIP_INDEX_URL, PIP_FIND_LINKS, …) choose where packages come from.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: run test lint compile images lock clean

PYTHON ?=
VENV := .venv
INSTALLED := $(VENV)/.installed
IMAGE_PREFIX ?= mimo
DATA_BASE ?= python:3.11-slim
TRAIN_BASE ?= $(DATA_BASE)
JUDGE_BASE ?= $(DATA_BASE)
ACCELERATOR ?= cuda
DOCKER ?= docker
DOCKER_FLAGS ?=

run: $(INSTALLED)
	$(VENV)/bin/mimo run --profile smoke

test: $(INSTALLED)
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile

# No image has been pushed yet, so images.lock holds no digests: release profiles are linted without that one rule.
lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mimo lint --allow-unpinned

compile: $(INSTALLED)
	$(VENV)/bin/mimo compile --allow-unpinned

images:
	$(DOCKER) build $(DOCKER_FLAGS) -f images/data/Dockerfile --build-arg BASE=$(DATA_BASE) -t $(IMAGE_PREFIX)-data .
	$(DOCKER) build $(DOCKER_FLAGS) -f images/judge/Dockerfile --build-arg BASE=$(JUDGE_BASE) -t $(IMAGE_PREFIX)-judge .
	$(DOCKER) build $(DOCKER_FLAGS) -f images/train/Dockerfile --build-arg BASE=$(TRAIN_BASE) \
	    --build-arg ACCELERATOR=$(ACCELERATOR) -t $(IMAGE_PREFIX)-train .

# The lock is installed as it is. Where that brought torch's CUDA build without the CUDA libraries, which it cannot be
# imported without, they are added; where pip finds torch's CPU build (see README), that is 3 GB less.
$(INSTALLED): requirements.lock pyproject.toml
	@python=$$(.ci/prerequisites $(PYTHON)) && echo "setting up $(VENV) with $$python: some minutes, once" && \
	    { [ -x $(VENV)/bin/python ] || "$$python" -m venv $(VENV); }
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(VENV)/bin/python -c 'import torch' 2>/dev/null || $(VENV)/bin/python -m pip install --quiet \
	    --disable-pip-version-check -c requirements.lock "$$(grep ^torch== requirements.lock)"
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lock: $(INSTALLED)
	$(VENV)/bin/python .ci/lock > requirements.lock.new && mv requirements.lock.new requirements.lock
	$(VENV)/bin/python .ci/lock data judge > images/data/requirements.lock
	$(VENV)/bin/python .ci/lock judge train > images/train/requirements.lock
	$(VENV)/bin/python .ci/lock judge > images/judge/requirements.lock
	@touch $(INSTALLED)

clean:
	rm -rf build .mypy_cache .pytest_cache .ruff_cache .hypothesis
