"""noninterference (platform): what one tenant sees does not depend on what another tenant was given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Final, NamedTuple

from hlfuzz.invariants.base import Fault, Invariant, Subject
from hlfuzz.invariants.canary import is_secret, needles
from hlfuzz.invariants.case import Case, Secret
from hlfuzz.invariants.chance import REPEATS
from hlfuzz.invariants.events import Called
from hlfuzz.invariants.generate import SECRET_BYTES, Generator
from hlfuzz.invariants.guests.native_notebook import open_native_notebook
from hlfuzz.invariants.guests.notebook import open_notebook
from hlfuzz.invariants.observe import changed_answer, difference, observation_key, observation_text
from hlfuzz.invariants.target import Reset, Target
from hlfuzz.invariants.tenancy import LISTENER, TELLER, Needles, Seen, Tenancy, tenancies
from hlfuzz.model import Call, Timeout

TRIES: Final = 3
"""How often a difference is looked at that does not repeat: the first runs may be what does not."""
NOTEBOOK: Final = "hlfuzz.notebook"
NATIVE_NOTEBOOK: Final = "hlfuzz.native-notebook"


class Noninterference(Invariant):
    """Gives one tenant a secret, and looks whether another notices: in two sandboxes, in two clones of one
    snapshot, in one sandbox before and after a reset, and in two leases of one pool.

    The same calls are made twice, with two secrets, and everything that the other tenant sees and is left
    with must be the same to the bit: outcomes, host calls, memory, globals, output. And the secret itself is
    searched for, in several forms, in all that a guest in the other sandbox may read. It is tried on the
    target's own methods and on guests of hlfuzz's own that keep bytes wherever a guest can, in a micro-VM
    also native ones in registers: a case whose call is `hlfuzz.notebook` or `hlfuzz.native-notebook` with the
    two secrets.
    """

    id: ClassVar[str] = "noninterference"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = "what a tenant sees does not depend on what another or an earlier tenant was given"
    observes: ClassVar[str] = (
        "Outcomes, host calls and their bytes, memory, globals and WASI output of one tenant in two runs "
        "that differ in another tenant's secret; all RAM, and under strict reset the mailbox and every "
        "register, searched for that secret."
    )
    blind: ClassVar[str] = (
        "Time, and everything else that shows only from outside, such as caches. In-process only exported "
        "memories are searched. A secret that is stored encrypted or compressed is not recognised in memory."
    )

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        for book in (NOTEBOOK, NATIVE_NOTEBOOK) if target.session().is_kvm else (NOTEBOOK,):
            for context in (True, False):
                yield Case((Call(book, (generator.secret(), generator.secret())),), context)
        while (case := generator.neighbours()) is not None:
            yield case

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        if case.calls[0].function in (NOTEBOOK, NATIVE_NOTEBOOK):
            return self._with_notebook(target, case)
        if case.secret is None or len(case.boxes) != len(case.calls):
            return None
        teller = case.boxes[case.secret.call]
        tenants = tuple(TELLER if box == teller else LISTENER for box in case.boxes)
        if LISTENER not in tenants:
            return None
        return self._judge(target, replace(case, boxes=tenants), "strict" if strict else "memory")

    def _with_notebook(self, target: Target, case: Case) -> Fault | None:
        secrets = [s for s in case.calls[0].args if isinstance(s, bytes) and is_secret(s)]
        if len(secrets) != 2 or secrets[0] == secrets[1]:
            return None
        slot = Secret(1, 0, SECRET_BYTES, secrets[0], secrets[1])
        calls = (Call("show"), Call("keep", (bytes(SECRET_BYTES),)), Call("show"))
        inner = Case(calls, case.context, slot, (LISTENER, TELLER, LISTENER))
        name = case.calls[0].function
        if native := name == NATIVE_NOTEBOOK:
            book = target.kept(name, open_native_notebook)
        else:
            book = target.kept(name, lambda: open_notebook(target.engine))
        # Both also when a finding is confirmed: what shows at one level alone is a fault of that level.
        both = not native and book.session().is_kvm
        levels: Sequence[Reset] = ("memory", "strict") if both else (book.session().reset,)
        for reset in levels:
            if (fault := self._judge(book, inner, reset)) is not None:
                return replace(fault, function=name, case=case)
        return None

    def _judge(self, target: Target, case: Case, reset: Reset) -> Fault | None:
        for way in tenancies(target, reset):
            if (fault := self._compare(target, way, case)) is not None:
                return fault
        return None

    def _compare(self, target: Target, way: Tenancy, case: Case) -> Fault | None:
        slot = case.secret
        assert slot is not None
        first, second = (replace(case, calls=calls, secret=None) for calls in case.variants())
        canaries = needles(slot.first)
        for _ in range(TRIES):
            one = way.run(first, canaries)
            where = one.leak or _in_messages(one.calls, canaries)
            if where and not _written_by_host(one):
                return self._leaked(way, case, where)
            two = way.run(second, ())
            if _timed_out(one) or _timed_out(two):
                return None  # how far a guest comes before a deadline is up to the machine
            if not _differ(one, two):
                return None
            again = ((seen, way.run(calls, ())) for calls, seen in ((first, one), (second, two)) * REPEATS)
            if not any(_differ(seen, repeated) for seen, repeated in again):
                return self._depends(way, case, one, two)
        return None  # not even repeatable: that is for the determinism check

    def _leaked(self, way: Tenancy, case: Case, where: str) -> Fault:
        slot = case.secret
        assert slot is not None
        sender = case.calls[slot.call].function
        return self.violated(
            function=sender,
            detail=way.name,
            title=f"a secret that one tenant gave to {sender} can be read by another ({way.name})",
            evidence=(f"{slot.first.decode('latin-1')} lies {where}",),
            case=case,
            strength=1,
        )

    def _depends(self, way: Tenancy, case: Case, one: Seen, two: Seen) -> Fault:
        slot = case.secret
        assert slot is not None
        sender = case.calls[slot.call].function
        parting = _parting(case, one, two)
        secrets = (slot.first.decode("latin-1"), slot.second.decode("latin-1"))
        return self.violated(
            function=parting.function,
            detail=way.name,
            title=f"{parting.function} depends on what another tenant gave to {sender} "
            f"({parting.what}; {way.name})",
            evidence=tuple(f"with secret {s}: {e}" for s, e in zip(secrets, parting.evidence, strict=True)),
            case=case,
            subject=parting.subject,
        )


class _Parting(NamedTuple):
    """Where two runs first differ."""

    subject: Subject
    function: str
    what: str
    evidence: tuple[str, str]


def _parting(case: Case, one: Seen, two: Seen) -> _Parting:
    for a, b in zip(one.calls, two.calls, strict=False):
        function = a.call.function
        if (answers := changed_answer(a.observation, b.observation)) is not None:
            x, y = ("; ".join(c.answer) for c in answers)
            what = f"host function {answers[0].function} answers otherwise"
            return _Parting(Subject.HOST, function, what, (x, y))
        if observation_key(a.observation) != observation_key(b.observation):
            what = difference(a.observation, b.observation) or "outcome"
            texts = observation_text(a.observation), observation_text(b.observation)
            return _Parting(Subject.PLATFORM, function, what, texts)
    last = max(i for i, box in enumerate(case.boxes) if box == LISTENER)
    left = f"memory, globals and output {one.state}", f"memory, globals and output {two.state}"
    return _Parting(Subject.PLATFORM, case.calls[last].function, "what it is left with", left)


def _timed_out(seen: Seen) -> bool:
    return any(isinstance(c.outcome, Timeout) for c in seen.calls)


def _differ(one: Seen, two: Seen) -> bool:
    """Where a call failed in one run only, and none followed it, that call itself differs."""
    return one.state != two.state or any(
        observation_key(a.observation) != observation_key(b.observation)
        or changed_answer(a.observation, b.observation)
        for a, b in zip(one.calls, two.calls, strict=False)
    )


def _written_by_host(seen: Seen) -> bool:
    """Whether a host function of the user's own did more to the listener than to give a result: it may have
    kept the secret, in this run or an earlier one, and a search cannot tell that from a leak."""
    return any(len(h.answer) > 1 for c in seen.calls for h in c.host_calls)


def _in_messages(calls: Sequence[Called], canaries: Needles) -> str:
    """Outcomes that a paired run does not compare: texts for people."""
    for called in calls:
        message = str(getattr(called.outcome, "message", "")).encode("utf-8", "backslashreplace")
        for form, needle in canaries:
            if needle in message:
                return f"{form} in the message of {called.call.function}'s outcome"
    return ""
