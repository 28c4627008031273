"""Stand-ins for the host functions of a schema: they check what the guest sends and answer valid records."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from threading import get_ident
from types import SimpleNamespace
from typing import Any

from hlfuzz.bindings import Code, Interface
from hlfuzz.bindings.host import give, imported_methods, read_request, request_bytes
from hlfuzz.bindings.raw import raw_host
from hlfuzz.bindings.records import OK_HEADER, error_record
from hlfuzz.guest import Guest
from hlfuzz.invariants.observe import HostCall
from hlfuzz.invariants.record import Record
from hlfuzz.invariants.typed.answers import Answers, NoAnswerError
from hlfuzz.invariants.typed.text import shown_value
from hlfuzz.model import Value
from hlfuzz.sandbox import Caller, HostFunction, Provider
from hlfuzz.schema.ir import Direction, Format, Method, Service
from hlfuzz.schema.names import host_method_names
from hlfuzz.schema.wire.base import WireError

Note = Callable[[HostCall], None]
"""Keeps a host call that was made."""


def stand_ins(interface: Interface, guest: Guest, note: Note) -> dict[str, Provider]:
    """A provider for each host function that the guest imports, by "module.name".

    Each call is noted, with the bytes of the request, before these are verified; a request that does not
    verify ends the guest's call as `Violation`. The answer depends on the request's bytes alone. Raises
    `LinkError` for an import that is no host function of the interface.
    """
    answers = Answers(interface)
    if interface.schema.format is Format.RAW:
        return _raw(interface, guest, answers, note)
    return {
        key: HostFunction(_message(interface, service, method, answers, note), caller=True)
        for key, (service, method) in imported_methods(interface, guest).items()
    }


def _message(
    interface: Interface, service: Service, method: Method, answers: Answers, note: Note
) -> Callable[[Caller, int, int], int]:
    assert method.request is not None
    assert method.response is not None
    request, response = interface.message(method.request), interface.message(method.response)
    name = f"{service.name}.{method.name}"
    answer_type = method.response

    def describe(data: bytes) -> str:
        try:
            return shown_value(request.decode(data))
        except WireError:
            return f"no valid {request.type_name}: {shown_value(bytes(data))}"

    def provide(caller: Caller, pointer: int, length: int) -> int:
        data = request_bytes(caller, pointer, length, name)
        note(HostCall(method.symbol, (pointer, length), Record.of(data, describe), thread=get_ident()))
        read_request(data, request, name)
        try:
            value = answers.record(answer_type, Random(name.encode() + b"\0" + data))
            record = OK_HEADER + response.encode(value)
        except NoAnswerError:
            record = error_record(Code.UNIMPLEMENTED, "the stand-in has no answer")
        return give(caller, record, name)

    return provide


def _raw(interface: Interface, guest: Guest, answers: Answers, note: Note) -> dict[str, Provider]:
    names = host_method_names(interface.schema)
    host = SimpleNamespace(
        **{
            names[service.name, method.name]: partial(_answer_raw, method, answers, note)
            for service, method in interface.methods(Direction.HOST)
        }
    )
    return raw_host(interface.schema, guest, host)


def _answer_raw(method: Method, answers: Answers, note: Note, *arguments: Any) -> Any:
    values: list[Value] = [a.encode() if isinstance(a, str) else a for a in arguments]
    at = next((i for i, v in enumerate(values) if isinstance(v, bytes)), -1)
    data = values.pop(at) if at >= 0 else None
    # Where bytes were read, pointer and length come first (`observe.host_call_key`); these do not tell them.
    shown = (0, 0, *values) if isinstance(data, bytes) else tuple(values)
    held = Record.of(data, lambda d: shown_value(bytes(d))) if isinstance(data, bytes) else None
    note(HostCall(method.symbol, shown, held, thread=get_ident()))
    return answers.results(method, Random(repr((method.symbol, arguments))))
