"""tenant-independence (guest): what one tenant receives does not depend on what another sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Final

from hlfuzz.invariants.base import Fault, Invariant, Subject
from hlfuzz.invariants.canary import MIN_LEAK_BYTES, Leak, longest_leak
from hlfuzz.invariants.case import Case, Secret
from hlfuzz.invariants.chance import REPEATS, times_asked
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.observe import Observation, bytes_text, changed_answer, difference, observation_text
from hlfuzz.invariants.target import Target
from hlfuzz.model import Ok, Timeout, Value

MAX_SEARCHED_BYTES: Final = 1 << 16
"""Bytes of one output in which a secret is looked for, to show it."""


class TenantIndependence(Invariant):
    """Runs the same calls twice in a context, with different secrets from one tenant, or the same secret in
    two lengths, and compares what the next one gets.

    A tenant is one byte-vector call, or what follows the configured `tenants.open` call. Where the next
    tenant gets bytes of the secret they are shown, also when they are in hex, in base64, reversed or under an
    xor.
    """

    id: ClassVar[str] = "tenant-independence"
    subject: ClassVar[Subject] = Subject.GUEST
    doc: ClassVar[str] = "inside one context, what one tenant receives does not depend on what another sent"
    observes: ClassVar[str] = (
        "Results, traps and host calls of a tenant in two runs of one context that differ in what an earlier "
        "tenant sent, or in how much of it."
    )
    blind: ClassVar[str] = (
        "State that no call of the cases shows, and time. Numbers that may both be addresses are taken as "
        "equal, and so is running out of memory after longer input. Answers that hold WASI's time or random "
        "numbers, where the tenant before asked for more of them."
    )

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        while (case := generator.tenants()) is not None:
            yield case

    def unfit(self, target: Target) -> str:
        interface = target.interface
        if any(m.judged and (interface.tenant_open or not m.stateful) for m in interface.vectors):
            return ""
        if interface.vectors:
            return (
                "every method that takes a byte vector is stateful, and nothing says where the next tenant "
                "begins: name it under [tenants] as open"
            )
        pair = next((m for m in interface.methods if m.may_be_vector), None)
        if pair is None:
            return "no method takes a byte vector that could carry a secret"
        if len(pair.type.params) == 2:
            how = "export an allocator such as malloc, or name one (allocator in the settings)"
        else:
            how = f"say {pair.name} = {{ bytes = true }} under [methods]"
        return f"no method takes a byte vector: if {pair.name} takes pointer and length, {how}"

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        slot = case.secret
        if slot is None:
            return None
        session = target.session("strict" if strict else "memory")
        first, second = case.variants()
        one, two = session.sequence(first), session.sequence(second)
        for at in range(slot.call + 1, min(len(one), len(two))):
            method = target.interface.method(case.calls[at].function)
            if method is not None and method.stateful and not target.interface.tenant_open:
                continue  # it may tell of earlier calls, and nothing says where the next tenant begins
            what = difference(one[at], two[at], addresses=target.addresses)
            if not what or any(_is_undecided(slot, seen[at]) for seen in (one, two)):
                continue
            for calls, seen in ((first, one), (second, two)) * REPEATS:
                again = session.sequence(calls)
                if len(again) <= at or difference(again[at], seen[at]) or changed_answer(again[at], seen[at]):
                    return None  # not even repeatable: that is for the determinism check
            asked = [times_asked(target, session, calls[:at]) for calls in (first, second)]
            if asked[0] != asked[1] and times_asked(target, session, (case.calls[at],)):
                return None  # more time has passed, or other random numbers come next
            return self._fault(replace(case, calls=case.calls[: at + 1]), one[at], two[at], what)
        return None

    def _fault(self, case: Case, one: Observation, two: Observation, what: str) -> Fault:
        slot = case.secret
        assert slot is not None
        receiver, sender = case.calls[-1].function, case.calls[slot.call].function
        leaks = [_best_leak(slot.first, one), _best_leak(slot.second, two)]
        # Of one secret in two lengths, one run may show nothing of it.
        shown = (max if slot.cut else min)(len(leak.shown) if leak else 0 for _, leak in leaks)
        if slot.cut:
            runs = (f"secret of {slot.length} bytes", f"secret of {slot.length - slot.cut} bytes")
        else:
            runs = tuple(f"secret {secret.decode('latin-1')}" for secret in (slot.first, slot.second))
        evidence: list[str] = []
        for run, seen, (where, leak) in zip(runs, (one, two), leaks, strict=True):
            text = f"with {run}: {observation_text(seen, limit=48)}"
            if shown and leak is not None:
                text += f"; byte {leak.at} of {where}, {leak.form}: {bytes_text(leak.shown)}"
            evidence.append(text)
        if shown:
            form = {leak.form for _, leak in leaks if leak} - {"as it is"}
            how = f" ({' and '.join(sorted(form))})" if form else ""
            title = f"{receiver} hands {shown} bytes of an earlier tenant's {sender} to the next tenant{how}"
        elif slot.cut:
            title = f"{receiver} depends on how much an earlier tenant sent to {sender} ({what})"
        else:
            title = f"{receiver} depends on what an earlier tenant sent to {sender} ({what})"
        return self.violated(
            function=receiver,
            detail=f"from {sender}",
            title=title,
            evidence=tuple(evidence),
            case=case,
            strength=min(shown, MIN_LEAK_BYTES),
        )


def _is_undecided(slot: Secret, observation: Observation) -> bool:
    """How far a guest comes before a deadline is up to the machine; and more input may well use up more
    memory, which is no secret."""
    outcome = observation.outcome
    return isinstance(outcome, Timeout) or (slot.cut > 0 and not isinstance(outcome, Ok))


def _best_leak(secret: bytes, observation: Observation) -> tuple[str, Leak | None]:
    """Which output shows most of the secret, and what it shows."""
    found = [(name, longest_leak(secret, data[:MAX_SEARCHED_BYTES])) for name, data in _outputs(observation)]
    return max(found, key=lambda item: len(item[1].shown) if item[1] else 0, default=("", None))


def _outputs(observation: Observation) -> list[tuple[str, bytes]]:
    """Everything that the next tenant gets, as bytes: numbers too may be bytes of a secret."""
    outputs = [(c.function, c.data) for c in observation.host_calls if c.data is not None]
    sent = dict.fromkeys(c.function for c in observation.host_calls)
    for function in sent:
        args = [a for c in observation.host_calls if c.function == function for a in c.args]
        outputs.append((f"the arguments of {function}", b"".join(map(_number_bytes, args))))
        outputs.append(
            (f"the lowest bytes of the arguments of {function}", b"".join(_number_bytes(a)[:1] for a in args))
        )
    if isinstance(observation.outcome, Ok):
        values = observation.outcome.values
        outputs += [("the result", v) for v in values if isinstance(v, bytes)]
        outputs.append(("the result", b"".join(map(_number_bytes, values))))
    return outputs


def _number_bytes(value: Value) -> bytes:
    """An integer as four bytes, or eight where it has so many; nothing for other values."""
    if not isinstance(value, int):
        return b""
    return (value & (1 << 64) - 1).to_bytes(8, "little")[: 4 if -(1 << 31) <= value < 1 << 32 else 8]
