"""The source file of a raw interface: allocator, handshake, and natively the tables and host calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hlfuzz.generate.c.raw import ALLOCATOR, RawFunction, functions
from hlfuzz.generate.c.source import handshake, runtime
from hlfuzz.generate.c.text import assembled, literal
from hlfuzz.schema.ir import Direction, ResultForm, Scalar, Schema

_LETTERS: Final = {Scalar.I64: "I", Scalar.U64: "I", Scalar.F32: "f", Scalar.F64: "F"}
"""How the tables write what is no i32."""
_NARROW: Final = (Scalar.BOOL, Scalar.I8, Scalar.U8, Scalar.I16, Scalar.U16)
_SIGNED: Final = (Scalar.I8, Scalar.I16, Scalar.I32, Scalar.I64)
_INTEGERS: Final = 6
_FLOATS: Final = 8
"""What a native call passes in registers (System V ABI for x86-64)."""


def code(schema: Schema, header: str) -> str:
    """The text. There is no allocator when the host writes to a fixed address."""
    parts = [f'#include "{header}"\n', runtime("native.c")]
    if not isinstance(schema.allocator, int):
        allocator = literal((schema.allocator or ALLOCATOR).encode())
        parts += [
            runtime("prelude.c"),
            f'#define HL_ALLOCATOR "{allocator}"\n',
            runtime("core.c"),
            runtime("memory.c"),
        ]
    lines = ["#if !defined(__wasm__)"]
    for number, function in enumerate(functions(schema), 1):
        lines += _native(function, number)
    lines += ["#endif", ""]
    return "\n".join([*parts, "\n".join(lines), handshake(schema)])


def _native(f: RawFunction, number: int) -> Iterator[str]:
    floats = sum(p.scalar in (Scalar.F32, Scalar.F64) for p in f.parameters)
    if len(f.method.results) > 1:
        yield f'#error "{f.name} has several results, a native function has one: use the form packed"'
    elif floats > _FLOATS or len(f.parameters) - floats > _INTEGERS:
        limit = f"{_INTEGERS} integers and addresses, {_FLOATS} floats"
        yield f'#error "{f.name} has too many parameters for a native guest: at most {limit}"'
    elif f.method.direction is Direction.GUEST:
        yield from _export(f)
    else:
        yield from _import(f, number)


def _type(f: RawFunction) -> str:
    letters = "".join("p" if p.scalar is None else _LETTERS.get(p.scalar, "i") for p in f.parameters)
    if f.method.form is ResultForm.PACKED:
        return f"{letters}:r"
    return f"{letters}:{''.join(_LETTERS.get(scalar, 'i') for scalar in f.method.results)}"


def _export(f: RawFunction) -> Iterator[str]:
    name = f.name
    result = None if f.method.form is ResultForm.PACKED or not f.method.results else f.method.results[0]
    if result in _NARROW or any(p.scalar in _NARROW for p in f.parameters):
        # A caller fills whole registers, and reads 32 bits of the result: C leaves the rest of them open.
        name = f"hl_wide_{f.name}"
        outside = ", ".join(_wide(p.scalar, p.declared, p.name) for p in f.parameters) or "void"
        inside = ", ".join(f"({p.ctype}){p.name}" if p.scalar in _NARROW else p.name for p in f.parameters)
        returned = _wide(result, f.result, "").rstrip()
        answer = f"return ({returned})" if result in _NARROW else "" if f.result == "void" else "return "
        yield f"static {returned} {name}({outside}) {{ {answer}{f.name}({inside}); }}"
    yield f'HL_LIST_EXPORT({name}, "{literal(f.method.symbol.encode())}", "{_type(f)}")'


def _wide(scalar: Scalar | None, declared: str, name: str) -> str:
    if scalar not in _NARROW:
        return declared
    return f"{'int32_t' if scalar in _SIGNED else 'uint32_t'} {name}"


def _import(f: RawFunction, number: int) -> Iterator[str]:
    module, _, inside = f.method.symbol.rpartition(".")
    line = f"hl_import_{f.name}"
    listed = ", ".join(f'"{assembled(part.encode())}"' for part in (module, inside))
    yield f'HL_LIST_IMPORT({number}, {line}, {listed}, "{_type(f)}")'
    yield f"{f.signature} {{"
    count = len(f.parameters)
    yield f"    uint64_t hl_values[{max(count, 2)}] = {{0}};"
    for i, p in enumerate(f.parameters):
        if p.scalar in (Scalar.F32, Scalar.F64):
            yield f"    __builtin_memcpy(&hl_values[{i}], &{p.name}, sizeof {p.name});"
        elif p.scalar is None:
            yield f"    hl_values[{i}] = (uintptr_t){p.name};"
        else:
            through = "(uint32_t)(int32_t)" if p.scalar in _SIGNED and p.scalar is not Scalar.I64 else ""
            yield f"    hl_values[{i}] = (uint64_t){through}{p.name};"
    yield f"    hl_host_call(&{line}, hl_values, {count});"
    yield from _returned(f)
    yield "}"


def _returned(f: RawFunction) -> Iterator[str]:
    if f.method.form is ResultForm.PACKED:
        yield "    return hl_returned((const void *)(uintptr_t)hl_values[0], (uint32_t)hl_values[1]);"
    elif f.method.results:
        scalar = f.method.results[0]
        if scalar in (Scalar.F32, Scalar.F64):
            yield f"    {f.result} hl_answer;"
            yield "    __builtin_memcpy(&hl_answer, hl_values, sizeof hl_answer);"
            yield "    return hl_answer;"
        else:
            yield f"    return ({f.result})hl_values[0];"
