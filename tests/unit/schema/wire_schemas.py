"""FlatBuffers schemas whose buffers are compared with the C++ verifier; each root type is `Root`."""

from __future__ import annotations

SCHEMAS = {
    "flat": """
        enum Color : ubyte { Red, Green, Blue }
        table Root { a: int; b: uint = 7; c: long; d: ushort; e: byte; f: double; g: bool; h: Color;
                     s: string; v: [ubyte]; }
        """,
    "vectors": """
        enum Sparse : short { A = -5, B = 0, C = 900 }
        enum Bits : ubyte (bit_flags) { x, y, z = 5 }
        struct Point { x: int; y: ushort; c: Sparse; }
        struct Wide (force_align: 16) { d: double; p: [Point:2]; b: Bits; }
        table Item { name: string (required); points: [Point]; w: Wide; }
        table Root { a: [bool]; b: [byte]; c: [short]; d: [uint]; e: [long]; f: [float]; g: [double];
                     h: [Sparse]; i: [Bits]; s: [string]; p: [Point]; w: [Wide]; t: [Item]; one: Wide;
                     bits: Bits; o: int = null; q: [ulong] (required); }
        """,
    "unions": """
        struct P { x: short; y: long; }
        union U { Node, Leaf, text: string, P, again: Leaf }
        table Leaf { n: int; s: string; }
        table Node { left: U; right: U; many: [U]; next: Root; }
        table Root { u: U; us: [U]; r: U (required); child: Node; }
        """,
    "recursive": """
        table Root { kids: [Root]; next: Root; name: string; id: ulong; }
        """,
    "nested": """
        table Inner { s: string; v: [long]; deep: [ubyte] (nested_flatbuffer: "Inner"); d: double; }
        table Root { n: [ubyte] (nested_flatbuffer: "Inner", required); k: ushort = 3;
                     self: [ubyte] (nested_flatbuffer: "Root"); }
        file_identifier "NEST";
        """,
    "old": """
        table Kept { a: int; }
        table Root { a: int (deprecated); b: Kept (deprecated); c: string; k: [Kept];
                     d: [string] (deprecated); e: ulong = 18446744073709551615; f: float = nan; }
        """,
}


def text_of(name: str) -> str:
    """A schema as flatc reads it, in a namespace of its own."""
    return f"namespace {name};\n{SCHEMAS[name]}\nroot_type Root;\n"
