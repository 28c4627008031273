"""What a caller sees of a true answer when memory that the guest shares changes while the host reads it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final, TypeAlias

from hlfuzz.bindings.records import OK_HEADER
from hlfuzz.errors import CallFailed, EnvironmentProblem, GuestError
from hlfuzz.invariants.lying import typed
from hlfuzz.invariants.lying.claims import Lie
from hlfuzz.invariants.lying.pointers import DATA, ROOM, PointerLiar, ask, open_pointer_liar
from hlfuzz.invariants.lying.records import true_record
from hlfuzz.invariants.lying.scenes import ADDRESS, Scene
from hlfuzz.invariants.observe import outcome_key
from hlfuzz.model import Ok
from hlfuzz.sandbox import Sandbox
from hlfuzz.vmm import Change

Seen: TypeAlias = tuple[object, ...]
"""All that the caller, and a host function, got of one call; equal for equal things."""

_NEVER: Final = 1 << 40
"""More reads than a call makes."""
_RACES: Final = 48
_RAISED: Final = "raised"


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
        self._records = typed.open_record_liar("kvm", "strict")
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
                return ("ok", repr(typed.ask(self._records, true_record(), ready=ready)))
            case "request":
                request = true_record().removeprefix(OK_HEADER)
                typed.ask(self._records, true_record(), request=request, ready=ready)
                return ("ok", repr(self._records.host.noted))
            case _:
                return self._point(scene, ready)

    def _point(self, scene: Scene, ready: Callable[[], object]) -> Seen:
        liar = self._liar(scene)
        liar.host.taken = None
        lies = {
            "pair": Lie("pair", ADDRESS, len(DATA)),
            "packed": Lie("packed", ADDRESS, len(DATA)),
            "inplace": Lie("inplace", 0, len(DATA)),
            "allocator": Lie("allocator", 0),
            "send": Lie("send", ADDRESS, len(DATA)),
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
