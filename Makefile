# Two commands are all there is: `make demo` and `make test`. Both work from a bare checkout with Python 3.11+, make and a
# C++ compiler; whatever else is needed goes into .venv, once, and again when what it is built from has changed.

SHELL := /bin/bash
.DELETE_ON_ERROR:

# The first Python that is new enough and can make environments; `make demo PYTHON=/path/to/python3` takes another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
NATIVE := CMakeLists.txt $(wildcard src/native/*)
MODEL := models/tutorial

.PHONY: demo test lint format box picture sanitize clean

# The tutorial, from the reviews to an explained verdict. These are the commands that anyone would type.
demo: .venv/demo.stamp
	$(BIN)/gatewise train imdb --recipe tutorial --data embedded -o $(MODEL)
	$(BIN)/gatewise evaluate $(MODEL) imdb --data embedded
	$(BIN)/gatewise predict $(MODEL) "A quiet film that stays with you for days." "Two dull hours, badly acted, and a waste of time."
	$(BIN)/gatewise explain $(MODEL) --tutorial-review

# All tests: the static checks, the package, and its wheel in an empty environment.
test: lint
	$(BIN)/python -m pytest $(TESTS)

# gatewise beside its peers, which have an environment of their own; docs/benchmarks.md. On a quiet machine: BENCH=--quick
# takes a few minutes and writes nothing, BENCH='--only step_tutorial_2' a part.
bench: .venv/dev.stamp .venv-peers/stamp
	$(BIN)/python -m benchmarks $(BENCH)
	$(if $(BENCH),,$(BIN)/python -m benchmarks.tables)

.venv-peers/stamp: benchmarks/requirements-peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip --disable-pip-version-check install --quiet --requirement benchmarks/requirements-peers.txt
	touch $@

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The model in the box, from the archive at DATA (an hour; docs/accuracy.md), measured on the test half before and after.
# Its first two steps are the row best of `python -m benchmarks.accuracy`, seed 0.
BOX := src/gatewise/model/bundled/sentiment
BOX_WORDS := 12000
BOX_NGRAMS := 100000
box: .venv/dev.stamp
	$(BIN)/gatewise pretrain imdb --data $(DATA) --size large --epochs 2 -o models/pretrained
	$(BIN)/gatewise train imdb --data $(DATA) --pretrained models/pretrained --unlabelled imdb --recipe best -o models/best
	$(BIN)/gatewise compress models/best -o $(BOX) --words $(BOX_WORDS) --ngrams $(BOX_NGRAMS) --data $(DATA)

# The picture at the head of the README: the real page over MODEL, drawn by chromium.
picture: .venv/dev.stamp
	$(BIN)/python tools/picture.py $(MODEL)

# The native kernel's tests once more, over builds with sanitizers in them: address with undefined behaviour, and thread.
sanitize: .venv/dev.stamp
	$(BIN)/python tools/sanitize.py

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -prune -exec rm -rf {} +

# Installed in place (`pip install -e`): an edited .py counts at once; edited C++ at the next `make`, which compiles only
# what changed, since the build tools stay in .venv and the objects in build/. What tests need includes what the demo needs.
.venv/demo.stamp: .venv/pip.stamp pyproject.toml $(NATIVE)
	$(call install,demo)
	touch $@

.venv/dev.stamp: .venv/pip.stamp pyproject.toml $(NATIVE)
	$(call install,dev)
	touch .venv/demo.stamp $@

define install
$(PIP) install --quiet cmake ninja nanobind scikit-build-core
$(PIP) install --quiet --no-build-isolation --editable '.[$(1)]'
@$(BIN)/python -c "from gatewise.kernels import why_not; print('native kernel:', why_not('native') or 'compiled, works')"
endef

.venv/pip.stamp:
	@test -n "$(PYTHON)" || { echo "gatewise needs Python 3.11 or newer, with venv; name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Making .venv with $$($(PYTHON) --version); the first time takes some minutes."
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --upgrade pip
	touch $@
