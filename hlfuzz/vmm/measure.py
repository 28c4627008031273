"""Measuring loops of the native library: figures of the C interface, without an interpreter in them."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from hlfuzz.errors import HlfuzzError
from hlfuzz.model import Export
from hlfuzz.vmm.library import ffi, lib
from hlfuzz.vmm.machine import Machine
from hlfuzz.vmm.status import RESET
from hlfuzz.vmm.values import Slots

_DONE: Final[int] = lib.HL_DONE


class Floor(IntEnum):
    """What nothing in a micro-VM can be faster than."""

    CLOCK = lib.HL_FLOOR_CLOCK
    """Reading the clock."""
    EXCHANGE = lib.HL_FLOOR_EXCHANGE
    """An empty request in the machine's transport."""
    VM_CREATE = lib.HL_FLOOR_VM_CREATE
    """Creating and closing a VM with a vCPU."""
    PAGE_COPY = lib.HL_FLOOR_PAGE_COPY
    """Copying one page that is in the cache."""


def measure_call(
    machine: Machine,
    export: Export,
    slots: Slots,
    samples: int,
    *,
    reset: bool = True,
    data: bytes = b"",
    address: int = 0,
) -> list[int]:
    """ns of each of `samples` calls with the arguments in `slots`.

    Before each, `data` is written at `address`; host calls are answered with zeros. Raises `HlfuzzError`
    when a call cannot come to an end.
    """
    out = ffi.new("uint64_t[]", samples)
    code = lib.hl_measure_call(
        machine.pointer,
        export.index,
        slots.array,
        slots.count,
        RESET if reset else 0,
        data,
        len(data),
        address,
        samples,
        out,
    )
    return _samples(machine, code, out, samples)


def measure_floor(machine: Machine, what: Floor, samples: int) -> list[int]:
    """ns of each of `samples` repetitions of `what`. Raises `HlfuzzError`."""
    out = ffi.new("uint64_t[]", samples)
    return _samples(machine, lib.hl_measure_floor(machine.pointer, int(what), samples, out), out, samples)


def _samples(machine: Machine, code: int, out: object, samples: int) -> list[int]:
    if code != _DONE:
        raise HlfuzzError(f"measuring stopped with status {code} (micro-VM): {machine.message()}")
    return ffi.unpack(out, samples)
