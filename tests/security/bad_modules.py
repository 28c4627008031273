"""Modules that must be refused, with the error and what its message must name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import wasmtime

from hlfuzz import Global, HlfuzzError, LinkError, Memory, ModuleError, StartError

GOOD = """(module (memory (export "memory") 1 2) (global (export "g") (mut i32) (i32.const 3))
  (func (export "add") (param i32 i64) (result i64) (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1)))
  (func (export "one") (param f32) (result f32) (local.get 0))
  (func (export "vector") (param v128) (result v128) (local.get 0))
  (func (export "bytes") (param i32 i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "seven") (result i32) i32.const 7))"""


def wasm(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


def section(number: int, content: bytes) -> bytes:
    length = len(content)
    leb = bytearray()
    while True:
        byte, length = length & 0x7F, length >> 7
        leb.append(byte | (0x80 if length else 0))
        if not length:
            return bytes([number]) + bytes(leb) + content


def boom() -> None:
    raise ValueError("boom")


HEADER = b"\0asm\1\0\0\0"


@dataclass(frozen=True)
class Bad:
    """Bytes or text of a module, the error that opening it must raise, and what the message must name."""

    module: str | bytes
    error: type[HlfuzzError]
    names: tuple[str, ...] = ()
    reason: str = ""
    host: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)


MODULES: dict[str, Bad] = {
    "empty file": Bad(b"", ModuleError, reason="not-wasm"),
    "a shell script": Bad(b"#!/bin/sh\n", ModuleError, reason="not-wasm"),
    "an ELF": Bad(b"\x7fELF" + bytes(60), ModuleError, reason="not-wasm"),
    "text format": Bad(b"(module)", ModuleError, reason="not-wasm"),
    "header cut": Bad(HEADER[:6], ModuleError, reason="invalid"),
    "a component": Bad(b"\0asm\x0d\0\1\0", ModuleError, ("component",), "component"),
    "cut in the middle": Bad(wasm(GOOD)[:-9], ModuleError, reason="invalid"),
    "section longer than the file": Bad(HEADER + b"\1\xff\xff\xff\x7f", ModuleError, reason="invalid"),
    "type error": Bad(
        HEADER + section(1, b"\1\x60\0\1\x7f") + section(3, b"\1\0") + section(10, b"\1\2\0\x0b"),
        ModuleError,
        ("type mismatch",),
        "invalid",
    ),
    "export name twice": Bad(
        HEADER + section(5, b"\1\0\1") + section(7, b"\2\1a\2\0\1a\2\0"), ModuleError, ("a",), "invalid"
    ),
    "name that is no UTF-8": Bad(
        HEADER + section(5, b"\1\0\1") + section(7, b"\1\2\xff\xfe\2\0"), ModuleError, ("UTF-8",), "invalid"
    ),
    "unknown section": Bad(HEADER + section(99, b""), ModuleError, reason="invalid"),
    "shared memory": Bad("(module (memory 1 1 shared))", ModuleError, ("threads",), "unsupported"),
    "module over the size limit": Bad(
        wasm(GOOD), ModuleError, ("module_bytes",), "too-large", limits={"module_bytes": 64}
    ),
    "memory over the limit": Bad(
        "(module (memory 9))", ModuleError, ("memory",), "limit", limits={"memory_bytes": 8 << 16}
    ),
    "table over the limit": Bad(
        "(module (table 500 funcref))", ModuleError, ("table",), "limit", limits={"table_elements": 499}
    ),
    "missing imports": Bad(
        '(module (import "a" "f" (func (param i64))) (import "b" "m" (memory 1)))',
        LinkError,
        ("a.f", "b.m", "i64", "host="),
    ),
    "misspelt import": Bad(
        '(module (import "env" "write" (func)))', LinkError, ("env.write",), host={"env.wirte": print}
    ),
    "superfluous provider": Bad("(module)", LinkError, ("env.f",), host={"env.f": print}),
    "function for a memory": Bad(
        '(module (import "e" "m" (memory 1)))', LinkError, ("e.m", "Memory()"), host={"e.m": print}
    ),
    "memory for a function": Bad(
        '(module (import "e" "f" (func)))', LinkError, ("e.f",), host={"e.f": Memory()}
    ),
    "wrong number of parameters": Bad(
        '(module (import "e" "f" (func (param i32 i32))))', LinkError, ("e.f",), host={"e.f": lambda a: None}
    ),
    "global of the wrong type": Bad(
        '(module (import "e" "g" (global i32)))', LinkError, ("e.g", "i32"), host={"e.g": Global(0.5)}
    ),
    "global out of range": Bad(
        '(module (import "e" "g" (global i32)))', LinkError, ("e.g",), host={"e.g": Global(1 << 40)}
    ),
    "imported tag": Bad('(module (import "e" "t" (tag)))', LinkError, ("e.t",), host={"e.t": print}),
    "start that traps": Bad("(module (func $s unreachable) (start $s))", StartError, ("unreachable",)),
    "start that never ends": Bad(
        "(module (func $s (loop br 0)) (start $s))",
        StartError,
        ("start_seconds",),
        limits={"start_seconds": 0.05},
    ),
    "start that overflows the stack": Bad(
        "(module (func $s (call $s) (call $s)) (start $s))", StartError, ("stack-overflow",)
    ),
    "start that fails in the host": Bad(
        '(module (import "e" "f" (func $f)) (start $f))', StartError, ("e.f", "boom"), host={"e.f": boom}
    ),
    "_initialize that traps": Bad(
        '(module (func (export "_initialize") unreachable))', StartError, ("_initialize",)
    ),
    "data outside memory": Bad(
        '(module (memory 1) (data (i32.const 65530) "0123456789"))', StartError, ("memory-out-of-bounds",)
    ),
    "elements outside the table": Bad(
        "(module (table 1 funcref) (func $f) (elem (i32.const 1) $f))", StartError, ("table-out-of-bounds",)
    ),
}
