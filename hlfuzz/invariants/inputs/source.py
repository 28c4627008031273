"""Where the arguments of generated calls come from: seeds, inputs that did something new, the dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from hlfuzz.guest import Dictionary
from hlfuzz.invariants import values
from hlfuzz.invariants.inputs.compose import Composer
from hlfuzz.invariants.inputs.mutate import Mutator
from hlfuzz.invariants.inputs.novelty import behaviour
from hlfuzz.invariants.observe import Observation
from hlfuzz.model import Call, Exited, Ok, Trap, ValType, Value

SEED_SHARE: Final = 0.4
"""Share of the byte vectors that are a seed as it is, where there are seeds."""
MUTATED_SHARE: Final = 0.6
"""Of the others, the share that is made of seeds, or of what was kept once there is enough of that."""
POOL_SHARE: Final = 0.9
"""The same, of a pool that its owner fills."""
ENOUGH: Final = 6
"""Inputs that are kept until that share is reached."""
COMPOSED_SHARE: Final = 0.7
"""Of what is left then, the share that is composed; the rest has no meaning at all."""
NUMBER_SHARE: Final = 0.25
"""Share of the integers that the code compares with, where there are any."""
MAX_KEPT: Final = 256
"""Inputs kept in one check."""
MAX_KEPT_BYTES: Final = 8192
"""Of one input that is kept."""
MAX_BEHAVIOURS: Final = 4096
"""Behaviours told apart in one check."""


class Inputs:
    """Makes byte vectors and numbers. The same random source, seeds, dictionary and notes make the same.

    `note` is told what calls did: the vector of a call that did something new is kept, and later ones are
    made of it. Without coverage that is what shows that a guest understood an input.
    """

    def __init__(
        self,
        rng: Random,
        seeds: Sequence[bytes] = (),
        dictionary: Dictionary | None = None,
        *,
        pool: list[bytes] | None = None,
    ) -> None:
        """`pool`: seeds that its owner adds to, in place of `note`."""
        dictionary = dictionary or Dictionary()
        self._rng = rng
        self._seeds = tuple(seeds)
        self._pool = list(seeds) if pool is None else pool
        self._given = bool(seeds) or pool is not None
        self._share = MUTATED_SHARE if pool is None else POOL_SHARE
        self._enough = 1 if self._given else ENOUGH
        self._kept = 0
        self._composer = Composer(rng, dictionary)
        self._mutator = Mutator(rng, self._pool, self._composer.word)
        self._numbers = dictionary.numbers
        self._words = dictionary.words
        self._seen: set[tuple[object, ...]] = set()

    def vector(self) -> bytes:
        """A byte vector."""
        rng = self._rng
        if self._seeds and rng.random() < SEED_SHARE:
            return rng.choice(self._seeds)
        if self._pool and rng.random() < self._share * min(len(self._pool) / self._enough, 1):
            return self._mutator.vector(self._seed())
        return self._composer.vector() if rng.random() < COMPOSED_SHARE else values.vector(rng)

    @property
    def has_content(self) -> bool:
        """Is anything known that `content` could give?"""
        return self._given or bool(self._words)

    def content(self) -> bytes:
        """Bytes worth putting into a field of a record: a seed or what was made of one, else a word."""
        if self._pool:
            return self._mutator.vector(self._seed())
        return self._rng.choice(self._words) if self._words else self._composer.filler()

    def _seed(self) -> bytes:
        """An input of the pool. Where all are kept ones the later come up more often: they got further."""
        at = self._rng.random()
        return self._pool[int((at if self._given else at**0.5) * len(self._pool))]

    def scalar(self, type_: ValType) -> Value:
        """A value of that type."""
        if self._numbers and type_ in (ValType.I32, ValType.I64) and self._rng.random() < NUMBER_SHARE:
            return values.wrapped(self._rng.choice(self._numbers), 32 if type_ is ValType.I32 else 64)
        return values.scalar(self._rng, type_)

    def note(self, call: Call, observation: Observation) -> None:
        """Keep the byte vector of a call that did something new."""
        if not call.args or self._kept == MAX_KEPT:
            return
        data = call.args[0]
        if not isinstance(data, bytes) or not isinstance(observation.outcome, Ok | Trap | Exited):
            return  # how far a guest comes before a deadline is up to the machine
        found = behaviour(call, observation)
        if found not in self._seen and len(self._seen) < MAX_BEHAVIOURS:
            self._seen.add(found)
            if len(data) <= MAX_KEPT_BYTES:
                self._kept += 1
                self._pool.append(data)
