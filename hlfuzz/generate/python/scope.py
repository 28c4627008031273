"""What a generated Python module imports, and names that stay reachable where a class hides them."""

from __future__ import annotations

from collections.abc import Iterable

from hlfuzz.schema.ir import (
    Array,
    Bytes,
    CString,
    Enum,
    Map,
    Named,
    Number,
    Scalar,
    Schema,
    String,
    Type,
    Vector,
)
from hlfuzz.schema.names import class_names, variant_names
from hlfuzz.schema.values import is_byte_vector


class Names:
    """Names of one module: classes of the schema, imports used so far, second names."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.classes = class_names(schema)
        self.variants = variant_names(schema)
        self.imports: dict[str, set[str]] = {}
        self.second_names: dict[str, str] = {}
        """Second name → name, for what a class body hides."""

    def need(self, module: str, name: str = "") -> str:
        """Import a name, or the module itself; returns the name."""
        self.imports.setdefault(module, set()).add(name)
        return name

    def import_lines(self) -> list[str]:
        """The imports of the standard library and of hlfuzz, sorted."""
        standard = [m for m in self.imports if not m.startswith("hlfuzz")]
        groups = [
            [f"import {m}" for m in sorted(standard) if self.imports[m] == {""}],
            [self._from(m) for m in sorted(standard) if self.imports[m] != {""}],
        ]
        lines = [line for group in groups for line in group]
        return [*lines, "", *(self._from(m) for m in sorted(self.imports) if m.startswith("hlfuzz"))]

    def _from(self, module: str) -> str:
        return f"from {module} import {', '.join(sorted(self.imports[module]))}"


class Scope:
    """The body of one class: names that it defines hide those of the module."""

    def __init__(self, names: Names, own: Iterable[str] = ()) -> None:
        self._names = names
        self._own = frozenset(own)

    def ref(self, name: str) -> str:
        """How the body reaches a name of the module."""
        if name not in self._own:
            return name
        second = f"_{name}"
        while second in self._own:
            second += "_"
        self._names.second_names[second] = name
        return second

    def cls(self, definition: str) -> str:
        """How the body reaches the class of a definition."""
        return self.ref(self._names.classes[definition])

    def need(self, module: str, name: str) -> str:
        """Import a name; returns how the body reaches it."""
        return self.ref(self._names.need(module, name))

    def need_module(self, module: str) -> str:
        """Import a module; returns how the body reaches it."""
        self._names.need(module)
        return self.ref(module)

    def annotation(self, type_: Type) -> str:
        """The annotation of values of a type that are there."""
        match type_:
            case _ if is_byte_vector(type_):
                return self.ref("bytes")
            case Number():
                return self.scalar(type_.scalar)
            case String() | CString():
                return self.ref("str")
            case Bytes():
                return self.ref("bytes")
            case Named():
                found = self._names.schema.by_name[type_.name]
                name = self.cls(type_.name)
                is_open = isinstance(found, Enum) and not found.closed
                return f"{name} | {self.ref('int')}" if is_open else name
            case Vector() | Array():
                return f"{self.ref('list')}[{self.annotation(type_.element)}]"
            case Map():
                return f"{self.ref('dict')}[{self.annotation(type_.key)}, {self.annotation(type_.value)}]"

    def factory(self, type_: Vector | Map) -> str:
        """What makes an empty list or dict; types that a later class defines as text."""
        if isinstance(type_, Map):
            return f"{self.ref('dict')}[{self._deferred(type_.key)}, {self._deferred(type_.value)}]"
        return f"{self.ref('list')}[{self._deferred(type_.element)}]"

    def _deferred(self, type_: Type) -> str:
        text = self.annotation(type_)
        return f'"{text}"' if isinstance(type_, Named) else text

    def scalar(self, scalar: Scalar) -> str:
        """The Python type of a number."""
        return self.ref("bool" if scalar is Scalar.BOOL else "float" if scalar.is_float else "int")
