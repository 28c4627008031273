"""Byte vectors and texts of a raw interface in guest memory: checked before anyone reads them."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from hlfuzz.bindings.raw.numbers import OutOfRange, show
from hlfuzz.errors import AbiViolation
from hlfuzz.model import Violation
from hlfuzz.sandbox import CallContext, Caller, GuestMemory

MAX_CSTRING_BYTES: Final = 1 << 20
"""Longest text that a guest may pass without its length; a search for the end must end."""
_CHUNK: Final = 4096
_U32: Final = 0xFFFF_FFFF

Holder = CallContext | Caller
"""Who gives access to guest memory during a call."""


def to_bytes(value: Any) -> bytes:
    """An argument as bytes. Raises `OutOfRange`."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)  # pyright: ignore[reportUnknownArgumentType]
    raise OutOfRange(f"{show(value)} is not bytes")


def to_cstring(value: Any) -> bytes:
    """A text with its terminator. Raises `OutOfRange`."""
    if not isinstance(value, str):
        raise OutOfRange(f"{show(value)} is not a str")
    try:
        data = value.encode()
    except UnicodeEncodeError as error:
        raise OutOfRange(f"{show(value)} is no text: {error.reason}") from None
    if b"\0" in data:
        raise OutOfRange(f"{show(value)} has a zero byte at {data.index(0)}, which would end it")
    return data + b"\0"


def violated(where: str, message: str, path: str, offset: int | None = None) -> NoReturn:
    """Raise for a guest that broke its interface: in `where`, about the parameter or result `path`."""
    text = f"{where}, {path}: {message}"
    raise AbiViolation(f"guest broke its interface: {text}", Violation(text, path, offset))


def read_vector(memory: GuestMemory, pointer: int, length: int, where: str, path: str) -> bytes:
    """The bytes that a guest names; `AbiViolation` when they are not all in its memory."""
    pointer, length = pointer & _U32, length & _U32
    require_inside(memory, pointer, length, where, path)
    return memory.read(pointer, length)


def require_inside(memory: GuestMemory, pointer: int, length: int, where: str, path: str) -> None:
    """`AbiViolation` with the first byte that is outside when a buffer is not all in memory."""
    size = memory.size
    if pointer + length > size:
        violated(
            where,
            f"{length} bytes at {pointer} are outside memory 0..{size}",
            path,
            max(0, size - pointer),
        )


def read_cstring(memory: GuestMemory, pointer: int, where: str, path: str) -> str:
    """The text that a guest points at; `AbiViolation` when it has no end in memory, or is no UTF-8."""
    pointer &= _U32
    size = memory.size
    end = min(size, pointer + MAX_CSTRING_BYTES + 1)
    found = bytearray()
    at = pointer
    while at < end:
        chunk = memory.read(at, min(_CHUNK, end - at))
        zero = chunk.find(0)
        if zero >= 0:
            found += chunk[:zero]
            return _text(bytes(found), where, path)
        found += chunk
        at += len(chunk)
    if pointer >= size:
        violated(where, f"pointer {pointer} is outside memory 0..{size}", path, 0)
    limit = f"within {MAX_CSTRING_BYTES} bytes" if end < size else f"before the end of memory at {size}"
    violated(where, f"text at {pointer} has no zero byte {limit}", path, len(found))


def _text(data: bytes, where: str, path: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        violated(
            where,
            f"text is no UTF-8: byte 0x{data[error.start]:02x} at {error.start} of {len(data)}",
            path,
            error.start,
        )
