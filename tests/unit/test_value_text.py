"""Values as Python text: what is printed makes the same value again."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hlfuzz.bindings import Interface
from hlfuzz.bindings import strategies as typed
from hlfuzz.bindings.text import value_text
from hlfuzz.schema.fbs import parse_text as parse_fbs
from hlfuzz.schema.proto import parse_text as parse_proto

FBS = """
namespace x;
enum Level : ubyte { LOW, HIGH }
enum Rights : ubyte (bit_flags) { READ, WRITE, RUN }
struct Point { x: float; y: short; }
table Leaf { text: string (required); data: [ubyte]; level: Level = HIGH; }
union Any { leaf: Leaf, other: Tree }
table Tree {
  at: Point; rights: Rights = 1; any: Any; leaves: [Leaf]; size: ulong = null; ratio: double = 1.5;
}
"""
PROTO = """
syntax = "proto3"; package x;
enum Level { LOW = 0; HIGH = 1; }
message Leaf { string text = 1; bytes data = 2; Level level = 3; }
message Tree {
  map<string, Leaf> leaves = 1; oneof any { Leaf leaf = 2; int64 number = 3; } repeated Level levels = 4;
}
"""
INTERFACES = [Interface(parse_fbs(FBS)), Interface(parse_proto(PROTO))]


def values() -> st.SearchStrategy[tuple[Interface, Any]]:
    return st.one_of([st.tuples(st.just(i), typed.valid(i, "x.Tree")) for i in INTERFACES])


@settings(max_examples=120, deadline=None)
@given(values())
def test_the_text_of_a_value_makes_the_value(pair: tuple[Interface, Any]) -> None:
    interface, value = pair
    names = {c.__name__: c for c in interface.classes.definitions.values()}
    names |= {c.__name__: c for c in interface.classes.variants.values()}
    assert eval(value_text(value), names | {"float": float}) == value


def test_fields_with_their_default_are_left_out_and_others_are_named() -> None:
    classes: Any = INTERFACES[0].classes.definitions
    leaf = classes["x.Leaf"](text="a")
    assert value_text(leaf) == "Leaf(text='a')"
    assert value_text(classes["x.Leaf"](text="a", level=0)) == "Leaf(text='a', level=0)"
    point = classes["x.Point"](1.0, 2)
    rights = classes["x.Rights"](5)
    shown = value_text(classes["x.Tree"](at=point, rights=rights, leaves=[leaf]))
    assert shown == "Tree(at=Point(1.0, 2), rights=Rights.READ | Rights.RUN, leaves=[Leaf(text='a')])"


def test_zero_and_false_are_told_apart_from_a_default_that_equals_them() -> None:
    tree: Any = INTERFACES[0].classes.definitions["x.Tree"]
    assert value_text(tree(size=0)) == "Tree(size=0)"
    assert value_text(tree(ratio=-0.0)) == "Tree(ratio=-0.0)"
