"""The header: types, codec functions, and the methods of both sides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hlfuzz.generate.c.layout import in_order
from hlfuzz.generate.c.methods import declarations
from hlfuzz.generate.c.model import C_TYPES, CEnum, CField, CRecord, CUnion, Model, member_value
from hlfuzz.generate.c.text import comment
from hlfuzz.schema.ir import Format, RecordKind
from hlfuzz.schema.wire.flatbuffers.plan import make_plan


def types(model: Model) -> Iterator[str]:
    """The lines of all types, each after those that it contains."""
    for enum in model.enums.values():
        yield from _enum(enum)
    forward = [
        f"typedef struct {d.name} {d.name};" for d in (*model.records.values(), *model.unions.values())
    ]
    yield from _block(forward)
    yield from _block(_vectors(model))
    for record in _inline_first(model):
        yield from _record(record)
    for union in model.unions.values():
        yield from _union(union)
    for record in model.records.values():
        if record.source.kind is not RecordKind.STRUCT:
            yield from _record(record)


def functions(model: Model) -> Iterator[str]:
    """The declarations of the codecs and methods."""
    coded = [r for r in model.records.values() if r.functions[0]]
    if coded:
        yield from comment(
            "Codecs. `_init` clears a value and sets its defaults. `_decode` verifies while it reads:\n"
            "*out lasts as long as the arena and the data, in which its texts and byte vectors are.\n"
            "`_encode` writes to the arena. Both return false when they cannot, and the arena's `failure`\n"
            "says why."
        )
    for record in coded:
        init, decode, encode = record.functions
        yield f"void {init}({record.name} *value);"
        yield f"bool {decode}(hl_arena *arena, const uint8_t *data, uint32_t len, const {record.name} **out);"
        yield f"bool {encode}(hl_arena *arena, const {record.name} *value, hl_bytes *out);"
    if coded:
        yield ""
    yield from declarations(model)


def _block(lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    yield from found
    if found:
        yield ""


def _enum(enum: CEnum) -> Iterator[str]:
    scalar = enum.source.scalar
    yield from comment(enum.source.doc)
    kind = (
        "Bit flags." if enum.source.bit_flags else "" if enum.source.closed else "Other values may come, too."
    )
    yield f"typedef {C_TYPES[scalar]} {enum.name};{f' /* {kind} */' if kind else ''}"
    small = [
        (c, m)
        for c, m in zip(enum.constants, enum.source.members, strict=True)
        if -(1 << 31) < m.value < 1 << 31
    ]
    if small:
        yield "enum {"
        for constant, member in small:
            yield from comment(member.doc, "    ")
            yield f"    {constant} = {member_value(member, scalar)},"
        yield "};"
    for constant, member in zip(enum.constants, enum.source.members, strict=True):
        if not -(1 << 31) < member.value < 1 << 31:
            # An enumeration constant is an int.
            yield from comment(member.doc)
            yield f"#define {constant} (({enum.name}){member_value(member, scalar)})"
    yield ""


def _vectors(model: Model) -> Iterator[str]:
    for definition in (*model.enums.values(), *model.records.values(), *model.unions.values()):
        if definition.vec:
            members = f"const {definition.name} *data; uint32_t len;"
            yield f"typedef struct {definition.vec} {{ {members} }} {definition.vec};"


def _inline_first(model: Model) -> list[CRecord]:
    """FlatBuffers structs, each after those inside it."""
    if model.schema.format is not Format.FBS:
        return []
    return [model.records[s.source.name] for s in in_order(make_plan(model.schema))]


def _union(union: CUnion) -> Iterator[str]:
    yield from comment(union.source.doc)
    yield "enum {"
    yield f"    {union.none} = 0,"
    for variant in union.variants:
        yield from comment(variant.source.doc, "    ")
        yield f"    {variant.constant} = {variant.source.tag},"
    yield "};"
    yield f"typedef uint32_t {union.tag};"
    yield f"struct {union.name} {{"
    yield f"    {union.tag} tag;"
    yield "    union {"
    for variant in union.variants:
        yield f"        {_declare(variant.shape.ctype, variant.name)};"
    if not union.variants:
        yield "        uint8_t hl_empty;"
    yield "    } value;"
    yield "};"
    yield ""


def _record(record: CRecord) -> Iterator[str]:
    yield from comment(record.source.doc)
    yield f"struct {record.name} {{"
    for f in record.fields:
        yield from comment(_describe(f), "    ")
        if f.has:
            yield f"    bool {f.has};"
        count = f"[{f.count}]" if f.form == "ARRAY" else ""
        yield f"    {_declare(f.shape.ctype, f.name)}{count};"
    if record.seen_bits:
        yield "    /* The decoder's: which required numbers came. */"
        yield f"    uint8_t hl_seen[{-(-record.seen_bits // 8)}];"
    elif not record.fields:
        yield "    uint8_t hl_empty;"
    yield "};"
    yield ""


def _describe(f: CField) -> str:
    notes: list[str] = []
    if f.presence == "REQUIRED" and f.offset == 0 and f.form != "ARRAY" and f.shape.kind in _POINTERS:
        notes.append("Required.")
    if f.presence == "OPTIONAL" and f.form == "SINGLE" and f.shape.kind in _POINTERS:
        notes.append("NULL: absent.")
    if f.source.nested is not None:
        notes.append(f"Holds an encoded {f.source.nested}.")
    if f.source.deprecated:
        notes.append("Deprecated.")
    return "\n".join([f.source.doc, " ".join(notes)]).strip() if notes else f.source.doc


_POINTERS = ("STRING", "BYTES", "RECORD")


def _declare(ctype: str, name: str) -> str:
    return f"{ctype}{name}" if ctype.endswith("*") else f"{ctype} {name}"
