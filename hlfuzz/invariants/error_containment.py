"""error-containment (platform): an error reaches the caller as itself, and the sandbox serves on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Final

from hlfuzz.invariants.base import Fault, Invariant, Subject
from hlfuzz.invariants.case import Case, Injection
from hlfuzz.invariants.failures import exits, steps, threads
from hlfuzz.invariants.failures.failing_host import judge_host_failure
from hlfuzz.invariants.failures.inject import EVERYWHERE, NESTED, POINT
from hlfuzz.invariants.failures.served import judge_guest_failure
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.guests.patient import ENDS, PREFIX, patient
from hlfuzz.invariants.target import Target
from hlfuzz.model import Call

POSITIONS: Final = 6
"""Host calls of one sequence at which something goes wrong, spread over it."""

_SLEEP_AFTER: Final = 8
"""Cases of one kind each that come before those that take a tenth of a second."""

_ASK, _PAIR, _NOTE = Call("ask", (7,)), Call("pair", (-5,)), Call("note", (3,))
_SEQUENCE: Final = (_ASK, _PAIR, _NOTE, _ASK)
HOST_CALLS: Final = 6
"""Of that sequence."""


class ErrorContainment(Invariant):
    """Lets something fail on purpose at every host call, at every native step of opening, cloning, saving and
    loading, at VM exits and in the threads of spinning and dispatched sandboxes; traps the guest and lets it
    run past its deadline. The error must arrive as itself, nothing may be left behind, and the next call must
    be answered as in a fresh sandbox.
    """

    id: ClassVar[str] = "error-containment"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = "an error reaches the caller as itself, and the sandbox serves the next call"
    observes: ClassVar[str] = (
        "What the caller of a failed call receives, the answers and all guest memory after it, descriptors "
        "and mappings of VMs after a failed step, and sandboxes that had nothing to do with it."
    )
    blind: ClassVar[str] = (
        "Two failures at once, failures inside the kernel or the allocator of the host process, the thread "
        "of a spinning vCPU where no CPU is free for it, and on the engine inprocess everything that only a "
        "VM has."
    )

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        kvm = target.session().is_kvm
        own = [_failing_guests(), _failing_hosts(), exits.cases(kvm=kvm)]
        if kvm:
            own += steps.cases(target), threads.cases()
        yield from _in_turn(own)
        if target.guest.info.functions_imported:
            yield from self._failing_hosts_of(target, generator)

    def _failing_hosts_of(self, target: Target, generator: Generator) -> Iterator[Case]:
        """Generated calls of the target's own guest, with a failure at some of their host calls."""
        kinds = itertools.cycle(EVERYWHERE)
        while (case := generator.sequence()) is not None:
            count = sum(len(seen.host_calls) for seen in target.session().run(case))
            for at in range(0, count, max(count // POSITIONS, 1)):
                for kind in itertools.islice(kinds, 3):
                    yield replace(case, injection=Injection(POINT, kind, at))
            if not count:
                yield case

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        if not case.calls[0].function.startswith(PREFIX):
            return self._probe_calls(target, case, case, strict)
        injection = case.injection
        if injection is not None and injection.point == steps.POINT:
            problem = steps.judge(target, case.calls[0].function.removeprefix(PREFIX), injection)
            name = case.calls[0].function
            return self._fault(case, name, injection.kind, problem) if problem else None
        calls = tuple(replace(c, function=c.function.removeprefix(PREFIX)) for c in case.calls)
        return self._probe_calls(patient(target), replace(case, calls=calls), case, strict)

    def _probe_calls(self, target: Target, case: Case, named: Case, strict: bool) -> Fault | None:
        injection = case.injection
        if injection is None:
            found = judge_guest_failure(target, case, {} if case is named else ENDS, strict)
        elif injection.point == exits.POINT:
            found = exits.judge(target, case, injection)
        elif injection.point in threads.POINTS:
            found = threads.judge(target, case, injection)
        else:
            found = judge_host_failure(target, case, injection, strict)
        if found is None:
            return None
        at, problem = found
        return self._fault(named, named.calls[at].function, injection.kind if injection else "", problem)

    def _fault(self, case: Case, function: str, kind: str, problem: str) -> Fault:
        injection = case.injection
        evidence = () if injection is None else (f"{injection.kind} at {injection.point} {injection.at}",)
        return self.violated(
            function=function,
            detail=kind,
            title=f"{function}: {problem}",
            evidence=evidence,
            case=case,
        )


def _own(*calls: Call, context: bool = True, injection: Injection | None = None) -> Case:
    named = tuple(replace(c, function=PREFIX + c.function) for c in calls)
    return Case(named, context, injection=injection)


def _failing_guests() -> Iterator[Case]:
    for context in (False, True):
        for failing in (
            Call("trap"),
            Call("divide", (1, 0)),
            Call("outside"),
            Call("recurse", (0,)),
            Call("spin"),
            Call("ask_and_trap", (7,)),
            Call("ask_and_spin", (7,)),
        ):
            yield _own(_ASK, failing, context=context)


def _failing_hosts() -> Iterator[Case]:
    kinds = (*EVERYWHERE, *NESTED)
    for number, (at, kind) in enumerate(itertools.product(range(HOST_CALLS), kinds)):
        yield _own(*_SEQUENCE, context=bool(number % 2), injection=Injection(POINT, kind, at))
        if number == _SLEEP_AFTER:
            for call in (_ASK, Call("ask_and_spin", (7,))):
                yield _own(call, context=False, injection=Injection(POINT, "sleep"))


def _in_turn(sources: list[Iterator[Case]]) -> Iterator[Case]:
    """One case of each source, and again, until all are empty."""
    while sources:
        for source in sources.copy():
            case = next(source, None)
            if case is None:
                sources.remove(source)
            else:
                yield case
