"""The parts of the `protobuf` package that are used; it carries no type information, so they are `Any`."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

descriptor_pb2: Final[Any] = import_module("google.protobuf.descriptor_pb2")
descriptor_pool: Final[Any] = import_module("google.protobuf.descriptor_pool")
message_factory: Final[Any] = import_module("google.protobuf.message_factory")
unknown_fields: Final[Any] = import_module("google.protobuf.unknown_fields")
DecodeError: Final[Any] = import_module("google.protobuf.message").DecodeError
"""What `ParseFromString` raises."""
