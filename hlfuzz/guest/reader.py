"""Reads the numbers and names in the sections of a Wasm module."""

from __future__ import annotations

from hlfuzz.errors import ModuleError


class Reader:
    """Numbers and names one after the other. Raises `ModuleError` at the end of the data."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def signed(self) -> int:
        """A signed number of at most ten bytes."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value - (1 << shift + 7) if byte & 0x40 else value
        raise ModuleError("a number of more than ten bytes (a section of the module): build the module again")

    def number(self) -> int:
        """An unsigned number of at most five bytes (WebAssembly core specification, 5.2.2)."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ModuleError(
            "a number of more than five bytes (a section of the module): build the module again"
        )

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self.at + count
        if end > len(self.data):
            raise ModuleError("it ends too early (a section of the module): build the module again")
        taken, self.at = self.data[self.at : end], end
        return taken

    def name(self) -> str:
        """A text with its length before it."""
        return self.take(self.number()).decode("utf-8", "replace")
