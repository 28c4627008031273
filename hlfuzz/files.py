"""Writes files so that a crash, or a kill, leaves the old content or the new one, never half of either."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from hlfuzz.errors import EnvironmentProblem


def write_file(
    path: Path, data: bytes, *, mode: int = 0o666, otherwise: str = "choose another folder"
) -> None:
    """As `write_through`, with the bytes at hand."""
    write_through(path, lambda fd: _write_all(fd, data), mode=mode, otherwise=otherwise)


def write_through(
    path: Path, write: Callable[[int], object], *, mode: int = 0o666, otherwise: str = "choose another folder"
) -> None:
    """Write a file, and the folders it is in: temporary file, fsync, rename. `write` is given the file's
    descriptor; what it raises is passed on. Of the permissions `mode` the umask takes what it takes of any
    new file's.

    Raises `EnvironmentProblem` when the disk or the permissions do not allow it; `otherwise` is the next step
    that it names.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(path)
        _write_synced(temporary, write, mode)
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot write ({path}): {error.strerror or error}; {otherwise}", reason="io"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def near(path: Path) -> Path:
    """`path` from the current folder on, if it lies below that: short, and the same on other machines."""
    absolute, here = path.absolute(), Path.cwd()
    return absolute.relative_to(here) if absolute.is_relative_to(here) else absolute


def temporary_beside(path: Path) -> Path:
    """A name in the folder of `path` that nobody has: what is written there can be renamed to `path`."""
    return path.with_name(f".tmp-{secrets.token_hex(8)}")


def write_synced(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Make a new file and bring it to disk. It has no name until it is whole, where the file system has such
    files. Raises `OSError`."""
    _write_synced(path, lambda fd: _write_all(fd, data), mode)


def _write_synced(path: Path, write: Callable[[int], object], mode: int) -> None:
    # Not tempfile: its files are for their owner alone, whatever the umask says.
    try:
        handle = os.open(path.parent, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, mode)
        named = False
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):  # the second: kernels without the flag
            raise
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        named = True
    try:
        write(handle)
        os.fsync(handle)
        if not named:
            # With a folder's descriptor, of which an absolute path makes no use, Python follows the link.
            os.link(f"/proc/self/fd/{handle}", path, src_dir_fd=handle, follow_symlinks=True)
    finally:
        os.close(handle)


def _write_all(handle: int, data: bytes) -> None:
    with os.fdopen(handle, "wb", closefd=False) as file:
        file.write(data)
