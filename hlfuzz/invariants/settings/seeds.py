"""Reads seed inputs: the files of a corpus folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hlfuzz.errors import UsageError

MAX_SEED_BYTES: Final = 1 << 20


def read_seeds(folder: Path) -> list[bytes]:
    """The regular files of a corpus folder, sorted by name; hidden files and those over 1 MiB are left out.

    Raises: UsageError when it is no readable folder.
    """
    try:
        paths = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
        return [p.read_bytes() for p in paths if p.stat().st_size <= MAX_SEED_BYTES]
    except OSError as error:
        raise UsageError(
            f"cannot read the corpus ({folder}): {error.strerror or error}; give a folder of input files"
        ) from error
