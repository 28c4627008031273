"""Python classes for the services of a schema: a protocol for host functions, clients for the guest."""

from __future__ import annotations

from collections.abc import Iterator

from hlfuzz.generate.python.definitions import Block
from hlfuzz.generate.python.scope import Names, Scope
from hlfuzz.generate.python.text import INDENT, assignment, call, docstring, plain
from hlfuzz.schema.ir import Direction, Method, Named, Parameter, ResultForm, Service
from hlfuzz.schema.names import client_method_names, host_method_names, pascal_case, service_names, unique


def hosts(names: Names, stem: str) -> Iterator[Block]:
    """A protocol for each host service; of several one more, that has the methods of all."""
    services = _services(names, Direction.HOST)
    classes = service_names(names.schema)
    methods = host_method_names(names.schema)
    for service in services:
        own = {m.name: methods[service.name, m.name] for m in service.methods}
        scope = Scope(names, own.values())
        names.need("typing")
        lines = [plain(f"class {classes[service.name]}(typing.Protocol):")]
        lines += docstring(INDENT, service.doc, f"Host functions of `{service.name}`.")
        for method in service.methods:
            described = docstring(INDENT * 2, method.doc)
            tail = f" -> {_result(scope, method)}:" + ("" if described else " ...")
            head = f"def {own[method.name]}"
            lines += ["", *call(INDENT, head, ["self", *_parameters(scope, method)], tail), *described]
            lines += [f"{INDENT * 2}..."] if described else []
        yield lines
    if len(services) > 1:
        bases = [*(classes[s.name] for s in services), "typing.Protocol"]
        doc = docstring(INDENT, "All host functions: what the object given to a guest has.")
        yield [*call("", f"class {host_class(names, stem)}", bases, ":"), *doc]


def host_class(names: Names, stem: str) -> str:
    """The type of the object that serves a guest's host functions; "None" without host services."""
    services = _services(names, Direction.HOST)
    classes = service_names(names.schema)
    if not services:
        return "None"
    if len(services) == 1:
        return classes[services[0].name]
    taken = {*names.classes.values(), *names.variants.values(), *classes.values()}
    found = f"{pascal_case(stem)}AllHosts"
    found = found if found[0].isalpha() else f"T{found}"
    while found in taken:
        found += "_"
    return found


def clients(names: Names, stem: str) -> Iterator[Block]:
    """Two clients for each guest service, one that waits and one for event loops."""
    classes = service_names(names.schema)
    host = host_class(names, stem)
    for service in _services(names, Direction.GUEST):
        yield _client(names, service, classes[service.name], host, is_async=False)
        yield _client(names, service, f"Async{classes[service.name]}", host, is_async=True)


def _client(names: Names, service: Service, name: str, host: str, *, is_async: bool) -> Block:
    own = client_method_names(service)
    scope = Scope(names, own.values())
    base = "bindings.AsyncTypedGuest" if is_async else "bindings.TypedGuest"
    doc = docstring(INDENT, service.doc, f"Methods of `{service.name}` in a guest.")
    lines = [plain(f"class {name}({base}[{host}]):"), *doc, ""]
    lines.append(f"{INDENT}_interface: typing.ClassVar[bindings.Interface] = INTERFACE")
    lines += assignment(INDENT, f"_service: typing.ClassVar[{scope.ref('str')}]", service.name)
    for method in service.methods:
        parameters = ["self", *_parameters(scope, method)]
        result = _result(scope, method)
        head = f"{'async ' if is_async else ''}def {own[method.name]}"
        lines += ["", *call(INDENT, head, parameters, f" -> {result}:"), *docstring(INDENT * 2, method.doc)]
        give = "" if result == "None" else "return "
        arguments = [f'"{method.name}"', *_argument_names(method)]
        lines += call(INDENT * 2, f"{give}{'await ' if is_async else ''}self._call", arguments, "")
    return lines


def arguments(scope: Scope, method: Method) -> list[str]:
    """Annotations of what a method takes."""
    if method.request is not None:
        return [scope.annotation(Named(method.request))]
    return [scope.annotation(p.type) for p in _inputs(method)]


def results(scope: Scope, method: Method) -> list[str]:
    """Annotations of what a method gives: its results, or the bytes that they stand for. The last result of a
    method with an `out` parameter is its length, and so stands for bytes too."""
    if method.response is not None:
        return [scope.annotation(Named(method.response))]
    if method.form is not ResultForm.NONE:
        return [scope.ref("bytes")]
    numbers = [scope.scalar(r) for r in method.results]
    return [*numbers[:-1], scope.ref("bytes")] if any(p.out for p in method.parameters) else numbers


def _services(names: Names, direction: Direction) -> list[Service]:
    return [s for s in names.schema.services if s.direction is direction]


def _inputs(method: Method) -> list[Parameter]:
    return [p for p in method.parameters if not p.out]


def _argument_names(method: Method) -> tuple[str, ...]:
    if method.request is not None:
        return ("request",)
    return unique((p.name for p in _inputs(method)), frozenset({"self"}))


def _parameters(scope: Scope, method: Method) -> list[str]:
    pairs = zip(_argument_names(method), arguments(scope, method), strict=True)
    return [f"{name}: {annotation}" for name, annotation in pairs]


def _result(scope: Scope, method: Method) -> str:
    found = results(scope, method)
    if len(found) > 1:
        return f"{scope.ref('tuple')}[{', '.join(found)}]"
    return found[0] if found else "None"
