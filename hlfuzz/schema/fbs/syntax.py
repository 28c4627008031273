"""What a schema file says, before names are resolved; places are offsets into the file's text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from hlfuzz.schema.fbs.source import Source


@dataclass(frozen=True, slots=True)
class Name:
    """A name, with dots where the grammar allows them."""

    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Value:
    """A constant: `kind` is a token kind of the lexer (IDENT with its sign, STRING, INT, FLOAT) or "[]".

    `functions` are conversion functions round it, the outermost first; `plain` as in `Token`.
    """

    kind: str
    text: str
    offset: int
    functions: tuple[Name, ...] = ()
    plain: bool = True


@dataclass(frozen=True, slots=True)
class AttributeUse:
    """`name: value` in parentheses; `value` is None for a flag."""

    name: Name
    value: Value | None = None


@dataclass(frozen=True, slots=True)
class TypeUse:
    """A type by name, `vector` of it, or an array of it (then `length` is the number as written)."""

    name: Name
    vector: bool = False
    length: Name | None = None


@dataclass(frozen=True, slots=True)
class FieldNode:
    name: Name
    type: TypeUse
    default: Value | None
    attributes: tuple[AttributeUse, ...]
    doc: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordNode:
    """A table, or a struct when `fixed`."""

    name: Name
    fixed: bool
    attributes: tuple[AttributeUse, ...]
    fields: tuple[FieldNode, ...]
    doc: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemberNode:
    """A member of an enum, or a variant of a union, whose `type` may be given apart from its name."""

    name: Name
    type: TypeUse | None
    value: Name | None
    attributes: tuple[AttributeUse, ...]
    doc: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EnumNode:
    name: Name
    union: bool
    underlying: TypeUse | None
    attributes: tuple[AttributeUse, ...]
    members: tuple[MemberNode, ...]
    doc: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MethodNode:
    name: Name
    request: Name
    response: Name
    attributes: tuple[AttributeUse, ...]
    doc: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServiceNode:
    name: Name
    attributes: tuple[AttributeUse, ...]
    methods: tuple[MethodNode, ...]
    doc: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NamespaceNode:
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RootNode:
    name: Name


@dataclass(frozen=True, slots=True)
class IdentifierNode:
    """`file_identifier`."""

    text: Name


@dataclass(frozen=True, slots=True)
class ExtensionNode:
    """`file_extension`."""

    text: Name


@dataclass(frozen=True, slots=True)
class AttributeNode:
    """The declaration of a user's attribute."""

    name: Name


Declaration: TypeAlias = (
    RecordNode
    | EnumNode
    | ServiceNode
    | NamespaceNode
    | RootNode
    | IdentifierNode
    | ExtensionNode
    | AttributeNode
)


@dataclass(frozen=True, slots=True)
class FileNode:
    """One file: the paths that it includes, and its declarations in order."""

    source: Source
    includes: tuple[Name, ...]
    declarations: tuple[Declaration, ...]
