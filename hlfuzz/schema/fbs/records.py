"""Resolves tables and structs: vtable slots by order or id, layout of structs, names that would clash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hlfuzz.schema.fbs.fields import resolve_field
from hlfuzz.schema.fbs.limits import MAX_ALIGN, MAX_FIELDS, MAX_STRUCT_BYTES
from hlfuzz.schema.fbs.model import FieldDef, FieldType, RecordDef
from hlfuzz.schema.fbs.numbers import NotANumber, read_integer
from hlfuzz.schema.fbs.problems import Problem, shown
from hlfuzz.schema.fbs.syntax import FieldNode, RecordNode
from hlfuzz.schema.fbs.types import Context
from hlfuzz.schema.ir import Scalar

_TAG: Final = "_type"
_GENERATED: Final[tuple[tuple[tuple[str, ...], Callable[[FieldType], bool]], ...]] = (
    ((_TAG, "Type"), lambda t: t.is_union),
    (("_length", "Length"), lambda t: t.is_vector),
    (("_byte_vector", "ByteVector"), lambda t: t.is_string),
)
"""Endings of names that flatc generates for a field, and the fields that have them."""


def resolve_record(node: RecordNode, context: Context) -> None:
    """Define a table or struct; errors are reported."""
    record = context.scope.define_record(node.name.text, context.source, node.name.offset)
    record.fixed = node.fixed
    record.doc = node.doc
    record.attributes = context.attributes(node.attributes)
    taken: set[str] = set()
    good = True
    for field in node.fields:
        try:
            _add(field, record, taken, context)
        except Problem as problem:
            context.report(problem)
            good = False
    if good:
        try:
            _finish(node, record)
        except Problem as problem:
            context.report(problem)
    context.scope.defined[record.name] = record


def _add(node: FieldNode, record: RecordDef, taken: set[str], context: Context) -> None:
    field = resolve_field(node, record, context)
    # The tag of a union has a name too, which JSON and generated code use.
    names = [node.name.text + _TAG, node.name.text] if field.slots == 2 else [node.name.text]
    for name in names:
        if name in taken:
            hint = "a union takes its own name and that with _type" if _TAG in name else ""
            raise Problem(f"field {shown(name)} is there twice", node.name.offset, hint)
    taken.update(names)
    if record.fixed:
        field.slot = len(record.fields)
        size, align = field.type.layout()
        record.align = max(record.align, align)
        record.size = _up(record.size, align) + size
        if record.size > MAX_STRUCT_BYTES:
            record.size = 1
            raise Problem(f"a struct of more than {MAX_STRUCT_BYTES:,} bytes", node.name.offset)
    record.fields.append(field)


def _finish(node: RecordNode, record: RecordDef) -> None:
    """What can be said when all fields are known."""
    if record.fixed:
        _layout(node, record)
    elif any("id" in f.attributes for f in record.fields):
        _slots_by_id(node, record)
    else:
        slot = 0
        for field in record.fields:
            slot += field.slots
            field.slot = slot - 1
        if slot > MAX_FIELDS:
            raise Problem(
                f"a table with more than {MAX_FIELDS:,} slots", node.name.offset, "group fields in tables"
            )
    _check_clashes(record)


def _layout(node: RecordNode, record: RecordDef) -> None:
    if not record.size:
        raise Problem(f"struct {shown(record.name)} has no fields", node.name.offset, "use a table")
    force = record.attributes.get("force_align")
    if force is not None:
        try:
            align = read_integer(force.value or "0", Scalar.U8)
        except NotANumber:
            align = 0
        if not record.align <= align <= MAX_ALIGN or align & (align - 1):
            raise Problem(
                f"force_align must be a power of two from {record.align} to {MAX_ALIGN}",
                force.node.name.offset,
            )
        record.align = align
    record.size = _up(record.size, record.align)


def _slots_by_id(node: RecordNode, record: RecordDef) -> None:
    slots: dict[int, FieldDef] = {}
    for field in record.fields:
        use = field.attributes.get("id")
        if use is None:
            raise Problem(
                f"field {shown(field.name)} has no id",
                field.offset,
                "either all fields of a table have one, or none",
            )
        where = use.node.name.offset
        try:
            number = read_integer(use.value or "0", Scalar.U16)
        except NotANumber:
            raise Problem(f"an id is a number from 0 to {MAX_FIELDS - 1:,}", where) from None
        if number < field.slots - 1:
            raise Problem(
                "a union takes two ids: its own, and the one before for its tag",
                where,
                f"give it {number + 1}",
            )
        for slot in range(number - field.slots + 1, number + 1):
            if slot in slots:
                raise Problem(
                    f"id {slot} is that of {shown(slots[slot].name)} already",
                    where,
                    "a union takes the id before its own too"
                    if slots[slot].slots == 2 or field.slots == 2
                    else "",
                )
            slots[slot] = field
        field.slot = number
    missing = next((n for n in range(len(slots)) if n not in slots), None)
    if missing is not None:
        raise Problem(f"no field has id {missing}", node.name.offset, "ids count from 0 without gaps")
    if len(slots) > MAX_FIELDS:
        raise Problem(
            f"a table with more than {MAX_FIELDS:,} slots", node.name.offset, "group fields in tables"
        )
    record.fields.sort(key=lambda f: f.slot)


def _check_clashes(record: RecordDef) -> None:
    """Names that generated code gives to something else."""
    by_name = {f.name: f for f in record.fields}
    for field in record.fields:
        for suffixes, has in _GENERATED:
            stems = (field.name.removesuffix(s) for s in suffixes if field.name.endswith(s))
            other = next((by_name[s] for s in stems if s in by_name), None)
            if other is not None and has(other.type):
                raise Problem(
                    f"field {shown(field.name)} clashes with what is generated for {shown(other.name)}",
                    field.offset,
                    "rename it",
                )


def _up(size: int, align: int) -> int:
    return -(-size // align) * align
