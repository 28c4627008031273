"""Which numbers are values of an enum."""

from __future__ import annotations

from struct import Struct
from typing import Final

from hlfuzz.schema.ir import Scalar
from hlfuzz.schema.wire.base import Rule
from hlfuzz.schema.wire.flatbuffers.plan import EnumPlan
from hlfuzz.schema.wire.flatbuffers.window import fail

FORMATS: Final = {
    Scalar.BOOL: "?",
    Scalar.I8: "b",
    Scalar.U8: "B",
    Scalar.I16: "h",
    Scalar.U16: "H",
    Scalar.I32: "i",
    Scalar.U32: "I",
    Scalar.I64: "q",
    Scalar.U64: "Q",
    Scalar.F32: "f",
    Scalar.F64: "d",
}
"""The letters of the `struct` module."""


class Members:
    """The values of one enum; of bit flags all combinations of declared bits."""

    def __init__(self, plan: EnumPlan) -> None:
        self.name = plan.source.name
        self._values = frozenset(plan.values)
        self._undeclared = ~plan.values[0] if plan.source.bit_flags else 0
        self._flags = plan.source.bit_flags
        self._size = plan.source.scalar.size
        self._letter = FORMATS[plan.source.scalar]
        self._one = Struct(f"<{self._letter}").unpack_from

    def holds(self, number: int) -> bool:
        """Whether a number is a value."""
        return not number & self._undeclared if self._flags else number in self._values

    def check(self, data: bytes, at: int) -> None:
        """Check the number at `at`."""
        number: int = self._one(data, at)[0]
        if not self.holds(number):
            fail(
                Rule.ENUM,
                at,
                f"{number} is no {'combination of flags' if self._flags else 'value'} of {self.name}",
            )

    def first_stranger(self, data: bytes, at: int, count: int) -> int | None:
        """The index of the first of `count` numbers that is no value, or None."""
        numbers: tuple[int, ...] = Struct(f"<{count}{self._letter}").unpack_from(data, at)
        if not self._flags and self._values.issuperset(numbers):
            return None
        return next((i for i, number in enumerate(numbers) if not self.holds(number)), None)
