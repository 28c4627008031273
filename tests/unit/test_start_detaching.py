"""Taking the start section out of a module."""

from __future__ import annotations

import pytest
import wasmtime

from hlfuzz.sandbox.engines.inprocess.start import START_EXPORT, detach_start

MODULES = [
    "(module (func $s) (start $s))",
    '(module (func $s) (start $s) (func (export "f")))',
    '(module (import "e" "f" (func $f)) (start $f))',
    """(module (memory 1) (func $s) (start $s) (data (i32.const 0) "x")
      (table 1 funcref) (elem (i32.const 0) $s))""",
    '(module (func $s) (start $s) (memory 1) (data $d "x") (func (data.drop $d)) (@custom "c" "bytes"))',
    "(module " + "(func)" * 200 + " (func $s) (start $s))",
]


@pytest.mark.parametrize("text", MODULES)
def test_the_start_function_becomes_an_export_and_all_else_stays(text):
    wasm = bytes(wasmtime.wat2wasm(text))
    engine = wasmtime.Engine()
    before = wasmtime.Module(engine, wasm)
    detached, name = detach_start(wasm, frozenset(e.name for e in before.exports))
    after = wasmtime.Module(engine, detached)
    assert [e.name for e in after.exports] == [*(e.name for e in before.exports), name]
    assert [(i.module, i.name) for i in after.imports] == [(i.module, i.name) for i in before.imports]
    store = wasmtime.Store(engine)
    ran = []
    host = [wasmtime.Func(store, wasmtime.FuncType([], []), lambda: ran.append(1)) for _ in after.imports]
    instance = wasmtime.Instance(store, after, host)
    assert ran == []
    instance.exports(store)[name](store)
    assert len(ran) == len(host)


def test_the_new_name_avoids_the_modules_own():
    wasm = bytes(wasmtime.wat2wasm(f'(module (func $s (export "{START_EXPORT}")) (start $s))'))
    _, name = detach_start(wasm, frozenset({START_EXPORT}))
    assert name != START_EXPORT
