"""Modules to run the command line on, and a runner for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

ROOT = Path(__file__).resolve().parents[2]

NUMBERS = """(module
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "wide") (param i64) (result i64) (local.get 0))
  (func (export "half") (param f32) (result f32) (local.get 0))
  (func (export "both") (param f64 v128) (result v128 f64) (local.get 1) (local.get 0))
  (func (export "boom") (unreachable))
  (func (export "forever") (loop br 0))
  (func (export "ref") (param funcref)))"""

ECHO = """(module (import "env" "write" (func $write (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "on_data") (param i32 i32) (result i32)
    (call $write (local.get 0) (local.get 1)) (local.get 1)))"""

FAULTY = """(module (memory (export "memory") 1) (global $ready (mut i32) (i32.const 0))
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "init") (global.set $ready (i32.const 1)))
  (func (export "on_data") (param i32 i32) (result i32)
    (if (i32.gt_u (i32.load8_u (local.get 0)) (i32.const 0xf0)) (then (unreachable)))
    (global.get $ready)))"""


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Compiled modules by name."""
    import wasmtime

    folder = tmp_path_factory.mktemp("modules")
    built: dict[str, Path] = {}
    for name, wat in (("numbers", NUMBERS), ("echo", ECHO), ("faulty", FAULTY)):
        built[name] = folder / f"{name}.wasm"
        built[name].write_bytes(bytes(wasmtime.wat2wasm(wat)))
    return built


@pytest.fixture
def hlfuzz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs one command in this process, in an empty folder."""
    from hlfuzz.cli import app

    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def document(hlfuzz: Callable[..., Result]) -> Callable[..., dict[str, Any]]:
    """Runs one command with --json and gives its document, with the exit code under "exit"."""

    def run(*arguments: object) -> dict[str, Any]:
        result = hlfuzz(*arguments, "--json")
        assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit)
        return {**json.loads(result.stdout), "exit": result.exit_code}

    return run


@pytest.fixture
def process() -> Callable[..., subprocess.Popen[str]]:
    """Starts the command line as a process of its own."""

    def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "hlfuzz", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    return start
