"""`assert_holds`: one case as an assertion in a test, which is how a finding is kept from coming back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from hlfuzz.bindings import Interface as Schema
from hlfuzz.errors import Finding, UsageError
from hlfuzz.fuzz.triage import CRASH
from hlfuzz.guest import Guest
from hlfuzz.invariants import (
    INVARIANTS,
    Case,
    Config,
    Fault,
    HostMode,
    Injection,
    Invariant,
    Secret,
    Subject,
    Target,
    choose,
    describe_interface,
    find_project,
    load_checkers,
    refuse_missing,
)
from hlfuzz.invariants.case import vector_index
from hlfuzz.invariants.sequences import TypedCall
from hlfuzz.invariants.settings.config import MethodConfig
from hlfuzz.invariants.target import EngineName
from hlfuzz.invariants.typed import Typed, describe_typed
from hlfuzz.model import Call, ExternKind, FuncType
from hlfuzz.sandbox import Provider

DEFAULT_DEADLINE: Final = 0.5
"""Seconds of CPU time."""

CallLike: TypeAlias = "Call | TypedCall | Sequence[Any]"
GuestLike: TypeAlias = "Guest | Target | str | os.PathLike[str]"


def assert_holds(
    invariant: str | Invariant,
    guest: GuestLike,
    calls: Iterable[CallLike],
    *,
    context: bool = True,
    secret: Secret | tuple[bytes, bytes] | None = None,
    boxes: Sequence[int] = (),
    injection: Injection | None = None,
    host: Mapping[str, str | Provider] | None = None,
    stateful: Iterable[str] = (),
    tenant_open: str | None = None,
    allocator: str | int | None = None,
    schema: Schema | str | os.PathLike[str] | None = None,
    engine: EngineName = "auto",
    deadline: float = DEFAULT_DEADLINE,
) -> None:
    """Raise `Finding` if `invariant` does not hold for these calls, each `(function, *arguments)`.

    `invariant` is an id, "crash" (the guest must answer: no trap, timeout or broken interface), or a checker
    of your own. `guest` is a path, a `Guest`, or an open `Target`, which then decides about everything that
    follows `injection`. `context`, `secret`, `boxes` and `injection` are those of `hlfuzz.invariants.Case`; a
    secret may also be its two values, of which the first lies in one of the calls, once.
    `host` gives the host functions: your own, or "record" or "bytes" for a stand-in; `stateful` the methods
    that may depend on earlier calls; `tenant_open` the one that begins another tenant's calls; `allocator` an
    export or address. With a `schema`, a file or the `INTERFACE` of generated code, calls and `stateful` may
    name its methods, and calls give values of its classes. `deadline`: seconds of CPU time for one call.

    The case is judged under strict reset; for an invariant of the platform also under memory reset.
    Raises: Finding; UsageError for an unknown invariant, function or host function, or one that cannot be
    checked here; EnvironmentProblem without KVM where `engine` or the guest needs it.
    """
    __tracebackhide__ = True  # pytest then shows the line of the test
    checker = _checker(invariant)
    typed = _typed(guest, schema)
    made = tuple(_call(call, typed) for call in calls)
    slot = _find_secret(made, *secret) if isinstance(secret, tuple) else secret
    case = Case(made, context, slot, tuple(boxes), injection)
    if not case.calls:
        raise UsageError(
            "there is nothing to check (calls): give at least one call, as (function, *arguments)"
        )
    if isinstance(guest, Target):
        _judge(checker, guest, case)
        return
    loaded = guest if isinstance(guest, Guest) else Guest.load(guest)
    given = host or {}
    own = {name: provider for name, provider in given.items() if not isinstance(provider, str)}
    config = Config(
        host={name: _mode(name, mode) for name, mode in given.items() if isinstance(mode, str)},
        methods=_methods(loaded, case, frozenset(stateful)) if typed is None else _stateful(stateful),
        tenant_open=tenant_open,
        allocator=allocator,
    )
    if typed is None:
        interface = describe_interface(loaded.info, config)
    else:
        interface = describe_typed(loaded, typed, config)
    refuse_missing(loaded.info, interface, given=own)
    with Target(loaded, interface, engine=engine, deadline=deadline, host=own) as target:
        _judge(checker, target, case)


def fault_text(target: Target, fault: Fault) -> str:
    """A fault for people, on a few lines: what is wrong, who is accused, the calls, and what was seen."""
    calls = "\n".join(f"  {at}. {call}" for at, call in enumerate(calls_text(target, fault.case), 1))
    seen = "\n".join(f"  {line}" for line in fault.evidence)
    text = f"{fault.invariant or fault.kind} (accused: the {fault.subject}): {fault.title}\ncalls:\n{calls}"
    return f"{text}\nseen:\n{seen}" if seen else text


def calls_text(target: Target, case: Case) -> tuple[str, ...]:
    """The calls of a case for people, with typed values where the target has a schema, and the first of the
    two secrets in its place."""
    calls = case.calls if case.secret is None else case.variants()[0]
    return tuple(map(target.call_text, calls))


def _checker(invariant: str | Invariant) -> Invariant:
    if isinstance(invariant, Invariant):
        return invariant
    if invariant == CRASH.id:
        return CRASH
    if invariant not in INVARIANTS:
        load_checkers(find_project(Path.cwd()))
    return choose([invariant], "assert_holds")[0]


def _judge(checker: Invariant, target: Target, case: Case) -> None:
    __tracebackhide__ = True
    if reason := checker.unfit(target):
        raise UsageError(f"{checker.id} cannot be checked here ({target.guest.name}): {reason}")
    fault = checker.probe(target, case, strict=True)
    if fault is None and checker.subject is Subject.PLATFORM:
        fault = checker.probe(target, case)  # what strict reset cleans, memory reset may not
    if fault is not None:
        raise Finding(fault_text(target, fault), signature=fault.signature)


def _typed(guest: GuestLike, schema: Schema | str | os.PathLike[str] | None) -> Typed | None:
    if isinstance(guest, Target):
        return guest.interface.typed
    if schema is None:
        return None
    if isinstance(schema, Schema):
        return Typed(schema)
    path = Path(schema)
    return Typed(Schema.load(path), path=path)


def _stateful(names: Iterable[str]) -> dict[str, MethodConfig]:
    return {name: MethodConfig(stateful=True) for name in names}


def _call(call: CallLike, typed: Typed | None) -> Call:
    if isinstance(call, Call):
        return call
    if isinstance(call, TypedCall):
        return call.call
    if isinstance(call, str) or not call or not isinstance(call[0], str):
        raise UsageError(f"not a call ({call!r:.80}): write (function, *arguments), for example ('init',)")
    name, *arguments = call
    plain = all(isinstance(a, int | float | bytes) for a in arguments)
    if typed is None or name.startswith("hlfuzz.") or (plain and name in typed.methods):
        return Call(name, tuple(arguments))
    return typed.find(name).encode(tuple(arguments))


def _find_secret(calls: Sequence[Call], first: bytes, second: bytes) -> Secret:
    """The secret that lies in these calls."""
    vectors = [(at, call.args[index]) for at, call in enumerate(calls) if (index := vector_index(call)) >= 0]
    found = [(at, v.find(first)) for at, v in vectors if isinstance(v, bytes) for _ in range(v.count(first))]
    if not first or len(first) != len(second) or len(found) != 1:
        raise UsageError(
            f"the secret {first!r:.60} is not found (secret): give two values of one length, the first of "
            "which lies once in the bytes of one call, or hlfuzz.invariants.Secret"
        )
    ((at, offset),) = found
    return Secret(at, offset, len(first), first, second)


def _mode(name: str, mode: str) -> HostMode:
    try:
        return HostMode(mode)
    except ValueError:
        raise UsageError(
            f"unknown mode {mode!r} (host[{name!r}]): write {', '.join(map(repr, HostMode))}"
        ) from None


def _methods(guest: Guest, case: Case, stateful: frozenset[str]) -> dict[str, MethodConfig]:
    """What the calls themselves say about their methods. A single call that no export has may name an
    experiment of the checker."""
    known = {e.name: e.type for e in guest.info.functions_exported}
    if len(case.calls) > 1:
        for call in case.calls:
            guest.export(call.function, ExternKind.FUNC)
    for name in stateful:
        guest.export(name, ExternKind.FUNC)
    methods = {name: MethodConfig(stateful=True) for name in sorted(stateful)}
    for call in case.calls:
        type_ = known.get(call.function)
        if isinstance(type_, FuncType):
            vector = (
                bool(call.args) and isinstance(call.args[0], bytes) and len(call.args) < len(type_.params)
            )
            methods[call.function] = MethodConfig(stateful=call.function in stateful, bytes=vector or None)
    return methods
