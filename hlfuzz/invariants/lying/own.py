"""Damaged records of the target's own schema, and whether the host's reader takes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Final

from hlfuzz.bindings import Interface
from hlfuzz.bindings.records import OK_HEADER
from hlfuzz.errors import EnvironmentProblem
from hlfuzz.invariants.lying.records import record_batch
from hlfuzz.invariants.typed.answers import Answers, NoAnswerError
from hlfuzz.schema.ir import Direction, Format
from hlfuzz.schema.wire.base import EncodeError, WireError

_ATTEMPTS: Final = 8
_EVERY_BYTE: Final = 1
"""The batch of `record_batch` that damages one byte after the other; those after it are random."""


def own_records(interface: Interface, batch: int) -> Iterator[tuple[str, bytes]]:
    """Types that cross in this interface, each with damaged records; none unless they are FlatBuffers, which
    alone are verified apart from being read."""
    if interface.schema.format is not Format.FBS:
        return
    methods = [m for direction in Direction for _, m in interface.methods(direction)]
    names = {name for m in methods for name in (m.request, m.response) if name is not None}
    for name in sorted(names):
        true = _full_record(interface, name, batch)
        if true is None:
            continue
        for record in record_batch(_EVERY_BYTE + batch, OK_HEADER + true):
            yield name, record[len(OK_HEADER) :]


def _full_record(interface: Interface, name: str, batch: int) -> bytes | None:
    """The longest of a few valid records; None where there is none that is small enough."""
    answers, encode = Answers(interface), interface.message(name).encode
    found: list[bytes] = []
    for attempt in range(_ATTEMPTS):
        with suppress(NoAnswerError, EncodeError):
            found.append(encode(answers.record(name, Random(f"{name} {batch} {attempt}"))))
    return max(found, key=len, default=None)


def judge_own(interface: Interface, name: str, data: bytes) -> str:
    """Reads a record of the type `name` as a typed client does; what is wrong with what came of it, or ""."""
    fault = interface.codec.verify(name, data)
    try:
        found = interface.message(name).decode(data)
    except WireError as error:
        return "" if fault is not None else f"is true, and was refused: {error}"
    except EnvironmentProblem:
        raise
    except Exception as error:
        return f"raised {type(error).__name__}, which is no outcome: {error}"
    return "" if fault is None else f"breaks the schema ({fault}), and was taken as {found!r}"
