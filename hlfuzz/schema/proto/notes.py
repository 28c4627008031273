"""Says what a schema holds and this tool leaves out: extensions, custom options, message sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from hlfuzz.schema.ir import Position
from hlfuzz.schema.proto.places import Places, elements
from hlfuzz.schema.proto.runtime import unknown_fields

_SHOWN: Final = 100


def notes(files: Iterable[Any], places: Mapping[str, Places], main: str) -> tuple[str, ...]:
    """One line for each extension, used custom option and message set, with its place.

    Definitions of custom options are noted in the main file only.
    """
    known: dict[tuple[str, int], str] = {}
    found: list[str] = []
    used: Counter[tuple[str, int]] = Counter()
    first: dict[tuple[str, int], Position | None] = {}
    for file in files:
        for element in elements(file):
            value = element.value
            if element.kind == "extension":
                extendee = value.extendee.removeprefix(".")
                known[extendee, value.number] = element.name
                place = _at(places[file.name].at(element.path).position)
                if file.name == main or not is_options(extendee):
                    found.append(f"{place}extension {element.name} = {value.number} of {extendee}: left out")
            elif element.kind == "extension_range":
                continue
            if value.HasField("options"):
                for key in _custom(value.options):
                    used[key] += 1
                    if key not in first:
                        first[key] = places[file.name].at(element.path).position
                if element.kind in ("message_type", "nested_type") and value.options.message_set_wire_format:
                    place = _at(places[file.name].at(element.path).position)
                    found.append(f"{place}message set {element.name}: its items are unknown fields")
    options = [
        f"{_at(first[key])}option ({known.get(key, f'{key[0]} {key[1]}')}): no effect here, set {count} ×"
        for key, count in used.items()
    ]
    return _cut(options) + _cut(found)


def is_options(name: str) -> bool:
    """Whether extensions of a message are custom options."""
    return name.startswith("google.protobuf.") and name.endswith("Options")


def _custom(options: Any) -> Iterator[tuple[str, int]]:
    """Extendee and number of each custom option. The runtime knows those whose modules someone has loaded."""
    name = options.DESCRIPTOR.full_name
    numbers = {f.number for f, _ in options.ListFields() if f.is_extension}
    numbers |= {f.field_number for f in unknown_fields.UnknownFieldSet(options)}
    for number in sorted(numbers):
        yield name, number


def _at(position: Position | None) -> str:
    return f"{position}: " if position is not None else ""


def _cut(lines: list[str]) -> tuple[str, ...]:
    more = len(lines) - _SHOWN
    return (*lines[:_SHOWN], f"… and {more} more like this") if more > 0 else tuple(lines)
