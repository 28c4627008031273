"""Names of function parameters, where a compiler left them in the module's name section.

Read for suggestions only. A name section is not validated by engines (WebAssembly core specification,
appendix "Custom Sections"): one that is damaged ends where the damage begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hlfuzz.errors import ModuleError
from hlfuzz.guest.reader import Reader
from hlfuzz.guest.sections import custom_section, section
from hlfuzz.model import FuncType, ModuleInfo

_EXPORT_SECTION: Final = 7
_FUNCTION: Final = 0
"""Kind of an export that is a function."""
_LOCAL_NAMES: Final = 2
"""Id of the subsection with the names of parameters and other locals."""
_MAX_NAME: Final = 200
"""Bytes of a name that is of any use."""


@dataclass(frozen=True, slots=True)
class ParameterNames:
    """Names by position: of exported functions by export, of imported ones by "module.name". "" where a
    parameter has none."""

    exports: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    imports: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


def parameter_names(wasm: bytes, info: ModuleInfo) -> ParameterNames:
    """What the name section of a validated module says; nothing when it has none."""
    names = custom_section(wasm, "name")
    if names is None:
        return ParameterNames()
    exported = _exported(section(wasm, _EXPORT_SECTION) or b"")
    imported = [i for i in info.imports if isinstance(i.type, FuncType)]
    wanted = {*exported.values(), *range(len(imported))}
    found = _local_names(names, wanted)
    exports: dict[str, tuple[str, ...]] = {}
    for export in info.functions_exported:
        index = exported.get(export.name)
        if isinstance(export.type, FuncType) and index in found:
            exports[export.name] = _positional(found[index], len(export.type.params))
    imports: dict[str, tuple[str, ...]] = {}
    for index, wanted_import in enumerate(imported):
        if index in found and isinstance(wanted_import.type, FuncType):
            imports[wanted_import.key] = _positional(found[index], len(wanted_import.type.params))
    return ParameterNames(exports, imports)


def _positional(names: Mapping[int, str], count: int) -> tuple[str, ...]:
    return tuple(names.get(position, "") for position in range(count))


def _exported(data: bytes) -> dict[str, int]:
    """Function index of each exported function."""
    reader = Reader(data)
    found: dict[str, int] = {}
    for _ in range(reader.number() if data else 0):
        name, kind, index = reader.name(), reader.byte(), reader.number()
        if kind == _FUNCTION:
            found[name] = index
    return found


def _local_names(data: bytes, wanted: set[int]) -> dict[int, dict[int, str]]:
    """Names of the locals of the functions `wanted`, by function and local index."""
    reader = Reader(data)
    found: dict[int, dict[int, str]] = {}
    try:
        while reader.at < len(data):
            kind = reader.byte()
            content = Reader(reader.take(reader.number()))
            if kind == _LOCAL_NAMES:
                for _ in range(content.number()):
                    function = content.number()
                    names: dict[int, str] = {}
                    for _ in range(content.number()):
                        index, name = content.number(), content.name()
                        if len(name) <= _MAX_NAME:
                            names[index] = name
                    if function in wanted:
                        found[function] = names
    except ModuleError:
        pass  # what came before the damage is as good as before
    return found
