"""What every wire codec offers, and how it says that bytes are not what the schema promises."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Protocol

from hlfuzz.errors import HlfuzzError, UsageError

MAX_DEPTH: Final = 64
"""Records inside records, as in the FlatBuffers C++ verifier (`Verifier::Options::max_depth`)."""
MAX_TABLES: Final = 1_000_000
"""Tables in one buffer, as in the FlatBuffers C++ verifier (`Verifier::Options::max_tables`)."""
MAX_BYTES: Final = 0x7FFF_FFFF
"""Longest buffer, in bytes: FlatBuffers offsets are 32-bit and signed where they point backwards."""


class Rule(IntEnum):
    """The rule that bytes break; the numbers are part of the C ABI (`HL_RULE_*`)."""

    TOO_SHORT = 1
    TOO_LONG = 2
    ALIGNMENT = 3
    BOUNDS = 4
    VTABLE = 5
    FIELD_BOUNDS = 6
    REQUIRED = 7
    STRING_TERMINATOR = 8
    UTF8 = 9
    UNION = 10
    DEPTH = 11
    TABLES = 12
    IDENTIFIER = 13
    NESTED = 14
    ENUM = 15
    BOOL = 16
    MALFORMED = 17


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a reader accepts: record depth, tables, bytes."""

    depth: int = MAX_DEPTH
    tables: int = MAX_TABLES
    size: int = MAX_BYTES


@dataclass(frozen=True, slots=True)
class WireFault:
    """Why bytes are refused: rule, field ("headers[2].name"; "" is the root), byte offset, and text."""

    rule: Rule
    path: str
    offset: int
    message: str

    def __str__(self) -> str:
        return f"{self.message} ({self.path or 'the root'}, byte {self.offset})"


class WireError(HlfuzzError):
    """Bytes that do not decode; `fault` says why."""

    def __init__(self, type_name: str, fault: WireFault) -> None:
        super().__init__(f"not a valid {type_name}: {fault}")
        self.type_name = type_name
        self.fault = fault


class EncodeError(UsageError):
    """A value that its type cannot hold: field path, what it is, what fits."""


class Codec(Protocol):
    """Turns values (see `hlfuzz.schema.values`) into bytes and back, by full name of a record."""

    def encode(self, type_name: str, value: Any) -> bytes:
        """Raises `EncodeError`."""
        ...

    def decode(self, type_name: str, data: bytes) -> Any:
        """Verify, then read. Raises `WireError`."""
        ...

    def verify(self, type_name: str, data: bytes) -> WireFault | None:
        """What is wrong with untrusted bytes, or None: then they can be read fully."""
        ...
