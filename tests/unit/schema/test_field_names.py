"""Fields named like what every class has are fields all the same."""

from __future__ import annotations

from hlfuzz.schema.fbs import parse_text
from hlfuzz.schema.values import make_classes


def test_a_field_named_mro_is_no_default() -> None:
    classes = make_classes(parse_text("struct S { mro:int; x:int; } table T { mro:string (required); }"))
    assert classes.definitions["S"](1, 2).mro_ == 1
    assert classes.definitions["T"](mro_="x").mro_ == "x"
