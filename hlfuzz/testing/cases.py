"""Checkers over given cases: those that a test made, and those of findings that were kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from hlfuzz.errors import UsageError
from hlfuzz.fuzz import Store
from hlfuzz.fuzz.store import read_json
from hlfuzz.invariants import Case, Fault, Invariant, Target, case_from_json
from hlfuzz.invariants.generate import Generator

MAX_KEPT: Final = 16
"""Kept findings of one invariant that are tried again; of more, the newest are."""


class _Given(Invariant):
    """A checker that is given its cases. A subclass is made for each, so that messages have its class."""

    def __init__(self, checker: Invariant, cases: Sequence[Case]) -> None:
        self.id, self.subject, self.doc = checker.id, checker.subject, checker.doc  # type: ignore[misc]
        self._checker = checker
        self._cases = cases

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        return iter(self._cases)

    def unfit(self, target: Target) -> str:
        return self._checker.unfit(target)

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        return self._checker.probe(target, case, strict=strict)


def with_cases(checker: Invariant, cases: Sequence[Case]) -> Invariant:
    """The checker, with these cases instead of its own."""
    return type(type(checker).__name__, (_Given,), {})(checker, cases)


def kept_cases(store: Store, checker: Invariant, target: Target) -> tuple[list[Case], str]:
    """The cases of earlier findings of an invariant that this target can run, newest first; and what is wrong
    with a finding that cannot be read, "" with none: its fault may be there again, unseen."""
    folder = store.finding_path("").parent
    paths = sorted(folder.glob(f"{checker.id}-*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    exported = {export.name for export in target.guest.info.functions_exported}
    cases: list[Case] = []
    unread = ""
    for path in paths[:MAX_KEPT]:
        try:
            document = read_json(path)
            case = case_from_json(document.get("case"))
        except UsageError as error:
            unread = f"a kept finding could not be tried again: {error}: restore the file, or remove it"
            continue
        known = all(c.function in exported or c.function.startswith("hlfuzz.") for c in case.calls)
        if document.get("invariant") == checker.id and case.calls and known:
            cases.append(case)
    return cases, unread
