"""Limits how many workers run guests at once, over all test processes of a user on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

PATIENCE: Final = 120.0
"""Seconds after which a worker goes on without a slot: it is slower then, and never stuck."""
HELD: Final = "HLFUZZ_SLOT_HELD"
"""Set for what a process with a slot starts: it must not wait for its own parent."""
_POLL: Final = 0.02


def slot_count(cpus: int) -> int:
    """How many workers may run guests: a vCPU and the thread that drives it take two CPUs."""
    return max(cpus // 2, 1)


@contextlib.contextmanager
def slot(
    *, count: int | None = None, folder: Path | None = None, patience: float = PATIENCE
) -> Generator[bool]:
    """Hold one of `count` slots, or go on without one after `patience` seconds; says whether it is held.

    A slot is a lock on a file, so that the end of a process, however it comes, gives it back.
    """
    if HELD in os.environ:
        yield False
        return
    files = _files(count or slot_count(len(os.sched_getaffinity(0))), folder or _folder())
    held = _wait(files, time.monotonic() + patience)
    if held is None:
        yield False
        return
    os.environ[HELD] = str(os.getpid())
    try:
        yield True
    finally:
        del os.environ[HELD]
        os.close(held)


def _folder() -> Path | None:
    """The user's own folder for the locks; None where somebody else made it."""
    path = Path(tempfile.gettempdir()) / f"hlfuzz-slots-{os.getuid()}"
    with contextlib.suppress(OSError):
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
            return path
    return None


def _files(count: int, folder: Path | None) -> list[Path]:
    return [] if folder is None else [folder / f"slot-{number}" for number in range(count)]


def _wait(files: list[Path], deadline: float) -> int | None:
    while files:
        for path in files:
            if (held := _try(path)) is not None:
                return held
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL)
    return None


def _try(path: Path) -> int | None:
    try:
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(opened)
        return None
    return opened
