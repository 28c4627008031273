"""The host's side of one WASI guest: descriptors, clock and random bytes, which a reset brings back."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from hlfuzz.sandbox.wasi.abi import Errno, Filetype, Refused, Rights, WasiError
from hlfuzz.sandbox.wasi.activity import Recorder, WasiActivity
from hlfuzz.sandbox.wasi.config import Wasi
from hlfuzz.sandbox.wasi.files import Node

MAX_DESCRIPTORS: Final = 256
"""Descriptors that a guest may have open at once."""

PREOPEN: Final = 3
"""Where guests look for the first preopened directory."""

FILE_RIGHTS: Final = (
    Rights.FD_READ
    | Rights.FD_SEEK
    | Rights.FD_TELL
    | Rights.FD_ADVISE
    | Rights.FD_SYNC
    | Rights.FD_DATASYNC
    | Rights.FD_FDSTAT_SET_FLAGS
    | Rights.FD_FILESTAT_GET
    | Rights.POLL_FD_READWRITE
)
DIRECTORY_RIGHTS: Final = (
    Rights.PATH_OPEN
    | Rights.FD_READDIR
    | Rights.PATH_READLINK
    | Rights.PATH_FILESTAT_GET
    | Rights.FD_SYNC
    | Rights.FD_DATASYNC
    | Rights.FD_FDSTAT_SET_FLAGS
    | Rights.FD_FILESTAT_GET
)
INHERITING: Final = FILE_RIGHTS | DIRECTORY_RIGHTS | Rights.FD_WRITE
"""With the right to write, so that libc asks for it and the guest is told ROFS, not that it lacks a right."""

_STREAM_RIGHTS: Final = Rights.FD_FDSTAT_SET_FLAGS | Rights.FD_FILESTAT_GET | Rights.POLL_FD_READWRITE


NO_RIGHTS: Final = Rights(0)


class Stream(StrEnum):
    """The standard streams, by descriptor."""

    STDIN = "stdin"
    STDOUT = "stdout"
    STDERR = "stderr"


@dataclass(slots=True)
class Descriptor:
    """Something open: what, the position in it, and what it may be used for."""

    what: Node | Stream
    rights: Rights
    inheriting: Rights = NO_RIGHTS
    offset: int = 0
    flags: int = 0
    preopened: bool = False

    @property
    def filetype(self) -> Filetype:
        return self.what.filetype if isinstance(self.what, Node) else Filetype.UNKNOWN

    def need(self, right: Rights) -> None:
        """Raise `WasiError` NOTCAPABLE unless it has the right."""
        if right not in self.rights:
            raise WasiError(Errno.NOTCAPABLE)


@dataclass(frozen=True, slots=True)
class Saved:
    """The state of a `Process` at a snapshot."""

    elapsed: int
    random_calls: int
    descriptors: tuple[tuple[int, Descriptor], ...]
    start: WasiActivity | None


class Process:
    """What WASI functions remember of one guest (`engines.base.HostState`).

    `covered` are the positions of the imports that they provide.
    """

    def __init__(self, wasi: Wasi, covered: frozenset[int]) -> None:
        self.wasi = wasi
        self._covered = covered
        self._snapshot = self._fresh()
        self._call = Recorder()
        self.recorder = self._call
        """Where what the guest does now is noted."""
        self.reset()

    @property
    def key(self) -> Hashable:
        return (self.wasi, self._covered)

    def covers(self, index: int) -> bool:
        return index in self._covered

    def starting(self) -> None:
        self._snapshot = self._fresh()
        self.reset()
        self.recorder = Recorder()

    def save(self) -> Saved:
        start = self._snapshot.start if self.recorder is self._call else self.recorder.taken()
        return Saved(
            self.elapsed,
            self._random_calls,
            tuple((number, replace(d)) for number, d in self.descriptors.items()),
            start,
        )

    def load(self, saved: Saved) -> None:
        self._snapshot = saved
        self.recorder = self._call
        self.reset()

    def reset(self) -> None:
        snapshot = self._snapshot
        self.elapsed = snapshot.elapsed
        """Nanoseconds since the guest started."""
        self._random_calls = snapshot.random_calls
        self.descriptors = {number: replace(d) for number, d in snapshot.descriptors}

    def begin(self) -> None:
        """A call or context begins: what was noted of the one before is forgotten."""
        self._call = self.recorder = Recorder()

    def activity(self) -> WasiActivity:
        """What was noted since `begin`."""
        return self._call.taken(self._snapshot.start)

    def last_words(self) -> str:
        """What the guest wrote to standard error, shortened, for a message about its end."""
        text = bytes(self.recorder.stderr[-2000:]).decode("utf-8", "backslashreplace")
        return f"standard error of the guest: {text or 'nothing'}"

    def tick(self) -> int:
        """Nanoseconds since the guest started; the next time that it asks, time has passed."""
        now = self.elapsed
        self.elapsed += self.wasi.clock_step
        return now

    def random(self, length: int) -> bytes:
        """The next random bytes."""
        seed = f"{self.wasi.random_seed} {self._random_calls}"
        self._random_calls += 1
        return hashlib.shake_128(seed.encode()).digest(length)

    def descriptor(self, number: int) -> Descriptor:
        """Raises `WasiError` BADF when it is not open, `Refused` where that is because its group is not
        allowed."""
        found = self.descriptors.get(number)
        if found is None:
            group = "stdio" if number < PREOPEN else "files" if number == PREOPEN else None
            given = group is None or group in self.wasi.allow
            raise (WasiError if given else Refused)(Errno.BADF)
        return found

    def directory(self, number: int, right: Rights) -> tuple[Descriptor, Node]:
        """An open directory. Raises `WasiError` BADF, NOTDIR, NOTCAPABLE."""
        found = self.descriptor(number)
        if not isinstance(found.what, Node) or not found.what.is_directory:
            raise WasiError(Errno.NOTDIR)
        found.need(right)
        return found, found.what

    def file(self, number: int, right: Rights) -> tuple[Descriptor, bytes]:
        """An open file that has positions. Raises `WasiError` BADF, ISDIR, SPIPE, NOTCAPABLE."""
        found = self.descriptor(number)
        if isinstance(found.what, Stream):
            raise WasiError(Errno.SPIPE)
        if found.what.data is None:
            raise WasiError(Errno.ISDIR)
        found.need(right)
        return found, found.what.data

    def add(self, descriptor: Descriptor) -> int:
        """Open it under the lowest free number. Raises `WasiError` NFILE."""
        if len(self.descriptors) >= MAX_DESCRIPTORS:
            raise WasiError(Errno.NFILE)
        number = next(n for n in range(MAX_DESCRIPTORS) if n not in self.descriptors)
        self.descriptors[number] = descriptor
        return number

    def _fresh(self) -> Saved:
        allow = self.wasi.allow
        opened: list[tuple[int, Descriptor]] = []
        if "stdio" in allow:
            opened += (
                (0, Descriptor(Stream.STDIN, _STREAM_RIGHTS | Rights.FD_READ)),
                (1, Descriptor(Stream.STDOUT, _STREAM_RIGHTS | Rights.FD_WRITE)),
                (2, Descriptor(Stream.STDERR, _STREAM_RIGHTS | Rights.FD_WRITE)),
            )
        if "files" in allow:
            root = Descriptor(self.wasi.root, DIRECTORY_RIGHTS, INHERITING, preopened=True)
            opened.append((PREOPEN, root))
        return Saved(0, 0, tuple(opened), None)
