"""The raw interface that is written from a module: it reads back, it fits, and what it suggests fits too."""

from __future__ import annotations

import re

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from hlfuzz import Guest, UsageError
from hlfuzz.bindings.raw import check
from hlfuzz.guest.emit import quoted, raw_text
from hlfuzz.guest.parameter_names import parameter_names
from hlfuzz.guest.sections import custom_section, with_custom_section
from hlfuzz.model import Export, ExternKind, FuncType, Import, ModuleInfo, ValType
from hlfuzz.schema.ir import Bytes, Direction, Number, Scalar, Schema
from hlfuzz.schema.raw import parse_text
from hlfuzz.schema.raw.places import Places

MEMORY = '(memory (export "memory") 1)'
MALLOC = '(func (export "malloc") (param i32) (result i32) (i32.const 8))'


def guest(*parts: str) -> Guest:
    return Guest.from_wasm(bytes(wasmtime.wat2wasm(f"(module {' '.join(parts)})")), name="test")


def emitted(found: Guest) -> str:
    return raw_text(found.info, names=parameter_names(found.wasm, found.info))


def parsed(text: str) -> Schema:
    return parse_text(text, name="test.toml")


def test_what_a_module_says_is_written() -> None:
    found = guest(
        '(import "env" "log" (func (param f32)))',
        '(import "env" "memory" (memory 1))',
        MEMORY,
        MALLOC,
        '(func (export "on_data") (param i32 i32 i64) (result i64) (i64.const 0))',
        '(func (export "both") (result i32 f64) (i32.const 0) (f64.const 0))',
        '(func (export "free") (param i32))',
        '(func (export "vector") (param v128))',
    )
    assert (
        emitted(found)
        == """# Written from the module's own exports and imports, which do not tell numbers from pointers:
# where two i32 are pointer and length, write bytes (docs/schema-raw.md).
version = 1
name = "guest"
allocator = "malloc"
# not part of a raw interface: the module imports the memory "env.memory"

[guest.on_data]
params = ["a: i32", "b: i32", "c: i64"]
# if a and b are pointer and length:
# params = ["data: bytes", "c: i64"]
result = "i64"
# if it is pointer << 32 | length:
# result = "bytes"
# form = "packed"

[guest.both]
result = ["i32", "f64"]

# [guest.vector] is (v128) -> (): only numbers and bytes can cross

[host."env.log"]
params = ["a: f32"]
"""
    )


NAMED = """(func (export "on_data") (param $request_ptr i32) (param $request_len i32) (param $flags i32)
  (param $body i32) (param $body_size i32) (result i32) (i32.const 0))"""


def test_names_of_pointer_and_length_make_bytes() -> None:
    found = guest('(import "env" "write" (func (param $ptr i32) (param $length i32)))', MEMORY, MALLOC, NAMED)
    schema = parsed(emitted(found))
    on_data, write = (m for _, m in schema.methods())
    assert [(p.name, p.type) for p in on_data.parameters] == [
        ("request", Bytes()),
        ("flags", Number(Scalar.I32)),
        ("body", Number(Scalar.I32)),  # "body" alone is no pointer
        ("body_size", Number(Scalar.I32)),
    ]
    assert [(p.name, p.type) for p in write.parameters] == [("ptr", Bytes())]
    assert check(schema, found.info) == []


def test_two_lengths_are_no_bytes() -> None:
    wat = '(func (export "f") (param $num_bytes i32) (param $len i32) (param $data i32) (param $len2 i32))'
    ((_, method),) = parsed(emitted(guest(MEMORY, MALLOC, wat))).methods()
    assert all(p.type == Number(Scalar.I32) for p in method.parameters)


def test_without_an_allocator_names_make_no_bytes() -> None:
    ((_, method),) = parsed(emitted(guest(MEMORY, NAMED))).methods()
    assert all(p.type == Number(Scalar.I32) for p in method.parameters)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_damaged_name_section_only_loses_names(cut: int) -> None:
    whole = guest(MEMORY, MALLOC, NAMED)
    names = custom_section(whole.wasm, "name")
    assert names is not None
    for damaged in (names[:-cut], names[:cut], b"\xff" * cut, names[:cut] + b"\xff" * 20):
        found = Guest.from_wasm(with_custom_section(whole.wasm, "name", damaged))
        assert check(parsed(emitted(found)), found.info) == []


def test_hostile_names_of_parameters_are_cut_to_identifiers() -> None:
    wat = r"""(func (export "f") (param $"\"] # x" i32) (param $"9" i32) (param $"a b" i32)
      (param $"a_b" i32))"""
    ((_, method),) = parsed(emitted(guest(wat))).methods()
    assert [p.name for p in method.parameters] == ["_____x", "b", "a_b", "a_b_"]


def test_a_module_without_functions_is_refused() -> None:
    for parts in ((), (MEMORY, MALLOC), ('(func (export "f") (param v128))',)):
        with pytest.raises(UsageError, match="no functions to describe"):
            emitted(guest(*parts))


def info(exports: list[tuple[str, FuncType]], imports: list[tuple[str, str, FuncType]]) -> ModuleInfo:
    return ModuleInfo(
        size=8, sha256="", memories=(), tables=(), globals=0, functions=0, start=False, features=(),
        imports=tuple(Import(m, n, ExternKind.FUNC, t) for m, n, t in imports),
        exports=tuple(Export(n, ExternKind.FUNC, t, i) for i, (n, t) in enumerate(exports)),
        custom_sections=(), data_segments=0, elem_segments=0, code_bytes=0, producers={}, memory_bytes_min=0,
    )  # fmt: skip


def test_an_interface_too_large_to_read_is_not_written() -> None:
    many = info([(f"function_number_{i:06}", FuncType((ValType.I32,) * 20)) for i in range(10_000)], [])
    with pytest.raises(UsageError, match="10000 functions is larger than"):
        raw_text(many)


NAMES = st.one_of(
    st.text(max_size=6), st.sampled_from(["on_data", "a-b", "a b", "a.b", "1", "-", '"', "\\", "\n"])
)
NUMBERS = st.sampled_from([ValType.I32, ValType.I32, ValType.I64, ValType.F32, ValType.F64, ValType.V128])
TYPES = st.builds(
    FuncType,
    st.lists(NUMBERS, max_size=5).map(tuple),
    st.lists(NUMBERS, max_size=2).map(tuple),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(NAMES, TYPES), max_size=6, unique_by=lambda e: e[0]),
    st.lists(st.tuples(NAMES, NAMES, TYPES), max_size=4, unique_by=lambda i: f"{i[0]}.{i[1]}"),
    NAMES,
)
def test_whatever_the_names_what_is_written_reads_back_and_fits(
    exports: list[tuple[str, FuncType]], imports: list[tuple[str, str, FuncType]], name: str
) -> None:
    found = info(exports, imports)
    try:
        text = raw_text(found, name=name)
    except UsageError:
        return
    assert all(c == "\n" or c.isprintable() for c in text)
    schema = parsed(text)
    declared = {m.symbol for _, m in schema.methods(Direction.GUEST)}
    assert declared <= {n for n, _ in exports}
    odd = {n for n, t in exports if ValType.V128 in (*t.params, *t.results)}
    assert not declared & odd
    left = [d for d in check(schema, found) if "v128" not in d]
    assert left == []


@settings(max_examples=100, deadline=None)
@given(st.lists(TYPES.filter(lambda t: ValType.V128 not in (*t.params, *t.results)), min_size=1, max_size=4))
def test_every_suggestion_fits_when_it_is_taken(types: list[FuncType]) -> None:
    """Each comment that is TOML replaces the line of its key before it."""
    found = info(
        [("malloc", FuncType((ValType.I32,), (ValType.I32,)))] + [(f"f{i}", t) for i, t in enumerate(types)],
        [("env", f"h{i}", t) for i, t in enumerate(types)],
    )
    lines: list[str] = []
    for line in raw_text(found).splitlines():
        suggested = re.fullmatch(r"# ((params|result|form) = .*)", line)
        if suggested is None:
            lines.append(line)
            continue
        if suggested[2] != "form":
            at = max(i for i, kept in enumerate(lines) if kept.startswith(f"{suggested[2]} = "))
            del lines[at]
        lines.append(suggested[1])
    schema = parsed("\n".join(lines))
    with_bytes = sum(t.params[i : i + 2] == (ValType.I32, ValType.I32) for t in types for i in range(5)) > 0
    assert any(isinstance(p.type, Bytes) for _, m in schema.methods() for p in m.parameters) == with_bytes
    assert [d for d in check(schema, found) if "exports no memory" not in d] == []


@settings(max_examples=150, deadline=None)
@given(st.text())
def test_a_quoted_text_reads_back(text: str) -> None:
    import tomllib

    document = f"key = {quoted(text)}\nnext = 1"
    assert tomllib.loads(document)["key"] == text
    assert Places(document, "f").key(("next",)) is not None
