"""Reads a .proto schema and all that it imports into the IR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from hlfuzz.schema.canonical import reachable
from hlfuzz.schema.diagnostics import Collector
from hlfuzz.schema.ir import Definition, Direction, Format, Schema, Service
from hlfuzz.schema.proto import errors
from hlfuzz.schema.proto.build import definitions
from hlfuzz.schema.proto.notes import is_options, notes
from hlfuzz.schema.proto.places import Places, elements
from hlfuzz.schema.proto.protoc import compile_sources
from hlfuzz.schema.proto.services import services
from hlfuzz.schema.proto.sources import Sources, from_path, from_text

MAX_ELEMENTS: Final = 200_000
"""Most messages, fields, enum members and methods of one schema."""
_DESCRIPTOR: Final = "google/protobuf/descriptor.proto"


def parse(path: Path | str, *, include: Sequence[Path | str] = ()) -> Schema:
    """The schema in a .proto file; imports are looked for in the folders `include`, then beside it.

    Raises `SchemaError` with everything that is wrong with it, and `EnvironmentProblem` without protoc.
    """
    path = Path(path)
    return _parse(from_path(path, [Path(folder) for folder in include]), path.stem)


def parse_text(text: str, *, name: str = "schema.proto", files: Mapping[str, str] | None = None) -> Schema:
    """The schema in a text called `name`; `files` are the texts of its imports, by import name."""
    return _parse(from_text(text, name, files or {}), PurePosixPath(name).stem)


def _parse(sources: Sources, stem: str) -> Schema:
    collector = Collector()
    compiled = compile_sources(sources)
    if compiled.failed:
        errors.report(sources, compiled, collector)
        collector.finish()
    files: dict[str, Any] = {file.name: file for file in compiled.files.file}
    _check_size(sources, files, collector)
    kept = _kept(files, sources.main)
    places = {name: Places(file, sources.files[name]) for name, file in files.items()}
    found: list[Definition] = []
    offered: list[Service] = []
    wanted: list[str] = []
    left_out: list[str] = []
    for name, file in files.items():
        own = list(definitions(file, places[name]))
        found += own
        if name in kept:
            wanted += [d.name for d in own]
            offered += services(file, places[name], name != sources.main, collector, left_out)
    _check_symbols(offered, collector)
    collector.finish()
    wanted += [n for s in offered for m in s.methods for n in (m.request, m.response) if n is not None]
    names = reachable(Schema(stem, Format.PROTO, tuple(found)), wanted)
    order = [sources.main, *(name for name in files if name != sources.main)]
    return Schema(
        stem,
        Format.PROTO,
        tuple(d for d in found if d.name in names),
        tuple(offered),
        files=tuple(sources.files[name].shown for name in order),
        notes=(*errors.warnings(sources, compiled), *left_out, *notes(files.values(), places, sources.main)),
    )


def _check_size(sources: Sources, files: Mapping[str, Any], collector: Collector) -> None:
    count = 0
    for file in files.values():
        for _ in elements(file):
            count += 1
            if count > MAX_ELEMENTS:
                collector.add(
                    f"more than {MAX_ELEMENTS} messages, fields, members and methods "
                    f"({sources.files[sources.main].shown})",
                    suggestion="split the schema",
                )
                collector.finish()


def _kept(files: Mapping[str, Any], main: str) -> set[str]:
    """The main file and what it imports, directly or not, but for files that are there for options only.

    Who imports google/api/http.proto for its options does not mean its messages; those of such files are
    part of the schema only where something refers to them.
    """
    kept: set[str] = set()
    waiting = [main]
    while waiting:
        name = waiting.pop()
        if name in kept or (name != main and _is_for_options(files[name])):
            continue
        kept.add(name)
        waiting += files[name].dependency
    return kept


def _is_for_options(file: Any) -> bool:
    """Whether a file defines custom options, and no services."""
    return not file.service and (
        file.name == _DESCRIPTOR
        or any(is_options(extension.extendee.removeprefix(".")) for extension in file.extension)
    )


def _check_symbols(offered: Sequence[Service], collector: Collector) -> None:
    """Guest exports have underscores where names have dots, so two methods may end up as one."""
    taken: dict[str, str] = {}
    for service in offered:
        for method in service.methods:
            full = f"{service.name}.{method.name}"
            other = taken.setdefault(method.symbol, full)
            if other != full and method.direction is Direction.GUEST:
                collector.add(
                    f"methods {other} and {full} would both be the export {method.symbol}",
                    method.position,
                    suggestion="rename one of the two",
                )
