"""Checks to report on, made by hand: with every verdict, and with a guest whose names are hostile."""

from __future__ import annotations

from pathlib import Path

from hlfuzz.invariants import Status, Subject
from hlfuzz.report.checked import Checked, CheckedRow, Comparison, ShownFinding, ShownRun, Source, Step
from hlfuzz.report.hexdump import compare

HOSTILE = "<script>alert(1)</script>\"'&\u202e\x1b[31m\x00\ufffe\n](http://x) {0} " + "n" * 5000
"""Markup, quotes, a turned line, an escape sequence, what XML forbids, a link, a placeholder, and length."""


def finding(text: str = "on_data depends on init", path: Path | None = None) -> ShownFinding:
    return ShownFinding(
        signature="context-dependence-on_data-12345678",
        kind="violation",
        title=text,
        function=text,
        how="2 calls, in one call context",
        calls=("init()", text),
        evidence=(text, "on its own: returned 0"),
        runs=(ShownRun("in one context", (Step(text, text),)),),
        comparisons=(Comparison(text, "A", "B", compare(b"secret" + bytes(64), bytes(70))),),
        source=Source(text, 7),
        test="import hlfuzz\n\n\ndef test_it() -> None:\n    pass\n",
        path=path,
        test_path=None if path is None else path.with_suffix(".py"),
    )


def checked(text: str = "filter.wasm", module: Path | None = None, path: Path | None = None) -> Checked:
    """One row for each verdict; `text` stands wherever a guest has a say."""
    rows = [
        CheckedRow("state-reset", Subject.PLATFORM, "p", "o", "b", Status.HELD, 400, 0.5, ""),
        CheckedRow("bounds", Subject.PLATFORM, "p", "o", "b", Status.NOT_APPLICABLE, 0, 0.0, "no KVM"),
        CheckedRow("determinism", Subject.PLATFORM, "p", "o", "b", Status.INCONCLUSIVE, 9, 0.1, text),
        CheckedRow("my-own", Subject.GUEST, "p", "o", "b", Status.BROKEN, 0, 0.0, "raised (mine.py:3)"),
        CheckedRow(
            "context-dependence",
            Subject.GUEST,
            "p",
            "o",
            "b",
            Status.VIOLATED,
            3,
            0.2,
            text,
            finding(text, path),
        ),
    ]
    facts = (("kernel", text),)
    return Checked(text, module, "ab" * 32, 136, "kvm", 7, 0.8, tuple(rows), facts)
