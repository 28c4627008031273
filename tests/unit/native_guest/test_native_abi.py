"""hlfuzz_guest.h: its numbers are the host's, its tables are the source's, wrong types do not compile."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from native_build import TOOLCHAINS, Toolchain

from hlfuzz.guest import native_include

pytestmark = pytest.mark.programs("gcc", "g++")

ROOT = Path(__file__).resolve().parents[3]
LAYOUT = ROOT / "crates" / "abi" / "tests" / "layout.txt"
C = Toolchain("gcc", "c", "-O0")
BEGIN = '#define HLFUZZ_GUEST_IMPLEMENTATION\n#include "hlfuzz_guest.h"\n'

# Name in the header: what the number is made of, in the ABI's own list.
NUMBERS = {
    "HLG_MAILBOX": ("map :: MAILBOX",),
    "HLG_DOORBELL": ("map :: DOORBELL",),
    "HLG_BOOT_HEAP": ("map :: BOOT", "Boot.heap"),
    "HLG_BOOT_HEAP_LEN": ("map :: BOOT", "Boot.heap_len"),
    "HLG_VALUE_BYTES": ("size of Value",),
    "HLG_REQUEST": ("Mailbox.to_guest", "ToGuest.word"),
    "HLG_REQUEST_INDEX": ("Mailbox.to_guest", "ToGuest.index"),
    "HLG_REQUEST_N": ("Mailbox.to_guest", "ToGuest.n"),
    "HLG_REQUEST_VALUES": ("Mailbox.to_guest", "ToGuest.values"),
    "HLG_ANSWER": ("Mailbox.from_guest", "FromGuest.word"),
    "HLG_ANSWER_AUX": ("Mailbox.from_guest", "FromGuest.aux"),
    "HLG_ANSWER_N": ("Mailbox.from_guest", "FromGuest.n"),
    "HLG_ANSWER_POSTED": ("Mailbox.from_guest", "FromGuest.posted"),
    "HLG_ANSWER_MEMORY": ("Mailbox.from_guest", "FromGuest.memory"),
    "HLG_ANSWER_MEMORY_LEN": ("Mailbox.from_guest", "FromGuest.memory_len"),
    "HLG_ANSWER_VALUES": ("Mailbox.from_guest", "FromGuest.values"),
    "HLG_TRANSPORT": ("Mailbox.control", "Control.transport"),
    "HLG_IDLE_TICKS": ("Mailbox.control", "Control.idle_ticks"),
    "HLG_TEXT_LEN": ("Mailbox.text", "Text.len"),
    "HLG_TEXT_DATA": ("Mailbox.text", "Text.bytes"),
    "HLG_TEXT_BYTES": ("TEXT_BYTES",),
    "HLG_VECTOR_ALLOC": ("Mailbox.vector", "VectorHead.alloc"),
    "HLG_VECTOR_N_ALLOC": ("Mailbox.vector", "VectorHead.n_alloc"),
    "HLG_VECTOR_AT": ("Mailbox.vector", "VectorHead.at"),
    "HLG_VECTOR_LEN": ("Mailbox.vector", "VectorHead.len"),
    "HLG_VECTOR_SCRATCH": ("Mailbox.vector", "VectorHead.scratch"),
    "HLG_VECTOR_ALLOC_ARGS": ("Mailbox.vector", "VectorHead.alloc_args"),
    "HLG_VECTOR_DATA": ("Mailbox.vector", "VectorArea.data"),
    "HLG_VECTOR_BYTES": ("VECTOR_BYTES",),
    "HLG_VECTOR_MAX_ALLOC_ARGS": ("VECTOR_ALLOC_ARGS",),
    "(uint32_t)HLG_NO_ALLOCATOR": ("NO_ALLOCATOR",),
    "HLG_OP_CALL": ("op :: CALL",),
    "HLG_OP_RESUME": ("op :: RESUME",),
    "HLG_OP_FAIL": ("op :: FAIL",),
    "HLG_OP_MEMORY": ("op :: MEMORY",),
    "HLG_OP_NOP": ("op :: NOP",),
    "HLG_OP_BYTES": ("op :: BYTES",),
    "HLG_DONE": ("answer :: DONE",),
    "HLG_HOSTCALL": ("answer :: HOSTCALL",),
    "HLG_HOST_FAILED": ("answer :: HOST_FAILED",),
    "HLG_REFUSED": ("answer :: REFUSED",),
    "HLG_FATAL": ("answer :: FATAL",),
    "HLG_NO_ROOM": ("answer :: NO_ROOM",),
    "HLG_BELL_ANSWER": ("bell :: ANSWER",),
    "HLG_BELL_IDLE": ("bell :: IDLE",),
    "HLG_BELL_FATAL": ("bell :: FATAL",),
    "HLG_TRANSPORT_EXIT": ("transport :: EXIT",),
}
OWN = {"HLG_QUICK_LOOKS", "HLG_PARAMETERS"}
"""Numbers of the header that the host does not know."""

GUEST = (
    BEGIN
    + """
HLG_ALLOCATOR;
HLG_IMPORT("env", "log", void, env_log, const char *, uint32_t);
HLG_IMPORT("env.more", "mix", double, env_mix, int64_t, float, double, uint64_t);
HLG_IMPORT("env", "bytes", hl_result, env_bytes);
static int32_t add(uint32_t a, int32_t b) { return (int32_t)a + b; }
HLG_EXPORT(int32_t, add, uint32_t, int32_t);
static hl_result echo(const uint8_t *data, uint32_t len) { return hl_returned(data, len); }
HLG_EXPORT(hl_result, echo, const uint8_t *, uint32_t);
static void nothing(void) { env_log("", 0); }
HLG_EXPORT(void, nothing);
HLG_EXPORT_AS("another name \\xe2\\x98\\x83", void, nothing);
static double most(double f0, double f1, float f2, double f3, double f4, double f5, double f6, double f7,
                   int32_t a, long long b, unsigned long c, void *d, uint32_t e, int32_t f) {
    double sum = f0 + f1 + (double)f2 + f3 + f4 + f5 + f6 + f7 + a + (double)b + (double)c + e + f;
    return (d ? 1 : 0) + sum + env_mix(1, 1, 1, 1) + env_bytes().len;
}
HLG_EXPORT(double, most, double, double, float, double, double, double, double, double, int32_t, long long,
           unsigned long, void *, uint32_t, int32_t);
"""
)


def layout() -> dict[str, int]:
    pairs = (line.rsplit(" ", 1) for line in LAYOUT.read_text().splitlines())
    return {name: int(value, 16) for name, value in pairs}


def test_every_number_of_the_header_is_the_hosts(tmp_path: Path) -> None:
    known = layout()
    text = (native_include() / "hlfuzz_guest.h").read_text()
    numbers = text[text.index("HLG_BOOT_HEAP =") : text.index("static inline volatile uint32_t *hlg_word")]
    named = set(re.findall(r"(HLG_\w+) =|#define (HLG_\w+)", numbers))
    assert {a or b for a, b in named} - OWN == {re.sub(r"\(\w+\)", "", name) for name in NUMBERS}
    checks = [
        f'_Static_assert({name} == UINT64_C({sum(known[part] for part in parts)}), "{name}");'
        for name, parts in NUMBERS.items()
    ]
    C.build(BEGIN + "\n".join(checks), tmp_path)


def test_generated_code_and_the_header_have_one_text_for_what_they_share() -> None:
    def shared(text: str) -> str:
        return text[text.index("#ifndef HL_NATIVE_ABI") : text.index("#endif\n#ifndef HL_RETURNED")]

    generated = (ROOT / "hlfuzz" / "generate" / "c" / "runtime" / "hl.h").read_text()
    assert shared(generated.replace("#endif\n#endif\n\n#ifndef", "#endif\n#ifndef")) == shared(
        (native_include() / "hlfuzz_guest.h").read_text()
    )


class Tables:
    """Exports and imports of an ELF file, read as the note says; no more than these tests need."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        offset, count = struct.unpack_from("<Q", self.data, 32)[0], struct.unpack_from("<H", self.data, 56)[0]
        headers = [struct.unpack_from("<IIQQQQQQ", self.data, offset + 56 * i) for i in range(count)]
        self.loads = [h for h in headers if h[0] == 1]
        self.flags = {h[1] & 7 for h in self.loads}
        note = next(h for h in headers if h[0] == 4)
        head = struct.pack("<III", 7, 40, 2) + b"hlfuzz\0\0"
        at = self.data.index(head, note[2], note[2] + note[5]) + len(head)
        version, zero, *places = struct.unpack_from("<IIQQQQ", self.data, at)
        assert (version, zero) == (1, 0)
        self.exports = {self.text(n): (self.text(t), d) for n, t, d in self.entries(*places[:2])}
        self.imports = {(self.text(d), self.text(n)): self.text(t) for n, t, d in self.entries(*places[2:])}

    def offset(self, address: int) -> int:
        load = next(h for h in self.loads if h[3] <= address < h[3] + h[5])
        return load[2] + address - load[3]

    def entries(self, start: int, end: int) -> list[tuple[int, int, int]]:
        assert (end - start) % 32 == 0
        rows = [struct.unpack_from("<QQQQ", self.data, self.offset(at)) for at in range(start, end, 32)]
        assert all(row[3] == 0 for row in rows)
        return [row[:3] for row in rows]

    def text(self, address: int) -> str:
        at = self.offset(address)
        return self.data[at : self.data.index(b"\0", at)].decode()

    def executable(self, address: int) -> bool:
        return any(h[1] & 1 and h[3] <= address < h[3] + h[5] for h in self.loads)


@pytest.mark.parametrize("toolchain", TOOLCHAINS, ids=str)
def test_the_tables_say_what_the_source_says(toolchain: Toolchain, tmp_path: Path) -> None:
    found = Tables(toolchain.build(GUEST, tmp_path))
    assert {name: type_ for name, (type_, _) in found.exports.items()} == {
        "hlfuzz_alloc": "i:p",
        "add": "ii:i",
        "echo": "pi:r",
        "nothing": ":",
        "another name ☃": ":",
        "most": "FFfFFFFFiIIpii:F",
    }
    assert all(found.executable(function) for _, function in found.exports.values())
    assert found.imports == {
        ("env", "log"): "pi:",
        ("env.more", "mix"): "IfFI:F",
        ("env", "bytes"): ":r",
    }
    # Nothing is writable and executable, and data cannot be run.
    assert found.flags <= {4, 5, 6}


@pytest.mark.parametrize("toolchain", [t for t in TOOLCHAINS if t.level == "-O2"], ids=str)
def test_a_guest_without_tables_links(toolchain: Toolchain, tmp_path: Path) -> None:
    found = Tables(toolchain.build(BEGIN, tmp_path))
    assert (found.exports, found.imports) == ({}, {})


def test_the_implementation_may_be_a_file_of_its_own(tmp_path: Path) -> None:
    text = '#include "hlfuzz_guest.h"\nstatic void f(void) {}\nHLG_EXPORT(void, f);\n'
    made = C.build(text, tmp_path, str(native_include() / "hlfuzz_guest.c"))
    assert list(Tables(made).exports) == ["f"]


def test_exports_survive_a_linker_that_collects_what_is_not_used(tmp_path: Path) -> None:
    for toolchain in (t for t in TOOLCHAINS if t.level == "-O2"):
        # It is the default of zig's linker.
        collect = ("-Wl,-z,start-stop-gc",) if toolchain.name == "gcc" else ()
        made = toolchain.build(GUEST, tmp_path, "-Wl,--gc-sections", *collect)
        assert len(Tables(made).exports) == 6


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("static int32_t f(void) { return 0; } HLG_EXPORT(int64_t, f);", "another type"),
        ("static void f(int32_t a) { (void)a; } HLG_EXPORT(void, f);", "another type"),
        ("static void f(int32_t a) { (void)a; } HLG_EXPORT(void, f, float);", "another type"),
        ("static void f(uint8_t a) { (void)a; } HLG_EXPORT(void, f, uint8_t);", "parameters are"),
        ("static uint16_t f(void) { return 1; } HLG_EXPORT(uint16_t, f);", "parameters are"),
        ("static void f(hl_result a) { (void)a; } HLG_EXPORT(void, f, hl_result);", "parameters are"),
        (
            "typedef struct two { int32_t a, b; } two; static two f(void) { two t = {1, 2}; return t; } "
            "HLG_EXPORT(two, f);",
            "parameters are",
        ),
        ('HLG_IMPORT("m", "f", void, f, signed char);', "parameters are"),
        (
            'HLG_IMPORT("m", "f", void, f, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t);',
            "at most 6",
        ),
    ],
)
@pytest.mark.parametrize("language", ["c", "c++"])
def test_what_cannot_be_called_does_not_compile(line: str, why: str, language: str, tmp_path: Path) -> None:
    source = tmp_path / f"wrong.{'c' if language == 'c' else 'cpp'}"
    source.write_text(f'#include "hlfuzz_guest.h"\n{line}\n')
    done = Toolchain("gcc", language, "-O0").run("-c", "-o", str(tmp_path / "wrong.o"), str(source))
    assert done.returncode != 0
    assert why in done.stderr
