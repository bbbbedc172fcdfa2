# make run               the whole recipe, tiny, on this machine
# make test              all tests but those that need a container engine
# make test-containers   those: the compiled pipeline in its images, and reports in a browser (Debian or Ubuntu, root)
# make images            the images, with the docker that is here
# All but the last set up .venv first. pip's own settings (PIP_INDEX_URL, PIP_FIND_LINKS, …) choose where packages come from.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: run test test-containers lint compile images wheelhouse lock clean

PYTHON ?=
VENV := .venv
INSTALLED := $(VENV)/.installed
BASE ?= python:3.11-slim
TRAIN_BASE ?= $(BASE)
IMAGE_PREFIX ?= mimo
ACCELERATOR ?= cuda
DOCKER ?= docker
DOCKER_FLAGS ?=
CONTAINER_TESTS ?= tests/containers

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

# The engine, the stand-in base image and the wheels it needs are made as needed, in build/ and images/wheelhouse.
# Installs Debian packages (docker.io, mmdebstrap, chromium) where they are missing.
test-containers: $(INSTALLED)
	$(VENV)/bin/python -m pytest $(CONTAINER_TESTS)

images:
	images/build data judge --base "$(BASE)" --prefix "$(IMAGE_PREFIX)" --docker "$(DOCKER)" --flags="$(DOCKER_FLAGS)"
	images/build train --base "$(TRAIN_BASE)" --prefix "$(IMAGE_PREFIX)" --docker "$(DOCKER)" --flags="$(DOCKER_FLAGS)" \
	    --accelerator "$(ACCELERATOR)"

# Wheels for images that are built without a package index, from where pip's settings on this machine lead.
wheelhouse: $(INSTALLED)
	.ci/wheelhouse $(VENV)/bin/python

# The lock is installed as it is. Where that brought torch's CUDA build without the CUDA libraries, which it cannot be
# imported without, they are added; where pip finds torch's CPU build (see README), that is 3 GB less.
$(INSTALLED): requirements.lock pyproject.toml
	@python=$$(.ci/prerequisites $(PYTHON)) && echo "setting up $(VENV) with $$python: some minutes, once" && \
	    { [ -x $(VENV)/bin/python ] || "$$python" -m venv $(VENV); }
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --use-pep517 \
	    -r requirements.lock
	$(VENV)/bin/python -c 'import torch' 2>/dev/null || $(VENV)/bin/python -m pip install --quiet \
	    --disable-pip-version-check -c requirements.lock "$$(grep ^torch== requirements.lock)"
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lock: $(INSTALLED)
	$(VENV)/bin/python .ci/lock > requirements.lock.new && mv requirements.lock.new requirements.lock
	for image in data judge train; do $(VENV)/bin/python .ci/lock $$image > images/$$image/requirements.lock; done
	@touch $(INSTALLED)

clean:
	rm -rf build .mypy_cache .pytest_cache .ruff_cache .hypothesis
