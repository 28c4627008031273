"""Wasm values in and out of `hl_value` arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from hlfuzz.model import Float32, Float64, ValType, Value
from hlfuzz.vmm.library import ffi

_V128_BYTES: Final = 16
_MEMBERS: Final = {ValType.I32: "int32_t *", ValType.I64: "int64_t *", ValType.F64: "double *"}
_CLASSES: Final = {ValType.I32: int, ValType.I64: int, ValType.F64: float}


class Slots:
    """An array of values of fixed types, reused for each call."""

    def __init__(self, types: Sequence[ValType]) -> None:
        self.types = tuple(types)
        self.count = len(self.types)
        self.array: Any = ffi.new("hl_value[]", self.count) if types else ffi.NULL
        self._writers = tuple(writer(t, self.array + i) for i, t in enumerate(types))
        fast = all(t in _MEMBERS for t in types)
        self.fast: tuple[tuple[Any, type], ...] | None = (
            tuple((ffi.cast(_MEMBERS[t], self.array + i), _CLASSES[t]) for i, t in enumerate(types))
            if fast
            else None
        )
        """For each value a pointer to assign it through and the exact class that may be; None: use `put`."""

    def put(self, values: Sequence[Value]) -> None:
        """Write values in canonical form: signed ints, floats or bit floats, 16 bytes."""
        for write, value in zip(self._writers, values, strict=True):
            write(value)


def writer(type_: ValType, slot: Any) -> Callable[[Value], None]:
    """Writes canonical values of `type_` to an `hl_value *`."""
    if type_ is ValType.V128:
        buffer = ffi.buffer(slot, _V128_BYTES)

        def write_vector(value: Value) -> None:
            buffer[:] = value

        return write_vector
    pointer = ffi.cast("float *" if type_ is ValType.F32 else _MEMBERS[type_], slot)
    bits = ffi.cast("uint32_t *" if type_ is ValType.F32 else "uint64_t *", slot)

    def write_number(value: Value) -> None:
        if isinstance(value, (Float32, Float64)):
            bits[0] = value.bits
        else:
            pointer[0] = value

    return write_number


def read(slots: Any, types: Sequence[ValType]) -> tuple[Value, ...]:
    """The values of an `hl_value *`."""
    return tuple(reader(t)(slots + i) for i, t in enumerate(types))


def reader(type_: ValType) -> Callable[[Any], Value]:
    """Reads a value of `type_` from an `hl_value *`, in canonical form."""
    return _READERS[type_]


def _i32(slot: Any) -> Value:
    return slot.i32


def _i64(slot: Any) -> Value:
    return slot.i64


def _f32(slot: Any) -> Value:
    value: float = slot.f32
    return value if value == value else Float32(slot.u32)


def _f64(slot: Any) -> Value:
    value: float = slot.f64
    return value if value == value else Float64(slot.u64)


def _v128(slot: Any) -> Value:
    return bytes(ffi.buffer(slot, _V128_BYTES))


_READERS: Final[dict[ValType, Callable[[Any], Value]]] = {
    ValType.I32: _i32,
    ValType.I64: _i64,
    ValType.F32: _f32,
    ValType.F64: _f64,
    ValType.V128: _v128,
}
