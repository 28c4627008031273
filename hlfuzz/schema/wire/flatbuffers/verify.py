"""The verifier: whether untrusted bytes keep every rule, in the order that the program's docstring gives.

What a vtable says is worked out once per type and vtable, into a list of the checks that depend on the rest
of the buffer; most buffers of a type share a few vtables.
"""

from __future__ import annotations

from functools import partial
from struct import Struct
from typing import Final, TypeAlias

from hlfuzz.errors import UsageError
from hlfuzz.schema.wire.base import MAX_DEPTH, Limits, Rule, WireFault
from hlfuzz.schema.wire.flatbuffers import checks
from hlfuzz.schema.wire.flatbuffers.checks import Check, Content, Inline
from hlfuzz.schema.wire.flatbuffers.members import Members
from hlfuzz.schema.wire.flatbuffers.plan import (
    NONE,
    Kind,
    Op,
    Plan,
    StructField,
    StructPlan,
    TableField,
    TablePlan,
    UnionPlan,
)
from hlfuzz.schema.wire.flatbuffers.program import MIN_BUFFER
from hlfuzz.schema.wire.flatbuffers.window import I32, Fault, Window, fail

_LONGEST: Final = 0x7FFF_FFFE
"""In bytes; the C++ verifier asserts less than FLATBUFFERS_MAX_BUFFER_SIZE."""
_MAX_LAYOUTS: Final = 512
"""Vtables remembered per type; a hostile peer may send a new one each time."""
_SIZES: Final = Struct("<HH").unpack_from

_Layout: TypeAlias = tuple[tuple[Check, str], ...]


class Verifier:
    """Verifies buffers of one schema."""

    def __init__(self, plan: Plan, limits: Limits) -> None:
        if not 1 <= limits.depth <= MAX_DEPTH:
            raise UsageError(f"a depth limit of {limits.depth}: FlatBuffers take 1…{MAX_DEPTH}")
        self._limits = limits
        self._members = tuple(Members(e) for e in plan.enums)
        self._structs = plan.structs
        self._tables = tuple(_Table(t, self) for t in plan.tables)
        self._unions = tuple(self._variants(u) for u in plan.unions)

    def verify(self, table: int, data: bytes) -> WireFault | None:
        """The first fault of a buffer whose root is table number `table`, or None."""
        root = self._tables[table]
        return self._run(data, root, root.identifier)

    def verify_nested(self, table: int, data: bytes) -> WireFault | None:
        """The same for a buffer that is to be nested: no identifier is asked for."""
        return self._run(data, self._tables[table], None)

    def _run(self, data: bytes, root: _Table, identifier: bytes | None) -> WireFault | None:
        window = Window(data, self._limits)
        try:
            self._buffer(window, root, identifier)
        except Fault as fault:
            return fault.wire_fault()
        return None

    def _buffer(self, window: Window, root: _Table, wanted: bytes | None) -> None:
        size = len(window.data)
        longest = min(self._limits.size, _LONGEST)
        if size > longest:
            fail(Rule.TOO_LONG, 0, f"{size} bytes, more than {longest}")
        if size < MIN_BUFFER:
            fail(Rule.TOO_SHORT, 0, f"{size} bytes; the shortest buffer has {MIN_BUFFER}")
        if wanted is not None and window.data[4:8] != wanted:
            fail(Rule.IDENTIFIER, 4, f"file identifier {window.data[4:8]!r} instead of {wanted!r}")
        root.check(window, window.offset(0), 0)

    def members(self, enum: int) -> Inline | None:
        """The check of one number, or None where there is no enum."""
        return None if enum == NONE else self._members[enum].check

    def struct(self, index: int) -> Inline | None:
        """The check of the enums in a struct, or None where it has none."""
        plan = self._structs[index]
        return partial(self._struct, plan) if plan.checked else None

    def content(self, f: TableField) -> Content | None:
        """The check of what a field's offset leads to; None for what is in the table itself, and unions."""
        match f.op:
            case Op.STRING:
                return checks.string
            case Op.TABLE:
                return self._tables[f.target].check
            case Op.VECTOR_SCALAR:
                members = self._members[f.enum] if f.enum != NONE else None
                return partial(checks.numbers, members, f.size, f.align)
            case Op.VECTOR_STRUCT:
                return partial(checks.structs, self.struct(f.target), f.size, f.align)
            case Op.VECTOR_STRING:
                return partial(checks.offsets, checks.string)
            case Op.VECTOR_TABLE:
                return partial(checks.offsets, self._tables[f.target].check)
            case Op.NESTED:
                return partial(checks.nested, self._tables[f.target].check)
            case _:
                return None

    def union(self, f: TableField, tags: int, values: int) -> Check | None:
        """The check of a union field or a vector of unions; None when it is absent."""
        if not tags and not values:
            return None
        check = checks.union if f.op is Op.UNION else checks.unions
        return partial(check, self._unions[f.target], tags, values)

    def _variants(self, union: UnionPlan) -> dict[int, Content]:
        result: dict[int, Content] = {}
        for v in union.variants:
            if v.kind is Kind.TABLE:
                result[v.tag] = self._tables[v.target].check
            elif v.kind is Kind.STRUCT:
                result[v.tag] = partial(self._struct_variant, self._structs[v.target])
            else:
                result[v.tag] = checks.string
        return result

    def _struct_variant(self, plan: StructPlan, window: Window, at: int, depth: int) -> None:
        size, align = plan.source.size, plan.source.align
        if (at - window.base) % align:
            fail(Rule.ALIGNMENT, at, f"a struct is not aligned to {align} bytes")
        if at + size > window.end:
            fail(Rule.BOUNDS, at, f"a struct of {size} bytes ends outside the buffer")
        window.spend(size, at)
        self._struct(plan, window.data, at)

    def _struct(self, plan: StructPlan, data: bytes, at: int) -> None:
        for f in plan.fields:
            if f.kind is Kind.ENUM or (f.kind is Kind.STRUCT and self._structs[f.target].checked):
                self._part(f, data, at + f.offset)

    def _part(self, f: StructField, data: bytes, at: int) -> None:
        index = 0
        try:
            for index in range(1 if f.count is None else f.count):
                if f.kind is Kind.ENUM:
                    self._members[f.target].check(data, at + index * f.size)
                else:
                    self._struct(self._structs[f.target], data, at + index * f.size)
        except Fault as fault:
            if f.count is not None:
                fault.path.append(f"[{index}]")
            fault.path.append(f.source.name)
            raise


class _Table:
    """Checks tables of one type."""

    def __init__(self, plan: TablePlan, verifier: Verifier) -> None:
        self.identifier = plan.identifier
        self._fields = plan.fields
        self._verifier = verifier
        # Whether fields are aligned depends on where the table is, up to the largest alignment in it.
        self._phase = max([4, *(f.inline[1] for f in plan.fields)]) - 1
        self._layouts: dict[tuple[bytes, int], _Layout] = {}

    def check(self, window: Window, at: int, depth: int) -> None:
        """Check the table at `at`; `depth` is that of the table that leads here, 0 for the root."""
        data, base, end = window.data, window.base, window.end
        if (at - base) & 3:
            fail(Rule.ALIGNMENT, at, "a table is not aligned to 4 bytes")
        if at + 4 > end:
            fail(Rule.BOUNDS, at, "a table is outside the buffer")
        depth += 1
        if depth > window.depth:
            fail(Rule.DEPTH, at, f"tables are nested more than {window.depth} deep")
        window.tables -= 1
        if window.tables < 0:
            fail(Rule.TABLES, at, "more tables than a buffer of this size may have")
        vtable = at - I32(data, at)[0]
        if vtable < base or vtable + 4 > end or (vtable - base) & 1:
            fail(Rule.VTABLE, at, "the vtable is outside the buffer or not aligned to 2 bytes")
        size, inline = _SIZES(data, vtable)
        if size & 1 or size < 4 or vtable + size > end:
            fail(Rule.VTABLE, vtable, f"a vtable of {size} bytes is odd, too short, or outside the buffer")
        if inline < 4 or at + inline > end:
            fail(Rule.VTABLE, vtable + 2, f"a table of {inline} bytes is too short, or outside the buffer")
        window.spend(inline, at)
        key = (data[vtable : vtable + size], (at - base) & self._phase)
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layout(key)
        current = ""
        try:
            for check, current in layout:  # noqa: B007 (the name is for the fault)
                check(window, at, vtable, depth)
        except Fault as fault:
            fault.path.append(current)
            raise

    def _layout(self, key: tuple[bytes, int]) -> _Layout:
        """The checks that a vtable leaves to do, in slot order; its own faults are checks that fail."""
        found = [(check, f.source.name) for f in self._fields if (check := self._field(f, *key)) is not None]
        layout = tuple(found)
        if len(self._layouts) < _MAX_LAYOUTS:
            self._layouts[key] = layout
        return layout

    def _field(self, f: TableField, vtable: bytes, phase: int) -> Check | None:
        tags = 0
        if f.op in (Op.UNION, Op.VECTOR_UNION):
            size = 1 if f.op is Op.UNION else 4
            tags = _entry(vtable, f.slot - 1)
            fault = _fault(vtable, f.slot - 1, tags, (size, size), phase)
            if fault is not None:
                return fault
        at = _entry(vtable, f.slot)
        fault = _fault(vtable, f.slot, at, f.inline, phase)
        if fault is not None:
            return fault
        if not at and f.required:
            return checks.missing
        if f.op in (Op.UNION, Op.VECTOR_UNION):
            return self._verifier.union(f, tags, at)
        if not at:
            return None
        content = self._verifier.content(f)
        if content is not None:
            return partial(checks.follow, content, at)
        found = self._verifier.members(f.enum) if f.op is Op.SCALAR else self._verifier.struct(f.target)
        return partial(checks.inline, found, at) if found is not None else None


def _entry(vtable: bytes, slot: int) -> int:
    """What a vtable says of a slot: the field's offset in the table, or 0."""
    return int.from_bytes(vtable[4 + 2 * slot : 6 + 2 * slot], "little")


def _fault(vtable: bytes, slot: int, at: int, size_and_align: tuple[int, int], phase: int) -> Check | None:
    size, align = size_and_align
    if at and (at < 4 or at + size > _entry(vtable, -1)):
        return partial(checks.outside, 4 + 2 * slot, at, size)
    if at and (phase + at) % align:
        return partial(checks.misaligned, at, align)
    return None
