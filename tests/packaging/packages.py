"""Runs packaging commands, and programs of the environment into which the wheel was installed."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute()
WORK = TARGET / "packaging"
"""Kept between sessions, so that cargo finds the unpacked sources where it built them before."""


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel and its dependencies, nothing else."""

    bin: Path

    def run(self, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Runs a program of the environment."""
        return subprocess.run(
            [self.bin / command[0], *command[1:]], cwd=cwd, capture_output=True, text=True, timeout=600
        )


def run(*command: str | Path) -> str:
    """Runs a command; its output is the failure's text when it fails."""
    # The dependencies of the crates are built already in this folder.
    environment = os.environ | {"CARGO_TARGET_DIR": str(TARGET)}
    done = subprocess.run(command, cwd=WORK, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout
