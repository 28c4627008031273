"""Whether a guest built on an old schema may talk to a host on a new one: what the change breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from hlfuzz.errors import UsageError
from hlfuzz.schema.conform.breakage import Breakage
from hlfuzz.schema.conform.fbs import fbs_breakages
from hlfuzz.schema.conform.proto import proto_breakages
from hlfuzz.schema.conform.services import service_breakages
from hlfuzz.schema.ir import Format, Schema

__all__ = ["Breakage", "conform"]

_RULES: Final[Mapping[Format, Callable[[Schema, Schema], Iterator[Breakage]]]] = {
    Format.FBS: fbs_breakages,
    Format.PROTO: proto_breakages,
    Format.RAW: service_breakages,
}


def conform(old: Schema, new: Schema) -> tuple[Breakage, ...]:
    """What of `old` breaks in `new`; nothing when peers on either understand each other.

    FlatBuffers: the verdicts of `flatc --conform`; Protobuf: what its encoding does not bear; both, and raw
    schemas: the rules on services. Raises `UsageError` for schemas in different languages.
    """
    if old.format is not new.format:
        raise UsageError(
            f"cannot compare a {old.format} schema with a {new.format} one: give two versions of one schema"
        )
    return tuple(_RULES[new.format](old, new))
