"""Opening and closing micro-VMs: nothing leaks, whichever way a sandbox ends."""

from __future__ import annotations

import gc
import os
import signal
import threading

import native
import pytest
from patient import CAN_SPIN, open_sandbox
from variants import Variant

from hlfuzz import ForkedProcess, Ok, Sandbox, SandboxClosed, Trap, WrongThread

COUNTER = """(module (memory (export "memory") 1) (global $n (mut i32) (i32.const 0))
  (func (export "count") (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n))
  (func (export "add") (param i32 i32) (result i32)
    (i32.store (i32.const 8) (local.get 0)) (i32.add (local.get 0) (local.get 1)))
  (func (export "trap") unreachable)
  (func (export "loop") (loop br 0)))"""
SANDBOXES = 1000
CALLS = {"spin memory": 1_000_000, "spin strict": 10_000, "exit memory": 50_000, "exit strict": 50_000}
"""Calls in the leak test; one costs a microsecond (spin and memory) to a hundred (spin and strict)."""
SPARE_MAPPINGS = 16
"""Mappings that the allocator may add or drop by itself."""
MIB = 1 << 20


def use(box: Sandbox) -> None:
    with box:
        assert box.call("count") == 1
        assert box.try_call("trap") == Trap("unreachable")


def test_a_thousand_sandboxes_leave_nothing_behind(guest):
    made = guest(COUNTER)

    def one(number: int) -> None:
        box = Sandbox(made, engine="kvm", transport="exit", reset="strict" if number % 2 else "memory")
        match number % 4:
            case 0:
                box.call("count")  # and forgotten: the garbage collector closes it
            case 1:
                box.context().call("count")
                box.close()
            case _:
                use(box)

    for number in range(50):
        one(number)
    gc.collect()
    before = native.open_files(), native.threads(), native.mappings(), native.resident_bytes()
    for number in range(SANDBOXES):
        one(number)
    gc.collect()
    assert native.open_files() == before[0]
    assert native.threads() == before[1]
    assert native.mappings() <= before[2] + SPARE_MAPPINGS
    assert native.resident_bytes() <= before[3] + 16 * MIB


@pytest.mark.skipif(not CAN_SPIN, reason="the spin transport needs two CPUs")
def test_spinning_sandboxes_leave_no_threads_behind(guest):
    made = guest(COUNTER)
    variants = [{"reset": "memory"}, {"reset": "strict"}]

    def one(number: int) -> None:
        box = open_sandbox(made, engine="kvm", transport="spin", deadline=0.01, **variants[number % 2])
        if number % 10 == 0:
            box.try_call("loop")
        use(box)

    one(0)
    gc.collect()
    before = native.open_files(), native.threads(), native.mappings()
    for number in range(60):
        one(number)
    assert native.open_files() == before[0]
    assert native.threads() == before[1]
    assert native.mappings() <= before[2] + SPARE_MAPPINGS


@pytest.mark.parametrize("reset", ["strict", "memory"])
def test_a_million_calls_leave_nothing_behind(guest, open_box, transport, reset):
    box = open_box(guest(COUNTER), None, Variant(transport, reset, "ring"))
    calls = CALLS[f"{transport} {reset}"]
    native.measure(box, "add", (1, 2), 1000)
    gc.collect()
    before = native.open_files(), native.threads(), native.mappings(), native.resident_bytes()
    batch = calls // 10
    for _ in range(10):
        native.measure(box, "add", (1, 2), batch)
    gc.collect()
    assert (native.open_files(), native.threads()) == before[:2]
    assert native.mappings() <= before[2] + SPARE_MAPPINGS
    assert native.resident_bytes() <= before[3] + 8 * MIB
    assert native.differing_pages(box) == 0
    assert box.stats().resets >= calls
    assert box.call("count") == 1


def test_calls_from_python_leak_nothing(guest):
    with Sandbox(guest(COUNTER), engine="kvm", transport="exit", reset="memory") as box:

        def work() -> None:
            for _ in range(2000):
                box.call("add", 1, 2)
                box.try_call("trap")
                box.memory().read(0, 64)

        work()
        gc.collect()
        before = len(gc.get_objects()), native.resident_bytes()
        work()
        gc.collect()
        assert len(gc.get_objects()) <= before[0] + 500
        assert native.resident_bytes() <= before[1] + 4 * MIB


def in_child(work) -> int:
    """Runs `work` in a forked child; its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("reset", ["strict", "memory"])
def test_a_forked_child_is_refused_and_the_parent_goes_on(guest, open_box, transport, reset):
    made = guest(COUNTER)
    box = open_box(made, None, Variant(transport, reset, "ring"), verify=1)
    with box.context() as context:
        assert context.call("count") == 1
        before = native.open_files(), native.mappings()

        def child() -> None:
            for touch in (lambda: context.call("count"), lambda: box.call("count"), box.memory, box.reset):
                with pytest.raises(ForkedProcess, match="open a new one"):
                    touch()
            files = native.open_files()
            box.close()
            assert native.open_files() <= files
            use(Sandbox(made, engine="kvm", transport="exit"))  # booted anew: the snapshot is the parent's

        assert in_child(child) == 0
        assert (native.open_files(), native.mappings()) == before
        assert context.call("count") == 2
        context.finish()
    assert box.call("count") == 1


@pytest.mark.skipif(not CAN_SPIN, reason="the spin transport needs two CPUs")
def test_the_cpu_of_a_spinning_sandbox_is_free_after_close_although_a_child_lives(guest):
    made = guest(COUNTER)
    box = open_sandbox(made, engine="kvm", transport="spin", reset="memory")
    box.call("count")
    cpu = box.stats().vcpu_cpu
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)  # lives until the parent closes its end
        os._exit(0)
    try:
        box.close()
        use(open_sandbox(made, engine="kvm", transport="spin", reset="memory", cpu=cpu))
    finally:
        os.close(writer)
        os.close(reader)
        os.waitpid(child, 0)


def test_two_threads_use_a_sandbox_each(guest, open_box):
    made = guest(COUNTER)
    failures: list[BaseException] = []

    def work(transport: str) -> None:
        try:
            box = open_sandbox(made, engine="kvm", transport=transport, reset="memory", verify=50)
            with box:
                for n in range(2000):
                    assert box.call("add", n, 1) == n + 1
                    if n % 100 == 0:
                        assert box.try_call("trap") == Trap("unreachable")
                assert box.call("count") == 1
                assert box.stats().verify_failures == 0
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=work, args=(t,)) for t in ("exit", "exit")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_another_thread_is_refused_and_harmless(guest, open_box, transport):
    box = open_box(guest(COUNTER), None, Variant(transport, "strict", "ring"))
    context = box.context()
    context.call("count")
    errors: list[type] = []

    def use_it() -> None:
        for touch in (lambda: context.call("count"), lambda: box.call("count"), box.close, context.finish):
            try:
                touch()
            except Exception as e:
                errors.append(type(e))

    thread = threading.Thread(target=use_it)
    thread.start()
    thread.join()
    assert errors == [WrongThread] * 4
    assert context.call("count") == 2
    context.finish()
    assert box.call("count") == 1


def test_closing_in_a_context_ends_it(guest, open_box, transport):
    box = open_box(guest(COUNTER), None, Variant(transport, "strict", "ring"))
    context = box.context()
    assert context.try_call("count") == Ok((1,))
    box.close()
    box.close()
    for touch in (lambda: context.call("count"), lambda: box.call("count"), context.finish):
        with pytest.raises(SandboxClosed):
            touch()
