"""Generated C and C++ compile without a warning, to Wasm and freestanding, whatever a schema holds."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from needs import missing, program

from hlfuzz.bindings.handshake import section_text
from hlfuzz.generate import c, cpp
from hlfuzz.generate.naming import stem
from hlfuzz.schema.diagnostics import SchemaError
from hlfuzz.schema.fbs import parse_text
from hlfuzz.schema.ir import Schema
from hlfuzz.schema.load import load
from hlfuzz.schema.raw import parse_text as parse_raw

pytestmark = pytest.mark.programs("gcc", "g++", "objcopy")

ROOT = Path(__file__).resolve().parents[3]
FILES = [
    *sorted((Path(__file__).parent / "schemas").iterdir()),
    *sorted((ROOT / "schemas").iterdir()),
]
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-pedantic")
GCC = ("-O1", "-ffreestanding", "-nostdlib", "-mno-red-zone", *WARNINGS)
ZIG = ("--target=wasm32-freestanding", "-nostdlib", "-fno-builtin", "-O1", *WARNINGS)
C = ("-std=c11", "-Wsign-conversion")
CPP = ("-std=c++17", "-fno-exceptions", "-fno-rtti")
RAW = """
version = 1
[guest.on_data]
params = ["data: bytes", "int: u32", "data_len: u8"]
result = "bytes"
form = "packed"
doc = "Ends */ int injected; /* here"
[guest."odd name\\\\\\"*/"]
params = ["o: out bytes(4096)", "f: f64", "s: cstring"]
result = "i32"
[guest.printf]
params = ["data: bytes"]
result = "bytes"
form = "inplace"
[host."env.log-it"]
params = ["hl_call: cstring", "NULL: i64"]
"""


def write(schema: Schema, folder: Path) -> tuple[Path, Path]:
    """The generated files: the C source, and a C++ one that includes the C++ header."""
    for name, text in (c.generate(schema) | cpp.generate(schema)).items():
        (folder / name).write_text(text)
    use = folder / "use.cpp"
    use.write_text(f'#include "{stem(schema)}_hl.hpp"\n')
    return folder / f"{stem(schema)}_hl.c", use


def compiles(command: list[str], source: Path) -> None:
    done = subprocess.run(
        [*command, "-c", str(source), "-o", str(source.with_suffix(".o"))], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[:4000]
    assert done.stderr == ""


def compiles_natively(schema: Schema, folder: Path) -> None:
    source, use = write(schema, folder)
    compiles([program("gcc"), *C, *GCC], source)
    compiles([program("g++"), *CPP, *GCC], use)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_it_compiles_freestanding(file: Path, tmp_path: Path) -> None:
    compiles_natively(load(file), tmp_path)


@pytest.mark.parametrize("name", ["hostile.fbs", "old.proto", "filter.toml"])
def test_it_compiles_to_wasm(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("ziglang") is None:
        missing("the Wasm compiler is PyPI's ziglang: pip install ziglang")
    source, use = write(load(next(f for f in FILES if f.name == name)), tmp_path)
    compiles([sys.executable, "-m", "ziglang", "cc", *C, *ZIG], source)
    compiles([sys.executable, "-m", "ziglang", "c++", *CPP, *ZIG], use)


@pytest.mark.parametrize(
    "text",
    [
        "table Empty {}",
        "table A { b:B; } union C { A, B } table B { a:A; c:[C]; }",
        "table Big {"
        + "".join(f" field_{i}:{('int', 'string', 'Big', '[Big]')[i % 4]};" for i in range(300))
        + "}",
        "struct A { x:int; } struct B { a:[A:4]; } table T { b:B; } root_type T;",
        "enum E : ubyte { A } table errno { x:E; }",
    ],
    ids=["empty", "recursive", "300 fields", "nested structs", "libc names"],
)
def test_it_compiles_for(text: str, tmp_path: Path) -> None:
    compiles_natively(parse_text(text, name="main"), tmp_path)


def test_raw_interfaces_of_any_names_compile(tmp_path: Path) -> None:
    schema = parse_raw(RAW, name="raw.toml")
    compiles_natively(schema, tmp_path)
    header = (tmp_path / "raw_hl.h").read_text()
    assert "int32_t odd_name____(uint8_t *o, uint32_t o_capacity, double f, const char *s)" in header
    assert (
        "hl_result on_data(const uint8_t *data, uint32_t data_len_, uint32_t int_, uint8_t data_len)"
        in header
    )


def test_a_raw_guest_at_a_scratch_address_has_no_allocator() -> None:
    text = 'version = 1\nallocator = 4096\n[guest.f]\nparams = ["data: bytes"]\n'
    source = c.generate(parse_raw(text, name="raw.toml"))["raw_hl.c"]
    assert "hlfuzz_alloc" not in source
    assert "hlfuzz.v1" in source


def test_a_raw_allocator_has_the_name_that_the_interface_gives() -> None:
    text = 'version = 1\nallocator = "take"\n[guest.f]\nparams = ["data: bytes"]\n'
    assert '#define HL_ALLOCATOR "take"' in c.generate(parse_raw(text, name="raw.toml"))["raw_hl.c"]


def test_a_function_with_the_symbol_of_the_allocator_is_refused() -> None:
    text = 'version = 1\n[guest.hlfuzz_alloc]\nparams = ["size: u32"]\nresult = "u32"\n'
    with pytest.raises(SchemaError, match="allocator"):
        c.generate(parse_raw(text, name="raw.toml"))


def test_two_methods_of_one_symbol_are_refused() -> None:
    text = """
    namespace a; table T {} rpc_service b_Guest { c(T):T; }
    namespace a.b; rpc_service Guest { c(a.T):a.T; }
    """
    with pytest.raises(SchemaError, match=r"a\.b\.Guest\.c has the symbol of the method 'c'"):
        c.generate(parse_text(text, name="main"))


def test_it_is_the_same_each_time() -> None:
    for file in FILES:
        assert c.generate(load(file)) == c.generate(load(file))
        assert cpp.generate(load(file)) == cpp.generate(load(file))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_a_native_object_carries_the_handshake_as_a_note(file: Path, tmp_path: Path) -> None:
    schema = load(file)
    source, _ = write(schema, tmp_path)
    compiles([program("gcc"), *C, *GCC], source)
    note = tmp_path / "note"
    subprocess.run(
        [
            program("objcopy"),
            "-O",
            "binary",
            "--only-section=.note.hlfuzz",
            str(source.with_suffix(".o")),
            str(note),
        ],
        check=True,
    )
    text = section_text(schema).encode()
    data = note.read_bytes()
    head = b"".join(n.to_bytes(4, "little") for n in (7, len(text), 1)) + b"hlfuzz\0\0"
    assert data == head + text + bytes(-len(text) % 4)
