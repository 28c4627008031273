"""Native guests in a real micro-VM: calls both ways, failures, byte vectors, and what a reset takes back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from native_build import TOOLCHAINS, Toolchain
from native_guests import COMPILERS, built, probe
from patient import CAN_SPIN, open_sandbox

from hlfuzz import (
    AbiViolation,
    Caller,
    Guest,
    GuestTimeout,
    GuestTrap,
    HostError,
    HostFunctionError,
    LinkError,
    Ok,
    Sandbox,
    Trap,
    UsageError,
)

pytestmark = pytest.mark.programs("gcc", "g++")

HOST: dict[str, Callable[..., Any]] = {
    "env.down": lambda n: n,
    "env.mix": lambda a, b, c, d: a + b + c + d,
    "env.bytes": lambda at, length: 0,
}


@contextmanager
def opened(compiler: str = "gcc", host: Mapping[str, Any] | None = None, **options: Any) -> Iterator[Sandbox]:
    with Sandbox(probe(compiler), {**HOST, **(host or {})}, transport="exit", **options) as box:
        yield box


@pytest.fixture(params=COMPILERS)
def compiler(request: pytest.FixtureRequest) -> str:
    return request.param


def test_values_of_every_type_go_in_and_come_out(compiler: str) -> None:
    with opened(compiler) as box:
        assert box.call("add", 2**31 - 1, 1) == -(2**31)
        assert box.call("negate", 2**40 + 1) == -(2**40) - 1
        assert box.call("half", 3.0) == 1.5
        assert math.isnan(box.call("half", math.nan))  # type: ignore[arg-type]
        assert box.call("nothing") is None
        # Six integers and eight floats, each with a factor of its own.
        arguments = (1, 2.0, 3 << 33, 4.0, -5, 6.0, 7, 8.0, 9, 10.0, 11, 12.0, 13.0, 14.0)
        factors = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)
        assert box.call("all", *arguments) == sum(a * f for a, f in zip(arguments, factors, strict=True))
        assert box.call("mix", 2**33, 1.5, 2.5, 2**32 - 1) == 2**33 + 4.0 - 1


EVERYWHERE = """
#define HLFUZZ_GUEST_IMPLEMENTATION
#include "hlfuzz_guest.h"
HLG_ALLOCATOR;
HLG_IMPORT("env", "twice", int64_t, twice, int64_t);
static int64_t calls;
static double run(const uint8_t *data, uint32_t len, float scale) {
    int64_t sum = 0;
    for (uint32_t i = 0; i < len; i++) sum += data[i];
    return (double)(twice(sum) * ++calls) * (double)scale;
}
HLG_EXPORT(double, run, const uint8_t *, uint32_t, float);
"""


@pytest.mark.parametrize("toolchain", TOOLCHAINS, ids=str)
def test_a_guest_of_every_compiler_language_and_level_runs(toolchain: Toolchain, tmp_path: Path) -> None:
    guest = Guest.from_elf(toolchain.build(EVERYWHERE, tmp_path))

    def twice(n: int) -> int:
        if n == 0:
            raise ValueError("nothing to double")
        return 2 * n

    with Sandbox(guest, {"env.twice": twice}, transport="exit") as box:
        assert [box.call_bytes("run", b"\x01\x02", 0.5) for _ in range(2)] == [3.0, 3.0]
        with pytest.raises(HostFunctionError):
            box.call_bytes("run", b"", 1.0)
        assert box.call_bytes("run", b"\xff" * 1000, -1.0) == -510_000.0


def test_state_lasts_in_a_context_and_nowhere_else(compiler: str) -> None:
    with opened(compiler, verify=1) as box:
        assert [box.call("count") for _ in range(3)] == [1, 1, 1]
        with box.context() as context:
            assert [context.call("count") for _ in range(3)] == [1, 2, 3]
            context.finish()
        assert box.call("count") == 1
        assert box.stats().verify_failures == 0


def test_registers_of_every_kind_are_as_in_the_snapshot(compiler: str) -> None:
    """This guest counts its calls in rbx, r15, xmm15, a half of ymm14, st(0), MXCSR, a flag, and ES."""
    guest = built("native_counters.c", compiler)

    def answer(value: Any) -> bytes:
        return int(value).to_bytes(8, "little", signed=True)

    with Sandbox(guest, transport="exit") as box, Sandbox(guest, transport="exit") as other:
        first = answer(box.call("count"))
        assert first[:7] == bytes(7)
        assert [answer(box.call("count")) for _ in range(4)] == [first] * 4
        with box.context() as context:
            counted = [answer(context.call("count")) for _ in range(3)]
            context.finish()
        # The probe finds what was not restored. (Not every KVM keeps ES for the guest at all.)
        assert [c[:5] for c in counted] == [bytes([n] * 5) for n in range(3)]
        assert [tuple(c[5:7]) for c in counted] == [(0, 0), (1, 1), (2, 0)]
        assert answer(box.call("count")) == first
        assert answer(other.call("count")) == first, "nor does another sandbox of this thread see any of it"


def test_segment_bases_and_selectors_are_as_in_the_snapshot(compiler: str) -> None:
    with opened(compiler) as box, opened(compiler) as other:
        selectors = box.call("selectors")
        assert box.call("set_selectors") not in (0, selectors), "all four were loaded"
        assert box.call("selectors") == selectors
        assert other.call("selectors") == selectors, "nor does the next sandbox of this thread see them"
        if isinstance(box.try_call("set_bases", 0x5EED), Trap):
            return  # the CPU does not let CPL3 change them
        assert (box.call("fs"), box.call("gs")) == (0, 0)
        with box.context() as context:
            context.call("set_bases", 0x5EED)
            assert (context.call("fs"), context.call("gs")) == (0x5EED, 0x5EED)
            context.finish()
        assert (box.call("fs"), box.call("gs")) == (0, 0)
        assert (other.call("fs"), other.call("gs")) == (0, 0)


def test_host_and_guest_call_each_other_fifteen_deep(compiler: str) -> None:
    def down(caller: Caller, n: int) -> Any:
        return caller.call("go", n - 1)

    with opened(compiler, {"env.down": down}) as box:
        for _ in range(2):
            assert box.call("go", 15) == 16
        with box.context() as context:
            assert context.call("go", 3) == 4
            assert context.call("count") == 4 + 1
            context.finish()


def test_a_host_function_that_fails_ends_the_call_that_made_it(compiler: str) -> None:
    def raises(n: int) -> int:
        raise KeyError(n)

    with opened(compiler, {"env.down": raises}) as box:
        for _ in range(3):
            with pytest.raises(HostFunctionError, match="down") as error:
                box.call("go", 7)
            assert isinstance(error.value.__cause__, KeyError)
        assert box.call("add", 1, 2) == 3


def test_only_the_innermost_call_is_unwound_when_its_host_function_fails(compiler: str) -> None:
    """The guest below goes on as if nothing had been there: its stack and registers are its own."""
    seen: list[Any] = []

    def down(caller: Caller, n: int) -> Any:
        if n == 1:
            raise ValueError("the bottom")
        outcome = caller.try_call("go", n - 1)
        seen.append(outcome)
        return 0 if isinstance(outcome, HostError) else outcome.values[0]  # type: ignore[union-attr]

    with opened(compiler, {"env.down": down}) as box, box.context() as context:
        assert context.call("go", 5) == 4
        assert isinstance(seen[0], HostError)
        assert seen[1:] == [Ok((1,)), Ok((2,)), Ok((3,))]
        assert context.call("count") == 5 + 1
        context.finish()


def test_byte_vectors_of_any_length_go_in_and_out(compiler: str) -> None:
    with opened(compiler) as box:
        fixed = part(box, 1)
        for size in (0, 1, 15, 16, 4096, 65_472, 65_473, 70_000):
            data = bytes(i * 7 & 255 for i in range(size))
            assert box.call_bytes("echo", data, result="packed") == data
        # What is returned may lie in read-only memory.
        assert box.call_bytes("place", b"", fixed, 17, result="packed") == b"not to be written"


ROOM = """
#define HLFUZZ_GUEST_IMPLEMENTATION
#include "hlfuzz_guest.h"
HLG_ALLOCATOR;
static void *kept;
void hl_guest_init(void) { kept = hlg_alloc(1000); }
static uint32_t where(const uint8_t *data, uint32_t len) { return (uint32_t)(uintptr_t)data + 0 * len; }
HLG_EXPORT(uint32_t, where, const uint8_t *, uint32_t);
static uint32_t more(const uint8_t *data, uint32_t len) {
    uint8_t *own = hlg_alloc(len);
    return own >= data + len && (uintptr_t)own % 16 == 0 && data > (uint8_t *)kept ? 1 : 0;
}
HLG_EXPORT(uint32_t, more, const uint8_t *, uint32_t);
static uint32_t all(uint64_t size) { return hlg_alloc(size) != 0; }
HLG_EXPORT(uint32_t, all, uint64_t);
"""


def test_room_is_given_back_after_each_call(compiler: str, tmp_path: Path) -> None:
    made = Toolchain(compiler, "c", "-O2").build(ROOM, tmp_path)
    with Sandbox(Guest.from_elf(made), transport="exit") as box:
        with box.context() as context:
            places = {context.call_bytes("where", b"x" * 60_000) for _ in range(300)}
            assert len(places) == 1
            assert context.call_bytes("more", b"x" * 33) == 1
            context.finish()
        # What cannot be had is NULL, at any size.
        assert [box.call("all", n) for n in (1 << 20, 1 << 40, 2**64 - 1, 2**64 - 15)] == [1, 0, 0, 0]


def test_an_allocator_that_leaves_the_direction_flag_set_does_no_harm(compiler: str) -> None:
    data = bytes(range(77))
    with opened(compiler) as box:
        assert box.call_bytes("echo", data, result="packed") == data
        with box.context() as context:
            assert [context.call_bytes("echo", data, result="packed") for _ in range(2)] == [data] * 2
            context.finish()


def test_a_host_function_gives_bytes_to_the_guest(compiler: str) -> None:
    def answer(caller: Caller, at: int, length: int) -> int:
        assert caller.read(at, length) == b"what?"
        place: Any = caller.call("hlfuzz_alloc", 3)
        caller.write(place, b"abc")
        return place << 32 | 3

    with opened(compiler, {"env.bytes": answer}) as box:
        assert box.call_bytes("fetch", b"", result="packed") == bytes(c ^ 1 for c in b"abc")


def test_a_spinning_guest_is_woken_after_it_has_parked(compiler: str) -> None:
    """The exchange of the header looks for requests by itself, and rings when none has come for a while."""
    if not CAN_SPIN:
        pytest.skip("the spin transport needs two CPUs")
    with open_sandbox(probe(compiler), HOST, transport="spin") as box:
        assert [box.call("count") for _ in range(3)] == [1, 1, 1]
        give_up = time.monotonic() + 30
        with box.context() as context:
            assert context.call("count") == 1
            while box.stats().parks == 0 and time.monotonic() < give_up:
                time.sleep(0.01)
            assert box.stats().parks > 0
            assert context.call("count") == 2
            assert context.call("go", 3) == 4
            context.finish()


def test_an_endless_loop_ends_at_the_deadline() -> None:
    with opened(deadline=0.02) as box:
        for _ in range(2):
            with pytest.raises(GuestTimeout):
                box.call("forever")
            assert box.call("add", 1, 1) == 2


def test_a_guest_that_gives_up_says_why(compiler: str) -> None:
    with opened(compiler) as box:
        with pytest.raises(GuestTrap, match="the guest says no") as error:
            box.call("text")
        outcome = error.value.outcome
        assert isinstance(outcome, Trap)
        assert (outcome.code, outcome.fault) == ("guest-fault", None)
        assert box.call("count") == 1


def test_a_missing_host_function_is_named_before_anything_runs() -> None:
    with pytest.raises(LinkError, match=r"env\.down"):
        Sandbox(probe(), {k: v for k, v in HOST.items() if k != "env.down"})


def test_a_memory_reset_is_refused() -> None:
    with pytest.raises(UsageError, match="strict"):
        Sandbox(probe(), HOST, reset="memory")


def part(box: Sandbox, which: int) -> int:
    found = box.call("part", which)
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize(
    ("call", "code", "vector", "error_code"),
    [
        (("load", 0), "page-fault", 14, 0b00100),
        (("store", 0), "page-fault", 14, 0b00110),
        (("jump", 0), "page-fault", 14, 0b10100),
        (("store", "fixed"), "page-fault", 14, 0b00111),
        (("store", "text"), "page-fault", 14, 0b00111),
        (("jump", "buffer"), "page-fault", 14, 0b10101),
        (("load", 0x1000), "page-fault", 14, 0b00101),
        (("load", 0x10000), "page-fault", 14, 0b00101),
        (("store", 0x1FF000), "page-fault", 14, 0b00111),
        (("store", 0x1_0000_8000), "page-fault", 14, 0b00111),
        (("load", 1 << 47), "general-protection", 13, 0),
        (("halt",), "general-protection", 13, 0),
        (("undefined",), "invalid-opcode", 6, 0),
        (("divide", 1, 0), "integer-division-by-zero", 0, 0),
        (("divide", -(2**31), -1), "integer-division-by-zero", 0, 0),
        (("breakpoint",), "guest-fault", 3, 0),
        (("overflow",), "stack-overflow", 14, 0b00110),
    ],
    ids=lambda v: " ".join(map(str, v)) if isinstance(v, tuple) else "",
)
def test_a_crash_is_a_trap_with_its_place(
    call: tuple[Any, ...], code: str, vector: int, error_code: int, compiler: str
) -> None:
    with opened(compiler) as box:
        parts = {"buffer": part(box, 0), "fixed": part(box, 1), "text": part(box, 2)}
        function, arguments = call[0], [parts.get(a, a) for a in call[1:]]
        with pytest.raises(GuestTrap) as error:
            box.call(function, *arguments)
        outcome = error.value.outcome
        assert isinstance(outcome, Trap)
        assert outcome.code == code
        fault = outcome.fault
        assert fault is not None
        assert (fault.vector, fault.error_code) == (vector, error_code)
        if code == "page-fault":
            assert fault.address == arguments[0]
        if function == "jump":
            assert fault.rip == arguments[0]
        else:
            assert abs(fault.rip - parts["text"]) < 1 << 16
        assert box.call("count") == 1, "the sandbox goes on from its snapshot"
        assert box.call_bytes("echo", b"alive", result="packed") == b"alive"


NOWHERE = (0x0, 0x1000, 0x1_0000, 0x1F_EFFF, 0xFFF_FFFF, 0xFFFF_FFF0)
"""Null, ring 0, page tables, what lies between, beyond the end of RAM twice."""


def test_results_outside_of_the_guests_memory_are_violations(compiler: str) -> None:
    with opened(compiler) as box:
        for address in NOWHERE:
            with pytest.raises(AbiViolation):
                box.call_bytes("place", b"", address, 9, result="packed")
        for address, size in ((part(box, 0), 1 << 30), (part(box, 0), 2**32 - 1), (part(box, 1), 1 << 20)):
            with pytest.raises(AbiViolation):
                box.call_bytes("place", b"", address, size, result="packed")
        assert box.call_bytes("place", b"", part(box, 1), 3, result="packed") == b"not"


def test_addresses_above_4_gib_are_no_results(compiler: str) -> None:
    with opened(compiler) as box:
        with pytest.raises(GuestTrap, match="above 4 GiB"):
            box.call("pointer", 1 << 32)
        with pytest.raises(GuestTrap, match="above 4 GiB"):
            box.call_bytes("place", b"", 1 << 32, 1, result="packed")


@pytest.mark.parametrize("size", [8, 65_472, 65_473])
def test_a_lying_allocator_makes_the_host_write_nowhere(size: int, compiler: str) -> None:
    """Short vectors are put there by the guest's own side, long ones by the host's."""
    with opened(compiler) as box:
        fixed, text, buffer = part(box, 1), part(box, 2), part(box, 0)
        for address in (*NOWHERE, fixed, text, buffer + 70_000 - 1 + 4096, 0x1FF000):
            with box.context() as context:
                context.call("steer", address)
                with pytest.raises(AbiViolation):
                    context.call_bytes("echo", b"x" * size, result="packed")
        with box.context() as context:
            context.call("steer", buffer)
            assert context.call_bytes("echo", b"y" * size, result="packed") == b"y" * size
            context.finish()
        assert box.call_bytes("place", b"", fixed, 17, result="packed") == b"not to be written"
