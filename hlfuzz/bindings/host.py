"""Host functions of a typed interface as methods of one Python object: providers for a sandbox."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from hlfuzz.bindings.interface import Interface, Message
from hlfuzz.bindings.records import OK_HEADER, Code, HostRefusal, error_record
from hlfuzz.errors import AbiViolation, CallFailed, HlfuzzError, LinkError, UsageError
from hlfuzz.guest import Guest
from hlfuzz.model import Violation
from hlfuzz.sandbox import WASI, Caller, HostFunction, Provider
from hlfuzz.schema.ir import Direction, Method, Service
from hlfuzz.schema.names import host_method_names
from hlfuzz.schema.wire.base import WireError, WireFault

ALLOCATOR = "hlfuzz_alloc"
"""The guest's export by which the host gets room for what it passes: (length: i32) -> address: i32."""

Invoke = Callable[..., Any]
"""`invoke(function, *arguments)` calls a host method wherever it has to run."""


class Raised:
    """The last exception that a host function turned into an error code: the cause of what the guest makes of
    it."""

    def __init__(self) -> None:
        self.last: Exception | None = None


def providers(
    interface: Interface, guest: Guest, host: object, raised: Raised, invoke: Invoke
) -> dict[str, Provider]:
    """A provider for each host function that `guest` imports, by "module.name".

    WASI imports are no part of an interface. Raises `LinkError`: another import that is no host function of
    it, a method that `host` lacks.
    """
    names = host_method_names(interface.schema)
    result: dict[str, Provider] = {}
    for key, (service, method) in imported_methods(interface, guest).items():
        function = getattr(host, names[service.name, method.name], None) if host is not None else None
        if not callable(function):
            raise LinkError(
                f"the host has no method {names[service.name, method.name]!r} for {key!r} "
                f"({type(host).__name__}): pass host= an object that has it"
            )
        result[key] = HostFunction(
            _provider(interface, service, method, function, raised, invoke), caller=True
        )
    return result


def imported_methods(interface: Interface, guest: Guest) -> dict[str, tuple[Service, Method]]:
    """The host functions that `guest` imports, by "module.name". WASI imports are none. Raises `LinkError`
    for another import that is no host function of the interface."""
    known = {m.symbol: (s, m) for s, m in interface.methods(Direction.HOST)}
    result: dict[str, tuple[Service, Method]] = {}
    for imported in guest.info.imports:
        found = known.get(imported.key)
        if found is None and imported.module == WASI:
            continue  # given by the sandbox, or refused by it
        if found is None:
            near = difflib.get_close_matches(imported.key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known) or 'none'}"
            raise LinkError(
                f"the guest imports {imported.key!r}, no host function of the interface "
                f"({guest.name}, {interface.schema.name}): {hint}"
            )
        result[imported.key] = found
    return result


def _provider(
    interface: Interface,
    service: Service,
    method: Method,
    function: Callable[[Any], Any],
    raised: Raised,
    invoke: Invoke,
) -> Callable[[Caller, int, int], int]:
    assert method.request is not None
    assert method.response is not None
    request, response = interface.message(method.request), interface.message(method.response)
    name = f"{service.name}.{method.name}"

    def provide(caller: Caller, pointer: int, length: int) -> int:
        value = read_request(request_bytes(caller, pointer, length, name), request, name)
        try:
            record = OK_HEADER + response.encode(invoke(function, value))
        except HostRefusal as error:
            raised.last = error
            record = error_record(error.code, error.text)
        except (AssertionError, HlfuzzError):
            # A failed check of a test, and a mistake of the host, are not the guest's affair.
            raise
        except Exception as error:
            raised.last = error
            record = error_record(Code.UNSPECIFIED, f"{type(error).__name__}: {error}".removesuffix(": "))
        return give(caller, record, name)

    return provide


def request_bytes(caller: Caller, pointer: int, length: int, name: str) -> bytes:
    """A copy of what a guest passes to the host function `name`. Raises `AbiViolation` outside memory."""
    try:
        return caller.read(pointer & 0xFFFF_FFFF, length & 0xFFFF_FFFF)
    except UsageError as error:
        raise violation(f"host function {name!r}", f"request outside memory: {error}") from None


def read_request(data: bytes, request: Message, name: str) -> Any:
    """The request in the bytes that a guest passed. Raises `AbiViolation` when they do not verify."""
    try:
        return request.decode(data)
    except WireError as error:
        raise wire_violation(f"host function {name!r}", "request", request.type_name, error.fault) from None


def give(caller: Caller, record: bytes, name: str) -> int:
    """Put a record into guest memory; its address and length, or 0 when the guest has no room. Raises
    `AbiViolation` when the guest's allocator fails or lies."""
    try:
        address = caller.call(ALLOCATOR, len(record))
    except CallFailed as error:
        raise violation(f"host function {name!r}", f"{ALLOCATOR} failed: {error}") from error
    assert isinstance(address, int)
    address &= 0xFFFF_FFFF
    if address == 0:
        return 0
    try:
        caller.write(address, record)
    except UsageError:
        raise violation(
            f"host function {name!r}",
            f"{ALLOCATOR} returned {address} for {len(record)} bytes, outside memory",
        ) from None
    return address << 32 | len(record)


def violation(where: str, message: str, path: str | None = None, offset: int | None = None) -> AbiViolation:
    """The exception for a guest that broke its interface."""
    return AbiViolation(f"guest broke its interface ({where}): {message}", Violation(message, path, offset))


def wire_violation(where: str, side: str, type_name: str, fault: WireFault) -> AbiViolation:
    """The exception for a guest whose bytes are not what the schema promises."""
    return violation(where, f"its {side} is not a valid {type_name}: {fault}", fault.path, fault.offset)


def plain_invoke(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a host method right here."""
    return function(*arguments)
