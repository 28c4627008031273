"""Encodes and decodes Protobuf with the `protobuf` runtime over the IR; untrusted bytes are verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from hlfuzz.errors import UsageError
from hlfuzz.schema.diagnostics import did_you_mean
from hlfuzz.schema.ir import Schema
from hlfuzz.schema.proto.runtime import DecodeError
from hlfuzz.schema.values import Classes, make_classes
from hlfuzz.schema.wire.base import Codec, EncodeError, Limits, Rule, WireError, WireFault
from hlfuzz.schema.wire.protobuf.messages import Messages
from hlfuzz.schema.wire.protobuf.paths import path_of
from hlfuzz.schema.wire.protobuf.reader import Read, Readers
from hlfuzz.schema.wire.protobuf.required import missing
from hlfuzz.schema.wire.protobuf.scan import Fault, Frame, scan
from hlfuzz.schema.wire.protobuf.tables import Table, tables
from hlfuzz.schema.wire.protobuf.writer import Fill, Unfit, Writers

RUNTIME_DEPTH: Final = 101
"""Messages inside messages that the runtime reads, with the outermost (upb's default depth limit is 100)."""


def protobuf_codec(schema: Schema, classes: Classes | None = None, limits: Limits | None = None) -> Codec:
    """A codec for the messages of a Protobuf schema.

    Values are instances of `classes`, of `make_classes(schema)` when None. A map entry is a record of its own
    to `limits`, and so is an unknown group to `limits.depth`, of which the runtime reads at most 101.
    """
    return _ProtobufCodec(schema, classes or make_classes(schema), limits or Limits())


@dataclass(frozen=True, slots=True)
class _Tools:
    """All that is made once for one message of the schema."""

    cls: Any
    table: Table
    read: Read
    fill: Fill


class _ProtobufCodec:
    def __init__(self, schema: Schema, classes: Classes, limits: Limits) -> None:
        self._limits = limits
        self._depth = min(limits.depth, RUNTIME_DEPTH)
        self._messages = Messages(schema)
        self._tables = tables(schema)
        self._readers = Readers(schema, classes)
        self._writers = Writers(schema, classes, self._depth)
        self._tools: dict[str, _Tools] = {}

    def encode(self, type_name: str, value: Any) -> bytes:
        """Deterministic: maps in order of their keys. Raises `EncodeError`."""
        tools = self._of(type_name)
        message = tools.cls()
        try:
            tools.fill(message, value, 1)
        except Unfit as error:
            where = f"{type_name}.{error.path}" if error.path else type_name
            raise EncodeError(f"cannot encode ({where}): {error}") from None
        data: bytes = message.SerializeToString(deterministic=True)
        if len(data) > self._limits.size:
            raise EncodeError(
                f"cannot encode ({type_name}): {len(data)} bytes, and at most {self._limits.size} are allowed"
            )
        return data

    def decode(self, type_name: str, data: bytes) -> Any:
        """Raises `WireError`."""
        tools = self._of(type_name)
        message, fault = self._parse(tools, bytes(data))
        if fault is not None:
            raise WireError(type_name, fault)
        return tools.read(message)

    def verify(self, type_name: str, data: bytes) -> WireFault | None:
        """What is wrong, or None: `decode` gives a value then."""
        return self._parse(self._of(type_name), bytes(data))[1]

    def _parse(self, tools: _Tools, data: bytes) -> tuple[Any, WireFault | None]:
        limit = self._limits.size
        if len(data) > limit:
            return None, WireFault(
                Rule.TOO_LONG, "", limit, f"{len(data)} bytes, and at most {limit} are allowed"
            )
        frames = [Frame(tools.table, 0, len(data))]
        try:
            scan(frames, data, self._depth, self._limits.tables)
        except Fault as fault:
            path = path_of(frames, data, fault.number, fault.tag_at)
            return None, WireFault(fault.rule, path, fault.offset, str(fault))
        message = tools.cls()
        try:
            message.ParseFromString(data)
        except DecodeError as error:
            # The walk above knows the runtime's rules; should they change, its word counts.
            return None, WireFault(Rule.MALFORMED, "", 0, f"the Protobuf runtime refuses it: {error}")
        if tools.table.demanding and not message.IsInitialized():
            return None, missing(tools.table, message, data)
        return message, None

    def _of(self, type_name: str) -> _Tools:
        tools = self._tools.get(type_name)
        if tools is None:
            table = self._tables.get(type_name)
            if table is None:
                suggestion = did_you_mean(type_name, sorted(self._tables), "use the full name of a message")
                raise UsageError(f"no such message ({type_name}): {suggestion}")
            tools = self._tools[type_name] = _Tools(
                self._messages.cls(type_name),
                table,
                self._readers.of(type_name),
                self._writers.of(type_name),
            )
        return tools
