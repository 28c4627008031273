"""`hlfuzz run --wasi`: a WASI guest gets what the options say, and what it writes is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wasmtime

# Writes its second argument, then what is in standard input, and exits with 3 if there is no such file.
WAT = """(module
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1) (data (i32.const 500) "etc/motd")
  (func (export "_start")
    (drop (call $args (i32.const 100) (i32.const 200)))
    (i32.store (i32.const 0) (i32.load (i32.const 104))) (i32.store (i32.const 4) (i32.const 3))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (i32.store (i32.const 0) (i32.const 300)) (i32.store (i32.const 4) (i32.const 9))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
    (i32.store (i32.const 4) (i32.load (i32.const 16)))
    (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 16)))
    (call $exit (if (result i32)
      (i32.eq (call $unlink (i32.const 3) (i32.const 500) (i32.const 8)) (i32.const 69))
      (then (i32.const 0)) (else (i32.const 3))))))"""


@pytest.fixture
def command(tmp_path: Path) -> list[Any]:
    wasm = tmp_path / "hello.wasm"
    wasm.write_bytes(bytes(wasmtime.wat2wasm(WAT)))
    (tmp_path / "in").write_bytes(b"in\x1b[31m\n")
    return ["run", wasm, "_start", "--engine", "inprocess"]


def test_a_wasi_guest_gets_what_the_options_say(command, document: Callable[..., dict[str, Any]]) -> None:
    options = ["--wasi", "--wasi-arg", "Ada", "--wasi-stdin", "in", "--wasi-file", "etc/motd=in"]
    found = document(*command, *options)
    assert found["outcome"] == {"kind": "exited", "code": 0}
    assert found["exit"] == 0
    wasi = found["wasi"]
    assert bytes.fromhex(wasi["stdout"]["bytes"]) == b"Ada"
    assert bytes.fromhex(wasi["stderr"]["bytes"]) == b"in\x1b[31m\n"
    assert (wasi["exit_code"], wasi["refused"]) == (0, {"path_unlink_file": 1})
    assert wasi["calls"][-2] == {
        "function": "path_unlink_file",
        "args": [3, 500, 8],
        "errno": "ROFS",
        "refused": True,
    }


def test_groups_that_are_named_are_the_only_ones_besides_those_of_content(command, document) -> None:
    allowed = ["--wasi", "--wasi-allow", "stdio", "--wasi-allow", "exit"]
    found = document(*command, *allowed)["wasi"]
    assert found["exit_code"] == 3
    assert found["refused"] == {"args_get": 1, "path_unlink_file": 1}
    found = document(*command, *allowed, "--wasi-arg", "Ada", "--wasi-file", "etc/motd=in")["wasi"]
    assert [c["errno"] for c in found["calls"]] == ["SUCCESS"] * 4 + ["ROFS", "SUCCESS"]
    found = document(*command, *allowed, "--wasi-allow", "args")["wasi"]
    assert found["refused"] == {"path_unlink_file": 1}


def test_all_groups_may_be_named_at_once(command, document) -> None:
    named = document(*command, "--wasi", "--wasi-allow", "all")["wasi"]
    assert named == document(*command, "--wasi")["wasi"]


def test_what_it_writes_is_printed_without_its_control_characters(
    command, hlfuzz: Callable[..., Any]
) -> None:
    shown = hlfuzz(*command, "--wasi", "--wasi-arg", "Ada", "--wasi-stdin", "in")
    assert shown.exit_code == 1
    assert "out  Ada" in shown.output
    assert "err  in" in shown.output
    assert "\x1b" not in shown.output
    assert "exited with code 3" in shown.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "needs 5 imports"),
        (["--wasi-arg", "x"], "without --wasi"),
        (["--wasi-allow", "exit"], "without --wasi"),
        (["--wasi", "--wasi-allow", "network"], "unknown group"),
        (["--wasi", "--wasi-env", "x"], "no = in --wasi-env"),
        (["--wasi", "--wasi-file", "x=none"], "cannot read the file"),
    ],
)
def test_wrong_options_are_refused(command, hlfuzz: Callable[..., Any], options, words) -> None:
    shown = hlfuzz(*command, *options)
    assert shown.exit_code == 2
    assert words in " ".join(shown.output.split())
