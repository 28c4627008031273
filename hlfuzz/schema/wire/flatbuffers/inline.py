"""The values in a table itself, in the order in which encoder and reader handle them."""

from __future__ import annotations

from typing import NamedTuple

from hlfuzz.schema.wire.flatbuffers.members import FORMATS
from hlfuzz.schema.wire.flatbuffers.plan import Op, TablePlan


class InlineValue(NamedTuple):
    """A number, a struct's bytes or an offset. Unions and vectors of unions have two: tags and values.

    `field` is the position of its field in the table's plan; `name` that of the variable that holds it in
    generated code; `letter` its format in the `struct` module; sizes are in bytes.
    """

    field: int
    name: str
    slot: int
    size: int
    align: int
    letter: str


def inline_values(plan: TablePlan) -> tuple[InlineValue, ...]:
    """The values of a table, whether present or not."""
    result: list[InlineValue] = []
    for i, f in enumerate(plan.fields):
        if f.op is Op.UNION:
            result.append(InlineValue(i, f"g{i}", f.slot - 1, 1, 1, "B"))
        elif f.op is Op.VECTOR_UNION:
            result.append(InlineValue(i, f"g{i}", f.slot - 1, 4, 4, "I"))
        size, align = f.inline
        letter = (
            f"{size}s" if f.op is Op.STRUCT else FORMATS[f.scalar] if f.op is Op.SCALAR and f.scalar else "I"
        )
        result.append(InlineValue(i, f"f{i}", f.slot, size, align, letter))
    return tuple(result)
