"""Turns the inspector's JSON (schema "hlfuzz.module/1") into `ModuleInfo`."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any, Final

from hlfuzz.errors import HlfuzzError
from hlfuzz.model import (
    CustomSection,
    Export,
    ExternKind,
    ExternType,
    FuncType,
    GlobalType,
    Import,
    MemoryInfo,
    MemoryType,
    ModuleInfo,
    TableType,
    ValType,
)

SCHEMA: Final = "hlfuzz.module/1"


def module_info(text: str) -> ModuleInfo:
    """Parse what `hl_inspect` says. Raises `HlfuzzError` when the JSON is of another schema."""
    d: dict[str, Any] = json.loads(text)
    if d.get("schema") != SCHEMA:
        raise HlfuzzError(
            f"inspector and package do not match (schema {d.get('schema')!r}, expected {SCHEMA!r}): "
            "reinstall hlfuzz"
        )
    return ModuleInfo(
        size=d["bytes"],
        sha256=d["sha256"],
        imports=tuple(
            Import(i["module"], i["name"], ExternKind(i["kind"]), _extern(i["kind"], i["type"]))
            for i in d["imports"]
        ),
        exports=tuple(
            Export(e["name"], ExternKind(e["kind"]), _extern(e["kind"], e["type"]), index)
            for index, e in enumerate(d["exports"])
        ),
        memories=tuple(
            MemoryInfo(
                m["index"],
                MemoryType(m["min_pages"], m["max_pages"], m["memory64"], m["shared"]),
                m["imported"],
            )
            for m in d["memories"]
        ),
        tables=tuple(_table(t) for t in d["tables"]),
        globals=d["globals"],
        functions=d["functions"],
        start=d["start"],
        features=tuple(d["features"]),
        custom_sections=tuple(CustomSection(c["name"], c["bytes"]) for c in d["custom_sections"]),
        data_segments=d["data_segments"],
        elem_segments=d["elem_segments"],
        code_bytes=d["code_bytes"],
        producers=MappingProxyType(
            {field: MappingProxyType(values) for field, values in d["producers"].items()}
        ),
        memory_bytes_min=d["memory_bytes_min"],
    )


def handshake_note(text: str) -> bytes | None:
    """The text of a native guest's handshake note, in what `hl_inspect_elf` says; None without one."""
    note = json.loads(text).get("handshake")
    return None if note is None else str(note).encode("utf-8", "replace")


def _extern(kind: str, t: dict[str, Any]) -> ExternType:
    match kind:
        case "memory":
            return MemoryType(t["min"], t["max"], t["memory64"], t["shared"])
        case "table":
            return _table(t)
        case "global":
            return GlobalType(ValType.parse(t["value"]), t["mutable"])
        case _:
            return FuncType(_types(t["params"]), _types(t.get("results", [])))


def _table(t: dict[str, Any]) -> TableType:
    return TableType(t["element"], t["min"], t["max"], t["table64"])


def _types(names: list[str]) -> tuple[ValType, ...]:
    return tuple(ValType.parse(n) for n in names)
