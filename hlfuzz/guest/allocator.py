"""Finds the export by which a module lets its host allocate guest memory, by the toolchains' conventions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hlfuzz.model import Export, ExternKind, FuncType, ModuleInfo, ValType

_ARRAY_BUFFER: Final = 1
"""AssemblyScript runtime class id of ArrayBuffer (AssemblyScript std/assembly/shared/typeinfo.ts)."""

_CONVENTIONS: Final[tuple[tuple[str, tuple[int | None, ...]], ...]] = (
    # name, arguments (None: the length). The most specific conventions come first.
    ("hlfuzz_alloc", (None,)),
    ("cabi_realloc", (0, 0, 1, None)),  # component model, Canonical ABI: old pointer, old size, align, size
    ("canonical_abi_realloc", (0, 0, 1, None)),
    ("proxy_on_memory_allocate", (None,)),  # Proxy-Wasm ABI 0.2.1
    ("__new", (None, _ARRAY_BUFFER)),  # AssemblyScript
    ("__wbindgen_malloc", (None, 1)),  # wasm-bindgen: size, align
    ("__wbindgen_malloc", (None,)),  # wasm-bindgen before 0.2.86
    ("malloc", (None,)),
    ("_malloc", (None,)),
    ("allocate", (None,)),
    ("alloc", (None,)),
)

CONVENTIONS: Final[tuple[str, ...]] = tuple(dict.fromkeys(name for name, _ in _CONVENTIONS))
"""Names of allocator exports that are found without being named."""


@dataclass(frozen=True, slots=True)
class Allocator:
    """How to allocate: call `export` with `arguments`, where None stands for the length in bytes.

    `pin` is the export that keeps the new object alive (AssemblyScript's `__pin`), or None.
    """

    export: Export
    arguments: tuple[int | None, ...]
    pin: Export | None = None

    @property
    def word(self) -> ValType:
        """i32, or i64 for a 64-bit memory: the type of an address."""
        assert isinstance(self.export.type, FuncType)
        return self.export.type.results[0]


def find_allocator(info: ModuleInfo, name: str | None = None) -> Allocator | None:
    """The allocator of a module: the export `name`, or by convention. None when there is no fitting one.

    A named function must take the length alone, or have the signature of one of the conventions.
    """
    functions = {e.name: e for e in info.exports if e.kind is ExternKind.FUNC}
    candidates = _CONVENTIONS if name is None else [(name, arguments) for _, arguments in _CONVENTIONS]
    for candidate, arguments in candidates:
        export = functions.get(candidate)
        if export is not None and _fits(export, len(arguments)):
            pin = functions.get("__pin") if arguments == (None, _ARRAY_BUFFER) else None
            return Allocator(export, arguments, pin if pin is not None and _fits(pin, 1) else None)
    return None


def _fits(export: Export, count: int) -> bool:
    t = export.type
    return (
        isinstance(t, FuncType)
        and len(t.results) == 1
        and t.results[0] in (ValType.I32, ValType.I64)
        and len(t.params) == count
        and all(p in (ValType.I32, ValType.I64) for p in t.params)
    )
