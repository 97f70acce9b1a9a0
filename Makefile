# Each target makes what it needs; a machine with make and Python 3.11 or newer is enough.
# The packages come from wherever pip is set up to look; constraints.txt pins their versions.

.DELETE_ON_ERROR:
.PHONY: setup demo test test-rest test-cluster browser check lint bench test-full faults soak cluster docs clean

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
PYTEST := $(BIN)/python -m pytest
SEED ?=
TIER ?= quick
SOAK ?= 3600
HAS_BROWSER := { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null
QUICK := "not slow and not faults"
# In a log each half is shown as a whole, in a terminal both as they go.
IN_ORDER := $(if $(MAKE_TERMOUT),,$(if $(filter output-sync,$(.FEATURES)),--output-sync=target))

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "taskqueue-ray needs Python 3.11 or newer: make PYTHON=/path/to/python"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY)
	$(BIN)/taskqueue demo

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint
	$(PYTEST) tests/unit tests/property -q

# What a change must pass: the quick tier of everything. The tests on Ray mostly wait, so both
# halves run at a time.
test: $(READY)
	@$(MAKE) --no-print-directory -j2 $(IN_ORDER) test-rest test-cluster

test-rest: lint browser
	$(PYTEST) tests/unit tests/property tests/simulation tests/acceptance -m $(QUICK) -q

test-cluster: $(READY) browser
	$(PYTEST) tests/cluster -m $(QUICK) -q

# The tests of the web page need a browser. Where it can be had by apt-get, it is; where it cannot
# they are skipped, and say so.
browser:
	@$(HAS_BROWSER) || test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null || { \
		echo "installing Debian's chromium for the tests of the web page"; \
		apt-get install -y -q chromium || { apt-get update -q && apt-get install -y -q chromium; }; \
	} >/dev/null 2>&1 || true
	@$(HAS_BROWSER) || echo "no chromium here: the tests that need a browser will be skipped"

test-full: lint browser
	$(PYTEST) -m "not faults" --cov

faults: $(READY)
	TASKQUEUE_TEST_TIER=$(TIER) TASKQUEUE_TEST_SEED=$(SEED) $(PYTEST) tests/simulation tests/property tests/cluster -m faults -s

# A thousand random schedules, day after day, for so many seconds.
soak: $(READY)
	TASKQUEUE_TEST_SOAK=$(SOAK) TASKQUEUE_TEST_SEED=$(SEED) $(PYTEST) tests/property/test_a_soak_of_schedules.py -s

# Of these, `ray up` needs an SSH server and rsync; without them its test is skipped, and says so.
cluster: $(READY) browser
	@PATH="$$PATH:/usr/sbin:/sbin"; command -v sshd >/dev/null && command -v rsync >/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get install -y -q openssh-server rsync || echo "cannot install them: ray up is not tried"; \
	else echo "openssh-server or rsync is missing, and only root may install them: ray up is not tried"; fi
	$(PYTEST) tests/cluster -m cluster

bench: $(READY)
	$(BIN)/taskqueue bench

# The parts of the documents that come from the code.
docs: $(READY)
	$(BIN)/python docs/generate.py

clean:
	rm -rf build dist htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find taskqueue_ray tests examples docs -name __pycache__ -type d -prune -exec rm -rf {} +
