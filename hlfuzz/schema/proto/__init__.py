"""The front end for Protobuf: proto2, proto3 and editions, read by protoc of grpcio-tools."""

from __future__ import annotations

from hlfuzz.schema.proto.front_end import parse, parse_text

__all__ = ["parse", "parse_text"]
