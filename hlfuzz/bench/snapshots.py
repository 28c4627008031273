"""Rows of snapshots: taking, saving and loading one of a guest with 16 MiB of data."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import wasmtime

from hlfuzz.bench.machines import booted, machine
from hlfuzz.bench.row import Row, Samples, timed
from hlfuzz.vmm import DEFAULT_MEMORY, Module, Template, load, save, take

DATA_BYTES: Final = 16 << 20
ALLOWED_US: Final = 30_000
"""Of a save, brought to disk, and of a load: the promise for a guest of 16 MiB."""
_WAT: Final = f'(module (memory (export "memory") {DATA_BYTES >> 16}))'
_WHERE: Final = "the benchmark's large guest"


def rows(cache: Path, count: int) -> Iterator[Row]:
    """Each `count` times. The file lies in the folder for temporary files; each save includes its fsync."""
    module = Module(bytes(wasmtime.wat2wasm(_WAT)), _WHERE, max_bytes=0, cache=cache)
    vm = machine(booted(module), "exit", "strict")
    try:
        vm.memory_write(DEFAULT_MEMORY, 0, random.Random(1).randbytes(DATA_BYTES))
        taken = take(vm, _WHERE)
        yield _row("taking a snapshot of 16 MiB", timed(lambda: take(vm, _WHERE), count))
        with tempfile.TemporaryDirectory(prefix="hlfuzz-bench-") as folder:
            path = Path(folder) / "state"
            yield _row(
                "saving it, with fsync", timed(lambda: save(taken, path, compress=False), count), ALLOWED_US
            )
            yield _row("loading it", timed(lambda: _load(module, path), count), ALLOWED_US)
    finally:
        vm.close()


def _load(module: Module, path: Path) -> Template:
    return load(module, path, memory_bytes=0, table_elements=0, stack_bytes=0, grow_traps=False)


def _row(name: str, times: list[int], allowed: int | None = None) -> Row:
    samples = Samples((times,))
    if allowed is None:
        return samples.row(name)
    return samples.row(name, target=f"≤ {allowed} µs", ok=samples.p50 <= allowed)
