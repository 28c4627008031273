"""Builds small ELF programs, right and wrong ones, byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

LOAD: Final = 1
DYNAMIC: Final = 2
INTERP: Final = 3
NOTE: Final = 4
TLS: Final = 7
STACK: Final = 0x6474E551
R: Final = 4
RW: Final = 6
RX: Final = 5

TEXT_AT: Final = 0x401000
DATA_AT: Final = 0x402000
BSS_AT: Final = 0x403000
CODE: Final = b"\xf4" * 64
"""Halts: a privileged instruction, so the program faults at once if it ever runs."""


@dataclass
class Program:
    """An ELF program with a segment of code, one of tables and texts, and one of zeros."""

    exports: Sequence[tuple[str | bytes, str | bytes, int]] = (("run", "pi:r", TEXT_AT),)
    imports: Sequence[tuple[str, str, str]] = (("env", "log", "pi:"),)
    handshake: bytes | None = None
    entry: int = TEXT_AT
    type: int = 2
    machine: int = 62
    headers: list[tuple[int, ...]] = field(default_factory=list)
    """More program headers: type, flags, offset, address, bytes in the file, bytes in memory."""
    header_size: int = 56
    version: int = 1
    table_note: bool = True
    text_flags: int = RX
    text_at: int = TEXT_AT
    table_end: int = 0
    """Bytes added to the end of the table of exports."""
    zero: int = 0
    """The last word of each entry."""
    notes: bytes = b""

    def file(self) -> bytes:
        data, note = self._tables()
        notes = self.notes + (note if self.table_note else b"")
        if self.handshake is not None:
            notes = _note(1, self.handshake) + notes
        headers = [
            (LOAD, self.text_flags, 0x1000, self.text_at, len(CODE), len(CODE)),
            (LOAD, R, 0x2000, DATA_AT, len(data), len(data)),
            (LOAD, RW, 0, BSS_AT, 0, 0x1800),
            (NOTE, R, 0x3000, 0, len(notes), len(notes)),
            (STACK, RW, 0, 0, 0, 0),
            *self.headers,
        ]
        table = b"".join(
            struct.pack("<IIQQQQQQ", kind, flags, offset, at, at, size, memory, 0x1000)
            for kind, flags, offset, at, size, memory in headers
        )
        head = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
        head += struct.pack("<HHIQQQ", self.type, self.machine, 1, self.entry, 64, 0)
        head += struct.pack("<IHHHHHH", 0, 64, self.header_size, len(headers), 64, 0, 0)
        assert len(head + table) <= 0x1000
        assert len(data) <= 0x1000
        return (
            (head + table).ljust(0x1000, b"\0")
            + CODE.ljust(0x1000, b"\0")
            + data.ljust(0x1000, b"\0")
            + notes
        )

    def _tables(self) -> tuple[bytes, bytes]:
        texts = b""
        count = len(self.exports) + len(self.imports)

        def place(text: str | bytes) -> int:
            nonlocal texts
            at = DATA_AT + 32 * count + len(texts)
            texts += (text.encode() if isinstance(text, str) else text) + b"\0"
            return at

        entries = b"".join(
            struct.pack("<QQQQ", place(name), place(kind), at, self.zero) for name, kind, at in self.exports
        )
        entries += b"".join(
            struct.pack("<QQQQ", place(name), place(kind), place(module), self.zero)
            for module, name, kind in self.imports
        )
        middle = DATA_AT + 32 * len(self.exports)
        note = struct.pack(
            "<IIQQQQ", self.version, 0, DATA_AT, middle + self.table_end, middle, DATA_AT + 32 * count
        )
        return entries + texts, _note(2, note)


def _note(kind: int, content: bytes) -> bytes:
    padded = content.ljust(-(-len(content) // 4) * 4, b"\0")
    return struct.pack("<III", 7, len(content), kind) + b"hlfuzz\0\0" + padded


def word(file: bytes, at: int, value: int, size: int = 8) -> bytes:
    """The file with another number at `at`."""
    return file[:at] + value.to_bytes(size, "little") + file[at + size :]


def header(index: int, offset: int) -> int:
    """Where a field of the program header `index` is."""
    return 64 + 56 * index + offset
