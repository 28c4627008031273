"""What a guest's bytes say of the inputs it knows: words of its data, and numbers its code compares with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from hlfuzz.errors import ModuleError
from hlfuzz.guest.compared import Compared, compared_in_wasm, compared_in_x86, spread
from hlfuzz.guest.data_map import segment_contents
from hlfuzz.guest.data_words import data_words
from hlfuzz.guest.elf_segments import elf_segments
from hlfuzz.guest.sections import section

MAX_WORDS: Final = 3072
"""Words kept. With `compared.MAX_NUMBERS` there are 4096 entries, as many as AFL++ keeps of its own."""
MAX_SCANNED: Final = 2 << 20
"""Bytes of code, and of data, that are looked at: half of them from the end where there are more."""

_CODE: Final = 10
"""Section id (WebAssembly core specification, 5.5.2)."""


@dataclass(frozen=True, slots=True)
class Dictionary:
    """`words` are byte strings of 2 to 64 bytes, `numbers` what integers are compared with, signed; neither
    repeats itself. Guesses: a guest may know others, and none of these may mean anything."""

    words: tuple[bytes, ...] = ()
    numbers: tuple[int, ...] = ()


def read_dictionary(data: bytes, kind: Literal["wasm", "elf"]) -> Dictionary:
    """The dictionary of a module or native program. It takes bounded time and never fails: of what cannot be
    read there are no entries."""
    if kind == "elf":
        segments = tuple(elf_segments(data))
        code = b"".join(s.data for s in segments if s.executable)
        return _collected(compared_in_x86, code, (s.data for s in segments if not s.executable))
    try:
        return _collected(compared_in_wasm, section(data, _CODE) or b"", segment_contents(data))
    except ModuleError:
        return Dictionary()


def _collected(
    compared_in: Callable[[bytes], Compared], code: bytes, contents: Iterable[bytes]
) -> Dictionary:
    compared = compared_in(_ends(code))
    words = (*compared.words, *data_words(_ends(b"\0\0".join(contents))))
    return Dictionary(spread(words, MAX_WORDS), compared.numbers)


def _ends(data: bytes) -> bytes:
    """Linkers put a program's own code and data first or last."""
    half = MAX_SCANNED // 2
    return data if len(data) <= MAX_SCANNED else data[:half] + data[-half:]
