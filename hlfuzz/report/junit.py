"""A check as JUnit XML, for CI systems that count tests: one test case for each invariant."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree

from hlfuzz.invariants import Status
from hlfuzz.report.checked import Checked, CheckedRow
from hlfuzz.report.text import visible


def render(check: Checked) -> bytes:
    """The document, in UTF-8. Violated is a failure, broken an error; not applicable and inconclusive are
    skipped with the reason."""
    suites = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(
        suites,
        "testsuite",
        name=visible(f"hlfuzz {check.guest}"),
        tests=str(len(check.rows)),
        failures=str(check.count(Status.VIOLATED)),
        errors=str(check.count(Status.BROKEN)),
        skipped=str(check.count(Status.NOT_APPLICABLE) + check.count(Status.INCONCLUSIVE)),
        time=f"{check.seconds:.3f}",
    )
    facts = (
        ("seed", str(check.seed)),
        ("sha256", check.sha256),
        *check.environment,
    )
    _properties(suite, facts)
    for row in check.rows:
        _case(suite, check, row)
    ElementTree.indent(suites, " ")
    return ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)


def _case(suite: ElementTree.Element, check: Checked, row: CheckedRow) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=visible(f"hlfuzz.{check.guest}"),
        name=row.invariant,
        time=f"{row.seconds:.3f}",
    )
    finding = row.finding
    facts = [("subject", str(row.subject)), ("verdict", str(row.status)), ("runs", str(row.runs))]
    if finding is not None:
        facts += [("signature", finding.signature), ("finding", str(finding.path or ""))]
    _properties(case, facts)
    if finding is not None:
        failure = ElementTree.SubElement(case, "failure", message=visible(finding.title), type=row.invariant)
        lines = (f"accused: the {row.subject}", *finding.calls, *finding.evidence)
        failure.text = "\n".join([*map(visible, lines), "", finding.shown_test])
    elif row.status is Status.BROKEN:
        ElementTree.SubElement(case, "error", message=visible(row.detail), type=row.invariant)
    elif row.status is not Status.HELD:
        ElementTree.SubElement(case, "skipped", message=visible(row.detail or row.status))


def _properties(parent: ElementTree.Element, facts: Iterable[tuple[str, str]]) -> None:
    properties = ElementTree.SubElement(parent, "properties")
    for name, value in facts:
        ElementTree.SubElement(properties, "property", name=name, value=visible(value))
