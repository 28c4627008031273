"""A check as SARIF 2.1.0, for code scanning: a rule for each invariant, a result for each finding."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import hlfuzz
from hlfuzz.files import near
from hlfuzz.invariants import Status
from hlfuzz.report.checked import Checked, CheckedRow, ShownFinding
from hlfuzz.report.text import visible

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
VERSION: Final = "2.1.0"
FINGERPRINT: Final = "hlfuzzSignature/v1"

Object = dict[str, Any]

_NOTICES: Final = {
    Status.NOT_APPLICABLE: ("toolConfigurationNotifications", "note"),
    Status.INCONCLUSIVE: ("toolExecutionNotifications", "warning"),
    Status.BROKEN: ("toolExecutionNotifications", "error"),
}
"""Verdicts that accuse nobody are no results: they say something about the run."""


def document(check: Checked) -> Object:
    """The log (SARIF 2.1.0, OASIS standard): one run of hlfuzz, with paths relative to the current folder
    where they lie below it."""
    rules = {row.invariant: at for at, row in enumerate(check.rows)}
    return {
        "$schema": SCHEMA,
        "version": VERSION,
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "hlfuzz",
                        "semanticVersion": hlfuzz.__version__,
                        "rules": [_rule(row) for row in check.rows],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [_invocation(check, rules)],
                "artifacts": [_artifact(check)],
                "results": [_result(check, row, finding, rules) for row, finding in check.findings],
                "properties": {"engine": check.engine, "seed": check.seed, **dict(check.environment)},
            }
        ],
    }


def _rule(row: CheckedRow) -> Object:
    about = f"Accuses the {row.subject}. Looks at: {row.observes or 'the calls'}"
    blind = f" Cannot see: {row.blind}" if row.blind else ""
    return {
        "id": row.invariant,
        "name": "".join(word.capitalize() for word in row.invariant.split("-")),
        "shortDescription": {"text": _text(row.promise or row.invariant)},
        "help": {"text": _text(f"{about}{blind} See docs/cli.md.")},
        "defaultConfiguration": {"level": "error"},
        "properties": {"subject": str(row.subject), "tags": ["security"]},
    }


def _invocation(check: Checked, rules: dict[str, int]) -> Object:
    invocation: Object = {"executionSuccessful": not check.count(Status.BROKEN)}
    for row in check.rows:
        if (notice := _NOTICES.get(row.status)) is not None:
            kind, level = notice
            invocation.setdefault(kind, []).append(
                {
                    "level": level,
                    "message": {"text": _text(f"{row.invariant}: {row.detail or row.status}")},
                    "associatedRule": {"id": row.invariant, "index": rules[row.invariant]},
                }
            )
    return invocation


def _artifact(check: Checked) -> Object:
    location = _location(check.module) if check.module else {"description": {"text": _text(check.guest)}}
    return {
        "location": location,
        "length": check.size,
        "hashes": {"sha-256": check.sha256},
        "roles": ["analysisTarget"],
    }


def _result(check: Checked, row: CheckedRow, finding: ShownFinding, rules: dict[str, int]) -> Object:
    lines = [finding.title, *(f"{at}. {call}" for at, call in enumerate(finding.calls, 1)), *finding.evidence]
    attachments = [
        {"artifactLocation": _location(path), "description": {"text": what}}
        for path, what in (
            (finding.path, "the finding, for hlfuzz repro"),
            (finding.test_path, "a failing test"),
        )
        if path is not None
    ]
    return {
        "ruleId": row.invariant,
        "ruleIndex": rules[row.invariant],
        "level": "error",
        "message": {"text": "\n".join(map(_text, lines))},
        "locations": [_place(check, finding)],
        "partialFingerprints": {FINGERPRINT: finding.signature},
        **({"attachments": attachments} if attachments else {}),
        "properties": {"subject": str(row.subject), "kind": finding.kind, "seed": check.seed},
    }


def _place(check: Checked, finding: ShownFinding) -> Object:
    """A source line where a trap has one, else the module; the function in both cases."""
    place: Object = {
        "logicalLocations": [
            {
                "name": visible(finding.function),
                "fullyQualifiedName": visible(f"{check.guest}::{finding.function}"),
                "kind": "function",
            }
        ]
    }
    if finding.source is not None:
        file = Path(visible(finding.source.file))
        place["physicalLocation"] = {
            "artifactLocation": _location(file),
            "region": {"startLine": finding.source.line},
        }
    elif check.module is not None:
        place["physicalLocation"] = {"artifactLocation": {**_location(check.module), "index": 0}}
    return place


def _location(path: Path) -> Object:
    """A relative URI below the current folder, as code scanning wants it; else a file URI."""
    shown = near(path)
    if shown.is_absolute():
        return {"uri": f"file://{quote(shown.as_posix())}"}
    return {"uri": quote(shown.as_posix()), "uriBaseId": "%SRCROOT%"}


def _text(text: str) -> str:
    """A message: braces doubled, single ones being placeholders, and no embedded link (3.11.5, 3.11.6)."""
    return visible(text).replace("{", "{{").replace("}", "}}").replace("](", "] (")
