"""Host functions of a raw interface as methods of one object: what the guest passes is checked first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn, cast

from hlfuzz.bindings.host import Invoke, plain_invoke
from hlfuzz.bindings.raw.numbers import OutOfRange, from_wasm, show, to_wasm
from hlfuzz.bindings.raw.vectors import (
    read_cstring,
    read_vector,
    require_inside,
    to_bytes,
    violated,
)
from hlfuzz.errors import AbiViolation, CallFailed, LinkError, UsageError
from hlfuzz.guest import Guest
from hlfuzz.sandbox import WASI, Caller, HostFunction, Provider
from hlfuzz.schema.ir import Bytes, CString, Direction, Method, Number, Parameter, ResultForm, Schema
from hlfuzz.schema.names import host_method_names

_U32: Final = 0xFFFF_FFFF
_MAX_LENGTH: Final = (1 << 31) - 1


def raw_host(
    schema: Schema, guest: Guest, host: object, invoke: Invoke = plain_invoke
) -> dict[str, Provider]:
    """A provider for each host function that `guest` imports, by "module.name": `invoke` runs the method of
    `host`.

    A method takes a Python value for each parameter that is not `out`, and gives what the interface's
    results say (bytes for `out`, after other results). A guest whose pointers, lengths or texts are wrong
    breaks its interface: the call in progress ends with `AbiViolation`. A method that raises, or gives
    something else, ends it with `HostFunctionError`. Raises `LinkError` when `host` lacks a method;
    `check_raw` has to come first.
    """
    names = host_method_names(schema)
    known = {m.symbol: (s, m) for s, m in schema.methods(Direction.HOST)}
    result: dict[str, Provider] = {}
    for imported in guest.info.functions_imported:
        if imported.module == WASI and imported.key not in known:
            continue
        service, method = known[imported.key]
        name = names[service.name, method.name]
        function = getattr(host, name, None) if host is not None else None
        if not callable(function):
            raise LinkError(
                f"the host has no method {name!r} for {imported.key!r} ({type(host).__name__}): "
                "pass host= an object that has it"
            )
        result[imported.key] = HostFunction(_Provider(method, function, invoke).run, caller=True)
    return result


class _Provider:
    """One host function."""

    def __init__(self, method: Method, function: Callable[..., Any], invoke: Invoke) -> None:
        self._method = method
        self._function = function
        self._invoke = invoke
        self._where = f"host function {method.symbol!r}"
        self._readers = [_reader(p, self._where) for p in method.parameters]
        self._results = [to_wasm(s) for s in method.results]

    def run(self, caller: Caller, *numbers: Any) -> Any:
        """The Wasm function."""
        values: list[Any] = []
        spans: list[tuple[Parameter, int, int]] = []
        at = 0
        for parameter, reader in zip(self._method.parameters, self._readers, strict=True):
            width = 1 if isinstance(parameter.type, Number | CString) else 2
            value = reader(caller, numbers[at : at + width])
            if isinstance(parameter.type, Bytes):
                spans.append((parameter, numbers[at] & _U32, numbers[at + 1] & _U32))
            if not parameter.out:
                values.append(value)
            at += width
        answer = self._invoke(self._function, *values)
        if self._method.form is not ResultForm.NONE:
            return self._answer_bytes(caller, answer, spans)
        for parameter, pointer, capacity in spans:
            if parameter.out:
                return self._answer_out(caller, answer, pointer, capacity)
        return self._answer_numbers(answer)

    def _answer_bytes(self, caller: Caller, answer: Any, spans: list[tuple[Parameter, int, int]]) -> Any:
        data = self._bytes(answer)
        if self._method.form is ResultForm.INPLACE:
            parameter, pointer, length = next(s for s in spans if not s[0].out)
            if len(data) > length:
                raise UsageError(
                    f"{len(data)} bytes do not fit into the {length} of {parameter.name!r} ({self._where}): "
                    "return no more than came"
                )
            caller.write(pointer, data)
            return len(data)
        try:
            (address,) = caller.place(data)
        except AbiViolation:
            raise
        except CallFailed as error:
            violated(self._where, f"its allocator failed for {len(data)} bytes: {error}", "result")
        return address << 32 | len(data) if self._method.form is ResultForm.PACKED else (address, len(data))

    def _answer_out(self, caller: Caller, answer: Any, pointer: int, capacity: int) -> Any:
        *numbers, last = self._parts(answer, "numbers and bytes")
        data = self._bytes(last)
        if len(data) > min(capacity, _MAX_LENGTH):
            # The guest asks again with more room; nothing was written.
            length = -min(len(data), _MAX_LENGTH)
        else:
            caller.write(pointer, data)
            length = len(data)
        if not numbers:
            return length
        return (*map(self._number, self._results, numbers), length)

    def _answer_numbers(self, answer: Any) -> Any:
        if not self._results:
            if answer is not None:
                self._refuse(answer, "expected None")
            return None
        numbers = tuple(map(self._number, self._results, self._parts(answer, "numbers")))
        return numbers[0] if len(numbers) == 1 else numbers

    def _parts(self, answer: Any, what: str) -> list[Any]:
        """An answer as one value for each result."""
        count = len(self._results)
        if count == 1:
            return [answer]
        parts = list(cast("tuple[Any, ...]", answer)) if isinstance(answer, tuple) else []
        if len(parts) != count:
            self._refuse(cast("object", answer), f"expected a tuple of {count} {what}")
        return parts

    def _number(self, convert: Callable[[Any], int | float], value: Any) -> int | float:
        try:
            return convert(value)
        except OutOfRange as error:
            self._refuse(value, str(error))

    def _bytes(self, answer: Any) -> bytes:
        try:
            return to_bytes(answer)
        except OutOfRange:
            self._refuse(answer, "expected bytes")

    def _refuse(self, answer: object, why: str) -> NoReturn:
        raise UsageError(f"{self._where} returned {show(answer)}: {why}")


_Reader = Callable[[Caller, tuple[Any, ...]], Any]
"""Reads one parameter from the one or two numbers that stand for it."""


def _reader(parameter: Parameter, where: str) -> _Reader:
    name = parameter.name
    match parameter.type:
        case Number(scalar=scalar):
            return _number_reader(from_wasm(scalar), where, name)
        case CString():
            return lambda caller, given: read_cstring(caller.memory(), given[0], where, name)
        case _ if parameter.out:
            limit = parameter.capacity
            return lambda caller, given: _check_room(caller, given[0], given[1], limit, where, name)
        case _:
            return lambda caller, given: read_vector(caller.memory(), given[0], given[1], where, name)


def _number_reader(convert: Callable[[Any], Any] | None, where: str, name: str) -> _Reader:
    def read(_caller: Caller, given: tuple[Any, ...]) -> Any:
        if convert is None:
            return given[0]
        try:
            return convert(given[0])
        except OutOfRange as error:
            violated(where, str(error), name)

    return read


def _check_room(caller: Caller, pointer: int, room: int, limit: int, where: str, name: str) -> None:
    """`AbiViolation` unless the room that a guest gives is in its memory, and no more than it may give."""
    pointer, room = pointer & _U32, room & _U32
    if limit and room > limit:
        violated(where, f"capacity {room} is more than the interface's {limit}", name, limit)
    require_inside(caller.memory(), pointer, room, where, name)
