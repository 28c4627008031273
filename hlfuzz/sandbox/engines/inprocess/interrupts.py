"""Holds Ctrl-C back while a callback from Wasm may be entered.

Python runs a pending SIGINT handler at the first bytecode of any function, so also in the C callback of a
host function before its first `try`; an exception raised there is printed and lost. While a guest with host
functions runs in the main thread, SIGINT is therefore noted, the guest stopped, and the handler run when the
call is over. Inside a host function's own code it is raised at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def held_back() -> Generator[None]:
    """Ctrl-C waits until the block has ended: freeing a native object halfway would free it twice later."""
    held = Interrupts(lambda: None)
    held.hold()
    try:
        yield
    finally:
        held.release()


class Interrupts:
    """The SIGINT of one engine's calls. `stop` makes the guest end soon."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._handler: Callable[[int, FrameType | None], object] | None = None
        self.in_host = False
        self.pending = False

    def hold(self) -> None:
        """Before a call. Does nothing outside the main thread, and without a Python handler."""
        self.pending = False
        self.in_host = False
        if threading.current_thread() is not threading.main_thread():
            return
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler):
            self._handler = handler
            signal.signal(signal.SIGINT, self._on_signal)

    def release(self) -> None:
        """After a call and its reset: puts the handler back, and runs it if it was due (it may raise)."""
        handler, self._handler = self._handler, None
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
            if self.pending:
                self.pending = False
                handler(signal.SIGINT, None)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        handler = self._handler
        if self.in_host and handler is not None:
            handler(number, frame)
            return
        self.pending = True
        if handler is signal.default_int_handler:  # another one may want the call to go on
            self._stop()
