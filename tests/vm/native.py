"""What tests need of the native library and the Python API does not show: faults, verification, tracking."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hlfuzz import Sandbox
from hlfuzz.vmm import library, template

lib, ffi = library.lib, library.ffi

SKIP_PAGE: int = lib.HL_FAULT_SKIP_PAGE
FORGET_NEW_PAGES: int = lib.HL_FAULT_FORGET_NEW_PAGES
NO_RESET: int = lib.HL_FAULT_NO_RESET
FORGET_MAILBOX: int = lib.HL_FAULT_FORGET_MAILBOX
_TRACKING = {"ring": lib.HL_TRACK_RING, "log": lib.HL_TRACK_LOG}


def pointer(box: Sandbox) -> Any:
    """The `hl_sandbox *` of a sandbox on the kvm engine."""
    return box._engine._machine.pointer  # type: ignore[attr-defined]


def plant(box: Sandbox, faults: int) -> None:
    """Damage the resets of this sandbox."""
    assert lib.hl_test_fault(pointer(box), faults) == lib.HL_DONE


def differing_pages(box: Sandbox) -> int:
    """Pages of guest RAM that differ from the snapshot now."""
    return lib.hl_verify(pointer(box))


def region_hash(box: Sandbox, region: int) -> int:
    """A hash of one of HL_REGION_*."""
    out = ffi.new("uint64_t *")
    assert lib.hl_ram_hash(pointer(box), region, out) == 0
    return out[0]


def measure(box: Sandbox, function: str, args: tuple[int, ...], calls: int) -> list[int]:
    """Calls an export with i32 arguments in a native loop, with reset; the nanoseconds of each call."""
    export = next(e for e in box.guest.info.exports if e.name == function)
    values = ffi.new("hl_value[]", len(args))
    for slot, value in zip(values, args, strict=True):
        slot.i32 = value
    samples = ffi.new("uint64_t[]", calls)
    status = lib.hl_measure_call(
        pointer(box), export.index, values, len(args), lib.HL_CALL_RESET, ffi.NULL, 0, 0, calls, samples
    )
    assert status == lib.HL_DONE
    return list(samples)


def use_tracking(monkeypatch: pytest.MonkeyPatch, tracking: str) -> None:
    """Guests booted from now on have their dirty pages tracked by the ring or the log."""
    sized = library.sized

    def patched(cdecl: str) -> Any:
        struct = sized(cdecl)
        if cdecl == "hl_template_options":
            struct.tracking = _TRACKING[tracking]
        return struct

    monkeypatch.setattr(template, "sized", patched)


def open_files() -> int:
    """Open file descriptors of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def mappings() -> int:
    return Path("/proc/self/maps").read_text().count("\n")


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
