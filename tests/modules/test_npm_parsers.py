"""Parsers and scanners from npm: state machines that call the host many times in one call."""

from __future__ import annotations

import struct
from random import Random

import pytest
from twins import Twins

REQUEST = (
    b"POST /path?q=1 HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n"
    b"hello"
    b"GET /next HTTP/1.1\r\nX-Long: " + b"v" * 300 + b"\r\n\r\n"
)
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\nWiki\r\n6;x=y\r\npedia \r\n0\r\nTrailer: t\r\n\r\n"
)
REQUEST_TYPE, RESPONSE_TYPE = 1, 2


def http_events(box: Twins, data: bytes, cuts: list[int], type_: int) -> tuple[list[tuple[str, bytes]], int]:
    """Parses `data` in pieces; the events with their bytes, and the last error code."""
    parser = box.call("llhttp_alloc", type_)
    events: list[tuple[str, bytes]] = []
    status = 0
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        piece = data[start:end]
        buffer = box.put(box.call("malloc", max(1, len(piece))), piece)
        status = box.call("llhttp_execute", parser, buffer, len(piece))
        for key, args in box.host_calls:
            span = box.read(args[1], args[2]) if len(args) == 3 else b""
            events.append((key.removeprefix("env.wasm_on_"), span))
        if status:
            break
    return events, status


def joined(events: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Events with the pieces of one span put together; a cut may leave an empty piece."""
    whole: list[tuple[str, bytes]] = []
    for name, data in events:
        if not data and name in ("header_field", "header_value", "url", "body"):
            continue
        if whole and whole[-1][0] == name and data:
            whole[-1] = (name, whole[-1][1] + data)
        else:
            whole.append((name, data))
    return whole


@pytest.fixture(params=["llhttp", "llhttp-simd"])
def http(request, twins) -> Twins:
    return twins(request.param)


def test_http_requests_are_parsed_however_they_are_cut(http):
    rng = Random(11)
    whole, status = http_events(http, REQUEST, [], REQUEST_TYPE)
    assert status == 0
    assert ("url", b"/path?q=1") in whole
    assert ("header_value", b"example.com") in whole
    assert ("body", b"hello") in whole
    assert [name for name, _ in whole].count("message_complete") == 2
    for _ in range(5):
        cuts = sorted(rng.sample(range(1, len(REQUEST)), 4))
        assert joined(http_events(http, REQUEST, cuts, REQUEST_TYPE)[0]) == joined(whole)


def test_a_chunked_response_is_parsed(http):
    events, status = http_events(http, CHUNKED, [20, 60], RESPONSE_TYPE)
    assert status == 0
    assert b"".join(data for name, data in events if name == "body") == b"Wikipedia "
    assert events[-1][0] == "message_complete"


def test_damaged_http_gives_the_same_error_in_every_engine(http):
    rng = Random(12)
    errors = set()
    for _ in range(25):
        damaged = bytearray(REQUEST)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(100)] = rng.randrange(256)
        errors.add(http_events(http, bytes(damaged), [], REQUEST_TYPE)[1])
    assert len(errors) > 2


def test_es_module_imports_are_found(twins):
    box = twins("es-module-lexer")
    source = 'import a from "mod-a";export const b = 1;await import(/* é */ "mod-b");import.meta.url;'
    address = box.call("sa", len(source))
    box.write(address, source.encode("utf-16-le") + b"\0\0")
    assert box.call("parse") == 1
    found = []
    while box.call("ri"):
        found.append(source[box.call("is") : box.call("ie")])
    assert found == ["mod-a", '"mod-b"', "import.meta"]
    assert box.call("re") == 1
    assert source[box.call("es") : box.call("ee")] == "b"


def test_a_syntax_error_is_at_the_same_place(twins):
    box = twins("es-module-lexer")
    for broken in ('import "a', "export {", "`${", "import a from 'b'; /"):
        box.restart()
        box.write(box.call("sa", len(broken)), broken.encode("utf-16-le") + b"\0\0")
        if not box.call("parse"):
            assert 0 <= box.call("e") <= len(broken) + 1


def test_commonjs_exports_are_found(twins):
    box = twins("cjs-module-lexer")
    source = "exports.a = 1; module.exports.b = 2; exports['c'] = 3; module.exports = require('d');"
    address = box.call("sa", len(source) + 1)
    box.write(address, source.encode("utf-16-le") + b"\0\0")
    assert box.call("parseCJS", address, len(source), 0, 0, 0, 0) == 0
    exports, reexports = set(), set()
    while box.call("rre"):
        reexports.add(source[box.call("res") : box.call("ree")])
    while box.call("re"):
        exports.add(source[box.call("es") : box.call("ee")])
    assert exports == {"a", "b", "'c'"}
    assert reexports == {"'d'"}


VLQ = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def vlq(value: int) -> str:
    """A number as source maps write it (source map revision 3, "Base 64 VLQ")."""
    rest = -value * 2 + 1 if value < 0 else value * 2
    text = ""
    while True:
        digit, rest = rest & 31, rest >> 5
        text += VLQ[digit | (32 if rest else 0)]
        if not rest:
            return text


def test_source_map_mappings_come_back_through_the_callback(twins):
    rng = Random(13)
    box = twins("source-map")
    lines, expected = [], []
    original_line = original_column = source = 0
    for line in range(20):
        column, segments = 0, []
        for _ in range(rng.randint(1, 5)):
            steps = rng.randint(1, 90), 0, rng.randint(0, 40), rng.randint(0, 70) - original_column
            column += steps[0]
            original_line += steps[2]
            original_column += steps[3]
            segments.append("".join(map(vlq, steps)))
            expected.append((line, column, source, original_line, original_column))
        lines.append(",".join(segments))
    text = ";".join(lines).encode()
    mappings = box.call("parse_mappings", box.put(box.call("allocate_mappings", len(text)), text))
    assert mappings
    box.call("by_generated_location", mappings)
    found = [(a[0], a[1], a[5], a[6], a[7]) for _, a in box.host_calls]
    assert found == expected
    box.call("original_location_for", mappings, *expected[7][:2], 1)
    assert [a[6:8] for _, a in box.host_calls] == [expected[7][3:]]
    box.call("free_mappings", mappings)


def test_a_broken_source_map_gives_its_error_code(twins):
    box = twins("source-map")
    errors = set()
    for text in (b"\xff", b"g", b"ggggggggggggggg", b"A!A"):
        assert box.call("parse_mappings", box.put(box.call("allocate_mappings", len(text)), text)) == 0
        errors.add(box.call("get_last_error"))
    assert errors
    assert 0 not in errors


@pytest.fixture
def onig(twins) -> tuple[Twins, dict[str, int]]:
    """The regular-expression engine, and its constants as it registers them with the host."""
    box = twins("oniguruma")
    box.call("__wasm_call_ctors")
    box.call("_embind_initialize_bindings")
    constants = [args for key, args in box.host_calls if key == "env._embind_register_constant"]
    return box, {box.read(name, 60).partition(b"\0")[0].decode(): int(value) for name, _, value in constants}


def put(box: Twins, data: bytes) -> int:
    return box.put(box.call("omalloc", len(data)), data)


def scanner(onig: tuple[Twins, dict[str, int]], *patterns: bytes) -> int:
    box, constants = onig
    pointers = put(box, struct.pack(f"<{len(patterns)}I", *(put(box, p) for p in patterns)))
    lengths = put(box, struct.pack(f"<{len(patterns)}I", *map(len, patterns)))
    options, syntax = constants["ONIG_OPTION_CAPTURE_GROUP"], constants["ONIG_SYNTAX_DEFAULT"]
    return box.call("createOnigScanner", pointers, lengths, len(patterns), options, syntax)


def test_regular_expressions_match(onig):
    box, _ = onig
    scan = scanner(onig, rb"(\w+)@(\w+)\.com", rb"[0-9]{3,}", rb"(?<=x)y")
    text = "né 12 me@site.com xy 4567".encode()
    found, start = [], 0
    while match := box.call("findNextOnigScannerMatch", scan, start + 1, put(box, text), len(text), start, 0):
        index, groups = struct.unpack("<2I", box.read(match, 8))
        spans = struct.unpack(f"<{2 * groups}I", box.read(match + 8, 8 * groups))
        found.append((index, text[spans[0] : spans[1]]))
        start = spans[1]
    assert found == [(0, b"me@site.com"), (2, b"y"), (1, b"4567")]


def test_a_bad_pattern_is_refused_with_a_message(onig):
    assert scanner(onig, rb"(unclosed") == 0
    message = onig[0].read(onig[0].call("getLastOnigError"), 40)
    assert b"parenthes" in message


def test_a_tree_sitter_grammar_gives_its_language(twins):
    box = twins("tree-sitter-json")  # a side module: memory, table and its place in both are imported
    box.call("__wasm_apply_data_relocs")
    box.call("__wasm_call_ctors")
    language = box.call("tree_sitter_json")
    assert language >= 1024
    assert box.call("tree_sitter_json") == language
