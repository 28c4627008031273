"""Bad .proto files: every error with its place, line and suggestion, in bounded time and memory."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from hlfuzz.schema.diagnostics import MAX_DIAGNOSTICS, SchemaError
from hlfuzz.schema.ir import Position
from hlfuzz.schema.proto import parse, parse_text, protoc, sources
from hlfuzz.schema.proto.sources import MAX_FILE, Source, imports

_3 = 'syntax = "proto3";\n'


def errors(text: str | Path, **options: object) -> tuple[str, ...]:
    """What is wrong, without the source lines: "line:column message | suggestion"."""
    with pytest.raises(SchemaError) as caught:
        parse(text) if isinstance(text, Path) else parse_text(text, **options)  # type: ignore[arg-type]
    lines: list[str] = []
    for d in caught.value.diagnostics:
        at = f"{d.position.line}:{d.position.column} " if d.position else ""
        lines.append(f"{at}{d.message} | {d.suggestion}")
    return tuple(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("message M { int32 a = 1\n int32 b = 2; }", '3:2 Expected ";". | end the line before this one'),
        ("message M { int32 a; }", "2:20 Missing field number. | end the field with a number"),
        ("message M { int32 a = 1; int32 b = 1; }", "2:36 Field number 1 has already been used"),
        ("message M { int32 a = 0; }", "2:23 Field numbers must be positive integers. | numbers go from"),
        ("message M { reserved 1; int32 a = 1; }", '2:22 Field "a" uses reserved number 1. | take another'),
        ("message Point {} message M { Poimt a = 1; }", "2:30 \"Poimt\" is not defined. | did you mean"),
        ("message M {}\nmesage N {}", '3:1 Expected top-level statement (e.g. "message"). | did you'),
        ("enum E { A = 1; }", "2:14 The first enum value must be zero for open enums. | put a member"),
        ("message M { int32 a = 1;", "2:25 Reached end of input in message definition (missing '}'). |"),
        ("message Q {} service S { rpc A(Q) returns (stream Q); }", "2:26 method S.A is streaming"),
        ("message Q {} service S { rpc A(stream Q) returns (Q); }", "2:26 method S.A is streaming"),
        ("message Q {}\n// hlfuzz: hots\nservice S {}", "4:1 unknown directive 'hots' in the comment of S |"),
        ("message Q {}\n// hlfuzz: guest host\nservice S {}", "4:1 service S is said to be both guest and"),
        (
            "message Q {}\nservice S {\n // hlfuzz: host\n rpc A(Q) returns (Q); }",
            "5:2 unknown directive 'host' in the comment of S.A | a service has one direction",
        ),
        (
            "message Q {} service a_b { rpc c(Q) returns (Q); } service a { rpc b_c(Q) returns (Q); }",
            "2:64 methods a_b.c and a.b_c would both be the export a_b_c | rename",
        ),
    ],
)  # fmt: skip
def test_an_error_has_its_place_and_a_suggestion(text: str, expected: str):
    assert errors(_3 + text)[0].startswith(expected)


def test_the_line_is_shown_with_a_caret():
    with pytest.raises(SchemaError) as caught:
        parse_text(_3 + "message M {\n\tPoimt\ta = 1;\n}", name="net/x.proto")
    assert str(caught.value).splitlines()[:3] == [
        'net/x.proto:3:2: error: "Poimt" is not defined.',
        "   Poimt a = 1;",
        "   ^",
    ]


def test_many_errors_are_reported_in_one_run():
    found = errors(_3 + "message M { A a = 1; B b = 2; int32 c = 2; int32 a = 3; }")
    assert {line.split(" ", 1)[0] for line in found} == {"2:13", "2:22", "2:41", "2:50"}
    found = errors(_3 + "message M { int32 a; }\nenum E { X = ; }\nservice S { rpc }")
    assert {line.split(" ", 1)[0] for line in found} == {"2:20", "3:14", "4:17"}


def test_errors_end_at_a_screenful():
    found = errors(_3 + "message M {" + "".join(f"T{i} f{i} = {i};\n" for i in range(1, 5_000)) + "}")
    assert len(found) == MAX_DIAGNOSTICS


def test_an_import_that_is_missing_hides_what_it_would_define(tmp_path: Path):
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "net").mkdir()
    (tmp_path / "net/types.proto").write_text(_3 + "message T {}")
    main = tmp_path / "deep/er/main.proto"
    main.write_text(
        _3 + 'import "net/types.proto";\nimport "gone.proto";\nmessage M { T t = 1; int32 t = 2; }'
    )
    found = errors(main)
    assert (
        found[0]
        == f'2:1 cannot import "net/types.proto": not found; it is there with --include {tmp_path} | '
    )
    assert found[1].startswith('3:1 cannot import "gone.proto": not found; give the folder')
    assert found[2].startswith('4:28 "t" is already defined')
    assert len(found) == 3


def test_files_that_import_each_other_are_refused():
    files = {"b.proto": _3 + 'import "c.proto";', "c.proto": _3 + 'import "a.proto";'}
    found = errors(_3 + 'import "b.proto";', name="a.proto", files=files)
    assert "File recursively imports itself: a.proto -> b.proto -> c.proto -> a.proto" in found[0]


@pytest.mark.parametrize(
    "name", ["../x.proto", "/etc/hostname", "a//b.proto", "./b.proto", "a\\\\b.proto", ""]
)
def test_an_import_leads_nowhere_outside(name: str, tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "x.proto").write_text(_3)
    (tmp_path / "in/main.proto").write_text(_3 + f'import "{name}";')
    assert "cannot import" in errors(tmp_path / "in/main.proto")[0]


def test_a_text_whose_name_is_a_path_is_written_nowhere_else(tmp_path: Path):
    outside = tmp_path / "x.proto"
    for name in (str(outside), f"../../../../../../{outside}", "", "/", ".."):
        assert parse_text(_3 + "message M {}", name=name).record("M")
    assert not outside.exists()


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "loop", "binary", "large", "unreadable"])
def test_a_file_that_cannot_be_used_is_refused_as_main_file_and_as_import(kind: str, tmp_path: Path):
    path = tmp_path / "bad.proto"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path)
        case "binary":
            path.write_bytes(b"message M {}\n// \xff\n")
        case "large":
            with path.open("wb") as file:
                file.truncate(MAX_FILE + 1)
        case "unreadable":
            path.write_text(_3)
            path.chmod(0)
            if os.access(path, os.R_OK):
                pytest.skip("root reads everything")
        case _:
            pass
    reason = {
        "missing": "No such file",
        "folder": "Is a directory",
        "pipe": "not a regular file",
        "loop": "Too many levels of symbolic links",
        "binary": "not UTF-8: byte 0xff at offset 16",
        "large": f"longer than {MAX_FILE} bytes",
        "unreadable": "Permission denied",
    }[kind]
    found = errors(path)
    assert reason in found[0]
    assert found[0].startswith("2:4 ") == (kind == "binary")
    main = tmp_path / "main.proto"
    main.write_text(_3 + 'import "bad.proto";')
    assert found != errors(main)
    expected = {"missing": "not found", "loop": "not found"}.get(kind, reason)
    assert f'2:1 cannot import "bad.proto": {expected}' in errors(main)[0]


@pytest.mark.parametrize(
    "text",
    [
        "\0\1\2\3",
        "}" * 100_000,
        "'" * 100_000,
        "/*" * 100_000,
        '"\\' * 100_000,
        "import " * 100_000,
        "import /**/ " * 50_000,
        _3 + "".join(f"message M{i} {{" for i in range(10_000)) + "}" * 10_000,
        _3 + "option (x) = " + "{a" * 100_000,
        _3 + "package " + "a." * 100_000 + "a; message M {}",
        _3 + f"message {'M' * 1_000_000} {{ X x = 1; }}",
        f'syntax = "proto2"; message M {{ optional int32 i = 1 [default = {"9" * 1_000_000}]; }}',
        _3 + "message M {" + "".join(f"int32 f{i} = {i};" for i in range(1, 70_000)) + "}",
        _3 + "message M { int32 a = 1 [" + ",".join(["deprecated = true"] * 10_000) + "]; }",
        _3 + "".join(f'import "f{i}.proto";\n' for i in range(3_000)),
    ],
    ids=[
        *("control", "braces", "quotes", "comments", "escapes", "imports", "gaps", "nesting", "options"),
        *("package", "name", "number", "fields", "repeats", "files"),
    ],
)
def test_hostile_text_is_refused_with_few_words(text: str):
    with pytest.raises(SchemaError) as caught:
        parse_text(text)
    assert 0 < len(caught.value.diagnostics) <= MAX_DIAGNOSTICS
    assert all(len(str(d)) < 2_000 for d in caught.value.diagnostics)


def test_a_huge_literal_is_read():
    schema = parse_text(
        f'syntax = "proto2"; message M {{ optional string s = 1 [default = "{"a" * 1_000_000}"]; }}'
    )
    assert len(schema.record("M").fields[0].attributes[0].value) == 1_000_000


def test_more_elements_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hlfuzz.schema.proto.front_end.MAX_ELEMENTS", 10)
    text = _3 + "enum E {" + "".join(f"A{i} = {i};" for i in range(20)) + "}"
    assert "more than 10 messages, fields, members and methods" in errors(text)[0]


def test_imports_of_more_bytes_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "MAX_TOTAL", 1_000)
    files = {"a.proto": _3 + "//" + "x" * 2_000}
    assert (
        'cannot import "a.proto": the schema is too large' in errors(_3 + 'import "a.proto";', files=files)[0]
    )


def test_protoc_is_stopped_at_its_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(protoc, "TIMEOUT_S", 0)
    assert "protoc did not end within 0 s" in errors(_3)[0]


def test_protoc_is_stopped_at_its_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(protoc, "MEMORY", 64 << 20)
    text = (
        _3
        + "message M {"
        + "".join(f"int32 f{i} = {i};" for i in range(1, 65_000) if not 19_000 <= i < 20_000)
        + "}"
    )
    found = errors(text)
    assert "protoc" in found[0]
    # The limit is the child's alone.
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != 64 << 20


def test_output_of_protoc_has_a_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(protoc, "MAX_DESCRIPTORS", 1_000)
    text = _3 + "message M {" + "".join(f"int32 f{i} = {i};" for i in range(1, 500)) + "}"
    assert "protoc" in errors(text)[0]


def test_imports_are_seen_as_the_parser_sees_them():
    text = """
        // import "a";
        /* import "b"; */ import "c" ; import public 'd';import weak"e"; import option "f";
        option x = "import \\"g\\";"; import /* z */ "h" /* y */ "i"; int32 import = 1; import_x "j";
        'import "k";' import // "l"
        "m";
    """
    assert imports(text.encode()) == ["c", "d", "e", "f", "hi", "m"]


@pytest.mark.parametrize(
    "line", ["abc", "\tabc\tdef", "é\tx é\tx", "a\u0308\t\tb", "世界\t\t\t!", "12345678\t9"]
)
def test_columns_are_counted_in_characters(line: str):
    """protoc counts bytes, and goes from a tab to the next multiple of eight."""
    reached, source = 1, Source("x", "x", line.encode())
    for index, character in enumerate(line):
        assert source.position(1, reached) == Position("x", 1, index + 1)
        reached = (reached + 7) // 8 * 8 + 1 if character == "\t" else reached + len(character.encode())
