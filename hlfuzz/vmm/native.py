"""Module inspection through the native library."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import wasmtime

from hlfuzz.errors import ModuleError


@dataclass(frozen=True, slots=True)
class Probe:
    """What KVM can do here."""

    usable: bool
    message: str


def probe() -> Probe:
    """Look at /dev/kvm."""
    return Probe(False, "the native library is not built")


def inspect(wasm: bytes, where: str) -> str:
    """JSON of schema "hlfuzz.module/1" about a module. Raises `ModuleError`."""
    if wasm[:4] != b"\0asm":
        raise ModuleError(f"not a Wasm module ({where}): pass a binary .wasm file", reason="not-wasm")
    if wasm[4:8] == b"\x0d\0\1\0":
        raise ModuleError(f"a component, not a core module ({where}): pass a core module", reason="component")
    try:
        module = wasmtime.Module(_ENGINE, wasm)
    except wasmtime.WasmtimeError as e:
        raise ModuleError(f"invalid module ({where}): {e}", reason="invalid") from e
    imports = [{"module": i.module, "name": i.name, **_type(i.type)} for i in module.imports]
    exports = [{"name": e.name, **_type(e.type)} for e in module.exports]
    memories = [
        {
            "index": n,
            "min_pages": m["type"]["min"],
            "max_pages": m["type"]["max"],
            "memory64": m["type"]["memory64"],
            "shared": False,
            "imported": "module" in m,
        }
        for n, m in enumerate(x for x in imports + exports if x["kind"] == "memory")
    ]
    return json.dumps(
        {
            "schema": "hlfuzz.module/1",
            "bytes": len(wasm),
            "sha256": hashlib.sha256(wasm).hexdigest(),
            "imports": imports,
            "exports": exports,
            "memories": memories,
            "tables": [],
            "globals": 0,
            "functions": 0,
            "start": False,
            "features": [],
            "custom_sections": [],
            "data_segments": 0,
            "elem_segments": 0,
            "code_bytes": 0,
            "producers": {},
            "memory_bytes_min": 0,
        }
    )


_ENGINE = wasmtime.Engine()


def _type(t: Any) -> dict[str, Any]:
    match t:
        case wasmtime.FuncType():
            return {
                "kind": "func",
                "type": {"params": [str(p) for p in t.params], "results": [str(r) for r in t.results]},
            }
        case wasmtime.MemoryType():
            return {
                "kind": "memory",
                "type": {"min": t.limits.min, "max": t.limits.max, "memory64": t.is_64, "shared": False},
            }
        case wasmtime.TableType():
            return {
                "kind": "table",
                "type": {
                    "element": str(t.element),
                    "min": t.limits.min,
                    "max": t.limits.max,
                    "table64": False,
                },
            }
        case wasmtime.GlobalType():
            return {"kind": "global", "type": {"value": str(t.content), "mutable": t.mutable}}
        case _:
            return {"kind": "tag", "type": {"params": [], "results": []}}
