"""Whether a guest built on an old schema may talk to a host on a new one: what the change breaks."""

from __future__ import annotations

from hlfuzz.errors import UsageError
from hlfuzz.schema.conform.breakage import Breakage
from hlfuzz.schema.conform.fbs import fbs_breakages
from hlfuzz.schema.conform.services import service_breakages
from hlfuzz.schema.ir import Format, Schema

__all__ = ["Breakage", "conform"]


def conform(old: Schema, new: Schema) -> tuple[Breakage, ...]:
    """What of `old` breaks in `new`; nothing when peers on either understand each other.

    FlatBuffers: the verdicts of `flatc --conform`, and the rules on services. Raises `UsageError` for schemas
    in different languages.
    """
    if old.format is not new.format:
        raise UsageError(
            f"cannot compare a {old.format} schema with a {new.format} one: give two versions of one schema"
        )
    rules = fbs_breakages if new.format is Format.FBS else service_breakages
    return tuple(rules(old, new))
