"""`Strand`: synchronous code that gives way in the middle, and goes on there later, in the same thread."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Any

from greenlet import getcurrent, greenlet


class Strand(greenlet):
    """Runs `main` until it gives way. `context` is what context variables are in it."""

    def __init__(self, main: Callable[[], None], context: Context) -> None:
        super().__init__(main)
        self.gr_context = context

    def go_on(self, value: object = None) -> None:
        """Run from where it gave way, which returns `value`, until it gives way again or ends."""
        self.parent = getcurrent()
        self.switch(value) if self else self.switch()

    def go_on_raising(self, error: BaseException) -> None:
        """As `go_on`; where it gave way, `error` is raised."""
        self.parent = getcurrent()
        self.throw(error)

    def give_way(self) -> Any:
        """In its own code: back to whoever let it go on. What `go_on` is given next."""
        assert self.parent is not None
        return self.parent.switch()


def current() -> Strand | None:
    """The strand that runs."""
    running = getcurrent()
    return running if isinstance(running, Strand) else None
