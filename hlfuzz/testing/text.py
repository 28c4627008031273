"""What a failed test prints of a violated invariant: short, with all that is needed to see it again."""

from __future__ import annotations

from pathlib import Path

from _pytest._code.code import ReprEntryNative, ReprExceptionInfo, ReprFileLocation, ReprTraceback

from hlfuzz.errors import Finding
from hlfuzz.invariants import Case, Fault, Target


def finding_text(target: Target, fault: Fault, *, seed: int, runs: int, path: Path | None) -> str:
    """Title, who is accused, the smallest calls, what differed, seed and how to run it again."""
    lines = [
        fault.title,
        f"accused: the {fault.subject} ({target.guest.name}), of breaking {fault.invariant}",
        f"calls ({_how(fault.case)}):",
        *(f"  {number}. {call}" for number, call in enumerate(_calls(target, fault.case), 1)),
    ]
    if fault.evidence:
        lines += ["what was seen:", *(f"  {line}" for text in fault.evidence for line in text.splitlines())]
    lines.append(f"seed {seed}, found in {runs} {'run' if runs == 1 else 'runs'}, {fault.signature}")
    if path is not None:
        lines.append(f"again: hlfuzz repro {_from_here(path)}")
    return "\n".join(lines)


def _calls(target: Target, case: Case) -> list[str]:
    shown = case.calls if case.secret is None else case.variants()[0]
    boxes = case.boxes if len(set(case.boxes)) > 1 else ()
    return [
        target.call_text(call) + (f" in sandbox {boxes[at]}" if boxes else "")
        for at, call in enumerate(shown)
    ]


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
