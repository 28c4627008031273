"""double-fetch (platform): the host reads shared memory once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from hlfuzz.errors import EnvironmentProblem
from hlfuzz.invariants.base import Fault, Invariant, Subject
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.lying.fetches import Stage, judge_moments, judge_race
from hlfuzz.invariants.lying.scenes import Scene, scenes
from hlfuzz.invariants.target import Target
from hlfuzz.model import Call
from hlfuzz.vmm import Change

MOMENTS: Final = "hlfuzz.moments."
"""With the name of a scene behind it: its changes before each read. Without arguments all of them."""
RACE: Final = "hlfuzz.race."
"""The same by a second thread."""


class DoubleFetch(Invariant):
    """Lets bundled guests tell the truth, and changes what they share with the host while the host reads it.

    Each change is made at an exact moment, before the first read of shared memory, the second, and so on; a
    host that reads everything once has one moment from which on the change comes too late. What is changed is
    what the host decides by: addresses, lengths, counts and import numbers in the mailbox, and bytes of
    buffers and records in memory. Then a second thread changes the same without end while calls are made, and
    each call must see one state throughout.
    """

    id: ClassVar[str] = "double-fetch"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = "a guest that changes shared memory while the host reads it changes nothing"
    observes: ClassVar[str] = (
        "Outcomes, result bytes, what host functions were given, and decoded records of bundled guests, for "
        "each change at each read, compared with the same call unchanged and changed beforehand."
    )
    blind: ClassVar[str] = (
        "Host functions of the user's that read the same buffer twice. Reads for crash evidence. Moments are "
        "those before reads that the native library announces; for others there is the second thread, which "
        "hits gaps of a microsecond and seldom those of nanoseconds. In-process a guest cannot race its host."
    )

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        for scene in scenes():
            yield _experiment(MOMENTS + scene.name)
        for scene in scenes():
            if scene.raced:
                yield _experiment(RACE + scene.name)

    def unfit(self, target: Target) -> str:
        try:
            shares = target.session().is_kvm
        except EnvironmentProblem as problem:
            return str(problem)
        return "" if shares else "needs the kvm engine: in-process a guest stands still while the host reads"

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        call = case.calls[0]
        kind = next((kind for kind in (MOMENTS, RACE) if call.function.startswith(kind)), "")
        scene = next((s for s in scenes() if kind + s.name == call.function), None)
        if not kind or scene is None:
            return None
        changes, judge = (scene.changes, judge_moments) if kind == MOMENTS else (scene.raced, judge_race)
        with Stage() as stage:
            for change in _asked(changes, call):
                if problem := judge(stage, scene, change):
                    return self._fault(call.function, scene, change, problem)
        return None

    def _fault(self, function: str, scene: Scene, change: Change, problem: str) -> Fault:
        what = change.what.name.lower().replace("_", " ")
        return self.violated(
            function=function,
            detail=change.what.name,
            title=f"the host sees a change of {what}, byte {change.offset}, only in part ({scene.name})",
            evidence=(f"{change.value:#x} written there {problem}",),
            case=_experiment(function, _numbers(change)),
        )


def _experiment(name: str, arguments: tuple[int, ...] = ()) -> Case:
    return Case((Call(name, arguments),), context=False)


def _asked(changes: tuple[Change, ...], call: Call) -> tuple[Change, ...]:
    """All of them, or the one that the call names: a file may ask for no others."""
    return tuple(change for change in changes if call.args in ((), _numbers(change)))


def _numbers(change: Change) -> tuple[int, ...]:
    return change.what.value, change.offset, change.width, change.value, change.other
