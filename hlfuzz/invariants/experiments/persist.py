"""Experiments of `context-persist`: what lasts within a context."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from hlfuzz.errors import UsageError
from hlfuzz.invariants.experiments.lab import Experiment, Lab, expect
from hlfuzz.invariants.experiments.slate import NOTE_ADDRESS, Place
from hlfuzz.sandbox import CallContext

_NOTE: Final = 5


def _notes(lab: Lab) -> None:
    """What calls write, calls read."""
    with lab.open() as box, box.context() as context:
        for place in Place:
            context.call("write", place, _NOTE)
            context.call("ask", 2)
            _expect_notes(context, {p: _NOTE for p in Place if p <= place})
        context.finish()


def _host_writes(lab: Lab) -> None:
    """What the host writes, calls read, and the other way round."""
    with lab.open() as box, box.context() as context:
        context.write(NOTE_ADDRESS, b"\x07\0\0\0")
        box.globals["page"] = 8
        _expect_notes(context, {Place.MEMORY: 7, Place.GLOBAL: 8})
        context.call("write", Place.MEMORY, _NOTE)
        seen = context.read(NOTE_ADDRESS, 4)[0]
        expect(seen == _NOTE, f"the host reads {seen} from memory where a call has written {_NOTE}")
        context.finish()


def _refused_call(lab: Lab) -> None:
    """A call that is refused changes nothing."""
    with lab.open() as box, box.context() as context:
        for place in Place:
            context.call("write", place, _NOTE)
        with suppress(UsageError):
            context.call("write", 1)
        _expect_notes(context, dict.fromkeys(Place, _NOTE))
        context.finish()


def _nested_calls(lab: Lab) -> None:
    """A host function that calls the guest back shares the state of the context."""
    lab.answer = lambda caller, value: (caller.call("write", Place.TABLE, value), caller.call("read", 0))[1]
    with lab.open() as box, box.context() as context:
        context.call("write", Place.MEMORY, _NOTE)
        answer = context.call("ask", 1)
        expect(answer == _NOTE, f"a nested call reads {answer} where the context has written {_NOTE}")
        _expect_notes(context, {Place.MEMORY: _NOTE, Place.TABLE: 1})
        context.finish()


def _other_sandboxes(lab: Lab) -> None:
    """Calls, contexts and resets of another sandbox of the guest end nothing here."""
    with lab.open() as box, lab.open() as other, box.context() as context:
        for place in Place:
            context.call("write", place, _NOTE)
        other.call("write", Place.MEMORY, 1)
        with other.context() as second:
            second.call("write", Place.TABLE, 1)
            _expect_notes(context, dict.fromkeys(Place, _NOTE))
            second.finish()
        other.reset()
        _expect_notes(context, dict.fromkeys(Place, _NOTE))
        context.finish()


def _snapshots(lab: Lab) -> None:
    """A snapshot of a context holds its state, and taking it changes nothing."""
    with lab.open() as box, box.context() as context:
        for place in Place:
            context.call("write", place, _NOTE)
        if box.engine == "kvm":
            with lab.open(snapshot=context.snapshot()) as clone, clone.context() as continued:
                _expect_notes(continued, dict.fromkeys(Place, _NOTE), "in a sandbox made from its snapshot ")
                continued.finish()
        _expect_notes(context, dict.fromkeys(Place, _NOTE))
        context.finish()


def _expect_notes(context: CallContext, notes: Mapping[Place, int], where: str = "") -> None:
    for place in Place:
        found, wanted = context.call("read", place), notes.get(place, 0)
        expect(
            found == wanted,
            f"{where}a call reads {found} from {place.name.lower()} where the context has {wanted}",
        )


PERSIST: Final[Mapping[str, Experiment]] = {
    "notes-last": _notes,
    "host-writes-last": _host_writes,
    "refused-call": _refused_call,
    "nested-calls": _nested_calls,
    "other-sandboxes": _other_sandboxes,
    "snapshots": _snapshots,
}
