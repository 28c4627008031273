"""Schemas for tests of the two verifiers, with every kind of field, and mutations that keep structure."""

from __future__ import annotations

from random import Random

SCHEMAS = {
    "everything": (
        "Root",
        """
        enum Color : byte { Red = -3, Green = 0, Blue = 7 }
        enum Wide : ulong { Low = 1, High = 18446744073709551615 }
        enum Flags : ushort (bit_flags) { A, B, F = 9 }
        enum Run : int { X = -1, Y, Z }
        struct Pixel { color:Color; depth:short; flags:Flags; }
        struct Grid { corner:Pixel; cells:[Pixel:3]; runs:[Run:2]; weight:double; }
        struct Plain { x:float; y:float; }
        table Leaf { name:string; pixel:Pixel; runs:[Run]; }
        union Any { Leaf, Root, Text:string, Pixel, Grid, Second:Leaf }
        table Root {
          a:bool; b:byte; c:ubyte = 3; d:short; e:ushort; f:int; g:uint; h:long; i:ulong; j:float; k:double;
          maybe:int = null; color:Color = Green; wide:Wide = Low; flags:Flags; run:Run = Y;
          pixel:Pixel; grid:Grid; plain:Plain; text:string; need:string (required); leaf:Leaf; next:Root;
          any:Any; many:[Any]; bytes:[ubyte]; longs:[long]; colors:[Color]; wides:[Wide]; flagses:[Flags];
          pixels:[Pixel]; grids:[Grid]; plains:[Plain]; texts:[string]; leaves:[Leaf]; roots:[Root];
          inner:[ubyte] (nested_flatbuffer: "Leaf");
        }
        root_type Root;
        file_identifier "HLVT";
        """,
    ),
    "tree": (
        "Node",
        """
        table Node { left:Node; right:Node; value:int; children:[Node]; label:string; }
        root_type Node;
        """,
    ),
    "unions": (
        "U",
        """
        struct S { a:ulong; b:ubyte; }
        union Either { A, B, S, Words:string }
        table A { v:int; } table B { w:string; u:Either; }
        table U { one:Either (required); all:[Either]; some:[Either] (required);
          inner:[ubyte] (nested_flatbuffer: "U"); }
        root_type U;
        """,
    ),
    "flat": (
        "Small",
        """
        table Small { a:int; b:long; c:string; d:[ubyte]; e:double; f:bool; g:short; h:uint; i:float;
          j:ulong; }
        root_type Small;
        file_identifier "SMAL";
        """,
    ),
}
"""Name → (root table, schema)."""

_INTERESTING = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    12,
    16,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
)


def mutate(data: bytes, random: Random) -> bytes:
    """A buffer with one to three changes of the kinds that reach deep into a verifier."""
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if not out:
            break
        at = random.randrange(len(out))
        match random.randrange(8):
            case 0:
                out[at] = random.randrange(256)
            case 1:
                out[at] ^= 1 << random.randrange(8)
            case 2:
                width = random.choice((2, 4))
                at -= at % width
                value = random.choice(_INTERESTING) & (1 << 8 * width) - 1
                out[at : at + width] = value.to_bytes(width, "little")
            case 3:
                width = random.choice((2, 4))
                at -= at % width
                value = int.from_bytes(out[at : at + width], "little") + random.choice(
                    (-8, -4, -2, -1, 1, 2, 4, 8)
                )
                out[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
            case 4:
                del out[at:]
            case 5:
                other = random.randrange(len(out)) & ~3
                at &= ~3
                out[at : at + 4] = out[other : other + 4]
            case 6:
                # An offset that points at another place of the same buffer: sharing, cycles, wrong types.
                at &= ~3
                target = random.randrange(len(out)) & ~3
                out[at : at + 4] = (target - at & 0xFFFF_FFFF).to_bytes(4, "little")
            case _:
                out += random.randbytes(random.choice((1, 4)))
    return bytes(out)
