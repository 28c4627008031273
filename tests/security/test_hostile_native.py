"""A native guest that means harm: every lie ends as an outcome, and the sandbox serves the next call."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from needs import missing, require_kvm

from hlfuzz import (
    AbiViolation,
    Caller,
    Guest,
    GuestTimeout,
    GuestTrap,
    HostFunctionError,
    Ok,
    Sandbox,
    Timeout,
    Trap,
    UsageError,
)

HERE = Path(__file__).parent
HEADER = Path(__file__).parents[2] / "hlfuzz/guest/native"
FLAGS = [
    *("-O1", "-g", "-ffreestanding", "-fno-stack-protector", "-fcf-protection=none"),
    *("-nostdlib", "-static", "-fno-pie", "-no-pie", "-Wall", "-Wextra", "-Werror", "-Wl,--build-id=none"),
]
PAGE = 4096
RUNTIME = 0x20_0000
MAILBOX, DOORBELL = 1 << 32, 2 << 32
SECRET = 0x5EC2_E75E_C2E7_5EC2
OUTSIDE = (0, 1, 0x1000, 0x1_0000, 0x1F_F000, RUNTIME - 1, 0xFFFF_FFFF, MAILBOX, DOORBELL, 1 << 47, 2**64 - 1)
"""Addresses that no native guest has given to it as memory."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Guest:
    require_kvm()
    if shutil.which("gcc") is None:
        missing("gcc is not installed")
    out = tmp_path_factory.mktemp("hostile") / "hostile.elf"
    subprocess.run(["gcc", *FLAGS, f"-I{HEADER}", "-o", out, HERE / "hostile_guest.c"], check=True)
    return Guest.from_elf(out, name="hostile")


@pytest.fixture(scope="module")
def box(hostile: Guest) -> Iterator[Sandbox]:
    with Sandbox(hostile, {"env.ask": lambda v: v}, transport="exit", verify=1, deadline=0.05) as it:
        yield it


def usable(box: Sandbox) -> None:
    assert box.call("take", b"abc") == ord("c")


@pytest.mark.parametrize("word", range(12))
def test_an_answer_that_does_not_fit_is_an_outcome(box: Sandbox, word: int) -> None:
    outcome = box.try_call("lie", word, 0, 0)
    expected = {1: Ok, 0: Timeout, 2: Timeout}.get(word, Trap)
    assert isinstance(outcome, expected), outcome
    usable(box)


@pytest.mark.parametrize("word", [7, 2**31 - 1, -1])
def test_an_unknown_doorbell_is_a_trap(box: Sandbox, word: int) -> None:
    with pytest.raises(GuestTrap):
        box.call("ring", word)
    usable(box)


@pytest.mark.parametrize("posted", [1, 16, 65_535, 65_536, 65_537, -1])
def test_a_length_of_the_queue_is_not_believed(box: Sandbox, posted: int) -> None:
    with pytest.raises(GuestTrap):
        box.call("lie", 1, 0, posted)
    usable(box)


@pytest.mark.parametrize("importing", [1, 4095, -1])
def test_a_call_of_an_import_that_does_not_exist_is_a_trap(box: Sandbox, importing: int) -> None:
    with pytest.raises(GuestTrap, match="which is no imported function"):
        box.call("lie", 2, importing, 0)
    usable(box)


@pytest.mark.parametrize("length", [1, PAGE, 2**32 - 1])
@pytest.mark.parametrize("address", OUTSIDE)
def test_results_that_name_what_the_guest_may_not_read_are_a_violation(
    box: Sandbox, address: int, length: int
) -> None:
    named = address.to_bytes(8, "little") + length.to_bytes(8, "little")
    with pytest.raises((AbiViolation, GuestTrap)):  # a trap: above 4 GiB it does not even fit the result
        box.call_bytes("anywhere", named, result="packed")
    usable(box)


def test_results_may_name_the_guests_own_memory(box: Sandbox) -> None:
    named = (0x40_0000).to_bytes(8, "little") + (4).to_bytes(8, "little")
    assert box.call_bytes("anywhere", named, result="packed") == b"\x7fELF"


def test_random_results_are_the_guests_own_bytes_or_a_violation(box: Sandbox) -> None:
    choose = random.Random(8)
    for _ in range(150):
        address = choose.choice((*OUTSIDE, 0x40_0000, 0x50_0000, choose.getrandbits(32))) % 2**32
        length = choose.choice((0, 1, 4096, choose.getrandbits(24), choose.getrandbits(32)))
        named = address.to_bytes(8, "little") + length.to_bytes(8, "little")
        try:
            given = box.call_bytes("anywhere", named, result="packed")
        except AbiViolation:
            continue
        assert isinstance(given, bytes)
        assert len(given) == length
        assert length == 0 or address >= RUNTIME
    usable(box)


@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.parametrize("address", [*OUTSIDE[1:], 0x40_1000])
def test_an_allocator_that_names_what_it_may_not_write_is_a_violation(
    box: Sandbox, address: int, size: int
) -> None:
    with box.context() as context:
        context.call("set_room", address - 2**64 if address >> 63 else address)
        # above 4 GiB the guest itself cannot say it
        with pytest.raises(AbiViolation if address < 1 << 32 else (AbiViolation, GuestTrap)):
            context.call("take", b"x" * size)
        context.finish()
    usable(box)


@pytest.mark.parametrize("size", [64, PAGE, 1 << 20])
def test_a_smashed_stack_is_a_trap(box: Sandbox, size: int) -> None:
    with pytest.raises(GuestTrap):
        box.call("smash", size)
    usable(box)


@pytest.mark.parametrize("address", [0, 0x1000, 0x8000, 0x1_0000, DOORBELL, MAILBOX + (1 << 20), 1 << 40])
def test_what_is_not_mapped_for_it_cannot_be_read(box: Sandbox, address: int) -> None:
    with pytest.raises(GuestTrap):
        box.call("peek", address)
    usable(box)


@pytest.mark.parametrize("word", range(9))
def test_the_failure_of_a_host_function_cannot_be_swallowed(hostile: Guest, word: int) -> None:
    def fails(value: int) -> int:
        raise KeyError(value)

    with Sandbox(hostile, {"env.ask": fails}, transport="exit", verify=1, deadline=0.05) as box:
        with pytest.raises(HostFunctionError) as error:
            box.call("swallow", word)
        assert isinstance(error.value.__cause__, KeyError)
        with pytest.raises(GuestTrap):  # and it is not told again
            box.call("lie", 4, 0, 0)
        usable(box)


def test_the_host_reads_and_writes_only_what_the_guest_may(hostile: Guest) -> None:
    refused: list[int] = []

    def ask(caller: Caller, value: int) -> int:
        assert caller.read(0x40_0000, 4) == b"\x7fELF"
        for address in (0, 0x1000, 0x1_0000, 0x1F_F000, 0x40_0000, 0x40_1000):
            with pytest.raises(UsageError):
                caller.write(address, b"\x90" * 8)
            refused.append(address)
        for address in (0, 0x1000, 0x1_0000, 0x1F_F000):
            with pytest.raises(UsageError):
                caller.read(address, 8)
        return value

    with Sandbox(hostile, {"env.ask": ask}, transport="exit", verify=1, deadline=0.05) as box:
        assert isinstance(box.try_call("swallow", 1), Ok)
        assert len(refused) == 6
        usable(box)


@pytest.mark.parametrize("how", ["flood", "silent"])
def test_a_deadline_ends_what_never_ends(box: Sandbox, how: str) -> None:
    with pytest.raises(GuestTimeout):
        box.call(how)
    usable(box)


def test_nothing_that_a_call_hid_is_found_by_the_next_or_by_another_sandbox(hostile: Guest) -> None:
    wanted = ~SECRET  # so that the question does not hold the answer

    def places(box: Sandbox) -> list[tuple[int, int]]:
        data, stack, heap = (int(box.call("where", part)) for part in range(3))  # type: ignore[arg-type]
        end = stack // PAGE * PAGE + PAGE
        mailbox = (MAILBOX, MAILBOX + 0x2_B000)
        return [(data, data + PAGE), (end - 8 * PAGE, end), (heap, heap + 32 * PAGE), mailbox]

    def found(call: object, layout: list[tuple[int, int]]) -> int:
        return sum(int(call("find", wanted, *place)) for place in layout)  # type: ignore[operator]

    host = {"env.ask": lambda v: v}
    with (
        Sandbox(hostile, host, transport="exit", verify=1) as box,
        Sandbox(hostile, host, transport="exit", verify=1) as other,
    ):
        layout = places(box)
        with box.context() as context:
            context.call("hide", SECRET)
            assert found(context.call, layout) > 1000, "within a context it is there"
            assert found(other.call, layout) == 0, "another sandbox"
            context.finish()
        assert found(box.call, layout) == 0, "after the context"
        box.call("hide", SECRET)
        assert found(box.call, layout) == 0, "after a call"
        box.try_call("peek", 0)
        assert found(box.call, layout) == 0, "after a crash"


def host_ranges() -> list[range]:
    """Where this process has memory."""
    found: list[range] = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, _, end = line.split()[0].partition("-")
        found.append(range(int(start, 16), int(end, 16)))
    return found


@pytest.mark.parametrize("length", [0, 8, 4096, 100_000])
def test_nothing_that_the_host_writes_for_a_guest_holds_an_address_of_the_host(
    box: Sandbox, length: int
) -> None:
    mapped = host_ranges()
    with box.context() as context:
        context.try_call("take", b"\xff" * length)
        pieces = [d for d in box.differences(limit=65536) if "mailbox" in d.place]
        context.finish()
    assert pieces
    for piece in pieces:
        for at in range(len(piece.after) - 7):
            word = int.from_bytes(piece.after[at : at + 8], "little")
            assert not any(word in part for part in mapped), f"{piece} (byte {at}: {word:#x})"
