"""Raw interfaces in C: prototypes of exports and imports, and the allocator."""

from __future__ import annotations

from collections.abc import Iterator

from hlfuzz.generate.c.model import C_TYPES
from hlfuzz.generate.c.names import GlobalScope, members
from hlfuzz.generate.c.source import handshake, runtime
from hlfuzz.generate.c.text import comment, literal
from hlfuzz.schema.diagnostics import Diagnostic, SchemaError
from hlfuzz.schema.ir import CString, Direction, Method, Number, Parameter, ResultForm, Schema

_ALLOCATOR = "hlfuzz_alloc"


def prototypes(schema: Schema) -> Iterator[str]:
    """The lines of the header. Raises `SchemaError` when two functions have one symbol."""
    scope = GlobalScope()
    taken: set[tuple[Direction, str]] = set()
    for direction in Direction:
        methods = [m for _, m in schema.methods(direction)]
        if methods and direction is Direction.GUEST:
            yield from comment("For the guest to implement.")
        elif methods:
            yield from comment("Functions of the host.")
        for method in methods:
            allocator = direction is Direction.GUEST and method.symbol == (schema.allocator or _ALLOCATOR)
            if (direction, method.symbol) in taken or allocator:
                raise SchemaError(
                    [
                        Diagnostic(
                            f"two functions have the symbol {method.symbol!r}"
                            + (" (one is the allocator)" if allocator else ""),
                            method.position,
                            "give each its own",
                        )
                    ]
                )
            taken.add((direction, method.symbol))
            yield from comment(_describe(method))
            yield from _prototype(method, scope)
        if methods:
            yield ""


def code(schema: Schema, header: str) -> str:
    """The source file: the allocator, unless the host writes to a fixed address, and the handshake."""
    parts = [f'#include "{header}"\n']
    if not isinstance(schema.allocator, int):
        allocator = literal((schema.allocator or _ALLOCATOR).encode())
        parts += [
            runtime("prelude.c"),
            f'#define HL_ALLOCATOR "{allocator}"\n',
            runtime("core.c"),
            runtime("memory.c"),
        ]
    return "\n".join([*parts, handshake(schema)])


def _prototype(method: Method, scope: GlobalScope) -> Iterator[str]:
    name = scope.claim(method.symbol)
    names, own = members([p.name for p in method.parameters], scope)
    parameters: list[str] = []
    inplace = method.form is ResultForm.INPLACE
    for parameter, called in zip(method.parameters, names, strict=True):
        parameters.append(_parameter(parameter, called, inplace))
        if not isinstance(parameter.type, Number | CString):
            parameters.append(f"uint32_t {own.claim(called + ('_capacity' if parameter.out else '_len'))}")
    result = _result(method)
    if len(method.results) > 1:
        result = scope.claim(f"{name}_results")
        yield "#if defined(__wasm__) && !defined(HL_MULTIVALUE)"
        flags = "-Xclang -target-abi -Xclang experimental-mv -DHL_MULTIVALUE"
        yield f'#error "{name} has several results: compile with {flags}"'
        yield "#endif"
        pair = method.form is ResultForm.PAIR
        inner = [
            f"{'const uint8_t *data' if i == 0 else 'uint32_t len'};" if pair else f"{C_TYPES[scalar]} r{i};"
            for i, scalar in enumerate(method.results)
        ]
        yield f"typedef struct {result} {{ {' '.join(inner)} }} {result};"
    native = literal(method.symbol.encode())
    if method.direction is Direction.GUEST:
        mark = f'HL_EXPORT("{native}")'
    else:
        module, _, inside = method.symbol.rpartition(".")
        mark = f'HL_IMPORT("{literal(module.encode())}", "{literal(inside.encode())}") extern'
    yield f'{mark} {result} {name}({", ".join(parameters) or "void"}) HL_NATIVE_NAME("{native}");'


def _parameter(parameter: Parameter, name: str, inplace: bool) -> str:
    match parameter.type:
        case Number():
            return f"{C_TYPES[parameter.type.scalar]} {name}"
        case CString():
            return f"const char *{name}"
        case _:
            return f"{'uint8_t' if parameter.out or inplace else 'const uint8_t'} *{name}"


def _result(method: Method) -> str:
    if method.form is ResultForm.PACKED:
        return "hl_result"
    return C_TYPES[method.results[0]] if method.results else "void"


def _describe(method: Method) -> str:
    notes = {
        ResultForm.PACKED: "Returns hl_returned(data, len).",
        ResultForm.INPLACE: "Returns how many bytes it put in the place of its first byte vector.",
        ResultForm.PAIR: "Returns address and length of its bytes.",
        ResultForm.NONE: "",
    }
    return "\n".join(part for part in (method.doc, notes[method.form]) if part)
