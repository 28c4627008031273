"""What is encoded is read back as it was, for schemas of every shape."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies_of_schemas import fbs_text, same, schemas, values

from hlfuzz.schema.canonical import canonical
from hlfuzz.schema.fbs import parse_text
from hlfuzz.schema.wire.flatbuffers import flatbuffers_codec

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@settings(max_examples=120, deadline=None, suppress_health_check=_SLOW)
@given(schemas(), st.data())
def test_a_value_is_read_back_as_it_was_encoded(schema, data):
    codec = flatbuffers_codec(schema)
    value = data.draw(values(codec, schema.root))
    encoded = codec.encode(schema.root, value)
    assert codec.verify(schema.root, encoded) is None
    again = codec.decode(schema.root, encoded)
    assert same(again, value)
    assert codec.encode(schema.root, again) == encoded


@settings(max_examples=40, deadline=None, suppress_health_check=_SLOW)
@given(schemas())
def test_generated_schemas_are_what_their_text_says(schema):
    parsed = parse_text(fbs_text(schema))
    assert canonical(parsed) == canonical(schema)
