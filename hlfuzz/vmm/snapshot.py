"""Snapshots as the native library has them: templates that were taken from a running VM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hlfuzz.model import ValType, Value
from hlfuzz.vmm.library import check, ffi, lib, new_error, sized
from hlfuzz.vmm.machine import Machine
from hlfuzz.vmm.template import Template, global_slots


@dataclass(frozen=True, slots=True)
class TemplateInfo:
    """What is known of a template. Sizes in bytes."""

    globals: bytes
    """Values of the imported globals that its state began with; compare with `global_values`."""
    memory_bytes: int
    data_bytes: int


def take(machine: Machine, where: str) -> Template:
    """The state of `machine` right now. Raises `UsageError` while a call is open, `EnvironmentProblem`."""
    error = new_error()
    return Template(check(lib.hl_snapshot_take(machine.pointer, error), error, where), where)


def describe(template: Template) -> TemplateInfo:
    """Facts about a template."""
    info = sized("hl_snapshot_info")
    lib.hl_snapshot_info_get(template.pointer, info)
    values = ffi.buffer(info.import_values, info.n_import_values * ffi.sizeof("hl_value"))
    return TemplateInfo(bytes(values), info.memory_bytes, info.data_bytes)


def global_values(globals: Sequence[tuple[ValType, Value]]) -> bytes:
    """Imported globals as `TemplateInfo.globals` has them."""
    slots = global_slots(globals)
    return bytes(ffi.buffer(slots.array, slots.count * ffi.sizeof("hl_value")))
