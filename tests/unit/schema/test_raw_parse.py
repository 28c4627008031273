"""Raw interfaces: what the TOML says is what the schema holds, and every mistake is told with its place."""

from __future__ import annotations

import contextlib
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hlfuzz.schema.diagnostics import MAX_DIAGNOSTICS, SchemaError
from hlfuzz.schema.ir import (
    Bytes,
    CString,
    Direction,
    Format,
    Number,
    Parameter,
    Position,
    ResultForm,
    Scalar,
    Schema,
)
from hlfuzz.schema.raw import MAX_BYTES, parse, parse_text
from hlfuzz.schema.raw.places import MAX_DEPTH, Places
from hlfuzz.schema.raw.places import Path as TomlPath

FILTER = """# the network filter
version = 1
name = "network_filter"
allocator = "malloc"

[guest.on_data]
doc = "Judges one chunk."
params = ["data: bytes", "flags: u32"]
result = "i32"
stateful = true

[guest."proxy-on:request"]
params = [
  "path : cstring", # spaces are free
  "reply: out bytes(4_096)",
]
result = ["u64", "i32"]

[guest.rewrite]
params = ["data: bytes"]
result = "bytes"
form = "packed"

[host."env.write"]
params = ["data: bytes"]

[host."env.get"]
name = "get_value"
params = ["key: cstring", "value: out bytes"]
result = "i32"
"""


def parsed(text: str) -> Schema:
    return parse_text(text, name="test.toml")


def errors(text: str) -> list[tuple[str, int, int, str]]:
    """Message, line, column and suggestion of all that is wrong with a text."""
    with pytest.raises(SchemaError) as caught:
        parsed(text)
    found = caught.value.diagnostics
    assert all(d.position is None or d.position.file == "test.toml" for d in found)
    return [(d.message, d.position.line, d.position.column, d.suggestion) for d in found if d.position]


def test_the_example_means_what_it_says() -> None:
    schema = parsed(FILTER)
    assert (schema.name, schema.format, schema.allocator) == ("network_filter", Format.RAW, "malloc")
    assert [(s.name, s.direction) for s in schema.services] == [
        ("NetworkFilterGuest", Direction.GUEST),
        ("NetworkFilterHost", Direction.HOST),
    ]
    on_data, request, rewrite = (m for _, m in schema.methods(Direction.GUEST))
    write, get = (m for _, m in schema.methods(Direction.HOST))
    assert (on_data.name, on_data.symbol, on_data.stateful) == ("on_data", "on_data", True)
    assert on_data.doc == "Judges one chunk."
    assert on_data.position == Position("test.toml", 6, 1)
    assert on_data.parameters == (
        Parameter("data", Bytes(), position=Position("test.toml", 8, 11)),
        Parameter("flags", Number(Scalar.U32), position=Position("test.toml", 8, 26)),
    )
    assert (on_data.results, on_data.form) == ((Scalar.I32,), ResultForm.NONE)
    assert (request.name, request.symbol) == ("proxy_on_request", "proxy-on:request")
    assert [(p.name, p.type, p.out, p.capacity) for p in request.parameters] == [
        ("path", CString(), False, 0),
        ("reply", Bytes(), True, 4096),
    ]
    assert request.results == (Scalar.U64, Scalar.I32)
    assert (rewrite.results, rewrite.form) == ((Scalar.U64,), ResultForm.PACKED)
    assert (write.name, write.symbol, write.direction) == ("write", "env.write", Direction.HOST)
    assert (get.name, get.symbol, get.parameters[1].capacity) == ("get_value", "env.get", 0)


@pytest.mark.parametrize(
    ("form", "results"),
    [("packed", (Scalar.U64,)), ("pair", (Scalar.U32, Scalar.U32)), ("inplace", (Scalar.U32,))],
)
def test_each_form_of_bytes_has_its_wasm_results(form: str, results: tuple[Scalar, ...]) -> None:
    text = f'version = 1\n[guest.f]\nparams = ["data: bytes"]\nresult = "bytes"\nform = "{form}"'
    ((_, method),) = parsed(text).methods()
    assert (method.form.value, method.results) == (form, results)


def test_the_files_name_is_the_interfaces_where_none_is_given() -> None:
    text = "version = 1\n[guest.f]"
    assert parse_text(text, name="some/where/my-filter.toml").name == "my_filter"
    assert parse_text(text, name="my-filter.toml").services[0].name == "MyFilterGuest"
    with pytest.raises(SchemaError, match=r'7zip.toml:1:1: error: no name.*\n.*name = "filter"'):
        parse_text(text, name="7zip.toml")


def test_an_allocator_is_an_export_or_an_address() -> None:
    assert parsed("version = 1\nallocator = 65536\n[guest.f]").allocator == 65536
    assert parsed("version = 1\n[guest.f]").allocator is None
    for bad in ("0", "-1", "true", "1.5", "4294967296", '""', "[]"):
        ((message, line, column, _),) = errors(f"version = 1\nallocator = {bad}\n[guest.f]")
        assert (message, line, column) == ("the allocator is no export and no address", 2, 13)


MISTAKES = {
    "unknown type": ('params = ["x: i31"]', "unknown type 'i31'", 3, 15, "did you mean 'i32'?"),
    "type of another language": ('params = ["x: size_t"]', "unknown type 'size_t'", 3, 15, "'u32'"),
    "text type": ('params = ["x: string"]', "unknown type 'string'", 3, 15, "'cstring'"),
    "nothing like it": ('params = ["x: @"]', "unknown type '@'", 3, 15, "the types are bool, i8"),
    "escapes in a text": ('params = ["x: \\u0069"]', "unknown type 'i'", 3, 15, "'i8'"),
    "no type": ('params = ["x"]', "parameter 'x' has no type", 3, 11, 'as in "data: bytes"'),
    "no name": ('params = [": i32"]', "parameter name '' is no identifier", 3, 11, "letters"),
    "bad name": ('params = ["a b: i32"]', "parameter name 'a b' is no identifier", 3, 11, "letters"),
    "same name": ('params = ["a: i32", "a: i64"]', "two parameters of the name 'a'", 3, 21, "its own"),
    "params is text": ('params = "a: i32"', "'params' is no list", 3, 10, 'params = ["data: bytes"'),
    "parameter is a table": ('params = [{name = "a"}]', "a parameter is no text", 3, 11, '"data: bytes"'),
    "out without capacity": (
        'params = ["a: out bytes"]\nresult = "i32"',
        "out bytes without a capacity",
        3,
        15,
        "out bytes(4096)",
    ),
    "capacity zero": (
        'params = ["a: out bytes(0)"]\nresult = "i32"',
        "capacity '0' is out of range",
        3,
        15,
        "",
    ),
    "capacity too large": (
        'params = ["a: out bytes(2147483648)"]\nresult = "i32"',
        "capacity '2147483648' is out of range",
        3,
        15,
        "1 to 2147483647",
    ),
    "two out": (
        'params = ["a: out bytes(1)", "b: out bytes(1)"]\nresult = "i32"',
        "a second out parameter",
        3,
        34,
        "one byte vector",
    ),
    "out without length": (
        'params = ["a: out bytes(1)"]',
        "out bytes without a length",
        2,
        1,
        "last result must be",
    ),
    "length of another type": (
        'params = ["a: out bytes(1)"]\nresult = "u32"',
        "out bytes without a length",
        4,
        10,
        "must be i32",
    ),
    "unknown result": ('result = "int"', "unknown type 'int'", 3, 10, "did you mean 'i32'?"),
    "cstring result": ('result = "cstring"', "unknown type 'cstring'", 3, 10, "the types are"),
    "result is a number": ("result = 1", "'result' is no type", 3, 10, 'result = "i32"'),
    "bytes among results": (
        'result = ["i32", "bytes"]',
        "a result is no number",
        3,
        18,
        "bytes come back alone",
    ),
    "bytes without form": ('result = "bytes"', "no form for the bytes", 3, 10, '"packed", "pair", "inplace"'),
    "unknown form": ('result = "bytes"\nform = "boxed"', "unknown form 'boxed'", 4, 8, '"packed"'),
    "form without bytes": (
        'result = "i64"\nform = "packed"',
        "'form' is for results that are bytes",
        4,
        1,
        "remove",
    ),
    "in place of nothing": (
        'result = "bytes"\nform = "inplace"',
        "no bytes that the result could replace",
        4,
        8,
        '"data: bytes"',
    ),
    "bytes twice": (
        'params = ["a: out bytes(1)"]\nresult = "bytes"\nform = "packed"',
        "bytes both as result and as out parameter",
        4,
        10,
        "choose",
    ),
    "unknown key": ('parms = ["x: i32"]', "unknown key 'parms'", 3, 1, "did you mean 'params'?"),
    "stateful": ('stateful = "yes"', "'stateful' is neither true nor false", 3, 12, "stateful = true"),
    "doc": ("doc = 1", "'doc' is no text", 3, 7, 'doc = "..."'),
    "name": ('name = "a-b"', "the name is no identifier", 3, 8, "letters"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_told_with_its_place_and_what_to_write(mistake: str) -> None:
    text, message, line, column, suggestion = MISTAKES[mistake]
    ((found, *where, advice),) = errors(f"version = 1\n[guest.f]\n{text}\n")
    assert (found, *where) == (message, line, column)
    assert suggestion in advice


OUTSIDE = {
    "no version": ("[guest.f]", "no version (test.toml)", 1, 1),
    "another version": ("version = 2\n[guest.f]", "unknown version", 1, 11),
    "version true": ("version = true\n[guest.f]", "unknown version", 1, 11),
    "unknown key": ("version = 1\nallocater = 1\n[guest.f]", "unknown key 'allocater'", 2, 1),
    "name": ('version = 1\nname = "a b"\n[guest.f]', "the name is no identifier", 2, 8),
    "guest is a list": ("version = 1\nguest = []", "'guest' is no table", 2, 9),
    "a function is a number": ("version = 1\nguest.f = 1", "a function is a table", 2, 11),
    "host without module": ("version = 1\n[host.write]", "import 'write' has no module", 2, 1),
    "host without quotes": ("version = 1\n[host.env.write]", "host.env.write is a table in a table", 2, 1),
    "no name left": ('version = 1\n[guest."-"]', "no name can be made of '-'", 2, 1),
    "names collide": (
        'version = 1\n[guest.a-b]\n[guest."a b"]',
        "'a-b' and 'a b' have one name, 'a_b'",
        3,
        1,
    ),
    "stateful host": (
        'version = 1\n[host."a.b"]\nstateful = true',
        "only functions of the guest are stateful",
        3,
        1,
    ),
}


@pytest.mark.parametrize("mistake", OUTSIDE)
def test_mistakes_outside_of_functions_are_told_too(mistake: str) -> None:
    text, *expected = OUTSIDE[mistake]
    ((message, line, column, _),) = errors(text)
    assert [message, line, column] == expected


def test_an_interface_without_functions_is_refused() -> None:
    with pytest.raises(SchemaError, match="has no functions"):
        parsed("version = 1")


def test_one_run_tells_many_errors_with_caret_and_suggestion() -> None:
    text = """version = 1
[guest.on_data]
params = ["data: byts"]
result = i32
[guest.broken
params = ["x: i32"
[guest.last]
formm = "packed"
"""
    with pytest.raises(SchemaError) as caught:
        parsed(text)
    assert (
        str(caught.value)
        == """test.toml:3:18: error: unknown type 'byts'
  params = ["data: byts"]
                   ^
  did you mean 'bytes'?
test.toml:4:10: error: invalid value
  result = i32
           ^
  text needs quotes: "i32"
test.toml:5:14: error: expected ']' at the end of a table declaration
  [guest.broken
               ^
test.toml:8:1: error: unknown key 'formm'
  formm = "packed"
  ^
  did you mean 'form'?"""
    )


def test_a_value_that_does_not_end_is_found_where_it_begins() -> None:
    found = errors('version = 1\n[guest.f]\nparams = ["a: i32"\nresult = "i32"\n[guest.g]\nresult = "i33"\n')
    assert [f[1] for f in found] == [4, 6]
    assert "begins in line 3" in found[0][3]


def test_syntax_errors_do_not_make_others_of_what_is_missing() -> None:
    assert len(errors("version = \n[guest.f]\n")) == 1
    assert len(errors("version = 1\n[guest.f\n")) == 1


def test_there_is_an_end_to_errors() -> None:
    text = "version = 1\n" + "".join(f'[guest.f{i}]\nresult = "x"\n' for i in range(1000))
    assert len(errors(text)) == MAX_DIAGNOSTICS
    assert len(errors("= 1\n" * 1000)) <= MAX_DIAGNOSTICS


BOMBS = {
    "deep arrays": "version = " + "[" * 100_000,
    "deep tables": "version = " + "{a = " * 100_000,
    "closed deep arrays": "version = " + "[" * 20_000 + "]" * 20_000,
    "a key of many parts": "version" + ".a" * 200_000 + " = 1",
    "a header of many parts": "[guest" + ".a" * 200_000 + "]",
    "a long integer": "version = " + "1" * 500_000,
    "open texts": '"\\' * 400_000,
    "open long texts": '"""\\' * 200_000,
    "quotes": "'" * 500_001,
    "headers": "[\n" * 300_000,
    "many tables": "".join(f"[a{i}]\n" for i in range(80_000)),
    "a line of one word": "a" * MAX_BYTES,
    "only newlines": "\n" * MAX_BYTES,
    "zero bytes": "\0" * 100_000,
    "too large": " " * (MAX_BYTES + 1),
    "a long name": f'version = 1\n[guest.f]\nparams = ["x: {"y" * 500_000}"]',
    "a long key": f"version = 1\n[guest.{'y' * 500_000}]\nx = 1",
}


@pytest.mark.timeout(200)
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_in_bounded_time_and_space(bomb: str) -> None:
    with pytest.raises(SchemaError) as caught:
        parsed(BOMBS[bomb])
    assert len(str(caught.value)) < 100_000


def test_a_thousand_parameters_are_the_most() -> None:
    def text(count: int) -> str:
        listed = ", ".join(f'"p{i}: bytes"' for i in range(count))
        return f"version = 1\n[guest.f]\nparams = [{listed}]"

    assert len(next(parsed(text(500)).methods())[1].parameters) == 500
    assert errors(text(501))[0][0] == "more than 1000 Wasm parameters"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"version = 1\n[guest.f]\nparams = ['\xff']\n", ":3:12: error: byte 0xff is no UTF-8"),
        (b"\x7fELF\x02\x01\x01\0\xf0\x28\x8c\xbc", ":1:9: error: byte 0xf0 is no UTF-8"),
        (b"\0asm\x01\0\0\0", ":1:1: error: invalid statement"),
        (b"\xff\xfev\0e\0r\0", ":1:1: error: byte 0xff"),
        (b" " * (MAX_BYTES + 1), f"larger than {MAX_BYTES} bytes"),
        (b"", "no version"),
    ],
)
def test_junk_files_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "junk.toml"
    path.write_bytes(data)
    with pytest.raises(SchemaError) as caught:
        parse(path)
    assert message in str(caught.value)
    assert "junk.toml" in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.toml", tmp_path, Path("a\0b.toml")):
        with pytest.raises(SchemaError, match="cannot read the schema"):
            parse(path)


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf" + FILTER.replace("\n", "\r\n").encode())
    unix = parsed(FILTER)
    windows = parse(path)
    assert [m.parameters[0].name for _, m in windows.methods()] == [
        m.parameters[0].name for _, m in unix.methods()
    ]
    method = next(windows.methods())[1]
    assert method.position == Position(str(path), 6, 1)


KEYS = st.one_of(st.from_regex(r"[A-Za-z0-9_-]{1,4}", fullmatch=True), st.text(max_size=4))
LEAVES = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.booleans(), st.text(max_size=8), st.floats(allow_nan=False)
)
VALUES = st.recursive(
    LEAVES, lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(KEYS, v, max_size=3)), max_leaves=8
)


def toml_text(text: str) -> str:
    escaped = "".join(f"\\U{ord(c):08x}" if c < " " or c in '"\\\x7f' else c for c in text)
    return f'"{escaped}"'


def toml_value(value: object, draw_newlines: bool) -> str:
    """TOML of a value, arrays over several lines with a comment that would mislead a careless reader."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return toml_text(value)
        case list():
            gap = ' # ] = "{\n ' if draw_newlines else ""
            return f"[{gap}{', '.join(toml_value(v, draw_newlines) for v in value)}{gap}]"
        case dict():
            return "{" + ", ".join(f"{toml_text(k)} = {toml_value(v, False)}" for k, v in value.items()) + "}"
        case _:
            return repr(value)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS.filter(bool), VALUES, max_size=4), st.booleans())
def test_every_key_and_value_is_found_where_it_stands(document: dict[str, object], lines: bool) -> None:
    """The places are found by a scanner of ours; `tomllib` says what is at each of them."""
    text = "".join(
        f"\n[{toml_text(k)}]\n'a b' . v = {toml_value(v, lines)} # x = 1\n" for k, v in document.items()
    )
    places = Places(text, "f")
    assert tomllib.loads(text) == {k: {"a b": {"v": v}} for k, v in document.items()}

    def check(path: TomlPath, value: object) -> None:
        offset = places.values[path]
        # What begins there and ends anywhere after is this value, and nothing shorter is one.
        written = toml_value(value, lines and "{" not in text[max(0, offset - 1) : offset])
        assert text[offset:].startswith(written) or text[offset:].startswith(toml_value(value, False))
        if isinstance(value, list):
            for index, inner in enumerate(value):
                check((*path, index), inner)
        elif isinstance(value, dict):
            for key, inner in value.items():
                assert text[places.keys[*path, key] :].startswith(toml_text(key))
                check((*path, key), inner)

    assert places.too_deep is None
    for key, value in document.items():
        assert text[places.keys[key,] :].startswith(f"[{toml_text(key)}]")
        check((key, "a b", "v"), value)


TOKENS = st.sampled_from(
    [
        *"[]{}=.,\"'\\\n# a1é",
        *('"""', "'''", "guest", "host", "result", "params = ", '"x: i32"'),
        *("version = 1\n", "[guest.f]\n", '[host."a.b"]\n'),
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(TOKENS, max_size=40).map("".join))
@example('a = """x""""\n[guest.f]')
@example("a = '''x'''''\n[guest.f]")
def test_any_text_is_a_schema_or_a_schema_error(text: str) -> None:
    try:
        parse_text(text, name="f.toml")
    except SchemaError as error:
        lines = text.count("\n") + 1
        for diagnostic in error.diagnostics:
            assert diagnostic.position is None or 1 <= diagnostic.position.line <= lines
    else:
        assert tomllib.loads(text)["version"] == 1


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_schema_is_never_an_internal_error(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(FILTER) - 1))
    cut = data.draw(st.integers(0, 5))
    damaged = FILTER[:at] + data.draw(st.text(max_size=3)) + FILTER[at + cut :]
    with contextlib.suppress(SchemaError):
        assert parsed(damaged).format is Format.RAW


def test_a_long_text_may_end_in_quotes_of_its_own() -> None:
    text = """version = 1
doc = [\"\"\"x\"\"\"\", '''y'''', "z"] # three texts
"""
    places = Places(text, "f")
    starts = [places.values["doc", i] for i in range(3)]
    assert [text[s : s + 4] for s in starts] == ['"""x', "'''y", '"z"]']


def test_what_tomllib_cannot_nest_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the scanner ever miss a depth: `tomllib` gives up, and that is an error of the schema."""
    monkeypatch.setattr("hlfuzz.schema.raw.places.MAX_DEPTH", 1_000_000)
    with pytest.raises(SchemaError, match="nested too deeply"):
        parsed("version = " + "[" * 3000 + "]" * 3000)


def test_depth_is_counted_where_it_matters() -> None:
    depth = MAX_DEPTH - 1  # of the array's indexes; the key is one too
    deepest = "version = " + "[" * depth + "1" + "]" * depth
    assert [m for m, *_ in errors(deepest + "\n[guest.f]")] == ["unknown version"]
    ((message, line, column, _),) = errors("version = " + "[" * 40 + "]" * 40)
    assert (message, line, column) == (f"nested more than {MAX_DEPTH} levels deep", 1, 11 + MAX_DEPTH)


def test_what_the_documentation_shows_is_read() -> None:
    page = Path(__file__).parents[3] / "docs" / "schema-raw.md"
    (shown,) = re.findall(r"^```toml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    schema = parse_text(shown, name="page.toml")
    assert [m.name for _, m in schema.methods()] == [
        *("on_data", "header_value", "summary", "total"),
        *("write", "setting"),
    ]
