"""Calls for generators: drawn by Hypothesis in batches, picked by a random source; secrets in values."""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random
from typing import Any, Final

from hlfuzz.bindings import strategies as typed_strategies
from hlfuzz.bindings.strategies.sites import Site, sites
from hlfuzz.errors import UsageError
from hlfuzz.invariants.drawing import drawn
from hlfuzz.invariants.typed.method import TypedMethod
from hlfuzz.invariants.typed.numbers import RawMethod
from hlfuzz.invariants.typed.schema import Typed
from hlfuzz.model import Call, Value
from hlfuzz.schema.ir import Bytes, String
from hlfuzz.schema.values import is_byte_vector

BATCH: Final = 16
"""Calls of one kind that are drawn at a time: about 15 ms."""
USES: Final = 4
"""How often a call is picked, on average, before new ones are drawn."""
VALID_SHARE: Final = 0.8
"""Share of calls that are valid; the others are encodings at the edge, and damaged ones."""
SEED_SHARE: Final = 0.5
"""Share of the valid calls that carry a seed in a field, where there are seeds."""
_LOOKS: Final = 12
"""Calls that are looked at for a place where a secret fits."""


class TypedSource:
    """Makes calls of the methods of one schema; the same random source makes the same calls."""

    def __init__(self, typed: Typed, rng: Random, seed: Callable[[], bytes] | None) -> None:
        """`seed` gives bytes worth putting into a field: a seed input, or what a mutator made of one."""
        self._typed = typed
        self._rng = rng
        self._seed = seed
        self._pools: dict[tuple[str, str], tuple[list[Call], int]] = {}

    def call(self, symbol: str) -> Call:
        """A call: mostly a valid one."""
        method = self._typed.methods[symbol]
        if method.method.request is None or self._rng.random() < VALID_SHARE:
            return self.valid(symbol)
        return self._pick(method, self._rng.choice(("near", "hostile")))

    def valid(self, symbol: str) -> Call:
        """A valid call; half of them carry a seed."""
        method = self._typed.methods[symbol]
        call = self._pick(method, "valid")
        if self._seed is None or not method.carries_bytes or self._rng.random() >= SEED_SHARE:
            return call
        return put(self._typed, method, call, self._seed(), self._rng) or call

    def with_secret(self, symbol: str, secret: bytes) -> tuple[Call, int] | None:
        """A valid call whose bytes hold the secret once, in a field, and the offset of it in them. Any other
        secret of letters and digits of that length may be put there, and the call stays valid. None when the
        method has no place for it."""
        method = self._typed.methods[symbol]
        if not method.carries_bytes:
            return None
        for _ in range(_LOOKS):
            found = carry(self._typed, self.valid(symbol), secret, self._rng)
            if found is not None:
                return found
        return None

    def _pick(self, method: TypedMethod, kind: str) -> Call:
        key = method.symbol, kind
        calls, left = self._pools.get(key, ([], 0))
        if left <= 0:
            calls = calls + self._draw(method, kind)
            left = BATCH * USES
        self._pools[key] = calls, left - 1
        return self._rng.choice(calls)

    def _draw(self, method: TypedMethod, kind: str) -> list[Call]:
        number = self._rng.getrandbits(64)
        if kind == "valid":
            from hlfuzz.invariants.strategies import arguments_of

            return [method.encode(a) for a in drawn(arguments_of(self._typed, method), number, BATCH)]
        request = method.method.request
        assert request is not None
        interface = self._typed.interface
        if kind == "near":
            near = drawn(typed_strategies.near_valid(interface, request), number, BATCH)
            return [Call(method.symbol, (n.data,)) for n in near]
        damaged = drawn(typed_strategies.hostile_bytes(interface, request), number, BATCH)
        return [Call(method.symbol, (data,)) for data in damaged]


def carry(typed: Typed, call: Call, secret: bytes, rng: Random) -> tuple[Call, int] | None:
    """The call with the secret in one of its fields, and the offset as of `TypedSource.with_secret`."""
    method = typed.methods.get(call.function)
    changed = put(typed, method, call, secret, rng) if method is not None else None
    at = locate(changed, secret) if changed is not None else None
    return None if changed is None or at is None else (changed, at)


def locate(call: Call, secret: bytes) -> int | None:
    """Where the first byte vector of a call holds these bytes, if it does so exactly once."""
    data = next((a for a in call.args if isinstance(a, bytes)), b"")
    return data.index(secret) if data.count(secret) == 1 else None


def put(typed: Typed, method: TypedMethod, call: Call, content: bytes, rng: Random) -> Call | None:
    """The call with `content` in one of its fields of bytes or text, alone or in the middle of what is there.
    None when it has none, or the content does not fit it."""
    if isinstance(method, RawMethod):
        return _put_raw(call, content, rng)
    arguments = method.decode(call)
    request = method.method.request
    if arguments is None or request is None:
        return None
    value = copy.deepcopy(arguments[0])
    places = [s for s in sites(typed.interface, request, value) if _takes_bytes(s)]
    if not places:
        return None
    site = rng.choice(places)
    text = isinstance(site.field.type, String)
    old = site.get() or ("" if text else b"")
    new: Any = content.decode("utf-8", "replace") if text else content
    cut = rng.randrange(len(old) + 1) if rng.random() < 0.5 else 0
    site.put(old[:cut] + new + old[cut:] if cut else new)
    try:
        return method.encode((value,))
    except UsageError:  # a bound of the format: this content does not fit
        return None


def _takes_bytes(site: Site) -> bool:
    type_ = site.field.type
    if site.field.key or site.field.nested is not None:
        return False  # one decides an order, the other has a form of its own
    return isinstance(type_, String | Bytes) or is_byte_vector(type_)


def _put_raw(call: Call, content: bytes, rng: Random) -> Call | None:
    # The first byte vector: that is where a case has its secret.
    at = next((i for i, a in enumerate(call.args) if isinstance(a, bytes)), -1)
    if at < 0:
        return None
    old = call.args[at]
    assert isinstance(old, bytes)
    cut = rng.randrange(len(old) + 1)
    args: tuple[Value, ...] = (*call.args[:at], old[:cut] + content + old[cut:], *call.args[at + 1 :])
    return Call(call.function, args)
