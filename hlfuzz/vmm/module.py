"""Modules: inspected, validated and compiled by the native library."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from hlfuzz.vmm.library import check, ffi, lib, new_error, sized, text

_ANY_SIZE: Final = (1 << 64) - 1
"""The caller has its own limit."""


def inspect(wasm: bytes, where: str) -> str:
    """JSON of schema "hlfuzz.module/1" about a Wasm module; `where` is what messages call it. One whose
    artifact is in the user's cache folder is not validated again. Raises `ModuleError`."""
    options = sized("hl_module_options")
    options.max_bytes = _ANY_SIZE
    folder = ffi.new("char[]", os.fsencode(cache_folder()))
    options.cache_dir = folder

    def describe(data: bytes, size: int, out: Any, error: Any) -> int:
        return lib.hl_inspect(data, size, options, out, error)

    return _described(describe, wasm, where)


def inspect_elf(elf: bytes, where: str) -> str:
    """The same about a native guest, with the text of its handshake. Raises `ModuleError`."""
    return _described(lib.hl_inspect_elf, elf, where)


def _described(function: Callable[..., int], data: bytes, where: str) -> str:
    out, error = ffi.new("char **"), new_error()
    function(data, len(data), out, error)
    pointer = check(out[0], error, where)
    try:
        return text(pointer)
    finally:
        lib.hl_string_free(pointer)


class Module:
    """A compiled Wasm module, or a native guest; immutable, any thread."""

    def __init__(
        self, data: bytes, where: str, *, max_bytes: int, cache: Path | None, elf: bool = False
    ) -> None:
        """Compile, or take the artifact from the folder `cache`; `elf`: a native guest, which needs neither.
        Raises `ModuleError`, `EnvironmentProblem`."""
        options, error = sized("hl_module_options"), new_error()
        options.max_bytes = max_bytes
        folder = ffi.NULL if cache is None else ffi.new("char[]", os.fsencode(cache))
        options.cache_dir = folder
        make = lib.hl_module_new_elf if elf else lib.hl_module_new
        pointer = check(make(data, len(data), options, error), error, where)
        self.pointer = ffi.gc(pointer, lib.hl_module_free)

    @property
    def json(self) -> str:
        """What `inspect` says, with "artifact_bytes" and "cache" ("hit", "miss", "off")."""
        return text(lib.hl_module_json(self.pointer))


def cache_folder() -> Path:
    """Where compiled modules are kept: `hlfuzz` in the user's cache folder (XDG Base Directory
    Specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if Path(base).is_absolute() else Path("~/.cache").expanduser()
    return root / "hlfuzz" / "modules"


def wasmtime_version() -> str:
    """Release of wasmtime that compiles modules and runs them in the VM."""
    pointer = lib.hl_wasmtime_version()
    try:
        return text(pointer)
    finally:
        lib.hl_string_free(pointer)
