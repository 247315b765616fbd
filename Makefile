# make demo   sets up and audits dlib on the bundled synthetic faces, prints the report's path
# make test   sets up if needed, then lint, types and tests
# make docs   builds the documentation, offline and strict, and prints where it is
# make bench  speed beside the packages people use today: prints ratios, writes docs/benchmarks.md
PYTHON ?= python3
VENV   ?= .venv
PEERS  ?= build/peers
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: setup demo test suite docs lint bench clean

setup: $(STAMP)

# torch first and alone: where a CPU build is configured pip then takes it.
# compat: a path entry, so that a folder named fraudit beside a script does not hide the package.
$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check "torch>=2.4,<2.14"
	$(BIN)/pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat -e ".[dlib,dev]"
	touch $(STAMP)

demo: setup
	$(BIN)/fraudit analyze --embedder dlib --dataset sample --out runs/demo --overwrite

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check fraudit embedders tests benchmarks docs/fraudit_docs
	$(BIN)/mypy

# mypy keeps one core busy for most of a minute: it runs beside the tests.
test: setup
	$(MAKE) --no-print-directory -j2 lint suite

# One process a core, one thread each: torch and BLAS otherwise fight over the same cores. Files in the order of their
# names: the long ones (tests/e2e) come first, and at the end no core waits for one of them.
suite: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

docs: setup
	NO_MKDOCS_2_WARNING=1 OMP_NUM_THREADS=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo "the documentation: $(CURDIR)/build/site/index.html"

# The peers live in an environment of their own: some need an older numpy.
$(PEERS)/.installed:
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check "numpy<2" "scipy>=1.13,<1.14" "scikit-image<0.21" "setuptools<80" \
		cimat==0.1.2 imagecorruptions==1.1.2
	touch $(PEERS)/.installed

bench: setup $(PEERS)/.installed
	$(BIN)/python -m benchmarks.bench --peers $(PEERS)/bin/python --write

clean:
	rm -rf $(VENV) $(PEERS) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
