"""A test case as data: the calls of a call context, where a tenant's secret sits in them, as JSON."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import copysign, isnan
from typing import Any, TypeAlias, cast

from hlfuzz.errors import UsageError
from hlfuzz.model import Call, Float32, Float64, Value

Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None


@dataclass(frozen=True, slots=True)
class Secret:
    """Where one tenant's secret lies: `length` bytes at `offset` of the byte vector of call number `call`.

    The window is filled with `first` in one run and with `second` in the other, repeated as often as needed;
    its last `cut` bytes are left out in the other run.
    """

    call: int
    offset: int
    length: int
    first: bytes
    second: bytes
    cut: int = 0

    def fill(self, data: bytes, secret: bytes, cut: int = 0) -> bytes:
        """`data` with the window overwritten, and `cut` bytes shorter; bytes outside the window stay as they
        are."""
        end = min(self.offset + self.length, len(data))
        window = (secret * (self.length // len(secret) + 1))[: max(end - self.offset, 0)]
        return data[: self.offset] + window[: max(len(window) - cut, 0)] + data[self.offset + len(window) :]


@dataclass(frozen=True, slots=True)
class Injection:
    """What goes wrong on purpose: `kind` of failure, at the occurrence number `at` (from 0) of `point`."""

    point: str
    kind: str
    at: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """Calls in order. `context` says whether they share one call context or are each reset right after.

    `boxes` says for each call which sandbox it goes to, by number from 0; empty: all go to one.
    """

    calls: tuple[Call, ...]
    context: bool = True
    secret: Secret | None = None
    boxes: tuple[int, ...] = ()
    injection: Injection | None = None

    def __post_init__(self) -> None:
        if self.boxes and (len(self.boxes) != len(self.calls) or min(self.boxes) < 0):
            raise UsageError(
                f"a case needs one sandbox number from 0 for each call (boxes={self.boxes}, "
                f"{len(self.calls)} calls): leave boxes out to use one sandbox"
            )

    def variants(self) -> tuple[tuple[Call, ...], tuple[Call, ...]]:
        """The calls with the first and with the second secret. Requires `secret`."""
        slot = self.secret
        if slot is None:
            raise UsageError("this case has no secret: only a tenant-independence case can be run as a pair")
        return self._filled(slot, slot.first, 0), self._filled(slot, slot.second, slot.cut)

    def _filled(self, slot: Secret, secret: bytes, cut: int) -> tuple[Call, ...]:
        call = self.calls[slot.call]
        at = vector_index(call)
        data = slot.fill(cast(bytes, call.args[at]), secret, cut)
        filled = replace(call, args=(*call.args[:at], data, *call.args[at + 1 :]))
        return (*self.calls[: slot.call], filled, *self.calls[slot.call + 1 :])

    @property
    def size(self) -> int:
        """How big a case is for a person: calls first, then bytes of their vectors."""
        return len(self.calls) * 65536 + sum(
            len(a) if isinstance(a, bytes) else 1 for c in self.calls for a in c.args
        )


def vector_index(call: Call) -> int:
    """Position of the first byte-string argument of `call`, or -1."""
    return next((i for i, arg in enumerate(call.args) if isinstance(arg, bytes)), -1)


def value_to_json(value: Value) -> Json:
    """One argument or result: integers as they are, floats as text, bits of a NaN and byte strings as hex."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, Float32):
        return {"f32": f"{value.bits:08x}"}
    if isinstance(value, Float64):
        return {"f64": f"{value.bits:016x}"}
    if isinstance(value, float):
        return {"float": "-nan" if isnan(value) and copysign(1.0, value) < 0 else repr(value)}
    return int(value)


def value_from_json(document: Any) -> Value:
    """Inverse of `value_to_json`. Raises: UsageError for anything else."""
    if isinstance(document, int) and not isinstance(document, bool):
        return document
    tagged = cast(dict[str, Any], document) if isinstance(document, dict) else {}
    shown = repr(cast(object, document))[:60]
    if len(tagged) == 1:
        ((tag, text),) = tagged.items()
        if isinstance(text, str):
            try:
                if tag == "bytes":
                    return bytes.fromhex(text)
                if tag == "f32":
                    return cast(float, Float32(int(text, 16)))
                if tag == "f64":
                    return cast(float, Float64(int(text, 16)))
                if tag == "float":
                    return float(text)
            except (ValueError, OverflowError, struct.error) as error:
                raise UsageError(f"value {text[:60]!r} is not a valid {tag}: {error}") from error
    raise UsageError(f"{shown} is no value: expected an integer or an object like {{'bytes': '00ff'}}")


def case_to_json(case: Case) -> Json:
    """The case as it is stored in a finding."""
    document: dict[str, Json] = {
        "context": case.context,
        "calls": [{"function": c.function, "args": [value_to_json(a) for a in c.args]} for c in case.calls],
    }
    if (slot := case.secret) is not None:
        document["secret"] = {
            "call": slot.call,
            "offset": slot.offset,
            "length": slot.length,
            "first": slot.first.hex(),
            "second": slot.second.hex(),
            "cut": slot.cut,
        }
    if case.boxes:
        document["boxes"] = list(case.boxes)
    if (injection := case.injection) is not None:
        document["injection"] = {"point": injection.point, "kind": injection.kind, "at": injection.at}
    return document


def case_from_json(document: Any) -> Case:
    """Inverse of `case_to_json`.

    Raises: UsageError naming the first part that is missing or of the wrong type.
    """
    try:
        calls = tuple(
            Call(_text(item["function"]), tuple(value_from_json(a) for a in item["args"]))
            for item in document["calls"]
        )
        if not calls:
            raise ValueError("it has no calls")
        secret = None
        if (slot := document.get("secret")) is not None:
            secret = Secret(
                int(slot["call"]),
                int(slot["offset"]),
                int(slot["length"]),
                bytes.fromhex(slot["first"]),
                bytes.fromhex(slot["second"]),
                int(slot.get("cut", 0)),
            )
            _check_slot(calls, secret)
        injection = None
        if (described := document.get("injection")) is not None:
            injection = Injection(_text(described["point"]), _text(described["kind"]), int(described["at"]))
        boxes = tuple(int(box) for box in document.get("boxes", ()))
        return Case(calls, bool(document["context"]), secret, boxes, injection)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UsageError(
            f"case of a finding is malformed ({type(error).__name__}: {error}): use a file that hlfuzz wrote"
        ) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a function name is text, not {type(value).__name__}")
    return value


def _check_slot(calls: tuple[Call, ...], slot: Secret) -> None:
    if not 0 <= slot.call < len(calls) or vector_index(calls[slot.call]) < 0:
        raise ValueError("the secret lies in no byte vector")
    if min(slot.offset, slot.length, slot.cut) < 0 or not slot.first or not slot.second:
        raise ValueError("the secret's window is empty or negative")
