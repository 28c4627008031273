"""The bundled guest that tells the registers it finds is what its source says, and sees what it should."""

from __future__ import annotations

import subprocess
from pathlib import Path

import native
import pytest
from needs import program, require_kvm

from hlfuzz import Sandbox
from hlfuzz.guest import Guest
from hlfuzz.invariants.guests.register_probe import ELF, look, register_probe

SOURCE = Path(__file__).parent / "register_probe.S"


@pytest.mark.programs("gcc", "objcopy")
def test_the_bundled_bytes_are_the_assembled_source(tmp_path: Path) -> None:
    made, elf = tmp_path / "probe.o", tmp_path / "probe.elf"
    subprocess.run([program("gcc"), "-c", "-o", made, SOURCE], check=True)
    subprocess.run([program("objcopy"), "-O", "binary", "-j", ".text", made, elf], check=True)
    assert elf.read_bytes() == ELF


@pytest.fixture
def box():
    require_kvm()
    with Sandbox(register_probe(), transport="exit") as box:
        yield box


def test_it_finds_what_the_snapshot_has_each_time_and_in_each_sandbox(box: Sandbox) -> None:
    first = look(box)
    assert (first["mxcsr"], first["fcw"]) == (b"\x80\x3f\0\0", b"\x7f\x02"), "as its boot set them"
    assert first["ymm7"] == b"\xa5" * 32
    assert [look(box) for _ in range(3)] == [first] * 3
    with Sandbox(register_probe(), transport="exit") as other:
        assert look(other) == first


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("FORGET_REGISTERS", {"rbx", "rsp", "r15", "rflags", "mxcsr", "fcw", "st7", "ymm0", "ymm15"}),
        ("FORGET_VECTORS", {"mxcsr", "fcw", "st7", "ymm0", "ymm15"}),
        ("FORGET_MXCSR", {"mxcsr"}),
    ],
)
def test_it_changes_every_register_and_finds_what_a_reset_forgot(
    box: Sandbox, fault: str, seen: set[str]
) -> None:
    first = look(box)
    native.plant(box, getattr(native.lib, f"HL_FAULT_{fault}"))
    look(box)
    second = look(box)
    differing = {name for name in first if first[name] != second[name]}
    assert seen <= differing
    if fault == "FORGET_REGISTERS":
        kept = {
            "rax",
            "cs",
            "ss",
            "ds",
            "es",
            "fs",
            "gs",
            "fsw",
        }  # set by the call, the CPU's mode, the thread
        assert differing | kept >= set(first)
    elif fault == "FORGET_MXCSR":
        assert differing == seen


def test_selectors_that_it_loads_are_found_by_the_next_guest_of_a_thread_that_keeps_them(
    box: Sandbox,
) -> None:
    first = look(box)
    native.plant(box, native.lib.HL_FAULT_KEEP_SELECTORS)
    look(box)
    with Sandbox(register_probe(), transport="exit") as other:
        found = look(other)
    box.close()
    if found == first:
        pytest.skip("this KVM gives each guest the selectors of its own vCPU, whatever the thread has")
    assert {name for name in first if first[name] != found[name]} == {"ds", "es"}
    with Sandbox(register_probe(), transport="exit") as other:
        assert look(other) == first, "closing the damaged sandbox gave the thread its own ones back"


def test_other_requests_are_answered_too(box: Sandbox) -> None:
    assert box.guest.kind == "elf"
    assert isinstance(Guest.from_elf(ELF), Guest)
    assert box.recover(), "an empty request"
