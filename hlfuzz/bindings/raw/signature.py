"""The Wasm signature of a raw method, and what a module has otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hlfuzz.bindings.handshake import check_handshake
from hlfuzz.errors import LinkError
from hlfuzz.guest import CONVENTIONS, Guest, find_allocator
from hlfuzz.model import ExternKind, FuncType, MemoryType, ModuleInfo, ValType
from hlfuzz.sandbox import WASI
from hlfuzz.schema.diagnostics import did_you_mean
from hlfuzz.schema.ir import CString, Direction, Method, Number, Parameter, ResultForm, Scalar, Schema

_WASM: Final = {
    Scalar.I64: ValType.I64,
    Scalar.U64: ValType.I64,
    Scalar.F32: ValType.F32,
    Scalar.F64: ValType.F64,
}


def lower(method: Method) -> FuncType:
    """The signature of the Wasm function: bytes are an i32 pointer and an i32 length, a cstring is a pointer,
    numbers of fewer bits are an i32."""
    params: list[ValType] = []
    for parameter in method.parameters:
        match parameter.type:
            case Number(scalar=scalar):
                params.append(_number(scalar))
            case CString():
                params.append(ValType.I32)
            case _:
                params += (ValType.I32, ValType.I32)
    return FuncType(tuple(params), tuple(map(_number, method.results)))


def check_raw(schema: Schema, guest: Guest) -> None:
    """Raise `LinkError` with the first difference between an interface and a module, and how many more there
    are. A module that carries the text of its interface is held to that too."""
    differences = check(schema, guest.info)
    if differences:
        more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
        raise LinkError(
            f"the module does not fit the interface ({guest.name}, {schema.name}): {differences[0]}{more}"
        )
    if guest.handshake is not None:
        check_handshake(schema, guest)


def check(schema: Schema, info: ModuleInfo) -> list[str]:
    """How a module differs from a raw interface, what matters most first; empty when it fits.

    What it exports beyond the interface is its own affair, and it need not import every host function.
    """
    return [*_exports(schema, info), *_imports(schema, info), *_vectors(schema, info)]


def _exports(schema: Schema, info: ModuleInfo) -> Iterator[str]:
    exports = {e.name: e for e in info.exports}
    functions = [e.name for e in info.functions_exported]
    for _, method in schema.methods(Direction.GUEST):
        found = exports.get(method.symbol)
        if found is None:
            near = did_you_mean(method.symbol, functions, "implement it, or remove it from the interface")
            yield f"it does not export {method.symbol!r}: {near}"
        elif not isinstance(found.type, FuncType):
            yield f"its export {method.symbol!r} is a {found.kind}, not a function: name a function"
        elif found.type != lower(method):
            yield f"its export {method.symbol!r} {_mismatch(method, found.type)}"


def _imports(schema: Schema, info: ModuleInfo) -> Iterator[str]:
    known = {m.symbol: m for _, m in schema.methods(Direction.HOST)}
    for found in info.imports:
        method = known.get(found.key)
        if not isinstance(found.type, FuncType):
            yield (
                f"it imports the {found.kind} {found.key!r}: a raw interface has only functions; let the "
                "module have its own"
            )
        elif method is None and found.module == WASI:
            continue  # no part of an interface
        elif method is None:
            near = did_you_mean(found.key, known, f'declare it as [host."{found.key}"]')
            yield f"it imports {found.key!r} {found.type}, which the interface does not declare: {near}"
        elif found.type != lower(method):
            yield f"its import {found.key!r} {_mismatch(method, found.type)}"


def _mismatch(method: Method, found: FuncType) -> str:
    """How a function's type differs from the method's: by count, else the first that differs by name."""
    wanted = lower(method)
    where = f"is {found}, the interface's {method.name!r} is {wanted}"
    if len(found.params) != len(wanted.params):
        return f"takes {len(found.params)} parameters, not {len(wanted.params)}: it {where}"
    for position, (have, want) in enumerate(zip(found.params, wanted.params, strict=True)):
        if have is not want:
            name = _names(method)[position]
            wide = (
                ": only 32-bit memories are supported" if (want, have) == (ValType.I32, ValType.I64) else ""
            )
            return f"has {have} for {name}, not {want}{wide}: it {where}"
    if len(found.results) != len(wanted.results):
        return f"returns {len(found.results)} values, not {len(wanted.results)}: it {where}"
    return f"returns other types: it {where}"


def _names(method: Method) -> list[str]:
    """What each parameter of the Wasm function is, for people."""
    names: list[str] = []
    for parameter in method.parameters:
        match parameter.type:
            case Number():
                names.append(repr(parameter.name))
            case CString():
                names.append(f"the pointer of {parameter.name!r}")
            case _:
                what = "capacity" if parameter.out else "length"
                names += (f"the pointer of {parameter.name!r}", f"the {what} of {parameter.name!r}")
    return names


def _vectors(schema: Schema, info: ModuleInfo) -> Iterator[str]:
    """What passing bytes needs: a memory, and an allocator in it where the host gives bytes to the guest."""
    methods = [m for _, m in schema.methods()]
    memories = {e.name: e.type for e in info.exports if e.kind is ExternKind.MEMORY}
    uses_memory = [m for m in methods if m.form is not ResultForm.NONE or any(map(_in_memory, m.parameters))]
    if not uses_memory:
        return
    if not memories:
        yield f"it exports no memory, where {uses_memory[0].name!r} passes bytes: export it"
        return
    memory = memories.get("memory") or next(iter(memories.values()))
    if isinstance(memory, MemoryType) and memory.memory64:
        yield "its memory has 64-bit addresses: only 32-bit memories are supported"
    allocating = next((m for m in methods if needs_allocator(m)), None)
    if allocating is None:
        return
    if isinstance(schema.allocator, int):
        answering = next((m for m in methods if m.direction is Direction.HOST and needs_allocator(m)), None)
        if answering is not None:
            yield (
                f"the host function {answering.name!r} answers with bytes, which would overwrite those at "
                f"the scratch address {schema.allocator}: name an allocator export instead"
            )
    elif find_allocator(info, schema.allocator) is None:
        if schema.allocator is not None:
            names = [e.name for e in info.functions_exported]
            near = did_you_mean(schema.allocator, names, "export (length: i32) -> pointer: i32")
            yield f"it has no allocator {schema.allocator!r}: {near}"
        else:
            yield (
                f"it exports no allocator, where {allocating.name!r} takes bytes: export one of "
                f"{', '.join(CONVENTIONS)}, or give the interface `allocator = ...`"
            )


def needs_allocator(method: Method) -> bool:
    """Whether the host needs room in guest memory for a call of this method."""
    if method.direction is Direction.GUEST:
        return any(map(_in_memory, method.parameters))
    return method.form in (ResultForm.PACKED, ResultForm.PAIR)


def _in_memory(parameter: Parameter) -> bool:
    return not isinstance(parameter.type, Number)


def _number(scalar: Scalar) -> ValType:
    return _WASM.get(scalar, ValType.I32)
