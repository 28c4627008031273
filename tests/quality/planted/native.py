"""Native guests that leak, and platforms that fail native guests only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import native_leaks

from hlfuzz.invariants import Subject, Target
from hlfuzz.sandbox import Sandbox
from hlfuzz.sandbox.engines.kvm import KvmEngine
from planted import Planted
from planted.reset import damaged


@contextmanager
def reset_within_contexts() -> Iterator[Target]:
    """Each call with a byte vector in a native guest's context is followed by a reset."""
    sound = KvmEngine.bytes_entry

    def bytes_entry(engine: KvmEngine, *args: Any) -> Any:
        entry = sound(engine, *args)
        if entry is None or engine._guest.kind == "wasm":
            return entry
        return lambda values, reset: entry(values, True)

    with patch.object(KvmEngine, "bytes_entry", bytes_entry), native_leaks.target("nothing_of") as target:
        yield target


@contextmanager
def pool_without_reset() -> Iterator[Target]:
    """A pool hands out what the host wrote into a native guest's heap for the lease before."""
    sound = Sandbox.recover

    def recover(box: Sandbox) -> bool:
        return True if box.guest.kind == "elf" else sound(box)

    with patch.object(Sandbox, "recover", recover), native_leaks.target("nothing_of") as target:
        yield target


def _damaged(export: str, fault: str, **options: Any) -> Callable[[], AbstractContextManager[Target]]:
    """Every native guest's micro-VM, and no other, has that fault."""
    return partial(damaged, partial(native_leaks.target, export), fault, kinds=("elf",), **options)


def _guest(name: str, invariant: str, what: str, export: str) -> Planted:
    return Planted(name, invariant, Subject.GUEST, what, partial(native_leaks.target, export))


def _platform(
    name: str, invariant: str, what: str, open_: Callable[[], AbstractContextManager[Target]]
) -> Planted:
    return Planted(name, invariant, Subject.PLATFORM, what, open_)


FAULTS = (
    _guest(
        "native-static-buffer",
        "tenant-independence",
        "a native guest sends a static buffer before it fills it",
        "static_buffer",
    ),
    _guest(
        "native-heap-not-cleared",
        "tenant-independence",
        "a native guest sends memory of its heap that it has not cleared",
        "heap",
    ),
    _guest(
        "native-stack-not-cleared",
        "tenant-independence",
        "a native guest sends a frame of its stack that it has not filled",
        "stack",
    ),
    _guest(
        "native-vector-register",
        "tenant-independence",
        "a native guest forgets a tenant's bytes in an SSE register, and sends it",
        "vector_register",
    ),
    _guest(
        "native-rounding-mode",
        "tenant-independence",
        "a native guest leaves MXCSR as one tenant wanted it, and rounds the next one's numbers by it",
        "rounding",
    ),
    _guest(
        "native-rounding-depends",
        "context-dependence",
        "the same, seen by a caller who makes the call on its own",
        "rounding",
    ),
    _guest(
        "native-length-of-another",
        "tenant-independence",
        "a native guest answers with the length that the tenant before sent, which is no address of its own",
        "length_before",
    ),
    _guest(
        "native-time-in-memory",
        "determinism",
        "a native guest keeps the CPU's clock in a static variable, and tells nobody",
        "time_in_memory",
    ),
    _platform(
        "native-neighbours-page-can-be-read",
        "memory-isolation",
        "two sandboxes of a native guest have a page of heap in common, and the guest writes nothing there",
        _damaged("nothing", "SHARE_PAGE", sound=("clone",)),
    ),
    _platform(
        "native-registers-are-kept",
        "noninterference",
        "a strict reset leaves a native guest's SSE registers alone",
        _damaged("vector_register", "FORGET_VECTORS"),
    ),
    _platform(
        "native-notes-in-the-mailbox",
        "noninterference",
        "a strict reset leaves what a native guest writes to the mailbox, beyond its answers",
        _damaged("nothing", "FORGET_MAILBOX"),
    ),
    _platform(
        "native-memory-is-kept",
        "context-finish",
        "the end of a context leaves a native guest's memory alone",
        _damaged("static_buffer", "NO_RESET"),
    ),
    _platform(
        "native-pool-leases-without-reset",
        "noninterference",
        "a pool hands out what its host wrote into a native guest's heap for the lease before",
        pool_without_reset,
    ),
    _platform(
        "native-reset-within-context",
        "context-persist",
        "in a native guest's context a call with a byte vector is followed by a reset",
        reset_within_contexts,
    ),
)
