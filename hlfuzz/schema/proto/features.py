"""Resolves what proto2, proto3 and editions say about presence, enums, packing, UTF-8 and groups to one form.

Defaults of each edition: protobuf `descriptor.proto`, `FeatureSet` (edition_defaults). Features are inherited
from file to message, oneof and field, and from file and message to enum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Final

from hlfuzz.schema.proto.runtime import descriptor_pb2


class FieldPresence(IntEnum):
    """`FeatureSet.FieldPresence`."""

    EXPLICIT = 1
    IMPLICIT = 2
    LEGACY_REQUIRED = 3


@dataclass(frozen=True, slots=True)
class Features:
    """The features that decide what bytes mean."""

    presence: int
    open_enums: bool
    packed: bool
    checked: bool
    """Strings must be UTF-8."""
    delimited: bool
    """Messages are groups: between tags, not after a length."""

    def override(self, element: Any) -> Features:
        """These, with what the options of a descriptor change."""
        if not element.HasField("options") or not element.options.HasField("features"):
            return self
        given = element.options.features
        changed: dict[str, Any] = {}
        if given.field_presence:
            changed["presence"] = given.field_presence
        if given.enum_type:
            changed["open_enums"] = given.enum_type == given.OPEN
        if given.repeated_field_encoding:
            changed["packed"] = given.repeated_field_encoding == given.PACKED
        if given.utf8_validation:
            changed["checked"] = given.utf8_validation == given.VERIFY
        if given.message_encoding:
            changed["delimited"] = given.message_encoding == given.DELIMITED
        return replace(self, **changed)


_PROTO2: Final = Features(
    FieldPresence.EXPLICIT, open_enums=False, packed=False, checked=False, delimited=False
)
_PROTO3: Final = Features(FieldPresence.IMPLICIT, open_enums=True, packed=True, checked=True, delimited=False)
_EDITION_2023: Final = replace(_PROTO3, presence=FieldPresence.EXPLICIT)


def of_file(file: Any) -> Features:
    """The features of a `FileDescriptorProto`. Editions after 2023 have changed none of these defaults."""
    base = {"": _PROTO2, "proto2": _PROTO2, "proto3": _PROTO3}.get(file.syntax, _EDITION_2023)
    return base.override(file)


def of_field(field: Any, parent: Features) -> Features:
    """The features of a `FieldDescriptorProto`; `parent` are those of its oneof or message.

    proto2 and proto3 say by label, type and options what editions say by features.
    """
    found = parent.override(field)
    kind = descriptor_pb2.FieldDescriptorProto
    if field.proto3_optional:
        found = replace(found, presence=FieldPresence.EXPLICIT)
    if field.label == kind.LABEL_REQUIRED:
        found = replace(found, presence=FieldPresence.LEGACY_REQUIRED)
    if field.type == kind.TYPE_GROUP:
        found = replace(found, delimited=True)
    if field.HasField("options") and field.options.HasField("packed"):
        found = replace(found, packed=field.options.packed)
    return found
