"""The verification program: a schema's wire rules as bytes, for a verifier that knows no schema language.

All numbers are little-endian and unsigned: `u8`, `u16`, `u32`, `u64`. Sections follow each other without
gaps, in this order; "index" counts from 0 within its section; 0xFFFFFFFF is no index.

- magic: the bytes "HLV1"
- counts: `u32` strings, enums, structs, unions, tables
- strings, each: `u32` length in bytes, then UTF-8. Names, for the paths of faults and to find a root.
- enums, each: `u8` width in bytes (1, 2, 4, 8), `u8` signed (0, 1), `u8` flags (0, 1), `u8` zero, `u32`
  count, then `count` × `u64`: with flags 0 its values, sign-extended to 64 bits, in ascending order as
  *unsigned* numbers; with flags 1 one number, all declared bits: a value fits when it has no other bit.
- structs, each: `u32` name, `u32` size, `u32` alignment, `u32` checks, then as many checks of 20 bytes
  each: `u32` offset, `u32` name, `u32` kind (4 enum, 2 struct), `u32` index of the enum or struct, `u32`
  count (0: one value; otherwise an array of so many, end to end). Only parts with an enum somewhere in them
  are listed, in order of offset; a struct without checks needs none. Structs nest at most 64 deep, without
  cycles.
- unions, each: `u32` name, `u32` count, then per variant, tags ascending: `u32` tag (1…255), `u32` kind (1
  table, 2 struct, 3 string), `u32` index of the table or struct.
- tables, each: `u32` name, `u8` identifier wanted (0, 1), 3 × `u8` zero, 4 bytes identifier, `u32` fields,
  then per field, slots ascending, 24 bytes: `u16` slot, `u8` op, `u8` required (0, 1), `u32` name, `u32`
  size, `u32` alignment, `u32` enum index, `u32` target index.

Ops, with what `size`, `alignment` and `target` are. The value in the table ("inline") of ops 1 and 2 has
that size and alignment, of all others it is an offset: size 4, alignment 4.

| op | | size, alignment | target |
|---|---|---|---|
| 1 | number (enum index: member check) | of the number | |
| 2 | struct | of the struct | struct |
| 3 | string | 1, 1 | |
| 4 | table | 4, 4 | table |
| 5 | union: tag in slot - 1, value in slot | 4, 4 | union |
| 6 | vector of numbers (enum index: member check) | of an element | |
| 7 | vector of structs | of an element | struct |
| 8 | vector of strings | 4, 4 | |
| 9 | vector of tables | 4, 4 | table |
| 10 | vector of unions: tags in slot - 1, values in slot | 4, 4 | union |
| 11 | nested FlatBuffer in a vector of bytes | 1, 1 | root table |

## What a verifier does, and in which order

The first rule broken is the fault: `rule @ offset`. `u32(x)` reads at x. A *window* `[base, end)` is the
whole buffer, or a nested one; alignment of x is that of x - base. Fault offsets count from the start of the
outermost buffer. Two budgets hold for the buffer as a whole, with `len` its length in bytes: tables visited
(things visited twice count twice), `min(limits.tables, 8 * len)`, and bytes visited, `64 * len + 2**20`.
"Spend n @ x": add n to the bytes visited; more than the budget: TABLES @ x.

**buffer**: `len > min(limits.size, 0x7FFFFFFE)`: TOO_LONG @ 0. `len < 12`: TOO_SHORT @ 0. Identifier wanted
and bytes 4…8 differ: IDENTIFIER @ 4. Then *offset* at 0, then *table* there with depth 1.

**offset** at x (4 bytes at x are known to be in the window): o = `u32(x)`; o = 0, o ≥ 2³¹, or x + o ≥ end:
BOUNDS @ x. The target is x + o.

**table** at p, depth d:
1. p not aligned to 4: ALIGNMENT @ p. p + 4 > end: BOUNDS @ p.
2. d > limits.depth: DEPTH @ p. One more table than the budget: TABLES @ p.
3. v = p - `i32(p)`. v < base, v + 4 > end, or v not aligned to 2: VTABLE @ p.
4. s = `u16(v)` odd, s < 4, or v + s > end: VTABLE @ v.
5. n = `u16(v + 2)`; n < 4 or p + n > end: VTABLE @ v + 2. Spend n @ p.
6. Fields in order. *slot* k: e = v + 4 + 2k; absent if e + 2 > v + s or `u16(e)` = 0. Otherwise, with o =
   `u16(e)`: o < 4 or o + inline size > n: FIELD_BOUNDS @ e; p + o not aligned to the inline alignment:
   ALIGNMENT @ p + o. The field is at x = p + o.
   - Ops 1-4, 6-9, 11: *slot* of the field. Absent and required: REQUIRED @ p. Absent: next field.
   - 1: *member* at x. 2: *members* at x. 3: *offset* at x, *string*. 4: *offset* at x, *table*, depth d +
     1.
   - 6: *offset*, *vector*, then *member* for each element. 7: *offset*, *vector*, *members* for each
     element.
   - 8, 9: *offset*, *vector*, then for each element *offset* at it and *string* or *table* (depth d + 1).
   - 11: *offset*, *vector* q with n bytes; n < 12: NESTED @ q; then with the window [q + 4, q + 4 + n):
     *offset* at q + 4, *table* there with depth d + 1. No identifier is asked for.
   - 5: *slot* k - 1 with inline size and alignment 1: tag position t and tag; absent: tag 0. *slot* k. k
     absent and required: REQUIRED @ p. Both tag = 0 and k absent: next field. tag = 0: UNION @ x. Unknown
     tag, or k absent: UNION @ t. *offset* at x, then *variant*.
   - 10: *slot* k - 1, then *slot* k, both inline 4, 4. k absent and required: REQUIRED @ p. Both absent:
     next field. One absent: UNION @ p. *offset* of the tags, *vector* with elements of 1; *offset* of the
     values, *vector* q with elements of 4. Lengths differ: UNION @ q. For each element: tag 0: nothing
     more. Unknown tag: UNION @ its tag. *offset* at the element, *variant*.

**variant** at y: a table: *table* with depth d + 1; a string: *string*; a struct: y not aligned to the
struct: ALIGNMENT @ y; y + size > end: BOUNDS @ y; spend size @ y; *members* at y.

**vector** at q, elements of size z and alignment a: q not aligned to 4: ALIGNMENT @ q. q + 4 > end: BOUNDS
@ q. n = `u32(q)`; q + 4 + n·z > end (without overflow): BOUNDS @ q. n > 0 and q + 4 not aligned to a:
ALIGNMENT @ q + 4. Spend 4 + n·z @ q.

**string** at q: *vector* of 1, 1. t = q + 4 + n; t ≥ end or the byte at t is not 0: STRING_TERMINATOR @ t.
Not UTF-8 (as Unicode defines it: no surrogates, no overlong forms): UTF8 @ the first byte of the first
sequence that is none.

**member** at x: the number there is no value of the enum: ENUM @ x. **members** of a struct at x: its
checks in order; arrays element by element; structs inside by their own checks.

Paths: the field's name; "[i]" for element i of a vector or array; a dot between field names:
"headers[2].name". A union's value adds nothing; a field of a table in it follows the union's name. A fault
of the buffer, or of the root table itself, has the path "". A fault of a field (slot, offset, value, tags)
has the field's path; one of an element (its offset, tag, value), the element's.
"""

from __future__ import annotations

import struct
from typing import Final

from hlfuzz.schema.ir import Scalar, Schema
from hlfuzz.schema.wire.flatbuffers.plan import (
    EnumPlan,
    Kind,
    Plan,
    StructPlan,
    TablePlan,
    UnionPlan,
    make_plan,
)

MAGIC: Final = b"HLV1"
MIN_BUFFER: Final = 12
"""Shortest buffer in bytes: root offset, offset to the vtable, its sizes (FLATBUFFERS_MIN_BUFFER_SIZE)."""
TABLES_PER_BYTE: Final = 8
"""Tables visited, per byte of buffer: sub-tables may be shared, but not so that they explode."""
BYTES_PER_BYTE: Final = 64
FREE_BYTES: Final = 1 << 20
"""Bytes visited, at most BYTES_PER_BYTE * length + FREE_BYTES: bounds what shared strings read out to."""


def compile_program(schema: Schema) -> bytes:
    """The program of a FlatBuffers schema. Raises `SchemaError` for what this wire does not carry."""
    return program_of(make_plan(schema))


def program_of(plan: Plan) -> bytes:
    """The program of a schema that is laid out already."""
    strings = _Strings()
    sections = [
        *(_enum(e) for e in plan.enums),
        *(_struct(s, plan, strings) for s in plan.structs),
        *(_union(u, strings) for u in plan.unions),
        *(_table(t, strings) for t in plan.tables),
    ]
    counts = (len(strings.data), len(plan.enums), len(plan.structs), len(plan.unions), len(plan.tables))
    return b"".join([MAGIC, struct.pack("<5I", *counts), *strings.data, *sections])


class _Strings:
    def __init__(self) -> None:
        self.data: list[bytes] = []
        self._index: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        found = self._index.get(text)
        if found is None:
            found = self._index[text] = len(self.data)
            data = text.encode()
            self.data.append(struct.pack("<I", len(data)) + data)
        return found


def _enum(enum: EnumPlan) -> bytes:
    scalar = enum.source.scalar
    values = sorted(value & 0xFFFF_FFFF_FFFF_FFFF for value in enum.values)
    signed = scalar is not Scalar.BOOL and scalar.value[0] == "i"
    head = struct.pack("<BBBxI", scalar.size, signed, enum.source.bit_flags, len(values))
    return head + struct.pack(f"<{len(values)}Q", *values)


def _struct(plan: StructPlan, whole: Plan, strings: _Strings) -> bytes:
    checks = [
        struct.pack("<5I", f.offset, strings(f.source.name), f.kind, f.target, f.count or 0)
        for f in plan.fields
        if f.kind is Kind.ENUM or (f.kind is Kind.STRUCT and whole.structs[f.target].checked)
    ]
    head = struct.pack("<4I", strings(plan.source.name), plan.source.size, plan.source.align, len(checks))
    return b"".join([head, *checks])


def _union(plan: UnionPlan, strings: _Strings) -> bytes:
    variants = [struct.pack("<3I", v.tag, v.kind, v.target) for v in plan.variants]
    return b"".join([struct.pack("<2I", strings(plan.source.name), len(variants)), *variants])


def _table(plan: TablePlan, strings: _Strings) -> bytes:
    fields = [
        struct.pack(
            "<HBB5I", f.slot, f.op, f.required, strings(f.source.name), f.size, f.align, f.enum, f.target
        )
        for f in plan.fields
    ]
    wanted = plan.identifier is not None
    head = struct.pack(
        "<IB3x4sI", strings(plan.source.name), wanted, plan.identifier or bytes(4), len(fields)
    )
    return b"".join([head, *fields])
