"""Typed values in every kind of report: named, cut where they are long, and without effect."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import sarif_rules
import wasmtime
from report_facts import HOSTILE

from hlfuzz.bindings import SECTION, Interface, section_text
from hlfuzz.bindings.records import OK_HEADER
from hlfuzz.bindings.text import value_text
from hlfuzz.cli.output import console
from hlfuzz.fuzz import Store
from hlfuzz.guest import Guest
from hlfuzz.guest.sections import with_custom_section
from hlfuzz.invariants import (
    Case,
    Config,
    Fault,
    Kind,
    Row,
    Status,
    Subject,
    Target,
    Verdict,
    describe_interface,
    observation_text,
)
from hlfuzz.invariants.typed import shown_value
from hlfuzz.report import Checked, gather, html, junit, sarif, terminal
from hlfuzz.schema.fbs import parse_text
from hlfuzz.testing.text import keep_finding

SCHEMA = """namespace odd;
table Ask { text: string; blob: [ubyte]; more: [Ask]; }
rpc_service OddGuest { ask(Ask): Ask; }
"""
BLOB = bytes(range(256)) * 4096
VALUE_LIMIT = 120_000
"""Characters of a report on one finding with calls of a megabyte: nothing is shown whole."""


def answering(interface: Interface, answer: Any) -> Guest:
    """A guest that answers that to every request; there is room for one of 4 MiB."""
    record = OK_HEADER + interface.message("odd.Ask").encode(answer)
    data = "".join(f"\\{byte:02x}" for byte in record)
    text = f"""(module (memory (export "memory") 100) (data (i32.const 4096) "{data}")
      (func (export "hlfuzz_alloc") (param i32) (result i32) (i32.const 1048576))
      (func (export "odd_OddGuest_ask") (param i32 i32) (result i64)
        (i64.const {4096 << 32 | len(record)})))"""
    section = section_text(interface.schema).encode()
    return Guest.from_wasm(with_custom_section(bytes(wasmtime.wat2wasm(text)), SECTION, section), name="odd")


@pytest.fixture(scope="module")
def found() -> Iterator[tuple[Target, Fault]]:
    """A finding with hostile values in what was sent and what came back, of a class with a hostile name."""
    interface = Interface(parse_text(SCHEMA, name="odd"))
    ask: Any = interface.classes.definitions["odd.Ask"]
    guest = answering(interface, ask(text=HOSTILE, blob=b"\x1b[2J<img>" * 200))
    with Target(
        guest, describe_interface(guest.info, Config()), engine="inprocess", schema=interface
    ) as target:
        assert target.interface.typed is not None
        method = target.interface.typed.find("ask")
        values = (ask(text=":bomb:" + HOSTILE), ask(blob=BLOB), ask(blob=b"\0" * 1_000_000))
        case = Case(tuple(method.encode((value,)) for value in values))
        (seen, *_) = target.session("strict").run(case)
        fault = Fault(
            Kind.VIOLATION, "determinism", Subject.GUEST, method.symbol, "", f"ask {HOSTILE}",
            (observation_text(seen), HOSTILE), case,
        )  # fmt: skip
        ask.__name__ = "Ask<script>\x1b[31m\u202e"
        yield target, fault


@pytest.fixture(scope="module")
def checked(found: tuple[Target, Fault]) -> Checked:
    target, fault = found
    verdict = Verdict(Status.VIOLATED, 1, fault.title, fault)
    return gather(target, [Row("determinism", Subject.GUEST, verdict, 0.1)], seed=1)


def on_terminal(checked: Checked) -> str:
    screen = console()
    with screen.capture() as captured:
        terminal.check(screen, checked)
    return captured.get()


REPORTS: dict[str, Callable[[Checked], str]] = {
    "terminal": on_terminal,
    "html": html.render,
    "junit": lambda checked: junit.render(checked).decode(),
    "sarif": lambda checked: json.dumps(sarif.document(checked), ensure_ascii=False),
}


@pytest.mark.parametrize("kind", REPORTS)
def test_hostile_values_are_shown_short_and_have_no_effect(kind: str, checked: Checked) -> None:
    text = REPORTS[kind](checked)
    assert len(text) < VALUE_LIMIT
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    for shown in ("(1048576 bytes)", "* 1000000", ":bomb:"):
        assert shown in text
    if kind in ("html", "junit"):
        assert "<script>" not in text
        assert "<img>" not in text


def test_documents_with_hostile_values_keep_to_their_formats(checked: Checked) -> None:
    suite = ElementTree.fromstring(junit.render(checked)).find("testsuite")
    assert suite is not None
    assert [case.get("name") for case in suite.iter("testcase")] == ["determinism"]
    assert sarif_rules.problems(json.loads(json.dumps(sarif.document(checked)))) == []


def test_a_failed_test_shows_values_short_and_its_whole_test_is_in_a_file(
    found: tuple[Target, Fault], tmp_path: Path
) -> None:
    target, fault = found
    finding, path = keep_finding(target, fault, Store(tmp_path), seed=1, runs=1, module=None)
    text = str(finding)
    assert len(text) < VALUE_LIMIT
    assert all(c.isprintable() or c == "\n" for c in text)
    assert "more lines: the whole test is in " in text
    whole = path.with_suffix(".py").read_text()
    kinds = [type(node).__name__ for node in ast.parse(whole).body]
    assert kinds == ["Import", "ImportFrom", "FunctionDef"]
    assert len(whole) > len(BLOB)


def test_the_text_of_lists_in_lists_takes_no_time_that_doubles_with_each() -> None:
    interface = Interface(parse_text(SCHEMA, name="odd"))
    ask: Any = interface.classes.definitions["odd.Ask"]
    deep = ask(text="bottom")
    for _ in range(60):
        deep = ask(more=[deep])
    assert value_text(deep).count("Ask(more=[") == 60
    assert len(shown_value(deep)) <= 301


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"x" * 70, "b'x' * 70"),
        ("ab" * 50, f"{('ab' * 32)!r}… (100 characters)"),
        ("n" * 5000, "'n' * 5000"),
        (b"", "b''"),
        ("", "''"),
        ("a\x1b", "'a\\x1b'"),
        ([b"\0" * 9, 1], "[b'\\x00' * 9, 1]"),
    ],
)
def test_long_texts_and_blobs_are_cut_and_their_length_is_told(value: Any, text: str) -> None:
    assert shown_value(value) == text
