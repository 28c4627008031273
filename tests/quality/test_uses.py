"""Each use that an experiment or an injected failure tries is noticed when only that is not refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import guests
import pytest

from hlfuzz.errors import ContextBusy, ContextFinished, ForkedProcess, SandboxClosed, WrongThread
from hlfuzz.invariants import INVARIANTS, Case, Fault, Injection
from hlfuzz.invariants.experiments.finish import FINISH
from hlfuzz.invariants.experiments.lab import Lab, Unkept
from hlfuzz.invariants.failures import inject
from hlfuzz.model import Call, Ok, Timeout, Trap
from hlfuzz.sandbox import CallContext, Caller, Sandbox, hostcalls

USES = (
    ("used-after-finish", ContextFinished, CallContext, "call", "call() of a context after finish()"),
    ("used-after-finish", ContextFinished, CallContext, "try_call", "try_call() of a context"),
    ("used-after-finish", ContextFinished, CallContext, "call_bytes", "call_bytes() of a context"),
    ("used-after-finish", ContextFinished, CallContext, "bytes_caller", "bytes_caller() of a context"),
    ("used-after-finish", ContextFinished, CallContext, "place", "place() of a context"),
    ("used-after-finish", ContextFinished, CallContext, "read", "read() of a context"),
    ("used-after-finish", ContextFinished, CallContext, "write", "write() of a context"),
    ("used-after-finish", ContextFinished, CallContext, "snapshot", "snapshot() of a context"),
    ("used-after-finish", ContextFinished, CallContext, "__enter__", "with of a context"),
    ("two-at-once", ContextBusy, Sandbox, "context", "a second context()"),
    ("two-at-once", ContextBusy, Sandbox, "call", "call() of the sandbox"),
    ("two-at-once", ContextBusy, Sandbox, "try_call", "try_call() of the sandbox"),
    ("two-at-once", ContextBusy, Sandbox, "reset", "reset() of the sandbox"),
    ("two-at-once", ContextBusy, Sandbox, "snapshot", "snapshot() of the sandbox"),
    ("other-thread", WrongThread, CallContext, "call", "call() of a context in another thread"),
    ("other-thread", WrongThread, CallContext, "finish", "finish() of a context in another thread"),
    ("other-thread", WrongThread, CallContext, "read", "memory of a context in another thread"),
    ("other-thread", WrongThread, Sandbox, "context", "context() of a sandbox in another thread"),
    ("other-thread", WrongThread, Sandbox, "call", "call() of a sandbox in another thread"),
    ("other-thread", WrongThread, Sandbox, "close", "close() of a sandbox in another thread"),
    ("closed", SandboxClosed, CallContext, "call", "call() of a context after close()"),
    ("closed", SandboxClosed, CallContext, "finish", "finish() after close()"),
    ("closed", SandboxClosed, Sandbox, "context", "context() after close()"),
    ("forked", ForkedProcess, CallContext, "call", "call() of a context in a forked child"),
    ("forked", ForkedProcess, CallContext, "finish", "finish() of a context in a forked child"),
    ("forked", ForkedProcess, Sandbox, "context", "context() of a sandbox in a forked child"),
)


def lenient(sound: Callable[..., Any], error: type[Exception]) -> Callable[..., Any]:
    def use(*args: Any, **options: Any) -> Any:
        try:
            result = sound(*args, **options)
        except error:
            return None
        return lenient(result, error) if sound.__name__ == "bytes_caller" else result

    return use


@pytest.mark.parametrize(
    ("experiment", "error", "owner", "method", "what"),
    USES,
    ids=[f"{u[0]}-{u[2].__name__}.{u[3]}" for u in USES],
)
def test_a_use_that_is_not_refused_is_named(
    experiment: str, error: type[Exception], owner: type, method: str, what: str
) -> None:
    with (
        patch.object(owner, method, lenient(getattr(owner, method), error)),
        pytest.raises(Unkept, match=rf"^{re.escape(what)}.*accepted$"),
    ):
        FINISH[experiment](Lab("inprocess", "strict"))


def injected(kind: str) -> Fault | None:
    case = Case((Call("hlfuzz.ask", (7,)),), context=False, injection=Injection(inject.POINT, kind))
    with guests.target(guests.CLEAN_ECHO, "inprocess") as target:
        return INVARIANTS["error-containment"].probe(target, case, strict=True)


@pytest.mark.parametrize("kind", [
    "raise", "interrupt", "exit", "stop-iteration", "assertion", "out-of-memory", "recursion",
    "generator-exit", "unprintable", "half-a-character",
])  # fmt: skip
def test_an_exception_that_arrives_as_another_is_found(kind: str) -> None:
    raised, invoke = type(inject.RAISED[kind]()), hostcalls.HostCalls.invoke

    def swapped(*args: Any) -> Any:
        try:
            return invoke(*args)
        except raised as error:
            raise LookupError from error

    with patch.object(hostcalls.HostCalls, "invoke", swapped):
        assert injected(kind) is not None


@pytest.mark.parametrize("kind", ["wrong-type", "wrong-count", "huge-number", "huge-tuple"])
def test_an_answer_that_is_taken_for_zeros_is_found(kind: str) -> None:
    sound = hostcalls.canonical_results

    def forgiving(returned: Any, type_: Any) -> Any:
        try:
            return sound(returned, type_)
        except ValueError:
            return tuple(0 for _ in type_.results)

    with patch.object(hostcalls, "canonical_results", forgiving):
        assert injected(kind) is not None


@pytest.mark.parametrize(
    ("kind", "error", "owner", "method"),
    [
        ("re-entrance", ContextBusy, Sandbox, "call"),
        ("re-entrance", ContextBusy, Sandbox, "context"),
        ("re-entrance", ContextBusy, Sandbox, "reset"),
        ("re-entrance", ContextBusy, Sandbox, "close"),
        ("other-thread", WrongThread, Sandbox, "call"),
        ("other-thread", WrongThread, Sandbox, "close"),
        ("other-thread", WrongThread, Caller, "call"),
    ],
)
def test_a_use_in_a_host_function_that_is_not_refused_is_found(
    kind: str, error: type[Exception], owner: type, method: str
) -> None:
    with patch.object(owner, method, lenient(getattr(owner, method), error)):
        found = injected(kind)
    assert found is not None
    assert f"{owner.__name__}.{method}()" in found.title


@pytest.mark.parametrize(("kind", "outcome"), [("nested-trap", Trap), ("nested-timeout", Timeout)])
def test_a_nested_failure_that_seems_to_have_returned_is_found(kind: str, outcome: type) -> None:
    sound = Caller.try_call

    def try_call(*args: Any) -> Any:
        ended = sound(*args)
        return Ok() if isinstance(ended, outcome) else ended

    with patch.object(Caller, "try_call", try_call):
        found = injected(kind)
    assert found is not None
    assert "a nested call of" in found.title
