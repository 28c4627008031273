"""`Strand`: synchronous code that gives way in the middle and goes on there later, in the same thread."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Any

from greenlet import getcurrent, greenlet


class Strand(greenlet):
    """Runs one piece of work after the other: making one costs several times what a piece of work does."""

    def __init__(self) -> None:
        super().__init__(_serve)
        self.turn: Any = None
        """Whose work it runs."""
        self.go_on()

    def begin(self, turn: object, work: Callable[[], None], context: Context) -> None:
        """Run `work`, with these context variables, until it gives way or ends."""
        self.turn = turn
        self.gr_context = context
        self.go_on(work)

    def go_on(self, value: object = None) -> None:
        """Run from where it gave way, which returns `value`, until it gives way again or its work ends."""
        self.parent = getcurrent()
        self.switch(value) if self else self.switch()

    def go_on_raising(self, error: BaseException) -> None:
        """As `go_on`; where it gave way, `error` is raised."""
        self.parent = getcurrent()
        self.throw(error)

    def end(self) -> None:
        """Its work has ended: it may begin another."""
        self.turn = None
        self.gr_context = None


def give_way() -> Any:
    """In a strand: back to whoever let it go on. What `go_on` is given next."""
    parent = getcurrent().parent
    assert parent is not None
    return parent.switch()


def current() -> Strand | None:
    """The strand that runs."""
    running = getcurrent()
    return running if isinstance(running, Strand) else None


def _serve() -> None:
    # While it waits for work it refers to none: what its frames name, or began with, lives as long as it.
    while True:
        work = give_way()
        work()
        work = None
