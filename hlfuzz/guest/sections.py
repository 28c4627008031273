"""Custom sections of a Wasm module: read one, add one."""

from __future__ import annotations

from typing import Final

from hlfuzz.errors import ModuleError

_PREAMBLE: Final = 8
_CUSTOM: Final = 0
_MAX_LEB_BYTES: Final = 5
"""A u32 takes at most five bytes (WebAssembly core specification, 5.2.2)."""


def custom_section(wasm: bytes, name: str) -> bytes | None:
    """The content of the first custom section `name`; None when there is none.

    Linkers join data of one section name, so a module has it once unless someone added another.
    Raises `ModuleError` when the bytes are no sequence of sections.
    """
    wanted = name.encode()
    at = _PREAMBLE
    while at < len(wasm):
        kind = wasm[at]
        size, at = _u32(wasm, at + 1)
        end = at + size
        if end > len(wasm):
            raise ModuleError(f"section at byte {at} ends outside the module: is the file whole?")
        if kind == _CUSTOM:
            length, start = _u32(wasm, at)
            if start + length > end:
                raise ModuleError(f"custom section at byte {at} has a name that is longer than it is")
            if wasm[start : start + length] == wanted:
                return wasm[start + length : end]
        at = end
    return None


def section(wasm: bytes, kind: int) -> bytes | None:
    """The content of the section with the id `kind` (not 0) of a validated module; None when it has none."""
    at = _PREAMBLE
    while at < len(wasm):
        found = wasm[at]
        size, at = _u32(wasm, at + 1)
        if found == kind:
            return wasm[at : at + size]
        at += size
    return None


def with_custom_section(wasm: bytes, name: str, content: bytes) -> bytes:
    """The module with a custom section `name`, in the place of all it has of that name."""
    wanted = name.encode()
    kept = [wasm[:_PREAMBLE]]
    at = _PREAMBLE
    while at < len(wasm):
        start = at
        kind = wasm[at]
        size, at = _u32(wasm, at + 1)
        body, at = at, at + size
        if kind == _CUSTOM:
            length, text = _u32(wasm, body)
            if wasm[text : text + length] == wanted:
                continue
        kept.append(wasm[start:at])
    payload = _leb(len(wanted)) + wanted + content
    return b"".join([*kept, bytes([_CUSTOM]), _leb(len(payload)), payload])


def _u32(data: bytes, at: int) -> tuple[int, int]:
    """A LEB128 number and the position after it."""
    value = 0
    for i, byte in enumerate(data[at : at + _MAX_LEB_BYTES]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    raise ModuleError(f"no number at byte {at}: is the file whole?")


def _leb(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
