"""A Hypothesis strategy of schemas: any types, recursion, names and documentation that break generators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from hlfuzz.schema.ir import (
    Array,
    Bytes,
    Coding,
    CString,
    Definition,
    Direction,
    Enum,
    Field,
    Format,
    Map,
    Member,
    Method,
    Named,
    Number,
    Parameter,
    Presence,
    Record,
    RecordKind,
    ResultForm,
    Scalar,
    Schema,
    Service,
    String,
    Type,
    Union,
    Variant,
    Vector,
    symbol,
)

NASTY_NAMES = (
    "list", "str", "int", "bool", "float", "bytes", "dict", "field", "dataclass", "dataclasses", "enum",
    "math", "self", "cls", "class", "None", "True", "def", "import", "match", "type", "Any", "Final",
    "Interface", "INTERFACE", "Classes", "TypedGuest", "Protocol", "ClassVar", "Exception", "object",
    "_SCHEMA", "__init__", "__slots__", "__x", "_", "__", "_x_", "mro", "name", "value", "l", "O", "I",
    "open", "close", "OnData", "on_data", "onData", "Request", "request", "REQUEST", "Request_",
    "_Request", "_list", "HTTPHead", "_start", "_Request__x", "hl", "st", "near_valid", "Async",
    "property", "print", "typing", "annotations", "a" * 130,
)  # fmt: skip
NASTY_DOCS = (
    "",
    " \n\t\n",
    "Plain words.",
    '"""\nraise AssertionError("code from a schema runs")\n"""',
    "ends with a backslash \\",
    'ends with a quote "',
    '"begins with one, and has """ three',
    "\\N{BULLET} \\x41 \\u0041 \\",
    "\u202e right to left \u2066 and \u200b invisible",
    "Fließtext, 漢字, \U0001f600",
    "\t tabs\r\nand\rcarriage returns\x0b\x0c\x00",
    "  indented\n      more\n\n\n\nparagraph",
    "word " * 60,
    "w" * 300,
    "# noqa\n# type: ignore\n# fmt: off",
    "'''",
    '""""""""',
    "{braces} %s %(x)s $x `ticks` */ // /*",
)

identifiers = st.one_of(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), st.sampled_from(NASTY_NAMES)
)
plain_identifiers = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
documents = st.one_of(st.just(""), st.sampled_from(NASTY_DOCS), st.text(max_size=80))
_INTEGERS = [s for s in Scalar if not s.is_float and s is not Scalar.BOOL]


@dataclass
class Plan:
    """Names and kinds of definitions, made before their fields, so that any may refer to any."""

    format: Format
    names: Any
    enums: list[Enum]
    structs: list[Record]
    records: list[str]
    unions: list[str]


def schemas(
    formats: tuple[Format, ...] = (Format.FBS, Format.PROTO, Format.RAW), *, nasty: bool = True
) -> st.SearchStrategy[Schema]:
    """Schemas that keep every promise of the IR. Without `nasty` names are short words."""
    return st.sampled_from(formats).flatmap(lambda f: _raw(nasty) if f is Format.RAW else _typed(f, nasty))


def _unique(draw: st.DrawFn, names: Any, low: int, high: int) -> list[str]:
    return draw(st.lists(names, min_size=low, max_size=high, unique=True))


@st.composite
def _typed(draw: st.DrawFn, format_: Format, nasty: bool) -> Schema:
    names = identifiers if nasty else plain_identifiers
    space = draw(st.sampled_from(["", "net.", "net.v1."]))
    given = [space + n for n in _unique(draw, names, 4, 8)]
    enums = [draw(_enum(given.pop(), format_, names)) for _ in range(draw(st.integers(0, 2)))]
    structs: list[Record] = []
    if format_ is Format.FBS:
        for _ in range(draw(st.integers(0, min(2, len(given) - 1)))):
            structs.append(draw(_struct(given.pop(), names, enums, structs)))
    unions = [given.pop()] if format_ is Format.FBS and len(given) > 1 and draw(st.booleans()) else []
    plan = Plan(format_, names, enums, structs, given, unions)
    definitions: list[Definition] = [*enums, *structs]
    for name in given:
        definitions += draw(_record(plan, name))
    definitions += [draw(_union(plan, name)) for name in unions]
    services: list[Service] = []
    for name in _unique(draw, names, 0, 3):
        direction = draw(st.sampled_from(Direction))
        services.append(draw(_service(space + name, direction, names, given)))
    return Schema(
        draw(names), format_, tuple(draw(st.permutations(definitions))), tuple(services), files=("a",)
    )


@st.composite
def _enum(draw: st.DrawFn, name: str, format_: Format, names: Any) -> Enum:
    members = _unique(draw, names, 1, 4)
    proto = format_ is Format.PROTO
    flags = not proto and draw(st.booleans())
    scalar = Scalar.I32 if proto else Scalar.U16 if flags else draw(st.sampled_from(_INTEGERS))
    low, high = scalar.range
    if flags:
        values = [1 << i for i in draw(st.permutations(range(len(members))))]
    elif proto:
        values = [
            0,
            *draw(st.lists(st.integers(low, high), min_size=len(members) - 1, max_size=len(members) - 1)),
        ]
    else:
        values = draw(
            st.lists(st.integers(low, high), min_size=len(members), max_size=len(members), unique=True)
        )
    pairs = zip(members, values, strict=True)
    made = tuple(Member(n, v, doc=draw(documents)) for n, v in pairs)
    return Enum(name, scalar, made, bit_flags=flags, closed=not proto, doc=draw(documents))


@st.composite
def _struct(draw: st.DrawFn, name: str, names: Any, enums: list[Enum], structs: list[Record]) -> Record:
    choices: list[Number | Named] = [Number(s) for s in Scalar]
    choices += [Named(e.name) for e in enums] + [Named(s.name) for s in structs]
    elements = st.sampled_from(choices)
    types = st.one_of(elements, st.builds(Array, elements, st.integers(1, 5)))
    sizes = {e.name: (e.scalar.size, e.scalar.size) for e in enums} | {
        s.name: (s.size, s.align) for s in structs
    }
    fields: list[Field] = []
    offset, most = 0, 1
    for i, field in enumerate(_unique(draw, names, 1, 4)):
        type_ = draw(types)
        element, count = (type_.element, type_.length) if isinstance(type_, Array) else (type_, 1)
        size, align = (element.scalar.size,) * 2 if isinstance(element, Number) else sizes[element.name]
        offset = -(-offset // align) * align + size * count
        most = max(most, align)
        fields.append(Field(field, type_, i, Presence.REQUIRED, doc=draw(documents)))
    return Record(
        name, RecordKind.STRUCT, tuple(fields), -(-offset // most) * most, most, doc=draw(documents)
    )


@st.composite
def _record(draw: st.DrawFn, plan: Plan, name: str) -> list[Definition]:
    fields: list[Field] = []
    extra: list[Definition] = []
    slot = 0 if plan.format is Format.FBS else 1
    for field in _unique(draw, plan.names, 0, 5):
        if plan.format is Format.PROTO and draw(st.integers(0, 4)) == 0:
            union = draw(_oneof(plan, f"{name}.{field}", slot))
            extra.append(union)
            fields.append(Field(field, Named(union.name), slot, Presence.OPTIONAL, doc=draw(documents)))
            slot += len(union.variants)
            continue
        type_ = draw(_type(plan))
        inner = type_.element if isinstance(type_, Vector) else type_
        slot += isinstance(inner, Named) and inner.name in plan.unions
        presence, default = draw(_presence(plan, type_))
        fields.append(
            Field(field, type_, slot, presence, default, deprecated=draw(st.booleans()), doc=draw(documents))
        )
        slot += 1
    kind = RecordKind.TABLE if plan.format is Format.FBS else RecordKind.MESSAGE
    return [Record(name, kind, tuple(fields), doc=draw(documents)), *extra]


def _numbers(plan: Plan) -> st.SearchStrategy[Number]:
    if plan.format is Format.FBS:
        return st.sampled_from([Number(s) for s in Scalar])
    wide = (Scalar.I32, Scalar.U32, Scalar.I64, Scalar.U64)
    choices = [Number(s, Coding.VARINT) for s in (Scalar.BOOL, *wide)] + [
        Number(s, Coding.FIXED) for s in wide
    ]
    choices += [Number(s, Coding.ZIGZAG) for s in (Scalar.I32, Scalar.I64)]
    return st.sampled_from([*choices, Number(Scalar.F32), Number(Scalar.F64)])


def _named(plan: Plan, *, unions: bool = True) -> st.SearchStrategy[Named]:
    names = [e.name for e in plan.enums] + [s.name for s in plan.structs] + plan.records
    return st.sampled_from([Named(n) for n in names + (plan.unions if unions else [])])


def _type(plan: Plan) -> st.SearchStrategy[Type]:
    fbs = plan.format is Format.FBS
    leaves = [_numbers(plan), st.just(String()), *([] if fbs else [st.just(Bytes())])]
    elements = st.one_of(*leaves, _named(plan))
    if fbs:
        return st.one_of(elements, st.builds(Vector, elements))
    keys = st.one_of(_numbers(plan).filter(lambda n: not n.scalar.is_float), st.just(String()))
    values = st.one_of(*leaves, _named(plan, unions=False))
    return st.one_of(elements, st.builds(Vector, elements), st.builds(Map, keys, values))


@st.composite
def _presence(draw: st.DrawFn, plan: Plan, type_: Type) -> tuple[Presence, Any]:
    enum = next((e for e in plan.enums if type_ == Named(e.name)), None)
    absent = Presence.IMPLICIT if isinstance(type_, Vector | Map) else Presence.OPTIONAL
    if plan.format is Format.PROTO:
        default = {String: "", Bytes: b""}.get(type(type_))
        if isinstance(type_, Number):
            default = False if type_.scalar is Scalar.BOOL else 0.0 if type_.scalar.is_float else 0
        default = 0 if enum is not None else default
        implicit = default is not None and draw(st.booleans())
        return (Presence.IMPLICIT, default) if implicit else (absent, None)
    if isinstance(type_, Number) or enum is not None:
        if draw(st.integers(0, 3)) == 0:
            return Presence.OPTIONAL, None
        return Presence.IMPLICIT, draw(_default(enum, type_))
    if isinstance(type_, String) and draw(st.booleans()):
        return Presence.IMPLICIT, draw(st.one_of(st.text(max_size=20), st.sampled_from(NASTY_DOCS)))
    if isinstance(type_, Named) and type_.name in plan.records:
        return absent, None
    return (Presence.REQUIRED if draw(st.booleans()) else absent), None


def _default(enum: Enum | None, type_: Type) -> st.SearchStrategy[Any]:
    if enum is not None:
        values = [m.value for m in enum.members]
        return st.sets(st.sampled_from(values)).map(sum) if enum.bit_flags else st.sampled_from([*values, 0])
    assert isinstance(type_, Number)
    if type_.scalar is Scalar.BOOL:
        return st.booleans()
    return st.floats(width=32) if type_.scalar.is_float else st.integers(*type_.scalar.range)


@st.composite
def _union(draw: st.DrawFn, plan: Plan, name: str) -> Union:
    held = [Named(n) for n in plan.records] + [Named(s.name) for s in plan.structs] + [String()]
    count = draw(st.integers(1, 3))
    variants = tuple(
        Variant(n, i, draw(st.sampled_from(held)), doc=draw(documents))
        for i, n in enumerate(_unique(draw, plan.names, count, count), 1)
    )
    return Union(name, variants, doc=draw(documents))


@st.composite
def _oneof(draw: st.DrawFn, plan: Plan, name: str, first: int) -> Union:
    held = st.one_of(_numbers(plan), st.just(String()), st.just(Bytes()), _named(plan))
    names = _unique(draw, plan.names, 1, 3)
    return Union(name, tuple(Variant(n, first + i, draw(held)) for i, n in enumerate(names)), oneof=True)


@st.composite
def _service(draw: st.DrawFn, name: str, direction: Direction, names: Any, records: list[str]) -> Service:
    of = st.sampled_from(records)
    methods = tuple(
        Method(n, direction, symbol(name, n, direction), draw(of), draw(of), doc=draw(documents))
        for n in _unique(draw, names, 0, 4)
    )
    return Service(name, direction, methods, doc=draw(documents))


@st.composite
def _raw(draw: st.DrawFn, nasty: bool) -> Schema:
    names = identifiers if nasty else plain_identifiers
    services = [draw(_raw_service(n, names)) for n in _unique(draw, names, 1, 3)]
    return Schema(
        draw(names), Format.RAW, (), tuple(services), allocator=draw(st.sampled_from(["alloc", 1024]))
    )


@st.composite
def _raw_service(draw: st.DrawFn, name: str, names: Any) -> Service:
    direction = draw(st.sampled_from(Direction))
    wasm = (Scalar.I32, Scalar.I64, Scalar.F32, Scalar.F64)
    types = st.one_of(st.sampled_from([Number(s) for s in wasm]), st.just(Bytes()), st.just(CString()))
    methods: list[Method] = []
    for method in _unique(draw, names, 0, 4):
        parameters = [Parameter(n, draw(types)) for n in _unique(draw, names, 0, 4)]
        filled = draw(st.booleans())
        if filled:
            free = next(
                n for n in ("out", "out2", "out3", "out4", "out5") if n not in {p.name for p in parameters}
            )
            parameters.append(Parameter(free, Bytes(), out=True, capacity=64))
        # The last result of a method with an `out` parameter is the length that it wrote.
        with_length = [(ResultForm.NONE, (Scalar.I32,)), (ResultForm.NONE, (Scalar.F64, Scalar.I32))]
        others = [
            (ResultForm.NONE, ()),
            (ResultForm.NONE, (Scalar.F64, Scalar.I64)),
            (ResultForm.PACKED, (Scalar.I64,)),
            (ResultForm.PAIR, (Scalar.I32, Scalar.I32)),
        ]
        form, results = draw(st.sampled_from(with_length if filled else [*with_length, *others]))
        methods.append(
            Method(
                method, direction, draw(st.text(min_size=1, max_size=9)), parameters=tuple(parameters),
                results=results, form=form, doc=draw(documents),
            )
        )  # fmt: skip
    return Service(name, direction, tuple(methods), doc=draw(documents))
