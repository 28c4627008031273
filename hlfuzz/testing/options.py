"""Names that the plugin's face shares with what it imports when used."""

from __future__ import annotations

from typing import Final

ALL: Final = "*"
"""`--hlfuzz` without a name: every configured target."""
ROOT: Final = "hlfuzz"
"""First part of the ids of generated tests: hlfuzz::TARGET::INVARIANT."""
SEED_INPUT: Final = "hlfuzz_seed"
"""Under this name workers of pytest-xdist get the seed of the run."""
