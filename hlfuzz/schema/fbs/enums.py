"""Resolves enums and unions: the values of their members, explicit and counted, plain and bit flags."""

from __future__ import annotations

from hlfuzz.schema.fbs.model import Base, EnumDef, FieldType, MemberDef
from hlfuzz.schema.fbs.numbers import NotANumber, read_integer
from hlfuzz.schema.fbs.problems import Problem, shown
from hlfuzz.schema.fbs.syntax import EnumNode, MemberNode
from hlfuzz.schema.fbs.types import Context
from hlfuzz.schema.ir import Scalar

_NONE = "NONE"


def resolve_enum(node: EnumNode, context: Context) -> None:
    """Define an enum or union; errors are reported."""
    scope = context.scope
    full = scope.qualified(node.name.text)
    if full in scope.enums or full in scope.defined:
        raise scope.again(full, node.name.offset)
    enum = EnumDef(full, node.union, Scalar.U8 if node.union else Scalar.I32)
    enum.doc = node.doc
    enum.position = context.source.position(node.name.offset)
    scope.enums[full] = enum
    if node.underlying is not None:
        _underlying(node, enum, context)
    enum.attributes = context.attributes(node.attributes)
    if "force_align" in enum.attributes:
        context.report(Problem("an enum cannot have force_align", node.name.offset, "put it on a struct"))
    if (record := scope.records.get(full)) is not None and record.defined:
        raise scope.again(full, node.name.offset)
    _members(node, enum, context)
    if not enum.bit_flags or _shift(node, enum, context):
        _distinct(node, enum, context)
    enum.values = {m.value for m in enum.members.values()}
    scope.defined[full] = enum


def _underlying(node: EnumNode, enum: EnumDef, context: Context) -> None:
    assert node.underlying is not None
    name = node.underlying.name
    try:
        type_ = context.type(node.underlying)
        scalar = type_.scalar
        if not type_.is_scalar or scalar is None or scalar.is_float or scalar is Scalar.BOOL:
            raise Problem(
                f"{shown(name.text)} cannot be the type of an enum or union",
                name.offset,
                "take an integer type: ubyte",
            )
        enum.scalar = scalar
        if node.union and scalar.size != 1:
            raise Problem(
                f"a union with tags of type {scalar} is not supported",
                name.offset,
                "there is no agreement on their size on the wire: take ubyte, or leave the type out",
            )
    except Problem as problem:
        context.report(problem)
        return
    if node.union:
        enum.underlying = scalar


def _members(node: EnumNode, enum: EnumDef, context: Context) -> None:
    previous: int | None = None
    if node.union:
        previous = 0
    elif not node.members:
        enum.members[_NONE] = MemberDef(_NONE, 0, None, {}, (), enum.position)
    for member in node.members:
        try:
            value = _value(member, enum, previous)
            previous = value
            _add(member, value, enum, context)
        except Problem as problem:
            context.report(problem)


def _value(member: MemberNode, enum: EnumDef, previous: int | None) -> int:
    if member.value is None:
        value = 0 if previous is None else previous + 1
        if value > enum.scalar.range[1]:
            raise Problem(
                f"{shown(member.name.text)} would be {value}, which does not fit {enum.scalar}",
                member.name.offset,
            )
        return value
    try:
        return read_integer(member.value.text, enum.scalar)
    except NotANumber as error:
        raise Problem(f"{shown(member.value.text)} {error}", member.value.offset) from None


def _add(member: MemberNode, value: int, enum: EnumDef, context: Context) -> None:
    # A variant named by a table of another namespace is called by its full name with underscores.
    name = member.name.text.replace(".", "_")
    type_ = None
    if enum.union:
        if member.type is not None:
            type_ = context.type(member.type)
            if not type_.plain or type_.base not in (Base.RECORD, Base.STRING):
                raise Problem("a union holds tables, structs and strings only", member.type.name.offset)
        else:
            record = context.scope.use_record(member.name.text, context.source, member.name.offset)
            type_ = FieldType(Base.RECORD, record=record)
    attributes = context.attributes(member.attributes)
    if name in enum.members or (enum.union and name == _NONE):
        hint = "NONE is there in every union" if enum.union and name == _NONE else ""
        raise Problem(f"{shown(name)} is there twice in {enum.name}", member.name.offset, hint)
    position = context.source.position(member.name.offset)
    enum.members[name] = MemberDef(name, value, type_, attributes, member.doc, position)


def _shift(node: EnumNode, enum: EnumDef, context: Context) -> bool:
    """In bit flags, the numbers are those of bits. Whether they are bits of the type."""
    bits = 8 * enum.scalar.size
    usable = bits - 1 if enum.scalar.range[0] < 0 else bits
    for member in enum.members.values():
        if 0 <= member.value < usable:
            member.value = 1 << member.value
        else:
            where = next(
                (m.name.offset for m in node.members if m.name.text == member.name), node.name.offset
            )
            message = f"{shown(member.name)} is bit {member.value}; {enum.scalar} has bits 0 to {usable - 1}"
            context.report(Problem(message, where, "take a wider unsigned type"))
            return False
    return True


def _distinct(node: EnumNode, enum: EnumDef, context: Context) -> None:
    seen: dict[int, str] = {0: _NONE} if enum.union else {}
    offsets = {m.name.text.replace(".", "_"): m.name.offset for m in node.members}
    for member in enum.members.values():
        if member.value in seen:
            message = f"{shown(seen[member.value])} and {shown(member.name)} are both {member.value}"
            context.report(Problem(message, offsets[member.name]))
        seen[member.value] = member.name
