"""Schemas of googleapis: all are read as the runtime reads them, and messages of theirs go both ways."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import pytest
from google.protobuf import descriptor_pool, message_factory
from random_values import RandomValues

from hlfuzz.schema.canonical import canonical
from hlfuzz.schema.ir import Record, Schema
from hlfuzz.schema.proto import parse
from hlfuzz.schema.proto.protoc import compile_sources
from hlfuzz.schema.proto.sources import from_path
from hlfuzz.schema.values import Classes, make_classes
from hlfuzz.schema.wire.base import Codec
from hlfuzz.schema.wire.protobuf import protobuf_codec


def folder() -> Path:
    """The site-packages folder with googleapis-common-protos, a test dependency."""
    spec = find_spec("google.api")
    assert spec is not None, "no googleapis-common-protos: install hlfuzz[test]"
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations))).parents[1]


NAMES = sorted(
    str(path.relative_to(folder()))
    for top in ("api", "cloud", "gapic", "logging", "longrunning", "rpc", "type")
    for path in (folder() / "google" / top).rglob("*.proto")
)


@cache
def whole(tmp: Path) -> tuple[Schema, Classes, Codec, Any]:
    """All files as imports of one, and the runtime's pool of them."""
    main = tmp / "all.proto"
    main.write_text('syntax = "proto3";' + "".join(f'import "{name}";' for name in NAMES))
    schema = parse(main, include=[folder()])
    classes = make_classes(schema)
    pool = descriptor_pool.DescriptorPool()
    for file in compile_sources(from_path(main, [folder()])).files.file:
        pool.Add(file)
    return schema, classes, protobuf_codec(schema, classes), pool


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[Schema, Classes, Codec, Any]:
    return whole(tmp_path_factory.mktemp("googleapis"))


def test_there_are_enough_files():
    assert len(NAMES) >= 60


@pytest.mark.parametrize("name", NAMES[:: len(NAMES) // 10])
def test_a_file_is_read_by_itself(name: str):
    schema = parse(folder() / name, include=[folder()])
    assert canonical(schema)
    assert schema.files[0] == str(folder() / name)
    assert all(d.position is not None for d in schema.definitions)


def test_messages_of_all_files_are_there(everything: tuple[Schema, Classes, Codec, Any]):
    schema, _, _, pool = everything
    records = {d.name for d in schema.definitions if isinstance(d, Record)}
    for name in NAMES:
        file = pool.FindFileByName(name)
        # Files of custom options bring only what something refers to.
        if not any(e.containing_type.full_name.endswith("Options") for e in file.extensions_by_name.values()):
            assert {m.full_name for m in file.message_types_by_name.values()} <= records, name


def test_every_message_goes_both_ways_in_the_runtimes_own_bytes(
    everything: tuple[Schema, Classes, Codec, Any],
):
    schema, classes, codec, pool = everything
    values, random = RandomValues(schema, classes, seed=1, depth=2, longest=2), Random(2)
    names = [d.name for d in schema.definitions if isinstance(d, Record)]
    assert len(names) > 150
    written = 0
    for name in names:
        value = values.record(name)
        data = codec.encode(name, value)
        assert codec.decode(name, data) == value, name
        cls = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
        assert cls.FromString(data).SerializeToString(deterministic=True) == data, name
        written += len(data)
        cut = data[: random.randrange(len(data) + 1)]
        if codec.verify(name, cut) is None:
            codec.decode(name, cut)
    assert written > 4_000
