"""Straight-line functions made for one type.

The text of such a function holds positions only ("f3", "obj._a3"). Names from a schema are put into the
parsed tree, as the names of attributes, so no name can become code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

_PLACEHOLDER: Final = re.compile(r"_a([0-9]+)")


def make_function(
    lines: Sequence[str], attributes: Sequence[str], namespace: Mapping[str, Any]
) -> Callable[..., Any]:
    """Compile a function.

    `lines` is the text of one `def`; an attribute `_aN` in it stands for `attributes[N]`. `namespace` holds
    what its global names mean.
    """
    tree = ast.parse("\n".join(lines))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (match := _PLACEHOLDER.fullmatch(node.attr)):
            node.attr = attributes[int(match[1])]
    scope = dict(namespace)
    exec(compile(tree, "<hlfuzz.schema.wire.flatbuffers>", "exec"), scope)
    name = tree.body[0].name if isinstance(tree.body[0], ast.FunctionDef) else ""
    return scope[name]
