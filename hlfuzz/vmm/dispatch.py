"""Micro-VMs that run in threads of their own: the bell that says when a command has ended, and the machine
itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from hlfuzz.model import Export
from hlfuzz.vmm import status
from hlfuzz.vmm.library import check, ffi, lib, new_error
from hlfuzz.vmm.machine import SLICE_US, BytesForm, FastCall, Machine, Room
from hlfuzz.vmm.values import Slots

_BATCH: Final = 64
_BRIEFLY_US: Final = 150
"""A small call with its doorbell exit and reset takes 30 to 50 µs where an exit is dear; a turn of asyncio's
loop costs as much."""


class Bell:
    """One descriptor that is readable when one of many machines is ready. For one thread."""

    def __init__(self) -> None:
        """Raises `EnvironmentProblem` when there are no more descriptors."""
        error = new_error()
        self.pointer = ffi.gc(check(lib.hl_dispatch_new(error), error, "dispatch"), lib.hl_dispatch_free)
        self._tags = ffi.new("uint64_t[]", _BATCH)
        self._fd: int = lib.hl_dispatch_fd(self.pointer)

    def fileno(self) -> int:
        """To wait on; nobody else reads it."""
        return self._fd

    def ring(self) -> None:
        """Make it readable."""
        os.eventfd_write(self._fd, 1)

    def ready(self) -> list[int]:
        """Tags of the machines that are ready, in the order in which they became so; silences the bell."""
        tags: list[int] = []
        while True:
            count = lib.hl_dispatch_ready(self.pointer, self._tags, _BATCH)
            tags += ffi.unpack(self._tags, count)
            if count < _BATCH:
                return tags

    def close(self) -> None:
        """Close the descriptor, with the last machine."""
        ffi.release(self.pointer)


class DispatchedMachine(Machine):
    """A machine whose guest runs in its own thread.

    What runs the guest hands over to that thread, and returns with what `pause()` gives: it is called when
    the thread is at work, and answers with the status of `end()` or `wait_end()`. Everything else is as in
    `Machine`, and must not be used until then.
    """

    def __init__(self, pointer: Any, bell: Bell, tag: int, pause: Callable[[], int]) -> None:
        """Raises `EnvironmentProblem` when there are no more threads."""
        error = new_error()
        worker = lib.hl_dispatch_attach(bell.pointer, pointer, tag, error)
        if worker == ffi.NULL:
            lib.hl_sandbox_close(pointer)
        self._worker = check(worker, error, "dispatch")
        self._pause = pause
        self.away = False
        """Whether its thread has it."""

        def close(sandbox: Any) -> None:
            lib.hl_dispatch_detach(worker)
            lib.hl_sandbox_close(sandbox)

        super().__init__(pointer, close)

    def end(self) -> int | None:
        """What the thread's command came back with; None while it runs, and when there is none."""
        return self._back(lib.hl_dispatch_end(self._worker))

    def wait_end(self) -> int:
        """`end`, when it has ended: sleeps until then. Python's signal handlers run meanwhile."""
        while True:
            code = self._back(lib.hl_dispatch_wait(self._worker, SLICE_US))
            if code is not None:
                return code

    def wait_briefly(self) -> int | None:
        """`end`, after a wait that is shorter than a turn of an event loop."""
        return self._back(lib.hl_dispatch_wait(self._worker, _BRIEFLY_US))

    def kick(self) -> None:
        """Make the command come back soon, with RUNNING unless it ends by itself."""
        lib.hl_dispatch_kick(self._worker)

    def bring_back(self) -> None:
        """Have the machine here, whatever its thread does; a call may still be open."""
        while self.away:
            self.kick()
            self._back(lib.hl_dispatch_wait(self._worker, SLICE_US))

    def fast_call(self, export: Export, slots: Slots) -> FastCall | None:
        fast = slots.fast
        if fast is None:
            return None

        def call(args: tuple[object, ...], flags: int) -> int:
            for (slot, class_), arg in zip(fast, args, strict=True):
                if arg.__class__ is not class_:
                    raise TypeError
                slot[0] = arg
            return self.call(export, slots, flags)

        return call

    def call(self, export: Export, slots: Slots, flags: int) -> int:
        return self._run(lib.hl_dispatch_call(self._worker, export.index, slots.array, slots.count, flags))

    def bytes_call(
        self, export: Export, slots: Slots, form: BytesForm, room: Room
    ) -> tuple[Callable[[bytes, int, int], int], Callable[[], bytes]]:
        plan = self.plan(export, slots, form, room)

        def run(data: bytes, length: int, flags: int) -> int:
            return self._run(lib.hl_dispatch_call_bytes(self._worker, plan, data, length, flags))

        return run, self.result_bytes

    def wait(self) -> int:
        return self._run(lib.hl_dispatch_go_on(self._worker))

    def kill(self) -> int:
        self.bring_back()
        return self._run(lib.hl_dispatch_kill(self._worker))

    def reset(self) -> int:
        return self._run(lib.hl_dispatch_reset(self._worker))

    def resume(self, slots: Slots) -> int:
        return self._run(lib.hl_dispatch_resume(self._worker, slots.array, slots.count))

    def fail(self, message: str) -> int:
        data = message.encode("utf-8", "backslashreplace")
        return self._run(lib.hl_dispatch_fail(self._worker, data, len(data)))

    def _run(self, handed_over: int) -> int:
        if handed_over != status.DONE:
            return handed_over
        self.away = True
        return self._pause()

    def _back(self, code: int) -> int | None:
        if code == status.BUSY:
            return None
        self.away = False
        return code
