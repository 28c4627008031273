"""Where each element of a schema file is, and its comments, out of protoc's source information."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from hlfuzz.schema.ir import Position
from hlfuzz.schema.proto.sources import Source

Path: TypeAlias = tuple[int, ...]
"""How descriptor.proto addresses an element: field numbers and indices, from the file down."""
_CHILDREN: Final = {
    "FileDescriptorProto": (("message_type", 4), ("enum_type", 5), ("service", 6), ("extension", 7)),
    "DescriptorProto": (
        *(("field", 2), ("nested_type", 3), ("enum_type", 4)),
        *(("extension_range", 5), ("extension", 6), ("oneof_decl", 8)),
    ),
    "EnumDescriptorProto": (("value", 2),),
    "ServiceDescriptorProto": (("method", 2),),
}
"""Lists of elements in each kind of descriptor, with their field numbers in descriptor.proto."""
_DIRECTIVE: Final = re.compile(r"\s*hlfuzz:\s*(.*?)\s*")


@dataclass(frozen=True, slots=True)
class Place:
    """Position, documentation, and the words after `hlfuzz:` in the comments of one element."""

    position: Position | None = None
    doc: str = ""
    directives: tuple[str, ...] = ()


class Places:
    """The elements of one `FileDescriptorProto`, by path."""

    def __init__(self, file: Any, source: Source) -> None:
        self._source = source
        # An element's path is pairs (field number, index); odd ones are its name, type, number.
        self._locations: dict[Path, Any] = {
            tuple(location.path): location
            for location in file.source_code_info.location
            if location.path and len(location.path) % 2 == 0
        }

    def at(self, path: Path) -> Place:
        """The place of an element; an empty one where protoc gives none (what it made up itself)."""
        location = self._locations.get(path)
        if location is None:
            return Place()
        line, column = location.span[0] + 1, location.span[1] + 1
        text = location.leading_comments or location.trailing_comments
        both = location.leading_comments + "\n" + location.trailing_comments
        directives = [m[1] for part in both.splitlines() if (m := _DIRECTIVE.fullmatch(part))]
        return Place(self._source.position(line, column), _doc(text), tuple(directives))

    def line(self, place: Place) -> str:
        """The line of the file at a place, for a message."""
        return self._source.line(place.position.line) if place.position is not None else ""


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a schema file: the list it is in, its full name, path, and descriptor."""

    kind: str
    name: str
    path: Path
    value: Any


def elements(file: Any) -> Iterator[Element]:
    """The file and all that is in it, of every kind."""
    waiting = [Element("file", file.package, (), file)]
    while waiting:
        element = waiting.pop()
        yield element
        # Pushed last first, so that they come out in source order.
        for kind, number in reversed(_CHILDREN.get(element.value.DESCRIPTOR.name, ())):
            children = getattr(element.value, kind)
            for index in range(len(children) - 1, -1, -1):
                child = children[index]
                own = str(child.start) if kind == "extension_range" else child.name
                name = f"{element.name}.{own}" if element.name else own
                waiting.append(Element(kind, name, (*element.path, number, index), child))


def _doc(text: str) -> str:
    """A comment without its first spaces, directives, and empty lines around it."""
    lines = [line.removeprefix(" ").rstrip() for line in text.splitlines() if not _DIRECTIVE.fullmatch(line)]
    return "\n".join(lines).strip("\n ")
