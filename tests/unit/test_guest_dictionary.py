"""A guest's bytes say what it compares with and which texts it holds; hostile ones cost little."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import wasmtime
from hypothesis import given
from hypothesis import strategies as st
from needs import missing

from hlfuzz.guest import Dictionary, Guest
from hlfuzz.guest.compared import MAX_NUMBERS, MAX_SPELLED
from hlfuzz.guest.dictionary import MAX_SCANNED, read_dictionary

WAT = r"""(module (memory 1)
  (data (i32.const 8) "content-length\00PING\00\89ABC\00h\00i\00 \00y\00o\00u\00\00")
  (func (export "f") (param $p i32) (result i32)
    (if (i32.eq (i32.load (local.get $p)) (i32.const 0x31464c48)) (then (return (i32.const 5551))))
    (if (i64.eq (i64.const 9000000000) (i64.load (local.get $p))) (then (return (i32.const 5552))))
    (if (i32.and (i32.eq (i32.load8_u (local.get $p)) (i32.const 72))
                 (i32.and (i32.eq (i32.load8_u offset=1 (local.get $p)) (i32.const 73))
                          (i32.eq (i32.load8_u offset=2 (local.get $p)) (i32.const 33))))
      (then (return (i32.const 5553))))
    (if (i32.lt_u (i32.add (i32.load8_u (local.get $p)) (i32.const -20)) (i32.const 4))
      (then (return (i32.const 5554))))
    (block (block (br_table 0 1 0 (i32.sub (local.get $p) (i32.const 160)))) (return (i32.const 5555)))
    (i32.const 5556)))"""

C = """static const char *volatile word = "upgrade-insecure";
int answer(unsigned a, const unsigned char *b, unsigned long long c) {
    if (a == 0x12345678u) return word[a & 7];
    if (c == 0x1122334455667788ull) return 2;
    return b[1] == 0x5a || (b[4] == 'H' && b[5] == 'L' && b[6] == 'F');
}
"""


def of(wat: str) -> Dictionary:
    return Guest.from_wasm(bytes(wasmtime.wat2wasm(wat)), name="guest").dictionary


def test_words_of_data_are_found() -> None:
    words = of(WAT).words
    assert {b"content-length", b"PING", b"\x89ABC", b"hi you", b"hi", b"you"} <= set(words)


def test_numbers_that_code_compares_with_are_found_and_others_are_not() -> None:
    numbers = of(WAT).numbers
    assert {0x31464C48, 9000000000, 20, 21, 22, 23, 24, 160, 161} <= set(numbers)
    assert not {5551, 5552, 5553, 5554, 5555, 5556, -20, 162} & set(numbers)


def test_bytes_that_are_compared_one_by_one_spell_a_word() -> None:
    assert b"HI!" in of(WAT).words
    assert not {72, 73, 33} & set(of(WAT).numbers)


def test_words_and_numbers_of_a_native_program_are_found(tmp_path: Path) -> None:
    gcc = shutil.which("gcc") or missing("gcc")
    source, program = tmp_path / "guest.c", tmp_path / "guest.elf"
    source.write_text(C)
    flags = ("-O1", "-ffreestanding", "-nostdlib", "-static", "-Wl,-e,answer")
    subprocess.run([str(gcc), *flags, source, "-o", program], check=True)
    found = read_dictionary(program.read_bytes(), "elf")
    assert {b"upgrade-insecure", b"HLF"} <= set(found.words)
    assert {0x12345678, 0x1122334455667788} <= set(found.numbers)


@given(st.binary(max_size=400), st.sampled_from(["wasm", "elf"]))
def test_any_bytes_give_a_dictionary(data: bytes, kind: str) -> None:
    for start in (b"", b"\0asm\x01\0\0\0", b"\x7fELF" + bytes(28)):
        read_dictionary(start + data, kind)  # type: ignore[arg-type]


def module(code: bytes) -> bytes:
    """A module with nothing but a code section, which need not be valid."""
    size = bytes([len(code) >> 7 * n & 0x7F | 0x80 for n in range(4)]) + bytes([len(code) >> 28])
    return b"\0asm\x01\0\0\0\x0a" + size + code


def compared(*numbers: int) -> bytes:
    """i32.const, i32.eq, for numbers that take three bytes."""
    return b"".join(bytes([0x41, n & 0x7F | 0x80, n >> 7 & 0x7F | 0x80, n >> 14, 0x46]) for n in numbers)


def test_of_a_large_module_both_ends_are_looked_at_and_no_more() -> None:
    gap = bytes(MAX_SCANNED)
    code = compared(400_001) + gap + compared(400_002) + gap + compared(400_003)
    assert read_dictionary(module(code), "wasm").numbers == (400_001, 400_003)


def test_a_hostile_module_gives_a_bounded_dictionary_from_all_over_it() -> None:
    found = read_dictionary(module(compared(*range(300_000, 400_000))), "wasm").numbers
    assert MAX_NUMBERS // 2 < len(found) <= MAX_NUMBERS
    assert found[-1] - found[0] > 50_000
    spelled = b"".join(bytes([0x41, n % 64, 0x46, 0x41, n // 64 % 64, 0x46]) + bytes(40) for n in range(4096))
    assert MAX_SPELLED // 2 < len(read_dictionary(module(spelled), "wasm").words) <= MAX_SPELLED
