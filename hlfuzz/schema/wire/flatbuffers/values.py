"""How numbers, enums and structs look in Python and as bytes; shared by encoder and reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

from hlfuzz.schema.ir import Enum, Record, Scalar
from hlfuzz.schema.names import field_names
from hlfuzz.schema.values import Classes, enum_value
from hlfuzz.schema.wire.flatbuffers.codegen import make_function
from hlfuzz.schema.wire.flatbuffers.members import FORMATS
from hlfuzz.schema.wire.flatbuffers.plan import NONE, EnumPlan, Kind, Plan, StructField, StructPlan

BOOLS: Final = {False: 0, True: 1}
"""A boolean's byte; raises `KeyError` for what is none (1 and 0 are)."""


class _Flags(dict[Any, Any]):
    """The members of an `IntFlag`, by number; combinations are made when asked for."""

    def __init__(self, source: Enum, cls: type[Any]) -> None:
        super().__init__({m.value: enum_value(cls, m.value) for m in source.members})
        self._cls = cls

    def __missing__(self, number: int) -> Any:
        return self._cls(number)


class _Bits(dict[Any, int]):
    """The number of a combination of flags; raises `KeyError` when it has undeclared bits."""

    def __init__(self, mask: int) -> None:
        super().__init__({0: 0})
        self._undeclared = ~mask

    def __missing__(self, value: Any) -> int:
        if not isinstance(value, int) or value & self._undeclared:
            raise KeyError(value)
        return int(value)


@dataclass(frozen=True)
class EnumValues:
    """An enum in both directions: Python value → number and number → member."""

    numbers: Mapping[Any, int]
    members: Mapping[Any, Any]
    member: Callable[[Any], Any]
    """`members[number]`, but None for None, and the number itself where it has no member."""


@dataclass(frozen=True)
class StructValues:
    """A struct in both directions."""

    layout: Struct
    pack: Callable[[Any], bytes]
    """From a value; raises whatever the value's parts raise."""
    make: Callable[[tuple[Any, ...]], Any]
    """From what `layout` unpacks."""


class Values:
    """The enums and structs of a schema, with their classes."""

    def __init__(self, plan: Plan, classes: Classes) -> None:
        self._classes = classes
        self.enums = tuple(self._enum(e) for e in plan.enums)
        structs: dict[int, StructValues] = {}
        for s in sorted(plan.structs, key=lambda s: s.depth):
            structs[s.index] = self._struct(s, structs)
        self.structs = tuple(structs[i] for i in range(len(structs)))

    def enum(self, index: int) -> EnumValues | None:
        """An enum by index; None for plain numbers."""
        return None if index == NONE else self.enums[index]

    def _enum(self, plan: EnumPlan) -> EnumValues:
        cls = self._classes.definitions[plan.source.name]
        if plan.source.bit_flags:
            flags = _Flags(plan.source, cls)
            flags[None] = None
            return EnumValues(_Bits(plan.values[0]), flags, flags.__getitem__)
        numbers = {value: value for value in plan.values}
        members = {value: enum_value(cls, value) for value in plan.values}
        return EnumValues(numbers, members, lambda number: members.get(number, number))

    def _struct(self, plan: StructPlan, known: Mapping[int, StructValues]) -> StructValues:
        layout = Struct(_format(plan))
        cls = self._classes.definitions[plan.source.name]
        scope: dict[str, Any] = {"cls": cls, "new": object.__new__, "pack": layout.pack}
        scope |= {"BOOLS": BOOLS, "fixed": _fixed}
        given: list[str] = []
        taken: list[str] = []
        at = 0
        for i, f in enumerate(plan.fields):
            if f.kind is Kind.ENUM:
                scope[f"N{i}"] = self.enums[f.target].numbers
                scope[f"M{i}"] = self.enums[f.target].members
            elif f.kind is Kind.STRUCT:
                scope[f"P{i}"] = known[f.target].pack
                scope[f"L{i}"] = known[f.target].layout
                scope[f"M{i}"] = known[f.target].make
            width = 1 if f.count is None or f.kind is Kind.STRUCT else f.count
            given.append(_to_layout(f, i))
            taken.append(f" obj._a{i} = {_from_layout(f, i, at, width)}")
            at += width
        pack = [
            "def pack_struct(obj):",
            " if not isinstance(obj, cls): raise TypeError",
            f" return pack({', '.join(given)})",
        ]
        make = ["def make_struct(t):", " obj = new(cls)", *taken, " return obj"]
        attributes = attributes_of(plan.source)
        return StructValues(
            layout, make_function(pack, attributes, scope), make_function(make, attributes, scope)
        )


def attributes_of(record: Record) -> tuple[str, ...]:
    """The Python attribute of each field, in the record's order."""
    names = field_names(record)
    return tuple(names[f.name] for f in record.fields)


def _fixed(values: Any, count: int) -> Any:
    if len(values) != count:
        raise ValueError(f"{len(values)} elements instead of {count}")
    return values


def _format(plan: StructPlan) -> str:
    parts = ["<"]
    end = 0
    for f in plan.fields:
        count = 1 if f.count is None else f.count
        parts.append(f"{f.offset - end}x")
        parts.append(f"{f.size * count}s" if f.scalar is None else f"{count}{FORMATS[f.scalar]}")
        end = f.offset + f.size * count
    parts.append(f"{plan.source.size - end}x")
    return "".join(parts)


def _to_layout(f: StructField, i: int) -> str:
    """The expression of what the layout packs for a field."""
    convert = {Kind.ENUM: f"N{i}[%s]", Kind.STRUCT: f"P{i}(%s)"}.get(f.kind, "%s")
    if f.scalar is Scalar.BOOL and f.kind is Kind.SCALAR:
        convert = "BOOLS[%s]"
    if f.count is None:
        return convert % f"obj._a{i}"
    elements = f"[{convert % 'x'} for x in fixed(obj._a{i}, {f.count})]"
    return f'b"".join({elements})' if f.kind is Kind.STRUCT else f"*{elements}"


def _from_layout(f: StructField, i: int, at: int, width: int) -> str:
    """The expression of a field's value, from what the layout unpacks from position `at` on."""
    if f.kind is Kind.STRUCT:
        one = f"M{i}(L{i}.unpack(t[{at}]))"
        return one if f.count is None else f"[M{i}(x) for x in L{i}.iter_unpack(t[{at}])]"
    if f.kind is Kind.ENUM:
        return f"M{i}[t[{at}]]" if f.count is None else f"[M{i}[x] for x in t[{at}:{at + width}]]"
    return f"t[{at}]" if f.count is None else f"list(t[{at}:{at + width}])"
