"""The response record of the typed ABI: a header of eight bytes, then the response or an error's text.

The header is two little-endian u32: the status, and zero. Status 0: the encoded response follows; any other:
UTF-8 text (docs/guest-abi.md).
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final

_HEADER: Final = Struct("<II")
HEADER_BYTES: Final = _HEADER.size
OK_HEADER: Final = _HEADER.pack(0, 0)
MAX_TEXT_BYTES: Final = 4096
"""Longest error text that is kept of a record."""


class Code(IntEnum):
    """Error codes with a meaning of their own; applications use those from APPLICATION on."""

    UNSPECIFIED = 1
    """Something failed on the other side; the text says what."""
    MALFORMED = 2
    """The request does not verify."""
    UNIMPLEMENTED = 3
    """The method is not there."""
    OUT_OF_MEMORY = 4
    APPLICATION = 16


class HostRefusal(Exception):
    """Raise it in a host function to answer the guest with an error `code` of your own and a text.

    Any other exception reaches the guest as code 1 (`Code.UNSPECIFIED`) with the exception's type and text.
    """

    def __init__(self, code: int, text: str = "") -> None:
        if not 1 <= code <= 0xFFFF_FFFF:
            raise ValueError(f"error code {code} is out of range (HostRefusal): choose 1 to 4294967295")
        super().__init__(text)
        self.code = code
        self.text = text


def error_record(code: int, text: str) -> bytes:
    """A record that says `code` and `text`, cut to `MAX_TEXT_BYTES`."""
    data = text.encode("utf-8", "backslashreplace")[:MAX_TEXT_BYTES]
    return _HEADER.pack(code, 0) + data.decode("utf-8", "ignore").encode()


def read_header(record: bytes) -> tuple[int, int]:
    """Status and reserved word of a record of at least `HEADER_BYTES`."""
    return _HEADER.unpack_from(record)


def error_text(record: bytes) -> str:
    """The text of an error record; bytes that are no UTF-8 are shown as escapes."""
    return record[HEADER_BYTES : HEADER_BYTES + MAX_TEXT_BYTES].decode("utf-8", "backslashreplace")
