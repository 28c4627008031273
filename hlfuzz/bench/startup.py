"""Rows of starting and keeping sandboxes: first result, clone, memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from hlfuzz.bench.machines import booted, compiled, machine, timed_calls
from hlfuzz.bench.row import Row, Samples
from hlfuzz.vmm import Machine, Template
from hlfuzz.vmm.measure import Floor, measure_floor


def fresh(cache: Path, count: int) -> Row:
    """Cached artifact to first result: load, boot, freeze, clone, call."""

    def start() -> Machine:
        return machine(booted(compiled(cache)), "exit", "strict")

    samples = _first_results(start, count)
    return samples.row(
        "fresh sandbox from a cached artifact, first result", target="≤ 3000 µs", ok=samples.p50 <= 3000
    )


def clone(template: Template, count: int) -> Row:
    """Clone of a snapshot to first result, beside the creation of a VM."""
    vm = machine(template, "exit", "strict")
    try:
        floor = Samples((measure_floor(vm, Floor.VM_CREATE, count),)).p50
    finally:
        vm.close()
    samples = _first_results(lambda: machine(template, "exit", "strict"), count)
    allowed = 1.5 * floor + 500
    return samples.row(
        "clone from a snapshot, first result",
        floor=floor,
        ratio=samples.p50 / floor,
        target=f"≤ {allowed:.0f} µs",
        ok=samples.p50 <= allowed,
    )


def _first_results(start: Callable[[], Machine], count: int) -> Samples:
    taken: list[int] = []
    for _ in range(count):
        begin = time.perf_counter_ns()
        vm = start()
        timed_calls(vm, "add", (1, 2), reset=False, count=1)
        taken.append(time.perf_counter_ns() - begin)
        vm.close()
    return Samples((taken,))


def resident(template: Template, clones: int = 40) -> Row:
    """Memory that each further clone adds, called and reset; pages that clones share count once for all."""
    kept: list[Machine] = []

    def add_one() -> None:
        vm = machine(template, "exit", "memory")
        timed_calls(vm, "count", reset=True, count=3)
        kept.append(vm)

    try:
        for _ in range(3):
            add_one()
        before = _resident_bytes()
        for _ in range(clones):
            add_one()
        each = (_resident_bytes() - before) / clones / 1024
    finally:
        for vm in kept:
            vm.close()
    return Row(
        "resident memory of a further clone",
        "KiB",
        each,
        each,
        clones,
        target="≤ 64 KiB",
        ok=each <= 64,
    )


def _resident_bytes() -> int:
    # the proportional set size: a page that n mappings share counts as its n-th part for each
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
