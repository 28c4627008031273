"""`Guest`: a loaded and inspected Wasm module with its limits."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from hlfuzz.errors import ModuleError, UsageError
from hlfuzz.guest.inspect import module_info
from hlfuzz.guest.limits import DEFAULT_MEMORY_BYTES, PAGE, Limits
from hlfuzz.model import Export, ExternKind, ModuleInfo
from hlfuzz.vmm import inspect


class Guest:
    """An immutable Wasm module, checked and inspected; any number of sandboxes, in any thread, may use it."""

    def __init__(self, wasm: bytes, info: ModuleInfo, limits: Limits, name: str) -> None:
        self._wasm = wasm
        self._info = info
        self._limits = limits
        self._name = name
        self._exports = {e.name: e for e in info.exports}

    @classmethod
    def from_wasm(
        cls, source: str | os.PathLike[str] | bytes, *, limits: Limits | None = None, name: str | None = None
    ) -> Guest:
        """Load a binary Wasm module from a file (str or path) or from its bytes.

        `name` is what messages call it; the file's name, or the start of its SHA-256, when left out. Raises
        `ModuleError` (not Wasm, invalid, a component, an unsupported feature, too large) and `UsageError`
        (file cannot be read).
        """
        limits = limits or Limits()
        if isinstance(source, bytes):
            where, wasm = name or "bytes", source
        else:
            where = name or Path(source).name
            wasm = _read(Path(source), limits)
        if len(wasm) > limits.module_bytes:
            raise _too_large(where, len(wasm), limits)
        info = module_info(inspect(wasm, where))
        return cls(wasm, info, limits, name or (where if where != "bytes" else info.sha256[:12]))

    @property
    def wasm(self) -> bytes:
        """The module's bytes."""
        return self._wasm

    @property
    def info(self) -> ModuleInfo:
        """What the inspector found."""
        return self._info

    @property
    def limits(self) -> Limits:
        """What its sandboxes may use."""
        return self._limits

    @property
    def memory_limit(self) -> int:
        """Bytes to which each linear memory may grow."""
        if self._limits.memory_bytes is not None:
            return self._limits.memory_bytes
        return max([DEFAULT_MEMORY_BYTES, *(m.type.min_pages * PAGE for m in self._info.memories)])

    @property
    def name(self) -> str:
        """What messages call this guest."""
        return self._name

    @property
    def digest(self) -> str:
        """SHA-256 of the module's bytes, in hex."""
        return self._info.sha256

    def export(self, name: str, kind: ExternKind) -> Export:
        """The export `name` of `kind`. Raises `UsageError` with the nearest names."""
        export = self._exports.get(name)
        if export is not None and export.kind is kind:
            return export
        if export is not None:
            raise UsageError(
                f"export {name!r} is a {export.kind}, not a {kind} ({self._name}): see `inspect`"
            )
        names = [e.name for e in self._info.exports if e.kind is kind]
        near = difflib.get_close_matches(name, names[:1000], n=3)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else _listing(names, kind)
        raise UsageError(f"no exported {kind} {name!r} ({self._name}): {hint}")

    def default_memory(self) -> Export | None:
        """The memory that byte vectors use: the export "memory", else the first one exported, if any."""
        export = self._exports.get("memory")
        if export is not None and export.kind is ExternKind.MEMORY:
            return export
        return next((e for e in self._info.exports if e.kind is ExternKind.MEMORY), None)

    def __repr__(self) -> str:
        return f"<Guest {self._name} {self._info.size} bytes>"


def _read(path: Path, limits: Limits) -> bytes:
    try:
        with path.open("rb") as file:
            # One byte over the limit tells "too large" without reading the rest.
            wasm = file.read(limits.module_bytes + 1)
            size = max(len(wasm), os.fstat(file.fileno()).st_size)
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) else e
        raise UsageError(f"cannot read the module ({path}): {reason}; pass the path of a .wasm file") from e
    if len(wasm) > limits.module_bytes:
        raise _too_large(str(path), size, limits)
    return wasm


def _too_large(where: str, size: int, limits: Limits) -> ModuleError:
    return ModuleError(
        f"module of {size} bytes is over the limit of {limits.module_bytes} ({where}): "
        "raise Limits.module_bytes",
        reason="too-large",
    )


def _listing(names: list[str], kind: ExternKind) -> str:
    if not names:
        return f"the module exports no {kind}"
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"it exports {', '.join(map(repr, names[:8]))}{more}"
