"""Rows of native guests: a call with its complete reset, beside the doorbell exit."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from hlfuzz.bench.machines import booted, machine
from hlfuzz.bench.row import Row, Samples
from hlfuzz.errors import EnvironmentProblem
from hlfuzz.guest import Guest, native_include
from hlfuzz.model import ExternKind, FuncType
from hlfuzz.vmm import Module, Slots
from hlfuzz.vmm.measure import Floor, measure_call, measure_floor

GUEST: Final = """
#define HLFUZZ_GUEST_IMPLEMENTATION
#include "hlfuzz_guest.h"

static uint8_t place[4096], answer[4096];

uint8_t *where(void) { return place; }
HLG_EXPORT(uint8_t *, where);

hl_result echo(const uint8_t *data, uint32_t len) {
    for (uint32_t i = 0; i < len && i < sizeof answer; i++) answer[i] = data[i];
    return hl_returned(answer, len);
}
HLG_EXPORT(hl_result, echo, const uint8_t *, uint32_t);
"""
"""Gives back a byte vector that the host wrote to `where()`."""
_BYTES: Final = 128


def echo(rounds: int, block: int) -> Row:
    """128 bytes in, the guest copies them, strict reset."""
    program = _compiled()
    exports = {e.name: e for e in Guest.from_elf(program).info.exports if e.kind is ExternKind.FUNC}
    template = booted(Module(program, "the benchmark's native guest", max_bytes=0, cache=None, elf=True))
    vm = machine(template, "exit", "strict")
    try:
        types = {name: e.type for name, e in exports.items() if isinstance(e.type, FuncType)}
        nothing = Slots(())
        vm.call(exports["where"], nothing, 0)
        place = vm.results(types["where"])()
        assert isinstance(place, int)
        slots = Slots(types["echo"].params)
        slots.put((place, _BYTES))
        data = bytes(range(_BYTES))
        calls: list[list[int]] = []
        floors: list[list[int]] = []
        for _ in range(rounds):
            calls.append(measure_call(vm, exports["echo"], slots, block, data=data, address=place))
            floors.append(measure_floor(vm, Floor.EXCHANGE, block))
    finally:
        vm.close()
    samples = Samples(tuple(calls), tuple(floors))
    ratio = samples.ratio
    return samples.row(
        f"native echo {_BYTES} B + strict reset",
        floor=samples.floor,
        ratio=ratio,
        target="≤ 2.2 × doorbell exit",
        ok=ratio <= 2.2,
    )


def _compiled() -> bytes:
    with tempfile.TemporaryDirectory(prefix="hlfuzz-bench-") as folder:
        Path(folder, "guest.c").write_text(GUEST)
        command = [
            sys.executable,
            "-m",
            "ziglang",
            "cc",
            "--target=x86_64-freestanding-none",
            "-O2",
            "-static",
        ]
        command += ["-mcpu=x86_64_v2", "-std=c11", "-ffreestanding", "-nostdlib", "-fno-stack-protector"]
        command += ["-fno-sanitize=undefined", "-I", str(native_include()), "-o", "guest.elf", "guest.c"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise EnvironmentProblem(
                f"cannot compile the benchmark's native guest: {done.stderr}", reason="io"
            )
        return Path(folder, "guest.elf").read_bytes()
