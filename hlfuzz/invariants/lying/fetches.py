"""What a caller sees of a true answer when memory that the guest shares changes while the host reads it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from hlfuzz.bindings.records import OK_HEADER
from hlfuzz.errors import CallFailed, EnvironmentProblem, GuestError
from hlfuzz.invariants.lying import records
from hlfuzz.invariants.lying.pointers import DATA, PAGE, ROOM, Lie, PointerLiar, ask, open_pointer_liar
from hlfuzz.invariants.observe import outcome_key
from hlfuzz.model import Ok
from hlfuzz.sandbox import Sandbox
from hlfuzz.vmm import Change, Shared

Seen: TypeAlias = tuple[object, ...]
"""All that the caller, and a host function, got of one call; equal for equal things."""

_NEVER: Final = 1 << 40
"""More reads than a call makes."""
_RACES: Final = 48
_ADDRESS: Final = 1000
_RAM: Final = 1 << 30
_RAISED: Final = "raised"


@dataclass(frozen=True, slots=True)
class Scene:
    """A call in which the guest tells the truth, and the changes that are made meanwhile.

    `raced` are for a second thread, which writes a lie and the truth in turn: what it writes changes nothing
    that the guest does, only what the host gets to see.
    """

    name: str
    changes: tuple[Change, ...]
    raced: tuple[Change, ...] = ()


_ANSWER: Final = (
    Change(Shared.AUX, 0, 4, 7),
    Change(Shared.COUNT, 0, 4, 0xFFFF_FFFF),
    Change(Shared.MEMORY, 0, 8, 4096),
    Change(Shared.MEMORY_LEN, 0, 8, 8),
    Change(Shared.MEMORY_LEN, 0, 8, 1 << 30),
    Change(Shared.VECTOR_HEAD, 0, 4, 0xFFFF_FFFF),
    Change(Shared.VECTOR_HEAD, 12, 4, 0xFFFF_FFFF),
)
"""Of any answer."""
_QUEUE: Final = (Change(Shared.POSTED, 0, 4, 64), Change(Shared.QUEUE, 0, 4, 5))
_BUFFER: Final = (Change(Shared.GUEST, _ADDRESS, 1, 0x58, 0x59),)
_ADDRESSES: Final = (
    Change(Shared.VALUES, 0, 8, 65_530, _ADDRESS),
    Change(Shared.VALUES, 0, 8, 0xFFFF_FFFF, _ADDRESS),
)
_RACED: Final = (Change(Shared.MEMORY_LEN, 0, 8, 8, PAGE), Change(Shared.POSTED, 0, 4, 64))


def _lengths(at: int) -> tuple[Change, ...]:
    """Lengths that are wrong each in its own way: behind the memory, over the limit, no length at all."""
    return tuple(Change(Shared.VALUES, at, 8, wrong, len(DATA)) for wrong in (70_000, 5000, 0xFFFF_FFFF))


def _record(name: str, start: int, record: bytes) -> Scene:
    """Every third byte of a record in memory, and every ninth for a second thread."""
    changes = tuple(Change(Shared.GUEST, start + at, 1, 0xFF, record[at]) for at in range(0, len(record), 3))
    return Scene(name, changes, changes[::3])


def scenes() -> tuple[Scene, ...]:
    """All of them; bytes of records are changed one after the other."""
    packed = (
        Change(Shared.VALUES, 0, 8, _ADDRESS << 32 | 70_000, _ADDRESS << 32 | len(DATA)),
        Change(Shared.VALUES, 0, 8, 0xFFF0 << 32 | 64, _ADDRESS << 32 | len(DATA)),
    )
    rooms = (Change(Shared.VALUES, 0, 8, 65_530), Change(Shared.VALUES, 0, 8, 64))
    pair = (*_lengths(16), *_ADDRESSES, *_BUFFER)
    record = records.true_record()
    return (
        Scene("pair", (*pair, *_ANSWER, *_QUEUE), (*pair, *_RACED)),
        Scene("packed", (*packed, *_ANSWER, *_QUEUE, *_BUFFER), (*packed, *_RACED, *_BUFFER)),
        Scene("inplace", (*_lengths(0), *_ANSWER, *_QUEUE), (*_lengths(0), *_RACED)),
        Scene("allocator", (*rooms, *_ANSWER)),
        Scene("send", (*pair, *_ANSWER), pair),
        _record("record", records.RECORD_AT, record),
        _record("request", records.REQUEST_AT, record.removeprefix(OK_HEADER)),
    )


class Stage:
    """The sandboxes in which scenes are played; a context manager that closes them.

    They reset strictly, which wipes the mailbox: what a change leaves there is none of the next call's.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        # without a call of an allocator, whose result would lie where that of the call does
        self._pointers = open_pointer_liar("kvm", "strict", allocator=ROOM)
        self._stack.callback(self._pointers.box.close)
        self._allocating = open_pointer_liar("kvm", "strict")
        self._stack.callback(self._allocating.box.close)
        self._records = records.open_record_liar("kvm", "strict")
        self._stack.callback(self._records.client.close)

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def box(self, scene: Scene) -> Sandbox:
        """The sandbox of a scene."""
        if scene.name in ("record", "request"):
            return self._records.client.sandbox
        return self._liar(scene).box

    def see(self, scene: Scene, change: Change) -> tuple[Seen, int]:
        """What is seen of the call when `change` happens, and how often the host has read or another thread
        written."""
        box = self.box(scene)
        seen = self.play(scene, lambda: box.meddle(change))
        return seen, box.meddle(None)

    def play(self, scene: Scene, ready: Callable[[], object]) -> Seen:
        """The call; `ready` is called right before it."""
        try:
            return self._call(scene, ready)
        except CallFailed as failed:
            return (*outcome_key(failed.outcome), self._liar(scene).host.taken)
        except GuestError as error:
            return ("guest-error", error.code)
        except EnvironmentProblem:
            raise
        except Exception as error:
            return (_RAISED, f"{type(error).__name__}: {error}")

    def _liar(self, scene: Scene) -> PointerLiar:
        return self._allocating if scene.name == "allocator" else self._pointers

    def _call(self, scene: Scene, ready: Callable[[], object]) -> Seen:
        match scene.name:
            case "record":
                return ("ok", repr(records.ask(self._records, ready=ready)))
            case "request":
                request = records.true_record().removeprefix(OK_HEADER)
                records.ask(self._records, request=request, ready=ready)
                return ("ok", repr(self._records.host.noted))
            case _:
                return self._point(scene, ready)

    def _point(self, scene: Scene, ready: Callable[[], object]) -> Seen:
        liar = self._liar(scene)
        liar.host.taken = None
        lies = {
            "pair": Lie("pair", _ADDRESS, len(DATA)),
            "packed": Lie("packed", _ADDRESS, len(DATA)),
            "inplace": Lie("inplace", 0, len(DATA)),
            "allocator": Lie("allocator", 0),
            "send": Lie("send", _ADDRESS, len(DATA)),
        }
        lie = lies[scene.name]
        with liar.box.context() as context:
            try:
                if lie.what == "allocator":
                    context.call("allocate_at", lie.address, 0)
                ready()
                value: Any = ask(context, lie)
                return (*outcome_key(Ok((value,) if isinstance(value, bytes) else ())), liar.host.taken)
            finally:
                context.finish()


def judge_moments(stage: Stage, scene: Scene, change: Change) -> str:
    """Makes the change before each read of shared memory in turn; what is wrong, "" when nothing is.

    A host that reads everything once sees it changed from one moment on backwards: all earlier moments give
    what a guest gives that lied from the start, all later ones what it gives without the change.
    """
    never, reads = stage.see(scene, replace(change, at_read=_NEVER))
    seen = [stage.see(scene, replace(change, at_read=at))[0] for at in range(reads)]
    step = next((at for at, one in enumerate(seen) if one != seen[0]), reads)
    for at, one in enumerate(seen):
        if one[0] == _RAISED:
            return f"before read {at} of {reads} {_text(one)}, which is no outcome"
        if at >= step and one != never:
            return (
                f"before read {at} of {reads} gives {_text(one)}; before all of them it gives "
                f"{_text(seen[0])}, and never {_text(never)}"
            )
    return ""


def judge_race(stage: Stage, scene: Scene, change: Change) -> str:
    """Has a second thread write both values of the change in turn, over and over, while calls are made; what
    is wrong, or "": each call must see one of them throughout, or what the guest itself wrote."""
    values = (change.value, change.other)
    allowed = [stage.see(scene, replace(change, at_read=_NEVER))[0]]
    allowed += (stage.see(scene, replace(change, value=value, at_read=0))[0] for value in values)
    box = stage.box(scene)
    box.meddle(replace(change, at_read=None))
    try:
        for _ in range(_RACES):
            seen = stage.play(scene, int)
            if seen not in allowed:
                return f"gives {_text(seen)}, which is none of {', '.join(map(_text, allowed))}"
    finally:
        box.meddle(None)
        box.reset()
    return ""


def _text(seen: Seen) -> str:
    text = repr(seen)
    return text if len(text) <= 120 else f"{text[:120]}…"
