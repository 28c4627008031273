"""Native guests are ELF files of strangers: what is wrong with one is said, and nothing of it is believed."""

from __future__ import annotations

import random

import pytest
from elf_files import (
    BSS_AT,
    DATA_AT,
    DYNAMIC,
    INTERP,
    LOAD,
    NOTE,
    RW,
    RX,
    STACK,
    TEXT_AT,
    TLS,
    Program,
    R,
    header,
    word,
)
from needs import require_kvm

from hlfuzz import Guest, ModuleError, Sandbox, UsageError
from hlfuzz.model import ExternKind, FuncType, ValType

GOOD = Program().file()


def refused(file: bytes) -> str:
    with pytest.raises(ModuleError) as error:
        Guest.from_elf(file, name="bad")
    assert error.value.reason == "not-native"
    assert "bad" in str(error.value)
    assert "hlfuzz_guest.h" in str(error.value), "says the next step"
    return str(error.value)


def test_a_good_program_is_described() -> None:
    guest = Guest.from_elf(Program(handshake=b"hlfuzz.v1 text").file())
    assert guest.kind == "elf"
    assert guest.handshake == b"hlfuzz.v1 text"
    run, memory = guest.info.exports
    assert (run.name, run.type) == ("run", FuncType((ValType.I32, ValType.I32), (ValType.I64,)))
    assert (memory.name, memory.kind) == ("memory", ExternKind.MEMORY)
    assert [i.key for i in guest.info.imports] == ["env.log"]
    assert guest.info.code_bytes == 64
    assert guest.info.features == ("native",)
    assert Guest.load(GOOD).kind == "elf"
    assert Guest.from_elf(GOOD).handshake is None


def test_what_is_for_wasm_only_says_so() -> None:
    guest = Guest.from_elf(GOOD)
    with pytest.raises(UsageError, match="native guest"):
        _ = guest.wasm
    with pytest.raises(UsageError, match="reset='strict'"):
        Sandbox(guest, reset="memory")
    with pytest.raises(UsageError, match="engine='kvm'"):
        Sandbox(guest, {"env.log": lambda a, b: None}, engine="inprocess")
    with pytest.raises(ModuleError):
        Guest.from_wasm(GOOD)
    with pytest.raises(ModuleError):
        Guest.from_elf(b"\0asm\x01\0\0\0")


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (Program(type=3), "position-independent"),
        (Program(type=1), "relocatable"),
        (Program(machine=183), "x86-64"),
        (Program(headers=[(INTERP, R, 0, 0, 0, 0)]), "dynamic linker"),
        (Program(headers=[(DYNAMIC, R, 0, 0, 0, 0)]), "dynamic linker"),
        (Program(headers=[(TLS, R, 0, 0, 0, 0)]), "thread-local"),
        (Program(headers=[(STACK, RW | 1, 0, 0, 0, 0)]), "executable stack"),
        (Program(text_flags=7), "writable and executable"),
        (Program(text_flags=3), "writable and executable"),
        (Program(text_flags=1), "neither"),
        (Program(text_flags=R), "entry point"),
        (Program(entry=DATA_AT), "entry point"),
        (Program(entry=TEXT_AT + 64), "entry point"),
        (Program(entry=0), "entry point"),
        (Program(text_at=0x1FF000), "outside"),
        (Program(text_at=0x1000), "outside"),
        (Program(text_at=0xFFFFFFFFFFFFF000), "outside"),
        (Program(headers=[(LOAD, R, 0x2000, DATA_AT, 8, 8)]), "overlap"),
        (Program(headers=[(LOAD, RX, 0x1000, DATA_AT + 0x800, 8, 8)]), "share a page"),
        (Program(headers=[(LOAD, RW, 0, TEXT_AT - 8, 0, 16)]), "share a page"),
        (Program(headers=[(LOAD, RW, 0, BSS_AT + 0x17FF, 0, 1)]), "share a page"),
        (Program(headers=[(LOAD, RW, 0, 0x500000, 0, 1 << 40)]), "outside"),
        (Program(headers=[(LOAD, RW, 0, 0x500000, 0, 2**64 - 1)]), "outside"),
        (Program(headers=[(LOAD, R, 0x100000, 0x500000, 8, 8)]), "outside the file"),
        (Program(headers=[(LOAD, R, 2**64 - 4, 0x500000, 8, 8)]), "outside the file"),
        (Program(headers=[(LOAD, R, 0, 0x500000, 16, 8)]), "more bytes in the file"),
        (Program(headers=[(NOTE, R, 0x100000, 0, 64, 64)]), "outside the file"),
        (Program(headers=[(STACK, R, 0, 0, 0, 0)] * 60), "program headers"),
        (Program(header_size=57), "unknown size"),
        (Program(table_note=False), "no note"),
        (Program(version=2), "version 0x2"),
        (Program(table_end=8), "no whole entries"),
        (Program(table_end=-64), "no whole entries"),
        (Program(table_end=32 * 5000), "more than 4096"),
        (Program(table_end=32 * 4000), "truncated"),
        (Program(zero=1), "unknown form"),
        (Program(exports=[("", "i:i", TEXT_AT)]), "no name"),
        (Program(exports=[(b"\xff\xfe", "i:i", TEXT_AT)]), "UTF-8"),
        (Program(exports=[("n" * 1025, "i:i", TEXT_AT)]), "longer than 1024"),
        (Program(exports=[("f", "i" * 65, TEXT_AT)]), "longer than 64"),
        (Program(exports=[("f", "i:i", DATA_AT)]), "not in its text"),
        (Program(exports=[("f", "i:i", 0)]), "not in its text"),
        (Program(exports=[("f", "i:i", TEXT_AT), ("f", ":", TEXT_AT)]), "two exports"),
        (Program(exports=[("memory", ":", TEXT_AT)]), "guest's memory"),
        (Program(notes=GOOD[0x3000:]), "two notes"),
        *[
            (Program(exports=[("f", kind, TEXT_AT)]), "is none")
            for kind in (
                "",
                "i",
                "ii",
                "x:",
                ":x",
                "r:",
                ":ii",
                "i:i:",
                "iiiiiii:",
                "pppppp" + "I:",
                "fffffffff:",
            )
        ],
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_program_that_asks_for_what_it_cannot_have_is_refused(program: Program, why: str) -> None:
    assert why in refused(program.file())


@pytest.mark.parametrize("kind", [":", "iiiiii:i", "IpIpIp:I", "ffffffff:f", "iFpFIF:F", "p:p", ":r"])
def test_every_type_that_registers_can_carry_is_accepted(kind: str) -> None:
    assert len(Guest.from_elf(Program(exports=[("f", kind, TEXT_AT)]).file()).info.exports) == 2


def test_a_file_that_ends_early_is_refused_wherever_it_ends() -> None:
    for end in (*range(0, 0x160, 8), 0xFFF, 0x1000, 0x1010, 0x2010, len(GOOD) - 1):
        refused(GOOD[:end])


def test_a_file_that_lies_about_sizes_and_offsets_is_refused() -> None:
    for value in (2**64 - 1, 2**63, 2**32, len(GOOD), len(GOOD) + 1):
        refused(word(GOOD, 32, value))  # program headers
        refused(word(GOOD, header(0, 8), value))  # offset of the text
        refused(word(GOOD, header(0, 32), value))  # its size in the file
        refused(word(GOOD, header(0, 40), value))  # its size in memory, shorter or far too long


def test_changed_bytes_never_do_harm() -> None:
    """Each is accepted or refused, and never a crash; what is accepted has a sane description."""
    draw = random.Random(5)
    for _ in range(10_000):
        changed = bytearray(GOOD)
        for _ in range(draw.randint(1, 6)):
            low, high = draw.choice([(0, 0x160), (0x2000, 0x2080), (0x3000, len(GOOD))])
            changed[draw.randrange(low, high)] = draw.choice(
                [0, 1, 4, 5, 7, 0x7F, 0x80, 0xFF, draw.randrange(256)]
            )
        end = draw.choice([len(changed), draw.randrange(len(changed))])
        assert verdict(bytes(changed[:end])) in ("accepted", "not-native")


def verdict(file: bytes) -> str:
    try:
        guest = Guest.from_elf(file)
    except ModuleError as error:
        return error.reason
    return "accepted" if guest.info.exports[-1].name == "memory" else "without a memory"


def test_an_accepted_program_that_only_faults_cannot_be_started() -> None:
    require_kvm()
    from hlfuzz import StartError

    guest = Guest.from_elf(GOOD, name="halts")
    with pytest.raises(StartError, match="general-protection"):
        Sandbox(guest, {"env.log": lambda a, b: None})


def test_more_memory_than_a_micro_vm_can_have_is_refused() -> None:
    require_kvm()
    from hlfuzz import Limits

    guest = Guest.from_elf(GOOD, limits=Limits(memory_bytes=4 << 30))
    with pytest.raises(ModuleError, match="guest RAM") as error:
        Sandbox(guest, {"env.log": lambda a, b: None})
    assert error.value.reason == "limit"
