"""Protobuf on the wire: a codec over the IR, and a verifier that names the field at fault."""

from __future__ import annotations

from hlfuzz.schema.wire.protobuf.codec import protobuf_codec

__all__ = ["protobuf_codec"]
