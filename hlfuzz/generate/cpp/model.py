"""How each member of a C struct is seen in C++: its accessor's type, and the code to read and write it."""

from __future__ import annotations

from dataclasses import dataclass

from hlfuzz.generate.c.model import CField, CRecord, CUnion, CVariant, Model, Shape
from hlfuzz.generate.c.names import MemberScope
from hlfuzz.generate.cpp.names import Names


@dataclass(frozen=True, slots=True)
class Accessor:
    """A member: what `name()` returns and how it gets it from `raw_`, and what the editor's `name(value)`
    takes and does. `editor`: instead of setting it, the editor gives an editor of it (unions, structs)."""

    name: str
    type: str
    read: str
    takes: str = ""
    write: str = ""
    editor: str = ""
    doc: str = ""


class Viewer:
    """Makes the accessors of one schema's classes."""

    def __init__(self, model: Model, names: Names) -> None:
        self._model = model
        self._names = names

    def record(self, record: CRecord) -> list[Accessor]:
        """Of a record, in order of its fields."""
        scope = self._scope(record.source.name)
        return [self._field(f, scope.claim(f.source.name)) for f in record.fields]

    def union(self, union: CUnion) -> list[Accessor]:
        """Of a union: each variant, absent when the tag is another."""
        scope = self._scope(union.source.name)
        scope.claim("tag")
        scope.claim("Tag")
        scope.claim("clear")
        return [self._variant(v, scope.claim(v.name)) for v in union.variants]

    def tags(self, union: CUnion) -> list[tuple[str, str]]:
        """Members of the enum of tags, each with the C constant."""
        scope = MemberScope(self._model.scope)
        return [
            (scope.claim("NONE"), union.none),
            *((scope.claim(v.name), v.constant) for v in union.variants),
        ]

    def _scope(self, name: str) -> MemberScope:
        scope = MemberScope(self._model.scope)
        own = (self._names.places[name].name, self._names.places[f"{name} Edit"].name)
        for taken in ("raw", "raw_", "edit_", "Raw", "View", "init", "hl", *own, *self._names.tops):
            scope.claim(taken)
        return scope

    def _full(self, name: str) -> str:
        return self._names.places[name].full

    def _variant(self, v: CVariant, name: str) -> Accessor:
        here = f"raw_ && raw_->tag == {v.constant}"
        value = f"raw_->value.{v.name}"
        tag = f"edit_->tag = {v.constant}; edit_->value.{v.name}"
        shape = v.shape
        if shape.is_number:
            type_ = self._number(shape)
            read = (
                f"{here} ? ::hl::Optional<{type_}>(static_cast<{type_}>({value})) : ::hl::Optional<{type_}>()"
            )
            write = f"{tag} = static_cast<{self._raw_number(shape)}>(value);"
            return Accessor(name, f"::hl::Optional<{type_}>", read, type_, write)
        if shape.kind == "STRING":
            read = f"{here} ? ::hl::String({value}) : ::hl::String()"
            return Accessor(name, "::hl::String", read, "::hl::String", f"{tag} = value.raw();")
        if shape.kind == "BYTES":
            read = f"{here} ? ::hl::Bytes({value}.data, {value}.len) : ::hl::Bytes()"
            write = f"{tag}.data = value.data(); edit_->value.{v.name}.len = value.size();"
            return Accessor(name, "::hl::Bytes", read, "::hl::Bytes", write)
        assert shape.ref is not None
        view = self._full(shape.ref)
        read = f"{view}({here} ? {value} : nullptr)"
        return Accessor(name, view, read, view, f"{tag} = value.raw();")

    def _field(self, f: CField, name: str) -> Accessor:
        value, edit, doc = f"raw_->{f.name}", f"edit_->{f.name}", f.source.doc
        has = f"edit_->{f.has} = true; " if f.has else ""
        shape = f.shape
        if f.form == "VECTOR":
            type_ = self._vector(f)
            write = f"{edit}.data = value.data(); {edit}.len = value.size();"
            return Accessor(name, type_, f"{type_}({value}.data, {value}.len)", type_, write, doc=doc)
        if f.form == "ARRAY":
            return self._array(f, name)
        if shape.is_number:
            type_ = self._number(shape)
            read = f"static_cast<{type_}>({value})" if shape.enum else value
            write = f"{has}{edit} = static_cast<{self._raw_number(shape)}>(value);"
            if f.has:
                optional = f"::hl::Optional<{type_}>"
                read = f"raw_->{f.has} ? {optional}({read}) : {optional}()"
                return Accessor(name, optional, read, type_, write, doc=doc)
            return Accessor(name, type_, read, type_, write, doc=doc)
        if shape.kind == "STRING":
            return Accessor(name, "::hl::String", value, "::hl::String", f"{edit} = value.raw();", doc=doc)
        if shape.kind == "BYTES":
            write = f"{edit}.data = value.data(); {edit}.len = value.size();"
            return Accessor(
                name, "::hl::Bytes", f"::hl::Bytes({value}.data, {value}.len)", "::hl::Bytes", write, doc=doc
            )
        assert shape.ref is not None
        view = self._full(shape.ref)
        if shape.kind == "RECORD":
            return Accessor(name, view, f"{view}({value})", view, f"{edit} = value.raw();", doc=doc)
        read = f"{view}(raw_->{f.has} ? &{value} : nullptr)" if f.has else f"{view}(&{value})"
        editor = self._full(f"{shape.ref} Edit")
        return Accessor(name, view, read, write=f"{has}return {editor}(&{edit});", editor=editor, doc=doc)

    def _array(self, f: CField, name: str) -> Accessor:
        shape, value, edit = f.shape, f"raw_->{f.name}", f"edit_->{f.name}"
        if shape.is_number and not shape.enum:
            type_ = f"::hl::Span<{shape.ctype}>"
        elif shape.is_number:
            type_ = f"::hl::List<{self._number(shape)}, {shape.ctype}>"
        else:
            assert shape.ref is not None
            type_ = f"::hl::List<{self._full(shape.ref)}, ::{shape.ctype}>"
        write = f"for (uint32_t i = 0; i < {f.count} && i < value.size(); i++) {edit}[i] = value.data()[i];"
        return Accessor(name, type_, f"{type_}({value}, {f.count})", type_, write, doc=f.source.doc)

    def _vector(self, f: CField) -> str:
        shape = f.shape
        if shape.enum:
            return f"::hl::List<{self._full(shape.enum)}, ::{self._model.enums[shape.enum].name}>"
        if shape.is_number:
            return f"::hl::Span<{_CTYPES[shape.kind]}>"
        if shape.kind == "STRING":
            return "::hl::List<::hl::String, hl_string>"
        if shape.kind == "BYTES":
            return "::hl::List<::hl::Bytes, hl_bytes>"
        assert shape.ref is not None
        found = self._model.records.get(shape.ref) or self._model.unions[shape.ref]
        return f"::hl::List<{self._full(shape.ref)}, ::{found.name}>"

    def _number(self, shape: Shape) -> str:
        return self._full(shape.enum) if shape.enum else _CTYPES[shape.kind]

    def _raw_number(self, shape: Shape) -> str:
        return f"::{self._model.enums[shape.enum].name}" if shape.enum else _CTYPES[shape.kind]


_CTYPES = {
    "BOOL": "bool",
    **{f"{s}{b}": f"{'u' if s == 'U' else ''}int{b}_t" for s in "IU" for b in (8, 16, 32, 64)},
    "F32": "float",
    "F64": "double",
}
