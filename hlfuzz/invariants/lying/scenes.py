"""Calls in which a guest tells the truth, and what is changed meanwhile of the memory that it shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hlfuzz.bindings.records import OK_HEADER
from hlfuzz.invariants.lying.claims import PAGE
from hlfuzz.invariants.lying.pointers import DATA
from hlfuzz.invariants.lying.records import true_record
from hlfuzz.invariants.lying.typed import RECORD_AT, REQUEST_AT
from hlfuzz.vmm import Change, Shared

ADDRESS: Final = 1000
"""Where the results of a scene lie."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A call in which the guest tells the truth, and the changes that are made meanwhile.

    `raced` are for a second thread, which writes a lie and the truth in turn: what it writes changes nothing
    that the guest does, only what the host gets to see.
    """

    name: str
    changes: tuple[Change, ...]
    raced: tuple[Change, ...] = ()


_ANSWER: Final = (
    Change(Shared.AUX, 0, 4, 7),
    Change(Shared.COUNT, 0, 4, 0xFFFF_FFFF),
    Change(Shared.MEMORY, 0, 8, 4096),
    Change(Shared.MEMORY_LEN, 0, 8, 8),
    Change(Shared.MEMORY_LEN, 0, 8, 1 << 30),
    Change(Shared.VECTOR_HEAD, 0, 4, 0xFFFF_FFFF),
    Change(Shared.VECTOR_HEAD, 12, 4, 0xFFFF_FFFF),
)
"""Of any answer."""
_QUEUE: Final = (Change(Shared.POSTED, 0, 4, 64), Change(Shared.QUEUE, 0, 4, 5))
_BUFFER: Final = (Change(Shared.GUEST, ADDRESS, 1, 0x58, 0x59),)
_ADDRESSES: Final = (
    Change(Shared.VALUES, 0, 8, 65_530, ADDRESS),
    Change(Shared.VALUES, 0, 8, 0xFFFF_FFFF, ADDRESS),
)
_RACED: Final = (Change(Shared.MEMORY_LEN, 0, 8, 8, PAGE), Change(Shared.POSTED, 0, 4, 64))


def _lengths(at: int) -> tuple[Change, ...]:
    """Lengths that are wrong each in its own way: behind the memory, over the limit, no length at all."""
    return tuple(Change(Shared.VALUES, at, 8, wrong, len(DATA)) for wrong in (70_000, 5000, 0xFFFF_FFFF))


def _record(name: str, start: int, record: bytes) -> Scene:
    """Every third byte of a record in memory, and every ninth for a second thread."""
    changes = tuple(Change(Shared.GUEST, start + at, 1, 0xFF, record[at]) for at in range(0, len(record), 3))
    return Scene(name, changes, changes[::3])


def scenes() -> tuple[Scene, ...]:
    """All of them; bytes of records are changed one after the other."""
    packed = (
        Change(Shared.VALUES, 0, 8, ADDRESS << 32 | 70_000, ADDRESS << 32 | len(DATA)),
        Change(Shared.VALUES, 0, 8, 0xFFF0 << 32 | 64, ADDRESS << 32 | len(DATA)),
    )
    rooms = (Change(Shared.VALUES, 0, 8, 65_530), Change(Shared.VALUES, 0, 8, 64))
    pair = (*_lengths(16), *_ADDRESSES, *_BUFFER)
    record = true_record()
    return (
        Scene("pair", (*pair, *_ANSWER, *_QUEUE), (*pair, *_RACED)),
        Scene("packed", (*packed, *_ANSWER, *_QUEUE, *_BUFFER), (*packed, *_RACED, *_BUFFER)),
        Scene("inplace", (*_lengths(0), *_ANSWER, *_QUEUE), (*_lengths(0), *_RACED)),
        Scene("allocator", (*rooms, *_ANSWER)),
        Scene("send", (*pair, *_ANSWER), pair),
        _record("record", RECORD_AT, record),
        _record("request", REQUEST_AT, record.removeprefix(OK_HEADER)),
    )
