"""Generated Python passes ruff, is as ruff would format it, and is right for pyright in strict mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fbs_valid import VALID
from hypothesis import HealthCheck, Phase, given, seed, settings
from schema_strategies import NASTY_DOCS, NASTY_NAMES, schemas

from hlfuzz.generate import plan, write
from hlfuzz.schema.fbs import parse
from hlfuzz.schema.ir import (
    Direction,
    Enum,
    Field,
    Format,
    Member,
    Method,
    Named,
    Number,
    Presence,
    Record,
    RecordKind,
    Scalar,
    Schema,
    Service,
    String,
    Union,
    Variant,
    Vector,
    symbol,
)

ROOT = Path(__file__).parents[3]
GENERATED = 120
"""Schemas that Hypothesis draws: always the same ones, read by each program in one run."""


def every_nasty_name() -> Schema:
    """Each nasty name as a table, a field of each type, a member of an enum, a variant and a method."""
    types = (
        Number(Scalar.I32), Number(Scalar.F64), String(), Named("e"), Named("t.list"), Named("u"),
        Vector(Number(Scalar.I8)), Vector(Number(Scalar.U8)), Vector(Named("t.list")), Vector(Named("u")),
    )  # fmt: skip
    defaults = {types[0]: 7, types[1]: float("inf"), types[3]: 1}
    tables = [
        Record(
            f"t.{name}",
            RecordKind.TABLE,
            tuple(
                Field(
                    field,
                    type_,
                    2 * j,
                    Presence.IMPLICIT
                    if type_ in defaults or isinstance(type_, Vector)
                    else Presence.OPTIONAL,
                    defaults.get(type_),
                )
                for j, field in enumerate(NASTY_NAMES)
                for type_ in [types[(i + j) % len(types)]]
            ),
            doc=NASTY_DOCS[i % len(NASTY_DOCS)],
        )
        for i, name in enumerate(NASTY_NAMES)
    ]
    of_enum = tuple(Member(n, i) for i, n in enumerate(NASTY_NAMES))
    variants = tuple(Variant(n, i, Named(f"t.{n}")) for i, n in enumerate(NASTY_NAMES, 1))
    definitions = [Enum("e", Scalar.I32, of_enum), Union("u", variants), *tables]
    services = [
        Service(
            name,
            direction,
            tuple(
                Method(
                    n,
                    direction,
                    symbol(name, n, direction),
                    f"t.{n}",
                    "t.list",
                    doc=NASTY_DOCS[i % len(NASTY_DOCS)],
                )
                for i, n in enumerate(NASTY_NAMES)
            ),
        )
        for name, direction in (
            ("list", Direction.HOST),
            ("t.list", Direction.HOST),
            ("str", Direction.GUEST),
        )
    ]
    return Schema("nasty", Format.FBS, tuple(definitions), tuple(services))


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with the code of the nasty schema, of those of the parser's tests, and of drawn ones."""
    folder = tmp_path_factory.mktemp("generated")
    collected = [every_nasty_name()]
    collected += [replace(collected[0], name="a" * length) for length in (88, 89, 90, 91, 130)]
    for name, text in VALID.items():
        (folder / f"{name}.fbs").write_text(text, newline="")
        collected.append(parse(folder / f"{name}.fbs", include=()))

    @seed(4)
    @settings(
        max_examples=GENERATED,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(schemas())
    def collect(schema: Schema) -> None:
        collected.append(schema)

    collect()
    for i, schema in enumerate(collected):
        write(folder / f"s{i}", plan([schema], ["python"]))
    return folder


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """A program of this environment. Where it is not installed the test is skipped, in CI it fails."""
    program = Path(sys.executable).with_name(str(command[0]))
    if not program.exists():
        message = f"no {command[0]} here: install the package's dev extra"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=300)


def test_ruff_would_format_nothing(generated: Path):
    done = run("ruff", "format", "--isolated", "--line-length", "110", "--diff", generated)
    assert done.returncode == 0, done.stdout[:4000] + done.stderr[:4000]


@pytest.mark.parametrize(
    "rules", [["--isolated"], ["--config", ROOT / "pyproject.toml"]], ids=["default", "ours"]
)
def test_ruff_finds_nothing(generated: Path, rules: list[str | Path]):
    done = run("ruff", "check", "--no-cache", "--output-format", "concise", *rules, generated)
    assert done.returncode == 0, done.stdout[:4000] + done.stderr[:4000]


def test_pyright_in_strict_mode_finds_nothing(generated: Path):
    config = generated / "pyrightconfig.json"
    config.write_text(
        json.dumps(
            {
                # A part of them: pyright takes its time.
                "include": [f"s{i}" for i in (0, *range(1, GENERATED, 12))],
                "typeCheckingMode": "strict",
                "pythonVersion": "3.11",
                "extraPaths": [str(ROOT)],
            }
        )
    )
    done = run("pyright", "--pythonpath", sys.executable, "-p", config)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[:2000]
