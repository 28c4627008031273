"""Methods of raw interfaces: numbers, byte vectors and texts."""

from __future__ import annotations

from typing import Any, cast

from hlfuzz.bindings.raw import lower, raw_call
from hlfuzz.errors import GuestError
from hlfuzz.invariants.record import Record
from hlfuzz.invariants.typed.method import Place, Refusal, TypedMethod, attempt
from hlfuzz.invariants.typed.text import shown_value
from hlfuzz.model import Call, FuncType, Ok, Outcome, Value
from hlfuzz.schema.ir import Bytes, CString, Method, Service


class RawMethod(TypedMethod):
    """A method whose arguments are numbers and byte vectors. In a `Call` a text is its UTF-8 bytes."""

    def __init__(self, service: Service, method: Method, python_name: str) -> None:
        super().__init__(service, method, python_name)
        self.given = tuple(p for p in method.parameters if not p.out)
        """The parameters that a caller gives."""
        self._call = raw_call(method)

    @property
    def type(self) -> FuncType:
        return lower(self.method)

    @property
    def carries_bytes(self) -> bool:
        return any(isinstance(p.type, Bytes | CString) for p in self.given)

    def encode(self, arguments: tuple[Any, ...]) -> Call:
        return Call(self.symbol, tuple(a.encode() if isinstance(a, str) else a for a in arguments))

    def decode(self, call: Call) -> tuple[Any, ...] | None:
        if len(call.args) != len(self.given):
            return None
        return tuple(
            _text(a) if isinstance(p.type, CString) and isinstance(a, bytes) else a
            for p, a in zip(self.given, call.args, strict=True)
        )

    def perform(self, place: Place, call: Call) -> Outcome:
        arguments = self.decode(call)
        if arguments is None:
            return place.try_call(call.function, *call.args)
        return attempt(place, call.function, lambda: self._exchange(place, arguments))

    def _exchange(self, place: Place, arguments: tuple[Any, ...]) -> Ok:
        try:
            returned = self._call(place, *arguments)
        except GuestError as refused:  # a negative length for what it should have written
            returned = refused.code
        if returned is None:
            return Ok(())
        values = cast("tuple[Value, ...]", returned) if isinstance(returned, tuple) else (returned,)
        return Ok(tuple(Record.of(v, _shown) if isinstance(v, bytes) else v for v in values))

    def answer(self, outcome: Ok) -> Any:
        values = outcome.values
        if self._wants_bytes and not any(isinstance(v, bytes) for v in values):
            return Refusal(cast("int", values[0]))
        return values[0] if len(values) == 1 else values or None

    @property
    def _wants_bytes(self) -> bool:
        return any(p.out for p in self.method.parameters)


def _text(data: bytes) -> str:
    # Zero bytes would end it.
    return data.decode("utf-8", "replace").replace("\0", "")


def _shown(data: bytes) -> str:
    return shown_value(bytes(data))
