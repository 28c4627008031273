"""Puts a generated Python module together: imports, types, the schema, protocols, clients."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from hlfuzz.generate.naming import source, stem
from hlfuzz.generate.python import strategies
from hlfuzz.generate.python.definitions import Block, enums, records, unions
from hlfuzz.generate.python.scope import Names
from hlfuzz.generate.python.services import clients, hosts
from hlfuzz.generate.python.text import INDENT, docstring, fits, long_text
from hlfuzz.schema.dump import dump
from hlfuzz.schema.ir import Enum, Schema, Union

_AMBIGUOUS: Final = re.compile(r"(?:^\s+|\bdef |[(,] ?)[lIO](?=:| =)", re.MULTILINE)
"""A field, member or parameter with a name that linters find hard to read (pycodestyle's E741)."""


def generate(schema: Schema) -> dict[str, str]:
    """The two modules of a schema, by file name."""
    name = stem(schema)
    return {
        f"{name}_hl.py": _text(_main(schema, name)),
        f"{name}_strategies.py": _text(strategies.blocks(schema, name)),
    }


def _main(schema: Schema, name: str) -> list[Block]:
    names = Names(schema)
    enum_classes = list(enums(names))
    other_classes = [*unions(names), *records(names)]
    services = [*hosts(names, name), *clients(names, name)]
    # Modules, not what is in them: a class of a schema may well be called Protocol or Interface.
    names.need("typing")
    names.need("hlfuzz", "bindings")
    of_enums = {names.classes[d.name] for d in schema.definitions if isinstance(d, Enum)}
    early = {s: n for s, n in names.second_names.items() if n in of_enums or not n[:1].isupper()}
    late = {s: n for s, n in names.second_names.items() if s not in early}
    imports = ["from __future__ import annotations", "", *names.import_lines()]
    return [
        docstring("", f"The interface of `{source(schema)}`: its values, host functions and guest."),
        imports,
        *enum_classes,
        _second_names(early),
        *other_classes,
        _second_names(late),
        [*long_text("_SCHEMA: typing.Final", dump(schema, source=False)), "", *_interface(names)],
        *services,
    ]


def _second_names(pairs: dict[str, str]) -> Block:
    return [f"{second} = {name}" for second, name in sorted(pairs.items())]


def _interface(names: Names) -> Block:
    definitions = [
        f'{INDENT * 3}"{d.name}": {names.classes[d.name]},'
        for d in names.schema.definitions
        if not isinstance(d, Union)
    ]
    variants = [f'{INDENT * 3}("{u}", {tag}): {cls},' for (u, tag), cls in names.variants.items()]
    lines = [
        "INTERFACE: typing.Final = bindings.Interface.from_json(",
        f"{INDENT}_SCHEMA,",
        f"{INDENT}classes=bindings.Classes(",
        *_dictionary(definitions),
        *_dictionary(variants),
        f"{INDENT}),",
        ")",
    ]
    return lines if all(map(fits, lines)) else ["# fmt: off", *lines, "# fmt: on"]


def _dictionary(items: list[str]) -> list[str]:
    return [f"{INDENT * 2}{{", *items, f"{INDENT * 2}}},"] if items else [f"{INDENT * 2}{{}},"]


def _text(blocks: Iterable[Block]) -> str:
    """Blocks with two empty lines round classes and functions and one elsewhere."""
    result: list[str] = []
    previous = False
    for block in blocks:
        if not block:
            continue
        large = block[0].startswith(("class ", "def ", "@"))
        if result:
            result += [""] * (2 if large or previous else 1)
        result += block
        previous = large
    text = "\n".join(result) + "\n"
    rules = [
        *(["E501"] if not all(map(fits, result)) else []),
        *(["E741"] if _AMBIGUOUS.search(text) else []),
        *(["E742"] if re.search(r"^class [IO]\b", text, re.MULTILINE) else []),
        *(["E743"] if re.search(r"\bdef [lIO]\(", text) else []),
        *(["RUF009"] if " = _field" in text else []),
    ]
    # Whether a rule is in use where this file lies is not known here, and so RUF100 (unused noqa) joins them.
    rules += ["RUF100"] if rules else []
    return f"# ruff: noqa: {', '.join(rules)}\n{text}" if rules else text
