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

    def begin(self, turn: object, work: Callable[[], None], context: Context) -> None:
        """Run `work`, with these context variables, until it gives way or ends."""
        self.turn = turn
        self.gr_context = context
        self.go_on(work)

    def go_on(self, value: object = None) -> None:
        """Run from where it gave way, which returns `value`, until it gives way again or ends."""
        self.parent = getcurrent()
        self.switch(value)

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


def _serve(work: Callable[[], None] | None) -> None:
    # While it waits for work it refers to nothing: a strand's frame keeps alive what it names.
    while work is not None:
        work()
        work = None
        work = give_way()
