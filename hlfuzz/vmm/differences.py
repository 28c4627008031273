"""What differs from a sandbox's snapshot, and all registers of its vCPU, from the native library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from hlfuzz.errors import HlfuzzError
from hlfuzz.vmm.library import ffi, lib, text
from hlfuzz.vmm.machine import Machine

_REGISTERS: Final = 128
"""More than a vCPU has (crates/vmm/src/machine/state.rs lists less than 90)."""


class Piece(NamedTuple):
    """Bytes that differ: the fields of `hl_difference`."""

    address: int
    length: int
    before: bytes
    after: bytes
    part: str
    memory: int | None
    offset: int


def differing_bytes(machine: Machine, *, read_only: bool, limit: int) -> list[Piece]:
    """The first `limit` ranges of bytes that differ from the snapshot right now, by address.

    `read_only`: only where the guest may not write. Raises `HlfuzzError` when a call runs.
    """
    rows = ffi.new("hl_difference[]", limit)
    region = lib.HL_REGION_READ_ONLY if read_only else lib.HL_REGION_ALL
    count = lib.hl_differences(machine.pointer, region, rows, limit)
    if count < 0:
        raise HlfuzzError(f"guest memory cannot be compared (micro-VM): {machine.message()}")
    return list(_pieces(rows, min(count, limit)))


def _pieces(rows: Any, count: int) -> Iterator[Piece]:
    for row in rows[0:count]:
        yield Piece(
            row.address,
            row.length,
            bytes(row.before[0 : row.shown]),
            bytes(row.after[0 : row.shown]),
            text(row.part),
            None if row.memory == lib.HL_NO_MEMORY else row.memory,
            row.offset,
        )


def vcpu_registers(machine: Machine) -> dict[str, bytes]:
    """Every register of the vCPU that the host can read, by name, little endian. Raises `HlfuzzError` when
    a call runs."""
    rows = ffi.new("hl_register[]", _REGISTERS)
    count = lib.hl_vcpu_registers(machine.pointer, rows, _REGISTERS)
    if count < 0:
        raise HlfuzzError(f"registers cannot be read (micro-VM): {machine.message()}")
    return {text(row.name): bytes(row.value[0 : row.length]) for row in rows[0 : min(count, _REGISTERS)]}
