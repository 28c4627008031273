"""The reader of verified bytes: one straight-line function per table type, one unpacking per vtable."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from struct import Struct
from typing import Any, Final, NamedTuple

from hlfuzz.schema.ir import Presence, Scalar
from hlfuzz.schema.values import Classes
from hlfuzz.schema.wire.flatbuffers.codegen import make_function
from hlfuzz.schema.wire.flatbuffers.inline import InlineValue, inline_values
from hlfuzz.schema.wire.flatbuffers.members import FORMATS
from hlfuzz.schema.wire.flatbuffers.plan import Kind, Op, Plan, TableField, TablePlan, UnionPlan
from hlfuzz.schema.wire.flatbuffers.readers import (
    I32,
    U16,
    U32,
    Reader,
    Variants,
    numbers_reader,
    offsets_reader,
    read_bytes,
    read_string,
    read_unions,
    struct_reader,
    structs_reader,
)
from hlfuzz.schema.wire.flatbuffers.values import Values, attributes_of

_MAX_LAYOUTS: Final = 512
"""Vtables remembered per type; a hostile peer may send a new one each time."""


class _Layout(NamedTuple):
    """Tables with a certain vtable."""

    unpack: Callable[[bytes, int], tuple[Any, ...]]
    pick: Callable[[tuple[Any, ...]], tuple[Any, ...]]
    """Every value of the table, of what was unpacked and the defaults."""
    offsets: tuple[int, ...]
    """Where each value is in the table; 0 where it is absent."""


class Decoder:
    """Reads verified buffers of one schema."""

    def __init__(self, plan: Plan, classes: Classes, values: Values) -> None:
        self._plan = plan
        self._classes = classes
        self._values = values
        self._readers: list[Reader] = [self._lazy(t) for t in plan.tables]

    def read(self, table: int, data: bytes) -> Any:
        """The value of a buffer whose root is table number `table`, and which is verified."""
        return self._readers[table](data, U32(data, 0)[0])

    def _lazy(self, plan: TablePlan) -> Reader:
        """A reader that is made when first used: large schemas have many types, calls use few."""

        def first(data: bytes, at: int) -> Any:
            reader = self._table(plan)
            self._readers[plan.index] = reader
            return reader(data, at)

        return first

    def _table(self, plan: TablePlan) -> Reader:
        values = inline_values(plan)
        layouts: dict[bytes, _Layout] = {}

        def make(vtable: bytes) -> _Layout:
            layout = _layout(values, vtable)
            if len(layouts) < _MAX_LAYOUTS:
                layouts[vtable] = layout
            return layout

        cls = self._classes.definitions[plan.source.name]
        scope: dict[str, Any] = {"cls": cls, "new": object.__new__, "layouts": layouts, "make": make}
        scope |= {"I32": I32, "U16": U16, "U32": U32, "ABSENT": _absent(plan, values)}
        scope |= {"read_unions": read_unions}
        lines = _HEAD.copy()
        if values:
            names = "".join(f"{v.name}, " for v in values)
            lines.append(f" {names}= pick(unpack(data, at) + ABSENT)")
        k = 0
        for i, f in enumerate(plan.fields):
            paired = f.op in (Op.UNION, Op.VECTOR_UNION)
            lines += self._field(f, i, k + paired, scope)
            k += 1 + paired
        by_name = dict(zip((f.name for f in plan.source.fields), attributes_of(plan.source), strict=True))
        lines.append(" return obj")
        return make_function(lines, [by_name[f.source.name] for f in plan.fields], scope)

    def _field(self, f: TableField, i: int, k: int, scope: dict[str, Any]) -> list[str]:
        """The lines that set a field; `k` is the position of its value in the layout."""
        store = f" obj._a{i} = "
        if f.op is Op.SCALAR:
            enum = self._values.enum(f.enum)
            if enum is None:
                return [f"{store}f{i}"]
            scope[f"M{i}"] = enum.member
            return [f"{store}M{i}(f{i})"]
        if f.op is Op.STRUCT:
            values = self._values.structs[f.target]
            scope |= {f"M{i}": values.make, f"L{i}": values.layout.unpack}
            return [f"{store}None if f{i} is None else M{i}(L{i}(f{i}))"]
        scope[f"D{i}"] = f.source.default
        absent = "[]" if f.op >= Op.VECTOR_SCALAR else f"D{i}"
        if f.op is Op.UNION:
            scope[f"V{i}"] = self._variants(self._plan.unions[f.target])
            return [
                f" if f{i} is None: obj._a{i} = None",
                " else:",
                f"  variant, read = V{i}[g{i}]",
                f"  obj._a{i} = variant(read(data, at + offsets[{k}] + f{i}))",
            ]
        if f.op is Op.VECTOR_UNION:
            scope[f"V{i}"] = self._variants(self._plan.unions[f.target])
            there = f"at + offsets[{k - 1}] + g{i}, at + offsets[{k}] + f{i}"
            return [f"{store}[] if f{i} is None else read_unions(V{i}, data, {there})"]
        reader = self._reader(f)
        if reader in (read_bytes, read_string):
            absent, decode = ('b""', "") if reader is read_bytes else (absent, ".decode()")
            return [
                f" if f{i} is None: obj._a{i} = {absent}",
                " else:",
                f"  p = at + offsets[{k}] + f{i} + 4",
                f"  obj._a{i} = data[p : p + U32(data, p - 4)[0]]{decode}",
            ]
        scope[f"R{i}"] = reader
        return [f"{store}{absent} if f{i} is None else R{i}(data, at + offsets[{k}] + f{i})"]

    def _reader(self, f: TableField) -> Reader:
        match f.op:
            case Op.STRING:
                return read_string
            case Op.TABLE:
                return self._reference(f.target)
            case Op.VECTOR_STRING:
                return offsets_reader(read_string)
            case Op.VECTOR_TABLE:
                return offsets_reader(self._reference(f.target))
            case Op.VECTOR_STRUCT:
                return structs_reader(self._values.structs[f.target])
            case Op.NESTED:
                return read_bytes
            case _:
                enum = self._values.enum(f.enum)
                if f.scalar is Scalar.U8 and enum is None:
                    return read_bytes
                return numbers_reader(FORMATS[f.scalar or Scalar.U8], None if enum is None else enum.members)

    def _reference(self, table: int) -> Reader:
        readers = self._readers

        def read(data: bytes, at: int) -> Any:
            return readers[table](data, at)

        return read

    def _variants(self, union: UnionPlan) -> Variants:
        result: dict[int, tuple[type[Any], Reader]] = {}
        for v in union.variants:
            reader: Reader = read_string
            if v.kind is Kind.TABLE:
                reader = self._reference(v.target)
            elif v.kind is Kind.STRUCT:
                reader = struct_reader(self._values.structs[v.target])
            result[v.tag] = (self._classes.variants[union.source.name, v.tag], reader)
        return result


_HEAD: Final = [
    "def read_table(data, at):",
    " v = at - I32(data, at)[0]",
    " vtable = data[v : v + U16(data, v)[0]]",
    " layout = layouts.get(vtable)",
    " if layout is None: layout = make(vtable)",
    " unpack, pick, offsets = layout",
    " obj = new(cls)",
]


def _absent(plan: TablePlan, values: tuple[InlineValue, ...]) -> tuple[Any, ...]:
    """What a layout gives for each absent value: a number's default, else None."""

    def absent(f: TableField) -> Any:
        return f.source.default if f.op is Op.SCALAR and f.source.presence is Presence.IMPLICIT else None

    return tuple(absent(plan.fields[v.field]) for v in values)


def _layout(values: tuple[InlineValue, ...], vtable: bytes) -> _Layout:
    slots = Struct(f"<{len(vtable) // 2 - 2}H").unpack_from(vtable, 4)
    offsets = tuple(slots[v.slot] if v.slot < len(slots) else 0 for v in values)
    present = sorted((offset, k) for k, offset in enumerate(offsets) if offset)
    letters = ["<"]
    end = 0
    for offset, k in present:
        letters.append(f"{offset - end}x{values[k].letter}" if offset >= end else "!")
        end = offset + values[k].size
    # The rules let fields overlap: then each is unpacked by itself.
    unpack = (
        _apart([(o, values[k].letter) for o, k in present])
        if "!" in letters
        else Struct("".join(letters)).unpack_from
    )
    where = {k: i for i, (_, k) in enumerate(present)}
    order = [where.get(k, len(present) + k) for k in range(len(values))]
    pick = (
        itemgetter(*order)
        if len(order) > 1
        else itemgetter(slice(order[0], order[0] + 1) if order else slice(0))
    )
    return _Layout(unpack, pick, offsets)


def _apart(parts: list[tuple[int, str]]) -> Callable[[bytes, int], tuple[Any, ...]]:
    """Unpacks values that overlap."""
    each = [(offset, Struct(f"<{letter}").unpack_from) for offset, letter in parts]

    def unpack(data: bytes, at: int) -> tuple[Any, ...]:
        return tuple(one(data, at + offset)[0] for offset, one in each)

    return unpack
