# What the README tells: `make demo`, `make test`; and `make check`, which is what CI runs.
#
#   PYTHON=python3.13 make demo     another Python (3.11 or newer)
#   TORCH_INDEX=https://download.pytorch.org/whl/cpu make demo     the CPU build of torch: about 1 GB on disk, not 5 GB
#   PYTEST_ARGS="-k masks" make test     some tests only

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
PYTEST_ARGS ?=
COVERAGE :=
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check lint docs contract audit sbom wheel-twice package clean runtime-wheel runtime-check
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@echo "make demo    install into $(VENV), segment the sample images, write results to demo-output/"
	@echo "make test    install what tests need, run all tests"
	@echo "make check   what CI runs: lint, types, layers, docs, tests with coverage"
	@echo "make contract   ask delineate serve thousands of things that its OpenAPI description allows"
	@echo "make audit   known holes in what is installed;  make sbom   what is installed, as CycloneDX, in dist/"
	@echo "make wheel-twice   the wheel, built in two places: the same bytes"
	@echo "make package   wheel and source archive install and run in clean environments, on Python 3.11 to 3.13"
	@echo "make runtime-wheel   delineate-runtime, which runs exported models without PyTorch, in dist/"
	@echo "make runtime-check   it finds in a clean environment what delineate finds here"
	@echo "make lint | docs | clean"

# -- environment: each stamp says that an install of these extras has succeeded -----------------------

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "delineate needs Python 3.11 or newer as $(PYTHON); name another: PYTHON=python3.12 make demo" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv module is missing; on Debian or Ubuntu: sudo apt-get install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
ifneq ($(TORCH_INDEX),)
	$(BIN)/python -m pip install --index-url $(TORCH_INDEX) torch torchvision
endif
	@touch $@

$(VENV)/.demo: pyproject.toml | $(VENV)/.created
	@echo "Installing delineate into $(VENV); the first time this fetches torch and takes some minutes."
	$(BIN)/python -m pip install --editable .
	@touch $@

# Tests compare with these. They ask for opencv-python, which would overwrite the headless one, and for much that their
# scores do not use; they run without.
REFERENCES := trackeval==1.3.0 lvis==0.5.3 cityscapesscripts==2.3.0 pyquaternion==0.9.9 trackers==2.6.1

$(VENV)/.test: pyproject.toml | $(VENV)/.created
	$(BIN)/python -m pip install --editable ".[test,train]"
	$(BIN)/python -m pip install --no-deps $(REFERENCES)
	@touch $@ $(VENV)/.demo

$(VENV)/.check: pyproject.toml | $(VENV)/.created
	$(BIN)/python -m pip install --editable ".[test,train,dev,docs]"
	$(BIN)/python -m pip install --no-deps $(REFERENCES)
	@touch $@ $(VENV)/.demo $(VENV)/.test

# -- what people run ----------------------------------------------------------------------------------

demo: $(VENV)/.demo
	$(BIN)/delineate predict samples --model nuclei --out demo-output --save overlay,coco,labels,csv
	@echo
	@echo "Results lie in demo-output/:"
	@ls -1 demo-output | sed 's/^/  /'

test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 $(COVERAGE) $(PYTEST_ARGS)

# Lint and docs come first because they are quick; the tests' closing line is the last thing to be read.
check: COVERAGE := --cov --cov-report=term:skip-covered
check: $(VENV)/.check lint docs test

lint: $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: $(VENV)/.check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir site

# Schemathesis brings thirty packages, so it has an environment of its own.
contract: $(VENV)/.test
	$(PYTHON) -m venv $(VENV)/contract
	$(VENV)/contract/bin/python -m pip install --quiet "schemathesis>=4.32,<5"
	$(BIN)/python benchmarks/serve_contract.py $(CURDIR)/$(VENV)/contract/bin/schemathesis

# What is installed for use, not for tests. The tools have an environment of their own.
$(VENV)/.audit: | $(VENV)/.created
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet "pip-audit>=2.9,<3" "cyclonedx-bom>=7,<8"
	@touch $@

audit: $(VENV)/.demo $(VENV)/.audit
	@$(BIN)/python packaging/audit.py $(VENV)/audit/bin/pip-audit \
	  "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

sbom: $(VENV)/.demo $(VENV)/.audit
	@mkdir -p dist
	@$(VENV)/audit/bin/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible \
	  --of JSON -o dist/delineate.cdx.json
	@echo "sbom: dist/delineate.cdx.json"

wheel-twice: | $(VENV)/.created
	$(PYTHON) -m venv $(VENV)/wheel
	$(VENV)/wheel/bin/python -m pip install --quiet "hatchling>=1.27"
	$(VENV)/wheel/bin/python packaging/wheel_twice.py

package: | $(VENV)/.created
	$(PYTHON) -m venv $(VENV)/nox
	$(VENV)/nox/bin/python -m pip install --quiet "nox>=2025.2.9"
	TORCH_INDEX="$(TORCH_INDEX)" $(VENV)/nox/bin/nox

# The same source without PyTorch. The check downloads about 200 MB, so it is no part of `make check`.
runtime-wheel: | $(VENV)/.created
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist packaging/runtime
	@ls dist/delineate_runtime-*.whl

runtime-check: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python packaging/runtime/check.py

clean:
	rm -rf $(VENV) .nox demo-output site dist htmlcov .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache
