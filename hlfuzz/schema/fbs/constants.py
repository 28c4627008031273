"""What a constant in a schema means for the type it is given to: numbers, names of enum values, functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from hlfuzz.schema.fbs.lexer import FLOAT, IDENT, INT, STRING
from hlfuzz.schema.fbs.model import Constant, EnumDef, FieldType, Use
from hlfuzz.schema.fbs.numbers import NotANumber, read_float, read_integer, rounded
from hlfuzz.schema.fbs.problems import Problem, shown, similar
from hlfuzz.schema.fbs.syntax import AttributeUse, Value
from hlfuzz.schema.ir import Scalar

_FUNCTIONS: Final[Mapping[str, Callable[[float], float]]] = {
    "deg": lambda x: x / math.pi * 180,
    "rad": lambda x: x * math.pi / 180,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
}

FindEnum = Callable[[str], EnumDef | None]


def default_of(value: Value, type_: FieldType, find_enum: FindEnum) -> Constant:
    """The default that `value` is for a field of this type. Raises `Problem`."""
    if type_.is_scalar:
        return _scalar(value, type_, find_enum)
    if type_.is_string and value.kind == STRING and not value.functions:
        return Constant(text=value.text, zero=value.text == "0")
    if type_.is_vector and value.kind == "[]" and not value.functions:
        return Constant(empty=True)
    if type_.is_string:
        raise Problem(f"{shown(value.text)} is no string", value.offset, "write it in quotes")
    if type_.is_vector:
        raise Problem("the only default of a vector is []", value.offset, "leave it out: absent is empty")
    raise Problem("a field of this type has no default", value.offset, "leave it out")


def attribute_of(node: AttributeUse) -> Use:
    """An attribute's value: a string, or a 32-bit integer. Raises `Problem`."""
    value = node.value
    if value is None:
        return Use(node, "", False)
    if value.kind == STRING and not value.functions:
        return Use(node, value.text, True)
    if value.kind == INT and not value.functions:
        return Use(node, str(_integer(value, Scalar.I32)), False)
    raise Problem(
        f"the value of attribute {shown(node.name.text)} must be a string or a whole number",
        value.offset,
        "write it in quotes",
    )


def _scalar(value: Value, type_: FieldType, find_enum: FindEnum) -> Constant:
    scalar, text = type_.scalar, value.text
    assert scalar is not None
    if value.functions:
        return Constant(number=_call(value, scalar))
    if value.kind == STRING and not value.plain:
        raise Problem("a number in quotes must be printable ASCII without escapes", value.offset)
    if value.kind in (IDENT, STRING):
        if scalar is Scalar.BOOL and text in ("true", "false"):
            return Constant(number=int(text == "true"), zero=text == "false")
        if text == "null":
            return Constant(null=True)
        if not scalar.is_float and scalar is not Scalar.BOOL and (text[:1].isalpha() or text[:1] == "_"):
            number = _enum_value(value, type_, find_enum)
            return Constant(number=number, zero=number == 0)
    if scalar.is_float:
        number = _float(value)
        # flatc compares the text: "0" is no default, "0.0" is one.
        return Constant(number=rounded(number, scalar), zero=text.rstrip(" ") == "0")
    if value.kind in (FLOAT, "[]"):
        raise Problem(f"{shown(text)} is no whole number", value.offset)
    number = _integer(value, scalar)
    return Constant(number=number, zero=number == 0)


def _integer(value: Value, scalar: Scalar) -> int:
    text = value.text.rstrip(" ") if value.kind == STRING else value.text
    try:
        return read_integer(text, scalar)
    except NotANumber as error:
        suggestion = "write true or false" if scalar is Scalar.BOOL else ""
        raise Problem(f"{shown(value.text)} {error}", value.offset, suggestion) from None


def _float(value: Value) -> float:
    text = value.text.rstrip(" ") if value.kind == STRING else value.text
    lower = text.lower()
    if value.kind == "[]" or (value.kind != FLOAT and "0x" in lower and "p" not in lower):
        hint = "hexadecimal fractions need an exponent: 0x1.8p0" if "0x" in lower else ""
        raise Problem(f"{shown(text)} is no number", value.offset, hint)
    try:
        return read_float(text)
    except NotANumber as error:
        known = ", ".join(("nan", "inf", *(f"{name}(x)" for name in _FUNCTIONS)))
        raise Problem(f"{shown(text)} {error}", value.offset, f"known by name are {known}") from None


def _call(value: Value, scalar: Scalar) -> float:
    """The value of functions in each other; each result has 12 decimals, as text of flatc's has."""
    if not scalar.is_float:
        raise Problem(
            f"function {shown(value.functions[0].text)} gives no {scalar}",
            value.functions[0].offset,
            "functions are for floats; if attributes follow, put a space before '('",
        )
    if value.kind == STRING and not value.plain:
        raise Problem("a number in quotes must be printable ASCII without escapes", value.offset)
    result = _float(value)
    for name in reversed(value.functions):
        function = _FUNCTIONS.get(name.text)
        if function is None:
            raise Problem(
                f"unknown function {shown(name.text)}",
                name.offset,
                similar(name.text, _FUNCTIONS, f"known are {', '.join(_FUNCTIONS)}"),
            )
        try:
            result = float(f"{function(result):.12f}")
        except ValueError:
            # Outside of the function's domain; C gives NaN.
            result = math.nan
    return rounded(result, scalar)


def _enum_value(value: Value, type_: FieldType, find_enum: FindEnum) -> int:
    """The value of a name, or of names with one space between them, which are or-ed."""
    assert type_.scalar is not None
    result = 0
    for word in value.text.split(" "):
        enum, name = type_.enum, word
        if enum is None:
            of, dot, name = word.partition(".")
            if not dot:
                raise Problem(f"{shown(word)} is no number", value.offset, 'name an enum too: "Color.Red"')
            enum = find_enum(of)
            if enum is None:
                raise Problem(f"there is no enum {shown(of)}", value.offset)
        if name == "NONE" and enum.union:
            continue
        if name not in enum.members:
            raise Problem(
                f"{shown(name)} is no value of {enum.name}",
                value.offset,
                similar(name, enum.members, "values: " + ", ".join(list(enum.members)[:20])),
            )
        result |= enum.members[name].value & 0xFFFF_FFFF_FFFF_FFFF
    if type_.scalar.range[0] < 0 and result >> 63:
        result -= 1 << 64
    low, high = type_.scalar.range
    if not low <= result <= high:
        raise Problem(f"{shown(value.text)} is {result}, which does not fit {type_.scalar}", value.offset)
    return result
