"""Views of a guest's exported memories and globals: bounds-checked, and only for the sandbox's owner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from hlfuzz.errors import UsageError
from hlfuzz.guest import Guest
from hlfuzz.model import Export, ExternKind, GlobalType, MemoryType, Value
from hlfuzz.sandbox.engines.base import Engine
from hlfuzz.sandbox.values import canonical


class GuestMemory:
    """One linear memory of a guest. What is written is part of the state: the next reset wipes it."""

    def __init__(
        self,
        guest: Guest,
        engine: Engine,
        name: str | None,
        check: Callable[[], None],
        spend: Callable[[int], None] | None = None,
    ) -> None:
        """`check` raises when it may not be used now, `spend` when so many bytes may not cross any more."""
        self._engine = engine
        self._check = check
        self._spend = spend
        export = guest.default_memory() if name is None else guest.export(name, ExternKind.MEMORY)
        if export is None:
            raise UsageError(f"no exported memory ({guest.name}): the module keeps its memory to itself")
        self._export = export
        self._where = f"{guest.name}, memory {export.name!r}"
        self._wraps = not cast("MemoryType", export.type).memory64

    @property
    def size(self) -> int:
        """Bytes; it may grow with each call."""
        self._check()
        return self._engine.memory_size(self._export)

    @property
    def writable(self) -> tuple[range, ...]:
        """The addresses that may be written, ranges in order: all of a Wasm guest's memory; data, stack and
        heap of a native guest."""
        self._check()
        return self._engine.memory_writable(self._export)

    def read(self, address: int, length: int) -> bytes:
        """A copy of `length` bytes. A negative address is an i32 above 2 GiB. Raises `UsageError` out of
        range."""
        self._check()
        start = self._address(address)
        self._account(start, length)
        data = self._engine.memory_read(self._export, start, length) if start >= 0 and length >= 0 else None
        if data is None:
            raise self._out_of_range("read", address, length)
        return data

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Write `data`. Raises `UsageError` out of range; then nothing is written."""
        self._check()
        start = self._address(address)
        self._account(start, len(data))
        if start < 0 or not self._engine.memory_write(self._export, start, bytes(data)):
            raise self._out_of_range("write", address, len(data))

    def _address(self, address: int) -> int:
        return address & 0xFFFF_FFFF if self._wraps and -(1 << 31) <= address < 0 else address

    def _account(self, start: int, length: int) -> None:
        # What is out of range moves no byte, and is refused as that.
        if self._spend is not None and 0 <= length <= self._engine.memory_size(self._export) - max(start, 0):
            self._spend(length)

    def _out_of_range(self, what: str, address: int, length: int) -> UsageError:
        size = self._engine.memory_size(self._export)
        return UsageError(
            f"{what} of {length} bytes at {address} is outside 0..{size} ({self._where}): check the pointer"
        )


class Globals:
    """A guest's exported globals of numeric and vector types, by name."""

    def __init__(self, guest: Guest, engine: Engine, check: Callable[[], None]) -> None:
        self._guest = guest
        self._engine = engine
        self._check = check

    def __getitem__(self, name: str) -> Value:
        """The current value. Raises `UsageError` for an unknown name or a reference type."""
        self._check()
        return self._engine.global_get(self._export(name))

    def __setitem__(self, name: str, value: Value) -> None:
        """Set a mutable global; part of the state that the next reset wipes. Raises `UsageError`."""
        self._check()
        export = self._export(name)
        type_ = cast("GlobalType", export.type)
        if not type_.mutable:
            raise UsageError(f"global {name!r} is immutable ({self._guest.name}): it cannot be set")
        try:
            self._engine.global_set(export, canonical(value, type_.value))
        except ValueError as e:
            raise UsageError(f"wrong value (global {name!r}, {type_.value}): {e}") from None

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __iter__(self) -> Iterator[str]:
        """Names, in export order."""
        for e in self._guest.info.exports:
            if e.kind is ExternKind.GLOBAL and not cast("GlobalType", e.type).value.is_reference:
                yield e.name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def keys(self) -> list[str]:
        """Names, in export order (so that `dict(box.globals)` works)."""
        return list(self)

    def _export(self, name: str) -> Export:
        export = self._guest.export(name, ExternKind.GLOBAL)
        type_ = cast("GlobalType", export.type).value
        if type_.is_reference:
            raise UsageError(
                f"reference types cannot cross between host and guest (global {name!r}, {type_})"
            )
        return export
