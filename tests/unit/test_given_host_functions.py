"""Host functions of the user's own under a checker: called for real, recorded with what they answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import wasmtime

from hlfuzz.errors import LinkError, UsageError
from hlfuzz.guest import Guest
from hlfuzz.invariants import Case, Config, HostMode, Target, describe_interface, refuse_missing
from hlfuzz.invariants.host import Recorder
from hlfuzz.model import Call, HostError, Ok
from hlfuzz.sandbox import Caller, HostFunction, Sandbox

ASKS = Guest.from_wasm(
    bytes(
        wasmtime.wat2wasm("""(module
  (import "env" "fetch" (func $fetch (param i32 i32) (result i32)))
  (memory (export "memory") 1) (global (export "seen") (mut i32) (i32.const 0))
  (func (export "alloc") (param i32) (result i32) (i32.const 2048))
  (func (export "twice") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
  (func (export "ask") (result i32) (call $fetch (i32.const 64) (i32.const 4))))""")
    )
)
ASK = Case((Call("ask"),), context=False)


def target(host: Mapping[str, Any], **modes: HostMode) -> Target:
    config = Config(host={f"env.{name}": mode for name, mode in modes.items()})
    return Target(ASKS, describe_interface(ASKS.info, config), engine="inprocess", host=host)


def fetch(pointer: int, length: int) -> int:
    return pointer + length


def test_a_given_function_answers_and_its_answer_is_recorded() -> None:
    with target({"env.fetch": fetch}) as opened:
        (seen,) = opened.run(ASK).observations
    assert seen.outcome == Ok((68,))
    (call,) = seen.host_calls
    assert (call.args, call.data, call.answer) == ((64, 4), bytes(4), ("returned 68",))


def test_it_comes_before_a_stand_in_and_the_stand_in_s_mode_says_how_it_is_recorded() -> None:
    with target({"env.fetch": fetch}, fetch=HostMode.RECORD) as opened:
        (seen,) = opened.run(ASK).observations
    assert (seen.outcome, seen.host_calls[0].data) == (Ok((68,)), None)


def test_all_that_it_does_to_the_guest_is_part_of_its_answer() -> None:
    def busy(caller: Caller, pointer: int, length: int) -> int:
        caller.write(pointer, b"\1\2\3\4")
        caller.globals["seen"] = 7
        assert caller.place(b"note") == [2048]
        return int(str(caller.call("twice", 21)))

    with target({"env.fetch": busy}) as opened:
        (seen,) = opened.run(ASK).observations
    assert seen.host_calls[0].answer == (
        "wrote b'\\x01\\x02\\x03\\x04' at 64",
        "set global seen to 7",
        "placed b'note'",
        "called twice(21)",
        "returned 42",
    )


def test_a_long_write_is_told_from_another_by_its_hash() -> None:
    def writes(filler: bytes) -> Callable[..., int]:
        def write(caller: Caller, pointer: int, length: int) -> int:
            caller.write(pointer, bytes(100) + filler)
            return 0

        return write

    answers = []
    for filler in (b"a", b"b"):
        with target({"env.fetch": HostFunction(writes(filler), caller=True)}) as opened:
            answers.append(opened.run(ASK).observations[0].host_calls[0].answer)
    assert answers[0] != answers[1]
    assert max(len(note) for answer in answers for note in answer) < 400


def test_one_that_raises_is_an_outcome_and_no_defect_of_hlfuzz() -> None:
    def broken(pointer: int, length: int) -> int:
        raise KeyError("nothing there")

    with target({"env.fetch": broken}) as opened:
        (seen,) = opened.run(ASK).observations
    assert isinstance(seen.outcome, HostError)
    assert "KeyError" in seen.outcome.message
    assert seen.host_calls[0].answer == ("raised KeyError: 'nothing there'",)


async def later(pointer: int, length: int) -> int:
    return 0


@pytest.mark.parametrize(
    ("host", "error", "text"),
    [
        ({"env.fetch": lambda: 0}, LinkError, "does not take the import's 2 arguments"),
        ({"env.fetch": 5}, LinkError, "pass a callable"),
        ({"env.fetch": fetch, "env.fech": fetch}, LinkError, "did you mean 'env.fetch'"),
        ({"env.fetch": later}, UsageError, "is a coroutine"),
    ],
    ids=["arity", "no callable", "misspelt", "coroutine"],
)
def test_one_that_cannot_be_used_is_refused_when_the_target_is_opened(
    host: Mapping[str, Any], error: type[Exception], text: str
) -> None:
    with target(host) as opened, pytest.raises(error, match=text):
        opened.open()


def test_what_is_given_is_not_missing() -> None:
    interface = describe_interface(ASKS.info, Config())
    with pytest.raises(UsageError, match=r"env\.fetch"):
        refuse_missing(ASKS.info, interface)
    refuse_missing(ASKS.info, interface, given={"env.fetch": fetch})


def test_the_caller_ends_with_its_function_when_it_is_listened_to_as_well() -> None:
    kept: list[Caller] = []

    def keep(caller: Caller, pointer: int, length: int) -> int:
        kept.append(caller)
        return 0

    recorder = Recorder(ASKS.info, {}, {"env.fetch": keep})
    with Sandbox(ASKS, recorder.providers, engine="inprocess") as box:
        box.call("ask")
        with pytest.raises(UsageError, match="after its host function returned"):
            kept[0].read(0, 1)
