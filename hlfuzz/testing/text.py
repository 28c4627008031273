"""What a failed test prints of a violated invariant: short, with all that is needed to see it again."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from _pytest._code.code import ReprEntryNative, ReprExceptionInfo, ReprFileLocation, ReprTraceback

from hlfuzz.errors import Finding
from hlfuzz.fuzz import Store, calls_text, save
from hlfuzz.invariants import INVARIANTS, Case, Fault, Target
from hlfuzz.report import as_test, shown_test, write_test
from hlfuzz.report.text import visible

MAX_LINE: Final = 400
"""Characters of one line: a guest may send much, and the finding's file has all of it."""


def keep_finding(
    target: Target, fault: Fault, store: Store, *, seed: int, runs: int, module: Path | None
) -> tuple[Finding, Path]:
    """Saves a fault, and a test that fails until it is mended; the exception that tells it, and its file.

    `module` is the guest's file, which the test names. There is no test for a checker that is not
    registered, as none could name it. Raises: EnvironmentProblem when it cannot be saved.
    """
    saved = save(store, target, fault, seed=seed)
    lines = [*_facts(target, fault), f"seed {seed}, found in {runs} {'run' if runs == 1 else 'runs'}"]
    if not target.host:  # a file cannot hold the user's own host functions
        lines.append(f"again: hlfuzz repro {_from_here(saved.path)}")
    if fault.invariant in INVARIANTS:
        path = write_test(saved, target, seed=seed, module=module)
        text = as_test(target, fault, seed=seed, module=module)
        lines += ["or as a test:", "", shown_test(text, path).rstrip()]
    return Finding("\n".join(lines), signature=fault.signature, reproducer=saved.path), saved.path


def _facts(target: Target, fault: Fault) -> list[str]:
    """Title, who is accused, the smallest calls, what was seen."""
    boxes = fault.case.boxes if len(set(fault.case.boxes)) > 1 else ()
    lines = [
        fault.title,
        f"accused: the {fault.subject} ({target.guest.name}), of breaking {fault.invariant}",
        f"calls ({_how(fault.case)}):",
    ]
    for at, call in enumerate(calls_text(target, fault.case)):
        lines.append(f"  {at + 1}. {call}" + (f" in sandbox {boxes[at]}" if boxes else ""))
    if fault.evidence:
        lines += ["what was seen:", *(f"  {line}" for text in fault.evidence for line in text.splitlines())]
    return [visible(line, MAX_LINE) for line in lines]


def _how(case: Case) -> str:
    if len(case.calls) == 1:
        return "one call"
    return "in one call context" if case.context else "each reset right after it"


def _from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def short_report(finding: Finding, nodeid: str) -> ReprExceptionInfo:
    """A finding as pytest's report of a failure: its own text, without the plugin's stack."""
    text = "\n".join([str(finding), *getattr(finding, "__notes__", ())])
    title = str(finding).partition("\n")[0]
    return ReprExceptionInfo(
        reprtraceback=ReprTraceback([ReprEntryNative([f"{text}\n"])], None, "native"),
        reprcrash=ReprFileLocation(nodeid, 0, title),
    )
