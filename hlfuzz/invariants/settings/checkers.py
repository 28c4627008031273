"""Loads the checkers that a project has of its own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from traceback import extract_tb
from typing import Final

from hlfuzz.errors import HlfuzzError, UsageError
from hlfuzz.invariants.settings.project import Project

MODULE_PREFIX: Final = "hlfuzz_checkers_"
"""Of the name under which such a file is imported: nothing else can import it by that name."""

_loaded: Final[set[Path]] = set()


def load_checkers(project: Project) -> None:
    """Runs the Python files that the project's settings name under `checkers`, each once in a process; they
    register their invariants.

    Raises: UsageError when one is missing or raises, with the line.
    """
    for path in project.checkers:
        if path.resolve() not in _loaded:
            _load(path, str(project.path))
            _loaded.add(path.resolve())


def _load(path: Path, settings: str) -> None:
    name = MODULE_PREFIX + path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UsageError(f"no Python file of checkers ({path}): mend checkers in {settings}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        lines = [str(f.lineno) for f in extract_tb(error.__traceback__) if f.filename == str(path)]
        where = f"{path}:{lines[-1]}" if lines else str(path)
        what = str(error) if isinstance(error, HlfuzzError) else f"{type(error).__name__}: {error}"
        raise UsageError(f"checkers cannot be loaded ({where}): {what}") from error
