"""Reads a schema file by its suffix: .fbs (FlatBuffers), .proto (Protobuf), .toml (raw)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hlfuzz.schema.diagnostics import Diagnostic, SchemaError
from hlfuzz.schema.ir import Format, Schema

SUFFIXES: Final = {".fbs": Format.FBS, ".proto": Format.PROTO, ".toml": Format.RAW}
"""The format of a schema file by its suffix."""


def load(path: Path | str, *, include: Sequence[Path] = ()) -> Schema:
    """The schema in a file and in what it includes, from beside it or from the folders `include`.

    Raises `SchemaError` with everything that is wrong with it.
    """
    path = Path(path)
    match SUFFIXES.get(path.suffix):
        case Format.FBS:
            from hlfuzz.schema.fbs import parse
        case Format.PROTO:
            from hlfuzz.schema.proto import parse
        case Format.RAW:
            from hlfuzz.schema.raw import parse
        case None:
            raise SchemaError(
                [
                    Diagnostic(
                        f"unknown kind of schema ({path}): its name must end in {', '.join(SUFFIXES)}",
                        suggestion="name the schema file, not the guest",
                    )
                ]
            )
    return parse(path, include=include)
