"""Generates cases for one interface: single calls, sequences, and pairs of tenants with a secret."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Final

from hlfuzz.invariants.case import Case, Secret
from hlfuzz.invariants.inputs.mutate import insert, length_fields
from hlfuzz.invariants.inputs.source import Inputs
from hlfuzz.invariants.interface import Interface, Method
from hlfuzz.model import Call

if TYPE_CHECKING:
    from hlfuzz.invariants.observe import Observation
    from hlfuzz.invariants.target import Target
    from hlfuzz.invariants.typed.source import TypedSource

SECRET_BYTES: Final = 32
LENGTH_SHARE: Final = 0.25
"""Share of the cases with a secret whose two runs differ in its length only."""
CUT_BYTES: Final = 16
"""By how much: a multiple of what allocators align to, so that later addresses keep their alignment."""
MAX_SEQUENCE: Final = 6
LONG_SEQUENCE: Final = 32
"""One sequence in `LONG_SHARE` may be this long: some faults need that a buffer fills up, or a counter."""
LONG_SHARE: Final = 12

_SECRET_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
"""Letters and digits only: a secret should survive in text formats, and 32 of them still cannot appear by
chance."""


class Generator:
    """Makes cases from a random source; the same seed makes the same cases.

    `inputs` makes the arguments; the campaign has one with its corpus. Without it they have no meaning.
    """

    def __init__(self, interface: Interface, rng: Random, inputs: Inputs | None = None) -> None:
        self._interface = interface
        self._rng = rng
        self._inputs = inputs = inputs or Inputs(rng)
        self._methods = interface.methods
        self._judged = tuple(m for m in interface.methods if m.judged)
        self._vectors = interface.vectors
        self._typed = _typed_source(interface, rng, inputs)

    @classmethod
    def of(cls, target: Target, rng: Random) -> Generator:
        """One whose arguments are made of the target's seeds and its guest's dictionary."""
        return cls(target.interface, rng, Inputs(rng, target.seeds, target.guest.dictionary))

    def note(self, call: Call, observation: Observation) -> None:
        """Learn from what a call did."""
        if self._typed is None:
            self._inputs.note(call, observation)

    @property
    def methods(self) -> tuple[Method, ...]:
        """All methods that cases are made of."""
        return self._methods

    def number(self, bits: int) -> int:
        """A random number of so many bits."""
        return self._rng.getrandbits(bits)

    def call(self, method: Method) -> Call:
        """One call with generated arguments."""
        if self._typed is not None:
            return self._typed.call(method.name)
        scalars = tuple(self._inputs.scalar(t) for t in method.scalars)
        return Call(method.name, (self._inputs.vector(), *scalars) if method.vector else scalars)

    def single(self) -> Case:
        """One call outside a context. Byte-vector methods come up four times as often as others."""
        rng = self._rng
        pool = self._vectors if self._vectors and rng.random() < 0.8 else self._methods
        return Case((self.call(rng.choice(pool)),), context=False)

    def sequence(self, *, judged: bool = False, longest: int = MAX_SEQUENCE) -> Case | None:
        """Two or more calls of one context; None when there is no method. `judged`: only such methods."""
        pool = self._judged if judged else self._methods
        if not pool:
            return None
        rng = self._rng
        most = LONG_SEQUENCE if longest == MAX_SEQUENCE and not rng.randrange(LONG_SHARE) else longest
        count = rng.randrange(2, most + 1)
        return Case(tuple(self.call(rng.choice(pool)) for _ in range(count)))

    def tenants(self) -> Case | None:
        """One tenant's call with a secret, then calls of another; None when no method takes a byte vector."""
        vectors = [m for m in self._vectors if m.judged]
        if not vectors:
            return None
        rng = self._rng
        calls = self._opened()
        carrier = self._carrier(rng.choice(vectors), len(calls))
        if carrier is None:
            return None
        first, slot = carrier
        if self._typed is None and rng.random() < LENGTH_SHARE:
            first, slot = _of_two_lengths(first, slot)
        calls += (first, *self._opened())
        # Where a new connection is announced even a stateful method must not tell of the one before.
        others = [
            m
            for m in self._judged
            if (self._interface.tenant_open or not m.stateful) and m.name != self._interface.tenant_open
        ]
        receivers = [m for m in others if m.vector]
        if not others:
            return None
        for _ in range(rng.randrange(1, 3)):
            calls.append(self.call(rng.choice(receivers if receivers and rng.random() < 0.7 else others)))
        return Case(tuple(calls), secret=slot)

    def neighbours(self) -> Case | None:
        """Calls of two tenants, each with a sandbox of its own: number 1's has a secret; None when no method
        can carry one."""
        if not self._vectors:
            return None
        rng = self._rng
        tenants = [1, *rng.choices((0, 1), (3, 1), k=rng.randrange(1, 4)), 0]
        rng.shuffle(tenants)
        at = rng.choice([i for i, tenant in enumerate(tenants) if tenant == 1])
        calls = [
            self.call(rng.choice(self._vectors if rng.random() < 0.7 else self._methods)) for _ in tenants
        ]
        carriers = (self._carrier(m, at) for m in rng.sample(self._vectors, len(self._vectors)))
        carrier = next((c for c in carriers if c is not None), None)
        if carrier is None:
            return None
        calls[at], slot = carrier
        return Case(tuple(calls), rng.random() < 0.5, slot, tuple(tenants))

    def _opened(self) -> list[Call]:
        """What announces another tenant."""
        name = self._interface.tenant_open
        if not name:
            return []
        return [Call(name) if self._typed is None else self._typed.valid(name)]

    def _carrier(self, method: Method, at: int) -> tuple[Call, Secret] | None:
        """A call with room for a secret, and where that is, for call number `at`."""
        rng = self._rng
        one, other = self.secret(), self.secret()
        if self._typed is not None:
            found = self._typed.with_secret(method.name, one)
            return found and (found[0], Secret(at, found[1], SECRET_BYTES, one, other))
        first = self.call(method)
        data = first.args[0]
        assert isinstance(data, bytes)
        if len(data) < 2 * SECRET_BYTES:
            # Room of its own: what is so short may be all head, and lose its meaning under the secret.
            cut = rng.randrange(len(data) + 1)
            longer = bytearray(data)
            insert(longer, cut, one, length_fields(data))
            first = Call(first.function, (bytes(longer), *first.args[1:]))
            return first, Secret(at, cut, SECRET_BYTES, one, other)
        size = len(data)
        offset = rng.randrange(size - SECRET_BYTES + 1)
        length = SECRET_BYTES if rng.random() < 0.5 else rng.randrange(SECRET_BYTES, size - offset + 1)
        return first, Secret(at, offset, length, one, other)

    def secret(self) -> bytes:
        """32 random letters and digits."""
        return bytes(self._rng.choices(_SECRET_ALPHABET, k=SECRET_BYTES))


def _of_two_lengths(call: Call, slot: Secret) -> tuple[Call, Secret]:
    """The same secret in both runs, a part of it left out in one: nothing but the length differs."""
    data = call.args[0]
    assert isinstance(data, bytes)
    wider = Call(
        call.function, (data[: slot.offset] + bytes(CUT_BYTES) + data[slot.offset :], *call.args[1:])
    )
    return wider, replace(slot, length=slot.length + CUT_BYTES, second=slot.first, cut=CUT_BYTES)


def _typed_source(interface: Interface, rng: Random, inputs: Inputs) -> TypedSource | None:
    if interface.typed is None:
        return None
    # Imported here: it loads Hypothesis, which a target without a schema has no use for.
    from hlfuzz.invariants.typed.source import TypedSource

    return TypedSource(interface.typed, rng, inputs.content if inputs.has_content else None)
