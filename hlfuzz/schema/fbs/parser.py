"""Syntax of a schema file: recursive descent with one token of look-ahead; goes on after an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hlfuzz.schema.fbs.lexer import EOF, IDENT, INT, STRING
from hlfuzz.schema.fbs.limits import MAX_FIELDS
from hlfuzz.schema.fbs.phrases import read_attributes, read_type, read_value
from hlfuzz.schema.fbs.problems import Problem, Reading, shown, similar
from hlfuzz.schema.fbs.source import Source
from hlfuzz.schema.fbs.syntax import (
    AttributeNode,
    Declaration,
    EnumNode,
    ExtensionNode,
    FieldNode,
    FileNode,
    IdentifierNode,
    MemberNode,
    MethodNode,
    Name,
    NamespaceNode,
    RecordNode,
    RootNode,
    ServiceNode,
)
from hlfuzz.schema.fbs.tokens import KEYWORDS, Silent, Tokens

_Node = TypeVar("_Node")


def parse_file(source: Source, reading: Reading) -> FileNode:
    """The declarations of one file; errors go to `reading`. Raises `Abandoned` at a limit."""
    parser = _Parser(source, reading)
    includes = parser.includes()
    return FileNode(source, includes, parser.declarations())


class _Parser:
    def __init__(self, source: Source, reading: Reading) -> None:
        self._reading = reading
        self._source = source
        self._tokens = Tokens(source, reading)
        self._kinds: dict[str, Callable[[], Declaration]] = {
            "namespace": self._namespace,
            "table": self._record,
            "struct": self._record,
            "enum": self._enum,
            "union": self._enum,
            "rpc_service": self._service,
            "root_type": self._root,
            "file_identifier": self._identifier,
            "file_extension": self._extension,
            "attribute": self._attribute,
        }

    def includes(self) -> tuple[Name, ...]:
        """`include` and `native_include` statements, which come first."""
        tokens = self._tokens
        if tokens.at(EOF):
            self._reading.report(self._source, Problem("this file holds no schema", 0))
        found: list[Name] = []
        while tokens.at_word("include") or tokens.at_word("native_include"):
            try:
                statement = tokens.take()
                path = tokens.expect(STRING, "the path of a file in quotes")
                tokens.expect(";")
                if statement.text == "include":
                    found.append(Name(path.text, path.offset))
            except (Problem, Silent) as error:
                tokens.report(error)
                tokens.skip_declaration()
        return tuple(found)

    def declarations(self) -> tuple[Declaration, ...]:
        """Everything after the includes."""
        tokens = self._tokens
        found: list[Declaration] = []
        while not tokens.at(EOF):
            try:
                found.append(self._declaration())
            except (Problem, Silent) as error:
                tokens.report(error)
                tokens.skip_declaration()
        return tuple(found)

    def _declaration(self) -> Declaration:
        tokens = self._tokens
        word = tokens.token
        if word.kind == IDENT and word.text in self._kinds:
            self._reading.count_item(self._source, word.offset)
            return self._kinds[word.text]()
        if tokens.at_word("include"):
            raise Problem(
                "includes come before all declarations", word.offset, "move it to the top of the file"
            )
        if tokens.at("{"):
            raise Problem(
                "data in a schema file is not read", word.offset, "move the object to a JSON file of its own"
            )
        if tokens.at(";"):
            raise Problem("nothing ends here", word.offset, "no ';' follows a '}'")
        error = tokens.unexpected("a declaration (table, struct, enum, union, rpc_service, …)")
        if isinstance(error, Problem) and word.kind == IDENT:
            error.suggestion = similar(word.text, KEYWORDS)
        raise error

    def _namespace(self) -> NamespaceNode:
        tokens = self._tokens
        tokens.take()
        parts: tuple[str, ...] = ()
        if not tokens.at(";"):
            parts = tuple(tokens.dotted("a namespace").text.split("."))
        tokens.expect(";")
        return NamespaceNode(parts)

    def _root(self) -> RootNode:
        self._tokens.take()
        name = self._tokens.dotted("the name of a table")
        self._tokens.expect(";")
        return RootNode(name)

    def _identifier(self) -> IdentifierNode:
        return IdentifierNode(self._string_statement())

    def _extension(self) -> ExtensionNode:
        return ExtensionNode(self._string_statement())

    def _string_statement(self) -> Name:
        self._tokens.take()
        text = self._tokens.expect(STRING, "a string")
        self._tokens.expect(";")
        return Name(text.text, text.offset)

    def _attribute(self) -> AttributeNode:
        tokens = self._tokens
        tokens.take()
        kind = IDENT if tokens.at(IDENT) else STRING
        name = tokens.expect(kind, "the name of an attribute")
        tokens.expect(";")
        return AttributeNode(Name(name.text, name.offset))

    def _record(self) -> RecordNode:
        tokens = self._tokens
        keyword = tokens.take()
        name = tokens.name(f"the name of a {keyword.text}")
        attributes = read_attributes(tokens)
        tokens.expect("{")
        fields = self._body(self._field, ";")
        return RecordNode(name, keyword.text == "struct", attributes, fields, keyword.doc)

    def _body(self, read: Callable[[], _Node], end: str) -> tuple[_Node, ...]:
        """Fields or methods up to '}', which is consumed."""
        tokens = self._tokens
        found: list[_Node] = []
        while not tokens.at("}"):
            if tokens.at(EOF):
                raise tokens.unexpected("'}'")
            try:
                self._reading.count_item(self._source, tokens.token.offset)
                found.append(read())
            except (Problem, Silent) as error:
                tokens.report(error)
                tokens.skip_to(end)
            if len(found) > MAX_FIELDS:
                message = f"more than {MAX_FIELDS:,} fields or methods in one definition"
                problem = Problem(message, tokens.token.offset, "group them in several")
                raise self._reading.abandon(self._source, problem)
        tokens.take()
        return tuple(found)

    def _field(self) -> FieldNode:
        tokens = self._tokens
        doc = tokens.token.doc
        name = tokens.name("a field")
        tokens.expect(":")
        type_ = read_type(tokens)
        default = None
        if tokens.at("="):
            tokens.take()
            default = read_value(tokens)
        attributes = read_attributes(tokens)
        tokens.expect(";")
        return FieldNode(name, type_, default, attributes, doc)

    def _enum(self) -> EnumNode:
        tokens = self._tokens
        keyword = tokens.take()
        union = keyword.text == "union"
        name = tokens.name(f"the name of {'a' if union else 'an'} {keyword.text}")
        underlying = None
        if tokens.at(":"):
            tokens.take()
            underlying = read_type(tokens)
        elif not union:
            raise Problem(
                f"the type of enum {shown(name.text)} is missing",
                name.offset,
                f"write it behind the name: enum {name.text} : int {{ … }}",
            )
        attributes = read_attributes(tokens)
        tokens.expect("{")
        members: list[MemberNode] = []
        while not tokens.at("}"):
            try:
                self._reading.count_item(self._source, tokens.token.offset)
                members.append(self._member(union))
                if not tokens.at(","):
                    tokens.expect("}", "',' or '}'")
                    return EnumNode(name, union, underlying, attributes, tuple(members), keyword.doc)
                tokens.take()
            except (Problem, Silent) as error:
                tokens.report(error)
                tokens.skip_to(",")
                if tokens.at(EOF):
                    break
        tokens.expect("}")
        return EnumNode(name, union, underlying, attributes, tuple(members), keyword.doc)

    def _member(self, union: bool) -> MemberNode:
        tokens = self._tokens
        doc = tokens.token.doc
        name = tokens.dotted("a table") if union else tokens.name("the name of a value")
        type_ = None
        if union and tokens.at(":"):
            tokens.take()
            type_ = read_type(tokens)
        value = None
        if tokens.at("="):
            tokens.take()
            number = tokens.expect(INT, "a whole number")
            value = Name(number.text, number.offset)
        return MemberNode(name, type_, value, read_attributes(tokens), doc)

    def _service(self) -> ServiceNode:
        tokens = self._tokens
        keyword = tokens.take()
        name = tokens.name("the name of a service")
        attributes = read_attributes(tokens)
        tokens.expect("{")
        if tokens.at("}"):
            raise tokens.unexpected("a method")
        return ServiceNode(name, attributes, self._body(self._method, ";"), keyword.doc)

    def _method(self) -> MethodNode:
        tokens = self._tokens
        doc = tokens.token.doc
        name = tokens.name("a method")
        tokens.expect("(")
        request = tokens.dotted("the table that the method takes")
        tokens.expect(")")
        tokens.expect(":")
        response = tokens.dotted("the table that the method returns")
        attributes = read_attributes(tokens)
        tokens.expect(";")
        return MethodNode(name, request, response, attributes, doc)
