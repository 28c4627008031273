"""`hlfuzz run`: typed arguments in, typed results out, exit code by outcome."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Document = Callable[..., dict[str, Any]]
INPROCESS = ("--engine", "inprocess")


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        (("add", "40", "2"), [42]),
        (("add", "-5", "3"), [-2]),
        (("add", "0xffffffff", "-0x1"), [-2]),
        (("add", "2147483647", "1"), [-(1 << 31)]),
        (("wide", "18446744073709551615"), [-1]),
        (("half", "0x1.8p1"), [{"float": "3.0"}]),
        (("half", "-inf"), [{"float": "-inf"}]),
        (("half", "nan:0x200001"), [{"f32": "7fa00001"}]),
        (("half", "-nan"), [{"f32": "ffc00000"}]),
        (("both", "-0.0", "0x0102"), [{"bytes": "0201" + "00" * 14}, {"float": "-0.0"}]),
    ],
)
def test_arguments_of_every_type_arrive_to_the_bit(
    document: Document, modules: dict[str, Path], arguments: tuple[str, ...], values: list[Any]
) -> None:
    found = document("run", modules["numbers"], *arguments, *INPROCESS)
    assert found["outcome"] == {"kind": "ok", "values": values}
    assert (found["schema"], found["engine"], found["exit"]) == ("hlfuzz.run/1", "inprocess", 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "1"), "2 arguments"),
        (("add", "1", "2", "3"), "2 arguments"),
        (("add", "one", "2"), "argument 1"),
        (("add", "1", "4294967296"), "argument 2"),
        (("add", "1", "1.5"), "argument 2"),
        (("half", "nan:0x0"), "argument 1"),
        (("both", "1", "0x" + "0" * 33), "argument 2"),
        (("ad", "1", "2"), "add"),
        (("ref", "0"), "funcref"),
        (("add", "1", "9" * 6000), "argument 2"),
    ],
)
def test_a_wrong_argument_is_a_usage_error(
    document: Document, modules: dict[str, Path], arguments: tuple[str, ...], message: str
) -> None:
    found = document("run", modules["numbers"], *arguments, *INPROCESS)
    assert (found["schema"], found["exit"]) == ("hlfuzz.error/1", 2)
    assert message in found["message"]


@pytest.mark.parametrize(("function", "kind"), [("boom", "trap"), ("forever", "timeout")])
def test_a_guest_that_fails_gives_exit_code_1(
    document: Document, modules: dict[str, Path], function: str, kind: str
) -> None:
    found = document("run", modules["numbers"], function, *INPROCESS, "--deadline", "0.05")
    assert (found["outcome"]["kind"], found["exit"]) == (kind, 1)


def test_bytes_reach_the_guest_and_host_calls_are_shown(
    document: Document, hlfuzz: Callable[..., Any], modules: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "input").write_bytes(b"\x00hello\xff")
    arguments = ("run", modules["echo"], "on_data", "--bytes", tmp_path / "input", *INPROCESS)
    refused = document(*arguments)
    assert refused["exit"] == 2
    assert "--host env.write=record" in refused["message"]
    found = document(*arguments, "--host", "env.write=bytes")
    assert found["host_calls"] == [
        {"function": "env.write", "args": [1024, 7], "data": b"\x00hello\xff".hex(), "problem": None}
    ]
    shown = hlfuzz(*arguments, "--stub-imports", "--trace")
    assert "env.write(1024, 7)" in shown.stdout
    assert "µs" in shown.stdout


def test_a_file_that_is_not_there_is_named(document: Document, modules: dict[str, Path]) -> None:
    assert "no.wasm" in document("run", "no.wasm", "f")["message"]
    found = document("run", modules["echo"], "on_data", "--bytes", "no.bin", "--stub-imports", *INPROCESS)
    assert "no.bin" in found["message"]
