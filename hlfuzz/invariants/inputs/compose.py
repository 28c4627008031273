"""Byte vectors that look like something: magic words, opcodes, records behind their length, lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final, TypeVar

from hlfuzz.guest import Dictionary
from hlfuzz.invariants.values import MAX_VECTOR_BYTES

_SIZES: Final = (0, 1, 2, 3, 4, 8, 15, 16, 31, 32, 33, 48, 64, 64, 100, 128, 200, 256)
_LETTERS: Final = bytes(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"[i % 64] for i in range(256)
)
"""A letter for each byte."""
_LINE_ENDS: Final = (b"\r\n", b"\r\n", b"\r\n", b"\n", b"\n", b"\0", b";")
_SEPARATORS: Final = (b" ", b" ", b" ", b": ", b"=", b",", b"")
_WIDTHS: Final = (1, 1, 2, 2, 3, 4, 4, 8)
_LENGTH_WIDTHS: Final = (1, 1, 2, 2, 2, 3, 4, 4)
_DIGITS: Final = tuple(str(n).encode() for n in range(10))
_NAME_SIZES: Final = (1, 3, 4, 8, 40)
_NUMBER_BITS: Final = (3, 8, 16, 32)
_SKEWS: Final = (1, -1, 2, -2, 4, 16, 256)
_DEPTH: Final = 2
"""Records in records, at most."""

T = TypeVar("T")


class Composer:
    """Makes byte vectors out of a dictionary and a random source; without words, of numbers and filler."""

    def __init__(self, rng: Random, dictionary: Dictionary) -> None:
        self._rng = rng
        self._random = rng.random
        self._words = dictionary.words
        self._numbers = tuple((n, _bytes_of(n)) for n in dictionary.numbers)
        self._bytes = tuple(bytes([n & 0xFF]) for n in dictionary.numbers if -128 <= n < 256)
        self._texts = tuple(w for w in dictionary.words if w.isascii() and w.decode().isprintable())
        # A guest that knows where a line ends reads lines.
        self._line_ends = (*_LINE_ENDS, *(b"\r\n",) * 14) if b"\r\n" in dictionary.words else _LINE_ENDS
        lines = (self._lines,) * (3 if b"\r\n" in dictionary.words else 2 if self._texts else 1)
        self._forms = (self._headed, self._headed, self._records, self._mixed, *lines)
        self._parts = (self.word, self.word, self._byte, self.integer, self.filler)
        self._tails = (self.filler, self.filler, self._records, self._mixed)

    def _pick(self, choices: Sequence[T]) -> T:
        """As `Random.choice`, in half the time."""
        return choices[int(self._random() * len(choices))]

    def vector(self) -> bytes:
        """One byte vector of at most 4 KiB."""
        return self._pick(self._forms)()[:MAX_VECTOR_BYTES]

    def word(self) -> bytes:
        """A word of the dictionary, or a number of it as bytes; else a number of no meaning."""
        return self._pick(self._words) if self._words and self._random() < 0.6 else self.integer()

    def integer(self) -> bytes:
        """A number of one to eight bytes, in either order: mostly one that the code compares with, in as few
        bytes as hold it or in more."""
        width = self._pick(_WIDTHS)
        kind = self._random()
        if self._numbers and kind < 0.7:
            number, least = self._pick(self._numbers)
            width = max(width, least) if kind < 0.2 else least
        elif kind < 0.8:
            number = int(self._random() * 9)
        else:
            number = self._rng.getrandbits(8 * width) if kind < 0.9 else 1 << int(self._random() * 8 * width)
        return _packed(number, width, self._random() < 0.5)

    def filler(self) -> bytes:
        """Bytes without meaning: letters, one byte repeated, or random."""
        size = self._pick(_SIZES)
        kind = self._random()
        if kind < 0.1:
            return self._rng.randbytes(1) * size
        data = self._rng.randbytes(size)
        return data.translate(_LETTERS) if kind < 0.6 else data

    def _byte(self) -> bytes:
        """What a format has for an opcode, a type or a version."""
        kind = self._random()
        if self._bytes and kind < 0.6:
            return self._pick(self._bytes)
        return _packed(int(self._random() * (9 if kind < 0.85 else 256)), 1, False)

    def _bytes_before(self, most: int) -> bytes:
        return b"".join([self._byte() for _ in range(int(self._random() * (most + 1)))])

    def _headed(self) -> bytes:
        """A word, maybe a few bytes, and what follows."""
        return self.word() + self._bytes_before(3) + self._pick(self._tails)()

    def _records(self, depth: int = 0) -> bytes:
        """One to three records of one form: a header, the length of a body, the body."""
        random = self._random
        count = 1 if random() < 0.6 else 2 + int(random() * 2)
        width, big = self._pick(_LENGTH_WIDTHS), random() < 0.5
        before, between = int(random() * 4), int(random() * 1.3)
        made: list[bytes] = []
        for _ in range(count):
            nested = depth < _DEPTH and random() < 0.2
            body = self._records(depth + 1) if nested else self._body()
            size = len(body) + (self._pick(_SKEWS) if random() < 0.15 else 0)
            made += [self._byte() for _ in range(before)]
            made += [_packed(size, width, big), bytes(between), body]
        return b"".join(made)

    def _body(self) -> bytes:
        kind = self._random()
        if kind < 0.6:
            return self.filler()
        return (self._byte() if kind < 0.8 else self.word()) + self.filler()

    def _lines(self) -> bytes:
        """Lines of words, as text protocols have them; two times in three with an empty one at the end."""
        end = self._pick(self._line_ends)
        kind = self._random()
        lines = [self._line() for _ in range(1 if kind < 0.6 else 2 + int(self._random() * 3))]
        tail = self._random()
        if tail < 0.67:
            lines.append(b"")
        return end.join(lines) + end + (self.filler() if tail < 0.2 else b"")

    def _line(self) -> bytes:
        count = 1 + int(self._random() * 4)
        return self._pick(_SEPARATORS).join([self._text() for _ in range(count)])

    def _text(self) -> bytes:
        """A word of text, maybe with a digit after it; a name, a path or a number."""
        kind = self._random()
        if self._texts and kind < 0.5:
            word = self._pick(self._texts)
            return word + _DIGITS[int(self._random() * 10)] if kind < 0.15 else word
        if kind < 0.85:
            letters = self._rng.randbytes(self._pick(_NAME_SIZES)).translate(_LETTERS)
            return letters.upper() if kind < 0.7 else b"/" + letters
        return str(self._rng.getrandbits(self._pick(_NUMBER_BITS))).encode()

    def _mixed(self) -> bytes:
        """Words, numbers and filler in any order."""
        return b"".join([self._pick(self._parts)() for _ in range(1 + int(self._random() * 5))])


def _bytes_of(number: int) -> int:
    """The fewest bytes, one, two, four or eight, that hold a number, signed or not."""
    size = (number if number >= 0 else ~number << 1).bit_length()
    return next((w for w in (1, 2, 4) if size <= 8 * w), 8)


def _packed(number: int, width: int, big_endian: bool) -> bytes:
    return (number % (1 << 8 * width)).to_bytes(width, "big" if big_endian else "little")
