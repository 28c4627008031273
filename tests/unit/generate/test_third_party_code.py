"""Code generated from other projects' schemas: right for pyright in strict mode, and it runs."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from test_generated_lint import ROOT, run
from third_party import FLATBUFFERS, VORTEX, WAMP, schemas_of

from hlfuzz.bindings import Interface
from hlfuzz.bindings.strategies import valid
from hlfuzz.generate import plan, write
from hlfuzz.generate.naming import stem
from hlfuzz.schema.fbs import parse as parse_fbs
from hlfuzz.schema.ir import Record, RecordKind, Schema
from hlfuzz.schema.proto import parse as parse_proto
from hlfuzz.schema.raw import parse as parse_raw

FILES = {
    FLATBUFFERS: ("tests/monster_test.fbs", "tests/arrays_test.fbs", "tests/optional_scalars.fbs",
                  "tests/union_vector/union_vector.fbs", "tests/key_field/key_field_sample.fbs",
                  "reflection/reflection.fbs"),
    WAMP: ("types.fbs", "auth.fbs", "session.fbs", "pubsub.fbs", "rpc.fbs"),
    VORTEX: ("array.fbs", "dtype.fbs", "layout.fbs", "footer.fbs"),
}  # fmt: skip
GOOGLE = ("api/http.proto", "rpc/status.proto", "rpc/error_details.proto", "type/money.proto",
          "longrunning/operations_proto.proto", "logging/type/http_request.proto")  # fmt: skip
RECORDS = 6
"""Records of each schema that are written and read."""


def loaded() -> Iterator[Schema]:
    for package, names in FILES.items():
        root = schemas_of(package)
        include = [p for n in ("tests", "include_test", "sub", "flatbuffers") for p in root.rglob(n)]
        for name in names:
            found = sorted(p for p in root.rglob(Path(name).name) if str(p).endswith(name))
            assert found, name
            yield parse_fbs(found[0], include=include)
    spec = find_spec("google.api")
    assert spec is not None, "no googleapis-common-protos: install hlfuzz[test]"
    assert spec.submodule_search_locations
    google = Path(next(iter(spec.submodule_search_locations))).parent
    for name in GOOGLE:
        yield parse_proto(google / name, include=[google.parent])
    for path in sorted((ROOT / "schemas").iterdir()):
        parse = {".fbs": parse_fbs, ".proto": parse_proto, ".toml": parse_raw}[path.suffix]
        yield parse(path)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Schema]]:
    """A package for each schema, p0, p1, …"""
    folder = tmp_path_factory.mktemp("third_party")
    schemas = list(loaded())
    for i, schema in enumerate(schemas):
        write(folder / f"p{i}", plan([schema], ["python"]))
        (folder / f"p{i}" / "__init__.py").touch()
    return folder, schemas


def test_pyright_in_strict_mode_finds_nothing(generated: tuple[Path, list[Schema]]):
    folder, schemas = generated
    assert len(schemas) >= 20
    config = folder / "pyrightconfig.json"
    options = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT)]}
    config.write_text(json.dumps(options))
    done = run("pyright", "--pythonpath", sys.executable, "-p", config)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[:2000]


def test_values_of_generated_classes_are_written_and_read(
    generated: tuple[Path, list[Schema]], monkeypatch: pytest.MonkeyPatch
):
    folder, schemas = generated
    monkeypatch.syspath_prepend(folder)
    crossed = 0
    for i, schema in enumerate(schemas):
        module = importlib.import_module(f"p{i}.{stem(schema)}_hl")
        importlib.import_module(f"p{i}.{stem(schema)}_strategies")
        crossed += cross(module, schema)
    assert crossed >= 60


def cross(module: ModuleType, schema: Schema) -> int:
    interface: Interface = module.INTERFACE
    records = [
        d.name for d in schema.definitions if isinstance(d, Record) and d.kind is not RecordKind.STRUCT
    ][:RECORDS]
    for name in records:
        cross_one(interface, name)
    return len(records)


def cross_one(interface: Interface, name: str) -> None:
    message = interface.message(name)

    @settings(
        max_examples=8,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(valid(interface, name, max_depth=3))
    def both_ways(value: object) -> None:
        assert is_dataclass(value)
        data = message.encode(value)
        # NaN differs from itself, its encoding does not.
        assert message.encode(message.decode(data)) == data

    both_ways()
