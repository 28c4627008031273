"""Projects in a folder of their own, and pytest runs in them, with the plugin and its guests."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import pytest
import wasmtime

# A run inside a run forgets what it was the first to import, and would begin by importing it again.
import hlfuzz.fuzz
import hlfuzz.testing.checking
import hlfuzz.testing.given
import hlfuzz.testing.items
import hlfuzz.testing.slots  # noqa: F401
from hlfuzz.generate.languages import generator
from hlfuzz.schema.load import load

PLUGIN = (
    () if any(e.name == "hlfuzz" for e in entry_points(group="pytest11")) else ("-p", "hlfuzz.pytest_plugin")
)

ROOT = Path(__file__).resolve().parents[2]

CLEAN = """(module (import "env" "write" (func $write (param i32 i32))) (memory (export "memory") 2)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "on_data") (param i32 i32) (result i32)
    (call $write (local.get 0) (local.get 1)) (local.get 1)))"""

# Its second method answers what the first one left behind.
REMEMBERS = """(module (global $n (mut i32) (i32.const 0))
  (func (export "bump") (global.set $n (i32.add (global.get $n) (i32.const 1))))
  (func (export "total") (result i32) (global.get $n)))"""

ASKS = """(module (import "env" "now" (func $now (result i32)))
  (func (export "time") (result i32) (call $now)))"""

# Answers otherwise after the third call of a context only. Subtracts, since what is compared is guessed.
AFTER_THREE = """(module (global $n (mut i64) (i64.const 0))
  (func (export "next") (param i64) (result i64)
    (if (i64.eqz (i64.sub (local.get 0) (i64.const 77777)))
      (then (global.set $n (i64.add (global.get $n) (i64.const 1)))))
    (i64.extend_i32_u (i64.ge_u (global.get $n) (i64.const 3)))))"""


class Project:
    """A folder with guests and settings; `run` is `pytest` in it, in this process."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path: Path = pytester.path

    def guest(self, name: str, text: str) -> Path:
        path = self.path / f"{name}.wasm"
        path.write_bytes(bytes(wasmtime.wat2wasm(text)))
        return path

    def settings(self, text: str = "", **targets: str) -> None:
        """Targets by name, from the text of their modules, and more settings."""
        lines = ["[tool.hlfuzz]", "engine = 'inprocess'", "time = 0.4", text]
        for name, module in targets.items():
            self.guest(name, module)
            lines.append(f"[tool.hlfuzz.targets.{name}]\nmodule = '{name}.wasm'\nstub_imports = true")
        (self.path / "pyproject.toml").write_text("\n".join(lines))

    def test(self, text: str, name: str = "test_it.py") -> None:
        (self.path / name).write_text(text)

    def typed_client(self) -> None:
        """The code that is generated for the schema of the example filter: `filter_hl.py`."""
        for name, text in generator("python")(load(ROOT / "schemas" / "filter.fbs")).items():
            (self.path / name).write_text(text)

    def run(self, *arguments: str, **options: bool) -> pytest.RunResult:
        """`options` are those of `Pytester.inline_run`."""
        return self.pytester.runpytest_inprocess(*PLUGIN, "-p", "no:cacheprovider", *arguments, **options)
