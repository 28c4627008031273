"""`TypedGuest`: the base of generated clients. A typed call is encode, call, verify, decode."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

from hlfuzz.bindings.handshake import check_handshake
from hlfuzz.bindings.host import (
    Invoke,
    Raised,
    plain_invoke,
    providers,
    violation,
    wire_violation,
)
from hlfuzz.bindings.interface import Interface
from hlfuzz.bindings.raw import check_raw, raw_call, raw_host
from hlfuzz.bindings.records import HEADER_BYTES, OK_HEADER, error_text, read_header
from hlfuzz.errors import AbiViolation, GuestError, HlfuzzError, LinkError, UsageError
from hlfuzz.guest import Guest
from hlfuzz.model import ExternKind, FuncType, ValType
from hlfuzz.sandbox import CallContext, EngineName, Sandbox
from hlfuzz.schema.ir import Direction, Format, Method
from hlfuzz.schema.wire.base import WireError

H = TypeVar("H")
_TYPED: FuncType = FuncType((ValType.I32, ValType.I32), (ValType.I64,))
"""Signature of every export and import of the typed ABI: (pointer, length) -> pointer << 32 | length."""

Target = Sandbox | CallContext


class TypedGuest(Generic[H]):
    """A guest in a sandbox, called by the methods of one service.

    `open` checks the handshake before anything of the guest runs. State is wiped after each call; in a
    `context()` it lives until `finish()`. The thread that opens a client uses it.

    A call raises `CallFailed` and its kinds (`GuestTrap`, `GuestTimeout`, `AbiViolation` with field path and
    offset, `HostFunctionError`), `GuestError` when the guest answers with an error, and `EncodeError` for a
    value that the schema does not allow; nothing has run then.
    """

    _interface: ClassVar[Interface]
    _service: ClassVar[str]

    def __init__(self, box: Sandbox, target: Target, methods: Mapping[str, Bind], owned: bool) -> None:
        self._box = box
        self._target = target
        self._methods = methods
        self._calls: dict[str, Call] = {}
        self._owned = owned

    @classmethod
    def open(
        cls,
        guest: Guest | str | os.PathLike[str] | bytes,
        *,
        host: H | None = None,
        engine: Literal["auto"] | EngineName = "auto",
        reset: Literal["strict", "memory"] = "strict",
        transport: Literal["auto", "spin", "exit"] = "auto",
        deadline: float = 1.0,
        **options: Any,
    ) -> Self:
        """Load a guest and put it in a sandbox.

        Arguments: `guest`, a `Guest`, a file, or a module's bytes; `host`, the object whose methods are the
        host functions; the others as in `Sandbox`. Raises `LinkError` when it was built for another interface
        or a host function is missing, and what `Guest.load` and `Sandbox` raise.
        """
        return cls.open_with(
            guest,
            host,
            plain_invoke,
            engine=engine,
            reset=reset,
            transport=transport,
            deadline=deadline,
            **options,
        )

    @classmethod
    def open_with(
        cls, guest: Guest | str | os.PathLike[str] | bytes, host: object, invoke: Invoke, **options: Any
    ) -> Self:
        """`open`, with a say in where host methods run: `invoke(method, *arguments)` calls one."""
        loaded = guest if isinstance(guest, Guest) else Guest.load(guest)
        interface = cls._interface
        raised = Raised()
        check_guest(interface, loaded)
        if interface.schema.format is Format.RAW:
            given = raw_host(interface.schema, loaded, host, invoke)
            options.setdefault("allocator", interface.schema.allocator)
        else:
            given = providers(interface, loaded, host, raised, invoke)
        box = Sandbox(loaded, given, **options)
        service = interface.service(cls._service)
        raw = interface.schema.format is Format.RAW
        methods = {m.name: _raw(m) if raw else _typed(interface, m, raised) for m in service.methods}
        return cls(box, box, methods, True)

    @property
    def interface(self) -> Interface:
        """The schema and its codec."""
        return self._interface

    @property
    def target(self) -> Target:
        """What its calls go to: the sandbox, or the call context that `context()` opened."""
        return self._target

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox underneath: memory, statistics, raw calls."""
        return self._box

    def context(self) -> Self:
        """Open a call context: the same methods, with state that lives until `finish()`."""
        if not self._owned:
            raise UsageError("a call context is open already (context() of a context): finish it first")
        return self.within(self._box.context())

    def within(self, context: CallContext) -> Self:
        """The same methods, in a call context of its sandbox."""
        return type(self)(self._box, context, self._methods, False)

    def finish(self) -> None:
        """End the call context that this client was made for; again does nothing. Raises `UsageError` for a
        client that is not one of a context."""
        if not isinstance(self._target, CallContext):
            raise UsageError("not a call context: finish() ends what context() began")
        self._target.finish()

    def close(self) -> None:
        """Close the sandbox; of a call context, finish it."""
        if isinstance(self._target, CallContext):
            self._target.finish()
        else:
            self._box.close()

    def __enter__(self) -> Self:
        self._target.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._target.__exit__(kind, error, traceback)

    def invoke(self, method: str, /, *arguments: Any) -> Any:
        """Call a method by its name in the schema: what the generated methods do."""
        try:
            call = self._calls.get(method)
            if call is None:
                call = self._calls[method] = self._methods[method](self._target)
            return call(*arguments)
        except AbiViolation as error:
            if isinstance(self._target, CallContext):
                self._target.poison(f"{method!r}: {error}")
            raise

    _call = invoke


def client_of(interface: Interface, service: str) -> type[TypedGuest[Any]]:
    """A client class for a service, without generated code: its methods are called by `invoke`. Raises
    `UsageError` when there is no such service."""
    name = interface.service(service).name.rpartition(".")[2]
    return type(name, (TypedGuest,), {"_interface": interface, "_service": service})


def schema_of(client: type[TypedGuest[Any]]) -> tuple[Interface, str]:
    """The interface of a client class and the full name of its service. Raises `UsageError` for a class that
    has none."""
    interface = getattr(client, "_interface", None)
    if not isinstance(interface, Interface):
        name = getattr(client, "__name__", repr(client))
        raise UsageError(f"{name} has no interface (calls of a client): give a generated client class")
    return interface, interface.service(getattr(client, "_service", "")).name


Call = Callable[..., Any]
"""One method of a guest, called with the method's arguments."""
Bind = Callable[[Target], Call]
"""Makes a `Call` for a sandbox or a context."""


def _raw(method: Method) -> Bind:
    call = raw_call(method)
    return lambda target: partial(call, target)


def _typed(interface: Interface, method: Method, raised: Raised) -> Bind:
    assert method.request is not None
    assert method.response is not None
    encode = interface.message(method.request).encode
    response = interface.message(method.response)
    decode, type_name, symbol = response.decode, response.type_name, method.symbol

    def bind(target: Target) -> Call:
        send = target.bytes_caller(symbol, "packed")

        def call(request: Any) -> Any:
            raised.last = None
            record = send(encode(request))
            if record[:HEADER_BYTES] != OK_HEADER:
                raise not_ok(method, record) from raised.last
            try:
                return decode(record[HEADER_BYTES:])
            except WireError as error:
                raise wire_violation(repr(symbol), "response", type_name, error.fault) from None

        return call

    return bind


def not_ok(method: Method, record: bytes) -> HlfuzzError:
    """What a record says that is not a response."""
    if len(record) < HEADER_BYTES:
        return violation(
            repr(method.symbol),
            f"its response has {len(record)} bytes, less than the header's {HEADER_BYTES}",
        )
    status, reserved = read_header(record)
    if reserved:
        return violation(repr(method.symbol), f"the second word of its response is {reserved}, not 0")
    return GuestError(method.name, status, error_text(record))


def check_guest(interface: Interface, guest: Guest) -> None:
    """Raise `LinkError` with the first difference when a guest was not built for the interface."""
    if interface.schema.format is Format.RAW:
        check_raw(interface.schema, guest)
    else:
        check_handshake(interface.schema, guest)
        _check_exports(interface, guest)


def _check_exports(interface: Interface, guest: Guest) -> None:
    """Every guest method is exported with the ABI's signature, and there is an allocator."""
    for _, method in interface.methods(Direction.GUEST):
        try:
            export = guest.export(method.symbol, ExternKind.FUNC)
        except UsageError as error:
            raise LinkError(
                f"the guest does not export {method.symbol!r} ({guest.name}): {error}; implement the method"
            ) from None
        if export.type != _TYPED:
            raise LinkError(
                f"the export {method.symbol!r} is {export.type}, not {_TYPED} ({guest.name}): see "
                "docs/guest-abi.md"
            )
    for imported in guest.info.imports:
        if imported.kind is ExternKind.FUNC and imported.type != _TYPED:
            raise LinkError(
                f"the import {imported.key!r} is {imported.type}, not {_TYPED} ({guest.name}): see "
                "docs/guest-abi.md"
            )
