"""`Typed`: a schema as the checkers use it, and the interface of a guest that was built for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from hlfuzz.bindings import Interface as Bindings
from hlfuzz.bindings.client import check_guest
from hlfuzz.bindings.host import ALLOCATOR
from hlfuzz.errors import UsageError
from hlfuzz.guest import Guest
from hlfuzz.invariants.interface import Interface, Method
from hlfuzz.invariants.observe import HostCall
from hlfuzz.invariants.settings.config import Config
from hlfuzz.invariants.typed.messages import MessageMethod
from hlfuzz.invariants.typed.method import Place, Refusal, TypedMethod
from hlfuzz.invariants.typed.numbers import RawMethod
from hlfuzz.invariants.typed.stand_ins import stand_ins
from hlfuzz.model import Call, Ok, Outcome
from hlfuzz.sandbox import Provider
from hlfuzz.schema.diagnostics import did_you_mean
from hlfuzz.schema.ir import Direction, Format
from hlfuzz.schema.names import client_method_names

__all__ = ["Refusal", "Typed", "describe_typed"]

_MAX_LISTED: Final = 8


class Typed:
    """What a schema adds to a target: typed calls and their text, stand-ins, decoded answers."""

    def __init__(self, interface: Bindings, *, service: str | None = None, path: Path | None = None) -> None:
        """`service`: only the methods of this one; `path`: the file of the schema, where it is known. Raises
        `UsageError` for a schema without guest methods."""
        self.interface = interface
        self.path = path
        raw = interface.schema.format is Format.RAW
        self.methods: dict[str, TypedMethod] = {}
        """The guest's methods by export."""
        for found, method in interface.methods(Direction.GUEST):
            if service in (None, found.name):
                name = client_method_names(found)[method.name]
                self.methods[method.symbol] = (
                    RawMethod(found, method, name) if raw else MessageMethod(interface, found, method, name)
                )
        if not self.methods:
            raise UsageError(
                f"the schema has no method that a guest exports ({interface.schema.name}): give it a service "
                "whose name ends in Guest"
            )
        self.host_functions = frozenset(m.symbol for _, m in interface.methods(Direction.HOST))
        """The host functions that stand-ins answer for, as "module.name"."""

    @property
    def allocator(self) -> str | int | None:
        """The guest's allocator, or a fixed address."""
        schema = self.interface.schema
        return schema.allocator if schema.format is Format.RAW else ALLOCATOR

    def find(self, name: str) -> TypedMethod:
        """A method by its name in the schema ("on_data", "FilterGuest.on_data") or its export. Raises
        `UsageError`."""
        if name in self.methods:
            return self.methods[name]
        found = [m for m in self.methods.values() if name in _names(m)]
        if len(found) == 1:
            return found[0]
        known = [_names(m)[0] for m in self.methods.values()]
        if found:
            hint = f"several services have it; say {_names(found[0])[-1]!r}"
        else:
            hint = did_you_mean(name, known, f"it has {', '.join(known[:_MAX_LISTED])}")
        raise UsageError(f"no method {name!r} of a guest ({self.interface.schema.name}): {hint}")

    def perform(self, place: Place, call: Call) -> Outcome:
        """Make a call: as the schema says where it is a method's, else as it is."""
        method = self.methods.get(call.function)
        if method is None:
            return place.try_call(call.function, *call.args)
        return method.perform(place, call)

    def answer(self, call: Call, outcome: Outcome) -> Outcome:
        """The outcome with the value that the guest answered, or a `Refusal`, instead of its bytes."""
        method = self.methods.get(call.function)
        if method is None or not isinstance(outcome, Ok):
            return outcome
        return Ok((method.answer(outcome),))

    def text(self, call: Call) -> str | None:
        """The call as Python text; None when it is no method's."""
        method = self.methods.get(call.function)
        return None if method is None else method.text(call)

    def stand_ins(self, guest: Guest, note: Callable[[HostCall], None]) -> dict[str, Provider]:
        """Providers for the host functions that a guest imports; see `stand_ins`."""
        return stand_ins(self.interface, guest, note)


def _names(method: TypedMethod) -> tuple[str, ...]:
    service, name = method.service.name, method.method.name
    return name, method.name, f"{service.rpartition('.')[2]}.{name}", f"{service}.{name}"


def describe_typed(guest: Guest, typed: Typed, config: Config, *, only: Iterable[str] = ()) -> Interface:
    """The interface of a guest by its schema and what the configuration adds, whose keys are methods of the
    schema. `only` limits the methods to these names.

    Raises `LinkError` with the first difference when the guest was built for another interface, `UsageError`
    for a name that is no method.
    """
    check_guest(typed.interface, guest)
    chosen = {typed.find(name).symbol for name in only} or set(typed.methods)
    configured = {typed.find(name).symbol: said for name, said in config.methods.items()}
    opens = typed.find(config.tenant_open).symbol if config.tenant_open else None
    methods: list[Method] = []
    for symbol, method in typed.methods.items():
        said = configured.get(symbol)
        if symbol != opens and (symbol not in chosen or (said is not None and said.skip)):
            continue
        stateful = method.method.stateful or (said is not None and said.stateful)
        methods.append(Method(symbol, method.type, method.carries_bytes, (), stateful, judged=True))
    return Interface(tuple(methods), config.host, opens, typed.allocator, typed)
