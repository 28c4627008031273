"""From syntax to definitions: all files in order, each name looked up where it stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hlfuzz.schema.fbs.enums import resolve_enum
from hlfuzz.schema.fbs.model import EnumDef, RecordDef
from hlfuzz.schema.fbs.problems import Problem, Reading, shown, similar
from hlfuzz.schema.fbs.records import resolve_record
from hlfuzz.schema.fbs.scope import Scope
from hlfuzz.schema.fbs.services import resolve_service
from hlfuzz.schema.fbs.source import Source
from hlfuzz.schema.fbs.syntax import (
    AttributeNode,
    Declaration,
    EnumNode,
    ExtensionNode,
    FileNode,
    IdentifierNode,
    NamespaceNode,
    RecordNode,
    RootNode,
    ServiceNode,
)
from hlfuzz.schema.fbs.types import TYPE_NAMES, Context


@dataclass
class Resolved:
    """All definitions, and what the main file says of the whole."""

    scope: Scope
    root: RecordDef | None = None
    identifier: str | None = None
    extension: str | None = None
    notes: list[str] = field(default_factory=list[str])


def resolve(files: Iterable[FileNode], reading: Reading) -> Resolved:
    """Definitions of all files, the main one last; errors go to `reading`. Raises `Abandoned`."""
    return _Resolver(reading).run(files)


class _Resolver:
    def __init__(self, reading: Reading) -> None:
        self._scope = Scope()
        self._result = Resolved(self._scope)
        self._reading = reading
        self._root: tuple[Source, int] | None = None

    def run(self, files: Iterable[FileNode]) -> Resolved:
        broken = bool(self._reading.errors)
        for file in files:
            context = Context(self._scope, self._reading, file.source, self._result.notes)
            self._scope.enter(())
            # Root and identifier of included files are theirs.
            self._result.root = self._root = self._result.identifier = self._result.extension = None
            for declaration in file.declarations:
                try:
                    self._declare(declaration, context)
                except Problem as problem:
                    context.report(problem)
        # After an error of syntax, what is missing may be what was not understood.
        if not broken:
            self._check_defined()
            self._check_tables()
        return self._result

    def _declare(self, node: Declaration, context: Context) -> None:
        match node:
            case NamespaceNode():
                self._scope.enter(node.parts)
            case AttributeNode():
                self._scope.attributes[node.name.text] = None
            case RecordNode():
                resolve_record(node, context)
            case EnumNode():
                resolve_enum(node, context)
            case ServiceNode():
                resolve_service(node, context)
            case RootNode():
                self._set_root(node, context)
            case IdentifierNode():
                count = len(node.text.text.encode())
                if count != 4:
                    raise Problem(f"a file_identifier has 4 bytes, not {count}", node.text.offset)
                self._result.identifier = node.text.text
            case ExtensionNode():
                self._result.extension = node.text.text

    def _set_root(self, node: RootNode, context: Context) -> None:
        name = node.name.text
        scope = self._scope
        root = scope.records.get(name) or scope.records.get(scope.qualified(name))
        if root is None:
            suggestion = similar(
                name, (n for n, r in scope.records.items() if not r.fixed), "define it before"
            )
            raise Problem(f"there is no table {shown(name)}", node.name.offset, suggestion)
        self._result.root = root
        self._root = (context.source, node.name.offset)

    def _check_defined(self) -> None:
        short = {name.rpartition(".")[2]: name for name in self._scope.defined}
        known = dict.fromkeys((*TYPE_NAMES, *short, *self._scope.defined))
        for record in self._scope.undefined():
            suggestion = "check its namespace, and that its file is included"
            last = record.name.rpartition(".")[2]
            if last in short:
                suggestion = f"did you mean {short[last]!r}?"
                if isinstance(self._scope.defined[short[last]], EnumDef):
                    suggestion = f"define {shown(short[last])} before it is used: enums and unions must be"
            else:
                suggestion = similar(record.name, known, suggestion)
            source, offset = record.used
            self._reading.report(
                source, Problem(f"type {shown(record.name)} is not defined", offset, suggestion)
            )

    def _check_tables(self) -> None:
        """What must be a table may have turned out to be a struct after it was used."""
        if self._root is not None and self._result.root is not None and self._result.root.fixed:
            source, offset = self._root
            self._reading.report(source, Problem("the root type must be a table", offset))
        for service in self._scope.services.values():
            for method in service.methods:
                if method.request.fixed or method.response.fixed:
                    source, offset = method.place
                    message = f"method {shown(method.name)} must take and return tables, not structs"
                    self._reading.report(source, Problem(message, offset, "wrap the struct in a table"))
        for record in self._scope.records.values():
            for f in record.fields:
                if f.nested is not None and f.nested.fixed:
                    assert record.place is not None
                    message = "the root of a nested FlatBuffer must be a table"
                    self._reading.report(record.place[0], Problem(message, f.offset))
