"""`Interface`: a schema with its Python classes, its wire codec and what a call of each method needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from hlfuzz.bindings.verified import VerifiedReader
from hlfuzz.errors import UsageError
from hlfuzz.schema.canonical import canonical, method_id, schema_id
from hlfuzz.schema.dump import load_json
from hlfuzz.schema.ir import Direction, Format, Method, Schema, Service
from hlfuzz.schema.load import load
from hlfuzz.schema.values import Classes, make_classes
from hlfuzz.schema.wire.base import Codec
from hlfuzz.schema.wire.flatbuffers import FlatBuffersCodec, flatbuffers_codec


@dataclass(frozen=True, slots=True)
class Message:
    """One side of a method on the wire: how a value becomes bytes, and untrusted bytes a value.

    `encode` raises `EncodeError`, `decode` raises `WireError`: it verifies before it reads.
    """

    type_name: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


class Interface:
    """What host and guest agreed on. Immutable; any number of clients, in any thread, may share it."""

    def __init__(self, schema: Schema, classes: Classes | None = None) -> None:
        self.schema = schema
        self.classes = classes if classes is not None else make_classes(schema)
        self._messages: dict[str, Message] = {}

    @classmethod
    def from_json(cls, text: str, *, classes: Classes | None = None) -> Interface:
        """From the text that generated code carries. Raises `UsageError` for a damaged one."""
        return cls(load_json(text), classes)

    @classmethod
    def load(cls, path: Path | str, *, include: Sequence[Path] = ()) -> Interface:
        """From a schema file, and what it includes from beside it or from `include`, without generated code.
        Raises `SchemaError`."""
        return cls(load(path, include=include))

    @cached_property
    def codec(self) -> Codec:
        """The wire codec. Raises `UsageError` for a raw interface, which has no messages."""
        match self.schema.format:
            case Format.FBS:
                return flatbuffers_codec(self.schema, self.classes)
            case Format.PROTO:
                from hlfuzz.schema.wire.protobuf import protobuf_codec

                return protobuf_codec(self.schema, self.classes)
            case Format.RAW:
                raise UsageError(
                    f"a raw interface has no messages ({self.schema.name}): its values are bytes already"
                )

    @cached_property
    def id(self) -> str:
        """The schema id, 64 hexadecimal digits."""
        return schema_id(self.schema)

    @cached_property
    def text(self) -> str:
        """The canonical text, whose SHA-256 is `id`."""
        return canonical(self.schema)

    def method_id(self, service: str, method: str) -> str:
        """The id of one method and the types it reaches, 64 hexadecimal digits."""
        found = self.service(service)
        return method_id(self.schema, found, next(m for m in found.methods if m.name == method))

    def service(self, name: str) -> Service:
        """A service by full name. Raises `UsageError` when there is none."""
        for service in self.schema.services:
            if service.name == name:
                return service
        known = ", ".join(s.name for s in self.schema.services) or "none"
        raise UsageError(f"no service {name!r} ({self.schema.name}): it has {known}")

    def methods(self, direction: Direction) -> list[tuple[Service, Method]]:
        """All methods of one direction, in order."""
        return list(self.schema.methods(direction))

    def message(self, type_name: str) -> Message:
        """How values of a record cross the boundary."""
        found = self._messages.get(type_name)
        if found is None:
            found = self._messages[type_name] = self._make_message(type_name)
        return found

    def _make_message(self, type_name: str) -> Message:
        codec = self.codec
        if self._reader is not None:
            decode = self._reader.decoder(type_name)
        else:
            decode = partial(codec.decode, type_name)
        return Message(type_name, partial(codec.encode, type_name), decode)

    def steps(self, type_name: str) -> tuple[Callable[[bytes], Any], Callable[[bytes], object]]:
        """How a FlatBuffers record is decoded, apart: reading what is verified, and the native verifier,
        which gives None or the fault. For measurements; `message` does both. Raises `UsageError`."""
        if self._reader is None:
            raise UsageError(f"only FlatBuffers are read and verified apart ({self.schema.name})")
        return self._reader.steps(type_name)

    @cached_property
    def _reader(self) -> VerifiedReader | None:
        """Only FlatBuffers can be read without being checked, so only they have a verifier apart."""
        codec = self.codec
        return VerifiedReader(codec) if isinstance(codec, FlatBuffersCodec) else None
