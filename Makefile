# On a bare machine: Python >= 3.10 with pip, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint bench clean

demo: $(VENV)/examples.stamp
	$(BIN)/python examples/plot_01_penguins.py

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Not in CI: takes over an hour and wants an idle machine. benchmarks/river.py needs a file more: see there.
bench: $(VENV)/test.stamp
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/schemes.py
	$(BIN)/python benchmarks/schools.py
	$(BIN)/python benchmarks/weightings.py
	$(BIN)/python benchmarks/search.py
	$(BIN)/python benchmarks/members.py
	$(BIN)/python benchmarks/sinusoid.py
	$(BIN)/python benchmarks/transfer.py
	$(BIN)/python benchmarks/groups.py

$(VENV)/%.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -e ".[$*]"
	touch $@

clean:
	rm -rf $(VENV) output
