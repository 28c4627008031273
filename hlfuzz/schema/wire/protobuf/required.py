"""Finds the required field that a parsed message lacks: only the runtime knows what merged parts give."""

from __future__ import annotations

from typing import Any

from hlfuzz.schema.wire.base import Rule, WireFault
from hlfuzz.schema.wire.protobuf.messages import field_name
from hlfuzz.schema.wire.protobuf.paths import Step, child_of, locate, show_key
from hlfuzz.schema.wire.protobuf.tables import Table


def missing(table: Table, message: Any, data: bytes) -> WireFault | None:
    """The first required field that is absent, in order of field numbers; the offset is its message's."""
    waiting: list[tuple[Table, Any, tuple[Step, ...], str]] = [(table, message, (), "")]
    while waiting:
        current, value, steps, path = waiting.pop()
        for number in sorted(current.required):
            if not value.HasField(field_name(number)):
                where = f"{path}.{current.names[number]}".removeprefix(".")
                return WireFault(
                    Rule.REQUIRED, where, locate(table, data, steps), "a required field is absent"
                )
        found: list[tuple[Table, Any, tuple[Step, ...], str]] = []
        for number in sorted(
            {tag >> 3 for tag, (_, child) in current.known.items() if child and child.demanding}
        ):
            child, name = child_of(current, number), f"{path}.{current.names[number]}"
            content = getattr(value, field_name(number))
            if number in current.maps:
                for key in sorted(content):
                    found.append((child, content[key], (*steps, (number, None, key)), name + show_key(key)))
            elif number in current.repeated:
                for index, item in enumerate(content):
                    found.append((child, item, (*steps, (number, index, None)), f"{name}[{index}]"))
            elif value.HasField(field_name(number)):
                found.append((child, content, (*steps, (number, None, None)), name))
        waiting += reversed(found)
    return None
