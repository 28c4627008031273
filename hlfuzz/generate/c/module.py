"""Puts the files of a schema together."""

from __future__ import annotations

from collections.abc import Iterable

from hlfuzz.generate.c.build import make_model
from hlfuzz.generate.c.header import functions, types
from hlfuzz.generate.c.raw import prototypes
from hlfuzz.generate.c.raw_source import code
from hlfuzz.generate.c.source import runtime, source
from hlfuzz.generate.naming import stem
from hlfuzz.schema.ir import Format, Schema


def generate(schema: Schema) -> dict[str, str]:
    """`<stem>_hl.h` and `<stem>_hl.c`: all that a guest in C, for Wasm or native, needs to implement the
    interface; no libc.

    Raises `SchemaError` for what C or the wire cannot carry.
    """
    name = stem(schema)
    header = f"{name}_hl.h"
    if schema.format is Format.RAW:
        return {header: _header(name, prototypes(schema)), f"{name}_hl.c": code(schema, header)}
    model = make_model(schema)
    declared = _header(name, [*types(model), *functions(model)])
    return {header: declared, f"{name}_hl.c": source(model, header)}


def _header(name: str, lines: Iterable[str]) -> str:
    guard = f"HL_SCHEMA_{name.upper()}_H"
    cplusplus = "#ifdef __cplusplus"
    text = [
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        runtime("hl.h"),
        cplusplus,
        'extern "C" {',
        "#endif",
        "",
        *lines,
        cplusplus,
        "}",
        "#endif",
        "#endif",
    ]
    return "\n".join(text) + "\n"
