"""tenant-independence (guest): what one tenant receives does not depend on what another sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Final

from hlfuzz.invariants.base import Fault, Invariant, Subject
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.observe import Observation, bytes_text, difference, observation_text
from hlfuzz.invariants.target import Target
from hlfuzz.model import Ok, Timeout

MIN_LEAK_BYTES: Final = 4
"""Fewer equal bytes than this are called a dependence, not a leak: they may be chance."""


class TenantIndependence(Invariant):
    """Runs the same calls twice in a context, with different secrets from one tenant, and compares what the
    next one gets.

    A tenant is one byte-vector call, or what follows the configured `tenants.open` call.
    """

    id: ClassVar[str] = "tenant-independence"
    subject: ClassVar[Subject] = Subject.GUEST
    doc: ClassVar[str] = "inside one context, what one tenant receives does not depend on what another sent"

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        while (case := generator.tenants()) is not None:
            yield case

    def unfit(self, target: Target) -> str:
        interface = target.interface
        if any(m.judged and (interface.tenant_open or not m.stateful) for m in interface.vectors):
            return ""
        return "no method takes a byte vector that could carry a secret"

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        slot = case.secret
        if slot is None:
            return None
        session = target.session("strict" if strict else "memory")
        first, second = case.variants()
        one, two = session.sequence(first), session.sequence(second)
        if len(one) < len(case.calls) or len(two) < len(case.calls):
            return None  # a call failed and ended the context: the other tenant received nothing
        for at in range(slot.call + 1, len(case.calls)):
            what = difference(one[at], two[at], memory_bytes=target.memory_bytes)
            if not what or isinstance(one[at].outcome, Timeout) or isinstance(two[at].outcome, Timeout):
                continue
            if difference(session.sequence(first)[at], one[at]):
                return None  # not even repeatable: that is for the determinism check
            return self._fault(replace(case, calls=case.calls[: at + 1]), one[at], two[at], what)
        return None

    def _fault(self, case: Case, one: Observation, two: Observation, what: str) -> Fault:
        slot = case.secret
        assert slot is not None
        receiver, sender = case.calls[-1].function, case.calls[slot.call].function
        leaks = [_longest_leak(slot.first, one), _longest_leak(slot.second, two)]
        shown = min(len(leaked) for _, _, leaked in leaks)
        evidence: list[str] = []
        for secret, seen, (where, at, leaked) in zip(
            (slot.first, slot.second), (one, two), leaks, strict=True
        ):
            text = f"with secret {secret.decode('latin-1')}: {observation_text(seen, limit=48)}"
            evidence.append(f"{text}; byte {at} of {where}: {bytes_text(leaked)}" if leaked else text)
        if shown >= MIN_LEAK_BYTES:
            title = f"{receiver} hands {shown} bytes of an earlier tenant's {sender} to the next tenant"
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


def _longest_leak(secret: bytes, observation: Observation) -> tuple[str, int, bytes]:
    """Which output shows most of the secret, from which byte on, and those bytes."""
    found = [(name, data, leak(secret, data)) for name, data in _outputs(observation)]
    name, data, leaked = max(found, key=lambda item: len(item[2]), default=("", b"", b""))
    return name, data.find(leaked), leaked


def _outputs(observation: Observation) -> list[tuple[str, bytes]]:
    outputs = [(c.function, c.data) for c in observation.host_calls if c.data is not None]
    if isinstance(observation.outcome, Ok):
        outputs += [("the result", v) for v in observation.outcome.values if isinstance(v, bytes)]
    return outputs


def leak(secret: bytes, data: bytes) -> bytes:
    """The longest run of `secret`'s bytes (which may repeat itself) that `data` contains."""
    doubled = secret + secret
    best = b""
    for start in range(len(secret)):
        end = start + len(best) + 1
        while end <= start + len(secret) and doubled[start:end] in data:
            best = doubled[start:end]
            end += 1
    return best
