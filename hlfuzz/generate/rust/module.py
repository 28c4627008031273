"""Puts the Rust module of a schema together."""

from __future__ import annotations

import textwrap
from importlib.resources import files

from hlfuzz.generate.naming import stem
from hlfuzz.generate.rust import flat, proto, types
from hlfuzz.generate.rust.services import services
from hlfuzz.generate.rust.text import byte_string
from hlfuzz.schema.canonical import canonical, schema_id
from hlfuzz.schema.diagnostics import Diagnostic, SchemaError
from hlfuzz.schema.ir import Enum, Format, Record, Schema, Union
from hlfuzz.schema.wire.flatbuffers.plan import make_plan

_RUNTIME = {
    Format.FBS: ("core", "flat_read", "flat_write", "boundary"),
    Format.PROTO: ("core", "proto_read", "proto_write", "boundary"),
}
_HEAD = """\
//! Needs no standard library, only an allocator. Types, encoding and decoding, and for Wasm guests the
//! exports and imports of the interface. Needs Rust 1.85 or newer.
#![cfg_attr(rustfmt, rustfmt_skip)]
#![allow(clippy::all, dead_code, unused_imports, unused_macros, unused_variables, unused_mut)]
#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals, unused_parens)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use wire::{%s};
"""
_TRAITS = {
    Format.FBS: "FlatRecord as _, FlatUnion as _, Inline as _",
    Format.PROTO: "ProtoRecord as _",
}


def generate(schema: Schema) -> dict[str, str]:
    """`<stem>_hl.rs`: a module for a guest in Rust.

    Raises `SchemaError` for raw interfaces, whose functions need no encoding, and for what the wire cannot
    carry.
    """
    if schema.format is Format.RAW:
        raise SchemaError(
            [
                Diagnostic(
                    f"the Rust generator takes FlatBuffers and Protobuf schemas ({schema.name} is raw)",
                    suggestion='export the functions of a raw interface with `extern "C"`, or generate C',
                )
            ]
        )
    lines = [_HEAD % _TRAITS[schema.format], *_section(schema)]
    of = types.Types(schema)
    for definition in schema.definitions:
        match definition:
            case Enum():
                lines += types.enum(of, definition)
            case Record():
                lines += types.record(of, definition)
            case Union():
                lines += types.union(of, definition)
    lines += services(of)
    lines += (
        flat.implementations(of, make_plan(schema))
        if schema.format is Format.FBS
        else proto.implementations(of)
    )
    lines += _runtime(schema.format)
    return {f"{stem(schema)}_hl.rs": "\n".join(lines) + "\n"}


def _section(schema: Schema) -> list[str]:
    """The handshake: by this section the host knows that both sides have the same interface."""
    text = f"hlfuzz.v1 {schema_id(schema)}\n{canonical(schema)}".encode()
    pieces = [byte_string(line + b"\n")[2:-1] for line in text.removesuffix(b"\n").split(b"\n")]
    return [
        '#[cfg(target_arch = "wasm32")]',
        "// SAFETY: a custom section; nothing is loaded from it.",
        '#[unsafe(link_section = "hlfuzz.v1")]',
        "#[used]",
        f'static INTERFACE: [u8; {len(text)}] = *b"\\',
        *(f"{_kept(piece)}\\" for piece in pieces[:-1]),
        f'{_kept(pieces[-1])}";',
        "",
    ]


def _kept(piece: str) -> str:
    """A piece of a literal whose first character is not taken for indentation."""
    return f"\\x20{piece[1:]}" if piece.startswith(" ") else piece


def _runtime(format_: Format) -> list[str]:
    folder = files("hlfuzz.generate.rust") / "runtime"
    parts = [(folder / f"{name}.rs").read_text(encoding="utf-8") for name in _RUNTIME[format_]]
    text = textwrap.indent("\n".join(parts), "    ")
    return ["/// What every generated interface shares.", "pub mod wire {", text.rstrip("\n"), "}"]
