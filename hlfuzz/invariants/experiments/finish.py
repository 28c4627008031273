"""Experiments of `context-finish`: what is gone after a context, and who may not use it."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

from hlfuzz.errors import (
    ContextBusy,
    ContextFinished,
    ForkedProcess,
    HlfuzzError,
    HlfuzzWarning,
    SandboxClosed,
    WrongThread,
)
from hlfuzz.invariants.experiments.lab import Experiment, Lab, Unkept, expect, in_thread, refused
from hlfuzz.invariants.experiments.slate import NOTE_ADDRESS, Place
from hlfuzz.model import Failure, HostError, Outcome, Timeout, Trap, Violation
from hlfuzz.sandbox import CallContext, Sandbox

_NOTE: Final = 5
CHILD_SECONDS: Final = 10.0
"""A forked child has as long to be refused, which takes a few µs."""


def _finish_wipes(lab: Lab) -> None:
    """After `finish()` everything is as in a fresh sandbox."""
    with lab.open() as box:
        with box.context() as context:
            _write_all(context)
            context.write(NOTE_ADDRESS + 64, b"host")
            context.finish()
        host = box.memory().read(NOTE_ADDRESS + 64, 4)  # before calls, which reset
        expect(host == bytes(4), "what the host wrote in a context is there after finish()")
        _expect_fresh(box, "after finish()")
        for place in Place:
            with box.context() as context:
                _write_all(context)
                context.finish()
            found = box.call("read", place)  # and resets: it says nothing of the other places
            expect(found == 0, f"a call reads {found} from {place.name.lower()} after finish()")


def _finish_again(lab: Lab) -> None:
    """A second `finish()` does nothing, not even to the next context."""
    with lab.open() as box:
        first = box.context()
        first.finish()
        first.finish()
        with box.context() as second:
            _write_all(second)
            first.finish()
            expect(not second.finished, "finish() of an earlier context ended the next one")
            for place in Place:
                found = second.call("read", place)
                expect(found == _NOTE, "finish() of an earlier context reset the next one")
            second.finish()
        _expect_fresh(box, "after two contexts")


def _used_after_finish(lab: Lab) -> None:
    """A context cannot be used after its end."""
    with lab.open() as box:
        context = box.context()
        reads = context.bytes_caller("read", "inplace")
        context.finish()
        uses: dict[str, Callable[[], object]] = {
            "call()": lambda: context.call("write", 0, _NOTE),
            "try_call()": lambda: context.try_call("write", 0, _NOTE),
            "call_bytes()": lambda: context.call_bytes("write", b"note"),
            "bytes_caller()": lambda: reads(b"note"),
            "place()": lambda: context.place(b"note"),
            "read()": lambda: context.read(0, 1),
            "write()": lambda: context.write(NOTE_ADDRESS, b"\x05"),
            "memory()": context.memory,
            "snapshot()": context.snapshot,
            "with": context.__enter__,
        }
        for name, use in uses.items():
            refused(ContextFinished, f"{name} of a context after finish()", use)
        _expect_fresh(box, "after a context was used after its end")


def _two_at_once(lab: Lab) -> None:
    """While a context is open nothing else uses the sandbox."""
    with lab.open() as box, box.context() as context:
        _write_all(context)
        uses: dict[str, Callable[[], object]] = {
            "a second context()": box.context,
            "call() of the sandbox": lambda: box.call("read", 0),
            "try_call() of the sandbox": lambda: box.try_call("read", 0),
            "reset() of the sandbox": box.reset,
            "snapshot() of the sandbox": box.snapshot,
        }
        for name, use in uses.items():
            refused(ContextBusy, f"{name} while a context is open", use)
        found = context.call("read", Place.TABLE)
        expect(found == _NOTE, "a use that was refused changed the state of the open context")
        context.finish()


def _other_thread(lab: Lab) -> None:
    """Another thread than the one that opened it can neither use nor end a context."""
    with lab.open() as box, box.context() as context:
        _write_all(context)
        uses: dict[str, Callable[[], object]] = {
            "call() of a context": lambda: context.call("write", 0, 1),
            "finish() of a context": context.finish,
            "memory of a context": lambda: context.read(0, 1),
            "context() of a sandbox": box.context,
            "call() of a sandbox": lambda: box.call("read", 0),
            "close() of a sandbox": box.close,
        }
        for name, use in uses.items():
            in_thread(lambda name=name, use=use: refused(WrongThread, f"{name} in another thread", use))
        found = context.call("read", Place.MEMORY)
        expect(found == _NOTE, "another thread changed the state of a context")
        context.finish()


def _left_open(lab: Lab) -> None:
    """Leaving `with` without `finish()` resets, and warns unless an exception is on its way."""
    with lab.open() as box:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with box.context() as context:
                _write_all(context)
        warned = any(issubclass(w.category, HlfuzzWarning) for w in caught)
        expect(warned, "a context was left without finish(), and nobody was warned")
        _expect_fresh(box, "after a context that was left without finish()")
        try:
            with box.context() as context:
                _write_all(context)
                raise Unkept
        except Unkept:
            pass
        _expect_fresh(box, "after a context that was left by an exception")


def _failures(lab: Lab) -> None:
    """A call that fails poisons the context, and not the sandbox."""

    def fail(caller: object, value: int) -> int:
        raise ArithmeticError(f"no answer to {value}")

    lab.answer = fail
    failures: dict[str, tuple[type[Failure], Callable[[CallContext], Outcome]]] = {
        "trap": (Trap, lambda context: context.try_call("trap", _NOTE)),
        "timeout": (Timeout, lambda context: context.try_call("spin", _NOTE)),
        "failed host function": (HostError, lambda context: context.try_call("ask", 1)),
        "violation of the interface": (Violation, _poisoned),
    }
    with lab.open() as box:
        for name, (kind, make) in failures.items():
            with box.context() as context:
                _write_all(context)
                outcome = make(context)
                expect(isinstance(outcome, kind), f"a {name} is due, and the call gave {outcome}")
                refused(ContextFinished, f"call() after a {name}", lambda: context.call("read", 0))
                context.finish()
            _expect_fresh(box, f"after a context that ended in a {name}")


def _closed(lab: Lab) -> None:
    """`close()` ends an open context."""
    box = lab.open()
    with box.context() as context:
        _write_all(context)
        box.close()
        box.close()
        refused(SandboxClosed, "call() of a context after close()", lambda: context.call("read", 0))
        refused(SandboxClosed, "finish() after close()", context.finish)
        refused(SandboxClosed, "context() after close()", box.context)


def _forked(lab: Lab) -> None:
    """A forked child can use neither sandbox nor context, and does not disturb its parent's."""
    here = threading.current_thread()
    if any(t is not here and not t.name.startswith("hlfuzz-") for t in threading.enumerate()):
        return  # a lock that another thread holds would never be free in the child
    with lab.open() as box, box.context() as context:
        _write_all(context)
        uses: dict[str, Callable[[], object]] = {
            "call() of a context": lambda: context.call("write", 0, 1),
            "finish() of a context": context.finish,
            "context() of a sandbox": box.context,
        }
        for name, use in uses.items():
            ended = _in_child(lambda use=use: use())
            expect(ended == "ForkedProcess", f"{name} in a forked child should be refused, and {ended}")
        for place in Place:
            expect(context.call("read", place) == _NOTE, "a forked child changed its parent's context")
        context.finish()


def _write_all(context: CallContext) -> None:
    for place in Place:
        context.call("write", place, _NOTE)


def _expect_fresh(box: Sandbox, when: str) -> None:
    # The VM first: reading a global runs code in it.
    if box.engine == "kvm":
        pages = box.verify()
        expect(not pages, f"{pages} pages of the VM's RAM differ from the snapshot {when}")
    seen = box.globals["page"]
    expect(seen == 0, f"the host reads {seen} from a global {when}")
    seen = box.memory().read(NOTE_ADDRESS, 4)
    expect(seen == bytes(4), f"the host reads {seen.hex()} from memory {when}")
    with box.context() as context:
        for place in Place:
            found = context.call("read", place)
            expect(found == 0, f"the next context reads {found} from {place.name.lower()} {when}")
        context.finish()


def _poisoned(context: CallContext) -> Outcome:
    """As a typed client does when the guest's answer is not what the schema says."""
    context.poison("an answer that breaks the interface")
    return Violation("an answer that breaks the interface")


def _in_child(work: Callable[[], Any]) -> str:
    """What became of it in a forked child, for the end of a sentence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside other threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
        except ForkedProcess:
            code = 0
        except HlfuzzError:
            code = 2
        finally:
            os._exit(code)
    end = time.monotonic() + CHILD_SECONDS
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return {0: "ForkedProcess", 1: "was accepted", 2: "was refused otherwise"}.get(code, "crashed")
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "did not return"


FINISH: Final[Mapping[str, Experiment]] = {
    "finish-wipes": _finish_wipes,
    "finish-again": _finish_again,
    "used-after-finish": _used_after_finish,
    "two-at-once": _two_at_once,
    "other-thread": _other_thread,
    "left-open": _left_open,
    "failures": _failures,
    "closed": _closed,
    "forked": _forked,
}
