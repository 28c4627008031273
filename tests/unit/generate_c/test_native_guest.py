"""A native guest: the source that is Wasm elsewhere, its exports called, its host functions answered."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path
from typing import Any

import needs
import pytest

from hlfuzz.bindings.interface import Interface
from hlfuzz.bindings.records import error_record
from hlfuzz.generate.c import generate

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = ROOT / "schemas" / "filter.fbs"
MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "filter_hl.h"
void *hlfuzz_alloc(uint32_t len);
extern hl_result export_of(const uint8_t *data, uint32_t len)
    __asm__("net_FilterGuest_on_new_connection_export");
static uint8_t memory[4096], *answer;
static uint32_t answer_len;

/* As the host does: asked for on the way back, so in the middle of a call. */
void hl_host_call(const hl_entry *import, uint64_t *values, uint32_t count) {
    if (strcmp(import->type, "pi:r") || count != 2) exit(5);
    fprintf(stderr, "%s.%s %u\\n", (const char *)import->detail, import->name, (unsigned)values[1]);
    uint8_t *to = hlfuzz_alloc(answer_len);
    values[0] = (uintptr_t)to;
    values[1] = to ? answer_len : 0;
    if (to) memcpy(to, answer, answer_len);
}

static uint8_t *take(uint32_t *len, bool from_guest) {
    if (fread(len, 4, 1, stdin) != 1) exit(0);
    uint8_t *made = from_guest ? hlfuzz_alloc(*len) : malloc(*len);
    if (!made || ((size_t)made & 15)) exit(3);
    if (fread(made, 1, *len, stdin) != *len) exit(4);
    return made;
}

int main(void) {
    hl_guest_memory(memory + 1, sizeof memory - 1);
    for (;;) {
        uint32_t len;
        answer = take(&answer_len, false);
        uint8_t *request = take(&len, true);
        hl_result result = export_of(request, len);
        fwrite(&result.len, 4, 1, stdout);
        fwrite(result.data, 1, result.len, stdout);
        free(answer);
    }
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("native-guest")
    interface = Interface.load(SCHEMA)
    for name, text in generate(interface.schema).items():
        (folder / name).write_text(text)
    (folder / "main.c").write_text(MAIN)
    made = folder / "guest"
    guest = ROOT / "examples" / "typed-filter" / "filter.c"
    sources = [str(folder / "main.c"), str(folder / "filter_hl.c"), str(guest)]
    flags = ["-std=gnu11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    done = subprocess.run(
        [needs.program("gcc"), *flags, "-I", str(folder), "-o", str(made), *sources],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return made


def run(program: Path, calls: list[tuple[bytes, bytes]]) -> tuple[list[bytes], list[str]]:
    """The records of calls, each given as the host function's answer and the request; and what was asked."""
    stream = b"".join(struct.pack("<I", len(p)) + p for call in calls for p in call)
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run([str(program)], input=stream, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    records: list[bytes] = []
    at = 0
    while at < len(done.stdout):
        size = struct.unpack_from("<I", done.stdout, at)[0]
        records.append(done.stdout[at + 4 : at + 4 + size])
        at += 4 + size
    return records, [line.split()[0] for line in done.stderr.decode().splitlines()]


def test_a_native_guest_answers_calls_and_asks_its_host(program: Path) -> None:
    interface = Interface.load(SCHEMA)
    t, codec = interface.classes.definitions, interface.codec

    def request(host: str) -> bytes:
        value: Any = t["net.Connection"](id=1, peer=t["net.Address"](host=host))
        return codec.encode("net.Connection", value)

    setting = bytes(8) + codec.encode("net.Setting", t["net.Setting"](value="evil"))
    records, asked = run(
        program,
        [
            (setting, request("good")),
            (setting, request("evil")),
            (error_record(77, "not today"), request("good")),
            (setting, b"\x10" * 40),
            *[(setting, request("good"))] * 100,
        ],
    )
    accepted = [codec.decode("net.Accepted", r[8:]) for r in (*records[:2], *records[4:])]
    assert [a.verdict.name for a in accepted[:2]] == ["FORWARD", "REFUSE"]
    assert records[2] == error_record(77, "not today")
    assert records[3] == error_record(2, "net.Connection: offset out of bounds (byte 0)")
    # The memory of 4 KiB would not do for a hundred calls if they did not give it back.
    assert all(a.verdict.name == "FORWARD" for a in accepted[2:])
    assert asked[:3] == ["net.FilterHost.lookup", "net.FilterHost.lookup", "net.FilterHost.log"]


def test_an_answer_that_is_no_record_is_an_error_of_the_call(program: Path) -> None:
    interface = Interface.load(SCHEMA)
    t = interface.classes.definitions
    data = interface.codec.encode("net.Connection", t["net.Connection"](peer=t["net.Address"](host="h")))
    records, _ = run(program, [(b"short", data), (b"", data), (bytes(8) + b"\xff" * 16, data)])
    assert [struct.unpack_from("<I", r)[0] for r in records] == [2, 2, 2]
    assert records[0][8:] == b"the host function's answer is no response record"


def test_too_little_memory_for_a_call_is_an_error_without_text(program: Path) -> None:
    interface = Interface.load(SCHEMA)
    t = interface.classes.definitions
    found: set[bytes] = set()
    for size in range(3900, 4000, 4):
        # The request leaves room for itself, and hardly any for what becomes of it.
        peer = t["net.Address"](host="h" * size)
        data = interface.codec.encode("net.Connection", t["net.Connection"](peer=peer))
        records, asked = run(program, [(b"", data)])
        if not asked:
            found.add(records[0])
    assert found == {struct.pack("<II", 4, 0)}
