"""The read-only directory of a WASI guest: a tree in memory, without links, and paths that cannot leave
it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from hlfuzz.errors import UsageError
from hlfuzz.sandbox.wasi.abi import Errno, Filetype, Refused, WasiError

NAME_BYTES: Final = 255
"""Longest name of a file or directory, as on Linux."""

PATH_BYTES: Final = 4096
"""Longest path that a guest may pass, as on Linux."""


_Content: TypeAlias = "bytes | dict[str, _Content]"


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A file, or a directory with its entries in the order of their names."""

    inode: int
    data: bytes | None
    entries: Mapping[str, Node]

    @property
    def is_directory(self) -> bool:
        return self.data is None

    @property
    def filetype(self) -> Filetype:
        return Filetype.DIRECTORY if self.data is None else Filetype.REGULAR_FILE

    @property
    def size(self) -> int:
        """Bytes of a file; 0 of a directory."""
        return len(self.data or b"")


def tree(files: Mapping[str, bytes]) -> Node:
    """The root directory with these files, by path from it ("etc/app.conf"; a leading slash is the same).

    Raises `UsageError`: a path that is empty, has an empty, "." or ".." part, a NUL or a part that is too
    long; a file that is a directory too.
    """
    folders: dict[str, _Content] = {}
    for path, data in files.items():
        *parents, name = _parts(path)
        folder = folders
        for parent in parents:
            inner = folder.setdefault(parent, {})
            if isinstance(inner, bytes):
                raise _both(path)
            folder = inner
        if name in folder:
            raise _both(path)
        folder[name] = bytes(data)
    return _Numbering().node(folders)


class _Numbering:
    """Gives each node the next inode number, in the order of names."""

    def __init__(self) -> None:
        self._last = 0

    def node(self, content: _Content) -> Node:
        self._last += 1
        inode = self._last
        if isinstance(content, bytes):
            return Node(inode, content, {})
        entries = sorted(content.items(), key=lambda entry: entry[0].encode())
        return Node(inode, None, {name: self.node(inner) for name, inner in entries})


def _parts(path: str) -> list[str]:
    parts = path.removeprefix("/").split("/")
    for part in parts:
        if part in ("", ".", "..") or "\0" in part or len(part.encode()) > NAME_BYTES:
            raise UsageError(
                f"no path of a file (Wasi files, {path!r}): write names of up to {NAME_BYTES} bytes with / "
                "between them"
            )
    return parts


def _both(path: str) -> UsageError:
    return UsageError(f"a file and a directory, or twice (Wasi files, {path!r}): give each path once")


def resolve(start: Node, path: bytes) -> Node:
    """What `path`, as a guest passed it, leads to from the directory `start`.

    Never above `start`: an absolute path, or a ".." at the top, is refused with NOTCAPABLE. Raises
    `WasiError` NOENT, NOTDIR, NAMETOOLONG, ILSEQ.
    """
    text = decoded(path)
    if text.startswith("/"):
        raise Refused(Errno.NOTCAPABLE)
    if not text:
        raise WasiError(Errno.NOENT)
    way = [start]
    for part in text.split("/"):
        here = way[-1]
        if not here.is_directory:
            raise WasiError(Errno.NOTDIR)
        if part == "..":
            if len(way) == 1:
                raise Refused(Errno.NOTCAPABLE)
            way.pop()
        elif part not in ("", "."):
            found = here.entries.get(part)
            if found is None:
                raise WasiError(Errno.NOENT)
            way.append(found)
    return way[-1]


def decoded(path: bytes) -> str:
    """The text of a guest's path. Raises `WasiError` NAMETOOLONG, ILSEQ (also for a NUL)."""
    if len(path) > PATH_BYTES:
        raise WasiError(Errno.NAMETOOLONG)
    try:
        text = path.decode()
    except UnicodeDecodeError:
        raise WasiError(Errno.ILSEQ) from None
    if "\0" in text:
        raise WasiError(Errno.ILSEQ)
    return text
