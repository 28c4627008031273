"""HTML, SARIF and JUnit of a check: complete, well-formed, and proof against what a guest calls itself."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import sarif_rules
import wasmtime
from report_facts import HOSTILE, checked

from hlfuzz.guest import Guest
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
)
from hlfuzz.model import Call, Difference
from hlfuzz.report import gather, html, junit, sarif
from hlfuzz.report.hexdump import MAX_ROWS, ROW, compare
from hlfuzz.report.text import visible


class Page(HTMLParser):
    """Elements, attributes and text of a page; checks that what is opened is closed."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_says_everything_about_a_check() -> None:
    page = Page(html.render(checked()))
    for text in (
        "filter.wasm",
        "state-reset",
        "not applicable",
        "raised (mine.py:3)",
        "no KVM",
        "Seed",
        "kernel",
    ):
        assert text in page.words
    for text in ("the guest is accused", "init()", "on its own: returned 0", "def test_it()", "Looks at: o"):
        assert text in page.words
    assert "73 65 63 72 65 74" in page.words  # the bytes that differ


def test_each_verdict_is_told_by_a_word_and_a_sign() -> None:
    words = Page(html.render(checked())).words
    for status, sign in zip(Status, "✓✗–?!", strict=True):
        assert f"{sign} {status.replace('-', ' ')}" in words


def test_the_page_needs_nothing_and_may_do_nothing() -> None:
    text = html.render(checked(HOSTILE))
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & set(page.tags)
    assert not [a for a, _ in page.attributes if a.startswith("on") or a in ("src", "style", "action")]
    assert all(v and v.startswith("#") for a, v in page.attributes if a == "href")
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = [v for a, v in page.attributes if a == "content" and v and "default-src" in v]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "@import" not in style
    assert "url(" not in style


def test_ids_are_unique_and_links_lead_to_them() -> None:
    page = Page(html.render(checked()))
    ids = [v for a, v in page.attributes if a == "id"]
    assert len(ids) == len(set(ids))
    assert {v[1:] for a, v in page.attributes if a == "href" and v} <= set(ids)


@pytest.mark.parametrize("render", [html.render, lambda c: junit.render(c).decode()], ids=["html", "junit"])
def test_hostile_text_is_shown_and_has_no_effect(render: Any) -> None:
    text = render(checked(HOSTILE))
    assert "<script>" not in text
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    assert "\\u202e" in text
    assert len(text) < 100_000


def test_junit_counts_and_explains_every_verdict(tmp_path: Path) -> None:
    suite = ElementTree.fromstring(junit.render(checked(path=tmp_path / "f.json"))).find("testsuite")
    assert suite is not None
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "5", "failures": "1", "errors": "1", "skipped": "2"}
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert [e.tag for e in cases["state-reset"]] == ["properties"]
    assert cases["bounds"].find("skipped").get("message") == "no KVM"  # type: ignore[union-attr]
    assert "mine.py:3" in (cases["my-own"].find("error").get("message") or "")  # type: ignore[union-attr]
    failure = cases["context-dependence"].find("failure")
    assert failure is not None
    assert "def test_it()" in (failure.text or "")
    properties = {p.get("name"): p.get("value") for p in cases["context-dependence"].iter("property")}
    assert properties["finding"] == str(tmp_path / "f.json")
    assert properties["subject"] == "guest"


@pytest.mark.parametrize("text", ["filter.wasm", HOSTILE], ids=["plain", "hostile"])
def test_sarif_keeps_to_the_standard(text: str, tmp_path: Path) -> None:
    log = sarif.document(checked(text, tmp_path / "a b.wasm", tmp_path / "f.json"))
    assert sarif_rules.problems(json.loads(json.dumps(log))) == []


def test_sarif_has_a_rule_for_each_invariant_and_a_result_for_each_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (run,) = sarif.document(checked(module=Path("a b.wasm"), path=Path("f.json")))["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [r["id"] for r in rules] == [r.invariant for r in checked().rows]
    (result,) = run["results"]
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "context-dependence"
    assert result["partialFingerprints"] == {sarif.FINGERPRINT: "context-dependence-on_data-12345678"}
    (place,) = result["locations"]
    assert place["physicalLocation"]["region"] == {"startLine": 7}
    assert [a["artifactLocation"]["uri"] for a in result["attachments"]] == ["f.json", "f.py"]
    assert run["artifacts"][0]["location"]["uri"] == "a%20b.wasm"
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert [n["level"] for n in invocation["toolExecutionNotifications"]] == ["warning", "error"]


def test_a_message_of_sarif_is_neither_a_link_nor_a_placeholder() -> None:
    (run,) = sarif.document(checked(HOSTILE))["runs"]
    text = run["results"][0]["message"]["text"]
    assert "](" not in text
    assert not re.search(r"(?<!\{)\{\d", text)


def test_a_comparison_marks_what_differs_and_leaves_out_what_does_not() -> None:
    left = bytes(ROW * 10) + b"0123456789abcdef" + bytes(ROW * 5)
    right = bytes(ROW * 10) + b"0123456789ABCDEF"
    dump = compare(left, right, 0x1000)
    assert [r.address for r in dump.rows] == [0x1000 + ROW * at for at in range(9, 16)]
    assert dump.rows[0].skipped == 9
    marked = ["".join(c.text for c in r.left if c.differs) for r in dump.rows]
    assert marked[1] == "abcdef"
    assert dump.rows[2].right == ()
    assert not dump.more


def test_a_long_comparison_is_bounded() -> None:
    dump = compare(bytes(1 << 20), b"\xff" * (1 << 20))
    assert len(dump.rows) == MAX_ROWS
    assert dump.more


def test_what_is_visible_is_one_short_printable_line() -> None:
    shown = visible(HOSTILE)
    assert shown.isprintable()
    assert len(shown) < 3000
    assert visible("käse (ok)") == "käse (ok)"


def test_memory_that_changed_is_shown_before_and_after(tmp_path: Path) -> None:
    change = Difference(0x1040, 4, b"\0\0\0\0", b"leak", "memory 'memory' +0x40")
    case = Case((Call("count"),))
    fault = Fault(Kind.VIOLATION, "state-reset", Subject.PLATFORM, "count", "", "t", (), case, 0, (change,))
    row = Row("state-reset", Subject.PLATFORM, Verdict(Status.VIOLATED, 1, "t", fault), 0.1)
    wat = '(module (func (export "count") (result i32) (i32.const 1)))'
    guest = Guest.from_wasm(bytes(wasmtime.wat2wasm(wat)))
    with Target(guest, describe_interface(guest.info, Config()), engine="inprocess") as target:
        words = Page(html.render(gather(target, [row], seed=1))).words
    for text in ("memory 'memory' +0x40", "A: in the snapshot; B: now", "00001040", "6c 65 61 6b", "leak"):
        assert text in words
