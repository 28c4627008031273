"""FlatBuffers structs in C: the order of their definitions, and which are the same on the wire."""

from __future__ import annotations

from hlfuzz.schema.ir import Scalar
from hlfuzz.schema.wire.flatbuffers.plan import Kind, Plan, StructPlan


def in_order(plan: Plan) -> list[StructPlan]:
    """The structs, each after the structs inside it."""
    return sorted(plan.structs, key=lambda s: s.depth)


def plain_structs(plan: Plan) -> set[int]:
    """Indices of the structs that can be copied: a C compiler lays them out as the wire does, without
    padding, and every pattern of bits is a value (no booleans, no enums)."""
    found: set[int] = set()
    for s in in_order(plan):
        size = sum(f.size * (f.count or 1) for f in s.fields)
        same = all(
            f.target in found
            if f.kind is Kind.STRUCT
            else f.kind is Kind.SCALAR and f.scalar is not Scalar.BOOL
            for f in s.fields
        )
        if same and size == s.source.size:
            found.add(s.index)
    return found
