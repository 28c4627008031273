"""state-reset (platform): nothing that a call did can be observed by a call after the reset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import ClassVar, Final, Literal

from hlfuzz.errors import CallFailed, EnvironmentProblem
from hlfuzz.invariants.base import Fault, Invariant, Subject
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.guests.register_probe import LOOP, look, register_probe
from hlfuzz.invariants.observe import Observation, observation_key, observation_text
from hlfuzz.invariants.residue import differing_registers, differing_state, differing_vm
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.steady import made_by_host
from hlfuzz.invariants.target import Reset, Target
from hlfuzz.model import Call, Timeout
from hlfuzz.sandbox import Sandbox

REGISTERS: Final = "hlfuzz.registers"
"""The case of the bundled guest that tells the registers it finds."""
_Transport = Literal["exit", "spin"]
_MARK: Final = bytes(range(1, 33))
_ANSWERS_ON_KVM: Final = 1
_HANG_SECONDS: Final = 0.02


class StateReset(Invariant):
    """After a reset a sandbox is as one that was just opened: all memory of the micro-VM and what host and
    guest exchange calls through, memories, their sizes, globals, what calls answer, and with the reset level
    "strict" every register. Each case is judged at both reset levels.

    The case `hlfuzz.registers` runs a bundled native guest that changes all registers that code can change,
    and tells what it finds in them after a call, a crash and a deadline, and in the next sandbox; also in a
    sandbox whose vCPU spins, where a CPU is free for that.
    """

    id: ClassVar[str] = "state-reset"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = "nothing a call did can be observed by a call after the reset"
    observes: ClassVar[str] = (
        "On kvm every byte of the micro-VM's memory and of the mailbox, compared with the snapshot, "
        "and every register that KVM gives or a native guest can read. On both engines exported "
        "memories and globals, and what each call answers after the reset and in a sandbox that was "
        "just opened."
    )
    blind: ClassVar[str] = (
        "Caches, branch predictors and time; of a sandbox whose vCPU spins the registers of the loop that "
        "waits, so rax, rip and flags of the bundled guest, and all of another; x87's last instruction and "
        "operand addresses as code sees them; in-process what is neither exported nor answered, such as "
        "tables and hidden globals."
    )

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        if target.session().is_kvm:
            yield Case((Call(REGISTERS),), context=False)
        while (case := generator.sequence()) is not None:
            yield case
            yield Case(case.calls, context=False)

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        """Judges at both levels. With `strict` in sandboxes of their own: what an earlier case left behind
        must not be laid to this one."""
        if case.calls[0].function == REGISTERS:
            return self._registers(case)
        levels: tuple[Reset, ...] = ("memory", "strict") if target.session().is_kvm else ("memory",)
        expected: dict[Call, Observation] = {}
        for level in levels if target.guest.kind == "wasm" else levels[-1:]:
            if not strict:
                fault = self._judge(target, target.session(level), case, expected, strict)
            else:
                with target.open(reset=level) as session:
                    fault = self._judge(target, session, case, expected, strict)
            if fault is not None:
                return fault
        return None

    def _judge(
        self, target: Target, session: Session, case: Case, expected: dict[Call, Observation], strict: bool
    ) -> Fault | None:
        session.run(case)
        fault = self._compare(target, session, case)
        if fault is None and session.write(_MARK):  # the host's own writes are state too
            fault = self._compare(target, session, case)
        return fault or self._answers(target, session, case, expected, strict)

    def _compare(self, target: Target, session: Session, case: Case) -> Fault | None:
        # The VM first: reading a global runs code in it.
        vm = session.vm
        if vm is not None:
            if evidence := differing_vm(vm):
                return self._fault(case, "the VM's memory", evidence)
            settled = session.reset == "strict" and vm.stats().transport == "exit"
            if settled and (evidence := differing_registers(target.pristine.registers, vm.cpu_state())):
                return self._fault(case, "the VM's registers", evidence)
        if evidence := differing_state(target, session):
            return self._fault(case, "memory or globals", evidence)
        return None

    def _answers(
        self, target: Target, session: Session, case: Case, expected: dict[Call, Observation], strict: bool
    ) -> Fault | None:
        """`expected`: what sandboxes answered that never saw a reset, for those are what is on trial."""
        session.box.reset()
        calls = list(dict.fromkeys(case.calls))
        # Where all memory was compared, answers are a second look at it.
        for call in calls[-_ANSWERS_ON_KVM:] if session.is_kvm else calls:
            if call not in expected:
                with target.open() as fresh:
                    expected[call] = fresh.single(call)
            found = session.single(call)
            if isinstance(expected[call].outcome, Timeout) or isinstance(found.outcome, Timeout):
                continue
            if made_by_host((expected[call],), (found,), "strict" if strict else "memory"):
                continue
            if observation_key(expected[call]) != observation_key(found):
                evidence = (
                    f"{target.call_text(call)} in a fresh sandbox: {observation_text(expected[call])}",
                    f"{target.call_text(call)} after the reset: {observation_text(found)}",
                )
                return self._fault(case, f"the answer of {call.function}", evidence)
        return None

    def _fault(self, case: Case, what: str, evidence: tuple[str, ...]) -> Fault:
        return self.violated(
            function=case.calls[-1].function,
            detail=what.partition(" of ")[0],
            title=f"a reset after {case.calls[-1].function} left something behind in {what}",
            evidence=evidence,
            case=case,
        )

    def _registers(self, case: Case) -> Fault | None:
        found = left_in_registers("exit")
        if found is None:
            # A vCPU that spins needs a free CPU of its own, and is reset by other code.
            with suppress(EnvironmentProblem):
                found = left_in_registers("spin")
        if found is None:
            return None
        after, evidence = found
        return self.violated(
            function=REGISTERS,
            detail=f"after {after}",
            title=f"after {after} a native guest finds registers that a strict reset did not bring back",
            evidence=evidence,
            case=case,
        )


def _open_probe(transport: _Transport) -> Sandbox:
    return Sandbox(register_probe(), engine="kvm", transport=transport, deadline=_HANG_SECONDS)


def _from_outside(box: Sandbox) -> Mapping[str, bytes]:
    """The registers as KVM gives them, without those that a guest that spins changes while it waits."""
    spins = box.stats().transport == "spin"
    return {name: value for name, value in box.cpu_state().items() if not spins or name not in LOOP}


def left_in_registers(transport: _Transport) -> tuple[str, tuple[str, ...]] | None:
    """After what a native guest finds other registers than at first, and which; None: after nothing. Raises
    `EnvironmentProblem` where no CPU is free to spin."""
    where = "" if transport == "exit" else f" (transport {transport})"
    with _open_probe(transport) as box:
        outside, first = _from_outside(box), look(box)
        try:
            for after, act in (
                ("a call context", lambda: None),
                ("a call", lambda: box.try_call("look")),
                ("a crash", lambda: box.try_call("crash")),
                ("a deadline", lambda: box.try_call("hang")),
            ):
                act()
                evidence = differing_registers(outside, _from_outside(box)) or differing_registers(
                    first, look(box)
                )
                if evidence:
                    return after + where, evidence
            with _open_probe("exit") as other:
                evidence = differing_registers(first, look(other))
            return (f"a call in another sandbox{where}", evidence) if evidence else None
        except CallFailed as error:
            return f"a call{where}", (f"the guest, which never fails by itself, cannot go on: {error}",)
