"""The FlatBuffers wire: encoder, reader, verifier, and the program by which the native verifier works."""

from __future__ import annotations

from hlfuzz.schema.wire.flatbuffers.codec import FlatBuffersCodec, flatbuffers_codec
from hlfuzz.schema.wire.flatbuffers.program import compile_program

__all__ = ["FlatBuffersCodec", "compile_program", "flatbuffers_codec"]
