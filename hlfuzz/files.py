"""Writes files so that a crash leaves the old content or the new one, never half of either."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hlfuzz.errors import EnvironmentProblem


def write_file(path: Path, data: bytes, *, otherwise: str = "choose another folder") -> None:
    """Write a file, and the folders it is in: temporary file, fsync, rename.

    Raises `EnvironmentProblem` when the disk or the permissions do not allow it; `otherwise` is the next step
    that it names.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot write ({path}): {error.strerror or error}; {otherwise}", reason="io"
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
