# Two commands on a fresh machine with Python >= 3.11, make and a C toolchain: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXPERIMENT ?= adroit_door_quick
SEED ?= 0
BENCH := learner_bench.cores=1 learner_bench.ring_rows=100000 learner_bench.first_update=false
# uv installs the same packages in a fraction of pip's time; where it cannot, for an index that only pip has been told of,
# pip does. Neither compiles every module of every package beforehand, which would take longer than all else: Python
# compiles what is used when it is first used, and keeps it. Where that is forbidden, each of a run's processes would.
CONSTRAINED := --quiet --constraint constraints.txt
RUN_EXTRAS := .[learner,sim]
define install
$(BIN)/python -m pip install --no-compile $(CONSTRAINED) uv
$(BIN)/uv pip install --python $(BIN)/python $(CONSTRAINED) --editable '$(1)' || \
  $(BIN)/python -m pip install --no-compile $(CONSTRAINED) --editable '$(1)'
endef
unexport PYTHONDONTWRITEBYTECODE
# One more than there are cores: tests of real processes also wait, for a restart or a deadline, a fifth of their time.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')

.PHONY: run test check chaos bench demos docs docker-test wheel-test clean

run: $(VENV)/run.stamp  ## learn to open a door: stand-in, actor and learner, then evaluation and report
	$(BIN)/rlpd-robot train experiment=$(EXPERIMENT) run.seed=$(SEED)

test: $(VENV)/dev.stamp  ## all tests
	$(BIN)/pytest -q --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

check: $(VENV)/dev.stamp  ## style, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

chaos: $(VENV)/run.stamp  ## kill, suspend and cut off a training run at random; nothing may be lost or counted twice
	$(BIN)/rlpd-robot bench chaos run.seed=$(SEED)

bench: $(VENV)/run.stamp  ## the learner beside the machine's own products, on one core: what got slower than was committed
	$(BIN)/rlpd-robot bench learner $(BENCH) learner_bench.against=tests/benchmarks/learner.json

docker-test: $(VENV)/dev.stamp  ## the profiles of docker/compose.yaml: killed, recovered, nothing lost; says whether in containers
	$(BIN)/python docker/check_running.py $(PROFILES)

wheel-test: $(VENV)/dev.stamp  ## sdist and wheel, installed elsewhere, pass the quick tests
	$(BIN)/python tests/check_wheel.py

docs: $(VENV)/docs.stamp  ## the pages of docs/ as a site in build/docs; whatever is amiss is an error
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -d build/doctrees docs build/docs

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rlpd-robot needs Python 3.11 or newer; set PYTHON=…")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: $(VENV)/bin/python pyproject.toml constraints.txt
	$(call install,$(RUN_EXTRAS))
	touch $@

$(VENV)/dev.stamp: $(VENV)/bin/python pyproject.toml constraints.txt
	$(call install,.[dev])
	touch $@ $(VENV)/run.stamp

$(VENV)/docs.stamp: $(VENV)/dev.stamp
	$(call install,.[docs])
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
