"""Native guests are looked at as closely as Wasm guests: memory, registers, and where something lies."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import guests
import native_leaks
import pytest
from native_build import Toolchain
from needs import missing, require_kvm
from planted.reset import damaged

from hlfuzz import EnvironmentProblem, Guest, UsageError
from hlfuzz.invariants import INVARIANTS, Budget, Case, Target, state_reset
from hlfuzz.invariants.guests import native_notebook
from hlfuzz.invariants.noninterference import NATIVE_NOTEBOOK
from hlfuzz.model import Call

SECRET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


@pytest.fixture(autouse=True)
def _kvm() -> None:
    require_kvm()


def shown(target: Target) -> tuple[list[bytes], list[bytes]]:
    """What the notebook shows in a context after it was given the secret, and in a call of its own."""
    session = target.session()
    _, inside = session.sequence((Call("keep", (SECRET,)), Call("show")))
    after = session.single(Call("show"))
    return [c.data or b"" for c in inside.host_calls], [c.data or b"" for c in after.host_calls]


@pytest.mark.programs("gcc")
def test_the_native_notebook_keeps_a_secret_in_every_place_and_is_what_its_source_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(native_notebook.__file__).with_suffix(".c").read_text()
    built = Toolchain("gcc", "c", "-O2").build(source, tmp_path).read_bytes()
    found: list[tuple[list[bytes], list[bytes]]] = []
    for elf in (native_notebook.ELF, built):
        monkeypatch.setattr(native_notebook, "ELF", elf)
        with native_notebook.open_native_notebook() as target:
            found.append(shown(target))
    for inside, after in found:
        mxcsr, registers, *memory = inside
        assert memory == [SECRET] * 4, "data, heap, below the stack, mailbox"
        assert registers.endswith(SECRET + bytes(96)), "xmm8 and xmm9"
        assert registers[8:10] == b"\x3d\x40", "st0, an integer of 63 bits"
        assert mxcsr != after[0]
        assert not any(SECRET[:8] in data for data in after)
    assert [len(d) for d in found[0][0]] == [len(d) for d in found[1][0]]


@pytest.mark.parametrize("fault", ["FORGET_VECTORS", "FORGET_MAILBOX", "NO_RESET"])
def test_the_native_notebook_tells_what_a_reset_of_native_guests_forgets(fault: str) -> None:
    case = Case((Call(NATIVE_NOTEBOOK, (SECRET, SECRET[::-1])),))
    with damaged(guests.CLEAN_ARITHMETIC, fault, kinds=("elf",)) as target:
        found = INVARIANTS["noninterference"].probe(target, case)
    assert found is not None


def spinning(target: Target) -> str:
    """Which registers the probe finds changed in a sandbox whose vCPU spins, once there is a CPU for it."""
    for _ in range(200):
        try:
            found = state_reset.left_in_registers("spin")
        except EnvironmentProblem as problem:
            if "spins on CPU" not in str(problem):
                missing(str(problem))
            time.sleep(0.05)
        else:
            return "" if found is None else f"{found[0]}: {found[1]}"
    pytest.skip("other processes have every CPU for vCPUs that spin")


def test_registers_of_a_sandbox_that_spins_are_compared_too() -> None:
    with damaged(guests.CLEAN_ARITHMETIC, "FORGET_MXCSR", kinds=("elf",)) as target:
        assert spinning(target).startswith("a call context (transport spin): ('mxcsr: ")
    with guests.target(guests.CLEAN_ARITHMETIC, "kvm") as target:
        assert spinning(target) == ""


@pytest.mark.programs("gcc")
def test_what_a_native_guest_leaves_is_named_by_variable_heap_and_stack() -> None:
    with native_leaks.target("careful") as target:
        session = target.session()
        with session.box.context() as context:
            session.observe(context, Call("careful", (SECRET,)))
            places = {d.place for d in session.box.differences()}
            data, stack, heap = session.writable()
            for at in (stack.start, heap.stop - 8):
                context.write(at, SECRET[:8])
            edges = {d.address: d.place for d in session.box.differences()}
            context.finish()
        assert session.box.differences() == ()
    assert any(p.startswith("hlg_state +") and p.endswith("(data)") for p in places), places
    assert {"the stack", "the heap"} <= places
    assert (edges[stack.start], edges[heap.stop - 8]) == ("the stack", "the heap")
    assert data.start < stack.start < heap.start


@pytest.mark.programs("gcc")
def test_the_writable_parts_of_a_native_guest_are_all_that_can_be_written() -> None:
    with native_leaks.target("nothing") as target:
        memory = target.session().box.memory()
        for part in memory.writable:
            for at in (part.start, part.stop - 1):
                memory.write(at, b"x")
            for at in (part.start - 1, part.stop):
                with pytest.raises(UsageError, match="outside"):
                    memory.write(at, b"x")
    with guests.target(guests.CLEAN_ECHO, "inprocess") as target:
        assert target.session().box.memory().writable == (range(131072),)
    with guests.target('(module (memory (export "memory") 0))', "inprocess") as target:
        assert target.session().box.memory().writable == ()


def test_guests_without_symbols_say_the_part_alone() -> None:
    with native_notebook.open_native_notebook() as target:
        session = target.session()
        assert isinstance(session.box.guest, Guest)
        with session.box.context() as context:
            session.observe(context, Call("keep", (SECRET,)))
            places = {d.place for d in session.box.differences()}
            context.finish()
    assert {"data", "the stack", "the heap", "the mailbox's answer"} <= places


@pytest.mark.programs("gcc")
def test_a_native_guest_that_is_not_deterministic_is_shown_the_variable() -> None:
    with native_leaks.target("time_in_memory") as target:
        fault = INVARIANTS["determinism"].check(target, Random(1), Budget(20.0, 50)).fault
    assert fault is not None
    named = [line for line in fault.evidence if line.startswith("last_time +0x0 (data)")]
    assert len(named) == 1, fault.evidence
    first, second = named[0].partition(": ")[2].split(", or ")
    assert first != second
