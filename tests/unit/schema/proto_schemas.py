"""A Hypothesis strategy of whole Protobuf schemas, as IR: every kind of field, recursive types, odd names."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from hlfuzz.schema.ir import (
    Bytes,
    Coding,
    Definition,
    Element,
    Enum,
    Field,
    Format,
    Map,
    Member,
    Named,
    Number,
    Presence,
    Record,
    RecordKind,
    Scalar,
    Schema,
    String,
    Type,
    Union,
    Variant,
    Vector,
)

_NUMBERS = [
    Number(Scalar.F32),
    Number(Scalar.F64),
    Number(Scalar.BOOL, Coding.VARINT),
    *(Number(s, Coding.VARINT) for s in (Scalar.I32, Scalar.U32, Scalar.I64, Scalar.U64)),
    *(Number(s, Coding.ZIGZAG) for s in (Scalar.I32, Scalar.I64)),
    *(Number(s, Coding.FIXED) for s in (Scalar.I32, Scalar.U32, Scalar.I64, Scalar.U64)),
]
_NAMES = st.sampled_from(["a", "b_c", "class", "None", "x1", "_y", "DESCRIPTOR", "value", "f1", "self", "Z"])
_IDS = st.one_of(st.integers(1, 40), st.sampled_from([2_047, 2_048, 18_999, 20_000, 536_870_911]))


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """Schemas of one to four messages and up to two enums; any message may contain any other."""
    messages = [f"p.M{i}" for i in range(draw(st.integers(1, 4)))]
    enums = [_enum(draw, f"p.E{i}") for i in range(draw(st.integers(0, 2)))]
    found: list[Definition] = list(enums)
    for index, name in enumerate(messages):
        found += _message(draw, name, messages, messages[:index], enums)
    return Schema("generated", Format.PROTO, tuple(found))


def _enum(draw: st.DrawFn, name: str) -> Enum:
    values = [0, *draw(st.lists(st.integers(-(1 << 31), (1 << 31) - 1), max_size=3))]
    members = tuple(Member(f"K{i}", value) for i, value in enumerate(values))
    return Enum(name, Scalar.I32, members, closed=draw(st.booleans()))


def _message(
    draw: st.DrawFn, name: str, messages: list[str], earlier: list[str], enums: list[Enum]
) -> list[Definition]:
    ids = draw(st.lists(_IDS, unique=True, max_size=8))
    names = [f"{draw(_NAMES)}{i or ''}" for i in range(len(ids))]
    fields: list[Field] = []
    unions: list[Union] = []
    if len(ids) > 3 and draw(st.booleans()):
        # A oneof of the first two or three numbers.
        count = draw(st.integers(2, 3))
        taken = sorted(ids[:count])
        ids, names = ids[count:], names[count:]
        variants = tuple(_variant(draw, f"v{i}", tag, messages, enums) for i, tag in enumerate(taken))
        unions.append(Union(f"{name}.choice", variants, oneof=True))
        fields.append(Field("choice", Named(f"{name}.choice"), taken[0], Presence.OPTIONAL))
    for number, own in zip(ids, names, strict=True):
        fields.append(_field(draw, own, number, messages, earlier, enums))
    record = Record(name, RecordKind.MESSAGE, tuple(sorted(fields, key=lambda f: f.id)))
    return [record, *unions]


def _field(
    draw: st.DrawFn, name: str, number: int, messages: list[str], earlier: list[str], enums: list[Enum]
) -> Field:
    element = _element(draw, messages, enums)
    shape = draw(st.sampled_from(["one", "one", "vector", "map"]))
    if shape == "map":
        key = draw(
            st.sampled_from([n for n in _NUMBERS if not n.scalar.is_float] + [String(), String(False)])
        )
        return Field(name, Map(key, element), number, Presence.IMPLICIT)
    delimited = _is_message(element, messages) and draw(st.booleans())
    if shape == "vector":
        numeric = isinstance(element, Number) or (
            isinstance(element, Named) and not _is_message(element, messages)
        )
        packed = numeric and draw(st.booleans())
        return Field(name, Vector(element, packed), number, Presence.IMPLICIT, delimited=delimited)
    allowed = [Presence.OPTIONAL]
    if not _is_message(element, messages):
        closed = isinstance(element, Named) and any(e.name == element.name and e.closed for e in enums)
        allowed += [Presence.REQUIRED] if closed else [Presence.REQUIRED, Presence.IMPLICIT]
    elif isinstance(element, Named) and element.name in earlier:
        # Required only towards earlier messages, or there would be no finite value.
        allowed.append(Presence.REQUIRED)
    presence = draw(st.sampled_from(allowed))
    return Field(name, element, number, presence, _default(element, presence), delimited=delimited)


def _variant(draw: st.DrawFn, name: str, tag: int, messages: list[str], enums: list[Enum]) -> Variant:
    element = _element(draw, messages, enums)
    return Variant(name, tag, element, delimited=_is_message(element, messages) and draw(st.booleans()))


def _element(draw: st.DrawFn, messages: list[str], enums: list[Enum]) -> Element:
    named = [Named(name) for name in [*messages, *(e.name for e in enums)]]
    return draw(st.sampled_from([*_NUMBERS, String(), String(False), Bytes(), *named, *named]))


def _is_message(type_: Type, messages: list[str]) -> bool:
    return isinstance(type_, Named) and type_.name in messages


def _default(element: Element, presence: Presence) -> Any:
    if presence is not Presence.IMPLICIT:
        return None
    match element:
        case String():
            return ""
        case Bytes():
            return b""
        case Number(scalar=Scalar.BOOL):
            return False
        case Number(scalar=Scalar.F32 | Scalar.F64):
            return 0.0
        case _:
            return 0
