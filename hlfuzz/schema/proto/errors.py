"""Turns protoc's messages into diagnostics: the user's file, line and column, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from hlfuzz.schema.diagnostics import Collector, did_you_mean
from hlfuzz.schema.proto.protoc import FOLDER, Compiled
from hlfuzz.schema.proto.sources import Source, Sources

_MAX_MESSAGE: Final = 400
_PLACED: Final = re.compile(r"(\d+):(\d+): (.*)", re.DOTALL)
_UNDEFINED: Final = re.compile(r'"([^"]+)" is not defined')
_IMPORT: Final = re.compile(r'Import "(.*)" was not found or had errors')
_NAMES: Final = re.compile(rb"\b(?:message|enum)\s+([A-Za-z_]\w*)")
_WARNING: Final = "warning: "

_SUGGESTIONS: Final = tuple(
    (re.compile(pattern), suggestion)
    for pattern, suggestion in (
        (r"recursively imports itself", "move what both files need to a third file"),
        (r"has already been used in", "give the field a number of its own"),
        (r"already defined", "rename one of the two"),
        (r"Field numbers .* are reserved for", "numbers 19000 to 19999 belong to Protobuf itself"),
        (r"uses reserved number|is reserved", "take another one, or drop the reservation"),
        (r"(Missing|Expected) field number", "end the field with a number: `string name = 1;`"),
        (r'Expected ";"', "end the line before this one with a semicolon"),
        (
            r'Expected "required", "optional", or "repeated"',
            'say `optional`, or start the file with `syntax = "proto3";`',
        ),
        (r"Reached end of input", "a brace opened before is not closed"),
        (r"Unmatched \"}\"", "a brace too many"),
        (
            r"first enum value must be zero|define 0 as the first value",
            "put a member with value 0 first: `KIND_UNSPECIFIED = 0;`",
        ),
        (r"uses the same enum value", "give it another value, or set `option allow_alias = true;`"),
        (r"recursion limit", "nest less deeply"),
        (r"Unrecognized syntax", 'use `syntax = "proto2"`, `syntax = "proto3"` or `edition = "2023"`'),
        (r"Edition .* (later|unknown|not supported)|Unknown edition", 'use edition = "2023"'),
        (r"Required fields are not allowed in proto3", "drop `required`: the code that reads it can check"),
        (r"Explicit default values are not allowed in proto3", "drop the default: it is zero in proto3"),
        (r"Option \".*\" unknown", "import the file that defines the option"),
        (r"control characters|Invalid", "is it a .proto file at all?"),
    )
)  # fmt: skip


def report(sources: Sources, compiled: Compiled, collector: Collector) -> None:
    """Add what protoc found wrong to `collector`; at least one error."""
    missing = _IMPORT.search(compiled.messages) is not None
    for source, line, column, message in _messages(sources, compiled.messages):
        if message.startswith(_WARNING):
            continue
        if missing and (message == "File not found." or _UNDEFINED.search(message)):
            # What an import that was not found would have defined: the import is the error.
            continue
        imported = _IMPORT.search(message)
        suggestion = _suggestion(sources, message)
        if imported is not None:
            problem = sources.problems.get(imported[1], "it has errors of its own")
            message, suggestion = f'cannot import "{imported[1]}": {problem}', ""
        position = source.position(line, column) if line else None
        text = message if position is not None else f"{message} ({source.shown})"
        collector.add(_short(text), position, suggestion=suggestion, source=source.line(line))
    if compiled.failure:
        collector.add(
            f"{compiled.failure} ({sources.files[sources.main].shown})",
            suggestion="split the schema, or simplify it",
        )
    if not collector:
        said = _short(compiled.messages.strip()) or "it said nothing"
        collector.add(f"protoc failed ({sources.files[sources.main].shown}): {said}")


def warnings(sources: Sources, compiled: Compiled) -> Iterator[str]:
    """What protoc warns of in a schema that it accepts, with the place."""
    for source, line, column, message in _messages(sources, compiled.messages):
        if message.startswith(_WARNING):
            where = source.position(line, column) if line else source.shown
            yield f"{where}: {_short(message)}"


def _messages(sources: Sources, text: str) -> Iterator[tuple[Source, int, int, str]]:
    """Each message with its file, line and column (0 where it has none).

    A line of unknown form goes on with the one before it.
    """
    found: tuple[Source, int, int, str] | None = None
    for line in text.splitlines():
        parsed = _parse(sources, line.removeprefix(f"{FOLDER}/"))
        if parsed is None and found is not None:
            if len(found[3]) < _MAX_MESSAGE:
                found = (*found[:3], f"{found[3]} {line.strip()}")
            continue
        if found is not None:
            yield found
        found = parsed
    if found is not None:
        yield found


def _parse(sources: Sources, line: str) -> tuple[Source, int, int, str] | None:
    # A file's name may hold colons, so it is looked up and not cut off at the first one.
    start = -1
    while (start := line.find(":", start + 1)) >= 0:
        source = sources.files.get(line[:start])
        if source is not None:
            rest = line[start + 1 :]
            placed = _PLACED.match(rest)
            return (
                (source, int(placed[1]), int(placed[2]), placed[3])
                if placed
                else (source, 0, 0, rest.strip())
            )
        if line[:start] in sources.problems:
            return sources.files[sources.main], 0, 0, rest if (rest := line[start + 1 :].strip()) else line
    return None


def _suggestion(sources: Sources, message: str) -> str:
    undefined = _UNDEFINED.search(message)
    if undefined is not None:
        names = {n.decode() for s in sources.files.values() for n in _NAMES.findall(s.data)}
        return did_you_mean(
            undefined[1].rsplit(".", 1)[-1], sorted(names), "define it, or import the file that does"
        )
    return next((text for pattern, text in _SUGGESTIONS if pattern.search(message)), "")


def _short(text: str) -> str:
    return text if len(text) <= _MAX_MESSAGE else f"{text[: _MAX_MESSAGE - 1]}…"
