# On a bare machine: Python >= 3.10 with pip, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test nightly coverage lint mutants bench docs docs-check dist clean

demo: $(VENV)/examples.stamp
	$(BIN)/python examples/plot_01_penguins.py

# a process per core, each with one thread
test: $(VENV)/test.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n logical

# Not in CI: what is tried on a few cases there, on many, and others every time; some minutes.
nightly: $(VENV)/test.stamp
	HYPOTHESIS_PROFILE=nightly OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n logical \
	  --hypothesis-show-statistics tests/test_properties.py

# Not in CI: the tests again, slower; fails below what pyproject.toml asks for.
coverage: $(VENV)/test.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n logical --cov --cov-report=term

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Makes the code of tasks, masks and metrics wrong, a change at a time, and lists what no test notices;
# docs/mutation.md reads these. Not in CI: over an hour.
MUTANTS := "skmtl.tasks.*" "skmtl.metrics.*" "skmtl.training.*" \
  "skmtl.targets.encoding.*" "skmtl.targets.weights.*"
mutants: $(VENV)/mutants.stamp
	OMP_NUM_THREADS=1 $(BIN)/mutmut run $(MUTANTS)
	$(BIN)/mutmut results | grep -v "not checked"

# The site, into output/docs. Not in CI: executes the examples, some minutes the first time.
docs: $(VENV)/docs.stamp
	$(BIN)/python -m sphinx -W --keep-going -b html docs output/docs

# Opens the built site in headless Chromium (Debian: chromium): navigation, search, pictures, links.
docs-check: docs
	$(BIN)/python docs/check_site.py output/docs

# Wheel and sdist into dist/; each is installed into a bare environment, where README's examples run.
dist: $(VENV)/test.stamp
	rm -rf dist output/bare
	$(INSTALL) build
	$(BIN)/python -m build
	for file in dist/*.whl dist/*.tar.gz; do \
	  $(PYTHON) -m venv --clear output/bare && \
	  output/bare/bin/python -m pip install --quiet -c constraints.txt $$file && \
	  (cd output && bare/bin/python -m doctest ../README.md) || exit 1; \
	done

# Not in CI: takes over an hour and wants an idle machine. benchmarks/river.py needs a file more: see there.
# Of LibMTL's torchvision nothing is used.
bench: $(VENV)/bench.stamp
	$(INSTALL) --no-deps libmtl==1.1.5
	$(BIN)/python benchmarks/peers.py
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/schemes.py
	$(BIN)/python benchmarks/schools.py
	$(BIN)/python benchmarks/weightings.py
	$(BIN)/python benchmarks/search.py
	$(BIN)/python benchmarks/members.py
	$(BIN)/python benchmarks/sinusoid.py
	$(BIN)/python benchmarks/transfer.py
	$(BIN)/python benchmarks/twenty_labels.py
	$(BIN)/python benchmarks/groups.py
	$(BIN)/python benchmarks/lifelong.py
	$(BIN)/python benchmarks/flights.py

$(VENV)/%.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -e ".[$*]"
	touch $@

clean:
	rm -rf $(VENV) output docs/api docs/gallery docs/project
