"""What one tenant was given lies where another may read it, and shows in one way only: in a search for its
bytes, in a comparison of what is left, at one reset level, in one of the ways in which tenants share."""

from __future__ import annotations

import base64
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import guests

from hlfuzz.invariants import Subject, Target
from hlfuzz.sandbox import Sandbox
from hlfuzz.sandbox.calls import Calls
from planted import Planted
from planted.reset import damaged

LOG_AT = 4096


@contextmanager
def shared_log(form: Callable[[bytes], bytes], *, moves_on: bool) -> Iterator[Target]:
    """What the sandboxes of a process are given is written to the memory of all others in some form, behind
    what was written before if the log `moves_on`: then two runs are never the same."""
    opened: weakref.WeakSet[Sandbox] = weakref.WeakSet()
    open_sandbox, run = Sandbox.__init__, Calls.run
    written = 0

    def opened_too(self: Sandbox, *args: Any, **options: Any) -> None:
        open_sandbox(self, *args, **options)
        opened.add(self)

    def run_and_log(self: Calls, function: str, args: tuple[object, ...], *more: Any) -> Any:
        nonlocal written
        for data in (form(a) for a in args if isinstance(a, bytes)):
            for box in opened:
                if not box.is_closed and box._calls is not self and box.guest.default_memory():
                    box.memory().write(LOG_AT + written % 32768, data[:1024])
            written += len(data) if moves_on else 0
        return run(self, function, args, *more)

    with (
        patch.object(Sandbox, "__init__", opened_too),
        patch.object(Calls, "run", run_and_log),
        guests.target(guests.CLEAN_ARITHMETIC, "inprocess") as target,
    ):
        yield target


def logged(form: Callable[[bytes], bytes]) -> Callable[[], AbstractContextManager[Target]]:
    return partial(shared_log, form, moves_on=True)


def fault(
    name: str, what: str, open_: Callable[[], AbstractContextManager[Target]], *, kvm: bool = False
) -> Planted:
    return Planted(name, "noninterference", Subject.PLATFORM, what, open_, kvm)


FAULTS = (
    fault(
        "grown-memory-left-in-ram",
        "memory that a tenant grew keeps its bytes after the reset, behind the end of the next tenant's",
        partial(damaged, guests.CLEAN_ARITHMETIC, "FORGET_NEW_PAGES"),
        kvm=True,
    ),
    fault(
        "grown-memory-left-at-level-memory",
        "the same, and only with the reset level memory",
        partial(damaged, guests.CLEAN_ARITHMETIC, "FORGET_NEW_PAGES", levels=("memory",)),
        kvm=True,
    ),
    fault(
        "clones-share-a-page",
        "two sandboxes made of one snapshot have a page of memory in common",
        partial(damaged, guests.CLEAN_ARITHMETIC, "SHARE_PAGE", sound=("own", "neighbour", "snapshot's")),
        kvm=True,
    ),
    fault("log-in-every-sandbox", "a log of all vectors lies in every memory", logged(bytes)),
    fault("log-backwards", "the same, with the last byte first", logged(lambda data: data[::-1])),
    fault("log-in-hex", "the same, as hexadecimal digits", logged(lambda data: data.hex().encode())),
    fault(
        "log-in-base64",
        "the same, as base64 with a mark before it",
        logged(lambda data: base64.b64encode(b"!" + data)),
    ),
    fault(
        "log-inverted", "the same, with every bit changed", logged(lambda data: bytes(b ^ 255 for b in data))
    ),
    fault(
        "checksum-in-every-sandbox",
        "the sum of a vector's bytes is written to the neighbours' memory",
        partial(shared_log, lambda data: sum(data).to_bytes(4, "little"), moves_on=False),
    ),
)
