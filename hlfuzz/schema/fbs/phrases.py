"""Syntax inside declarations: types, attributes, constants."""

from __future__ import annotations

from hlfuzz.schema.fbs.lexer import FLOAT, IDENT, INT, STRING
from hlfuzz.schema.fbs.limits import MAX_FUNCTIONS
from hlfuzz.schema.fbs.problems import Problem
from hlfuzz.schema.fbs.syntax import AttributeUse, Name, TypeUse, Value
from hlfuzz.schema.fbs.tokens import Tokens


def read_type(tokens: Tokens) -> TypeUse:
    """A type: a name, `[name]`, or `[name:length]`."""
    if not tokens.at("["):
        return TypeUse(tokens.dotted("a type"))
    tokens.take()
    if tokens.at("["):
        raise Problem(
            "vectors and arrays of vectors do not exist",
            tokens.token.offset,
            "wrap the inner one in a table",
        )
    name = tokens.dotted("the type of the elements")
    length = None
    if tokens.at(":"):
        tokens.take()
        number = tokens.expect(INT, "the length of the array, a whole number")
        length = Name(number.text, number.offset)
    tokens.expect("]")
    return TypeUse(name, vector=length is None, length=length)


def read_attributes(tokens: Tokens) -> tuple[AttributeUse, ...]:
    """Attributes in parentheses, if there are any."""
    if not tokens.at("("):
        return ()
    tokens.take()
    found: list[AttributeUse] = []
    while True:
        token = tokens.expect(STRING if tokens.at(STRING) else IDENT, "the name of an attribute")
        value = None
        if tokens.at(":"):
            tokens.take()
            value = read_value(tokens)
        found.append(AttributeUse(Name(token.text, token.offset), value))
        if tokens.at(")"):
            tokens.take()
            return tuple(found)
        tokens.expect(",", "',' or ')'")


def read_value(tokens: Tokens) -> Value:
    """A constant, in as many conversion functions as there are."""
    functions: list[Name] = []
    while True:
        start = tokens.token
        sign = tokens.take().kind if start.kind in ("+", "-") else ""
        token = tokens.token
        if sign and token.kind != IDENT:
            raise tokens.unexpected("the name of a constant")
        # Only "f(" is a call; in "f (", f is a constant and attributes follow.
        if token.kind != IDENT or not tokens.source.text.startswith("(", token.end):
            break
        tokens.take()
        tokens.take()
        functions.append(Name(sign + token.text, start.offset))
        if len(functions) > MAX_FUNCTIONS:
            raise Problem(f"more than {MAX_FUNCTIONS} functions inside each other", start.offset)
    if token.kind in (IDENT, STRING, INT, FLOAT):
        tokens.take()
        value = Value(token.kind, sign + token.text, start.offset, tuple(functions), token.plain)
    elif token.kind == "[":
        tokens.take()
        tokens.expect("]", "']' (a vector can only be empty by default)")
        value = Value("[]", "[]", start.offset, tuple(functions))
    else:
        raise tokens.unexpected("a constant")
    for _ in functions:
        tokens.expect(")")
    return value
