"""Damaged records of the target's own schema, and whether the host's reader takes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Final

from hlfuzz.bindings import Interface
from hlfuzz.bindings.records import OK_HEADER
from hlfuzz.errors import EnvironmentProblem
from hlfuzz.invariants.lying.protobuf_damage import damaged
from hlfuzz.invariants.lying.protobuf_rules import Reading, Verdict
from hlfuzz.invariants.lying.records import record_batch
from hlfuzz.invariants.typed import shown_value
from hlfuzz.invariants.typed.answers import Answers, NoAnswerError
from hlfuzz.schema.ir import Direction, Format
from hlfuzz.schema.wire.base import EncodeError, Rule, WireError, WireFault

_ATTEMPTS: Final = 8
_LONG: Final = 600
"""Bytes of a record; each is read once for every one of its bytes."""
_EVERY_BYTE: Final = 1
"""The batch of `record_batch` that damages one byte after the other; those after it are random."""


def own_records(interface: Interface, batch: int) -> Iterator[tuple[str, bytes]]:
    """Types that cross in this interface, each with damaged records; none for a raw one, which has none.
    Batch 0 changes everything in turn, the others are random."""
    if interface.schema.format is Format.RAW:
        return
    methods = [m for direction in Direction for _, m in interface.methods(direction)]
    names = {name for m in methods for name in (m.request, m.response) if name is not None}
    for name in sorted(names):
        if interface.schema.format is Format.PROTO and batch == 0:
            yield from ((name, record) for record in damaged(interface.schema, name))
            continue
        true = _full_record(interface, name, batch)
        if true is None:
            continue
        for record in record_batch(_EVERY_BYTE + batch, OK_HEADER + true):
            if len(record) >= len(OK_HEADER):
                yield name, record[len(OK_HEADER) :]


def _full_record(interface: Interface, name: str, batch: int) -> bytes | None:
    """The longest of a few valid records that is not `_LONG`, or the shortest; None where there is none."""
    answers, encode = Answers(interface), interface.message(name).encode
    found: list[bytes] = []
    for attempt in range(_ATTEMPTS):
        with suppress(NoAnswerError, EncodeError):
            found.append(encode(answers.record(name, Random(f"{name} {batch} {attempt}"))))
    fitting = [record for record in found if len(record) <= _LONG]
    return max(fitting, key=len) if fitting else min(found, key=len, default=None)


def judge_own(interface: Interface, name: str, data: bytes) -> str:
    """Reads a record of the type `name` as a typed client does; what is wrong with what came of it, or ""."""
    if interface.schema.format is Format.PROTO:
        reading = Reading(interface.schema, data)
        return _judge(interface, name, data, reading.verdict(name), unsure=reading.unsure)
    return _judge(interface, name, data, interface.codec.verify(name, data))


def _judge(
    interface: Interface, name: str, data: bytes, fault: WireFault | Verdict | None, *, unsure: bool = False
) -> str:
    """Holds the host's reader against an independent verdict; `unsure`: not about required fields."""
    message = interface.message(name)
    try:
        found = message.decode(data)
    except WireError as error:
        if unsure and error.fault.rule is Rule.REQUIRED:
            return ""
        if fault is None:
            return f"is true, and was refused: {error}"
        if isinstance(fault, Verdict) and not _is_told(fault, error.fault):
            return f"breaks the schema ({fault}), and was refused for something else: {error.fault}"
        return ""
    except EnvironmentProblem:
        raise
    except Exception as error:
        return f"raised {type(error).__name__}, which is no outcome: {error}"
    if fault is not None and not (unsure and fault.rule is Rule.REQUIRED):
        return f"breaks the schema ({fault}), and was taken as {shown_value(found)}"
    return ""


def _is_told(wanted: Verdict, told: WireFault) -> bool:
    """Whether a refusal says what is wrong, and where."""
    return told.rule is wanted.rule and wanted.offset in (None, told.offset)
