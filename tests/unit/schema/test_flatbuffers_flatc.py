"""flatc reads what we encode, as the same value; and we accept what flatc writes."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from flatc import run
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from strategies_of_schemas import fbs_text, schemas, values

from hlfuzz.schema.ir import Named, Record, RecordKind, Union, Vector
from hlfuzz.schema.wire.flatbuffers import FlatBuffersCodec, flatbuffers_codec

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@settings(
    max_examples=60, deadline=None, suppress_health_check=_SLOW, phases=[Phase.explicit, Phase.generate]
)
@given(schemas(), st.data())
def test_flatc_reads_what_we_encode_and_we_accept_what_it_writes(tmp_path_factory, schema, data):
    codec = flatbuffers_codec(schema)
    # flatc's JSON has infinities and NaN that it cannot read everywhere.
    some = values(codec, schema.root, finite=True)
    given_values = data.draw(st.lists(some, min_size=1, max_size=6))
    folder = tmp_path_factory.mktemp("flatc")
    folder.joinpath("s.fbs").write_text(fbs_text(schema), encoding="utf-8")
    names = [folder / f"v{i}" for i in range(len(given_values))]
    for name, value in zip(names, given_values, strict=True):
        name.with_suffix(".bin").write_bytes(codec.encode(schema.root, value))
    # flatc reads a buffer without an identifier only when told that it is one.
    raw = [] if schema.identifier else ["--raw-binary"]
    _flatc(folder, ["--json", "--strict-json", *raw], ["--", *(n.with_suffix(".bin") for n in names)])
    for name in names:
        name.with_suffix(".bin").unlink()
    _flatc(folder, ["--binary", "--no-warnings"], [n.with_suffix(".json") for n in names])
    for name, value in zip(names, given_values, strict=True):
        written = name.with_suffix(".bin").read_bytes()
        assert codec.verify(schema.root, written) is None
        read = codec.decode(schema.root, written)
        assert _near(_unnested(codec, schema.root, read), _unnested(codec, schema.root, value))


def _flatc(folder: Path, options: list[str], files: list[str | Path]) -> None:
    accepted, output = run(*options, "-o", folder, folder / "s.fbs", *files)
    assert accepted, output


def _unnested(codec: FlatBuffersCodec, type_name: str, value: Any) -> Any:
    """A value with nested buffers read: their bytes may differ from writer to writer."""
    record = codec.schema.record(type_name)
    changes: dict[str, Any] = {}
    for f in record.fields:
        part = getattr(value, f.name)
        element = f.type.element if isinstance(f.type, Vector) else f.type
        if f.nested is not None and part:
            inner = codec.reader(f.nested)(part)
            changes[f.name] = _unnested(codec, f.nested, inner)
        elif isinstance(element, Named) and part is not None:
            many = [
                _unnest_one(codec, element.name, p) for p in (part if isinstance(f.type, Vector) else [part])
            ]
            changes[f.name] = many
    return dataclasses.replace(value, **changes)


def _unnest_one(codec: FlatBuffersCodec, name: str, value: Any) -> Any:
    definition = codec.schema.by_name[name]
    if isinstance(definition, Record) and definition.kind is RecordKind.TABLE:
        return _unnested(codec, name, value)
    if isinstance(definition, Union):
        for v in definition.variants:
            if type(value) is codec.classes.variants[name, v.tag] and isinstance(v.type, Named):
                return v.tag, _unnest_one(codec, v.type.name, value.value)
    return value


def _near(one: Any, other: Any) -> bool:
    """Equality but for the digits that flatc does not write."""
    if isinstance(one, float):
        return (one != one and other != other) or math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-5)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_near, one, other))
    if dataclasses.is_dataclass(one):
        return type(one) is type(other) and all(
            _near(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one)
        )
    return type(one) is type(other) and one == other
