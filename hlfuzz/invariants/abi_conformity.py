"""abi-conformity (guest, and platform): what crosses the boundary is what the interface promises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import ClassVar, Final, Literal, get_args

from hlfuzz.bindings import Interface as Schema
from hlfuzz.bindings.records import OK_HEADER
from hlfuzz.invariants.base import Fault, Invariant, Subject
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.lying.claims import Lie, What, lie_batch
from hlfuzz.invariants.lying.own import judge_own, own_records
from hlfuzz.invariants.lying.pointers import open_pointer_liar
from hlfuzz.invariants.lying.records import judge_record, judge_request, record_batch
from hlfuzz.invariants.lying.typed import open_record_liar
from hlfuzz.invariants.lying.verdicts import judge_lie
from hlfuzz.invariants.observe import Observation, observation_text
from hlfuzz.invariants.target import Target
from hlfuzz.model import Call, Violation

LIES: Final = "hlfuzz.lies"
"""A batch of lies about pointers and lengths; its argument is the batch."""
RECORDS: Final = "hlfuzz.records"
"""A batch of false records; its argument is the batch."""
RECORD: Final = "hlfuzz.record"
"""One record that a lying guest answers."""
REQUEST: Final = "hlfuzz.request"
"""One request that a lying guest sends to its host function."""
OWN: Final = "hlfuzz.own-record:"
"""Damaged records of the target's own schema: a batch, or with a type's name behind it one of that type."""
LIE: Final = "hlfuzz.lie."
"""With the kind of lie behind it and address and length as arguments: one lie."""

FIXED_BATCHES: Final = 2
"""Batches that are the same each time; those with higher numbers are random, by their number."""


class AbiConformity(Invariant):
    """Every value that crosses satisfies the interface: pointers and lengths of results and host calls lie in
    memory, allocators give room, records verify.

    A guest of the target that breaks this is accused itself. Whether the *platform* notices is tried with
    guests of its own that lie on demand, a batch at a time: each lie must end as the outcome that it
    deserves, the call context with it, and leave a sandbox at its snapshot; each truth must pass.
    """

    id: ClassVar[str] = "abi-conformity"
    subject: ClassVar[Subject] = Subject.GUEST
    doc: ClassVar[str] = "every value that crosses satisfies the interface, and a lying guest is found out"
    observes: ClassVar[str] = (
        "Outcomes and host-call buffers of the target's own calls; and on the same engine what becomes of "
        "lying lengths, pointers, allocators, floods and damaged records of bundled guests, and of damaged "
        "records of the target's schema, beside an independent verdict on each."
    )
    blind: ClassVar[str] = (
        "A guest without a schema whose results are plain numbers promises nothing that could be broken. A "
        "crash of the host process ends the check itself."
    )

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        batch = 0
        while True:
            yield _experiment(LIES, batch)
            yield _experiment(RECORDS, batch)
            if target.schema is not None:
                yield _experiment(OWN, batch)
            batch = batch + 1 if batch < FIXED_BATCHES else FIXED_BATCHES + generator.number(31)
            for _ in range(8):
                if (case := generator.sequence()) is not None:
                    yield case

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        call = case.calls[0]
        reset: Literal["strict", "memory"] = "strict" if strict else "memory"
        if call.function == LIES or call.function.startswith(LIE):
            return self._lies(target, case, reset)
        if call.function in (RECORDS, RECORD, REQUEST):
            return self._records(target, case, reset)
        if call.function.startswith(OWN):
            return self._own(target, call)
        run = target.run(case, strict=strict)
        for called in run.calls:
            if (broken := broken_promise(called.observation)) is not None:
                detail, what = broken
                kept = case.calls[: called.at + 1] if case.context else (called.call,)
                boxes = case.boxes[: called.at + 1] if case.context else ()
                return self.violated(
                    function=called.call.function,
                    detail=detail,
                    title=f"{called.call.function} {what}",
                    evidence=(observation_text(called.observation),),
                    case=replace(case, calls=kept, boxes=boxes),
                )
        return None

    def _lies(self, target: Target, case: Case, reset: Literal["strict", "memory"]) -> Fault | None:
        liar = open_pointer_liar(target.engine, reset)
        with closing(liar.box):
            for lie in _lies_of(case.calls[0]):
                if problem := judge_lie(liar, lie):
                    call = Call(LIE + lie.what, (lie.address, lie.length))
                    return self._platform(call, f"the claim {lie.what}({lie.address}, {lie.length})", problem)
        return None

    def _records(self, target: Target, case: Case, reset: Literal["strict", "memory"]) -> Fault | None:
        liar = open_record_liar(target.engine, reset)
        with closing(liar):
            for name, data in _messages_of(case.calls[0]):
                problem = judge_record(liar, data) if name == RECORD else judge_request(liar, data)
                if problem:
                    return self._platform(Call(name, (data,)), f"a guest's {name.partition('.')[2]}", problem)
        return None

    def _own(self, target: Target, call: Call) -> Fault | None:
        if target.schema is None:
            return None
        for name, data in _own_of(target.schema, call):
            if problem := judge_own(target.schema, name, data):
                return self._platform(Call(OWN + name, (data,)), f"a record of {name}", problem)
        return None

    def _platform(self, call: Call, what: str, problem: str) -> Fault:
        fault = self.violated(
            function=call.function,
            detail="",
            title=f"{what} {problem}",
            evidence=(f"{call.function}{call.args}",),
            case=Case((call,), context=False),
        )
        return replace(fault, subject=Subject.PLATFORM)


def broken_promise(observation: Observation) -> tuple[str, str] | None:
    """What a guest got wrong at its interface in one call: a short stable text, and one for people after the
    function's name. None: nothing."""
    outcome = observation.outcome
    if isinstance(outcome, Violation):
        return outcome.path or "", f"broke its interface: {outcome.message}"
    for call in observation.host_calls:
        if call.problem:
            return call.function, f"gave {call.function} a {call.problem}"
    return None


def _experiment(name: str, batch: int) -> Case:
    return Case((Call(name, (batch,)),), context=False)


def _lies_of(call: Call) -> Iterator[Lie]:
    match call.args:
        case (int(batch),) if call.function == LIES:
            yield from lie_batch(batch)
        case (int(address), int(length)):
            for what in get_args(What):
                if call.function == LIE + what:
                    yield Lie(what, address & 0xFFFF_FFFF, length & 0xFFFF_FFFF)
        case _:
            pass


def _messages_of(call: Call) -> Iterator[tuple[str, bytes]]:
    match call.args:
        case (int(batch),) if call.function == RECORDS:
            for at, record in enumerate(record_batch(batch)):
                yield RECORD, record
                request = record.removeprefix(OK_HEADER)
                if at % 4 == batch % 4 and request and request != record:  # the same reader, another way in
                    yield REQUEST, request
        case (bytes(data),):
            yield call.function, data
        case _:
            pass


def _own_of(interface: Schema, call: Call) -> Iterator[tuple[str, bytes]]:
    match call.args:
        case (int(batch),) if call.function == OWN:
            yield from own_records(interface, batch)
        case (bytes(data),) if call.function.removeprefix(OWN) in interface.schema.by_name:
            yield call.function.removeprefix(OWN), data
        case _:
            pass
