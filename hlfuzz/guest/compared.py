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
MAX_RANGE: Final = 8
MAX_SWITCH: Final = 64
"""Values that become numbers of their own; of more only the first and the last: that is a class of signs."""
MAX_GAP: Final = 32
"""Bytes of code between two comparisons of neighbouring bytes, at most."""
MAX_CHAIN: Final = 32
MIN_SPELLED: Final = 3
"""Bytes that such comparisons spell, at most and at least."""

_LEB: Final = rb"([\x80-\xff]{0,9}[\x00-\x7f])"
"""A LEB128 number of at most ten bytes (WebAssembly core specification, 5.2.2)."""
_INDEX: Final = rb"[\x80-\xff]{0,4}[\x00-\x7f]"
_LOCAL: Final = rb"(?:\x20" + _INDEX + rb"(?:[\x28-\x35]" + _INDEX + _INDEX + rb")?)?"
"""local.get and maybe a load, where the constant comes first."""
_COMPARED_WASM: Final = re.compile(rb"(?s)[\x41\x42]" + _LEB + _LOCAL + rb"([\x46-\x4f\x51-\x5a\x73\x85])")
"""A constant before a comparison, or before xor, which compilers compare several bytes with."""
_RANGE_WASM: Final = re.compile(
    rb"(?s)\x41" + _LEB + rb"\x6a(?:\x22" + _INDEX + rb")?(?:\x41\xff\x01\x71)?\x41" + _LEB + rb"[\x48-\x4f]"
)
"""`(x + a) < b`, as compilers write that x is in a range: i32.add, maybe local.tee and a mask, comparison."""
_SWITCH_WASM: Final = re.compile(
    rb"(?s)(?:\x41" + _LEB + rb"([\x6a\x6b])(?:\x22" + _INDEX + rb")?)?\x0e" + _LEB
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


_TEXT: Final = re.compile(rb"[\x20-\x7e]{2,}")


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
        if match[2][0] in _EQUAL_WASM and 0 <= number < 256:
            bytes_.append((match.start(), number))
        else:
            numbers.append(number)
    for match in islice(_RANGE_WASM.finditer(code), MAX_FOUND):
        numbers += _range(-_signed(match[1]), _signed(match[2]) + 1, MAX_RANGE)
    for match in islice(_SWITCH_WASM.finditer(code), MAX_FOUND):
        shift = _signed(match[1]) * (1 if match[2] == _SUB else -1) if match[1] else 0
        numbers += _range(shift, _unsigned(match[3]), MAX_SWITCH)
    return _compared(numbers, bytes_)


def compared_in_x86(code: bytes) -> Compared:
    """What the code of a native program compares with."""
    numbers: list[int] = []
    bytes_: list[tuple[int, int]] = []
    for pattern in _COMPARED_X86:
        for match in islice(pattern.finditer(code), MAX_FOUND):
            if len(match[1]) == 1:
                bytes_.append((match.start(), match[1][0]))
            else:
                numbers.append(int.from_bytes(match[1], "little", signed=True))
    return _compared(numbers, bytes_)


def _compared(numbers: list[int], bytes_: list[tuple[int, int]]) -> Compared:
    chains = tuple(_chains(bytes_))
    # Of what is spelled the single bytes say nothing more.
    single = (byte for chain in chains if len(chain) < MIN_SPELLED for byte in chain)
    telling = (n for n in (*numbers, *single) if not -2 < n < 2 and -(1 << 63) <= n < 1 << 64)
    words = (word for chain in chains if len(chain) > 1 for word in _words_of(chain))
    return Compared(spread(telling, MAX_NUMBERS), spread(words, MAX_SPELLED))


def spread(entries: Iterable[T], count: int) -> tuple[T, ...]:
    """At most so many of the entries, each once, in their order: if there are more, from all over them."""
    unique = tuple(dict.fromkeys(entries))
    return unique[:: -(-len(unique) // count)] if len(unique) > count else unique


def _range(first: int, count: int, most: int) -> Iterator[int]:
    """The values of a range, or of a long one its ends."""
    if 0 < count <= most:
        yield from range(first, first + count)
    else:
        yield from (first, first + count - 1)


def _chains(found: list[tuple[int, int]]) -> Iterator[bytes]:
    """Bytes of comparisons that follow close on each other."""
    chain = bytearray()
    last = 0
    for at, byte in found:
        if chain and (not 0 <= at - last <= MAX_GAP or len(chain) == MAX_CHAIN):
            yield bytes(chain)
            chain.clear()
        chain.append(byte)
        last = at
    yield bytes(chain)


def _words_of(chain: bytes) -> Iterator[bytes]:
    """The chain, the same without its first or last byte, and the text in it: a comparison before or after
    the word may have come into it."""
    yield chain
    if len(chain) > MIN_SPELLED:
        yield from (chain[1:], chain[:-1])
    yield from (m[0] for m in _TEXT.finditer(chain))


def _unsigned(leb: bytes) -> int:
    return sum((byte & 0x7F) << 7 * at for at, byte in enumerate(leb))


def _signed(leb: bytes) -> int:
    value = _unsigned(leb)
    return value - (1 << 7 * len(leb)) if leb[-1] & 0x40 else value
