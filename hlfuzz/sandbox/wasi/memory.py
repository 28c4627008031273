"""A WASI function's access to guest memory: what a guest passes is checked before anything is done with
it."""

from __future__ import annotations

import struct
from typing import Final

from hlfuzz.errors import UsageError
from hlfuzz.sandbox.hostcalls import Caller
from hlfuzz.sandbox.wasi.abi import Errno, WasiError

VECTORS: Final = 1024
"""Buffers that one call may name: IOV_MAX of Linux."""

_VECTOR: Final = struct.Struct("<II")


class Memory:
    """The guest's memory during one call. Everything raises `WasiError` FAULT out of range."""

    __slots__ = ("_caller", "_memory", "_size")

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._size = -1

    def check(self, address: int, length: int) -> None:
        """Raise unless these bytes are in memory; an empty range is anywhere."""
        if self._size < 0:
            try:
                self._memory = self._caller.memory()
            except UsageError:  # the module exports none
                raise WasiError(Errno.FAULT) from None
            self._size = self._memory.size
        if length and address + length > self._size:
            raise WasiError(Errno.FAULT)

    def read(self, address: int, length: int) -> bytes:
        """A copy of guest memory."""
        self.check(address, length)
        return self._memory.read(address, length) if length else b""

    def write(self, address: int, data: bytes) -> None:
        """Write guest memory."""
        self.check(address, len(data))
        if data:
            self._memory.write(address, data)

    def write_u32(self, address: int, value: int) -> None:
        """Write a 32-bit number."""
        self.write(address, value.to_bytes(4, "little"))

    def write_u64(self, address: int, value: int) -> None:
        """Write a 64-bit number."""
        self.write(address, value.to_bytes(8, "little"))

    def vectors(self, address: int, count: int) -> list[tuple[int, int]]:
        """Address and length of each buffer of an array of them, all inside memory. Raises `WasiError` INVAL
        for more than `VECTORS`."""
        if count > VECTORS:
            raise WasiError(Errno.INVAL)
        found = list(_VECTOR.iter_unpack(self.read(address, count * _VECTOR.size)))
        for start, length in found:
            self.check(start, length)
        return found
