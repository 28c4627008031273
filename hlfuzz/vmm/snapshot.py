"""Snapshots as the native library has them: templates taken from a running VM, saved and loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hlfuzz.errors import UsageError
from hlfuzz.model import ValType, Value
from hlfuzz.vmm.library import check, ffi, lib, new_error, raised, sized, text
from hlfuzz.vmm.machine import Machine
from hlfuzz.vmm.module import Module
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


def save(template: Template, path: Path, *, compress: bool) -> None:
    """Save a template as a file, whole or not at all. Raises `SnapshotError` ("io"), `ForkedProcess`."""
    error = new_error()
    flags = lib.HL_SAVE_COMPRESSED if compress else 0
    if lib.hl_snapshot_save(template.pointer, _path(path), flags, error):
        raise raised(error.code, text(error.message), str(path))


def load(
    module: Module,
    path: Path,
    *,
    memory_bytes: int,
    table_elements: int,
    stack_bytes: int,
    grow_traps: bool,
) -> Template:
    """Load what `save` wrote, for this module under these limits. Raises `SnapshotError`,
    `EnvironmentProblem`."""
    options, error = sized("hl_template_options"), new_error()
    options.memory_limit, options.table_limit = memory_bytes, table_elements
    options.stack_bytes = stack_bytes
    options.flags = lib.HL_TEMPLATE_GROW_TRAPS if grow_traps else 0
    where = str(path)
    return Template(
        check(lib.hl_snapshot_load(module.pointer, options, _path(path), error), error, where), where
    )


def _path(path: Path) -> Any:
    name = os.fsencode(path)
    if b"\0" in name:
        raise UsageError(f"a path with a NUL character ({path}): give the name of a file")
    return ffi.new("char[]", name)


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
