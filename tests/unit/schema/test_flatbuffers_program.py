"""The verification program's bytes are those that its docstring promises."""

from __future__ import annotations

import dataclasses
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from strategies_of_schemas import schemas

from hlfuzz.schema.diagnostics import SchemaError
from hlfuzz.schema.fbs import parse_text
from hlfuzz.schema.ir import Schema
from hlfuzz.schema.wire.flatbuffers import compile_program

NONE = 0xFFFF_FFFF


class Cursor:
    """Reads a program front to back."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, form: str) -> tuple[int, ...]:
        values = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return values

    def text(self) -> str:
        (length,) = self.take("I")
        (data,) = self.take(f"{length}s")
        return bytes(data).decode()  # type: ignore[call-overload]


def read(data: bytes) -> dict[str, list[object]]:
    """A program as lists, names in place of their indices."""
    cursor = Cursor(data)
    assert cursor.take("4s") == (b"HLV1",)
    counts = cursor.take("5I")
    names = [cursor.text() for _ in range(counts[0])]
    result: dict[str, list[object]] = {"enums": [], "structs": [], "unions": [], "tables": []}
    for _ in range(counts[1]):
        *head, count = cursor.take("4BI")
        result["enums"].append((tuple(head), cursor.take(f"{count}Q")))
    for _ in range(counts[2]):
        name, size, align, count = cursor.take("4I")
        checks = [cursor.take("5I") for _ in range(count)]
        named = [(offset, names[n], *rest) for offset, n, *rest in checks]
        result["structs"].append((names[name], size, align, named))
    for _ in range(counts[3]):
        name, count = cursor.take("2I")
        result["unions"].append((names[name], [cursor.take("3I") for _ in range(count)]))
    for _ in range(counts[4]):
        name, wanted, identifier, count = cursor.take("IB3x4sI")
        fields = [cursor.take("HBB5I") for _ in range(count)]
        named = [(slot, op, required, names[n], *rest) for slot, op, required, n, *rest in fields]
        result["tables"].append((names[name], wanted, identifier, named))
    assert cursor.at == len(data)
    return result


def test_a_program_says_what_the_schema_says():
    program = read(
        compile_program(
            parse_text("""
                enum E : byte { A = -1, B = 0, C = 5 }
                enum F : ushort (bit_flags) { a, b = 9 }
                struct In { e: E; }
                struct S { x: int; e: [E:2]; y: [In:3]; z: double; }
                struct Plain { x: int; }
                union U { T, text: string, S }
                table T { n: int; e: E; s: string (required); u: U; us: [U]; v: [F]; p: [S]; t: T;
                          b: [ubyte] (nested_flatbuffer: "T"); q: Plain; names: [string]; ts: [T]; }
                root_type T;
                file_identifier "ABCD";
            """)
        )
    )
    assert program["enums"] == [((1, 1, 0, 0), (0, 5, (1 << 64) - 1)), ((2, 0, 1, 0), (1 | 1 << 9,))]
    assert program["structs"] == [
        ("In", 1, 1, [(0, "e", 4, 0, 0)]),
        ("S", 24, 8, [(4, "e", 4, 0, 2), (6, "y", 2, 0, 3)]),
        ("Plain", 4, 4, []),
    ]
    assert program["unions"] == [("U", [(1, 1, 0), (2, 3, NONE), (3, 2, 1)])]
    fields = [
        (0, 1, 0, "n", 4, 4, NONE, NONE),
        (1, 1, 0, "e", 1, 1, 0, NONE),
        (2, 3, 1, "s", 1, 1, NONE, NONE),
        (4, 5, 0, "u", 4, 4, NONE, 0),
        (6, 10, 0, "us", 4, 4, NONE, 0),
        (7, 6, 0, "v", 2, 2, 1, NONE),
        (8, 7, 0, "p", 24, 8, NONE, 1),
        (9, 4, 0, "t", 4, 4, NONE, 0),
        (10, 11, 0, "b", 1, 1, NONE, 0),
        (11, 2, 0, "q", 4, 4, NONE, 2),
        (12, 8, 0, "names", 4, 4, NONE, NONE),
        (13, 9, 0, "ts", 4, 4, NONE, 0),
    ]
    assert program["tables"] == [("T", 1, b"ABCD", fields)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schemas())
def test_a_program_names_every_table_and_depends_on_nothing_but_the_schema(schema: Schema):
    program = compile_program(schema)
    names = [name for name, *_ in read(program)["tables"]]  # type: ignore[misc]
    assert names == [d.name for d in schema.definitions if d.name.startswith("t.T")]
    undocumented = dataclasses.replace(schema, files=("elsewhere.fbs",), notes=("note",))
    assert compile_program(undocumented) == program


def test_structs_nested_deeper_than_64_are_refused():
    def chain(depth: int) -> Schema:
        structs = ["struct S0 { x: int; }"] + [f"struct S{i} {{ s: S{i - 1}; }}" for i in range(1, depth)]
        return parse_text("\n".join(structs) + f"\ntable T {{ s: S{depth - 1}; }}")

    assert compile_program(chain(64))
    with pytest.raises(SchemaError, match="more than 64 deep"):
        compile_program(chain(65))
