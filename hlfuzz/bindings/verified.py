"""FlatBuffers of an untrusted side: the native verifier says yes or no, the Python one says why not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from hlfuzz.errors import HlfuzzError
from hlfuzz.schema.wire.base import WireError
from hlfuzz.schema.wire.flatbuffers import FlatBuffersCodec, compile_program
from hlfuzz.vmm import NativeVerifier


class VerifiedReader:
    """Decodes records of one schema, each buffer verified before it is read."""

    def __init__(self, codec: FlatBuffersCodec) -> None:
        self._codec = codec
        self._verifier = NativeVerifier(compile_program(codec.schema))

    def steps(self, type_name: str) -> tuple[Callable[[bytes], Any], Callable[[bytes], object]]:
        """Reading, and verifying, apart."""
        return self._codec.reader(type_name), partial(self._verifier.verify, self._verifier.root(type_name))

    def decoder(self, type_name: str) -> Callable[[bytes], Any]:
        """A function from untrusted bytes to a value; it raises `WireError`."""
        verify, root = self._verifier.verify, self._verifier.root(type_name)
        read = self._codec.reader(type_name)

        def decode(data: bytes) -> Any:
            if verify(root, data) is None:
                return read(data)
            fault = self._codec.verify(type_name, data)
            if fault is None:
                raise HlfuzzError(
                    f"the two FlatBuffers verifiers disagree ({type_name}, {len(data)} bytes): this is a "
                    "defect of hlfuzz, please report it with the bytes"
                )
            raise WireError(type_name, fault)

        return decode
