# `make demo` runs the tutorial, `make test` all tests. Both need only Python 3.11+, make and a C++ compiler. The Makefile
# installs the rest into .venv, and again after a change of pyproject.toml or of the C++ sources.

SHELL := /bin/bash
.DELETE_ON_ERROR:

# The first Python that is recent enough and has venv; `make demo PYTHON=/path/to/python3` selects another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
NATIVE := CMakeLists.txt $(wildcard src/native/*)
MODEL := models/tutorial

.PHONY: demo demo-page docs release-check test check bench lint format bundled tutorial-model screenshot sanitize trust fuzz clean

# The tutorial: train, evaluate, predict and explain, with the commands that a user types.
demo: .venv/demo.stamp
	$(BIN)/gatewise train imdb --recipe tutorial --data embedded -o $(MODEL) --overwrite
	$(BIN)/gatewise evaluate -m $(MODEL) imdb --data embedded
	$(BIN)/gatewise predict -m $(MODEL) "A quiet film that stays with you for days." "Two dull hours, badly acted, and a waste of time."
	$(BIN)/gatewise explain -m $(MODEL) --tutorial-review

# The page with the bundled model and the texts of tools/demo_texts.txt, as static files in demo-page/ (docs/page.md).
demo-page: .venv/demo.stamp
	$(BIN)/gatewise export-page -i tools/demo_texts.txt -o demo-page --overwrite

# The site in build/site: the pages of docs/, the reference, and the notebooks with their outputs (mkdocs.yml).
docs: .venv/dev.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build
	@echo "Serve it: $(BIN)/python -m http.server -d build/site"

# All that a release does but the upload (docs/platforms.md): build/release/dist. STEPS='builds wheels' does some of it.
release-check: .venv/dev.stamp .venv/release.stamp
	$(BIN)/python -m tools.release_check $(STEPS)

.venv/release.stamp: .venv/pip.stamp tools/requirements-release.txt
	$(PIP) install --quiet --requirement tools/requirements-release.txt
	touch $@

# The tests start hundreds of Python processes. With this variable each would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

# All tests: static checks, the package, and its wheel in an empty environment. WORKERS processes run the test files:
# three keep two cores busy, as many tests wait for a process or a browser. The files that take longest come first
# (tests/cost.py); xdist would put those with the fewest tests last.
WORKERS ?= 3
IN_PARALLEL := --dist loadfile --no-loadscope-reorder
test: lint
	$(BIN)/python -m pytest -n $(WORKERS) $(IN_PARALLEL) $(TESTS)

# What a change needs, in two minutes: static checks, and the tests that start no process, server, browser or training and
# import no other library (tests/cost.py), of the folders that the change concerns by the imports (tools/affected_tests.py).
QUICK := not (slow or browser or process or training or peers)
check: lint
	tests=$$($(BIN)/python -m tools.affected_tests) && \
		$(BIN)/python -m pytest -n 2 $(IN_PARALLEL) -m "$(QUICK)" $$tests

# Compare with other libraries, which are installed in .venv-peers (docs/benchmarks.md). Run it on an idle machine.
# BENCH=--quick takes a few minutes and writes no results; BENCH='--only step_tutorial_2' runs one case.
bench: .venv/dev.stamp .venv-peers/stamp
	$(BIN)/python -m benchmarks $(BENCH)
	$(if $(BENCH),,$(BIN)/python -m benchmarks.tables)

.venv-peers/stamp: benchmarks/requirements-peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip --disable-pip-version-check install --quiet --requirement benchmarks/requirements-peers.txt
	touch $@

# The modules of the page and their tests, and the script of the site; .editorconfig has their style. The wheels of oxlint and oxfmt contain programs; neither needs Node. oxlint
# takes folders and no patterns: of a pattern it finds nothing and succeeds.
JAVASCRIPT := 'docs/*.js' 'src/**/*.js' 'tests/**/*.mjs'
JAVASCRIPT_FOLDERS := docs src tests

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/oxlint --deny-warnings $(JAVASCRIPT_FOLDERS)
	$(BIN)/oxfmt --check $(JAVASCRIPT)
	$(BIN)/mypy

format: .venv/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/oxlint --fix $(JAVASCRIPT_FOLDERS)
	$(BIN)/oxfmt $(JAVASCRIPT)

# Train the bundled model on the IMDB archive DATA (4 hours on one thread; docs/accuracy.md). Measure it on the test half
# before and after compression and after its training on short texts, and on sentences by another author.
BUNDLED := src/gatewise/model/bundled/sentiment
DISTINCT_EMBEDDINGS := 10502
MAX_NGRAMS := 100000
bundled: .venv/dev.stamp
	@test -n "$(DATA)" || { echo "make bundled needs the IMDB archive: make bundled DATA=aclImdb_v1.tar.gz" >&2; exit 1; }
	$(BIN)/gatewise pretrain imdb --data $(DATA) --size large --epochs 3 -o models/pretrained --overwrite
	$(BIN)/python -m tools.bundled --data $(DATA) --pretrained models/pretrained -o models/best
	$(BIN)/gatewise compress -m models/best -o $(BUNDLED) --overwrite --max-ngrams $(MAX_NGRAMS) \
		--distinct-embeddings $(DISTINCT_EMBEDDINGS) --data $(DATA)
	$(BIN)/python -m tools.bundled.refit $(BUNDLED) --data $(DATA)
	$(BIN)/python -m benchmarks.independent_sentences $(BUNDLED) --save
	$(BIN)/python -m tools.bundled.units $(BUNDLED) --data $(DATA)

# Train the tutorial's model on the train half of the IMDB archive DATA (one minute) and keep its 10,000 words, each with
# 8-bit embeddings: the model of the lesson. It is measured on the test half before and after.
tutorial-model: .venv/dev.stamp
	@test -n "$(DATA)" || { echo "make tutorial-model needs the IMDB archive: make tutorial-model DATA=aclImdb_v1.tar.gz" >&2; exit 1; }
	$(BIN)/gatewise train imdb --recipe tutorial --data $(DATA) -o $(MODEL) --overwrite
	$(BIN)/gatewise compress -m $(MODEL) -o src/gatewise/model/bundled/tutorial --overwrite --vocab-size 10000 --data $(DATA)
	$(BIN)/python -m tools.bundled.units src/gatewise/model/bundled/tutorial --data $(DATA) $(addprefix --word-index ,$(WORD_INDEX))

# docs/lesson.png and docs/page.png: screenshots of the lesson and of the page with the bundled model, by chromium.
screenshot: .venv/dev.stamp
	$(BIN)/python -m tools.screenshot

# The native kernel's tests with AddressSanitizer and UndefinedBehaviorSanitizer, then with ThreadSanitizer.
sanitize: .venv/dev.stamp
	$(BIN)/python tools/sanitize.py

# Attack every promise of docs/trust.md for hours; continues where it stopped. TRUST='model-folders --seed 7' runs one.
trust: .venv/dev.stamp
	$(BIN)/python -m trust $(TRUST)

# Fuzz the readers of files and, with AddressSanitizer, the native kernel (docs/trust.md). Needs Linux and Clang.
fuzz: .venv/dev.stamp .venv/fuzz.stamp
	$(BIN)/python -m trust 'fuzz-*'

.venv/fuzz.stamp: .venv/pip.stamp trust/requirements-fuzz.txt
	$(PIP) install --quiet --requirement trust/requirements-fuzz.txt
	touch $@

clean:
	rm -rf .venv .venv-peers build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks tools trust -name __pycache__ -prune -exec rm -rf {} +

# An editable install: edited Python counts at once, edited C++ at the next `make`, which compiles only changed files
# because the build tools stay in .venv and the objects in build/. The tests' dependencies include those of the demo.
.venv/demo.stamp: .venv/pip.stamp pyproject.toml $(NATIVE)
	$(call install,demo)
	touch $@

.venv/dev.stamp: .venv/pip.stamp pyproject.toml $(NATIVE)
	$(call install,dev)
	touch .venv/demo.stamp $@

define install
$(PIP) install --quiet cmake ninja nanobind scikit-build-core
$(PIP) install --quiet --no-build-isolation --editable '.[$(1)]'
@$(BIN)/python -c "from gatewise.kernels import unavailable_reason; print('native kernel:', unavailable_reason('native') or 'compiled')"
endef

.venv/pip.stamp:
	@test -n "$(PYTHON)" || { echo "gatewise needs Python 3.11 or newer with venv; select one: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Creating .venv with $$($(PYTHON) --version); the first time takes some minutes."
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --upgrade pip
	touch $@
