"""Smaller typed calls for the shrinker: defaults, shorter texts, smaller numbers; they stay valid."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from hlfuzz.bindings.strategies.sites import Site, sites
from hlfuzz.errors import UsageError
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.typed.messages import MessageMethod
from hlfuzz.invariants.typed.schema import Typed
from hlfuzz.invariants.typed.source import locate
from hlfuzz.model import Call
from hlfuzz.schema.ir import Enum, Map, Named, Presence, Vector
from hlfuzz.schema.values import default_value, is_byte_vector


def simpler_fields(typed: Typed, case: Case, at: int, place: int) -> Iterator[Case] | None:
    """The case with something simpler in field number `place` of call number `at`, simplest first.

    A secret stays whole and moves with its field. None when the call has no field of that number, or is no
    valid call of a record.
    """
    call = case.calls[at]
    method = typed.methods.get(call.function)
    request = method.method.request if method is not None else None
    arguments = method.decode(call) if isinstance(method, MessageMethod) else None
    if method is None or request is None or arguments is None:
        return None
    if place >= len(sites(typed.interface, request, arguments[0])):
        return None
    return _candidates(typed, case, at, place, method, arguments[0])


def _candidates(typed: Typed, case: Case, at: int, place: int, method: Any, value: Any) -> Iterator[Case]:
    request = method.method.request
    before = sites(typed.interface, request, value)[place]
    # First what is there, in case that it was encoded in another way, as a mutator may leave it.
    for content in (before.get(), *_simpler(typed, before)):
        changed = copy.deepcopy(value)
        sites(typed.interface, request, changed)[place].put(content)
        try:
            smaller = _with_call(case, at, method.encode((changed,)))
        except UsageError:  # the field needs more than that
            continue
        if smaller is not None and smaller != case:
            yield smaller


def _with_call(case: Case, at: int, call: Call) -> Case | None:
    calls = (*case.calls[:at], call, *case.calls[at + 1 :])
    secret = case.secret
    if secret is not None and secret.call == at:
        offset = locate(call, secret.first)
        if offset is None:
            return None
        secret = replace(secret, offset=offset)
    return replace(case, calls=calls, secret=secret)


def _simpler(typed: Typed, site: Site) -> Iterator[Any]:
    """Other contents of a field, simplest first."""
    now: Any = site.get()
    type_ = site.field.type
    default = _default(typed, site)
    if now is None or now == default:
        return
    yield default
    if isinstance(now, str | bytes) or isinstance(type_, Vector):
        yield from _shorter(cast("Any", now))
    elif type(now) is int:
        yield from (n for n in (1, now // 2, now - 1) if 0 < n < now)


def _shorter(items: Any) -> Iterator[Any]:
    """Without each half, each quarter, and so on."""
    chunk = len(items) // 2
    while chunk:
        yield from (items[:i] + items[i + chunk :] for i in range(0, len(items), chunk))
        chunk //= 2


def _default(typed: Typed, site: Site) -> Any:
    field, type_ = site.field, site.field.type
    if is_byte_vector(type_):
        return b""
    if isinstance(type_, Vector):
        return []
    if isinstance(type_, Map):
        return {}
    schema, classes = typed.interface.schema, typed.interface.classes.definitions
    if field.presence is not Presence.REQUIRED:
        return default_value(schema, field, classes)
    if isinstance(type_, Named) and isinstance(schema.by_name[type_.name], Enum):
        return site.get()
    now = site.get()
    return type(now)() if isinstance(now, str | bytes | int | float) else now
