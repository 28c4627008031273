"""Raw interfaces in C: prototypes of exports and imports, and the allocator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hlfuzz.generate.c.model import C_TYPES
from hlfuzz.generate.c.names import GlobalScope, members
from hlfuzz.generate.c.text import comment, literal
from hlfuzz.schema.diagnostics import Diagnostic, SchemaError
from hlfuzz.schema.ir import CString, Direction, Method, Number, Parameter, ResultForm, Scalar, Schema

ALLOCATOR = "hlfuzz_alloc"


@dataclass(frozen=True, slots=True)
class RawParameter:
    """A parameter of the C function: its declaration, its name, and its number's type (none: a pointer)."""

    ctype: str
    name: str
    scalar: Scalar | None

    @property
    def declared(self) -> str:
        """As in a prototype."""
        return f"{self.ctype}{'' if self.ctype.endswith('*') else ' '}{self.name}"


@dataclass(frozen=True, slots=True)
class RawFunction:
    """A method with its C names. `result` is a C type; that of several results is a struct of its own."""

    method: Method
    name: str
    parameters: tuple[RawParameter, ...]
    result: str

    @property
    def signature(self) -> str:
        """The prototype without marks and semicolon."""
        inside = ", ".join(p.declared for p in self.parameters) or "void"
        return f"{self.result} {self.name}({inside})"


def functions(schema: Schema) -> list[RawFunction]:
    """All methods, those of the guest first. Raises `SchemaError` when two have one symbol."""
    scope = GlobalScope()
    taken: set[tuple[Direction, str]] = set()
    found: list[RawFunction] = []
    for direction in Direction:
        for _, method in schema.methods(direction):
            allocator = direction is Direction.GUEST and method.symbol == (schema.allocator or ALLOCATOR)
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
            found.append(_function(method, scope))
    return found


def prototypes(schema: Schema) -> Iterator[str]:
    """The lines of the header. Raises `SchemaError` when two functions have one symbol."""
    every = functions(schema)
    for direction in Direction:
        chosen = [f for f in every if f.method.direction is direction]
        if not chosen:
            continue
        text = "For the guest to implement." if direction is Direction.GUEST else "Functions of the host."
        yield from comment(text)
        for function in chosen:
            yield from comment(_describe(function.method))
            yield from _prototype(function)
        yield ""


def _function(method: Method, scope: GlobalScope) -> RawFunction:
    name = scope.claim(method.symbol)
    names, own = members([p.name for p in method.parameters], scope)
    inplace = method.form is ResultForm.INPLACE
    parameters: list[RawParameter] = []
    for parameter, called in zip(method.parameters, names, strict=True):
        scalar = parameter.type.scalar if isinstance(parameter.type, Number) else None
        parameters.append(RawParameter(_ctype(parameter, inplace), called, scalar))
        if not isinstance(parameter.type, Number | CString):
            length = own.claim(called + ("_capacity" if parameter.out else "_len"))
            parameters.append(RawParameter("uint32_t", length, Scalar.U32))
    result = scope.claim(f"{name}_results") if len(method.results) > 1 else _result(method)
    return RawFunction(method, name, tuple(parameters), result)


def _prototype(function: RawFunction) -> Iterator[str]:
    method = function.method
    if len(method.results) > 1:
        yield "#if defined(__wasm__) && !defined(HL_MULTIVALUE)"
        flags = "-Xclang -target-abi -Xclang experimental-mv -DHL_MULTIVALUE"
        yield f'#error "{function.name} has several results: compile with {flags}"'
        yield "#endif"
        pair = method.form is ResultForm.PAIR
        inner = [
            f"{'const uint8_t *data' if i == 0 else 'uint32_t len'};" if pair else f"{C_TYPES[scalar]} r{i};"
            for i, scalar in enumerate(method.results)
        ]
        yield f"typedef struct {function.result} {{ {' '.join(inner)} }} {function.result};"
    if method.direction is Direction.GUEST:
        mark = f'HL_EXPORT("{literal(method.symbol.encode())}")'
    else:
        module, _, inside = method.symbol.rpartition(".")
        mark = f'HL_IMPORT("{literal(module.encode())}", "{literal(inside.encode())}") extern'
    yield f"{mark} {function.signature};"


def _ctype(parameter: Parameter, inplace: bool) -> str:
    match parameter.type:
        case Number():
            return C_TYPES[parameter.type.scalar]
        case CString():
            return "const char *"
        case _:
            return "uint8_t *" if parameter.out or inplace else "const uint8_t *"


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
