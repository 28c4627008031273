"""Makes the machines that are measured, and pins this thread away from their vCPU."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import wasmtime

from hlfuzz.bench.guest import EXPORTS, SCRATCH, WAT
from hlfuzz.errors import EnvironmentProblem
from hlfuzz.model import Export, ExternKind, FuncType, ValType
from hlfuzz.vmm import Boot, Machine, Module, Slots, Template
from hlfuzz.vmm.measure import measure_call

WASM = bytes(wasmtime.wat2wasm(WAT))


@contextmanager
def pinned() -> Generator[int]:
    """Keep this thread on one CPU; yields another for the vCPU. Raises `EnvironmentProblem` with one CPU."""
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        raise EnvironmentProblem(
            "the benchmark needs two CPUs (this process may use one): widen its affinity (taskset)",
            reason="cpu",
        )
    mine, vcpu = sorted(before)[:2]
    os.sched_setaffinity(0, {mine})
    try:
        yield vcpu
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def artifact_cache() -> Generator[Path]:
    """A folder with the compiled guest in it."""
    with tempfile.TemporaryDirectory(prefix="hlfuzz-bench-") as folder:
        cache = Path(folder) / "modules"
        compiled(cache)
        yield cache


def compiled(cache: Path) -> Module:
    """The guest, from the cache when it is there."""
    return Module(WASM, "the benchmark's guest", max_bytes=0, cache=cache)


def booted(module: Module) -> Template:
    """Its snapshot."""
    boot = Boot(
        module,
        "a guest of the benchmark",
        memory_bytes=0,
        table_elements=0,
        stack_bytes=0,
        cpu_us=0,
        wall_us=0,
        globals=(),
    )
    try:
        boot.run()
        return boot.finish()
    finally:
        boot.close()


def machine(
    template: Template, transport: str, reset: str, vcpu: int | None = None, *, cpu_us: int = 0
) -> Machine:
    """A clone; `cpu_us` is the deadline of a call, 0 for the default."""
    return template.clone(
        transport=transport,
        reset=reset,
        cpu=vcpu,
        cpu_us=cpu_us,
        wall_us=0,
        verify_every=0,
        make=Machine,
    )


def timed_calls(
    vm: Machine, function: str, args: Sequence[int] = (), *, reset: bool, count: int, data: bytes = b""
) -> list[int]:
    """Nanoseconds of each of `count` calls with i32 arguments; `data` goes to SCRATCH first."""
    types = (ValType.I32,) * len(args)
    slots = Slots(types)
    slots.put(args)
    export = Export(function, ExternKind.FUNC, FuncType(types, ()), EXPORTS.index(function))
    return measure_call(vm, export, slots, count, reset=reset, data=data, address=SCRATCH)
