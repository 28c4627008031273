"""The native guests of these tests, built by each compiler that is here."""

from __future__ import annotations

import sys
import tempfile
from functools import cache
from pathlib import Path

from native_build import Toolchain
from needs import missing

from hlfuzz import Guest
from hlfuzz.guest import native_include

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "examples"))
SEPARATE = str(native_include() / "hlfuzz_guest.c")
COMPILERS = ("gcc", "zig")
FEW = ("native_filter", "native_filter_cpp", "filter_fbs")
"""Examples that the second compiler builds, too."""


_FOLDER = tempfile.TemporaryDirectory(prefix="hlfuzz-native-")


@cache
def built(source: str, compiler: str = "gcc", *more: str) -> Guest:
    """The guest of a file beside this one; compiled once."""
    text = (HERE / source).read_text()
    name = f"{Path(source).stem}_{compiler}"
    made = Toolchain(compiler, "c", "-O2").build(text, Path(_FOLDER.name), *more, name=name)
    return Guest.from_elf(made)


def probe(compiler: str = "gcc") -> Guest:
    """The guest that does what it is asked."""
    return built("native_probe.c", compiler, SEPARATE)


@cache
def examples(compiler: str) -> dict[str, Path]:
    """The guests of examples/native-filter."""
    from build import build, native_compilers

    if compiler not in native_compilers():
        missing(f"no {compiler} for C and C++ here")
    return build("native-filter", compiler=compiler, only=None if compiler == "gcc" else FEW)
