"""A native crash: the place in the source, registers, a backtrace, and a core file that gdb opens."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
from native_guests import HERE, built
from needs import program

from hlfuzz import Guest, Sandbox, Trap, UsageError
from hlfuzz.vmm import Symbols

pytestmark = pytest.mark.programs("gdb", "strip")

SOURCE = (HERE / "native_crash.c").read_text().splitlines()
CRASH = next(n for n, line in enumerate(SOURCE, 1) if "line: the crash" in line)
CALL = next(n for n, line in enumerate(SOURCE, 1) if "line: the call" in line)


@pytest.fixture(params=["gcc", "zig"])
def guest(request: pytest.FixtureRequest) -> Guest:
    return built("native_crash.c", request.param, "-g")


def crashed(box: Sandbox, function: str = "on_request", value: int = 1000) -> Trap:
    trap = box.try_call(function, value)
    assert isinstance(trap, Trap)
    return trap


def test_a_crash_names_its_place_and_the_calls_that_led_there(guest: Guest) -> None:
    with Sandbox(guest, transport="exit") as box:
        trap = crashed(box)
    assert trap.code == "page-fault"
    names = [(f.name, f.line) for f in trap.frames]
    assert names[:2] == [("parse_header", CRASH), ("on_request", CALL)]
    assert re.search(rf"in parse_header \(native_crash_\w+\.c:{CRASH}\)$", trap.message)
    assert trap.fault is not None
    assert trap.fault.symbol.startswith("parse_header+0x")
    assert (trap.fault.file, trap.fault.line) == (trap.frames[0].file, CRASH)
    assert trap.frames[0].offset == trap.fault.rip


def test_the_registers_are_those_of_the_crash(guest: Guest) -> None:
    with Sandbox(guest, transport="exit") as box:
        trap = crashed(box)
        again = crashed(box, value=1001)
    assert trap.fault is not None
    registers = trap.fault.registers
    assert registers is not None
    assert (registers.rip, registers.rsp) == (trap.fault.rip, trap.fault.rsp)
    assert registers.cs & 3 == 3
    assert 4000 in [
        registers.rax * 4,
        *(4 * v for v in (registers.rsi, registers.rcx, registers.rdx, registers.rdi)),
    ]
    assert again.fault is not None
    assert again.fault.registers != registers


def test_a_call_of_nowhere_is_traced_to_its_caller(guest: Guest) -> None:
    with Sandbox(guest, transport="exit") as box:
        trap = crashed(box, "jump", 0x10)
    assert trap.fault is not None
    assert trap.fault.rip == 0x10
    assert [f.name for f in trap.frames[:2]] == ["", "jump"]


@pytest.mark.parametrize("word", [0, 1, 0x1000, 0x400000, 0x401000, 0x7FFFFFFF, -1])
def test_a_forged_stack_gives_a_short_backtrace_of_code_only(guest: Guest, word: int) -> None:
    with Sandbox(guest, transport="exit") as box:
        trap = crashed(box, "forge", word)
    assert trap.code == "invalid-opcode"
    assert trap.frames[0].name == "forge"
    assert len(trap.frames) <= 64


def test_a_stripped_guest_has_addresses_and_no_names(tmp_path: Path) -> None:
    out = tmp_path / "stripped.elf"
    original = tmp_path / "guest.elf"
    original.write_bytes(built("native_crash.c", "gcc", "-g").data)
    subprocess.run([program("strip"), "-o", out, original], check=True)
    with Sandbox(Guest.from_elf(out), transport="exit") as box:
        trap = crashed(box)
    assert len(trap.frames) >= 2
    assert {f.name for f in trap.frames} == {""}
    assert trap.message.endswith(f"in {trap.frames[0].offset:#x}")


# Core files


def gdb(elf: Path, core: Path, *commands: str) -> str:
    asked = [part for command in commands for part in ("-ex", command)]
    done = subprocess.run(
        [program("gdb"), "-nx", "-batch", "-iex", "set auto-load off", *asked, elf, core],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"DEBUGINFOD_URLS": ""},
    )
    return done.stdout + done.stderr


def written(guest: Guest, box: Sandbox, folder: Path) -> tuple[Path, Path]:
    evidence = box.evidence()
    assert evidence is not None
    elf, core = folder / guest.name, folder / "core"
    elf.write_bytes(guest.data)
    evidence.write_core(core)
    return elf, core


def test_gdb_shows_the_crash_its_calls_and_its_variables(guest: Guest, tmp_path: Path) -> None:
    with Sandbox(guest, transport="exit", evidence=True) as box:
        trap = crashed(box)
        elf, core = written(guest, box, tmp_path)
    shown = gdb(
        elf, core, "bt", "info registers rip rsp", "print progress", "print items", "print/x scratch[5000]",
        "print step", "print $_siginfo._sifields._sigfault.si_addr", "info all-registers xmm0",
        "up", "print one",
    )  # fmt: skip
    assert re.search(rf"#0 .*parse_header .*native_crash_\w+\.c:{CRASH}", shown), shown
    assert re.search(rf"#1 .*on_request .*native_crash_\w+\.c:{CALL}", shown), shown
    assert "SIGSEGV" in shown
    assert trap.fault is not None
    assert re.search(rf"rip +{trap.fault.rip:#x}", shown), shown
    assert re.search(rf"rsp +{trap.fault.rsp:#x}", shown), shown
    assert "= 1000" in shown  # progress
    assert "{10, 20, 30, 40}" in shown
    assert "= 0xab" in shown
    assert "v4_float" in shown
    assert f"= (void *) {trap.fault.address:#x}" in shown


def test_the_kept_state_is_that_before_the_reset_and_is_given_once(tmp_path: Path) -> None:
    guest = built("native_crash.c", "gcc", "-g")
    with Sandbox(guest, transport="exit", evidence=True) as box:
        assert box.evidence() is None
        crashed(box, value=1234)
        assert box.verify() == 0
        assert box.call("on_request", 1) == 25
        elf, core = written(guest, box, tmp_path)
        assert box.evidence() is None
    assert "= 1234" in gdb(elf, core, "print progress")


def test_a_timeout_leaves_the_registers_of_the_loop(tmp_path: Path) -> None:
    guest = built("native_crash.c", "gcc", "-g")
    with Sandbox(guest, transport="exit", evidence=True, deadline=0.02) as box:
        box.try_call("loop", 0)
        elf, core = written(guest, box, tmp_path)
    assert re.search(r"#0 .*loop ", gdb(elf, core, "bt"))


def test_the_state_of_a_context_is_taken_at_a_quiet_point(tmp_path: Path) -> None:
    guest = built("native_crash.c", "gcc", "-g")
    with Sandbox(guest, transport="exit") as box:
        with box.context() as context:
            context.call("on_request", 2)
            evidence = box.capture()
            context.finish()
        assert box.evidence() is None
    elf, core = tmp_path / "guest.elf", tmp_path / "core"
    elf.write_bytes(guest.data)
    evidence.write_core(core)
    assert "= 2" in gdb(elf, core, "print progress")


def test_a_core_file_is_sparse_and_for_its_owner_alone(tmp_path: Path) -> None:
    guest = built("native_crash.c", "gcc", "-g")
    with Sandbox(guest, transport="exit", evidence=True) as box:
        crashed(box)
        _, core = written(guest, box, tmp_path)
    found = core.stat()
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_blocks * 512 < 1 << 20 < found.st_size


def test_without_the_option_nothing_is_kept_and_another_engine_says_so() -> None:
    guest = built("native_crash.c", "gcc", "-g")
    with Sandbox(guest, transport="exit") as box:
        crashed(box)
        assert box.evidence() is None
    wasm = Guest.from_wasm(b"\0asm\1\0\0\0")
    with Sandbox(wasm, engine="inprocess") as box:
        assert box.evidence() is None
        with pytest.raises(UsageError, match="micro-VM"):
            box.capture()


def test_symbols_of_anything_are_no_crash() -> None:
    for junk in (b"", b"\x7fELF", b"\0asm", b"\x7fELF" + b"\xff" * 200, b"junk" * 1000):
        assert Symbols(junk).frames([(0, 0), (1, -1)]).frames[0].name == ""
