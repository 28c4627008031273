"""memory-isolation (platform): a guest reads and writes no memory but its own."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Final, TypeAlias

from hlfuzz.invariants.base import Fault, Invariant, Subject
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.residue import differing_vm
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.target import Target
from hlfuzz.model import Difference, Ok
from hlfuzz.sandbox import Sandbox

_LOOKED_AT: Final = 16 << 20
"""Bytes of a Wasm guest's default memory up to which it is all looked at."""
_LISTED: Final = 256
"""Differences of a sandbox that are compared with those it had."""
_PAGE: Final = 4096
_FIRST_PAGES: Final = 4
"""Pages with a canary at the beginning of each range that a guest may write."""
_Found: TypeAlias = tuple[str, tuple[str, ...]]
"""What a guest did, and evidence of it."""


class MemoryIsolation(Invariant):
    """Looks, while a guest's call context is open and after it, at all that the guest must not write: page
    tables, code and other read-only memory of its own micro-VM, the snapshot, and the memory of two other
    sandboxes of the same guest, one of the same boot and one of a snapshot taken meanwhile. In the memory of
    the first a random canary lies at both ends of all that a guest may write (of a native guest: data, stack
    and heap), and must not appear in the guest's.
    """

    id: ClassVar[str] = "memory-isolation"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = (
        "page tables, code, the snapshot and other sandboxes stay bit-identical whatever a guest "
        "does, and nothing of other sandboxes appears in its memory"
    )
    observes: ClassVar[str] = (
        "Every byte that the guest may not write in its own micro-VM, compared with the snapshot; "
        "every byte of two other sandboxes; a hash of the snapshot; all memory of the guest, searched "
        "for a canary that another sandbox holds."
    )
    blind: ClassVar[str] = (
        "Host memory outside of the micro-VMs, which KVM gives no guest an address for; pages in the middle "
        "of another sandbox's memory that are shared and that nobody writes; what a guest reads and does not "
        "keep; the engine inprocess, where the guest's memory lies in the host's own address space."
    )

    def unfit(self, target: Target) -> str:
        if target.session().vm is None:
            return "needs a view into the VM's memory, which only the kvm engine has"
        return ""

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        """With `strict` in sandboxes of their own: what an earlier case changed must not be laid to this
        one."""
        if not strict:
            clone = target.kept("a clone of a snapshot", lambda: _clone(target))
            return self._judge(case, target.session(), target.session(role="neighbour"), clone)
        with target.open(reset="strict") as session, target.open() as other, _clone(target) as clone:
            return self._judge(case, session, other, clone)

    def _judge(self, case: Case, session: Session, other: Session, clone: Session) -> Fault | None:
        vm = session.box
        before = vm.region_hash("snapshot")
        for each in (session, other, clone):
            _look_at_memory(each)
        with _canary(other, case) as canary:
            intact = _listed(other.box)
            with vm.context() as context:
                for call in case.calls:
                    if not isinstance(session.observe(context, call).outcome, Ok):
                        break
                found = (
                    _written_outside(vm)
                    or _seen_inside(vm, canary)
                    or _changed(other.box, intact, "another sandbox")
                    or _changed(clone.box, (), "a sandbox made of a snapshot")
                )
                context.finish()
        found = found or _written_outside(vm)
        after = vm.region_hash("snapshot")
        if not found and after != before:
            found = "changed the snapshot that resets copy", (f"hash {before:016x} became {after:016x}",)
        if not found:
            return None
        what, evidence = found
        function = case.calls[-1].function
        return self.violated(
            function=function, detail=what, title=f"{function} {what}", evidence=evidence, case=case
        )


def _look_at_memory(session: Session) -> None:
    """A page that nobody has looked at here is taken for the snapshot's; what is not, is seen after this."""
    if session.box.guest.kind == "elf":
        for at in _places(session.writable(), 1):
            session.box.memory().read(at, 1)
    elif 0 < (size := session.memory_bytes()) <= _LOOKED_AT:
        session.box.memory().read(0, size)


def _written_outside(vm: Sandbox) -> _Found | None:
    found = vm.differences(read_only=True, limit=8)
    if not found:
        return None
    return f"changed {found[0].place} of its own VM", tuple(map(str, found))


def _seen_inside(vm: Sandbox, canary: bytes) -> _Found | None:
    if not canary or (at := vm.find_bytes(canary)) is None:
        return None
    return "shows memory of another sandbox", (f"32 random bytes that only that has are at {at:#x}",)


def _changed(box: Sandbox, before: tuple[Difference, ...], whose: str) -> _Found | None:
    return None if _listed(box) == before else (f"changed {whose}", differing_vm(box))


def _listed(box: Sandbox) -> tuple[Difference, ...]:
    return box.differences(limit=_LISTED)


@contextmanager
def _canary(session: Session, case: Case) -> Generator[bytes]:
    """While it is entered, 32 bytes that nobody else has lie in many places of this sandbox's memory; b""
    where the host cannot put any there."""
    canary = hashlib.sha256(repr(case).encode()).digest()
    places = list(_places(session.writable(), len(canary)))
    if not places:
        yield b""
        return
    memory = session.box.memory()
    for at in places:
        memory.write(at, canary)
    try:
        yield canary
    finally:
        session.box.reset()


def _places(writable: Sequence[range], length: int) -> Iterator[int]:
    """The first pages of each range, and its end."""
    for part in writable:
        if len(part) >= length:
            yield from part[::_PAGE][:_FIRST_PAGES]
            yield part.stop - length


def _clone(target: Target) -> Session:
    with target.open() as first:
        return target.open(snapshot=first.box.snapshot())
