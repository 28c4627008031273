"""The Protobuf front end gives what protoc and the runtime say of the same schema."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from proto_corpus import CONSTRUCTS

from hlfuzz.schema.canonical import canonical
from hlfuzz.schema.diagnostics import SchemaError
from hlfuzz.schema.ir import (
    Attribute,
    Bytes,
    Coding,
    Direction,
    Enum,
    Map,
    Named,
    Number,
    Position,
    Presence,
    Record,
    Scalar,
    Schema,
    String,
    Union,
    Vector,
)
from hlfuzz.schema.proto import parse, parse_text
from hlfuzz.schema.proto.protoc import compile_sources
from hlfuzz.schema.proto.sources import from_text

NAMES = list(CONSTRUCTS)


def package(name: str) -> str:
    return f"c{NAMES.index(name)}"


@cache
def corpus() -> tuple[str, dict[str, str]]:
    files = {f"{package(n)}.proto": text.replace("PKG", package(n)) for n, text in CONSTRUCTS.items()}
    return 'syntax = "proto3";' + "".join(f'import "{name}";' for name in files), files


@cache
def everything() -> Schema:
    text, files = corpus()
    return parse_text(text, name="main.proto", files=files)


@cache
def oracle() -> descriptor_pool.DescriptorPool:
    """The runtime's own reading of what protoc makes of the same files."""
    text, files = corpus()
    pool = descriptor_pool.DescriptorPool()
    for file in compile_sources(from_text(text, "main.proto", files)).files.file:
        pool.Add(file)
    return pool


def one(text: str, **options: Any) -> Schema:
    return parse_text(f'syntax = "proto3"; package t;\n{text}', **options)


def expected_types(pool: Any, file: Any) -> tuple[dict[str, Descriptor], dict[str, EnumDescriptor]]:
    messages: dict[str, Descriptor] = {}
    enums = {e.full_name: e for e in file.enum_types_by_name.values()}
    waiting = list(file.message_types_by_name.values())
    while waiting:
        message = waiting.pop()
        if not message.GetOptions().map_entry:
            messages[message.full_name] = message
            enums |= {e.full_name: e for e in message.enum_types}
            waiting += message.nested_types
    return messages, enums


_CODINGS = {
    FieldDescriptor.TYPE_DOUBLE: Number(Scalar.F64),
    FieldDescriptor.TYPE_FLOAT: Number(Scalar.F32),
    FieldDescriptor.TYPE_INT64: Number(Scalar.I64, Coding.VARINT),
    FieldDescriptor.TYPE_UINT64: Number(Scalar.U64, Coding.VARINT),
    FieldDescriptor.TYPE_INT32: Number(Scalar.I32, Coding.VARINT),
    FieldDescriptor.TYPE_UINT32: Number(Scalar.U32, Coding.VARINT),
    FieldDescriptor.TYPE_BOOL: Number(Scalar.BOOL, Coding.VARINT),
    FieldDescriptor.TYPE_SINT32: Number(Scalar.I32, Coding.ZIGZAG),
    FieldDescriptor.TYPE_SINT64: Number(Scalar.I64, Coding.ZIGZAG),
    FieldDescriptor.TYPE_FIXED32: Number(Scalar.U32, Coding.FIXED),
    FieldDescriptor.TYPE_FIXED64: Number(Scalar.U64, Coding.FIXED),
    FieldDescriptor.TYPE_SFIXED32: Number(Scalar.I32, Coding.FIXED),
    FieldDescriptor.TYPE_SFIXED64: Number(Scalar.I64, Coding.FIXED),
    FieldDescriptor.TYPE_BYTES: Bytes(),
}


def element(field: FieldDescriptor, type_: Any) -> Any:
    """The type that a descriptor says; what strings are, only bytes can tell (see the codec's tests)."""
    if field.message_type is not None:
        return Named(field.message_type.full_name)
    if field.enum_type is not None:
        return Named(field.enum_type.full_name)
    if field.type == FieldDescriptor.TYPE_STRING:
        assert isinstance(type_, String)
        return type_
    return _CODINGS[field.type]


def check_field(field: FieldDescriptor, found: Any) -> None:
    assert (found.name, found.id) == (field.name, field.number)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = (field.message_type.fields_by_name[n] for n in ("key", "value"))
        assert found.type == Map(element(key, found.type.key), element(value, found.type.value))
        assert found.presence is Presence.IMPLICIT
        assert not found.delimited
        return
    assert found.delimited == (field.type == FieldDescriptor.TYPE_GROUP)
    if field.is_repeated:
        assert found.type == Vector(element(field, found.type.element), field.is_packed)
        assert found.presence is Presence.IMPLICIT
        assert found.default is None
        return
    assert found.type == element(field, found.type)
    presence = Presence.OPTIONAL if field.has_presence else Presence.IMPLICIT
    assert found.presence is (Presence.REQUIRED if field.is_required else presence)
    if found.presence is Presence.IMPLICIT:
        assert found.default == field.default_value
        assert type(found.default) is type(field.default_value)
    else:
        assert found.default is None
    # The text is protoc's own; the runtime says only whether there is one.
    assert any(a.name == "default" for a in found.attributes) == field.has_default_value


@pytest.mark.parametrize("name", NAMES)
def test_a_construct_means_what_the_runtime_takes_it_for(name: str):
    schema, pool = everything(), oracle()
    messages, enums = expected_types(pool, pool.FindFileByName(f"{package(name)}.proto"))
    unions = {
        o.full_name: o
        for m in messages.values()
        for o in m.oneofs
        if not (len(o.fields) == 1 and o.name.startswith("_"))
    }
    own = {d.name: d for d in schema.definitions if d.name.split(".")[0] == package(name)}
    assert set(own) == {*messages, *enums, *unions}
    for full, message in messages.items():
        record = own[full]
        assert isinstance(record, Record)
        plain = {
            f.number: f
            for f in message.fields
            if f.containing_oneof is None or f.containing_oneof.full_name not in unions
        }
        oneofs = {min(f.number for f in o.fields): o for o in message.oneofs if o.full_name in unions}
        assert [f.id for f in record.fields] == sorted({*plain, *oneofs})
        for field in record.fields:
            if field.id in plain:
                check_field(plain[field.id], field)
            else:
                assert (field.name, field.type) == (oneofs[field.id].name, Named(oneofs[field.id].full_name))
                assert field.presence is Presence.OPTIONAL
    for full, enum in enums.items():
        assert isinstance(own[full], Enum)
        assert own[full].closed == enum.is_closed
        assert [(m.name, m.value) for m in own[full].members] == [(v.name, v.number) for v in enum.values]
    for full, oneof in unions.items():
        union = own[full]
        assert isinstance(union, Union)
        assert union.oneof
        fields = sorted(oneof.fields, key=lambda f: f.number)
        assert [(v.name, v.tag) for v in union.variants] == [(f.name, f.number) for f in fields]
        for field, variant in zip(fields, union.variants, strict=True):
            assert variant.type == element(field, variant.type)
            assert variant.delimited == (field.type == FieldDescriptor.TYPE_GROUP)


def test_there_are_enough_constructs():
    assert len(CONSTRUCTS) >= 60


def test_strings_are_checked_as_each_file_says():
    schema = everything()

    def checked(construct: str, message: str = "M") -> list[bool]:
        record = schema.record(f"{package(construct)}.{message}")
        types = [f.type.element if isinstance(f.type, Vector) else f.type for f in record.fields]
        return [t.checked for t in types if isinstance(t, String)]

    assert checked("proto2 optional of each type") == [False]
    assert checked("proto3 implicit of each type") == [True]
    assert checked("edition of each type") == [True]
    assert checked("edition unchecked strings") == [False, True, False]
    maps = schema.record(f"{package('edition map')}.M").fields
    assert [f.type.key for f in maps] == [String(True), String(False)]  # type: ignore[union-attr]
    assert maps[1].type.value == String(False)  # type: ignore[union-attr]


def test_what_tools_need_to_know_is_kept_as_attributes():
    schema = everything()
    reserved = schema.record(f"{package('reserved')}.M").attributes
    assert reserved == (
        Attribute("reserved", "2, 15, 9 to 11, 100 to 536870911"),
        Attribute("reserved_names", "foo, bar"),
    )
    enum = schema.by_name[f"{package('reserved')}.E"].attributes
    assert enum == (Attribute("reserved", "2, 5 to 9, 100 to 2147483647"), Attribute("reserved_names", "X"))
    extended = schema.record(f"{package('extensions')}.M").attributes
    assert extended == (Attribute("extensions", "100 to 199, 1000 to 536870911"),)
    defaults = {f.name: f.attributes for f in schema.record(f"{package('defaults')}.M").fields}
    assert defaults["i"] == (Attribute("default", "-16"),)
    assert defaults["e"] == (Attribute("default", "B"),)
    union = schema.by_name[f"{package('proto2 oneof with default')}.M.o"]
    assert union.attributes == (Attribute("default.a", "7"), Attribute("default.b", "x"))


def test_what_is_left_out_is_reported():
    notes = "\n".join(everything().notes)
    number = package("extensions")
    assert f"{number}.proto:2:" in notes
    assert f"extension {number}.x = 100 of {number}.M: left out" in notes
    assert f"extension {number}.N.n = 102 of {number}.M: left out" in notes
    custom = package("custom options")
    assert f"option ({custom}.rule): no effect here" in notes
    assert f"option ({custom}.sub): no effect here" in notes
    assert f"message set {package('message set')}.M" in notes


def test_positions_and_comments_are_those_of_the_source():
    schema = one(
        "// About M.\n//   indented\nmessage M {\n"
        "\t/* é */ int32 a = 1; // after\n\n  // b\n  string b = 2;\n}\n"
        "// An enum.\nenum E {\n  A = 0; // zero\n}\n",
        name="dir/x.proto",
    )
    message, enum = schema.record("t.M"), schema.by_name["t.E"]
    assert message.position == Position("dir/x.proto", 4, 1)
    assert message.doc == "About M.\n  indented"
    assert [f.position for f in message.fields] == [
        Position("dir/x.proto", 5, 10),
        Position("dir/x.proto", 8, 3),
    ]
    assert [f.doc for f in message.fields] == ["é", "b"]
    assert isinstance(enum, Enum)
    assert enum.position == Position("dir/x.proto", 11, 1)
    assert enum.members[0].doc == "zero"
    assert schema.name == "x"
    assert schema.files == ("dir/x.proto",)


def test_the_direction_of_a_service_is_its_name_or_its_comment():
    schema = one(
        "message Q {}\n"
        "service FilterGuest { rpc A(Q) returns (Q); }\n"
        "service FilterHost { rpc A(Q) returns (Q); }\n"
        "service Plain { rpc A(Q) returns (Q); }\n"
        "// Says it.\n// hlfuzz: host, stateful\nservice Said { rpc A(Q) returns (Q); }\n"
        "service Some {\n rpc A(Q) returns (Q); // hlfuzz: stateful\n rpc B(Q) returns (Q);\n}\n"
        "/* hlfuzz: guest */ service OddHost { rpc A(Q) returns (Q); }\n"
    )
    found = {s.name: (s.direction, [m.stateful for m in s.methods]) for s in schema.services}
    assert found == {
        "t.FilterGuest": (Direction.GUEST, [False]),
        "t.FilterHost": (Direction.HOST, [False]),
        "t.Plain": (Direction.GUEST, [False]),
        "t.Said": (Direction.HOST, [True]),
        "t.Some": (Direction.GUEST, [True, False]),
        "t.OddHost": (Direction.GUEST, [False]),
    }
    assert [s.doc for s in schema.services if s.doc] == ["Says it."]
    method = schema.services[0].methods[0]
    assert (method.symbol, method.request, method.response) == ("t_FilterGuest_A", "t.Q", "t.Q")
    assert schema.services[1].methods[0].symbol == "t.FilterHost.A"


def test_streaming_methods_of_others_are_left_out_and_noted():
    methods = "rpc A(stream Q) returns (Q); rpc B(Q) returns (Q);"
    other = f'syntax = "proto3"; package o; message Q {{}} service S {{ {methods} }}'
    schema = one('import "o.proto"; message M { o.Q q = 1; }', files={"o.proto": other})
    assert [m.name for _, m in schema.methods()] == ["B"]
    assert any("o.proto:1:56: method o.S.A is streaming" in note for note in schema.notes)
    for words in ("service SHost", "\n// hlfuzz: guest\nservice S"):
        said = other.replace("service S", words)
        with pytest.raises(SchemaError, match="is streaming"):
            one('import "o.proto"; message M { o.Q q = 1; }', files={"o.proto": said})


def test_files_that_are_there_for_their_options_bring_no_types(tmp_path: Path):
    (tmp_path / "opts.proto").write_text(
        'syntax = "proto3"; package o; import "google/protobuf/descriptor.proto";'
        "message Rule { int32 a = 1; } message Used {} "
        "extend google.protobuf.FieldOptions { Rule rule = 50000; }"
    )
    (tmp_path / "main.proto").write_text(
        'syntax = "proto3"; package m; import "opts.proto"; message M { o.Used u = 1 [(o.rule) = { a: 1 }]; }'
    )
    schema = parse(tmp_path / "main.proto")
    assert set(schema.by_name) == {"m.M", "o.Used"}


def test_imports_are_found_beside_the_file_and_in_the_folders_given(tmp_path: Path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "lib").mkdir()
    (tmp_path / "a/b/main.proto").write_text(
        'syntax = "proto3"; import "beside.proto"; import "there.proto"; import "a/b/rooted.proto"; '
        "message M { X x = 1; Y y = 2; Z z = 3; }"
    )
    (tmp_path / "a/b/beside.proto").write_text('syntax = "proto3"; message X {}')
    (tmp_path / "lib/there.proto").write_text('syntax = "proto3"; message Y {}')
    (tmp_path / "a/b/rooted.proto").write_text('syntax = "proto3"; message Z {}')
    schema = parse(tmp_path / "a/b/main.proto", include=[tmp_path, tmp_path / "lib"])
    assert set(schema.by_name) == {"M", "X", "Y", "Z"}
    assert schema.files[0] == str(tmp_path / "a/b/main.proto")
    assert str(tmp_path / "lib/there.proto") in schema.files


def test_a_file_of_any_name_and_folder_can_be_read(tmp_path: Path):
    for name in ("-x.proto", "a:b.proto", "with space.proto", "ü.proto", "x.y.proto", "a\\b.proto"):
        path = tmp_path / "a:b c" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('syntax = "proto3"; message M {}')
        schema = parse(path)
        assert [d.name for d in schema.definitions] == ["M"]
        assert schema.definitions[0].position == Position(str(path), 1, 20)


def test_reading_twice_gives_the_same():
    text, files = corpus()
    again = parse_text(text, name="main.proto", files=files)
    assert again == everything()
    assert canonical(again) == canonical(everything())


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    one("message M {}")
    with pytest.raises(Exception, match="Nothing"):
        one("message M { Nothing n = 1; }")
    assert list(tmp_path.iterdir()) == []
