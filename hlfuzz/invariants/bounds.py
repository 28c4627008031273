"""bounds (platform): limits of time, memory, table and stack hold, and leave the sandbox usable."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import ClassVar, Final

from hlfuzz.errors import ModuleError
from hlfuzz.guest import Guest, Limits
from hlfuzz.invariants.base import Fault, Invariant, Subject
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.hostile import HOSTILE, LIMITS
from hlfuzz.invariants.observe import outcome_text
from hlfuzz.invariants.target import Target
from hlfuzz.model import Call
from hlfuzz.sandbox import Sandbox

DEADLINE_SECONDS: Final = 0.05
LATE_SECONDS: Final = 2.0
"""A busy machine may stop a guest late on the wall clock; later than this the deadline does not work."""

_SMALLER_LIMIT: Final = "hlfuzz.smaller-limit"
_PAGE: Final = 65536


class Bounds(Invariant):
    """Runs small hostile modules on the engine under test, and the guest itself under a limit below its own
    memory.

    A case is one call named like the hostile module, or `hlfuzz.smaller-limit`.
    """

    id: ClassVar[str] = "bounds"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = "limits of time, memory, table and stack hold and leave the sandbox usable"

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        for name in (*HOSTILE, _SMALLER_LIMIT):
            yield Case((Call(name),), context=False)

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        name = case.calls[0].function
        if name == _SMALLER_LIMIT:
            problem = self._smaller_limit(target)
        elif name in HOSTILE:
            problem = self._contains(target, name, strict)
        else:
            return None
        if not problem:
            return None
        return self.violated(
            function=name,
            detail="",
            title=f"{name}: {problem}",
            evidence=(HOSTILE[name].wat,) if name in HOSTILE else (),
            case=case,
        )

    def _contains(self, target: Target, name: str, strict: bool) -> str:
        hostile = HOSTILE[name]
        guest = Guest.from_wasm(hostile.wasm, limits=LIMITS, name=name)
        reset = "strict" if strict else "memory"
        with Sandbox(guest, engine=target.engine, reset=reset, deadline=DEADLINE_SECONDS) as box:
            for attempt in ("first call", "second call, after the reset"):
                start = time.monotonic()
                outcome = box.try_call("run")
                seconds = time.monotonic() - start
                if not hostile.contained(outcome):
                    return f"expected {hostile.expected}, but the {attempt} {outcome_text(outcome)}"
                if seconds > DEADLINE_SECONDS + LATE_SECONDS:
                    return f"the {attempt} took {seconds:.1f} s with a deadline of {DEADLINE_SECONDS} s"
        return ""

    def _smaller_limit(self, target: Target) -> str:
        needed = max((m.type.min_pages for m in target.guest.info.memories if not m.imported), default=0)
        if needed < 2:
            return ""  # the smallest limit is one page
        limits = Limits(memory_bytes=(needed - 1) * _PAGE)
        try:
            guest = Guest.from_wasm(target.guest.wasm, limits=limits, name=target.guest.name)
            with Target(guest, target.interface, engine=target.engine).open():
                return f"the guest, which needs {needed} pages of memory, was opened with {needed - 1}"
        except ModuleError:
            return ""
