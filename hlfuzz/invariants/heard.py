"""Wraps a host function of the user's own: it runs as it is, and what it answers is noted, so that checkers
can tell a change in its answers from one in the guest or the platform."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Final

from hlfuzz.errors import UsageError
from hlfuzz.model import Failure, FuncType, Import, Value
from hlfuzz.sandbox import Caller, Globals, GuestMemory, HostFunction, Provider, Returned
from hlfuzz.sandbox.providers import host_function

MAX_NOTES: Final = 256
"""Effects of one host call that are noted; further ones are left out."""
_SHOWN: Final = 64

Note = Callable[[str], object]
Heard = Callable[[Caller, tuple[Value, ...], list[str]], object]
"""Runs a host function with the guest's arguments and adds to the list what it answers."""


def heard(import_: Import, provider: Provider) -> Heard:
    """The provider of an imported function, as something that notes its answers.

    Raises: LinkError as `Sandbox` does; UsageError for a coroutine function.
    """
    assert isinstance(import_.type, FuncType)
    function = host_function(import_, import_.type, provider)
    if iscoroutinefunction(function.fn):
        raise UsageError(
            f"host function {import_.key!r} is a coroutine: the checkers call host functions directly, "
            "give them a plain function"
        )
    return _with_caller(function) if function.caller else _plain(function)


def _plain(function: HostFunction) -> Heard:
    def run(caller: Caller, args: tuple[Value, ...], notes: list[str]) -> object:
        return _noted(lambda: function.fn(*args), notes)

    return run


def _with_caller(function: HostFunction) -> Heard:
    def run(caller: Caller, args: tuple[Value, ...], notes: list[str]) -> object:
        def note(text: str) -> None:
            if len(notes) < MAX_NOTES:
                notes.append(text)

        return _noted(lambda: function.fn(_HeardCaller(caller, note), *args), notes)

    return run


def _noted(run: Callable[[], object], notes: list[str]) -> object:
    try:
        returned = run()
    except Exception as error:
        notes.append(f"raised {type(error).__name__}: {str(error)[:_SHOWN]}")
        raise
    notes.append(f"returned {_text(returned)}")
    return returned


def _text(value: object) -> str:
    if not isinstance(value, bytes | bytearray):
        return repr(value)
    data = bytes(value)
    if len(data) <= _SHOWN:
        return repr(data)
    return f"{data[:_SHOWN]!r}… ({len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()[:16]})"


class _HeardCaller(Caller):
    """The same caller, whose every effect on the guest is noted."""

    def __init__(self, caller: Caller, note: Note) -> None:
        # One state for both: it must end when the other does, and count what the other counts.
        self.__dict__ = caller.__dict__
        self._note = note

    def memory(self, name: str | None = None) -> GuestMemory:
        return _HeardMemory(super().memory(name), self._note)

    @property
    def globals(self) -> Globals:
        return _HeardGlobals(super().globals, self._note)

    def place(self, *vectors: bytes) -> list[int]:
        self._note(f"placed {', '.join(map(_text, vectors))}")
        return super().place(*vectors)

    def _run(self, function: str, args: tuple[Value | bytes, ...]) -> Returned | Failure:
        self._note(f"called {function}({', '.join(map(_text, args))})")
        return super()._run(function, args)


class _HeardMemory(GuestMemory):
    def __init__(self, memory: GuestMemory, note: Note) -> None:
        self.__dict__ = memory.__dict__
        self._note = note

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        self._note(f"wrote {_text(bytes(data))} at {address}")
        super().write(address, data)


class _HeardGlobals(Globals):
    def __init__(self, globals_: Globals, note: Note) -> None:
        self.__dict__ = globals_.__dict__
        self._note = note

    def __setitem__(self, name: str, value: Value) -> None:
        self._note(f"set global {name} to {value!r}")
        super().__setitem__(name, value)
