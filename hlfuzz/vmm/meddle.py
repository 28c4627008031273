"""For tests of tests: memory that changes while the host reads it (`hl_test_meddle`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from hlfuzz.errors import UsageError
from hlfuzz.vmm.library import ffi, lib, sized
from hlfuzz.vmm.machine import Machine


class Shared(Enum):
    """What host and guest share: the guest's answer in the mailbox, and its default memory."""

    AUX = lib.HL_SHARED_AUX
    """Import of a host call, or address of a byte vector; 4 bytes."""
    COUNT = lib.HL_SHARED_COUNT
    """Number of values; 4 bytes."""
    POSTED = lib.HL_SHARED_POSTED
    """Bytes of posted host calls; 4 bytes."""
    MEMORY = lib.HL_SHARED_MEMORY
    """Where the default memory lies; 8 bytes."""
    MEMORY_LEN = lib.HL_SHARED_MEMORY_LEN
    """How long it is; 8 bytes."""
    VALUES = lib.HL_SHARED_VALUES
    """Results, or arguments of a host call, 16 bytes each."""
    TEXT_LEN = lib.HL_SHARED_TEXT_LEN
    """Length of a failure's text; 4 bytes."""
    TEXT = lib.HL_SHARED_TEXT
    """That text."""
    QUEUE = lib.HL_SHARED_QUEUE
    """Posted host calls."""
    VECTOR_HEAD = lib.HL_SHARED_VECTOR_HEAD
    """What the host asked of a byte vector."""
    GUEST = lib.HL_SHARED_GUEST
    """The default memory, by the guest's addresses."""


@dataclass(frozen=True, slots=True)
class Change:
    """`width` bytes (1, 4 or 8, aligned) at `offset` of `what` become `value`: once, before the host's read
    number `at_read` of shared memory; or, where that is None, by a second thread again and again, in turn
    with `other`."""

    what: Shared
    offset: int
    width: int
    value: int
    other: int = 0
    at_read: int | None = None


_ALWAYS: Final[int] = lib.HL_ALWAYS


def meddle(machine: Machine, change: Change | None) -> int:
    """Begin a change and end the one before, which None does alone: how often the host has read shared memory
    since that began, or the second thread has written.

    Raises `UsageError` for a change that is not inside what is shared.
    """
    asked = ffi.NULL
    if change is not None:
        asked = sized("hl_test_change")
        asked.what, asked.offset, asked.width = change.what.value, change.offset, change.width
        asked.first, asked.second = change.value, change.other
        asked.at_read = _ALWAYS if change.at_read is None else change.at_read
    count = ffi.new("uint64_t *")
    if lib.hl_test_meddle(machine.pointer, asked, count) != lib.HL_DONE:
        raise UsageError(f"cannot change {change} (micro-VM): {machine.message() or 'it is not shared'}")
    return count[0]
