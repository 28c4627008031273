"""A schema survives its JSON form; text from anyone is a schema or a clear error."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1] / "generate"))
from schema_strategies import schemas

from hlfuzz.errors import HlfuzzError, UsageError
from hlfuzz.generate.python import generate
from hlfuzz.schema.canonical import canonical
from hlfuzz.schema.diagnostics import SchemaError
from hlfuzz.schema.dump import dump, load_json
from hlfuzz.schema.ir import Field, Format, Number, Position, Presence, Record, RecordKind, Scalar, Schema


def table(*fields: Field) -> Schema:
    return Schema("a", Format.FBS, (Record("T", RecordKind.TABLE, fields),))


@settings(max_examples=100, deadline=None)
@given(schemas())
def test_a_schema_is_the_same_after_its_json_form(schema: Schema):
    text = dump(schema)
    again = load_json(text)
    assert dump(again) == text
    assert canonical(again) == canonical(schema)
    assert repr(again) == repr(schema)


@settings(max_examples=60, deadline=None)
@given(schemas())
def test_without_source_the_interface_is_the_same_and_its_documentation_gone(schema: Schema):
    again = load_json(dump(schema, source=False))
    assert canonical(again) == canonical(schema)
    assert not any(d.doc or d.position for d in again.definitions)
    assert not again.files


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.0, 1e300, 0.1])
def test_a_floating_point_default_keeps_its_bits(value: float):
    schema = table(Field("x", Number(Scalar.F64), 0, Presence.IMPLICIT, value))
    assert canonical(load_json(dump(schema))) == canonical(schema)


def test_positions_are_kept_with_the_source():
    field = Field("x", Number(Scalar.I8), 0, Presence.IMPLICIT, 0, position=Position("a.fbs", 3, 4))
    found = load_json(dump(table(field))).record("T").fields[0]
    assert found.position == Position("a.fbs", 3, 4)


_FIELD = '{"name":"x","type":{"is":"Number","scalar":"i8"},"id":0,"presence":"implicit","default":0}'
_RECORD = '{"is":"Record","name":"T","kind":"table","fields":[%s]}'
_SCHEMA = '{"schema":"hlfuzz.schema/1","name":"a","format":"fbs","definitions":[%s]}'
GOOD = _SCHEMA % (_RECORD % _FIELD)


def test_the_text_that_the_next_tests_damage_is_good():
    assert load_json(GOOD) == table(Field("x", Number(Scalar.I8), 0, Presence.IMPLICIT, 0))


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('"scalar":"i8"', '"scalar":"i9"', "fields[0].type.scalar"),
        ('"scalar":"i8"', '"scalar":["i8"]', "fields[0].type.scalar"),
        ('"is":"Number"', '"is":"Schema"', "fields[0].type"),
        ('"is":"Number"', '"is":{"a":1}', "fields[0].type"),
        (
            '"is":"Number","scalar":"i8"',
            '"is":"Record","name":"R","kind":"table","fields":[]',
            "fields[0].type",
        ),
        ('"id":0', '"id":true', "fields[0].id"),
        ('"id":0', '"id":0.5', "fields[0].id"),
        ('"id":0,', "", "needs a field 'id'"),
        ('"id":0', '"id":0,"ids":1', "no field 'ids'"),
        ('"default":0', '"default":{"float":"x"}', "fields[0].default"),
        ('"default":0', '"default":{"bytes":"0"}', "fields[0].default"),
        ('"default":0', '"default":{"float":"1","bytes":""}', "fields[0].default"),
        ('"default":0', '"default":NaN', "no JSON number"),
        ('"id":0', '"id":0,"id":0', "twice"),
        ('"fields":[', '"fields":[[],', "fields[0]"),
        ("schema/1", "schema/2", "schema/1"),
    ],
)
def test_a_damaged_text_is_refused_with_its_place(old: str, new: str, where: str):
    assert old in GOOD
    with pytest.raises(UsageError, match="generate it again") as raised:
        load_json(GOOD.replace(old, new, 1))
    assert where in str(raised.value)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", "[" * 100_000, '{"a":' * 100_000, "9" * 10_000, "\0"]
)
def test_junk_is_refused(text: str):
    with pytest.raises(UsageError):
        load_json(text)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items if isinstance(document, dict | list) else ():
        found += places(value, (*path, key)) if isinstance(value, dict | list) else [(*path, key)]
    return found


junk = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=4), st.just([]), st.just({}),
    st.sampled_from(["T", "x", "fbs", "proto", "struct", "message", "required", "guest", "Record", "Union"]),
    st.sampled_from([[0], [{}], {"is": "Named", "name": "T"}, {"float": "nan"}, -1, 1 << 40]),
)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(schemas(nasty=False), st.data())
def test_a_changed_text_is_a_schema_that_code_can_be_made_of_or_an_error_of_ours(
    schema: Schema, data: st.DataObject
):
    document = json.loads(dump(schema))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(document) or [("name",)]))
        document = copy.deepcopy(document)
        inner = document
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = data.draw(junk)
    try:
        again = load_json(json.dumps(document))
    except HlfuzzError:
        return
    for name, text in generate(again).items():
        compile(text, name, "exec", dont_inherit=True)


@pytest.mark.parametrize(
    ("definitions", "said"),
    [
        ('{"is":"Record","name":"a b","kind":"table","fields":[]}', "no name"),
        ('{"is":"Record","name":"T\\n","kind":"table","fields":[]}', "no name"),
        ('{"is":"Record","name":"a..b","kind":"table","fields":[]}', "no name"),
        (",".join(['{"is":"Record","name":"T","kind":"table","fields":[]}'] * 2), "twice"),
        (_RECORD % f"{_FIELD},{_FIELD}", "twice"),
        (
            _RECORD % _FIELD.replace('{"is":"Number","scalar":"i8"}', '{"is":"Named","name":"U"}'),
            "unknown type",
        ),
        (_RECORD % _FIELD.replace('"default":0', '"default":128'), "no default"),
        (_RECORD % _FIELD.replace('"default":0', '"default":"x"'), "no default"),
        (_RECORD % _FIELD.replace('"id":0', '"id":-1'), "out of range"),
        (_RECORD.replace('"table"', '"message"') % _FIELD, "in a fbs schema"),
        (
            '{"is":"Record","name":"S","kind":"struct","size":4,"align":4,"fields":'
            '[{"name":"s","type":{"is":"Named","name":"S"},"id":0,"presence":"required"}]}',
            "contains itself",
        ),
        (
            '{"is":"Record","name":"S","kind":"struct","size":4,"align":4,"fields":'
            '[{"name":"s","type":{"is":"Number","scalar":"i64"},"id":0,"presence":"required"}]}',
            "do not fit",
        ),
        ('{"is":"Enum","name":"E","scalar":"u8","members":[{"name":"A","value":256}]}', "out of range"),
        ('{"is":"Enum","name":"E","scalar":"f32","members":[]}', "is no f32"),
        (
            '{"is":"Union","name":"U","variants":[{"name":"A","tag":0,"type":{"is":"String"}}]}',
            "tag 0",
        ),
    ],
)
def test_a_schema_that_contradicts_itself_is_refused(definitions: str, said: str):
    with pytest.raises(SchemaError, match=said):
        load_json(_SCHEMA % definitions)
