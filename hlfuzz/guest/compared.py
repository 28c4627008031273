"""Numbers that code compares with, and the words that comparisons of one byte after another spell.

Code is searched as text for the few instructions that matter, and not decoded: what lies inside another
instruction may be taken for one, which adds an entry that means nothing. No input makes it slow.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

T = TypeVar("T", bound=Hashable)

MAX_FOUND: Final = 1 << 16
"""Comparisons looked at."""
MAX_NUMBERS: Final = 1024
MAX_SPELLED: Final = 1024
"""Entries kept."""
MAX_RANGE: Final = 32
"""Values of a range or switch that become numbers of their own."""
MAX_GAP: Final = 32
"""Bytes of code between two comparisons of neighbouring bytes, at most."""
MAX_CHAIN: Final = 32
"""Bytes that such comparisons spell, at most."""

_LEB: Final = rb"([\x80-\xff]{0,9}[\x00-\x7f])"
"""A LEB128 number of at most ten bytes (WebAssembly core specification, 5.2.2)."""
_LOCAL: Final = rb"(?:\x20[\x80-\xff]{0,2}[\x00-\x7f])?"
"""local.get, where the constant comes first."""
_COMPARED_WASM: Final = re.compile(rb"(?s)[\x41\x42]" + _LEB + _LOCAL + rb"([\x46-\x4f\x51-\x5a\x73\x85])")
"""A constant before a comparison, or before xor, which compilers compare several bytes with."""
_RANGE_WASM: Final = re.compile(
    rb"(?s)\x41"
    + _LEB
    + rb"\x6a(?:\x22[\x80-\xff]{0,2}[\x00-\x7f])?(?:\x41\xff\x01\x71)?\x41"
    + _LEB
    + rb"[\x48-\x4f]"
)
"""`(x + a) < b`, as compilers write that x is in a range: i32.add, maybe local.tee and a mask, comparison."""
_SWITCH_WASM: Final = re.compile(
    rb"(?s)(?:\x41" + _LEB + rb"([\x6a\x6b])(?:\x22[\x80-\xff]{0,2}[\x00-\x7f])?)?\x0e" + _LEB
)
"""br_table, maybe of a number that a constant was added to or taken from."""
_EQUAL_WASM: Final = frozenset(b"\x46\x47")
_SUB: Final = b"\x6b"

_MEMORY: Final = (
    rb"(?:[\x38-\x3b\x3d-\x3f]|[\x78-\x7b\x7d-\x7f].|[\xb8-\xbd\xbf]....|\x3c.|\x7c..|[\xf8-\xff])"
)
"""What is compared with a constant (opcode extension 7): memory that a register points to, or a register."""
_COMPARED_X86: Final = (
    re.compile(rb"(?s)(?:\x3c|[\x80\x83]" + _MEMORY + rb")(.)"),
    re.compile(rb"(?s)\x66(?:\x3d|\x81" + _MEMORY + rb")(..)"),
    re.compile(rb"(?s)(?:[\x35\x3d]|\x81(?:[\xf0-\xf7]|" + _MEMORY + rb"))(....)"),
    re.compile(rb"(?s)[\x48\x49][\xb8-\xbf](........)"),
)
"""cmp with one, two and four bytes (also xor), and mov of the eight that cmp has no room for (Intel SDM,
volume 2)."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Signed numbers, and words of 2 to 32 bytes."""

    numbers: tuple[int, ...]
    words: tuple[bytes, ...]


def compared_in_wasm(code: bytes) -> Compared:
    """What the code section of a module compares with."""
    numbers: list[int] = []
    bytes_: list[tuple[int, int]] = []
    for match in islice(_COMPARED_WASM.finditer(code), MAX_FOUND):
        number = _signed(match[1])
        numbers.append(number)
        if match[2][0] in _EQUAL_WASM and 0 <= number < 256:
            bytes_.append((match.start(), number))
    for match in islice(_RANGE_WASM.finditer(code), MAX_FOUND):
        numbers += _range(-_signed(match[1]), _signed(match[2]) + 1)
    for match in islice(_SWITCH_WASM.finditer(code), MAX_FOUND):
        shift = _signed(match[1]) * (1 if match[2] == _SUB else -1) if match[1] else 0
        numbers += _range(shift, _signed(match[3]) + 1)
    return _compared(numbers, bytes_)


def compared_in_x86(code: bytes) -> Compared:
    """What the code of a native program compares with."""
    numbers: list[int] = []
    bytes_: list[tuple[int, int]] = []
    for pattern in _COMPARED_X86:
        for match in islice(pattern.finditer(code), MAX_FOUND):
            numbers.append(int.from_bytes(match[1], "little", signed=True))
            if len(match[1]) == 1:
                bytes_.append((match.start(), match[1][0]))
    return _compared(numbers, bytes_)


def _compared(numbers: list[int], bytes_: list[tuple[int, int]]) -> Compared:
    telling = (n for n in numbers if not -2 < n < 2 and -(1 << 63) <= n < 1 << 64)
    return Compared(spread(telling, MAX_NUMBERS), spread(_spelled(bytes_), MAX_SPELLED))


def spread(entries: Iterable[T], count: int) -> tuple[T, ...]:
    """At most so many of the entries, each once, in their order: if there are more, from all over them."""
    unique = tuple(dict.fromkeys(entries))
    return unique[:: -(-len(unique) // count)] if len(unique) > count else unique


def _range(first: int, count: int) -> Iterator[int]:
    """The values of a range, or of a long one its ends."""
    if 0 < count <= MAX_RANGE:
        yield from range(first, first + count)
    else:
        yield from (first, first + count - 1)


def _spelled(found: list[tuple[int, int]]) -> Iterator[bytes]:
    """Words of comparisons that follow close on each other."""
    chain = bytearray()
    last = -MAX_GAP
    for at, byte in (*found, (1 << 62, 0)):
        if at - last > MAX_GAP or len(chain) == MAX_CHAIN:
            yield from _words_of(bytes(chain))
            chain.clear()
        chain.append(byte)
        last = at


def _words_of(chain: bytes) -> Iterator[bytes]:
    """The chain, and the text in it: where one word ends and the next begins is not known."""
    if len(chain) > 1:
        yield chain
        yield from (m[0] for m in re.finditer(rb"[\x20-\x7e]{2,}", chain))


def _signed(leb: bytes) -> int:
    value = 0
    for at, byte in enumerate(leb):
        value |= (byte & 0x7F) << 7 * at
    return value - (1 << 7 * len(leb)) if leb[-1] & 0x40 else value
