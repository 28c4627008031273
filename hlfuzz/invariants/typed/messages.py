"""Methods of FlatBuffers and Protobuf interfaces: one record there, one back."""

from __future__ import annotations

from typing import Any, Final

from hlfuzz.bindings import Interface
from hlfuzz.bindings.client import not_ok
from hlfuzz.bindings.host import wire_violation
from hlfuzz.bindings.records import HEADER_BYTES, OK_HEADER, error_text, read_header
from hlfuzz.errors import AbiViolation
from hlfuzz.invariants.record import Record
from hlfuzz.invariants.typed.method import Place, Refusal, TypedMethod, attempt
from hlfuzz.invariants.typed.text import shown_value
from hlfuzz.model import Call, FuncType, Ok, Outcome, ValType, Violation
from hlfuzz.schema.ir import (
    Bytes,
    Map,
    Method,
    Named,
    Schema,
    Service,
    String,
    Type,
    Union,
    Vector,
)
from hlfuzz.schema.ir import (
    Record as RecordType,
)
from hlfuzz.schema.values import is_byte_vector
from hlfuzz.schema.wire.base import WireError

TYPED_ABI: Final = FuncType((ValType.I32, ValType.I32), (ValType.I64,))
"""(pointer, length) -> pointer << 32 | length."""


class MessageMethod(TypedMethod):
    """A method whose request and response are records."""

    def __init__(self, interface: Interface, service: Service, method: Method, python_name: str) -> None:
        super().__init__(service, method, python_name)
        assert method.request is not None
        assert method.response is not None
        self.request = interface.message(method.request)
        self._response = interface.message(method.response)
        self._carries = carries_bytes(interface.schema, method.request)

    @property
    def type(self) -> FuncType:
        return TYPED_ABI

    @property
    def carries_bytes(self) -> bool:
        return self._carries

    def encode(self, arguments: tuple[Any, ...]) -> Call:
        (request,) = arguments
        return Call(self.symbol, (self.request.encode(request),))

    def decode(self, call: Call) -> tuple[Any, ...] | None:
        match call.args:
            case (bytes() as data,):
                try:
                    return (self.request.decode(data),)
                except WireError:
                    return None
            case _:
                return None

    def perform(self, place: Place, call: Call) -> Outcome:
        match call.args:
            case (bytes() as data,):
                return attempt(place, call.function, lambda: self._exchange(place, data))
            case _:  # numbers in their place, which no client sends
                return place.try_call(call.function, *call.args)

    def _exchange(self, place: Place, data: bytes) -> Ok | Violation:
        record = place.call_bytes(self.symbol, data, result="packed")
        assert isinstance(record, bytes)
        try:
            self._open(record)
        except AbiViolation as broken:
            return broken.outcome
        return Ok((Record.of(record, self._describe),))

    def answer(self, outcome: Ok) -> Any:
        (record,) = outcome.values
        assert isinstance(record, bytes)
        return self._open(record)

    def _open(self, record: bytes) -> Any:
        if record[:HEADER_BYTES] != OK_HEADER:
            error = not_ok(self.method, record)
            if isinstance(error, AbiViolation):
                raise error
            return Refusal(read_header(record)[0], error_text(record))
        try:
            return self._response.decode(record[HEADER_BYTES:])
        except WireError as error:
            name = self._response.type_name
            raise wire_violation(repr(self.symbol), "response", name, error.fault) from None

    def _describe(self, record: bytes) -> str:
        return shown_value(self._open(record))


def carries_bytes(schema: Schema, name: str) -> bool:
    """Whether a value of this record may hold text or bytes anywhere."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        definition = schema.by_name[current]
        types: list[Type] = []
        if isinstance(definition, RecordType):
            types = [f.type for f in definition.fields]
        elif isinstance(definition, Union):
            types = [v.type for v in definition.variants]
        for type_ in types:
            inner = _inner(type_)
            if isinstance(inner, String | Bytes) or is_byte_vector(type_):
                return True
            if isinstance(inner, Named):
                waiting.append(inner.name)
    return False


def _inner(type_: Type) -> Type:
    match type_:
        case Vector(element):
            return element
        case Map(value=value):
            return value
        case _:
            return type_
