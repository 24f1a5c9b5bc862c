# The front door. It makes a Python environment and calls the tools in it; what depends on what is in the Snakefile.

PROFILE ?= quick
SECONDS ?= 600
BUILD = $(if $(filter quick,$(PROFILE)),build,build/$(PROFILE))
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
# The first Python of this machine that serves; PYTHON=... chooses another.
SERVES := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
  $$p -c '$(SERVES)' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
# A process that has no more tests takes some over from another: tests that share a fixture stay together otherwise.
PARALLEL := -n $(CORES) --dist worksteal
READY := .venv/ready
# An environment knows its folder by its whole path: one that came along with a copied or moved project would run the
# code of the folder that it was made in. `ready` holds that folder's name.
ifneq ($(file <$(READY)),$(CURDIR))
ELSEWHERE := elsewhere
endif

# UV_TORCH_BACKEND=cpu installs torch without CUDA: uv knows where that lies.
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check
ifneq ($(UV_TORCH_BACKEND),)
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check uv \
  && UV_TORCH_BACKEND=$(UV_TORCH_BACKEND) $(BIN)/uv pip install --python $(BIN)/python
endif

.DEFAULT_GOAL := help
.PHONY: elsewhere help env book pdf links smoke test test-fast fuzz lint format bench ledger clean

help:  ## this list
	@echo "make TARGET [PROFILE=smoke|quick|paper] [CORES=n] [SECONDS=n] [PYTHON=python3.x]"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 12

book: $(READY)  ## execute every notebook and build the book: build/html/index.html
	@$(BIN)/python scripts/make_book.py --profile $(PROFILE) --cores $(CORES)

pdf: $(READY)  ## the built book of PROFILE as one PDF beside its pages; needs a Chromium
	@$(BIN)/python scripts/make_pdf.py $(BUILD)

links: $(READY)  ## ask every address that the built book of PROFILE links whether it is still there
	@PYTHONPATH=scripts $(BIN)/jupyter-book build $(BUILD)/book --path-output $(BUILD)/links --builder linkcheck

smoke: $(READY)  ## the book on tiny budgets: everything runs, nothing is concluded
	@$(BIN)/python scripts/make_book.py --profile smoke --cores $(CORES)

test: $(READY)  ## unit, property, notebook and book tests, on CORES processes
	@$(BIN)/python -m pytest $(PARALLEL)

test-fast: $(READY)  ## the tests that need neither the built book nor a browser
	@$(BIN)/python -m pytest $(PARALLEL) -m "not book and not browser"

fuzz: $(READY)  ## new examples for the property tests for SECONDS, and the line that reproduces each find
	@$(BIN)/python scripts/fuzz.py $(SECONDS)

lint: $(READY)  ## style, format, types, imports, notebooks without outputs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python scripts/check_notebooks.py notebooks/*.ipynb

format: $(READY)  ## mend what `make lint` can mend by itself
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/nbstripout notebooks/*.ipynb

bench: $(READY)  ## speed ratios, measured side by side on this machine
	@$(BIN)/python benchmarks/speed.py

ledger: $(READY)  ## the claims of the last build of PROFILE and whether any verdict contradicts its standing
	@$(BIN)/npf ledger --profile $(PROFILE) --check

clean:  ## remove everything that was built; results/, data/ and .venv/ stay
	rm -rf build .snakemake .pytest_cache .ruff_cache .hypothesis

env: $(READY)  ## only create .venv/ and install

elsewhere:

$(READY): pyproject.toml constraints.txt $(ELSEWHERE)
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none was found on the PATH (3.14 is too" \
	  "new: not everything that Snakemake needs has a wheel for it)." \
	  "Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c '$(SERVES)' || { "$(PYTHON)" --version >&2; \
	  echo "$(PYTHON) does not serve: Python 3.11, 3.12 or 3.13 is needed." >&2; exit 1; }
	@grep -qsF '$(CURDIR)/.venv/bin/python' $(BIN)/pip || rm -rf .venv
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv || { rm -rf .venv; \
	  echo "$(PYTHON) cannot create environments; on Debian and Ubuntu install python3-venv." >&2; exit 1; }
	$(INSTALL) -c constraints.txt -e '.[book,dev]'
	@# Matplotlib lists the fonts of a machine once, slowly and aloud: here, not in the middle of a notebook.
	@$(BIN)/python -c 'import matplotlib.font_manager' > .venv/fonts.log 2>&1
	@printf '%s' '$(CURDIR)' > $@
