"""The FlatBuffers codec: values to bytes, untrusted bytes to values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from hlfuzz.errors import UsageError
from hlfuzz.schema.ir import Schema
from hlfuzz.schema.values import Classes, make_classes
from hlfuzz.schema.wire.base import EncodeError, Limits, WireError, WireFault
from hlfuzz.schema.wire.flatbuffers.decode import Decoder
from hlfuzz.schema.wire.flatbuffers.encode import Encoder
from hlfuzz.schema.wire.flatbuffers.explain import Explainer
from hlfuzz.schema.wire.flatbuffers.plan import make_plan
from hlfuzz.schema.wire.flatbuffers.values import Values
from hlfuzz.schema.wire.flatbuffers.verify import Verifier

_DEFAULT_LIMITS: Final = Limits()


class FlatBuffersCodec:
    """Encodes, verifies and reads buffers of one schema; types are tables by full name.

    `verify` and `decode` take any bytes-like object and copy it once, before they look; so a peer that
    changes shared memory meanwhile changes nothing.
    """

    def __init__(self, schema: Schema, classes: Classes, limits: Limits) -> None:
        plan = make_plan(schema)
        values = Values(plan, classes)
        self.schema = schema
        self.classes = classes
        self._tables = plan.table_index
        self._verifier = Verifier(plan, limits)
        self._encoder = Encoder(plan, classes, values, limits, self._check_nested)
        self._explainer = Explainer(plan, classes, limits, self._nested_fault)
        self._decoder = Decoder(plan, classes, values)

    def encode(self, type_name: str, value: Any) -> bytes:
        """A buffer with `value` as root, with the file identifier when the type is the schema's root type.

        Raises `EncodeError`.
        """
        table = self._table(type_name)
        try:
            return self._encoder.encode(table, value)
        except Exception as error:
            failure = error
        # Whatever packing refuses ends here; the explanation says where and why.
        self._explainer.explain(table, value)
        raise EncodeError(f"{type_name}: {failure or type(failure).__name__}") from failure

    def decode(self, type_name: str, data: bytes) -> Any:
        """Verify, then read. Raises `WireError`."""
        table = self._table(type_name)
        data = _frozen(data)
        fault = self._verifier.verify(table, data)
        if fault is not None:
            raise WireError(type_name, fault)
        return self._decoder.read(table, data)

    def verify(self, type_name: str, data: bytes) -> WireFault | None:
        """The first rule that the bytes break, or None: then they can be read fully."""
        return self._verifier.verify(self._table(type_name), _frozen(data))

    def reader(self, type_name: str) -> Callable[[bytes], Any]:
        """Reads bytes that are verified already. Other bytes may give any value, or any exception."""
        return partial(self._decoder.read, self._table(type_name))

    def _table(self, type_name: str) -> int:
        try:
            return self._tables[type_name]
        except KeyError:
            raise UsageError(f"{type_name!r} is no table of schema {self.schema.name!r}") from None

    def _check_nested(self, table: int, data: bytes) -> None:
        if self._verifier.verify_nested(table, data) is not None:
            raise ValueError

    def _nested_fault(self, table: int, data: bytes) -> str | None:
        fault = self._verifier.verify_nested(table, data)
        return None if fault is None else str(fault)


def _frozen(data: bytes) -> bytes:
    """The bytes themselves, or the one copy of memory that may change."""
    return data if type(data) is bytes else bytes(memoryview(data))


def flatbuffers_codec(
    schema: Schema, classes: Classes | None = None, limits: Limits = _DEFAULT_LIMITS
) -> FlatBuffersCodec:
    """The codec of a FlatBuffers schema, with generated classes or, without any, those of `make_classes`.

    Raises `SchemaError` for what this wire does not carry: 64-bit offsets.
    """
    return FlatBuffersCodec(schema, make_classes(schema) if classes is None else classes, limits)
