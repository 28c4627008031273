"""Resolves types by name and attributes; the state that all resolving shares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from hlfuzz.schema.fbs.constants import attribute_of
from hlfuzz.schema.fbs.limits import MAX_ARRAY
from hlfuzz.schema.fbs.model import Attributes, Base, Container, FieldType
from hlfuzz.schema.fbs.numbers import NotANumber, read_integer
from hlfuzz.schema.fbs.problems import Problem, Reading, shown, similar
from hlfuzz.schema.fbs.scope import Scope
from hlfuzz.schema.fbs.source import Source
from hlfuzz.schema.fbs.syntax import AttributeUse, Name, TypeUse
from hlfuzz.schema.ir import Scalar

_SCALARS: Final = {
    "bool": Scalar.BOOL,
    "byte": Scalar.I8,
    "int8": Scalar.I8,
    "ubyte": Scalar.U8,
    "uint8": Scalar.U8,
    "short": Scalar.I16,
    "int16": Scalar.I16,
    "ushort": Scalar.U16,
    "uint16": Scalar.U16,
    "int": Scalar.I32,
    "int32": Scalar.I32,
    "uint": Scalar.U32,
    "uint32": Scalar.U32,
    "long": Scalar.I64,
    "int64": Scalar.I64,
    "ulong": Scalar.U64,
    "uint64": Scalar.U64,
    "float": Scalar.F32,
    "float32": Scalar.F32,
    "double": Scalar.F64,
    "float64": Scalar.F64,
}
_NUMBERS: Final = {name: FieldType(Base.SCALAR, scalar) for name, scalar in _SCALARS.items()}
TYPE_NAMES: Final = (*_SCALARS, "string")
"""Types that are not defined in a schema."""


@dataclass
class Context:
    """The names in scope, the file that is being resolved, and where errors go."""

    scope: Scope
    reading: Reading
    source: Source
    notes: list[str] = field(default_factory=list[str])

    def report(self, problem: Problem) -> None:
        """Note an error in the current file."""
        self.reading.report(self.source, problem)

    def type(self, use: TypeUse) -> FieldType:
        """The type of a field. Raises `Problem`."""
        element = self._named(use.name)
        if use.vector:
            return replace(element, container=Container.VECTOR)
        if use.length is None:
            return element
        try:
            length = read_integer(use.length.text, Scalar.U16)
        except NotANumber:
            length = 0
        if not length:
            raise Problem(f"an array has 1 to {MAX_ARRAY:,} elements", use.length.offset)
        return replace(element, container=Container.ARRAY, length=length)

    def _named(self, name: Name) -> FieldType:
        if name.text in _NUMBERS:
            return _NUMBERS[name.text]
        if name.text == "string":
            return FieldType(Base.STRING)
        enum = self.scope.find_enum(name.text)
        if enum is not None and enum.union:
            return FieldType(Base.UNION, enum=enum)
        if enum is not None:
            return FieldType(Base.SCALAR, enum.scalar, enum=enum)
        return FieldType(Base.RECORD, record=self.scope.use_record(name.text, self.source, name.offset))

    def attributes(self, uses: Iterable[AttributeUse]) -> Attributes:
        """Attributes by name, the first of each; errors are reported."""
        found: Attributes = {}
        for use in uses:
            name = use.name.text
            if name not in self.scope.attributes:
                suggestion = similar(name, self.scope.attributes, f'declare it: attribute "{name[:60]}";')
                self.report(Problem(f"unknown attribute {shown(name)}", use.name.offset, suggestion))
                continue
            try:
                value = attribute_of(use)
            except Problem as problem:
                self.report(problem)
                continue
            found.setdefault(name, value)
        return found
