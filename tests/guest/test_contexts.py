"""Call contexts: state lasts to finish() and not beyond it; misuse is refused by name."""

from __future__ import annotations

import threading

import pytest

from hlfuzz import (
    ContextBusy,
    ContextFinished,
    GuestTimeout,
    GuestTrap,
    HlfuzzWarning,
    Sandbox,
    SandboxClosed,
    UsageError,
    WrongThread,
)

COUNTER = """(module (memory (export "memory") 1)
  (global $n (export "n") (mut i32) (i32.const 0))
  (func (export "count") (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n))
  (func (export "trap") unreachable)
  (func (export "loop") (loop (br 0)))
  (func (export "malloc") (param i32) (result i32) i32.const 64)
  (func (export "first") (param i32 i32) (result i32) (i32.load8_u (local.get 0))))"""


@pytest.fixture
def box(engine, guest):
    with Sandbox(guest(COUNTER), engine=engine, deadline=0.05) as box:
        yield box


def test_state_lasts_in_a_context_and_is_gone_after_finish(box):
    with box.context() as context:
        assert [context.call("count") for _ in range(3)] == [1, 2, 3]
        context.finish()
    assert box.call("count") == 1


def test_a_context_reads_and_writes_memory(box):
    with box.context() as context:
        context.write(10, b"abc")
        assert context.read(10, 3) == b"abc"
        assert context.call("first", b"z") == ord("z")
        assert context.call_bytes("first", b"y") == ord("y")
        context.finish()
    assert box.memory().read(10, 3) == b"\0\0\0"


def test_finish_twice_is_fine_and_a_call_after_it_is_not(box):
    context = box.context()
    context.finish()
    context.finish()
    assert context.finished
    for use in (lambda: context.call("count"), lambda: context.read(0, 1), lambda: context.write(0, b"")):
        with pytest.raises(ContextFinished, match="open a new one"):
            use()


def test_an_old_context_does_not_work_in_a_new_one(box):
    old = box.context()
    old.finish()
    with box.context() as new:
        with pytest.raises(ContextFinished):
            old.call("count")
        assert new.call("count") == 1
        new.finish()


def test_two_contexts_at_once_are_refused(box):
    with box.context() as context:
        with pytest.raises(ContextBusy):
            box.context()
        context.finish()


def test_the_sandbox_itself_is_busy_while_a_context_is_open(box):
    with box.context() as context:
        for use in (lambda: box.call("count"), lambda: box.try_call("count"), box.reset):
            with pytest.raises(ContextBusy):
                use()
        context.finish()
    assert box.call("count") == 1


def test_leaving_without_finish_resets_and_warns(box):
    with pytest.warns(HlfuzzWarning, match="finish"), box.context() as context:
        context.call("count")
    assert box.call("count") == 1


def test_leaving_by_an_exception_resets_without_a_warning(box):
    with pytest.raises(ZeroDivisionError), box.context() as context:
        context.call(str(1 // 0))
    assert box.call("count") == 1


@pytest.mark.parametrize(("function", "error"), [("trap", GuestTrap), ("loop", GuestTimeout)])
def test_a_failed_call_poisons_the_context_and_not_the_sandbox(box, function, error):
    with box.context() as context:
        context.call("count")
        with pytest.raises(error):
            context.call(function)
        with pytest.raises(ContextFinished, match="poisoned by"):
            context.call("count")
        context.finish()
    assert box.call("count") == 1


def test_memory_can_be_read_after_the_trap_that_poisoned_a_context(box):
    with box.context() as context:
        context.write(0, b"evidence")
        context.try_call("trap")
        assert context.read(0, 8) == b"evidence"
        context.finish()


def test_a_refused_call_does_not_poison(box):
    with box.context() as context:
        context.call("count")
        with pytest.raises(UsageError):
            context.call("count", 1)
        assert context.call("count") == 2
        context.finish()


def test_another_thread_is_refused(box):
    errors: list[BaseException] = []

    def use(function):
        try:
            function()
        except BaseException as e:
            errors.append(e)

    context = box.context()
    uses = [lambda: context.call("count"), box.context, lambda: box.memory(), box.close, context.finish]
    for function in uses:
        thread = threading.Thread(target=use, args=(function,))
        thread.start()
        thread.join()
    assert [type(e) for e in errors] == [WrongThread] * len(uses)
    context.finish()


def test_a_closed_sandbox_says_so_and_closes_twice(box):
    context = box.context()
    box.close()
    box.close()
    for use in (lambda: box.call("count"), box.context, box.memory, box.stats, lambda: context.call("count")):
        with pytest.raises(SandboxClosed):
            use()


def test_closing_inside_an_open_context_is_quiet(engine, guest):
    with Sandbox(guest(COUNTER), engine=engine) as box, box.context() as context:
        context.call("count")
        box.close()
