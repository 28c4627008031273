"""Host functions that record what the guest sent: stand-ins, which return zeros, and the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import get_ident
from typing import Final

from hlfuzz.errors import UsageError
from hlfuzz.invariants.heard import heard
from hlfuzz.invariants.observe import HostCall
from hlfuzz.invariants.settings.config import HostMode
from hlfuzz.model import ExternKind, FuncType, GlobalType, Import, ModuleInfo, ValType, Value
from hlfuzz.sandbox import Caller, Global, HostFunction, Memory, Provider, Table

MAX_RECORDED_BYTES: Final = 1 << 20
"""A longer buffer is recorded by its first bytes and its length, so that a guest cannot make the recorder
grow."""

MAX_RECORDED_CALLS: Final = 10_000
"""Host calls kept of one guest call; further ones are counted only."""

_U32: Final = 0xFFFFFFFF
_ZERO: Final[dict[ValType, Value]] = {
    ValType.I32: 0,
    ValType.I64: 0,
    ValType.F32: 0.0,
    ValType.F64: 0.0,
    ValType.V128: bytes(16),
}

Instead = Callable[[str, Caller, Callable[[], object]], object]
"""`instead(name, caller, answer)`: what the host function returns or raises; `answer()` is what it would."""


class Recorder:
    """The host functions of one sandbox and what they have seen since `take()` was last called.

    `modes` allows stand-ins by import name; `given` are providers of the user's own, which come first. Their
    buffers are recorded as `modes` says, or as `HostMode.AUTO`. `instead`, when set, decides what each
    function answers.
    """

    def __init__(
        self, info: ModuleInfo, modes: Mapping[str, HostMode], given: Mapping[str, Provider] | None = None
    ) -> None:
        self.instead: Instead | None = None
        self.providers: dict[str, Provider] = dict(given or {})
        self.stand_ins: set[str] = set()
        """Names of the imports that nobody but this recorder answers."""
        self._calls: list[HostCall] = []
        for import_ in info.imports:
            key = import_.key
            if key in self.providers:
                if isinstance(import_.type, FuncType):
                    self.providers[key] = self._given(import_, self.providers[key], modes)
            elif key in modes:
                self.stand_ins.add(key)
                self.providers[key] = self._provider(import_, modes[key])

    def note(self, call: HostCall) -> None:
        """Keep a call that a stand-in of somebody else saw."""
        if len(self._calls) < MAX_RECORDED_CALLS:
            self._calls.append(call)

    @staticmethod
    def unused_function() -> HostFunction:
        """A provider for a name that no module imports."""
        return HostFunction(lambda: None)

    def take(self) -> tuple[HostCall, ...]:
        """The host calls since the last `take()`, in order."""
        if not self._calls:
            return ()
        calls = tuple(self._calls)
        self._calls.clear()
        return calls

    def _provider(self, import_: Import, mode: HostMode) -> Provider:
        if import_.kind is ExternKind.MEMORY:
            return Memory()
        if import_.kind is ExternKind.TABLE:
            return Table()
        if isinstance(import_.type, GlobalType):
            return Global(_ZERO.get(import_.type.value, 0))
        assert isinstance(import_.type, FuncType)
        return HostFunction(self._function(import_.key, import_.type, mode), caller=True)

    def _function(self, name: str, type_: FuncType, mode: HostMode) -> Callable[..., object]:
        zeros = tuple(_ZERO.get(t, 0) for t in type_.results)
        result = None if not zeros else zeros[0] if len(zeros) == 1 else zeros
        note = self._recording(name, type_, mode)

        def stand_in(caller: Caller, *args: Value) -> object:
            note(caller, args)
            return result if self.instead is None else self.instead(name, caller, lambda: result)

        return stand_in

    def _given(self, import_: Import, provider: Provider, modes: Mapping[str, HostMode]) -> HostFunction:
        assert isinstance(import_.type, FuncType)
        run, calls = heard(import_, provider), self._calls
        note = self._recording(import_.key, import_.type, modes.get(import_.key, HostMode.AUTO))

        def given(caller: Caller, *args: Value) -> object:
            at = note(caller, args)
            answer: list[str] = []
            try:
                if self.instead is None:
                    return run(caller, args, answer)
                return self.instead(import_.key, caller, lambda: run(caller, args, answer))
            finally:
                if at < len(calls):
                    calls[at] = replace(calls[at], answer=tuple(answer))

        return HostFunction(given, caller=True)

    def _recording(
        self, name: str, type_: FuncType, mode: HostMode
    ) -> Callable[[Caller, tuple[Value, ...]], int]:
        """Keeps a host call and returns its position; the number of those kept when it is not kept."""
        calls = self._calls
        buffers = mode is not HostMode.RECORD and type_.params[:2] == (ValType.I32, ValType.I32)

        def note(caller: Caller, args: tuple[Value, ...]) -> int:
            at = len(calls)
            if at < MAX_RECORDED_CALLS:
                if buffers:
                    calls.append(_with_buffer(caller, name, args, mode))
                else:
                    calls.append(HostCall(name, args, thread=get_ident()))
            return at

        return note


def _with_buffer(caller: Caller, name: str, args: tuple[Value, ...], mode: HostMode) -> HostCall:
    pointer, length = int(args[0]) & _U32, int(args[1]) & _U32  # type: ignore[arg-type]
    try:
        size = caller.memory().size
    except UsageError:  # the guest exports no memory
        return HostCall(name, args, thread=get_ident())
    if pointer + length > size:
        problem = f"buffer of {length} bytes at {pointer} lies outside the memory of {size} bytes"
        return HostCall(name, args, None, problem if mode is HostMode.BYTES else "", get_ident())
    try:
        data = caller.read(pointer, min(length, MAX_RECORDED_BYTES))
    except UsageError:  # a native guest's memory has gaps
        problem = f"buffer of {length} bytes at {pointer} lies where the guest has no memory"
        return HostCall(name, args, None, problem if mode is HostMode.BYTES else "", get_ident())
    if length > MAX_RECORDED_BYTES:
        data += b" length %d" % length
    return HostCall(name, args, data, thread=get_ident())
