"""Resets that forget something, and sandboxes that are not kept apart."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import guests

from hlfuzz.guest import Guest
from hlfuzz.invariants import Session, Subject, Target
from hlfuzz.sandbox.engines.inprocess.engine import InProcessEngine
from hlfuzz.sandbox.engines.kvm import KvmEngine
from hlfuzz.vmm import Machine, Template
from planted import Planted

HIDDEN_GLOBAL = guests.NEEDS_INIT.replace("i64.const -1", "i64.const 99")

GROWS = """(module (memory (export "memory") 1 9)
  (func (export "grow") (result i32) (drop (memory.grow (i32.const 1)))
    (i32.store8 (i32.const 65540) (i32.add (i32.load8_u (i32.const 65540)) (i32.const 1)))
    (i32.load8_u (i32.const 65540))))"""

GROWS_ONLY = """(module (memory (export "memory") 1 9)
  (func (export "grow") (drop (memory.grow (i32.const 1)))))"""

# Only the host writes memory, and only registers change.
IDLE = """(module (memory (export "memory") 1) (func (export "nothing")))"""

# Overwrites whatever else is in the first page of its memory.
FILLS = """(module (memory (export "memory") 1)
  (func (export "fill") (memory.fill (i32.const 0) (i32.const 7) (i32.const 4096))))"""


@contextmanager
def damaged(
    guest: str | Callable[[], Target],
    fault: str,
    *,
    kinds: tuple[str, ...] = ("wasm", "elf"),
    levels: tuple[str, ...] = ("memory", "strict"),
    sound: tuple[str, ...] = (),
) -> Iterator[Target]:
    """A target on this guest (WAT, or what opens one), where every micro-VM that runs a guest of these kinds
    at these reset levels has this fault of `hl_test_fault`, but those of the roles `sound`."""
    from hlfuzz.vmm.library import lib

    make, clone, open_target = KvmEngine.__init__, Template.clone, Target.open
    bits = getattr(lib, f"HL_FAULT_{fault}")
    opening = {"level": "", "role": ""}

    def clone_noted(self: Template, **options: Any) -> Machine:
        opening["level"] = options["reset"]
        return clone(self, **options)

    def open_noted(self: Target, **options: Any) -> Session:
        # memory-isolation opens the guest's own sandbox, a neighbour, one to take a snapshot of, and a clone
        roles = ("own", "neighbour", "snapshot's")
        opening["role"] = "clone" if options.get("snapshot") else roles[next(opened) % len(roles)]
        return open_target(self, **options)

    def make_damaged(self: KvmEngine, loaded: Guest, host: Any, machine: Machine, *options: Any) -> None:
        make(self, loaded, host, machine, *options)
        boots = len(options) < 2  # it has no limits yet
        chosen = loaded.kind in kinds and opening["level"] in levels and opening["role"] not in sound
        if not boots and chosen:
            assert lib.hl_test_fault(machine.pointer, bits) == lib.HL_DONE

    opened = itertools.count()
    with (
        patch.object(Template, "clone", clone_noted),
        patch.object(Target, "open", open_noted),
        patch.object(KvmEngine, "__init__", make_damaged),
        guests.target(guest, "kvm") if isinstance(guest, str) else guest() as target,
    ):
        yield target


@contextmanager
def never_resets() -> Iterator[Target]:
    with patch.object(InProcessEngine, "reset", lambda self: None):
        yield guests.target(guests.COUNTS, "inprocess")


@contextmanager
def stops_resetting() -> Iterator[Target]:
    """The guest keeps what it knows in a global that nobody can read."""
    reset, done = InProcessEngine.reset, itertools.count()

    def reset_at_first(self: InProcessEngine) -> None:
        if next(done) < 3:
            reset(self)

    with patch.object(InProcessEngine, "reset", reset_at_first):
        yield guests.target(HIDDEN_GLOBAL, "inprocess")


def _reset(
    name: str, what: str, open: Callable[[], AbstractContextManager[Target]], kvm: bool = True
) -> Planted:
    return Planted(name, "state-reset", Subject.PLATFORM, what, open, kvm)


def _isolation(name: str, what: str, open: Callable[[], AbstractContextManager[Target]]) -> Planted:
    return Planted(name, "memory-isolation", Subject.PLATFORM, what, open)


FAULTS = (
    _reset("reset-does-nothing", "a reset restores no memory", partial(damaged, guests.COUNTS, "NO_RESET")),
    _reset(
        "reset-skips-a-page",
        "a reset restores all pages but the first",
        partial(damaged, guests.CLEAN_ARITHMETIC, "SKIP_PAGE"),
    ),
    _reset(
        "memory-reset-skips-a-page",
        "the same, and only with the reset level memory",
        partial(damaged, guests.CLEAN_ARITHMETIC, "SKIP_PAGE", levels=("memory",)),
    ),
    _reset(
        "reset-forgets-grown-memory",
        "a reset leaves pages alone that the snapshot has no data for",
        partial(damaged, GROWS, "FORGET_NEW_PAGES"),
    ),
    _reset(
        "reset-forgets-host-writes",
        "a reset restores what the guest wrote, and not what the host wrote for it",
        partial(damaged, IDLE, "FORGET_HOST_WRITES"),
    ),
    _reset(
        "reset-forgets-the-mailbox",
        "arguments and results of a call stay where host and guest exchange them",
        partial(damaged, IDLE, "FORGET_MAILBOX"),
    ),
    _reset(
        "reset-forgets-registers",
        "a strict reset sets no registers",
        partial(damaged, IDLE, "FORGET_REGISTERS"),
    ),
    _reset(
        "reset-forgets-vectors",
        "a strict reset leaves x87, SSE and AVX registers alone",
        partial(damaged, IDLE, "FORGET_VECTORS"),
    ),
    _reset(
        "reset-of-wasm-forgets-vectors",
        "the same, and only in sandboxes with Wasm guests",
        partial(damaged, guests.CLEAN_ARITHMETIC, "FORGET_VECTORS", kinds=("wasm",)),
    ),
    _reset(
        "reset-forgets-mxcsr",
        "a strict reset leaves MXCSR alone, and nothing else",
        partial(damaged, IDLE, "FORGET_MXCSR"),
    ),
    _reset(
        "crash-leaves-vectors",
        "what restores a sandbox after a crash or a deadline leaves x87, SSE and AVX registers alone",
        partial(damaged, IDLE, "FORGET_VECTORS_AFTER_CRASH"),
    ),
    _reset(
        "selectors-stay-in-the-thread",
        "data selectors that a guest loads stay in the host's thread, where its next guest has them",
        partial(damaged, IDLE, "KEEP_SELECTORS"),
    ),
    _reset(
        "reset-keeps-the-memory-size",
        "after a reset the host still gives the size to which memory was grown",
        partial(damaged, GROWS_ONLY, "FORGET_SIZE"),
    ),
    _reset(
        "inprocess-never-resets",
        "the in-process engine goes on with the same instance",
        never_resets,
        kvm=False,
    ),
    _reset(
        "inprocess-keeps-hidden-state",
        "the in-process engine stops resetting; the state is in a global that only answers show",
        stops_resetting,
        kvm=False,
    ),
    _isolation(
        "sandboxes-share-a-page",
        "two sandboxes of one guest have a page of memory in common",
        partial(damaged, FILLS, "SHARE_PAGE", sound=("clone",)),
    ),
    _isolation(
        "a-clone-shares-a-page",
        "a sandbox made of a snapshot has a page of memory in common with another",
        partial(damaged, FILLS, "SHARE_PAGE", sound=("neighbour",)),
    ),
    _isolation(
        "a-neighbours-page-can-be-read",
        "two sandboxes have a page of memory in common, and the guest writes nothing there",
        partial(damaged, IDLE, "SHARE_PAGE", sound=("clone",)),
    ),
    _isolation(
        "code-is-changed", "a reset changes a byte of code", partial(damaged, guests.COUNTS, "SPOIL_TEXT")
    ),
    _isolation(
        "page-table-is-changed",
        "a reset changes a bit in a page table",
        partial(damaged, guests.COUNTS, "SPOIL_TABLES"),
    ),
    _isolation(
        "snapshot-is-changed",
        "a reset changes a byte of what all later resets copy",
        partial(damaged, guests.COUNTS, "SPOIL_SNAPSHOT"),
    ),
)
