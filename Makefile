# congru: every routine task, each from a clean clone (Python >= 3.10, a C compiler, make).
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.setup-stamp
JOBS   ?= 3 # workers on two cores: many tests wait for processes and browsers of their own
# What computes differently on a processor without AVX-512 or AMX, and on one without AVX2.
NO_AVX512 := ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 CONGRU_ISA=avx2
KERNELS   := $(addprefix tests/kernels/test_,aten.py native.py exactness.py golden.py weight_dtype.py)
LAYERS    := tests/nn/test_layers.py tests/nn/test_against_torch.py tests/tasks/test_text_learner.py

# Hundreds of processes start in the tests: each is to find its modules compiled.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test check lint types suite sanitize fuzz bench wheels pages docs clean

setup: $(STAMP)

# The stamp holds the seconds that set-up took; `make demo` prints them.
$(STAMP): pyproject.toml CMakeLists.txt $(wildcard core/*)
	@start=$$(date +%s); set -e; \
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	echo "setting up $(VENV) (torch's CPU build is about 200 MB)"; \
	$(BIN)/pip install --quiet --editable '.[dev]' --config-settings=cmake.define.CONGRU_WERROR=ON; \
	echo $$(( $$(date +%s) - start )) > $@

demo: $(STAMP)
	$(BIN)/congru demo --setup-seconds $$(cat $(STAMP))

# Types are checked while the tests run: one core is enough for them, and tests wait for processes and browsers.
test: lint
	@$(MAKE) --no-print-directory --jobs=2 types suite

check: lint types

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

suite: $(STAMP)
	@sh .ci/browser.sh
	@sh .ci/pyright.sh $(VENV)
	$(BIN)/pytest -n $(JOBS) --dist worksteal
	$(NO_AVX512) $(BIN)/pytest -n $(JOBS) --dist worksteal $(KERNELS) $(LAYERS)
	CONGRU_ISA=baseline $(BIN)/pytest -n $(JOBS) --dist worksteal $(KERNELS)

# After every change of core/: its C tests under the address, undefined-behaviour and thread sanitizers.
sanitize: $(STAMP)
	CONGRU_SANITIZE=1 $(BIN)/pytest tests/core/test_sanitizers.py

# Every reader of files that others may have written, SECONDS each; without atheris a fuzzer of our own.
SECONDS ?= 60
fuzz: $(STAMP)
	$(BIN)/pip install --quiet 'atheris>=3' || true
	PYTHONPATH=tests $(BIN)/python -m faults $(SECONDS)

bench: $(STAMP)
	$(BIN)/pip install --quiet --editable '.[bench]'
	$(BIN)/python -m bench

# A wheel for every kind of machine, into dist/: compiled here with Zig, those that can run here tried without a compiler.
wheels: $(STAMP)
	$(BIN)/pip install --quiet --editable '.[wheels]'
	$(BIN)/python -m wheels
	$(BIN)/python -m wheels.trial

# Writes the pages that are made from the code; a test fails where they are not current.
pages: $(STAMP)
	$(BIN)/python -m pages

docs: pages
	$(BIN)/pip install --quiet --editable '.[docs]'
	$(BIN)/zensical build --strict
	$(BIN)/pytest -q tests/test_site.py

clean:
	rm -rf build $(VENV)
