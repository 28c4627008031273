"""Hostile input: any bytes give a schema or a `SchemaError`, within bounds of work and memory."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hlfuzz.schema.diagnostics import SchemaError
from hlfuzz.schema.fbs import parse, parse_text
from hlfuzz.schema.fbs.limits import MAX_FILE_BYTES, MAX_ITEMS, MAX_TOKENS
from hlfuzz.schema.fbs.problems import Reading

MANY = 100_000


def refusal(path: Path) -> str:
    with pytest.raises(SchemaError) as caught:
        parse(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("table T {" + "f:int;" * 30_000 + "}", "is there twice"),
        ("table T {" + "".join(f"f{i}:int;" for i in range(MANY)) + "}", "32,765"),
        ("table T { a:" + "[" * MANY + "int" + "]" * MANY + "; }", "do not exist"),
        ("table T { a:float = " + "sin(" * MANY, "functions inside"),
        ("table T { a:" + "b." * 10_000 + "c; }", "32 parts"),
        ("namespace " + "b." * 10_000 + "c;", "32 parts"),
        ("{" * 10_000, "data in a schema"),
        ("table T { a:int (" + "(" * 10_000, "the name of an attribute"),
        ("table T { a:int = " + "9" * (8 << 20) + "; }", "1,024 characters"),
        ("table " + "a" * (8 << 20), "512 characters"),
        ('file_extension "' + "\\n" * (4 << 20) + '";', "65,536 characters"),
        ("/*" + "*" * (8 << 20), "does not end"),
        ("@" * (8 << 20), "has no meaning"),
        ('"' * 10_000, "expected a declaration"),
        (
            "struct S0 { x:int; }" + "".join(f"struct S{i + 1} {{ a:S{i}; b:S{i}; }}" for i in range(100)),
            "2,147,483,647",
        ),
    ],
    ids=lambda value: value[:24] if len(value) > 60 else "",
)
def test_a_bomb_is_refused(text: str, message: str) -> None:
    with pytest.raises(SchemaError) as caught:
        parse_text(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 100_000


def test_tokens_are_counted_over_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hlfuzz.schema.fbs.Reading", lambda: Reading(tokens=100))
    files = {"a.fbs": "table A {" + "".join(f"a{i}:int;" for i in range(20)) + "}"}
    with pytest.raises(SchemaError, match=f"more than {MAX_TOKENS:,} tokens"):
        parse_text('include "a.fbs"; table T {' + "".join(f"a{i}:int;" for i in range(20)) + "}", files=files)


def test_definitions_and_what_they_hold_are_counted_over_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hlfuzz.schema.fbs.Reading", lambda: Reading(items=100))
    files = {"a.fbs": "enum E : int {" + ",".join(f"a{i}" for i in range(60)) + "}"}
    with pytest.raises(SchemaError, match=f"more than {MAX_ITEMS:,} definitions"):
        parse_text('include "a.fbs"; table T {' + "".join(f"a{i}:int;" for i in range(60)) + "}", files=files)


def test_a_long_chain_of_includes_is_refused_without_recursion() -> None:
    files = {f"f{i}.fbs": f'include "f{i + 1}.fbs"; table T{i} {{}}' for i in range(3_000)}
    with pytest.raises(SchemaError, match="1,000 files"):
        parse_text('include "f0.fbs"; table T {}', files=files)


def test_a_chain_of_includes_within_the_limit_is_read() -> None:
    files = {f"f{i}.fbs": f'include "f{i + 1}.fbs"; table T{i} {{}}' for i in range(900)}
    files["f900.fbs"] = "table Last {}"
    assert len(parse_text('include "f0.fbs"; table T {}', files=files).definitions) == 902


def test_all_files_together_are_bounded() -> None:
    files = {f"{i}.fbs": f"//{'x' * (15 << 20)}\ntable T{i} {{}}" for i in range(5)}
    with pytest.raises(SchemaError, match="64 MiB"):
        parse_text("".join(f'include "{name}";' for name in files), files=files)


def test_memory_stays_in_proportion_to_what_is_read() -> None:
    text = "".join(f"table T{i} {{ a:int; b:string; }}" for i in range(1_000))
    tracemalloc.start()
    try:
        parse_text(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200 * len(text)


def test_a_missing_file_is_said_to_be(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.fbs")


def test_a_folder_is_no_schema(tmp_path: Path) -> None:
    assert "it is a folder" in refusal(tmp_path)


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.fbs")
    assert "no regular file" in refusal(tmp_path / "pipe.fbs")


def test_a_pipe_is_refused_as_an_included_file_too(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.fbs")
    (tmp_path / "main.fbs").write_text('include "pipe.fbs"; table T {}')
    assert "main.fbs:1:9: error: cannot use the included file" in refusal(tmp_path / "main.fbs")


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.fbs").symlink_to("b.fbs")
    (tmp_path / "b.fbs").symlink_to("a.fbs")
    assert "cannot open it" in refusal(tmp_path / "a.fbs")
    (tmp_path / "main.fbs").write_text('include "a.fbs"; table T {}')
    assert "cannot find the included file" in refusal(tmp_path / "main.fbs")


@pytest.mark.parametrize("path", ["a" * 5_000, "a\\u0000b", "/etc/passwd", "", "."])
def test_a_strange_path_of_an_include_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "main.fbs").write_text(f'include "{path}"; table T {{}}')
    assert "main.fbs:1:9: error:" in refusal(tmp_path / "main.fbs")


def test_a_file_too_large_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "large.fbs").open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)
    assert "larger than 16 MiB" in refusal(tmp_path / "large.fbs")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"table T {}\n\xff\xfe", "main.fbs:2:1: error: a byte that is no UTF-8 (0xff)"),
        ("// é\ntable T {} // é".encode("latin-1"), "main.fbs:1:4: error: a byte that is no UTF-8 (0xe9)"),
        (b"table T {}\0", "main.fbs:1:11: error: a zero byte"),
        (b"\x7fELF\x02\x01\x01\0", "a zero byte"),
        ("table T {}".encode("utf-16"), "UTF-16"),
        (b"", "no schema"),
        (b"\xef\xbb\xbf", "no schema"),
    ],
)
def test_binary_junk_is_refused_by_place(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "main.fbs").write_bytes(data)
    assert message in refusal(tmp_path / "main.fbs")


_WORDS = st.one_of(
    st.sampled_from(["table", "struct", "enum", "union", "rpc_service", "namespace", "include", "root_type"]),
    st.sampled_from(
        ["attribute", "file_identifier", "T", "U", "E", "a", "b", "int", "[int]", "string", "ubyte"]
    ),
    st.sampled_from(list("{}()[]:;,=.-+\n\\@é")),
    st.sampled_from(["0", "1", "-5", "0x10", "1.5", "nan", "null", '"x"', "'y'", "id", "key", "required"]),
    st.sampled_from(["deprecated", "///", "//", "/*", "*/"]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_WORDS, max_size=60).map(" ".join))
@example("enum E : int { , }")
@example("table T { a:int (id: ) }")
def test_any_text_of_tokens_gives_a_schema_or_an_error(text: str) -> None:
    try:
        assert parse_text(text).definitions is not None
    except SchemaError as error:
        assert error.diagnostics  # noqa: PT017


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_schema_or_an_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.fbs"
    path.write_bytes(data)
    try:
        parse(path)
    except SchemaError as error:
        assert error.diagnostics  # noqa: PT017
