"""The tables that the C runtime reads: records, fields, unions, enums, field numbers, texts."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise

from hlfuzz.generate.c.model import CEnum, CField, CRecord, CUnion, CVariant, Model, Shape
from hlfuzz.generate.c.text import literal
from hlfuzz.schema.ir import Format, RecordKind

_MASK = (1 << 64) - 1


def tables(model: Model) -> Iterator[str]:
    """The lines of all tables. None is empty: C has no empty arrays."""
    made = _Tables(model)
    records = [made.record(r) for r in model.records.values()]
    unions = [made.union(u) for u in model.unions.values()]
    enums = [made.enum(e) for e in model.enums.values() if e.index is not None]
    yield from _array("hl_field_info hl_fields", made.fields, "{0}")
    yield from _array("hl_record_info hl_records", records, "{0}")
    yield from _array("hl_union_info hl_unions", unions, "{0}")
    yield from _array("hl_variant_info hl_variants", made.variants, "{0}")
    yield from _array("hl_enum_info hl_enums", enums, "{0}")
    yield from _array("uint64_t hl_members", made.members, "0")
    yield from _array("hl_number_info hl_numbers", made.numbers, "{0}")
    yield "HL_LOCAL const char hl_texts[] ="
    yield from (f'    "{text}\\0"' for text in made.texts)
    yield '    "";'
    root = model.schema.root if model.schema.root in model.records else None
    identifier = (model.schema.identifier or "").encode() if root else b""
    yield f"#define HL_ROOT {model.records[root].index if root else 'HL_NONE'}"
    yield f"#define HL_HAS_IDENTIFIER {int(len(identifier) == 4)}"
    yield f"#define HL_IDENTIFIER 0x{int.from_bytes(identifier, 'little'):08x}u"


def _array(what: str, lines: list[str], empty: str) -> Iterator[str]:
    yield f"HL_LOCAL const {what}[] = {{"
    yield from (f"    {line}," for line in lines or [empty])
    yield "};"


class _Tables:
    """What records and the rest refer to, in one array each."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._fbs = model.schema.format is Format.FBS
        self.fields: list[str] = []
        self.variants: list[str] = []
        self.members: list[str] = []
        self.numbers: list[str] = []
        self.texts: list[str] = []
        self._places: dict[bytes, int] = {}
        self._end = 0

    def text(self, data: bytes) -> int:
        """Place of a text, which is followed by a zero."""
        if data not in self._places:
            self._places[data] = self._end
            self._end += len(data) + 1
            self.texts.append(literal(data))
        return self._places[data]

    def record(self, record: CRecord) -> str:
        first, first_number = len(self.fields), len(self.numbers)
        source = record.source
        table = source.kind is RecordKind.TABLE
        rows = list(self._rows(record)) if table else [(0, f.source.id, f, False) for f in record.fields]
        if table:
            # So that a table has no gaps: see the runtime's fb_put_vtable.
            rows.sort(key=lambda row: (-row[0], row[1]))
        for _, id_, f, tag in rows:
            self.fields.append(self._field(record, f, id_, tag))
        if source.kind is RecordKind.MESSAGE:
            self._add_numbers(record)
        seen = f"offsetof({record.name}, hl_seen)" if record.seen_bits else "HL_NONE"
        presets = any(self._preset(f) for f in record.fields)
        slots = max((row[1] for row in rows), default=-1) + 1 if table else 0
        size, align = (source.size, source.align) if source.kind is RecordKind.STRUCT else (0, 0)
        return (
            f"{{{self.text(source.name.replace(':', ' ').encode())}, {first}, {len(self.fields) - first}, "
            f"sizeof({record.name}), {size}, {align}, {slots}, {first_number}, "
            f"{len(self.numbers) - first_number}, {seen}, "
            f"{int(record.plain)}, {int(presets)}, {int(record.demands)}}}"
        )

    def _rows(self, record: CRecord) -> Iterator[tuple[int, int, CField, bool]]:
        """Alignment in the table, slot, field, and whether it is the tag of a union."""
        for f in record.fields:
            inline = f.form == "SINGLE" and (f.shape.is_number or f.shape.kind == "STRUCT")
            yield self._align(f) if inline else 4, f.source.id, f, False
            if f.shape.kind == "UNION":
                yield 1 if f.form == "SINGLE" else 4, f.source.id - 1, f, True

    def _align(self, f: CField) -> int:
        if f.shape.kind == "STRUCT":
            assert f.shape.ref is not None
            return self._model.records[f.shape.ref].source.align
        return _WIDTHS[f.shape.kind]

    def _field(self, record: CRecord, f: CField, id_: int, tag: bool) -> str:
        has = (
            str(f.seen) if f.seen is not None else f"offsetof({record.name}, {f.has})" if f.has else "HL_NONE"
        )
        shape = f.shape
        kind = "TAG" if tag else shape.kind
        wire = f.offset if record.source.kind is RecordKind.STRUCT else f.force
        numbers = f"{self.text(f.source.name.encode())}, {id_}, offsetof({record.name}, {f.name}), {has}"
        return (
            f"{{UINT64_C(0x{self._preset(f):x}), {numbers}, {self._ref(shape)}, {wire}, {f.count}, "
            f"HL_KIND_{kind}, HL_{f.form}, HL_{f.presence}, HL_{shape.coding}, {_flags(shape)}}}"
        )

    def _preset(self, f: CField) -> int:
        default = f.source.default
        if default is None or f.form != "SINGLE" or f.source.presence.name != "IMPLICIT":
            return 0
        if isinstance(default, str | bytes):
            data = default.encode() if isinstance(default, str) else default
            return self.text(data) << 32 | len(data) if data else 0
        if f.shape.kind == "F32":
            return int.from_bytes(struct.pack("<f", default), "little")
        if f.shape.kind == "F64":
            return int.from_bytes(struct.pack("<d", default), "little")
        return int(default) & _MASK

    def _ref(self, shape: Shape) -> str:
        if shape.ref is None:
            return "HL_NONE"
        model = self._model
        if shape.kind == "UNION":
            return str(model.unions[shape.ref].index)
        if shape.ref in model.records:
            return str(model.records[shape.ref].index)
        return str(model.enums[shape.ref].index)

    def _add_numbers(self, record: CRecord) -> None:
        found: list[tuple[int, int, int]] = []
        for index, f in enumerate(record.fields):
            if f.shape.kind == "UNION":
                assert f.shape.ref is not None
                variants = self._model.unions[f.shape.ref].variants
                found += [(v.source.tag, index, place) for place, v in enumerate(variants, 1)]
            else:
                found.append((f.source.id, index, 0))
        self.numbers += [f"{{{number}, {index}, {variant}}}" for number, index, variant in sorted(found)]

    def union(self, union: CUnion) -> str:
        first = len(self.variants)
        self.variants += [self._variant(v) for v in union.variants]
        return (
            f"{{{self.text(union.source.name.encode())}, {first}, {len(union.variants)}, "
            f"sizeof({union.name}), offsetof({union.name}, value)}}"
        )

    def _variant(self, v: CVariant) -> str:
        return (
            f"{{{v.source.tag}, {self._ref(v.shape)}, {self.text(v.source.name.encode())}, "
            f"HL_KIND_{v.shape.kind}, HL_{v.shape.coding}, {_flags(v.shape)}}}"
        )

    def enum(self, enum: CEnum) -> str:
        values = sorted({m.value & _MASK for m in enum.source.members})
        low, span, mask = 0, 0, 0
        first, count = len(self.members), 0
        ordered = sorted({m.value for m in enum.source.members})
        if enum.source.bit_flags:
            for value in values:
                mask |= value
        elif ordered and all(b - a == 1 for a, b in pairwise(ordered)):
            low, span = ordered[0] & _MASK, ordered[-1] - ordered[0]
        else:
            count = len(values)
            self.members += [f"UINT64_C(0x{v:x})" for v in values]
        return f"{{UINT64_C(0x{low:x}), UINT64_C(0x{span:x}), UINT64_C(0x{mask:x}), {first}, {count}}}"


_WIDTHS = {
    "BOOL": 1,
    "I8": 1,
    "U8": 1,
    "I16": 2,
    "U16": 2,
    "I32": 4,
    "U32": 4,
    "F32": 4,
    "I64": 8,
    "U64": 8,
    "F64": 8,
}


def _flags(shape: Shape) -> str:
    return " | ".join(f"HL_{flag}" for flag in shape.flags) or "0"
