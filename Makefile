# The commands of the README. Each makes what it needs: the virtual environment, the native library, the examples.
#
#   make demo       fuzzes the example network filters (the first time: about the time of one release build more)
#   make test       every check that must pass: lint, Rust tests, the model check, Python tests
#   make bench      the benchmark table; BENCH=--json for a document
#   make verifiers  a million damaged FlatBuffers: what C++ rejects, we must reject (a few minutes)
#   make fault-table  every planted fault with ten seeds, and clean guests: writes docs/planted-faults.md (a quarter hour)
#   make soak       ten minutes of mixed work, after which nothing may have grown; SECONDS=600
#   make install-c  header, library and pkg-config file for C and C++ programs; PREFIX=/usr/local DESTDIR=
#   make fuzz-self  lies in the mailbox, and random machine code, against our own host side: ten million cases (a while)
#   make lint       formatting, types, layers
#   make docs       the documentation as HTML, in site/
#   make clean      removes everything that these commands made

SHELL := /bin/bash
.SHELLFLAGS := -o errexit -o nounset -o pipefail -c
.NOTPARALLEL:
.DELETE_ON_ERROR:

# Python 3.11 or newer: the first one found that runs. PYTHON=… chooses another.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

BIN := .venv/bin
RUST_SOURCES := $(shell find crates -name target -prune -o -type f -print) Cargo.toml Cargo.lock
BENCH ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1

PREFIX ?= /usr/local
DESTDIR ?=
TARGET := $${CARGO_TARGET_DIR:-target}/release
ABI := $(shell sed -n 's/^\#define HL_ABI_VERSION //p' crates/capi/include/hlfuzz.h)
VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml | head -1)

.PHONY: help demo test bench verifiers install-c fault-table soak lint docs clean test-rust test-model test-python
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile

demo: .venv/native
	@$(BIN)/python examples/demo.py

# pytest comes last, so that its summary is the last line.
test: lint test-rust test-model test-python

bench: .venv/native
	cargo build --release --locked --manifest-path bench/peer/Cargo.toml --target-dir bench/peer/target
	@$(BIN)/hlfuzz bench $(BENCH)

verifiers: .venv/native
	$(BIN)/python bench/verifiers.py

fault-table: .venv/native
	$(BIN)/python tests/quality/fault_table.py

SECONDS ?= 600

soak: .venv/native
	$(BIN)/python bench/soak.py --seconds $(SECONDS)

install-c:
	cargo build --release --locked --package hlfuzz-capi
	install -d $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 644 crates/capi/include/hlfuzz.h crates/capi/include/hlfuzz.hpp $(DESTDIR)$(PREFIX)/include
	install -m 644 $(TARGET)/libhlfuzz.a $(DESTDIR)$(PREFIX)/lib
	install -m 755 $(TARGET)/libhlfuzz.so $(DESTDIR)$(PREFIX)/lib/libhlfuzz.so.$(ABI)
	ln -sf libhlfuzz.so.$(ABI) $(DESTDIR)$(PREFIX)/lib/libhlfuzz.so
	sed -e 's|@prefix@|$(PREFIX)|' -e 's|@version@|$(VERSION)|' crates/capi/hlfuzz.pc.in \
		> $(DESTDIR)$(PREFIX)/lib/pkgconfig/hlfuzz.pc

# With overflow checks, as in the tests. A failure names its seed: HLFUZZ_FUZZ_SEED=… HLFUZZ_FUZZ_CASES=1 shows it again.
fuzz-self:
	HLFUZZ_FUZZ_CASES=10000000 RUST_TEST_THREADS=1 cargo test --locked -p hlfuzz-vmm --lib sandbox::hostile
	HLFUZZ_FUZZ_CASES=10000000 RUST_TEST_THREADS=1 cargo test --locked -p hlfuzz-vmm --lib savefile
	HLFUZZ_FUZZ_CASES=1000000 RUST_TEST_THREADS=1 cargo test --locked -p hlfuzz-capi --test snapshots
	HLFUZZ_FUZZ_CODE=200000 RUST_TEST_THREADS=1 cargo test --locked -p hlfuzz-vmm --test random_code

lint: .venv/native
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache
	cargo fmt --all --check
	cargo fmt --all --check --manifest-path crates/guest/Cargo.toml
	cargo fmt --all --check --manifest-path bench/peer/Cargo.toml
	cargo clippy --locked --workspace --all-targets -- -D warnings

# One thread: the tests of the spin transport need both CPUs of a small machine.
test-rust:
	RUST_TEST_THREADS=1 cargo test --locked --workspace

test-model:
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-target}/loom" cargo test --locked -p hlfuzz-vmm --lib -- handshake ready

# Where SIGINT is ignored (a background job of a script), the tests of Ctrl-C need its default back.
PYTEST := env --default-signal=INT $(BIN)/python -m pytest

# Unit tests run two at a time; the others one by one, because a spinning vCPU needs a CPU of its own. Both parts run in
# any case, and the last line says what came of them.
test-python: .venv/native
	@unit=passed; others=passed; \
	$(PYTEST) --numprocesses=2 --dist=worksteal tests/unit || unit=failed; \
	$(PYTEST) --ignore=tests/unit || others=failed; \
	echo "Python tests: unit tests $$unit, all others $$others"; \
	[[ $$unit$$others == passedpassed ]]

docs: .venv/native
	$(BIN)/python -m pip install --quiet mkdocs-material
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv build dist site hlfuzz.egg-info hlfuzz/vmm/_native.* examples/build target crates/guest/target bench/peer/target

# The environment; the native library is built here too, first by itself, so that cargo's progress can be seen.
.venv/installed: pyproject.toml setup.py
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found; install one, or name it: make PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "error: $(PYTHON) cannot make a virtual environment; on Debian: apt install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel cffi
	$(BIN)/python setup.py --quiet build_ext --inplace
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[dev]'
	@touch $@

.venv/native: .venv/installed $(RUST_SOURCES) hlfuzz/vmm/_build_ffi.py
	$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@
