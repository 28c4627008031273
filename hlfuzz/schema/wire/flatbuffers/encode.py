"""The encoder: one straight-line function per table type, and one layout per set of fields that are present.

A buffer is written front to back: a table's vtable (once per buffer and layout), the table, then what its
offsets lead to. Fields equal to their defaults are left out, as flatc does.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from struct import Struct
from typing import Any, Final, NamedTuple

from hlfuzz.schema.ir import Presence, Scalar
from hlfuzz.schema.values import Classes
from hlfuzz.schema.wire.base import Limits
from hlfuzz.schema.wire.flatbuffers.codegen import make_function
from hlfuzz.schema.wire.flatbuffers.inline import InlineValue, inline_values
from hlfuzz.schema.wire.flatbuffers.members import FORMATS
from hlfuzz.schema.wire.flatbuffers.plan import Kind, Op, Plan, TableField, TablePlan, UnionPlan
from hlfuzz.schema.wire.flatbuffers.values import BOOLS, Values, attributes_of
from hlfuzz.schema.wire.flatbuffers.writers import (
    ENDS,
    PADS,
    U32,
    Buffer,
    OutOfBounds,
    Variants,
    Writer,
    bytes_writer,
    numbers_writer,
    offsets_writer,
    struct_writer,
    structs_writer,
    unions_writer,
    write_string,
)

_MAX_LAYOUTS: Final = 4096
"""Sets of present fields remembered per type."""
_BUILT_IN: Final = (Op.SCALAR, Op.STRUCT)


class _Layout(NamedTuple):
    """A table with certain fields present."""

    vtable: bytes
    pack: Callable[..., bytes]
    pick: Callable[[tuple[Any, ...]], tuple[Any, ...]]
    """The values that are packed, of all values of the table."""
    offsets: tuple[int, ...]
    """Where each value is in the table; 0 where it is absent."""
    size: int
    """In bytes, rounded up to a multiple of 4."""
    phase: int
    mask: int
    """The table starts where `position & mask` is `phase`: then what follows its first 4 bytes is aligned."""


class Encoder:
    """Encodes values of one schema."""

    def __init__(
        self,
        plan: Plan,
        classes: Classes,
        values: Values,
        limits: Limits,
        nested: Callable[[int, bytes], None],
    ) -> None:
        self._plan = plan
        self._classes = classes
        self._values = values
        self._limits = limits
        self._nested = nested
        self._widest = max([8, *(max(f.align, f.force) for t in plan.tables for f in t.fields)])
        self._writers: list[Writer] = [self._lazy(t) for t in plan.tables]

    def encode(self, table: int, value: Any) -> bytes:
        """A buffer with `value` as its root. Raises what the parts raise when the value does not fit."""
        identifier = self._plan.tables[table].identifier or b""
        buffer = Buffer(self._limits.size, self._limits.tables)
        buffer.parts += (b"", identifier)
        root, end = self._writers[table](buffer, value, 4 + len(identifier), 0)
        if end > self._limits.size:
            raise OutOfBounds(f"more than {self._limits.size} bytes")
        buffer.parts[0] = U32(root)
        return b"".join(buffer.parts)

    def _lazy(self, plan: TablePlan) -> Writer:
        """A writer that is made when first used: large schemas have many types, calls use few."""

        def first(buffer: Buffer, value: Any, pos: int, depth: int) -> tuple[int, int]:
            writer = self._table(plan)
            self._writers[plan.index] = writer
            return writer(buffer, value, pos, depth)

        return first

    def _table(self, plan: TablePlan) -> Writer:
        values = inline_values(plan)
        layouts: dict[tuple[bool, ...], _Layout] = {}

        def make(key: tuple[bool, ...]) -> _Layout:
            layout = _layout(values, key)
            if len(layouts) < _MAX_LAYOUTS:
                layouts[key] = layout
            return layout

        scope: dict[str, Any] = {
            "cls": self._classes.definitions[plan.source.name],
            "OutOfBounds": OutOfBounds,
        }
        scope |= {"layouts": layouts, "make": make, "PADS": PADS, "ENDS": ENDS, "U32": U32, "BOOLS": BOOLS}
        scope |= {"LIMIT": self._limits.depth}
        lines = _HEAD.copy()
        lines += [f" f{i} = obj._a{i}" for i in range(len(plan.fields))]
        lines.append(f" key = ({''.join(_present(f, i) + ', ' for i, f in enumerate(plan.fields))})")
        lines += _PLACE
        given: list[str] = []
        for i, f in enumerate(plan.fields):
            scope[f"D{i}"] = f.source.default
            given += (
                self._value(f, i, scope) if f.op in _BUILT_IN else self._child(f, i, len(given), scope, lines)
            )
        lines.append(f" parts[slot] = pack(at - base, *pick(({''.join(g + ', ' for g in given)})))")
        lines.append(" return at, pos")
        by_name = dict(zip((f.name for f in plan.source.fields), attributes_of(plan.source), strict=True))
        return make_function(lines, [by_name[f.source.name] for f in plan.fields], scope)

    def _value(self, f: TableField, i: int, scope: dict[str, Any]) -> list[str]:
        """The expression of what is packed for a number or struct."""
        if f.op is Op.STRUCT:
            scope[f"P{i}"] = self._values.structs[f.target].pack
            return [f"P{i}(f{i}) if {_present(f, i)} else None"]
        enum = self._values.enum(f.enum)
        if enum is not None:
            scope[f"N{i}"] = enum.numbers
            return [f"N{i}[f{i}] if {_present(f, i)} else None"]
        if f.scalar is Scalar.BOOL:
            return [f"BOOLS[f{i}] if {_present(f, i)} else None"]
        return [f"f{i}"]

    def _child(self, f: TableField, i: int, k: int, scope: dict[str, Any], lines: list[str]) -> list[str]:
        """Add the lines that write what an offset leads to; the expressions of what is packed."""
        lines.append(f" if {_present(f, i)}:")
        if f.op is Op.VECTOR_UNION:
            scope[f"W{i}"] = unions_writer(self._variants(self._plan.unions[f.target]), max(4, f.force))
            lines.append(f"  g{i}, f{i}, pos = W{i}(w, f{i}, pos, depth)")
            lines.append(f"  g{i} -= at + offsets[{k}]; f{i} -= at + offsets[{k + 1}]")
            lines.append(f" else: g{i} = 0")
            return [f"g{i}", f"f{i}"]
        if f.op is Op.UNION:
            scope[f"V{i}"] = self._variants(self._plan.unions[f.target])
            lines.append(f"  g{i}, write = V{i}[f{i}.__class__]")
            lines.append(f"  f{i}, pos = write(w, f{i}.value, pos, depth)")
            lines.append(f"  f{i} -= at + offsets[{k + 1}]")
            lines.append(f" else: g{i} = 0")
            return [f"g{i}", f"f{i}"]
        scope[f"W{i}"] = self._writer(f)
        lines.append(f"  f{i}, pos = W{i}(w, f{i}, pos, depth)")
        lines.append(f"  f{i} -= at + offsets[{k}]")
        return [f"f{i}"]

    def _writer(self, f: TableField) -> Writer:
        align = max(f.align, f.force)
        match f.op:
            case Op.STRING:
                return write_string
            case Op.TABLE:
                return self._reference(f.target)
            case Op.VECTOR_STRING:
                return offsets_writer(write_string, align)
            case Op.VECTOR_TABLE:
                return offsets_writer(self._reference(f.target), align)
            case Op.VECTOR_STRUCT:
                return structs_writer(self._values.structs[f.target], align)
            case Op.NESTED:
                nested, target = self._nested, f.target
                return bytes_writer(self._widest, lambda data: nested(target, data))
            case _:
                enum = self._values.enum(f.enum)
                if f.scalar is Scalar.U8 and enum is None:
                    return bytes_writer(align)
                letter = FORMATS[f.scalar or Scalar.U8]
                return numbers_writer(letter, align, None if enum is None else enum.numbers)

    def _reference(self, table: int) -> Writer:
        writers = self._writers

        def write(buffer: Buffer, value: Any, pos: int, depth: int) -> tuple[int, int]:
            return writers[table](buffer, value, pos, depth)

        return write

    def _variants(self, union: UnionPlan) -> Variants:
        result: dict[type[Any], tuple[int, Writer]] = {}
        for v in union.variants:
            if v.kind is Kind.TABLE:
                writer = self._reference(v.target)
            elif v.kind is Kind.STRUCT:
                align = self._plan.structs[v.target].source.align
                writer = struct_writer(self._values.structs[v.target], align)
            else:
                writer = write_string
            result[self._classes.variants[union.source.name, v.tag]] = (v.tag, writer)
        return result


_HEAD: Final = [
    "def write_table(w, obj, pos, depth):",
    " if not isinstance(obj, cls): raise TypeError",
    " depth += 1",
    " w.tables -= 1",
    " if depth > LIMIT or w.tables < 0 or pos > w.size: raise OutOfBounds",
]
_PLACE: Final = [
    " layout = layouts.get(key)",
    " if layout is None: layout = make(key)",
    " vtable, pack, pick, offsets, size, phase, mask = layout",
    " parts = w.parts",
    " base = w.vtables.get(vtable)",
    " if base is None:",
    "  base = w.vtables[vtable] = pos",
    "  parts.append(vtable)",
    "  pos += len(vtable)",
    " at = pos + ((phase - pos) & mask)",
    " parts += (PADS[at - pos], None)",
    " slot = len(parts) - 1",
    " pos = at + size",
]


def _present(f: TableField, i: int) -> str:
    """The expression that says whether a field is written."""
    if f.source.presence is Presence.REQUIRED and not f.source.deprecated:
        return "True"
    if f.op >= Op.VECTOR_SCALAR:
        return f"len(f{i}) != 0"
    if f.source.presence is not Presence.IMPLICIT:
        return f"f{i} is not None"
    default = f.source.default
    return f"f{i} == f{i}" if default != default else f"f{i} != D{i}"


def _layout(values: tuple[InlineValue, ...], key: tuple[bool, ...]) -> _Layout:
    """Widest values first: sizes are multiples of alignments, so no gaps are needed."""
    order = sorted((k for k, v in enumerate(values) if key[v.field]), key=lambda k: -values[k].align)
    offsets = [0] * len(values)
    slots: dict[int, int] = {}
    letters = ["<i"]
    end = 4
    for k in order:
        value = values[k]
        offsets[k] = slots[value.slot] = end
        letters.append(value.letter)
        end += value.size
    if end > 0xFFFF:
        raise OutOfBounds(f"a table of {end} bytes; 65535 is the most")
    letters.append(f"{-end & 3}x")
    count = max(slots, default=-1) + 1
    vtable = Struct(f"<{2 + count}H").pack(4 + 2 * count, end, *(slots.get(s, 0) for s in range(count)))
    mask = max([4, *(values[k].align for k in order)]) - 1
    size = end + (-end & 3)
    return _Layout(
        vtable, Struct("".join(letters)).pack, _picker(order), tuple(offsets), size, mask - 3, mask
    )


def _picker(order: list[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    if len(order) > 1:
        return itemgetter(*order)
    return itemgetter(slice(order[0], order[0] + 1) if order else slice(0))
