"""Raw interfaces of every number type: a native guest and a Wasm one give, and are given, the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from native_build import Toolchain
from native_guests import COMPILERS

from hlfuzz import Guest, HostFunction, Sandbox
from hlfuzz.generate import c
from hlfuzz.guest import native_include
from hlfuzz.schema.raw import parse_text

TYPES = ("bool", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64")
C_TYPES = {"bool": "bool", "f32": "float", "f64": "double"} | {
    t: f"{'u' if t[0] == 'u' else ''}int{t[1:]}_t" for t in TYPES if t[0] in "iu"
}
SCHEMA = "version = 1\n" + "".join(
    f'[guest.give_{t}]\nparams = ["a: {t}", "b: {t}"]\nresult = "{t}"\n'
    f'[host."env.take_{t}"]\nparams = ["a: {t}"]\nresult = "{t}"\n'
    for t in TYPES
)
GUEST = '#include "raw_hl.h"\n' + "".join(
    f"{ct} give_{t}({ct} a, {ct} b) {{ {ct} c = env_take_{t}(a); "
    f"return ({ct})({'c || b' if t == 'bool' else 'c + b'}); }}\n"
    for t, ct in C_TYPES.items()
)
"""Narrow numbers wrap round at their own width."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("raw")
    for name, text in c.generate(parse_text(SCHEMA, name="raw.toml")).items():
        (made / name).write_text(text)
    (made / "guest.c").write_text(GUEST)
    return made


@pytest.fixture(scope="module")
def wasm(folder: Path) -> Guest:
    _ = Toolchain("zig", "c", "-O2").command
    command = [sys.executable, "-m", "ziglang", "cc", "--target=wasm32-freestanding", "-nostdlib", "-O2"]
    sources = ["guest.c", "raw_hl.c"]
    done = subprocess.run(
        [*command, "-Wl,--no-entry", "-o", "guest.wasm", *sources],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return Guest.from_wasm(folder / "guest.wasm")


def edges(t: str) -> list[Any]:
    """Values of a type: those at its ends, and some between."""
    if t == "bool":
        return [0, 1]
    if t[0] == "f":
        return [0.0, -1.5, 3e38 if t == "f32" else 1e300]
    bits = int(t[1:])
    return [0, 1, 100, 2**bits - 1] if t[0] == "u" else [0, -1, 100, 2 ** (bits - 1) - 1, -(2 ** (bits - 1))]


def answers(guest: Guest) -> list[Any]:
    taken: list[Any] = []

    def take(t: str) -> HostFunction:
        def one(value: Any) -> Any:
            taken.append((t, repr(value)))
            return value if t[0] == "f" else edges(t)[-1]

        return HostFunction(one)

    host = {f"env.take_{t}": take(t) for t in TYPES}
    with Sandbox(guest, host, transport="exit") as box:
        said = [
            (t, a, b, repr(box.call(f"give_{t}", a, b))) for t in TYPES for a in edges(t) for b in edges(t)
        ]
    return [said, taken]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_numbers_of_every_width_are_the_same_natively(compiler: str, folder: Path, wasm: Guest) -> None:
    objects = [str(native_include() / "hlfuzz_guest.c"), str(folder / "raw_hl.c"), "-I", str(folder)]
    built = Toolchain(compiler, "c", "-O2").build(GUEST, folder, *objects, name=f"native_{compiler}")
    native, expected = answers(Guest.from_elf(built)), answers(wasm)
    assert native == expected
    assert ("u8", 0, 100, "99") in expected[0], "255 + 100, in 8 bits"
    assert ("i16", 0, -1, "32767") in expected[0], "-32768 - 1, in 16 bits"
    assert ("i8", "-128") in expected[1]
