"""Which memory and which data segment of a Wasm module an offset belongs to, by the module's own sections."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hlfuzz.errors import ModuleError
from hlfuzz.guest.reader import Reader
from hlfuzz.guest.sections import custom_section, section

_EXPORTS: Final = 7
_DATA: Final = 11
"""Section ids (WebAssembly core specification, 5.5.2)."""
_DATA_NAMES: Final = 9
"""Subsection of the name section (extended name section proposal)."""
_MAX_NAME: Final = 200
"""Characters of a name that are of any use."""
_MEMORY: Final = 2
"""Kind of an export that is a memory."""
_PASSIVE: Final = 1
_WITH_MEMORY: Final = 2
"""Kinds of data segments (5.5.14)."""
_CONSTANTS: Final = (0x41, 0x42)
_GLOBAL_GET: Final = 0x23
"""Instructions of an offset: i32.const, i64.const; global.get."""
_END: Final = 0x0B


@dataclass(frozen=True, slots=True)
class Segment:
    """An active data segment at a constant offset of a memory; `name` "" where the module does not say."""

    index: int
    memory: int
    offset: int
    length: int
    name: str = ""

    def __str__(self) -> str:
        return f"data segment {self.name!r}" if self.name else f"data segment {self.index}"


class DataMap:
    """Names of a validated module's memories, and where its data segments are. What its custom sections say
    is believed as far as it can be read."""

    def __init__(self, wasm: bytes) -> None:
        found = _segments(section(wasm, _DATA) or b"", _data_names(custom_section(wasm, "name") or b""))
        self._segments = sorted(found, key=lambda s: (s.memory, s.offset))
        self._starts = [(s.memory, s.offset) for s in self._segments]
        self._exports = _exported_memories(section(wasm, _EXPORTS) or b"")
        self._memories: dict[int, str] = {}
        for name, index in self._exports.items():
            self._memories.setdefault(index, name)

    def memory(self, index: int) -> str:
        """What a person calls the memory: by its first export, or by its index."""
        name = self._memories.get(index)
        return f"memory {index}" if name is None else f"memory {name!r}"

    def index(self, export: str) -> int:
        """The index of an exported memory. Raises `KeyError`."""
        return self._exports[export]

    def segment(self, memory: int, offset: int) -> Segment | None:
        """The data segment that was written there when the module was instantiated; the last of several."""
        for at in range(bisect_right(self._starts, (memory, offset)) - 1, -1, -1):
            found = self._segments[at]
            if found.memory != memory:
                break
            if offset < found.offset + found.length:
                return found
        return None

    def describe(self, memory: int, offset: int) -> str:
        """The place in words: "memory 'memory' +0x40, data segment '.data' +0x8"."""
        where = f"{self.memory(memory)} +{offset:#x}"
        found = self.segment(memory, offset)
        return where if found is None else f"{where}, {found} +{offset - found.offset:#x}"


def _exported_memories(data: bytes) -> dict[str, int]:
    """Index of each exported memory, by name in the order of the exports."""
    reader = Reader(data)
    found: dict[str, int] = {}
    for _ in range(reader.number() if data else 0):
        name, kind, index = reader.name(), reader.byte(), reader.number()
        if kind == _MEMORY:
            found[name] = index
    return found


def segment_contents(wasm: bytes) -> Iterator[bytes]:
    """The bytes of each data segment of a validated module, up to the first whose offset is computed."""
    return (content for _, _, _, content in _entries(section(wasm, _DATA) or b""))


def _segments(data: bytes, names: dict[int, str]) -> Iterator[Segment]:
    """Active segments at constant offsets."""
    for index, memory, offset, content in _entries(data):
        if offset is not None:
            yield Segment(index, memory, offset, len(content), names.get(index, ""))


def _entries(data: bytes) -> Iterator[tuple[int, int, int | None, bytes]]:
    """Index, memory, constant offset if it has one, and bytes of each segment. One whose offset is computed
    ends the list: where the next one begins is not known without reading code."""
    reader = Reader(data)
    for index in range(reader.number() if data else 0):
        kind = reader.number()
        memory = reader.number() if kind == _WITH_MEMORY else 0
        offset: int | None = None
        if kind != _PASSIVE:
            code = reader.byte()
            if code in _CONSTANTS:
                # A memory of 32-bit addresses takes the constant as unsigned.
                offset = reader.signed() & (0xFFFF_FFFF if code == _CONSTANTS[0] else 0xFFFF_FFFF_FFFF_FFFF)
            elif code == _GLOBAL_GET:
                reader.number()
            else:
                return
            if reader.byte() != _END:
                return
        yield index, memory, offset, reader.take(reader.number())


def _data_names(data: bytes) -> dict[int, str]:
    """Names of data segments, as far as the name section can be read."""
    reader = Reader(data)
    found: dict[int, str] = {}
    try:
        while reader.at < len(data):
            kind, content = reader.byte(), Reader(reader.take(reader.number()))
            if kind == _DATA_NAMES:
                for _ in range(content.number()):
                    index, name = content.number(), content.name()
                    found[index] = name[:_MAX_NAME]
    except ModuleError:
        pass  # what came before the damage is as good as before
    return found
