"""What a change of services breaks, whatever the language: methods gone, moved, or of other types."""

from __future__ import annotations

from collections.abc import Iterator

from hlfuzz.schema.conform.breakage import Breakage
from hlfuzz.schema.ir import Method, Number, Schema


def service_breakages(old: Schema, new: Schema) -> Iterator[Breakage]:
    """Methods of the old schema that the new one lacks or has otherwise, in order of the old schema."""
    services = {s.name: s for s in new.services}
    for before in old.services:
        after = services.get(before.name)
        if after is None:
            if before.methods:
                yield Breakage("service-removed", before.name, "was removed", before.position)
            continue
        if before.direction is not after.direction:
            message = f"methods were those of the {before.direction}, are those of the {after.direction}"
            yield Breakage("service-direction-changed", after.name, message, after.position)
        methods = {m.name: m for m in after.methods}
        for method in before.methods:
            path = f"{before.name}.{method.name}"
            if method.name not in methods:
                yield Breakage("method-removed", path, "was removed", method.position)
            else:
                yield from _method(method, methods[method.name], path)


def _method(before: Method, after: Method, path: str) -> Iterator[Breakage]:
    for rule, was, now in (
        ("method-request-changed", before.request, after.request),
        ("method-response-changed", before.response, after.response),
        ("method-parameters-changed", _parameters(before), _parameters(after)),
        ("method-results-changed", _results(before), _results(after)),
    ):
        if was != now:
            yield Breakage(rule, path, f"was {was}, is {now}", after.position)
    if before.direction is after.direction and before.symbol != after.symbol:
        message = f"was {before.symbol}, is {after.symbol}"
        yield Breakage("method-symbol-changed", path, message, after.position)


def _parameters(method: Method) -> str:
    """Types in order; names of parameters are not at the boundary."""
    types: list[str] = []
    for parameter in method.parameters:
        type_ = parameter.type
        name = type_.scalar if isinstance(type_, Number) else type(type_).__name__.lower()
        types.append(f"out {name} ({parameter.capacity} bytes)" if parameter.out else name)
    return f"({', '.join(types)})"


def _results(method: Method) -> str:
    return f"({', '.join(method.results)}), bytes: {method.form}"
