"""Rows of comparing a sandbox with its snapshot: memory of a guest that has written 4 MiB, and registers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hlfuzz.bench.machines import machine, timed_calls
from hlfuzz.bench.row import Row, Samples, timed
from hlfuzz.vmm import Template, differing_bytes, vcpu_registers

_PAGES: Final = 1024
_ALLOWED_US: Final = 1000


def rows(template: Template, count: int) -> Iterator[Row]:
    """After a strict reset of a guest that wrote to each page of 4 MiB: every byte is as in the snapshot."""
    vm = machine(template, "exit", "strict")
    try:
        timed_calls(vm, "touch", (_PAGES,), reset=True, count=1)
        for name, act in (
            ("comparing all memory, 4 MiB written", vm.differing_pages),
            ("listing what differs, 4 MiB written", lambda: differing_bytes(vm, read_only=False, limit=64)),
        ):
            samples = Samples((timed(act, count),))
            yield samples.row(name, target=f"≤ {_ALLOWED_US} µs", ok=samples.p50 <= _ALLOWED_US)
        yield Samples((timed(lambda: vcpu_registers(vm), count),)).row("reading every register of a vCPU")
    finally:
        vm.close()
