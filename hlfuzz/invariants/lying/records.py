"""Lies in records: a typed guest that answers any bytes, and what its client makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from random import Random
from struct import pack, pack_into
from typing import Any, Final, Literal

from hlfuzz.bindings import SECTION, Interface, TypedGuest, client_of, section_text
from hlfuzz.bindings.records import OK_HEADER
from hlfuzz.errors import AbiViolation, EnvironmentProblem, GuestError
from hlfuzz.guest import Guest
from hlfuzz.guest.sections import with_custom_section
from hlfuzz.sandbox import EngineName
from hlfuzz.schema.fbs import parse_text

DEADLINE_SECONDS: Final = 2.0
_BATCH: Final = 96
_ANSWER: Final = "liar.Answer"
REQUEST_AT: Final = 4096
RECORD_AT: Final = 32768
"""Where the guest has the request that it sends to its host function, and the record that it answers."""
_MAX_BYTES: Final = 28672
_LENGTHS_AT: Final = 1024

_SCHEMA: Final = """namespace liar;
enum Mood : ubyte { Calm, Loud }
struct Point { x: uint; mood: Mood; }
table Part { name: string (required); }
union Body { Part, Question }
table Question { about: string; }
table Answer {
  mood: Mood; text: string; tags: [string]; numbers: [uint]; moods: [Mood]; point: Point; part: Part;
  body: Body;
}
rpc_service LiarGuest { answer(Question): Answer; }
rpc_service LiarHost { note(Answer): Question; }
"""

_WAT: Final = f"""(module
  (import "liar.LiarHost" "note" (func $note (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "hlfuzz_alloc") (param i32) (result i32) (i32.const 2048))
  (func (export "liar_LiarGuest_answer") (param i32 i32) (result i64)
    (if (i32.load (i32.const {_LENGTHS_AT})) (then
      (drop (call $note (i32.const {REQUEST_AT}) (i32.load (i32.const {_LENGTHS_AT}))))))
    (i64.or (i64.const {RECORD_AT << 32}) (i64.load32_u (i32.const {_LENGTHS_AT + 4})))))"""


class _Host:
    """Keeps what the guest sends to its host function."""

    def __init__(self) -> None:
        self.noted: Any = None

    def note(self, answer: Any) -> Any:
        self.noted = answer
        question: Any = _interface().classes.definitions["liar.Question"]
        return question(about="")


@cache
def _interface() -> Interface:
    return Interface(parse_text(_SCHEMA, name="liar"))


@cache
def _guest() -> Guest:
    import wasmtime

    return Guest.from_wasm(stamped(bytes(wasmtime.wat2wasm(_WAT))), name="typed liar")


def stamped(wasm: bytes) -> bytes:
    """A module with the handshake of the liars' schema."""
    return with_custom_section(wasm, SECTION, section_text(_interface().schema).encode())


@dataclass(frozen=True, slots=True)
class RecordLiar:
    """The typed liar in a sandbox of the engine under test."""

    client: TypedGuest[Any]
    host: _Host

    def close(self) -> None:
        """Close its sandbox."""
        self.client.close()


def open_record_liar(engine: Literal["auto"] | EngineName, reset: Literal["strict", "memory"]) -> RecordLiar:
    """The typed liar in a new sandbox, which the caller closes."""
    host = _Host()
    # What its client makes of a record does not depend on the transport, and this one needs no free CPU.
    client = client_of(_interface(), "liar.LiarGuest").open(
        _guest(), host=host, engine=engine, reset=reset, transport="exit", deadline=DEADLINE_SECONDS
    )
    return RecordLiar(client, host)


@cache
def true_record() -> bytes:
    """A response record that is right."""
    it = _interface()
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
    return OK_HEADER + it.message(_ANSWER).encode(answer)


def record_batch(seed: int) -> Iterator[bytes]:
    """A true record changed in one place, and the true one at the end. Seed 0: header and offsets; 1: every
    byte; else random changes."""
    true = true_record()
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
                    pack_into(form, changed, rng.randrange(len(changed) - width + 1), value)
            yield bytes(changed)
    yield true


def _with(record: bytes, at: int, new: bytes) -> bytes:
    return record[:at] + new + record[at + len(new) :]


def judge_record(liar: RecordLiar, record: bytes) -> str:
    """Has the guest answer these bytes; what is wrong with what its client made of them, or ""."""
    return _judge(record, len(OK_HEADER), _record_fault(record), lambda: ask(liar, record=record))


def judge_request(liar: RecordLiar, request: bytes) -> str:
    """Has the guest send these bytes, which are not none, to its host function; what is wrong with what the
    host made of them, or ""."""

    def run() -> Any:
        ask(liar, request=request)
        return liar.host.noted

    fault = _interface().codec.verify(_ANSWER, request)
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
    message = _interface().message(_ANSWER)
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
    fault = _interface().codec.verify(_ANSWER, record[len(OK_HEADER) :])
    return None if fault is None else str(fault)


def ask(
    liar: RecordLiar, *, record: bytes | None = None, request: bytes = b"", ready: Callable[[], object] = int
) -> Any:
    """What a typed call gives when the guest answers `record` (None: one that is right) and, unless it is
    empty, sends `request` to its host function first. `ready` is called before the call."""
    record = true_record() if record is None else record
    liar.host.noted = None
    question: Any = _interface().classes.definitions["liar.Question"]
    with liar.client.sandbox.context() as context:
        context.write(_LENGTHS_AT, pack("<II", len(request), len(record)))
        context.write(REQUEST_AT, request[:_MAX_BYTES])
        context.write(RECORD_AT, record[:_MAX_BYTES])
        ready()
        try:
            return liar.client.within(context).invoke("answer", question(about="anything"))
        finally:
            context.finish()
