"""Turns protoc's services into the IR: direction, directives in comments; streaming methods are refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from hlfuzz.schema.diagnostics import Collector, did_you_mean
from hlfuzz.schema.ir import Direction, Method, Service, direction_of, symbol
from hlfuzz.schema.proto.places import Place, Places

_FILE_SERVICE: Final = 6  # field numbers of descriptor.proto
_SERVICE_METHOD: Final = 2
_STATEFUL: Final = "stateful"
_DIRECTIONS: Final = frozenset(d.value for d in Direction)


def services(
    file: Any, places: Places, imported: bool, collector: Collector, left_out: list[str]
) -> Iterator[Service]:
    """The services of a `FileDescriptorProto`; what cannot be called is added to `collector`.

    Streaming methods of services that are imported, and not said to be of the guest or the host, are those of
    another program: they are noted in `left_out` instead.
    """
    scope = f"{file.package}." if file.package else ""
    for index, service in enumerate(file.service):
        path = (_FILE_SERVICE, index)
        place, name = places.at(path), f"{scope}{service.name}"
        words = _words(place, places, name, _DIRECTIONS | {_STATEFUL}, collector)
        direction = _direction(words, name, place, places, collector)
        methods: list[Method] = []
        for number, method in enumerate(service.method):
            at = places.at((*path, _SERVICE_METHOD, number))
            full = f"{name}.{method.name}"
            own = _words(at, places, full, frozenset({_STATEFUL}), collector)
            if method.client_streaming or method.server_streaming:
                text = f"method {full} is streaming: a call across the boundary has one request, one response"
                if imported and not words & _DIRECTIONS and direction_of(name) is None:
                    left_out.append(f"{at.position}: {text}: left out")
                    continue
                collector.add(
                    text,
                    at.position,
                    suggestion="call a unary method once for each message, and mark it `// hlfuzz: stateful`",
                    source=places.line(at),
                )
                continue
            methods.append(
                Method(
                    method.name,
                    direction,
                    symbol(name, method.name, direction),
                    request=method.input_type.removeprefix("."),
                    response=method.output_type.removeprefix("."),
                    stateful=_STATEFUL in own | words,
                    doc=at.doc,
                    position=at.position,
                )
            )
        yield Service(name, direction, tuple(methods), place.doc, place.position)


def _direction(
    words: frozenset[str], name: str, place: Place, places: Places, collector: Collector
) -> Direction:
    said = [d for d in Direction if d in words]
    if len(said) > 1:
        collector.add(
            f"service {name} is said to be both {' and '.join(said)}",
            place.position,
            suggestion="a service has one direction: make two of it",
            source=places.line(place),
        )
    return said[0] if said else direction_of(name) or Direction.GUEST


def _words(
    place: Place, places: Places, name: str, known: frozenset[str], collector: Collector
) -> frozenset[str]:
    """The directives of an element: words after `hlfuzz:`, divided by spaces or commas."""
    found: set[str] = set()
    for word in (w for text in place.directives for w in text.replace(",", " ").split()):
        if word in known:
            found.add(word)
            continue
        if word in _DIRECTIONS:
            suggestion = "a service has one direction: say it in the comment of the service"
        else:
            suggestion = did_you_mean(word, sorted(known), f"known here: {', '.join(sorted(known))}")
        collector.add(
            f"unknown directive {word!r} in the comment of {name}",
            place.position,
            suggestion=suggestion,
            source=places.line(place),
        )
    return frozenset(found)
