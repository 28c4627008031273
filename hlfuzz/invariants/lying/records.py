"""Records with one thing wrong in them, and whether the host takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from struct import pack, pack_into
from typing import Any, Final

from hlfuzz.bindings.records import OK_HEADER
from hlfuzz.errors import AbiViolation, EnvironmentProblem, GuestError
from hlfuzz.invariants.lying.typed import ANSWER, RecordLiar, ask, liar_schema

_BATCH: Final = 96


@cache
def true_record() -> bytes:
    """A response record that is right."""
    it = liar_schema()
    of: Any = {name.rpartition(".")[2]: cls for name, cls in it.classes.definitions.items()}
    mood = of["Mood"]
    answer = of["Answer"](
        mood=mood(1),
        text="a text",
        tags=["one", "two"],
        numbers=[7, 8, 9],
        moods=[mood(0), mood(1)],
        point=of["Point"](3, mood(1)),
        part=of["Part"](name="a part"),
        body=it.classes.variants["liar.Body", 2](of["Question"](about="what")),
    )
    return OK_HEADER + it.message(ANSWER).encode(answer)


def record_batch(seed: int, true: bytes | None = None) -> Iterator[bytes]:
    """A record that is right (`true`, or the liar's) changed in one place, and itself at the end. Seed 0:
    header and offsets; 1: every byte; else random changes."""
    true = true_record() if true is None else true
    if seed == 0:
        yield from (true[:length] for length in (0, 1, 7, 8, 9, 12, 16, len(true) - 1))
        yield pack("<II", 0, 1) + true[8:]
        yield pack("<II", 1, 1) + b"text"
        for at in range(8, len(true) - 3, 4):
            for word in (0xFFFF_FFFF, 0x7FFF_FFFF, 0x8000_0000, len(true), len(true) - at, 0):
                yield _with(true, at, pack("<I", word))
    elif seed == 1:
        for at in range(len(true)):
            for byte in (0xFF, 0x80, true[at] ^ 1, true[at] + 1 & 0xFF, 0):
                yield _with(true, at, bytes((byte,)))
    else:
        rng = Random(seed)
        for _ in range(_BATCH):
            changed = bytearray(true[: rng.randrange(len(true) + 1)] if rng.random() < 0.2 else true)
            for _ in range(rng.randrange(1, 4)):
                width, form = rng.choice(((1, "<B"), (2, "<H"), (4, "<I")))
                if len(changed) >= width:
                    value = rng.choice((0, 1, 2, len(true), rng.getrandbits(8 * width), (1 << 8 * width) - 1))
                    value &= (1 << 8 * width) - 1
                    pack_into(form, changed, rng.randrange(len(changed) - width + 1), value)
            yield bytes(changed)
    yield true


def _with(record: bytes, at: int, new: bytes) -> bytes:
    return record[:at] + new + record[at + len(new) :]


def judge_record(liar: RecordLiar, record: bytes) -> str:
    """Has the guest answer these bytes; what is wrong with what its client made of them, or ""."""
    return _judge(record, len(OK_HEADER), _record_fault(record), lambda: ask(liar, record))


def judge_request(liar: RecordLiar, request: bytes) -> str:
    """Has the guest send these bytes, which are not none, to its host function; what is wrong with what the
    host made of them, or ""."""

    def run() -> Any:
        ask(liar, true_record(), request=request)
        return liar.host.noted

    fault = liar_schema().codec.verify(ANSWER, request)
    return _judge(request, 0, None if fault is None else str(fault), run)


def _judge(data: bytes, header: int, fault: str | None, run: Callable[[], Any]) -> str:
    """Three answers to one question: the host's, that of the format's rules in Python (`fault`), and whether
    what was read could be written."""
    try:
        found = run()
    except AbiViolation as error:
        path, offset = error.outcome.path, error.outcome.offset
        if fault is None:
            return f"is true, and was refused: {error.outcome.message}"
        if path is not None and not 0 <= (offset or 0) <= len(data):
            return f"was refused with a place that it has not: {path}, byte {offset}"
        return ""
    except GuestError:
        return "" if header and data[:4] != b"\0\0\0\0" else "is no error of the guest, and was taken for one"
    except EnvironmentProblem:
        raise
    except Exception as error:
        return f"raised {type(error).__name__}, which is no outcome: {error}"
    if fault is not None:
        return f"breaks the schema ({fault}), and was taken as {found!r}"
    message = liar_schema().message(ANSWER)
    try:
        again = message.decode(message.encode(found))
    except Exception as error:
        return f"was read as a value that the schema does not allow ({type(error).__name__}: {error})"
    return "" if again == found else f"was read as {found!r}, which is written and read as {again!r}"


def _record_fault(record: bytes) -> str | None:
    """Why these bytes are no record, by the rules alone."""
    if len(record) < len(OK_HEADER):
        return f"{len(record)} bytes are no header"
    if record[4:8] != b"\0\0\0\0":
        return "the second word is not 0"
    if record[:4] != b"\0\0\0\0":
        return None
    fault = liar_schema().codec.verify(ANSWER, record[len(OK_HEADER) :])
    return None if fault is None else str(fault)
