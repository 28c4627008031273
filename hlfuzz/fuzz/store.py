"""The folder that keeps a campaign: corpus, findings, module. A file appears complete or not at all."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final, cast

from hlfuzz.errors import UsageError
from hlfuzz.files import write_file
from hlfuzz.guest import Guest
from hlfuzz.invariants import read_seeds

MAX_FINDING_BYTES: Final = 16 << 20
OTHER_FOLDER: Final = "choose another folder: --store, or store in the settings"


def _keep(path: Path, data: bytes) -> None:
    """Write a file of the store, for its owner alone: inputs and findings may hold what nobody else should
    see."""
    write_file(path, data, mode=0o600, otherwise=OTHER_FOLDER)


class Store:
    """One campaign folder: `corpus/<sha256>`, `findings/<signature>.json`, `guest-<sha256>.wasm` (`.elf`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add_guest(self, guest: Guest) -> Path:
        """Keeps the module, so that findings can be replayed without the original file. Returns its path."""
        path = self.folder / f"guest-{guest.digest[:16]}.{guest.kind}"
        if not path.exists():
            _keep(path, guest.data)
        return path

    def add_input(self, data: bytes) -> None:
        """Keeps one byte vector in the corpus, named by its SHA-256."""
        path = self.folder / "corpus" / hashlib.sha256(data).hexdigest()
        if not path.exists():
            _keep(path, data)

    def inputs(self) -> list[bytes]:
        """The byte vectors of earlier runs."""
        folder = self.folder / "corpus"
        return read_seeds(folder) if folder.is_dir() else []

    def finding_path(self, signature: str) -> Path:
        """Where the finding of that signature is kept."""
        return self.folder / "findings" / f"{signature}.json"

    def save_finding(self, signature: str, document: object) -> Path:
        """Writes the finding and returns its path."""
        path = self.finding_path(signature)
        _keep(path, (json.dumps(document, indent=1) + "\n").encode())
        return path


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises: UsageError when it cannot be read, is too large, or is no JSON object.
    """
    try:
        if path.stat().st_size > MAX_FINDING_BYTES:
            raise UsageError(
                f"finding is larger than {MAX_FINDING_BYTES} bytes ({path}): is this the right file?"
            )
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read the finding ({path}): {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"finding is not valid JSON ({path}): {error}") from error
    if not isinstance(document, dict):
        raise UsageError(f"finding is no JSON object ({path}): use a file from a store's findings folder")
    return cast(dict[str, Any], document)
