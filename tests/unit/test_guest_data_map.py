"""Which memory and data segment an offset belongs to, by a module's own sections."""

from __future__ import annotations

import contextlib
import random

import wasmtime

from hlfuzz.errors import HlfuzzError
from hlfuzz.guest.data_map import DataMap
from hlfuzz.guest.sections import custom_section, section, with_custom_section


def data_map(text: str) -> DataMap:
    return DataMap(bytes(wasmtime.wat2wasm(text)))


def test_an_offset_is_told_by_memory_and_segment() -> None:
    found = data_map("""(module (memory (export "heap") 1) (memory 1)
        (data $text (i32.const 16) "0123456789") (data "passive") (data (memory 1) (i32.const 100) "abc"))""")
    assert found.describe(0, 16) == "memory 'heap' +0x10, data segment 'text' +0x0"
    assert found.describe(0, 25) == "memory 'heap' +0x19, data segment 'text' +0x9"
    assert found.describe(0, 26) == "memory 'heap' +0x1a"
    assert found.describe(0, 15) == "memory 'heap' +0xf"
    assert found.describe(1, 102) == "memory 1 +0x66, data segment 2 +0x2"
    assert found.describe(7, 0) == "memory 7 +0x0"


def test_of_segments_that_overlap_one_that_covers_the_offset_is_named() -> None:
    found = data_map("""(module (memory 1) (data (i32.const 0) "0123456789") (data (i32.const 4) "ab"))""")
    assert found.describe(0, 5) == "memory 0 +0x5, data segment 1 +0x1"
    assert found.describe(0, 8) == "memory 0 +0x8, data segment 0 +0x8"


def test_high_addresses_are_not_negative() -> None:
    found = data_map('(module (memory 65536) (data (i32.const 0xfffffff0) "end") (memory i64 1)'
                     ' (data (memory 1) (i64.const 3) "x"))')  # fmt: skip
    assert found.describe(0, 0xFFFFFFF1) == "memory 0 +0xfffffff1, data segment 0 +0x1"
    assert found.describe(1, 3) == "memory 1 +0x3, data segment 1 +0x0"


def test_a_segment_whose_place_the_module_computes_is_in_no_place() -> None:
    found = data_map("""(module (import "env" "base" (global $base i32)) (memory 1)
        (data (global.get $base) "moved") (data (i32.const 8) "fixed"))""")
    assert found.describe(0, 9) == "memory 0 +0x9, data segment 1 +0x1"
    assert found.describe(0, 0) == "memory 0 +0x0"


def test_a_module_without_memory_has_a_map_too() -> None:
    assert data_map("(module)").describe(0, 0) == "memory 0 +0x0"


def test_damaged_names_are_left_out_and_nothing_is_raised() -> None:
    wasm = bytes(wasmtime.wat2wasm('(module (memory 1) (data $first (i32.const 0) "x"))'))
    names = custom_section(wasm, "name")
    assert names is not None
    rng = random.Random(5)
    told = set()
    for _ in range(500):
        mutant = bytearray(names)
        for _ in range(rng.randrange(1, 4)):
            mutant[rng.randrange(len(mutant))] = rng.getrandbits(8)
        told.add(
            DataMap(
                with_custom_section(wasm, "name", bytes(mutant[: rng.randrange(len(names) + 1)]))
            ).describe(0, 0)
        )
    assert "memory 0 +0x0, data segment 0 +0x0" in told
    assert "memory 0 +0x0, data segment 'first' +0x0" in told


def test_sections_are_read_as_a_validator_reads_them() -> None:
    """A module that was not validated may raise the tool's own error, and nothing else."""
    wasm = bytes(wasmtime.wat2wasm('(module (memory (export "m") 1) (data (i32.const 0) "x") (data "y"))'))
    at = wasm.index(section(wasm, 11) or b"")
    rng = random.Random(6)
    for _ in range(500):
        mutant = bytearray(wasm)
        mutant[rng.randrange(at, len(wasm))] = rng.getrandbits(8)
        with contextlib.suppress(HlfuzzError):
            DataMap(bytes(mutant)).describe(0, 0)
