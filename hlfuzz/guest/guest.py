"""`Guest`: a loaded and inspected guest, a Wasm module or a native program, with its limits."""

from __future__ import annotations

import difflib
import os
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, TypeAlias

from hlfuzz.errors import ModuleError, UsageError
from hlfuzz.guest.dictionary import Dictionary, read_dictionary
from hlfuzz.guest.inspect import handshake_note, module_info
from hlfuzz.guest.limits import DEFAULT_MEMORY_BYTES, PAGE, Limits
from hlfuzz.guest.sections import custom_section
from hlfuzz.model import Export, ExternKind, ModuleInfo
from hlfuzz.vmm import inspect, inspect_elf

Kind: TypeAlias = Literal["wasm", "elf"]
Source: TypeAlias = "str | os.PathLike[str] | bytes"

HANDSHAKE: Final = "hlfuzz.v1"
"""Name of the custom section with the text of the interface; in an ELF file it is a note."""
_ELF_MAGIC: Final = b"\x7fELF"


class Guest:
    """An immutable guest, checked and inspected; any number of sandboxes, in any thread, may use it."""

    def __init__(
        self,
        data: bytes,
        info: ModuleInfo,
        limits: Limits,
        name: str,
        *,
        kind: Kind = "wasm",
        note: bytes | None = None,
    ) -> None:
        self._data = data
        self._kind: Kind = kind
        self._note = note
        self._info = info
        self._limits = limits
        self._name = name
        self._exports = {e.name: e for e in info.exports}

    @classmethod
    def load(cls, source: Source, *, limits: Limits | None = None, name: str | None = None) -> Guest:
        """`from_elf` for a file or bytes that begin as an ELF file does, `from_wasm` for all others."""
        limits = limits or Limits()
        data, where = _bytes(source, limits, name)
        return cls._checked(data, where, "elf" if data.startswith(_ELF_MAGIC) else "wasm", limits, name)

    @classmethod
    def from_wasm(cls, source: Source, *, limits: Limits | None = None, name: str | None = None) -> Guest:
        """Load a binary Wasm module from a file (str or path) or from its bytes.

        `name` is what messages call it; the file's name, or the start of its SHA-256, when left out. Raises
        `ModuleError` (not Wasm, invalid, a component, an unsupported feature, too large) and `UsageError`
        (file cannot be read).
        """
        limits = limits or Limits()
        return cls._checked(*_bytes(source, limits, name), "wasm", limits, name)

    @classmethod
    def from_elf(cls, source: Source, *, limits: Limits | None = None, name: str | None = None) -> Guest:
        """Load a native guest: a static ELF program made with `hlfuzz_guest.h` (docs/native-guests.md).

        It runs in a micro-VM only, and is always reset with the level "strict". Its memory limit is the size
        of its heap. Arguments as in `from_wasm`. Raises `ModuleError` (not such a program, or one that asks
        for what it cannot have; too large) and `UsageError`.
        """
        limits = limits or Limits()
        return cls._checked(*_bytes(source, limits, name), "elf", limits, name)

    @classmethod
    def _checked(cls, data: bytes, where: str, kind: Kind, limits: Limits, name: str | None) -> Guest:
        if len(data) > limits.module_bytes:
            raise _too_large(where, len(data), limits)
        text = inspect(data, where) if kind == "wasm" else inspect_elf(data, where)
        info = module_info(text)
        note = None if kind == "wasm" else handshake_note(text)
        name = name or (where if where != "bytes" else info.sha256[:12])
        return cls(data, info, limits, name, kind=kind, note=note)

    @property
    def kind(self) -> Kind:
        """ "wasm" or "elf" (native)."""
        return self._kind

    @property
    def data(self) -> bytes:
        """The bytes of the module or program."""
        return self._data

    @property
    def wasm(self) -> bytes:
        """The module's bytes. Raises `UsageError` for a native guest."""
        if self._kind != "wasm":
            raise UsageError(f"not a Wasm module but a native guest ({self._name}): only Wasm can do this")
        return self._data

    @property
    def handshake(self) -> bytes | None:
        """What it says about the interface that it was built for (docs/handshake.md); None when nothing."""
        return self._note if self._kind == "elf" else custom_section(self._data, HANDSHAKE)

    @property
    def info(self) -> ModuleInfo:
        """What the inspector found."""
        return self._info

    @cached_property
    def dictionary(self) -> Dictionary:
        """Words and numbers that its own bytes hold, for inputs that it may know."""
        return read_dictionary(self._data, self._kind)

    @property
    def limits(self) -> Limits:
        """What its sandboxes may use."""
        return self._limits

    @property
    def memory_limit(self) -> int:
        """Bytes to which each linear memory may grow; of a native guest, the size of its heap."""
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


def _bytes(source: Source, limits: Limits, name: str | None) -> tuple[bytes, str]:
    """The guest's bytes, and what messages call it."""
    if isinstance(source, bytes):
        return source, name or "bytes"
    return _read(Path(source), limits), name or Path(source).name


def _read(path: Path, limits: Limits) -> bytes:
    try:
        with path.open("rb") as file:
            # One byte over the limit tells "too large" without reading the rest.
            wasm = file.read(limits.module_bytes + 1)
            size = max(len(wasm), os.fstat(file.fileno()).st_size)
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) else e
        raise UsageError(
            f"cannot read the module ({path}): {reason}; pass the path of a .wasm file or of a native guest"
        ) from e
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
