"""Takes the start section out of a module, so that its function can be called once the instance exists.

While `wasmtime` runs a start function the host has no handle of the instance: a host function called from it
could not reach the guest's memory. Here the function becomes an export, called right after instantiation, as
the core specification orders it (4.5.4 "Instantiation", its last step).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

START_EXPORT: Final = "hlfuzz start"
_HEADER: Final = 8
_EXPORT_SECTION, _START_SECTION, _CODE_SECTION = 7, 8, 10
_LATER_THAN_EXPORTS: Final = frozenset({8, 9, 10, 11, 12})
"""Start, element, code, data and data-count sections follow the export section."""
_FUNC: Final = 0


def detach_start(wasm: bytes, taken: frozenset[str]) -> tuple[bytes, str]:
    """A valid module with a start section, as one that exports the function instead, and the export's name.

    `taken` are the names that the module exports already.
    """
    name = START_EXPORT
    while name in taken:
        name += "'"
    sections = list(_sections(wasm))
    start = next(body for id_, body in sections if id_ == _START_SECTION)
    entry = _u32(len(name.encode())) + name.encode() + bytes([_FUNC]) + start
    out = bytearray(wasm[:_HEADER])
    exported = False
    for id_, body in sections:
        if id_ == _EXPORT_SECTION:
            count, at = _read_u32(body, 0)
            out += _section(id_, _u32(count + 1) + body[at:] + entry)
            exported = True
            continue
        if id_ in _LATER_THAN_EXPORTS and not exported:
            out += _section(_EXPORT_SECTION, _u32(1) + entry)
            exported = True
        if id_ != _START_SECTION:
            out += _section(id_, body)
    return bytes(out), name


def code_moved(before: bytes, after: bytes) -> int:
    """By how many bytes the code of a module lies further on after `detach_start`."""
    return _code_start(after) - _code_start(before)


def _code_start(wasm: bytes) -> int:
    at = _HEADER
    while at < len(wasm):
        id_ = wasm[at]
        size, body = _read_u32(wasm, at + 1)
        if id_ == _CODE_SECTION:
            return body
        at = body + size
    return at


def _sections(wasm: bytes) -> Iterator[tuple[int, bytes]]:
    at = _HEADER
    while at < len(wasm):
        id_ = wasm[at]
        size, body = _read_u32(wasm, at + 1)
        yield id_, wasm[body : body + size]
        at = body + size


def _section(id_: int, body: bytes) -> bytes:
    return bytes([id_]) + _u32(len(body)) + body


def _read_u32(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _u32(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
