# Byron's tasks. `make demo` and `make test` set up all they need in .venv.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8000

.DEFAULT_GOAL := help
.PHONY: help demo test faults audit gateway fuzz scenarios image check format docs bench clean

help:  ## Show this list.
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(BIN)/.installed  ## Run Hello, Byron! and leave it up; ONCE=1 ends by itself, PORT=8000.
	$(BIN)/python examples/demo.py --port $(PORT) $(if $(ONCE),--once)

test: $(BIN)/.installed  ## Run the tests.
	$(BIN)/python -m pytest -q -n 2 --ignore tests/faults --ignore tests/audit --ignore tests/fuzz \
	  --ignore tests/gateway --ignore tests/deploy/test_image.py

faults: $(BIN)/.installed  ## Run the Sink's fault tests on real processes: some minutes.
	$(BIN)/python -m pytest -q -n 3 tests/faults

audit: $(BIN)/.installed  ## Audit the example's API by the GraphQL over HTTP specification.
	$(BIN)/python -m pytest -q -rs tests/audit

gateway: $(BIN)/.installed  ## Ask Perses through a real gateway; installs half a gigabyte from npm.
	$(BIN)/python -m pytest -q -rs tests/gateway

fuzz: $(BIN)/.installed  ## Send what schemathesis makes up to a component's API.
	$(BIN)/python -m pytest -q tests/fuzz

scenarios: $(BIN)/.installed  ## Run the study case's three scenarios on real processes, with a report.
	$(BIN)/python examples/perses/scenarios.py $(if $(ROUNDS),--rounds $(ROUNDS))

image: $(BIN)/.installed  ## Build and run a component's image with docker, podman or buildah; none needs root.
	$(BIN)/python -m pytest -q -rs tests/deploy/test_image.py

check: $(BIN)/.installed  ## Lint, check types, layers and the example's generated files.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python manage.py generate --check
	$(BIN)/python manage.py makemigrations --check --dry-run byron

format: $(BIN)/.installed  ## Format the code.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(BIN)/.installed  ## Measure; prints one JSON line per measure.
	$(BIN)/python benchmarks/hello.py
	$(BIN)/python benchmarks/sink.py
	$(BIN)/python benchmarks/serve.py
	$(BIN)/python benchmarks/guarantees.py
	$(BIN)/python benchmarks/caches.py
	$(BIN)/python benchmarks/testing.py

clean:  ## Remove what the other targets made.
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

# Debian leaves ensurepip out of python3; pip can then still fill an environment from outside.
$(BIN)/.installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Byron needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null && $(PYTHON) -m venv $(VENV) \
	  || { $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install -q pip; } \
	  || { echo "Python lacks venv and pip: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install -q --upgrade pip
	@# An editable installation is meant; setuptools warns of each.
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install -q -e '.[dev,embedded]'
	@touch $@
