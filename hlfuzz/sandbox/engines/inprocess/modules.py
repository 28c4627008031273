"""Compiles a guest and its shims with the PyPI `wasmtime` package, once for each guest."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from weakref import WeakKeyDictionary

import wasmtime

from hlfuzz.errors import ModuleError
from hlfuzz.guest import Guest
from hlfuzz.model import Value
from hlfuzz.sandbox.engines.inprocess import shims
from hlfuzz.sandbox.engines.inprocess.start import code_moved, detach_start


@dataclass(frozen=True, slots=True)
class Modules:
    """Serialized machine code: each sandbox has a `wasmtime.Engine` of its own, so that one's deadline is not
    another's."""

    guest: bytes
    back: bytes | None
    start: str | None
    """Export to call after instantiation in the place of the start section."""
    moved: int
    """By how many bytes the code lies further on than in the guest's own file."""


def new_engine(guest: Guest) -> wasmtime.Engine:
    """An engine whose settings are those of the micro-VM's runtime, as far as they can be seen by a guest."""
    config = wasmtime.Config()
    config.epoch_interruption = True
    # As in the micro-VM. Also, a host program's own SIGILL or SIGSEGV handler (pytest's faulthandler) would
    # take traps for crashes.
    config.signals_based_traps = False
    config.parallel_compilation = not _in_forked_child  # the compiler's threads do not survive a fork
    config.max_wasm_stack = guest.limits.stack_bytes
    return wasmtime.Engine(config)


def modules_of(guest: Guest) -> Modules:
    """The compiled modules of a guest. Raises `ModuleError` when the package cannot compile it."""
    with _lock:
        modules = _compiled.get(guest)
        if modules is None:
            modules = _compiled[guest] = _compile(guest)
        return modules


def front_module(engine: wasmtime.Engine, guest: Guest, values: Mapping[int, Value]) -> wasmtime.Module:
    """The front shim with the values of imported globals in it."""
    return wasmtime.Module(engine, shims.front(guest.info.imports, values))


def _compile(guest: Guest) -> Modules:
    engine = new_engine(guest)
    wasm, start, moved = guest.wasm, None, 0
    if guest.info.start:
        wasm, start = detach_start(wasm, frozenset(e.name for e in guest.info.exports))
        moved = code_moved(guest.wasm, wasm)
    back = shims.back(guest.info.exports)
    try:
        return Modules(
            bytes(wasmtime.Module(engine, wasm).serialize()),
            None if back is None else bytes(wasmtime.Module(engine, back).serialize()),
            start,
            moved,
        )
    except wasmtime.WasmtimeError as e:
        raise ModuleError(
            f"the wasmtime package {version('wasmtime')} cannot compile the module ({guest.name}): {e}; "
            "use engine='kvm', or another release of the package",
            reason="unsupported",
        ) from e


_in_forked_child = False
_lock = threading.Lock()
_compiled: WeakKeyDictionary[Guest, Modules] = WeakKeyDictionary()


def _after_fork() -> None:
    global _in_forked_child, _lock
    _in_forked_child, _lock = True, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
