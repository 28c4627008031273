"""Exports that belong to a toolchain's runtime and not to a guest's interface."""

from __future__ import annotations

from typing import Final

from hlfuzz.guest.allocator import CONVENTIONS

_NAMES: Final = frozenset(
    {
        *CONVENTIONS,
        "free",
        "_free",
        "realloc",
        "calloc",
        "deallocate",
        "dealloc",
        "_start",
        "_initialize",
        "main",
    }
)
_PREFIXES: Final = (
    "__",
    "asyncify_",
    "dynCall_",
    "stackSave",
    "stackRestore",
    "stackAlloc",
    "_emscripten_",
    "emscripten_",
)


def is_runtime_export(name: str) -> bool:
    """Whether an exported function is, by its name, part of a toolchain's runtime: allocator, start function,
    a stack helper. Calling it says nothing about the guest."""
    return name in _NAMES or name.startswith(_PREFIXES)
