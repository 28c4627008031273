"""One guest in several engines at once: every call is made in all of them, and must do the same in each."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from catalogue import Answer
from patient import CAN_SPIN, open_sandbox

from hlfuzz import (
    CallContext,
    Caller,
    FuncType,
    Guest,
    HostError,
    HostFunction,
    Memory,
    Ok,
    Outcome,
    Sandbox,
    Table,
    Timeout,
    Trap,
    Value,
)
from hlfuzz.model import ExternKind, MemoryType, value_bits
from hlfuzz.sandbox import Provider

VARIANTS: dict[str, dict[str, Any]] = {
    "kvm exit strict": {"engine": "kvm", "transport": "exit", "reset": "strict"},
    "kvm spin memory": {"engine": "kvm", "transport": "spin", "reset": "memory"},
    "inprocess": {"engine": "inprocess"},
}


class CallEnded(AssertionError):
    """A call gave no value, in all engines for the same reason."""


class Twins:
    """Sandboxes of one guest, in a call context each, that are compared after every call."""

    def __init__(
        self,
        guest: Guest,
        answers: Mapping[str, Answer] | None = None,
        given: Mapping[str, Provider] | None = None,
        *,
        deadline: float = 30.0,
    ) -> None:
        self.guest = guest
        self._stack = ExitStack()
        self.logs: dict[str, list[tuple[Any, ...]]] = {}
        self._boxes: dict[str, Sandbox] = {}
        self._contexts: dict[str, CallContext] = {}
        self._memories = [e.name for e in guest.info.exports if e.kind is ExternKind.MEMORY]
        for variant, options in VARIANTS.items():
            if options.get("transport") == "spin" and not CAN_SPIN:
                continue
            log = self.logs[variant] = []
            host = _host(guest, answers or {}, given or {}, log)
            box = open_sandbox(guest, host, deadline=deadline, wall_deadline=10 * deadline, **options)
            self._boxes[variant] = self._stack.enter_context(box)
        self.restart()

    def restart(self) -> None:
        """Back to the snapshot, in all."""
        for context in self._contexts.values():
            context.finish()
        self._contexts = {variant: box.context() for variant, box in self._boxes.items()}

    def try_call(self, function: str, *args: Value) -> Outcome:
        """Call in all and compare outcome, host calls, memories and globals. A timeout in one, which says
        nothing about the others, is given without comparing."""
        for log in self.logs.values():
            log.clear()
        outcomes = {v: c.try_call(function, *args) for v, c in self._contexts.items()}
        timeouts = [o for o in outcomes.values() if isinstance(o, Timeout)]
        if timeouts:
            return timeouts[0]
        what = f"{self.guest.name}: {function}{args}"
        _same(what, {v: _comparable(o) for v, o in outcomes.items()})
        _same(f"{what}, host calls", self.logs)
        self._compare_state(what)
        return next(iter(outcomes.values()))

    def call(self, function: str, *args: Value) -> Any:
        """`try_call` that must succeed, else `CallEnded`; None, the value, or all values."""
        outcome = self.try_call(function, *args)
        if not isinstance(outcome, Ok):
            raise CallEnded(f"{self.guest.name}: {function}{args}: {outcome}")
        match outcome.values:
            case ():
                return None
            case (one,):
                return one
            case many:
                return many

    def read(self, address: int, length: int) -> bytes:
        """Default memory, compared."""
        found = {v: c.read(address, length) for v, c in self._contexts.items()}
        _same(f"{self.guest.name}: read({address}, {length})", found)
        return next(iter(found.values()))

    def read_u32(self, address: int) -> int:
        return int.from_bytes(self.read(address, 4), "little")

    def write(self, address: int, data: bytes) -> None:
        for context in self._contexts.values():
            context.write(address, data)

    def put(self, address: int, data: bytes) -> int:
        """`write` that gives the address back."""
        self.write(address, data)
        return address

    def global_value(self, name: str) -> Any:
        """An exported global, the same in all."""
        found = {v: b.globals[name] for v, b in self._boxes.items()}
        _same(f"{self.guest.name}: global {name}", found)
        return next(iter(found.values()))

    @property
    def host_calls(self) -> list[tuple[Any, ...]]:
        """(import, arguments) of the host calls of the last call."""
        return next(iter(self.logs.values()))

    def close(self) -> None:
        self._stack.close()

    def _compare_state(self, what: str) -> None:
        for name in self._memories:
            found = {}
            for variant, box in self._boxes.items():
                memory = box.memory(name)
                found[variant] = memory.read(0, memory.size)
            _same_memory(f"{what}, memory {name!r}", found)
        numbers = {v: _global_bits(b, self.guest) for v, b in self._boxes.items()}
        _same(f"{what}, globals", numbers)


def _host(
    guest: Guest, answers: Mapping[str, Answer], given: Mapping[str, Provider], log: list[tuple[Any, ...]]
) -> dict[str, Provider]:
    """Providers of all imports: `answers`, `given`, empty memories and tables, functions returning zeros."""

    def recorded(key: str, type_: FuncType) -> HostFunction:
        answer = answers.get(key)
        zeros = tuple(0 for _ in type_.results)

        def function(caller: Caller, *args: Value) -> Any:
            log.append((key, args))
            if answer is not None:
                return answer(caller, *args)
            return zeros if len(zeros) > 1 else zeros[0] if zeros else None

        return HostFunction(function, caller=True)

    providers: dict[str, Provider] = dict(given)
    for wanted in guest.info.imports:
        if isinstance(wanted.type, FuncType):
            providers[wanted.key] = recorded(wanted.key, wanted.type)
        elif wanted.key not in providers:
            providers[wanted.key] = Memory() if isinstance(wanted.type, MemoryType) else Table()
    return providers


def _comparable(outcome: Outcome) -> Any:
    """What must be equal: values to the bit, traps by code, host errors by function and message."""
    match outcome:
        case Ok(values):
            return "ok", tuple(value_bits(v) for v in values)
        case Trap(code):
            return "trap", code
        case HostError(function, message):
            return "host", function, message
        case other:
            return other


def _global_bits(box: Sandbox, guest: Guest) -> dict[str, bytes]:
    return {name: value_bits(value) for name, value in dict(box.globals).items()}


def _same(what: str, found: Mapping[str, Any]) -> None:
    first, *others = found
    for other in others:
        assert found[first] == found[other], f"{what}: {first} and {other} differ"


def _same_memory(what: str, found: Mapping[str, bytes]) -> None:
    first, *others = found
    for other in others:
        a, b = found[first], found[other]
        if a != b:
            at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
            raise AssertionError(
                f"{what}: {first} ({len(a)} bytes) and {other} ({len(b)} bytes) differ from byte {at} on"
            )
