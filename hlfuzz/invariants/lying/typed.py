"""A typed guest that answers any bytes as its record, and sends any bytes to its host function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from struct import pack
from typing import Any, Final, Literal

from hlfuzz.bindings import SECTION, Interface, TypedGuest, client_of, section_text
from hlfuzz.guest import Guest
from hlfuzz.guest.sections import with_custom_section
from hlfuzz.sandbox import EngineName
from hlfuzz.schema.fbs import parse_text

DEADLINE_SECONDS: Final = 2.0
ANSWER: Final = "liar.Answer"
"""The type of its responses, and of what it sends to its host."""
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
        question: Any = liar_schema().classes.definitions["liar.Question"]
        return question(about="")


@cache
def liar_schema() -> Interface:
    """The schema of the lying guest."""
    return Interface(parse_text(_SCHEMA, name="liar"))


@cache
def _guest() -> Guest:
    import wasmtime

    return Guest.from_wasm(stamped(bytes(wasmtime.wat2wasm(_WAT))), name="typed liar")


def stamped(wasm: bytes) -> bytes:
    """A module with the handshake of the liars' schema."""
    return with_custom_section(wasm, SECTION, section_text(liar_schema().schema).encode())


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
    client = client_of(liar_schema(), "liar.LiarGuest").open(
        _guest(), host=host, engine=engine, reset=reset, transport="exit", deadline=DEADLINE_SECONDS
    )
    return RecordLiar(client, host)


def ask(liar: RecordLiar, record: bytes, *, request: bytes = b"", ready: Callable[[], object] = int) -> Any:
    """What a typed call gives when the guest answers `record` and, unless it is empty, sends `request` to its
    host function first. `ready` is called before the call."""
    liar.host.noted = None
    question: Any = liar_schema().classes.definitions["liar.Question"]
    with liar.client.sandbox.context() as context:
        context.write(_LENGTHS_AT, pack("<II", len(request), len(record)))
        context.write(REQUEST_AT, request[:_MAX_BYTES])
        context.write(RECORD_AT, record[:_MAX_BYTES])
        ready()
        try:
            return liar.client.within(context).invoke("answer", question(about="anything"))
        finally:
            context.finish()
