"""What a guest can claim about pointers and lengths, and the claims that are worth trying."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final, Literal, TypeAlias

PAGE: Final = 65536
"""The guest's memory in bytes."""
MOST_BYTES: Final = 4096
"""What a call may give back, and a host function read."""
_U32: Final = 0xFFFF_FFFF

What: TypeAlias = Literal[
    "pair", "packed", "inplace", "allocator", "growing-allocator", "send", "receive", "flood"
]


@dataclass(frozen=True, slots=True)
class Lie:
    """What the guest claims: results that are a `pair`, `packed` or a length `inplace`, the address that its
    `allocator` gives (the `growing-allocator` grows the memory first), the buffer that it `send`s or wants to
    `receive` 16 bytes in, or how many host calls it `flood`s the host with. Numbers are unsigned."""

    what: What
    address: int = 0
    length: int = 0


_SPANS: Final[tuple[tuple[int, int], ...]] = (
    (PAGE - 1, 2),
    (PAGE, 1),
    (PAGE - 32, 33),
    (0, _U32),
    (_U32, 1),
    (1, _U32),  # the sum is 0 in 32 bits
    (_U32, _U32),
    (1 << 31, 1 << 31),
    (_U32 - 15, 16),
    (PAGE + 1, 0),
    (_U32, 0),
    (0, PAGE + 1),
    (0, PAGE),  # true, but more than the limit
    (0, MOST_BYTES + 1),
    (PAGE - MOST_BYTES, MOST_BYTES),  # from here on nothing is wrong
    (PAGE - 1, 1),
    (PAGE - 32, 32),
    (0, MOST_BYTES),
    (PAGE, 0),
    (0, 0),
)
"""Addresses and lengths round the ends of the memory, of the limit, and of 32 bits."""
_ROOMS: Final = (
    0,
    _U32,
    _U32 - 15,
    PAGE,
    PAGE - 15,
    PAGE - 16,
    1 << 31,
    2 * PAGE - 15,
    2 * PAGE - 16,
    1,
)
_EDGES: Final = (0, 1, 16, 32, MOST_BYTES, PAGE, 2 * PAGE, 1 << 31, 1 << 32)


def lie_batch(seed: int) -> Iterator[Lie]:
    """With seed 0 those that go to every edge; else 64 random ones near them."""
    if seed:
        yield from _random_lies(Random(seed))
        return
    for address, length in _SPANS:
        yield Lie("pair", address, length)
        yield Lie("packed", address, length)
        yield Lie("send", address, length)
        if address == 0:
            yield Lie("inplace", 0, length)
    for room in _ROOMS:
        yield Lie("allocator", room)
        yield Lie("growing-allocator", room)
        yield Lie("receive", room)
    for count in (64, 65, 1 << 20):
        yield Lie("flood", 0, count)


def _random_lies(rng: Random) -> Iterator[Lie]:
    kinds: tuple[What, ...] = (
        "pair",
        "packed",
        "inplace",
        "allocator",
        "growing-allocator",
        "send",
        "receive",
    )
    for _ in range(64):
        address, length = ((rng.choice(_EDGES) + rng.randrange(-40, 41)) & _U32 for _ in range(2))
        if rng.random() < 0.5:
            length = (PAGE - address + rng.randrange(-2, 3)) & _U32
        what = rng.choice(kinds)
        if what in ("allocator", "growing-allocator", "receive"):
            length = 0
        yield Lie(what, 0 if what == "inplace" else address, length)
