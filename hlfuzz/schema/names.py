"""Python names for what a schema names: classes, attributes, methods, enum members; no two alike."""

from __future__ import annotations

import builtins
import keyword
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from hlfuzz.schema.ir import Direction, Enum, Record, Schema, Service, Union

_RESERVED_CLASSES: Final = frozenset({name for name in dir(builtins) if name[:1].isupper()} | {"INTERFACE"})
"""Names that a generated module uses or defines; others come out of modules, whose names begin small."""
CLIENT_RESERVED: Final = frozenset(
    {
        "open",
        "open_with",
        "close",
        "closed",
        "context",
        "within",
        "finish",
        "invoke",
        "target",
        "sandbox",
        "interface",
        "mro",
    }
    | {"bindings", "typing"}
)
"""What client classes have, or their bodies read, besides the methods of their service."""
_FIELD_RESERVED: Final = frozenset({"mro"})
"""What every class has: a dataclass takes it for the field's default."""
_ENUM_RESERVED: Final = frozenset(
    {"mro", "name", "value", "real", "imag", "numerator", "denominator"}
) | frozenset(name for name in dir(int) if not name.startswith("__"))


def snake_case(name: str) -> str:
    """ "OnData" → "on_data", "HTTPHead" → "http_head"; names that are so already stay."""
    text = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text).lower()


def pascal_case(name: str) -> str:
    """ "net.v1.on_data" → "NetV1OnData"; upper case inside words stays."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[._]+", name) if part)


def safe(name: str, reserved: frozenset[str] = frozenset()) -> str:
    """An identifier that Python code may use as an attribute: keywords get an underscore, and names that a
    class body would mangle or treat specially ("__x", "__init__") an "f" in front."""
    if name.startswith("__"):
        name = f"f{name}"
    if keyword.iskeyword(name) or name in reserved:
        name += "_"
    return name


def unique(names: Iterable[str], reserved: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """`safe` for each name; what would be alike afterwards gets more underscores, names that needed no change
    keep theirs."""
    given = list(names)
    taken = {name for name in given if safe(name, reserved) == name}
    result: list[str] = []
    for name in given:
        found = safe(name, reserved)
        if found != name:
            while found in taken:
                found += "_"
            taken.add(found)
        result.append(found)
    return tuple(result)


def field_names(record: Record) -> Mapping[str, str]:
    """The attribute of each field, by the field's name in the schema."""
    names = [f.name for f in record.fields]
    return dict(zip(names, unique(names, _FIELD_RESERVED), strict=True))


def member_names(enum: Enum) -> Mapping[str, str]:
    """The Python member of each name of an enum."""
    names = [m.name for m in enum.members]
    # A name with one leading and trailing underscore ("_x_") is special to the enum module.
    plain = [re.sub(r"^_+", "", n) or f"M{n}" if re.fullmatch(r"_.*_", n) else n for n in names]
    # "_Color__red" is a private name to class Color, and so no member.
    plain = [f"M{n}" if re.match(r"_[^_].*__", n) else n for n in plain]
    if len(set(plain)) != len(plain):
        plain = [f"M{n}" if n.startswith("_") else n for n in names]
    return dict(zip(names, unique(plain, _ENUM_RESERVED), strict=True))


def method_names(names: Iterable[str], reserved: frozenset[str] = frozenset()) -> Mapping[str, str]:
    """The Python method of each schema method: snake_case; names that collide there keep their own case."""
    given = list(names)
    counts = Counter(snake_case(n) for n in given)
    converted = [snake_case(n) if counts[snake_case(n)] == 1 else n for n in given]
    # Names with an underscore in front belong to the classes themselves.
    public = [f"m{n}" if n.startswith("_") else n for n in converted]
    return dict(zip(given, unique(_apart(public), reserved), strict=True))


def client_method_names(service: Service) -> Mapping[str, str]:
    """The methods of a guest service's client class, by name in the schema."""
    return method_names((m.name for m in service.methods), CLIENT_RESERVED)


def host_method_names(schema: Schema) -> Mapping[tuple[str, str], str]:
    """What the host object calls each host function, by (service, method). One object serves all host
    services of a schema, so a name of several services has its service's name in front."""
    keys = [(s.name, m.name) for s, m in schema.methods(Direction.HOST)]
    counts = Counter(snake_case(method) for _, method in keys)
    services = {s: snake_case(name) for s, name in service_names(schema).items()}
    result: dict[tuple[str, str], str] = {}
    for service in schema.services:
        if service.direction is Direction.HOST:
            for method, name in method_names(m.name for m in service.methods).items():
                shared = counts[snake_case(method)] > 1
                result[service.name, method] = f"{services[service.name]}_{name}" if shared else name
    return dict(zip(result, _apart(result.values()), strict=True))


def service_names(schema: Schema) -> Mapping[str, str]:
    """The class of each service, client or protocol, by full name. `Async` in front of it is free too."""
    taken = _Taken({*class_names(schema).values(), *variant_names(schema).values(), *_RESERVED_CLASSES})
    result: dict[str, str] = {}
    for service in schema.services:
        found = safe(pascal_case(_last(service.name, 1)))
        found = found if found[:1].isalpha() else f"T{found}"
        result[service.name] = taken.add(found, "Async")
    return result


def _apart(names: Iterable[str]) -> list[str]:
    """Names with underscores behind those that came before."""
    result: list[str] = []
    taken: set[str] = set()
    for name in names:
        while name in taken:
            name += "_"
        taken.add(name)
        result.append(name)
    return result


def class_names(schema: Schema) -> Mapping[str, str]:
    """The Python class of each definition, by full name: its last part, more of it where two would be alike.

    A union's variants have classes too (`variant_names`).
    """
    wanted = {d.name: pascal_case(_last(d.name, 1)) for d in schema.definitions}
    for depth in range(2, 12):
        counts = Counter(wanted.values())
        clashing = [n for n, w in wanted.items() if counts[w] > 1]
        if not clashing:
            break
        for name in clashing:
            wanted[name] = pascal_case(_last(name, depth))
    taken = _Taken()
    return {
        name: taken.add(safe(want if want[:1].isalpha() else f"T{want}", _RESERVED_CLASSES))
        for name, want in wanted.items()
    }


def variant_names(schema: Schema) -> Mapping[tuple[str, int], str]:
    """The class of each union variant by (union's full name, tag)."""
    classes = class_names(schema)
    taken = _Taken(classes.values())
    return {
        (union.name, variant.tag): taken.add(classes[union.name] + pascal_case(_last(variant.name, 1)))
        for union in schema.definitions
        if isinstance(union, Union)
        for variant in union.variants
    }


class _Taken:
    """Names in use. One more underscore for each that is alike would make a bomb of a schema with many."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = set(names)
        self._tried: Counter[str] = Counter()

    def add(self, name: str, prefix: str = "") -> str:
        """The name, or when it is in use the name with an underscore, or with a number. Afterwards it is in
        use, alone and behind `prefix`."""
        found = name
        while found in self._names or f"{prefix}{found}" in self._names:
            self._tried[name] += 1
            number = self._tried[name]
            found = f"{name}_{number if number > 1 else ''}"
        self._names |= {found, f"{prefix}{found}"}
        return found


def _last(name: str, parts: int) -> str:
    return ".".join(name.split(".")[-parts:])
