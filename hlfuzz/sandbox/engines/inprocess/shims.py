"""The Wasm modules, as WAT, that stand before and behind a guest in the in-process engine.

The front shim is what the guest imports: its functions lower their arguments (see `crossing`) and call the
host, which returns one more i32, not zero when the call must end; then the shim traps. So no exception passes
through a callback of the `wasmtime` package, which keeps it in a process-wide variable. The back shim does
the same for exports with f32 or v128 in their types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Final

from hlfuzz.model import (
    Export,
    ExternKind,
    FuncType,
    GlobalType,
    Import,
    MemoryType,
    TableType,
    ValType,
    Value,
)
from hlfuzz.sandbox.engines.inprocess.crossing import lowered
from hlfuzz.sandbox.values import f32_bits, f64_bits

HOST: Final = "host"
"""Module under which the front shim imports host functions, each by its position in the guest's import
list."""

GUEST: Final = "guest"
"""Module under which the back shim imports the guest's exports."""

NAME: Final = "hlfuzz shim"
"""What both shims are called: their frames are none of the guest's."""

_MODULE: Final = f'(module $"{NAME}"'
_SHIMMED: Final = frozenset({ValType.F32, ValType.V128})


def front(imports: Sequence[Import], values: Mapping[int, Value]) -> str:
    """The module whose exports, in order, are the guest's imports; `values` are those of imported globals."""
    head: list[str] = []
    body: list[str] = []
    for index, wanted in enumerate(imports):
        export = f'(export "{index}")'
        match wanted.type:
            case FuncType(params, results) as t:
                head.append(f'(import "{HOST}" "{index}" (func $h{index} {_signature(host_signature(t))}))')
                base = len(params)
                low = lowered(results)
                code = (
                    f"{_locals(low)} {_push_low(params, 0)} call $h{index} if unreachable end "
                    f"{_pop(len(low), base)} {_push_typed(results, base)}"
                )
                body.append(f"(func {export} {_signature(t)} {code})")
            case GlobalType() as t:
                body.append(f"(global {export} {_global(t)} ({_constant(t.value, values[index])}))")
            case MemoryType(low_pages, high_pages, memory64, shared):
                words = (
                    "i64" if memory64 else "",
                    low_pages,
                    _maximum(high_pages),
                    "shared" if shared else "",
                )
                body.append(f"(memory {export} {' '.join(map(str, words))})")
            case TableType(element, low_size, high_size, table64):
                words = ("i64" if table64 else "", low_size, _maximum(high_size), element)
                body.append(f"(table {export} {' '.join(map(str, words))})")
    return "\n".join([_MODULE, *head, *body, ")"])


def back(exports: Sequence[Export]) -> str | None:
    """The module that stands behind the guest's shimmed exports; None when there are none."""
    head: list[str] = []
    body: list[str] = []
    for e in filter(is_shimmed, exports):
        name = f'(import "{GUEST}" "{_escaped(e.name)}"'
        match e.type:
            case FuncType(params, results) as t:
                head.append(f"{name} (func $f{e.index} {_signature(t)}))")
                base = len(lowered(params))
                low = FuncType(tuple(lowered(params)), tuple(lowered(results)))
                code = (
                    f"{_locals(results)} {_push_typed(params, 0)} call $f{e.index} "
                    f"{_pop(len(results), base)} {_push_low(results, base)}"
                )
                body.append(f'(func (export "{call(e)}") {_signature(low)} {code})')
            case GlobalType(value, mutable) as t:
                types = (value,)
                low_types = tuple(lowered(types))
                head.append(f"{name} (global $g{e.index} {_global(t)}))")
                get = f"{_locals(types)} global.get $g{e.index} {_pop(1, 0)} {_push_low(types, 0)}"
                body.append(f'(func (export "{getter(e)}") {_signature(FuncType((), low_types))} {get})')
                if mutable:
                    put = f"{_push_typed(types, 0)} global.set $g{e.index}"
                    body.append(f'(func (export "{setter(e)}") {_signature(FuncType(low_types))} {put})')
            case _:
                pass
    return "\n".join([_MODULE, *head, *body, ")"]) if body else None


def is_shimmed(export: Export) -> bool:
    """Whether an export is reached through the back shim."""
    match export.type:
        case FuncType(params, results) if export.kind is ExternKind.FUNC:
            types = params + results
            return not any(t.is_reference for t in types) and not _SHIMMED.isdisjoint(types)
        case GlobalType(value):
            return value in _SHIMMED
        case _:
            return False


def host_signature(type_: FuncType) -> FuncType:
    """The signature of the host's side of an imported function."""
    return FuncType(tuple(lowered(type_.params)), (*lowered(type_.results), ValType.I32))


def call(export: Export) -> str:
    """The back shim's function that calls a shimmed function."""
    return f"call {export.index}"


def getter(export: Export) -> str:
    """The back shim's function that reads a shimmed global."""
    return f"get {export.index}"


def setter(export: Export) -> str:
    """The back shim's function that writes a shimmed mutable global."""
    return f"set {export.index}"


def _signature(t: FuncType) -> str:
    params = f"(param {' '.join(t.params)})" if t.params else ""
    return f"{params} (result {' '.join(t.results)})" if t.results else params


def _locals(types: Sequence[ValType]) -> str:
    return f"(local {' '.join(types)})" if types else ""


def _global(t: GlobalType) -> str:
    return f"(mut {t.value})" if t.mutable else str(t.value)


def _maximum(size: int | None) -> str:
    return "" if size is None else str(size)


def _push_low(types: Sequence[ValType], base: int) -> str:
    """Push what crosses for the typed locals from `base` on."""
    code: list[str] = []
    for index, t in enumerate(types, base):
        if t is ValType.V128:
            code += [f"local.get {index} i64x2.extract_lane {lane}" for lane in (0, 1)]
        elif t is ValType.F32:
            code.append(f"local.get {index} i32.reinterpret_f32")
        elif not t.is_reference:
            code.append(f"local.get {index}")
    return " ".join(code)


def _push_typed(types: Sequence[ValType], base: int) -> str:
    """Push the typed values for what crossed into the locals from `base` on."""
    code: list[str] = []
    index = base
    for t in types:
        if t is ValType.V128:
            code.append(f"local.get {index} i64x2.splat local.get {index + 1} i64x2.replace_lane 1")
        elif t is ValType.F32:
            code.append(f"local.get {index} f32.reinterpret_i32")
        elif t.is_reference:  # only after a host function, which refuses: never reached
            code.append(f"ref.null {t.removesuffix('ref')}")
        else:
            code.append(f"local.get {index}")
        index += len(lowered((t,)))
    return " ".join(code)


def _pop(count: int, base: int) -> str:
    return " ".join(f"local.set {index}" for index in reversed(range(base, base + count)))


def _constant(t: ValType, value: Value) -> str:
    if isinstance(value, bytes):
        lanes = (int.from_bytes(value[at : at + 8], "little") for at in (0, 8))
        return f"v128.const i64x2 {' '.join(map(str, lanes))}"
    if isinstance(value, int) and t in (ValType.I32, ValType.I64):
        return f"{t}.const {value}"
    if isnan(value):  # with its sign and payload
        bits, size, mantissa = (f32_bits(value), 32, 23) if t is ValType.F32 else (f64_bits(value), 64, 52)
        sign = "-" if bits >> (size - 1) else ""
        return f"{t}.const {sign}nan:0x{bits & ((1 << mantissa) - 1):x}"
    return f"{t}.const {float(value).hex()}"


def _escaped(name: str) -> str:
    return "".join(f"\\{byte:02x}" for byte in name.encode())
