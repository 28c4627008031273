"""Names in scope while definitions are read in order, with flatc's rules for names used too early."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hlfuzz.schema.fbs.model import EnumDef, RecordDef, ServiceDef
from hlfuzz.schema.fbs.problems import Problem, shown
from hlfuzz.schema.fbs.source import Source

BUILT_IN: Final = frozenset(
    (
        "bit_flags",
        "cpp_ptr_type",
        "cpp_ptr_type_get",
        "cpp_str_flex_ctor",
        "cpp_str_type",
        "cpp_type",
        "csharp_partial",
        "deprecated",
        "flexbuffer",
        "force_align",
        "hash",
        "id",
        "idempotent",
        "key",
        "native_custom_alloc",
        "native_default",
        "native_inline",
        "native_type",
        "native_type_pack_name",
        "nested_flatbuffer",
        "offset64",
        "original_order",
        "private",
        "required",
        "shared",
        "streaming",
        "vector64",
    )
)
"""Attributes of flatc 25.12 that need no declaration."""


class Scope:
    """All that is defined so far, in all files, and the namespace that counts now."""

    def __init__(self) -> None:
        self._prefixes: tuple[str, ...] = ("",)
        self.attributes: dict[str, None] = dict.fromkeys(sorted(BUILT_IN))
        self.records: dict[str, RecordDef] = {}
        """By full name; those that are used but not defined by the name of their first use."""
        self.enums: dict[str, EnumDef] = {}
        self.services: dict[str, ServiceDef] = {}
        self.defined: dict[str, RecordDef | EnumDef] = {}
        """Finished definitions in source order."""

    def enter(self, namespace: tuple[str, ...]) -> None:
        """From here on, `namespace` counts."""
        counts = range(len(namespace), 0, -1)
        self._prefixes = (*(".".join(namespace[:count]) + "." for count in counts), "")

    def qualified(self, name: str) -> str:
        """A name in the namespace that counts now."""
        return self._prefixes[0] + name

    def find_enum(self, name: str) -> EnumDef | None:
        """An enum or union by a name relative to the namespace or one of those round it."""
        return next((self.enums[n] for n in self._outwards(name) if n in self.enums), None)

    def find_record(self, name: str) -> RecordDef | None:
        """What `use_record` would give, if there is one already."""
        full = self.qualified(name)
        for known in (self.records.get(name), self.records.get(full)):
            if known is not None and not known.defined:
                return known
        return next((self.records[n] for n in self._outwards(name) if n in self.records), None)

    def use_record(self, name: str, source: Source, offset: int) -> RecordDef:
        """A table or struct by name; one that is not there yet is expected to be defined later."""
        found = self.find_record(name)
        if found is None:
            found = self.records[name] = RecordDef(name, (source, offset))
        return found

    def define_record(self, name: str, source: Source, offset: int) -> RecordDef:
        """The table or struct whose definition begins. One that was used by its short name becomes this one,
        whatever the namespace of the use (as in flatc). Raises `Problem` when it is defined already."""
        full = self.qualified(name)
        record = self.records.get(name)
        if record is not None and not record.defined:
            del self.records[name]
        else:
            record = self.records.get(full)
        if record is None:
            record = RecordDef(full, (source, offset))
        elif record.defined:
            raise self.again(full, offset)
        if full in self.defined:
            raise self.again(full, offset)
        self.records[full] = record
        record.name = full
        record.defined = True
        record.place = (source, offset)
        return record

    def again(self, full: str, offset: int) -> Problem:
        """The error that a name is defined twice."""
        other = self.defined.get(full)
        where = ""
        if isinstance(other, RecordDef) and other.place is not None:
            where = f"the first is at {other.place[0].position(other.place[1])}"
        elif isinstance(other, EnumDef) and other.position is not None:
            where = f"the first is at {other.position}"
        return Problem(f"{shown(full)} is defined twice", offset, where)

    def undefined(self) -> Iterator[RecordDef]:
        """Records that are used and were never defined."""
        return (r for r in self.records.values() if not r.defined)

    def _outwards(self, name: str) -> Iterator[str]:
        """Full names that a name may stand for: in the namespace, in those round it, the global one last."""
        return (prefix + name for prefix in self._prefixes)
