"""The canonical text of an interface, its SHA-256 identity, and the first difference between two of them.

One line a fact, sorted, so that a schema reads the same however its files are arranged: order of definitions,
documentation, file names, positions and tool attributes do not count; what a byte on the wire means does. A
guest carries this text (see docs/handshake.md), so that a mismatch can be named.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from typing import Final

from hlfuzz.schema.ir import (
    Array,
    Bytes,
    CString,
    Default,
    Definition,
    Enum,
    Field,
    Map,
    Method,
    Named,
    Number,
    Parameter,
    Record,
    RecordKind,
    Schema,
    Service,
    String,
    Type,
    Union,
    Vector,
    references,
)

VERSION: Final = 1
"""Version of the canonical text and of the handshake; part of the text."""


def canonical(schema: Schema) -> str:
    """The canonical text: of all methods and the types they reach; of all types when there is no method."""
    lines = [f"interface {VERSION} {schema.format}"]
    if schema.allocator is not None:
        lines.append(f"allocator {_quoted(schema.allocator)}")
    methods = list(schema.methods())
    if methods:
        names = reachable(schema, (n for _, m in methods for n in (m.request, m.response) if n is not None))
    else:
        names = set(schema.by_name)
    if schema.identifier is not None and schema.root is not None and schema.root in names:
        lines.append(f"identifier {schema.root} {_quoted(schema.identifier)}")
    facts = [_method(s, m) for s, m in methods]
    for name in names:
        facts += _definition(schema.by_name[name])
    return "\n".join(lines + sorted(facts)) + "\n"


def schema_id(schema: Schema) -> str:
    """SHA-256 of the canonical text, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(schema).encode()).hexdigest()


def method_id(schema: Schema, service: Service, method: Method) -> str:
    """SHA-256 of the canonical text of one method and the types it reaches, 64 hexadecimal digits."""
    names = reachable(schema, (n for n in (method.request, method.response) if n is not None))
    facts = sorted(line for name in names for line in _definition(schema.by_name[name]))
    text = "\n".join([f"interface {VERSION} {schema.format}", _method(service, method), *facts])
    return hashlib.sha256(text.encode()).hexdigest()


def reachable(schema: Schema, roots: Iterable[str]) -> set[str]:
    """Full names of the definitions that values of `roots` may contain, `roots` included."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting += references(schema.by_name[name])
    return found


def first_difference(host: str, guest: str) -> str | None:
    """How two canonical texts differ, in words that name the first fact; None when they are equal."""
    ours, theirs = host.splitlines(), guest.splitlines()
    only_host, only_guest = _without(ours, theirs), _without(theirs, ours)
    if not only_host and not only_guest:
        return None if ours == theirs else "the same facts in another order"
    other = {_subject(line): line for line in only_guest}
    for line in only_host:
        subject = _subject(line)
        if subject in other:
            return f"the host has `{line}`, the guest has `{other[subject]}`"
    if only_host:
        return f"the host has `{only_host[0]}`, the guest does not"
    return f"the guest has `{only_guest[0]}`, the host does not"


def _without(lines: list[str], others: list[str]) -> list[str]:
    known = set(others)
    return [line for line in lines if line not in known]


def _subject(line: str) -> str:
    """What a line is about: its first words, without what it says about it."""
    words = line.split(" ")
    return " ".join(words[: 3 if words[0] in ("field", "variant", "member", "method") else 2])


def _definition(definition: Definition) -> list[str]:
    name = definition.name
    match definition:
        case Record():
            size = f" {definition.size} {definition.align}" if definition.kind is RecordKind.STRUCT else ""
            return [f"{definition.kind} {name}{size}", *(_field(name, f) for f in definition.fields)]
        case Enum():
            kind = ("flags" if definition.bit_flags else "enum") + ("" if definition.closed else " open")
            return [
                f"enum {name} {definition.scalar} {kind}",
                *(f"member {name} {m.name} {m.value}" for m in definition.members),
            ]
        case Union():
            return [
                f"union {name}" + (" oneof" if definition.oneof else ""),
                *(
                    f"variant {name} {v.tag} {v.name} {_type(v.type)}" + (" delimited" if v.delimited else "")
                    for v in definition.variants
                ),
            ]


def _field(record: str, field: Field) -> str:
    line = f"field {record} {field.id} {field.name} {_type(field.type)} {field.presence}"
    if field.default is not None:
        line += f" = {_quoted(field.default)}"
    if field.nested is not None:
        line += f" nested {field.nested}"
    return line + (" delimited" if field.delimited else "") + (" key" if field.key else "")


def _method(service: Service, method: Method) -> str:
    line = f"method {method.direction} {service.name}.{method.name} {_quoted(method.symbol)}"
    if method.request is not None:
        return f"{line} {method.request} {method.response}"
    parameters = " ".join(_parameter(p) for p in method.parameters)
    results = " ".join(method.results)
    return f"{line} ({parameters}) ({results}) {method.form}"


def _parameter(parameter: Parameter) -> str:
    return _type(parameter.type) + (f" out {parameter.capacity}" if parameter.out else "")


def _type(type_: Type) -> str:
    match type_:
        case Number():
            return type_.scalar if type_.coding == "plain" else f"{type_.scalar}:{type_.coding}"
        case String():
            return "string" if type_.checked else "string:unchecked"
        case Bytes():
            return "bytes"
        case CString():
            return "cstring"
        case Named():
            return type_.name
        case Vector():
            return f"[{_type(type_.element)}]" + (":packed" if type_.packed else "")
        case Array():
            return f"[{_type(type_.element)}:{type_.length}]"
        case Map():
            return f"{{{_type(type_.key)}:{_type(type_.value)}}}"


def _quoted(value: Default) -> str:
    """A value without spaces or line ends of its own. Floats by their bits: 0.1 and its neighbour differ, and
    a NaN equals itself."""
    if isinstance(value, float):
        return f"f64:{struct.pack('>d', value).hex()}"
    if isinstance(value, bytes):
        return f"hex:{value.hex()}"
    return json.dumps(value).replace(" ", "\\u0020")
