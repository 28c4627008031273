"""The parts of the `protobuf` package that are used; it carries no type information, so they are `Any`."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

descriptor_pb2: Final[Any] = import_module("google.protobuf.descriptor_pb2")
descriptor_pool: Final[Any] = import_module("google.protobuf.descriptor_pool")
unknown_fields: Final[Any] = import_module("google.protobuf.unknown_fields")
MessageType: Final[Any] = import_module("google.protobuf.reflection").GeneratedProtocolMessageType
"""The class of message classes."""
Message: Final[Any] = import_module("google.protobuf.message").Message
DecodeError: Final[Any] = import_module("google.protobuf.message").DecodeError
"""What `ParseFromString` raises."""
