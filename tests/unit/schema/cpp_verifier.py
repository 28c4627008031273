"""The oracle: flatc's C++ and `flatbuffers::Verifier` 25.12, as one program that reads buffers in bulk.

The headers come from the crate `flatc-fork`, which carries the C++ sources; flatc from the package zlmdb.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from flatc import run
from third_party import Package, cache_folder, files_of
from wire_schemas import SCHEMAS, text_of

HEADERS = Package(
    "crates",
    "flatc-fork",
    "0.6.0+25.12.19-2026-02-06-03fffb2",
    "f995c44278ee64981366ec17e6847f0756184a92ad0d3a1b6f7170f91e1eb129",
)
_MAIN = """
#include <cstdio>
#include <cstdlib>
#include <cstring>
{includes}
// In: schema number and length, each 32 bits, then the bytes. Out: '1' or '0' for each.
int main() {{
  uint32_t head[2];
  while (fread(head, 4, 2, stdin) == 2) {{
    // A block of its own, so that the verifier cannot read on into another buffer.
    uint8_t *data = static_cast<uint8_t *>(aligned_alloc(32, (head[1] + 32) / 32 * 32));
    if (!data || fread(data, 1, head[1], stdin) != head[1]) return 2;
    flatbuffers::Verifier verifier(data, head[1]);
    bool good = false;
    switch (head[0]) {{
{cases}
    }}
    putchar(good ? '1' : '0');
    free(data);
  }}
  return 0;
}}
"""


class CppVerifier:
    """Verdicts of the C++ verifier on buffers of `SCHEMAS`."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def verdicts(self, name: str, buffers: Iterable[bytes]) -> list[bool]:
        """Whether C++ accepts each buffer."""
        index = list(SCHEMAS).index(name)
        data = b"".join(struct.pack("<II", index, len(b)) + b for b in buffers)
        done = subprocess.run([self._program], input=data, capture_output=True, check=True, timeout=500)
        return [c == ord("1") for c in done.stdout]


def cpp_verifier() -> CppVerifier:
    """Built once per version of its sources. Without a compiler tests are skipped, in CI they fail."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        message = "no C++ compiler here: install g++"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    include = next(files_of(HEADERS, (".h",)).glob("*/flatbuffers/include"))
    main = _MAIN.format(
        includes="\n".join(f'#include "{name}_generated.h"' for name in SCHEMAS),
        cases="\n".join(
            f"      case {i}: good = {name}::VerifyRootBuffer(verifier); break;"
            for i, name in enumerate(SCHEMAS)
        ),
    )
    digest = hashlib.sha256("\0".join([main, HEADERS.sha256, *map(text_of, SCHEMAS)]).encode()).hexdigest()
    program = cache_folder() / f"cpp-verifier-{digest[:16]}"
    if not program.exists():
        with tempfile.TemporaryDirectory(dir=cache_folder()) as scratch:
            folder = Path(scratch)
            for name in SCHEMAS:
                folder.joinpath(f"{name}.fbs").write_text(text_of(name), encoding="utf-8")
                accepted, output = run("--cpp", "-o", folder, folder / f"{name}.fbs")
                assert accepted, output
            folder.joinpath("main.cpp").write_text(main, encoding="utf-8")
            command = [compiler, "-std=c++17", "-O1", f"-I{include}", f"-I{folder}", "-o", folder / "program"]
            subprocess.run([*command, folder / "main.cpp"], check=True, timeout=500)
            folder.joinpath("program").rename(program)
    return CppVerifier(program)
