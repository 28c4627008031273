"""The places in a value where another one could stand: every field of every record in it, absent ones too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from hlfuzz.bindings.interface import Interface
from hlfuzz.schema.ir import Field, Map, Named, Record, Schema, Type, Union, Vector
from hlfuzz.schema.names import field_names

MAX_SITES: Final = 200
"""Places of one value that are looked at; a value has more only when its bounds are large."""


@dataclass(frozen=True, slots=True)
class Site:
    """A field of a record in a value. `path` is as in `WireFault`: "headers[2].name"."""

    path: str
    owner: Any
    attribute: str
    record: Record
    field: Field

    def get(self) -> Any:
        """What is there; None or empty when it is absent."""
        return getattr(self.owner, self.attribute)

    def put(self, value: Any) -> None:
        """Change the value in place."""
        setattr(self.owner, self.attribute, value)


def sites(interface: Interface, name: str, value: Any, limit: int = MAX_SITES) -> list[Site]:
    """The fields of a value of the record `name` and of the records in it, outermost first."""
    schema = interface.schema
    held = {interface.classes.variants[u.name, v.tag]: v.type for u in _unions(schema) for v in u.variants}
    found: list[Site] = []
    waiting: list[tuple[str, Record, Any]] = [("", schema.record(name), value)]
    for path, record, owner in waiting:
        for field, attribute in zip(record.fields, field_names(record).values(), strict=True):
            if len(found) >= limit:
                return found
            site = Site(f"{path}.{field.name}" if path else field.name, owner, attribute, record, field)
            found.append(site)
            for where, type_, inner in _inside(site.path, field.type, site.get()):
                if type(inner) in held:
                    type_, inner = held[type(inner)], inner.value
                target = schema.by_name[type_.name] if isinstance(type_, Named) else None
                if isinstance(target, Record):
                    waiting.append((where, target, inner))
    return found


def _unions(schema: Schema) -> Iterator[Union]:
    return (d for d in schema.definitions if isinstance(d, Union))


def _inside(path: str, type_: Type, value: Any) -> Iterator[tuple[str, Type, Any]]:
    """Values of named types in the value of a field."""
    if value is None:
        return
    match type_:
        case Named():
            yield path, type_, value
        case Vector(Named() as element):
            for i, item in enumerate(value):
                yield f"{path}[{i}]", element, item
        case Map(value=Named() as element):
            for key, item in value.items():
                yield f"{path}[{key!r}]", element, item
        case _:
            pass
