"""Resolves fields of tables and structs: type, default, presence, and what attributes ask of them."""

from __future__ import annotations

from typing import Final

from hlfuzz.schema.fbs.constants import default_of
from hlfuzz.schema.fbs.limits import MAX_INLINE_BYTES
from hlfuzz.schema.fbs.model import Attributes, Base, Constant, Container, FieldDef, FieldType, RecordDef
from hlfuzz.schema.fbs.problems import Problem, shown
from hlfuzz.schema.fbs.syntax import FieldNode
from hlfuzz.schema.fbs.types import Context
from hlfuzz.schema.ir import Scalar

_HASHES: Final = {
    **dict.fromkeys((Scalar.I16, Scalar.U16), ("fnv1_16", "fnv1a_16")),
    **dict.fromkeys((Scalar.I32, Scalar.U32), ("fnv1_32", "fnv1a_32")),
    **dict.fromkeys((Scalar.I64, Scalar.U64), ("fnv1_64", "fnv1a_64")),
}


def resolve_field(node: FieldNode, record: RecordDef, context: Context) -> FieldDef:
    """A field of `record`, not added to it. Raises `Problem`."""
    name = node.name.text
    if context.scope.find_record(name) is not None:
        raise Problem(
            f"field {shown(name)} has the name of a table or struct", node.name.offset, "rename one of them"
        )
    type_ = context.type(node.type)
    if record.fixed:
        _check_in_struct(node, record, type_)
    elif type_.container is Container.ARRAY:
        raise Problem(
            "only structs have arrays of fixed length",
            node.type.name.offset,
            "wrap it in a struct, or use a vector",
        )
    default = None
    if node.default is not None:
        default = default_of(node.default, type_, context.scope.find_enum)
        if record.fixed and not default.zero:
            raise Problem("a field of a struct has no default", node.default.offset, "leave it out")
    field = FieldDef(name, node.name.offset, type_, default, context.attributes(node.attributes), node.doc)
    _presence(node, field, record)
    _check_default(node, field)
    _check_attributes(field, record)
    _check_nested(field, context)
    return field


def _check_in_struct(node: FieldNode, record: RecordDef, type_: FieldType) -> None:
    where = node.type.name
    if type_.record is record:
        raise Problem(f"struct {shown(record.name)} contains itself", where.offset, "use a table")
    if type_.record is not None and not type_.record.defined:
        raise Problem(
            f"struct {shown(where.text)} must be defined before it is used in a struct", where.offset
        )
    fits = type_.base is Base.SCALAR or (type_.record is not None and type_.record.fixed)
    if not fits or type_.is_vector:
        raise Problem(
            "a struct holds numbers, enums, structs and arrays of these only", where.offset, "make it a table"
        )


def _presence(node: FieldNode, field: FieldDef, record: RecordDef) -> None:
    attributes, type_ = field.attributes, field.type
    if record.fixed:
        for name in ("required", "optional"):
            if name in attributes:
                raise Problem(
                    "fields of structs are always there", attributes[name].node.name.offset, f"drop {name}"
                )
        return
    required = "required" in attributes
    if required and type_.is_scalar:
        raise Problem(
            "a number or enum cannot be required",
            node.name.offset,
            "a default stands for it; or write = null",
        )
    # A key that is a string is required, as it always was in flatc.
    field.required = required or (type_.is_string and "key" in attributes)
    if type_.is_scalar:
        field.optional = field.default is not None and field.default.null
    else:
        given = field.default is not None and not field.default.zero
        field.optional = not field.required and not (given and (type_.is_string or type_.is_vector))
    if type_.is_struct and type_.record is not None and type_.record.size > MAX_INLINE_BYTES:
        raise Problem(
            f"a table cannot hold a struct of {type_.record.size:,} bytes (at most {MAX_INLINE_BYTES:,})",
            node.type.name.offset,
            "put it in a vector",
        )


def _check_default(node: FieldNode, field: FieldDef) -> None:
    enum, default = field.type.enum, field.default or Constant(number=0)
    if enum is None or enum.union or field.type.is_vector:
        return
    if field.optional and "null" in enum.members:
        raise Problem(f"null is a value of {enum.name}: it cannot mean absent", node.name.offset)
    if not field.optional and not enum.bit_flags and default.number not in enum.values:
        offset = node.default.offset if node.default is not None else node.name.offset
        members = ", ".join(list(enum.members)[:20])
        raise Problem(
            f"the default {default.number} is no value of {enum.name}", offset, f"values: {members}"
        )


def _check_attributes(field: FieldDef, record: RecordDef) -> None:
    attributes, type_ = field.attributes, field.type
    if "deprecated" in attributes and record.fixed:
        raise _wrong(attributes, "deprecated", "a field of a struct cannot be deprecated", "its bytes stay")
    if "key" in attributes:
        _check_key(field, record)
    if "hash" in attributes:
        algorithms = (
            ()
            if type_.scalar is None or type_.container is Container.ARRAY
            else _HASHES.get(type_.scalar, ())
        )
        if attributes["hash"].value not in algorithms:
            known = (
                f"for {type_.scalar}: {', '.join(algorithms)}"
                if algorithms
                else "only 16, 32, 64-bit integers"
            )
            raise _wrong(
                attributes, "hash", f"no hash {shown(attributes['hash'].value)} for this type", known
            )
    elif "cpp_type" in attributes:
        raise _wrong(attributes, "cpp_type", "cpp_type is for fields with a hash only", "add hash")
    if "shared" in attributes and not type_.is_string:
        raise _wrong(attributes, "shared", "only strings can be shared")
    if "native_custom_alloc" in attributes:
        raise _wrong(attributes, "native_custom_alloc", "native_custom_alloc is for tables and structs")
    if "native_inline" in attributes and not (
        type_.is_struct or (type_.is_vector and type_.base is Base.RECORD)
    ):
        raise _wrong(
            attributes, "native_inline", "native_inline is for structs and vectors of tables or structs"
        )
    if "flexbuffer" in attributes and not _is_bytes(type_):
        raise _wrong(attributes, "flexbuffer", "a FlexBuffer is kept in [ubyte]", "make the type [ubyte]")
    _check_wide(field)


def _check_key(field: FieldDef, record: RecordDef) -> None:
    attributes, type_ = field.attributes, field.type
    others = [f.name for f in record.fields if "key" in f.attributes]
    if others:
        raise _wrong(attributes, "key", f"{shown(others[0])} is the key of {record.name} already")
    if type_.is_vector or not (type_.base in (Base.SCALAR, Base.STRING) or type_.of_struct):
        raise _wrong(attributes, "key", "a key is a number, string, struct, or an array in a struct")
    if type_.is_scalar and field.optional:
        raise _wrong(attributes, "key", "a key cannot be absent", "drop = null")


def _check_wide(field: FieldDef) -> None:
    attributes, type_ = field.attributes, field.type
    if "vector64" in attributes and not type_.is_vector:
        raise _wrong(attributes, "vector64", "vector64 is for vectors")
    name = next((n for n in ("offset64", "vector64") if n in attributes), None)
    if name is None:
        return
    numbers = type_.is_vector and ((type_.base is Base.SCALAR and type_.enum is None) or type_.of_struct)
    if not type_.is_string and not numbers:
        raise _wrong(attributes, name, f"{name} is for strings and vectors of numbers or structs")


def _check_nested(field: FieldDef, context: Context) -> None:
    use = field.attributes.get("nested_flatbuffer")
    if use is None:
        return
    if not use.quoted:
        raise _wrong(field.attributes, "nested_flatbuffer", 'name the root table: nested_flatbuffer: "Table"')
    if not _is_bytes(field.type):
        raise _wrong(
            field.attributes,
            "nested_flatbuffer",
            "a nested FlatBuffer is kept in [ubyte]",
            "make the type [ubyte]",
        )
    value = use.node.value
    assert value is not None
    field.nested = context.scope.use_record(use.value, context.source, value.offset)


def _is_bytes(type_: FieldType) -> bool:
    return type_.is_vector and type_.scalar is Scalar.U8 and (type_.enum is None)


def _wrong(attributes: Attributes, name: str, message: str, suggestion: str = "") -> Problem:
    return Problem(message, attributes[name].node.name.offset, suggestion)
