"""Calls of a raw guest method: Python arguments to numbers and byte vectors, results checked and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from hlfuzz.bindings.raw.numbers import OutOfRange, from_wasm, to_wasm
from hlfuzz.bindings.raw.vectors import read_vector, to_bytes, to_cstring, violated
from hlfuzz.errors import GuestError, UsageError
from hlfuzz.model import Value
from hlfuzz.sandbox import CallContext, Returned, Sandbox
from hlfuzz.schema.ir import Bytes, CString, Method, Number, Parameter
from hlfuzz.schema.ir import ResultForm as Form

Target = Sandbox | CallContext
RawCall = Callable[..., Any]
"""One method: `call(target, *arguments)`."""

_U32: Final = 0xFFFF_FFFF


def raw_call(method: Method) -> RawCall:
    """What calls one method of a guest, in a sandbox that was opened with the interface's allocator.

    A call takes a Python value for each parameter that is not `out` (numbers, bytes, str) and gives a number,
    a tuple of numbers, bytes, or None. It raises `UsageError` with the parameter's name for arguments that do
    not fit (nothing has run then), `AbiViolation` for results that break the interface, `GuestError` for a
    negative length of `out bytes`, and what `Sandbox.call` raises.
    """
    parameters = method.parameters
    if any(p.out or isinstance(p.type, CString) for p in parameters):
        return _placed(method)
    if method.form is Form.NONE:
        return _numbers(method)
    return _bytes_first(method) if parameters and isinstance(parameters[0].type, Bytes) else _placed(method)


def _numbers(method: Method) -> RawCall:
    """Numbers and byte vectors, a result of numbers."""
    convert, results, symbol = _arguments(method), _results(method), method.symbol
    if not (method.parameters and isinstance(method.parameters[0].type, Bytes)):

        def numbers(target: Target, *arguments: Any) -> Any:
            return results(target.call(symbol, *convert(arguments)))

        return numbers

    def call(target: Target, *arguments: Any) -> Any:
        data, *more = convert(arguments)
        return results(target.call_bytes(symbol, data, *more))

    return call


def _bytes_first(method: Method) -> RawCall:
    """A byte vector, perhaps numbers and further vectors, a result of bytes."""
    convert, symbol, form = _arguments(method), method.symbol, method.form.value
    if method.form is Form.INPLACE:
        path = f"the result in {method.parameters[0].name!r}"

        def in_place(target: Target, *arguments: Any) -> Any:
            given, *more = convert(arguments)
            data = target.call_bytes(symbol, given, *more, result=form)
            _check_length(method, len(cast("bytes", data)), len(given), path)
            return data

        return in_place
    alone = len(method.parameters) == 1

    def call(target: Target, *arguments: Any) -> Any:
        # Bytes alone are what is called most, and need no conversion.
        if alone and len(arguments) == 1 and arguments[0].__class__ is bytes:
            return target.call_bytes(symbol, arguments[0], result=form)
        return target.call_bytes(symbol, *convert(arguments), result=form)

    return call


def _placed(method: Method) -> RawCall:
    """Any other: the vectors are placed first, so that each parameter gets the pointer that it wants."""
    convert, results = _arguments(method), _results(method)

    def call(target: Target, *arguments: Any) -> Any:
        values = convert(arguments)
        if isinstance(target, CallContext):
            return run(target, values)
        with target.context() as context:
            answer = run(context, values)
            context.finish()
        return answer

    def run(context: CallContext, values: list[Any]) -> Any:
        given = iter(values)
        filled = [(p, bytes(p.capacity) if p.out else next(given)) for p in method.parameters]
        vectors = [(p, value) for p, value in filled if not isinstance(p.type, Number)]
        addresses = context.place(*(value for _, value in vectors))
        spans = [(p, a, len(v)) for (p, v), a in zip(vectors, addresses, strict=True)]
        places = iter(spans)
        flat: list[Value] = []
        for parameter, value in filled:
            if isinstance(parameter.type, Number):
                flat.append(value)
            else:
                _, address, length = next(places)
                flat += [address] if isinstance(parameter.type, CString) else [address, length]
        returned = context.call(method.symbol, *flat)
        if method.form is not Form.NONE:
            return _read_bytes(method, context, returned, spans)
        for span in spans:
            if span[0].out:
                return _read_out(method, context, returned, results, span)
        return results(returned)

    return call


_Span = tuple[Parameter, int, int]
"""A parameter with its address and bytes in guest memory."""


def _read_bytes(method: Method, context: CallContext, returned: Returned, spans: list[_Span]) -> bytes:
    """The bytes that the results of a call name."""
    where = repr(method.name)
    match method.form, returned:
        case Form.PACKED, int(word):
            context.claim_output(word & _U32)
            return read_vector(context.memory(), word >> 32, word, where, "result")
        case Form.PAIR, (int(pointer), int(length)):
            context.claim_output(length & _U32)
            return read_vector(context.memory(), pointer, length, where, "result")
        case Form.INPLACE, int(length):
            parameter, address, room = next(s for s in spans if isinstance(s[0].type, Bytes))
            _check_length(method, length & _U32, room, f"the result in {parameter.name!r}")
            context.claim_output(length & _U32)
            return read_vector(context.memory(), address, length, where, "result")
        case _:
            raise AssertionError(returned)  # the signature was checked when the guest was opened


def _read_out(
    method: Method,
    context: CallContext,
    returned: Returned,
    results: Callable[[Returned], Any],
    span: _Span,
) -> Any:
    """The bytes that the guest wrote, after the other results."""
    parameter, address, capacity = span
    converted = results(returned)
    numbers: tuple[Any, ...] = cast("Any", converted) if isinstance(converted, tuple) else (converted,)
    *others, length = numbers
    if length < 0:
        raise GuestError(method.name, length, f"a negative length for {parameter.name!r}")
    _check_length(method, length, capacity, parameter.name)
    context.claim_output(length)
    data = read_vector(context.memory(), address, length, repr(method.name), parameter.name)
    return (*others, data) if others else data


def _check_length(method: Method, length: int, room: int, path: str) -> None:
    if length > room:
        violated(repr(method.name), f"{length} bytes written where there is room for {room}", path, room)


def _arguments(method: Method) -> Callable[[tuple[Any, ...]], list[Any]]:
    """What checks the arguments of a call: a list of numbers and bytes, one for each parameter that is not
    `out`."""
    given = [p for p in method.parameters if not p.out]
    converters = [_converter(p) for p in given]

    def convert(arguments: tuple[Any, ...]) -> list[Any]:
        if len(arguments) != len(given):
            names = ", ".join(p.name for p in given) or "none"
            raise UsageError(
                f"{len(arguments)} arguments for the {len(given)} parameters of {method.name!r} ({names}): "
                "pass one for each"
            )
        values: list[Any] = []
        try:
            # As many as `given`: no `strict`, which costs as much as a conversion.
            for converter, argument in zip(converters, arguments):  # noqa: B905
                values.append(converter(argument))
        except OutOfRange as error:
            raise _wrong(method, given[len(values)], error) from None
        return values

    return convert


def _wrong(method: Method, parameter: Parameter, error: OutOfRange) -> UsageError:
    match parameter.type:
        case Number(scalar=scalar):
            kind = scalar.value
        case CString():
            kind = "cstring"
        case _:
            kind = "bytes"
    return UsageError(f"wrong argument ({method.name!r}, parameter {parameter.name!r}, {kind}): {error}")


def _converter(parameter: Parameter) -> Callable[[Any], Any]:
    match parameter.type:
        case Number(scalar=scalar):
            return to_wasm(scalar)
        case CString():
            return to_cstring
        case _:
            return to_bytes


def _results(method: Method) -> Callable[[Returned], Any]:
    """What checks the numbers that a call returns."""
    converters = [from_wasm(scalar) for scalar in method.results]
    if not any(converters):
        return lambda returned: returned

    def one(position: int, value: Any) -> Any:
        converter = converters[position]
        if converter is None:
            return value
        try:
            return converter(value)
        except OutOfRange as error:
            path = "result" if len(converters) == 1 else f"result[{position}]"
            violated(repr(method.name), str(error), path)

    if len(converters) == 1:
        return lambda returned: one(0, returned)
    return lambda returned: tuple(one(i, v) for i, v in enumerate(cast("tuple[Any, ...]", returned)))
