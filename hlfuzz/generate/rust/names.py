"""Rust names for what a schema names: types, fields, variants, constants, methods; no two alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

from hlfuzz.generate.rust.text import identifier
from hlfuzz.schema.ir import Enum, Record, Schema, Service, Union
from hlfuzz.schema.names import class_names, pascal_case, service_names, snake_case

_Key = TypeVar("_Key")
_TRAITS: Final = "Clone Copy Debug Default Eq From Hash Into Ord PartialEq PartialOrd"
_PRELUDE: Final = frozenset(f"{_TRAITS} Box BTreeMap Err None Ok Option Result Self Some String Vec".split())
"""What generated code calls by these names."""


class Names:
    """The names of one schema."""

    def __init__(self, schema: Schema) -> None:
        self._types = _apart(class_names(schema), lambda name: name, _PRELUDE)
        taken = _PRELUDE | set(self._types.values())
        self._services = _apart(service_names(schema), lambda name: name, frozenset(taken))

    def type(self, name: str) -> str:
        """The type of a definition, by full name."""
        return self._types[name]

    def service(self, name: str) -> str:
        """The trait or type of a service, by full name."""
        return self._services[name]


def field_names(record: Record) -> Mapping[str, str]:
    """The field of each field, by its name in the schema."""
    return _identifiers((f.name for f in record.fields), snake_case)


def variant_names(union: Union) -> Mapping[int, str]:
    """The variant of each tag."""
    names = {v.tag: v.name.rsplit(".", 1)[-1] for v in union.variants}
    return _apart({tag: _capital(name) for tag, name in names.items()}, identifier, frozenset())


def member_names(enum: Enum) -> Mapping[str, str]:
    """The constant of each member."""
    return _identifiers((m.name for m in enum.members), lambda name: snake_case(name).upper())


def method_names(service: Service) -> Mapping[str, str]:
    """The function of each method."""
    return _identifiers((m.name for m in service.methods), snake_case)


def _capital(name: str) -> str:
    name = pascal_case(name) or name
    return name if name[:1].isalpha() else f"V{name}"


def _identifiers(names: Iterable[str], convert: Callable[[str], str]) -> dict[str, str]:
    # A name that is only underscores is no identifier, or one with a meaning.
    wanted = {name: convert(name) if name.strip("_") else f"x{name}" for name in names}
    return _apart(wanted, identifier, frozenset())


def _apart(
    wanted: Mapping[_Key, str], convert: Callable[[str], str], reserved: frozenset[str]
) -> dict[_Key, str]:
    """What is wanted, converted; with underscores where that is reserved, or taken by one before."""
    result: dict[_Key, str] = {}
    taken = set(reserved)
    for key, name in wanted.items():
        found = convert(name)
        while found in taken:
            name += "_"
            found = convert(name)
        taken.add(found)
        result[key] = found
    return result
