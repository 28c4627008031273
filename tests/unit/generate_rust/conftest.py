"""Schemas of other tests serve here too."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in ("schema", "generate"):
    sys.path.append(str(Path(__file__).parents[1] / folder))
