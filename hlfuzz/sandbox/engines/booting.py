"""Boots guests in micro-VMs and keeps the snapshots: each guest is compiled and booted once, then cloned."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from typing import Final, Protocol, TypeAlias
from weakref import WeakKeyDictionary

from hlfuzz.guest import Guest
from hlfuzz.model import Failure, GlobalType, ValType, Value, value_bits
from hlfuzz.sandbox.engines.base import HostSide
from hlfuzz.sandbox.engines.starting import start_error, started
from hlfuzz.vmm import Boot, Machine, Module, Template, cache_folder


class Runner(Protocol):
    """Runs a booting VM with its host functions (`KvmEngine`)."""

    asked_host: bool
    """Whether a host function was called that answers from more than the host's state."""

    def run(self, start: Callable[[], int]) -> Failure | None: ...


MakeRunner: TypeAlias = Callable[[Guest, HostSide, Machine, int], Runner]
_Key: TypeAlias = tuple[tuple[bytes, ...], Hashable]
"""The values of imported globals, and the key of the host's state before the guest started."""

KEPT: Final = 8
"""Snapshots kept of one guest, by globals and state of the host: those used last."""


def booted(guest: Guest, host: HostSide, runner: MakeRunner) -> Template:
    """The snapshot of a guest, with the host's side in the state that belongs to it. One whose start function
    called the host is booted anew for each sandbox, because what the host did is part of it; unless it asked
    for no more than that state tells. Raises `ModuleError`, `StartError`, `EnvironmentProblem`."""
    values = imported_globals(guest, host)
    key = (tuple(value_bits(value) for _, value in values), host.state and host.state.key)
    with _lock:
        kept = _templates.get(guest, {})
        found = kept.pop(key, None)
        if found is not None:
            kept[key] = found  # the last one used
    if found is not None:
        template, saved = found
        host.started(saved)
        return template
    limits = guest.limits
    seconds = limits.start_seconds
    boot = Boot(
        compiled(guest),
        guest.name,
        memory_bytes=guest.memory_limit,
        table_elements=limits.table_elements,
        stack_bytes=limits.stack_bytes,
        grow_traps=limits.grow == "trap",
        cpu_us=round(seconds * 1e6),
        wall_us=round(seconds * 1e7),
        globals=values,
    )
    try:
        host.starting()
        running = runner(guest, host, boot, round(seconds * 1e6))
        outcome = running.run(boot.run)
        if outcome is not None:
            raise start_error(guest, started(guest), outcome, seconds)
        template = boot.finish()
    finally:
        boot.close()
    host.started()
    if not running.asked_host:
        saved = host.state and host.state.save()
        with _lock:
            kept = _templates.setdefault(guest, {})
            kept[key] = (template, saved)
            while len(kept) > KEPT:
                del kept[next(iter(kept))]
    return template


def compiled(guest: Guest) -> Module:
    """The compiled module of a guest, from memory, the user's cache folder, or the compiler."""
    with _lock:
        module = _modules.get(guest)
    if module is None:
        module = Module(
            guest.data,
            guest.name,
            max_bytes=guest.limits.module_bytes,
            cache=cache_folder(),
            elf=guest.kind == "elf",
        )
        with _lock:
            _modules[guest] = module
    return module


def imported_globals(guest: Guest, host: HostSide) -> list[tuple[ValType, Value]]:
    """Type and value of each imported global, in order."""
    return [
        (imported.type.value, host.globals[index])
        for index, imported in enumerate(guest.info.imports)
        if isinstance(imported.type, GlobalType)
    ]


_lock = threading.Lock()
_modules: WeakKeyDictionary[Guest, Module] = WeakKeyDictionary()
_templates: WeakKeyDictionary[Guest, dict[_Key, tuple[Template, object]]] = WeakKeyDictionary()
_inherited: list[object] = []


def _after_fork() -> None:
    global _lock, _templates
    _inherited.append(_templates)  # a parent's snapshots cannot be used here, nor be unmapped safely
    _lock = threading.Lock()
    _templates = WeakKeyDictionary()


os.register_at_fork(after_in_child=_after_fork)
