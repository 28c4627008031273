"""Only `hlfuzz.vmm` imports the native extension (which the import linter cannot see)."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "hlfuzz"


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
    return found


def test_the_native_extension_is_imported_in_one_place():
    users = {str(p.relative_to(PACKAGE)) for p in PACKAGE.rglob("*.py") if "hlfuzz.vmm._native" in imports(p)}
    assert users == {"vmm/library.py"}
