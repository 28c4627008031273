"""The Python module of Hypothesis strategies: a function for each type, or for each raw method."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Final

from hlfuzz.generate.naming import source
from hlfuzz.generate.python.definitions import Block
from hlfuzz.generate.python.scope import Names, Scope
from hlfuzz.generate.python.services import arguments, results
from hlfuzz.generate.python.text import INDENT, call, docstring, fits
from hlfuzz.schema.ir import Direction, Format, Schema
from hlfuzz.schema.names import client_method_names, host_method_names, snake_case, unique

_BOUNDS: Final = "**bounds: Unpack[st.BoundsOptions]"
_RESERVED: Final = frozenset(dir(builtins)) | {"hl", "st", "near_valid", "hostile_bytes", "annotations"}
"""Names that the module reads or defines."""


def blocks(schema: Schema, stem: str) -> Iterator[Block]:
    """The module, block by block."""
    yield docstring("", f"Strategies for the values of `{source(schema)}`: valid, nearly valid, hostile.")
    typed = schema.format is not Format.RAW
    if not typed and not any(True for _ in schema.methods()):
        yield ["from __future__ import annotations"]
        return
    imports = "TYPE_CHECKING, Any, Unpack" if typed else "TYPE_CHECKING, Unpack"
    yield [
        "from __future__ import annotations",
        "",
        f"from typing import {imports}",
        "",
        "from hlfuzz.bindings import strategies as st",
        "",
        # In a package, and in a folder that is on the path: both find the module beside this one.
        "if TYPE_CHECKING or __package__:",
        *_import(stem),
        "else:",
        f"{INDENT}import {stem}_hl as hl",
    ]
    if typed:
        yield from _types(schema)
        yield from _bytes()
    else:
        yield from _methods(schema)


def _import(stem: str) -> list[str]:
    if fits(one := f"{INDENT}from . import {stem}_hl as hl"):
        return [one]
    return [f"{INDENT}from . import (", f"{INDENT * 2}{stem}_hl as hl,", f"{INDENT})"]


def _types(schema: Schema) -> Iterator[Block]:
    names = Names(schema)
    plurals = [_plural(snake_case(names.classes[d.name].rstrip("_"))) for d in schema.definitions]
    functions = unique(_distinct(plurals), _RESERVED)
    for definition, function in zip(schema.definitions, functions, strict=True):
        result = f"st.SearchStrategy[hl.{names.classes[definition.name]}]"
        yield [
            *call("", f"def {function}", [_BOUNDS], f" -> {result}:"),
            *docstring(INDENT, f"Valid values of `{definition.name}`."),
            *call(INDENT, "return st.valid", ["hl.INTERFACE", f'"{definition.name}"', "**bounds"], ""),
        ]


def _bytes() -> Iterator[Block]:
    for function, doc in (
        (
            "near_valid",
            "Encodings of a table or message that are valid, or miss it in one place that is named.",
        ),
        ("hostile_bytes", "Encodings of a table or message that somebody has damaged with care."),
    ):
        result = "st.SearchStrategy[st.NearValid]" if function == "near_valid" else "st.SearchStrategy[bytes]"
        yield [
            *call("", f"def {function}", ["record: type[Any]", _BOUNDS], f" -> {result}:"),
            *docstring(INDENT, doc),
            f"{INDENT}return st.{function}(hl.INTERFACE, record, **bounds)",
        ]


def _methods(schema: Schema) -> Iterator[Block]:
    """Raw interfaces have no types: what goes into each guest method, and what each host function gives."""
    scope = Scope(Names(schema))
    hosts = host_method_names(schema)
    keys = list(schema.methods())
    wanted = [
        f"{client_method_names(s)[m.name]}_arguments"
        if m.direction is Direction.GUEST
        else f"{hosts[s.name, m.name]}_results"
        for s, m in keys
    ]
    for (service, method), function in zip(keys, unique(_distinct(wanted), _RESERVED), strict=True):
        to_guest = method.direction is Direction.GUEST
        types = (arguments if to_guest else results)(scope, method)
        made = f"tuple[{', '.join(types) or '()'}]"
        what = "Arguments" if to_guest else "Results"
        yield [
            *call("", f"def {function}", [_BOUNDS], f" -> st.SearchStrategy[{made}]:"),
            *docstring(INDENT, f"{what} of `{service.name}.{method.name}`, in order."),
            *call(
                INDENT,
                f"return st.{what.lower()}",
                ["hl.INTERFACE", f'"{service.name}"', f'"{method.name}"', "**bounds"],
                "",
            ),
        ]


def _plural(name: str) -> str:
    if name.endswith(("ss", "x", "z", "ch", "sh")):
        return f"{name}es"
    if name.endswith("s"):
        return name
    return f"{name[:-1]}ies" if name.endswith("y") and name[-2:-1] not in "aeiou" else f"{name}s"


def _distinct(names: list[str]) -> list[str]:
    taken: set[str] = set()
    result: list[str] = []
    for name in names:
        while name in taken:
            name += "_"
        taken.add(name)
        result.append(name)
    return result
