"""Resolves services: methods with one table in and one out, and the direction of calls."""

from __future__ import annotations

from typing import Final

from hlfuzz.schema.fbs.model import Attributes, MethodDef, RecordDef, ServiceDef
from hlfuzz.schema.fbs.problems import Problem, shown
from hlfuzz.schema.fbs.syntax import MethodNode, Name, ServiceNode
from hlfuzz.schema.fbs.types import TYPE_NAMES, Context
from hlfuzz.schema.ir import Direction, direction_of

DIRECTIONS: Final = {"hl_guest": Direction.GUEST, "hl_host": Direction.HOST}
"""Attributes of a service, or of its methods, that say who implements it."""
STATEFUL: Final = "hl_stateful"
"""Attribute of a method, or of a service for all its methods: calls may depend on earlier ones."""
_UNARY: Final = ("", "none")


def resolve_service(node: ServiceNode, context: Context) -> None:
    """Define a service; errors are reported."""
    name = context.scope.qualified(node.name.text)
    if name in context.scope.services:
        raise Problem(f"service {shown(name)} is defined twice", node.name.offset)
    place = (context.source, node.name.offset)
    service = ServiceDef(name, context.attributes(node.attributes), [], node.doc, place)
    context.scope.services[name] = service
    seen: set[str] = set()
    for method in node.methods:
        try:
            if method.name.text in seen:
                raise Problem(f"method {shown(method.name.text)} is there twice", method.name.offset)
            seen.add(method.name.text)
            service.methods.append(_method(method, context))
        except Problem as problem:
            context.report(problem)
    try:
        direction = _said(service)
        _streams(service, direction or direction_of(name), context)
    except Problem as problem:
        context.report(problem)


def direction(service: ServiceDef) -> Direction:
    """Who implements the methods: by attribute, else by name, else the guest."""
    return _said(service) or direction_of(service.name) or Direction.GUEST


def stateful(service: ServiceDef, method: MethodDef) -> bool:
    """Whether calls of a method may depend on earlier calls."""
    return STATEFUL in service.attributes or STATEFUL in method.attributes


def _method(node: MethodNode, context: Context) -> MethodDef:
    request = _table(node.request, context)
    response = _table(node.response, context)
    place = (context.source, node.name.offset)
    return MethodDef(node.name.text, request, response, context.attributes(node.attributes), node.doc, place)


def _table(name: Name, context: Context) -> RecordDef:
    scope = context.scope
    record = (
        None
        if scope.find_enum(name.text) is not None
        else scope.use_record(name.text, context.source, name.offset)
    )
    if record is None or record.fixed or (name.text in TYPE_NAMES and not record.defined):
        raise Problem(
            f"a method takes and returns tables; {shown(name.text)} is none",
            name.offset,
            "wrap it in a table",
        )
    return record


def _said(service: ServiceDef) -> Direction | None:
    """The direction that attributes say. Raises `Problem` when they say two."""
    source_attributes: list[Attributes] = [service.attributes, *(m.attributes for m in service.methods)]
    found: Direction | None = None
    for attributes in source_attributes:
        for name, direction in DIRECTIONS.items():
            if name not in attributes:
                continue
            if found is not None and found is not direction:
                raise Problem(
                    f"service {shown(service.name)} has methods of the guest and of the host",
                    attributes[name].node.name.offset,
                    "a service has one direction: make two services of it",
                )
            found = direction
    return found


def _streams(service: ServiceDef, hinted: Direction | None, context: Context) -> None:
    """Streams cannot cross the boundary: an error in an interface that was meant for it; in a service that
    says nothing of guest and host, such methods are left out, with a note."""
    kept: list[MethodDef] = []
    for method in service.methods:
        use = method.attributes.get("streaming")
        if use is None or use.value in _UNARY:
            kept.append(method)
            continue
        full = f"{service.name}.{method.name}"
        if hinted is not None:
            context.report(
                Problem(
                    f"method {shown(full)} is streaming ({use.value}): a call has one request, one response",
                    use.node.name.offset,
                    f"call it once for each message, and give it the attribute {STATEFUL}",
                )
            )
        else:
            context.notes.append(f"method {full} is streaming ({use.value}): left out")
    service.methods[:] = kept
