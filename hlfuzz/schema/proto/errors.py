"""Turns protoc's messages into diagnostics: the user's file, line and column, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from hlfuzz.schema.diagnostics import Collector, did_you_mean
from hlfuzz.schema.proto.protoc import FOLDER, Compiled
from hlfuzz.schema.proto.sources import Source, Sources

_MAX_MESSAGE: Final = 400
_MAX_NAMES: Final = 2_000
_MAX_NAME: Final = 100
_PLACED: Final = re.compile(r"(\d+):(\d+): (.*)", re.DOTALL)
_UNDEFINED: Final = re.compile(r'"([^"]+)" is not defined')
_IMPORT: Final = re.compile(r'Import "(.*)" was not found or had errors')
_NAMES: Final = re.compile(rb"\b(?:message|enum)\s+([A-Za-z_]\w{0,99})\b")
_WARNING: Final = "warning: "
_LOG: Final = re.compile(r"WARNING: All log messages before|[IWEF]\d{4} ")
"""Lines of protoc's own log, which are about protoc."""

_SUGGESTIONS: Final = (
    (r"recursively imports itself", "move what both files need to a third file"),
    (r"has already been used in", "give the field a number of its own"),
    (r"already defined", "rename one of the two"),
    (r"Field numbers .* are reserved for", "numbers 19000 to 19999 belong to Protobuf itself"),
    (r"Field numbers (must|cannot)", "numbers go from 1 to 536870911"),
    (r"uses reserved number|is reserved", "take another one, or drop the reservation"),
    (r"Missing field number|Expected field number", "end the field with a number: `string name = 1;`"),
    (r'Expected ";"', "end the line before this one with a semicolon"),
    (r'Expected "required"', 'say `optional`, or start the file with `syntax = "proto3";`'),
    (r"Reached end of input", "a brace opened before is not closed"),
    (r'Unmatched "}"', "a brace too many"),
    (r"must be zero|define 0 as the first", "put a member with value 0 first: `KIND_UNSPECIFIED = 0;`"),
    (r"at least one value", "give it a member: `KIND_UNSPECIFIED = 0;`"),
    (r"uses the same enum value", "give it another value, or set `option allow_alias = true;`"),
    (r"recursion limit", "nest less deeply"),
    (r"syntax identifier", 'use `syntax = "proto2"`, `syntax = "proto3"` or `edition = "2023"`'),
    (r"Unknown edition|Edition .* (later|unknown|not supported)", 'use `edition = "2023"`'),
    (r"Required fields are not allowed", "drop `required`: the code that reads it can check"),
    (r"Explicit default values", "drop the default: it is zero in proto3"),
    (r"Groups are not supported", "define a message and a field of it"),
    (r"not allowed on map fields", "drop the label: a map holds any number of entries"),
    (r"Key in map fields", "use an integer, bool or string as the key"),
    (r"Fields in oneofs", "drop the label; put a repeated field into a message of its own"),
    (r"Expected message type", "a method takes and gives messages: define one around the value"),
    (r"Implicit presence enum", "make the enum open, or the field explicit"),
    (r"JSON name", "rename one of the two, or give it a `json_name`"),
    (r"out of range", "use a wider type"),
    (r'Option ".*" unknown', "import the file that defines the option"),
    (r"control characters|Invalid", "is it a .proto file at all?"),
)
"""What to do, by a pattern of protoc's message; the first that fits."""
_KEYWORDS: Final = (
    "message",
    "enum",
    "service",
    "import",
    "option",
    "package",
    "syntax",
    "edition",
    "extend",
)
_HINTS: Final = ("Suggested field numbers", "Note that")
"""Starts of messages that only say what to do about the one before."""
_WORD: Final = re.compile(r"[A-Za-z_]\w*")


def report(sources: Sources, compiled: Compiled, collector: Collector) -> None:
    """Add what protoc found wrong to `collector`; at least one error."""
    placed = frozenset(_IMPORT.findall(compiled.messages))
    names = _defined(sources)
    for message in _messages(sources, compiled.messages):
        if collector.full:
            break
        _add(sources, message, placed, names, collector)
    if compiled.failure:
        collector.add(
            f"{compiled.failure} ({sources.files[sources.main].shown})",
            suggestion="split the schema, or simplify it",
        )
    if not collector:
        said = _short(compiled.messages.strip()) or "it said nothing"
        collector.add(f"protoc failed ({sources.files[sources.main].shown}): {said}")


def _add(
    sources: Sources, said: _Message, placed: frozenset[str], names: Sequence[str], collector: Collector
) -> None:
    text, source = said.text, said.source
    suggestion = _suggestion(names, said)
    match = _IMPORT.search(text)
    imported = match[1] if match is not None else None
    if source is None:
        if said.name in placed:
            # Said again, with the place of the import.
            return
        imported, source = said.name, sources.files[sources.main]
    if imported is not None:
        if imported in sources.files and imported not in sources.problems:
            # The errors of that file are reported themselves.
            return
        problem = sources.problems.get(imported, "not found")
        text, suggestion = f'cannot import "{imported}": {problem}', ""
    elif text.startswith((_WARNING, *_HINTS)) or (placed and _UNDEFINED.search(text)):
        # What an import that was not found would have defined: the import is the error.
        return
    position = source.position(said.line, said.column) if said.line else None
    shown = text if position is not None else f"{text} ({source.shown})"
    collector.add(_short(shown), position, suggestion=suggestion, source=source.line(said.line))


def warnings(sources: Sources, compiled: Compiled) -> Iterator[str]:
    """What protoc warns of in a schema that it accepts, with the place."""
    for said in _messages(sources, compiled.messages):
        if said.text.startswith(_WARNING) and said.source is not None:
            where = said.source.position(said.line, said.column) if said.line else said.source.shown
            yield f"{where}: {_short(said.text)}"


@dataclass(frozen=True, slots=True)
class _Message:
    """One message of protoc: the file by name and itself, if it could be had; line and column, or 0; text."""

    name: str
    source: Source | None
    line: int
    column: int
    text: str


def _messages(sources: Sources, text: str) -> Iterator[_Message]:
    """Each message; a line of unknown form goes on with the one before it."""
    found: _Message | None = None
    for line in text.splitlines():
        if _LOG.match(line):
            continue
        parsed = _parse(sources, line.removeprefix(f"{FOLDER}/"))
        if parsed is None and found is not None:
            if len(found.text) < _MAX_MESSAGE:
                found = replace(found, text=f"{found.text} {line.strip()}")
            continue
        if found is not None:
            yield found
        found = parsed
    if found is not None:
        yield found


def _parse(sources: Sources, line: str) -> _Message | None:
    # A file's name may hold colons, so it is looked up and not cut off at the first one.
    start = -1
    while (start := line.find(":", start + 1)) >= 0:
        name, rest = line[:start], line[start + 1 :]
        source = sources.files.get(name)
        placed = _PLACED.match(rest)
        if source is not None and placed is not None:
            return _Message(name, source, int(placed[1]), int(placed[2]), placed[3])
        if source is not None or name in sources.problems:
            return _Message(name, source, 0, 0, rest.strip())
    return None


def _defined(sources: Sources) -> list[str]:
    """Names of types to suggest instead of a misspelt one, from all files."""
    found = {
        n[1].decode() for s in sources.files.values() for n in islice(_NAMES.finditer(s.data), _MAX_NAMES)
    }
    return sorted(found)[:_MAX_NAMES]


def _suggestion(names: Sequence[str], said: _Message) -> str:
    undefined = _UNDEFINED.search(said.text)
    if undefined is not None:
        name = undefined[1].rsplit(".", 1)[-1]
        return did_you_mean(name[:_MAX_NAME], names, "define it, or import the file that does")
    if said.text.startswith("Expected top-level statement") and said.source is not None:
        position = said.source.position(said.line, said.column)
        word = _WORD.match(said.source.line(said.line), position.column - 1)
        return did_you_mean(word[0][:_MAX_NAME], _KEYWORDS) if word is not None else ""
    return next((text for pattern, text in _SUGGESTIONS if re.search(pattern, said.text)), "")


def _short(text: str) -> str:
    return text if len(text) <= _MAX_MESSAGE else f"{text[: _MAX_MESSAGE - 1]}…"
