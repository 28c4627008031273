"""Rows of the Python API, beside PyPI's `wasmtime` in the same process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import wasmtime

from hlfuzz.bench.machines import WASM
from hlfuzz.bench.row import Row, Samples, timed
from hlfuzz.errors import GuestTrap
from hlfuzz.guest import Guest
from hlfuzz.sandbox import Sandbox


def rows(vcpu: int, rounds: int, block: int) -> Iterator[Row]:
    """A call with reset, and a trap, from Python."""
    guest = Guest.from_wasm(WASM, name="the benchmark's guest")
    plain = _plain_wasmtime()
    with Sandbox(guest, {"env.host": _host}, engine="kvm", reset="memory", transport="spin", cpu=vcpu) as box:
        ours: list[list[int]] = []
        theirs: list[list[int]] = []
        for _ in range(rounds):
            theirs.append(timed(plain, block))
            ours.append(timed(lambda: box.call("add", 1, 2), block))
        samples = Samples(tuple(ours), tuple(theirs))
        peer, times = samples.floor, 1 / samples.ratio
        yield samples.row(
            'Python box.call("add", 1, 2) + reset',
            peer=peer,
            ratio=times,
            target="≤ 3 µs, ≥ 5 × faster than PyPI wasmtime",
            ok=samples.p50 <= 3 and times >= 5,
        )

        def trap() -> None:
            try:
                box.call("boom")
            except GuestTrap:
                return
            raise AssertionError("the guest did not trap")

        timed(trap, 100)
        traps = Samples((timed(trap, block),))
        yield traps.row("Wasm trap to Python exception, sandbox usable", target="≤ 20 µs", ok=traps.p50 <= 20)


def _host(value: int) -> int:
    return value


def _plain_wasmtime() -> Callable[[], object]:
    store = wasmtime.Store()
    module = wasmtime.Module(store.engine, WASM)
    i32 = wasmtime.ValType.i32()
    host = wasmtime.Func(store, wasmtime.FuncType([i32], [i32]), _host)
    add = wasmtime.Instance(store, module, [host]).exports(store)["add"]
    assert isinstance(add, wasmtime.Func)
    return lambda: add(store, 1, 2)
