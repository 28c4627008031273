"""Input that is no usable module: a typed error with what, where and the next step."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime

from hlfuzz import Guest, Limits, ModuleError, Sandbox, UsageError

GOOD = bytes(wasmtime.wat2wasm('(module (memory (export "memory") 1) (func (export "f")))'))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not-wasm"),
        (b"\x7fELF", "not-wasm"),
        (b"(module)", "not-wasm"),
        (b"\0asm", "invalid"),
        (b"\0asm\x0d\0\1\0", "component"),
        (b"\0asm\2\0\0\0", "invalid"),
        (GOOD[:-1], "invalid"),
        (GOOD[:20], "invalid"),
        (GOOD + b"\xff", "invalid"),
    ],
)
def test_what_is_no_core_module_is_refused_by_reason(data, reason):
    with pytest.raises(ModuleError, match="bad") as caught:
        Guest.from_wasm(data, name="bad")
    assert caught.value.reason == reason


def test_every_truncation_is_refused_and_harmless():
    for length in range(len(GOOD)):
        try:
            Guest.from_wasm(GOOD[:length])
        except ModuleError:
            continue
        assert length in (8, len(GOOD)) or Guest.from_wasm(GOOD[:length]).info.exports == ()


def test_a_feature_that_the_runtime_lacks_is_named():
    wasm = bytes(wasmtime.wat2wasm('(module (memory (export "m") 1 1 shared))'))
    with pytest.raises(ModuleError, match="threads") as caught:
        Guest.from_wasm(wasm)
    assert caught.value.reason == "unsupported"


def test_a_module_over_the_size_limit_is_refused(tmp_path: Path):
    path = tmp_path / "big.wasm"
    path.write_bytes(GOOD)
    for source in (GOOD, path):
        with pytest.raises(ModuleError, match="module_bytes") as caught:
            Guest.from_wasm(source, limits=Limits(module_bytes=16))
        assert caught.value.reason == "too-large"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    for path in (tmp_path / "missing.wasm", tmp_path):
        with pytest.raises(UsageError, match=str(tmp_path)):
            Guest.from_wasm(path)


def test_a_guest_knows_its_name_and_digest(tmp_path: Path):
    import hashlib

    path = tmp_path / "filter.wasm"
    path.write_bytes(GOOD)
    guest = Guest.from_wasm(str(path))
    assert guest.name == "filter.wasm"
    assert guest.wasm == GOOD
    assert guest.digest == hashlib.sha256(GOOD).hexdigest()
    assert Guest.from_wasm(GOOD).name == guest.digest[:12]
    assert [e.name for e in guest.info.exports] == ["memory", "f"]


@pytest.mark.parametrize(
    ("wat", "limits"),
    [
        ("(module (memory 3))", {"memory_bytes": 2 * 65536}),
        ("(module (table 11 funcref))", {"table_elements": 10}),
    ],
)
def test_a_module_that_starts_over_its_limits_is_refused(engine, guest, wat, limits):
    with pytest.raises(ModuleError, match="limit") as caught:
        Sandbox(guest(wat, **limits), engine=engine)
    assert caught.value.reason == "limit"


@pytest.mark.parametrize(
    "limits",
    [
        {"memory_bytes": 0},
        {"stack_bytes": 1},
        {"stack_bytes": 1 << 40},
        {"table_elements": -1},
        {"start_seconds": 0},
    ],
)
def test_limits_out_of_range_are_refused(limits):
    with pytest.raises(UsageError, match=next(iter(limits))):
        Limits(**limits)


@pytest.mark.parametrize(
    "options",
    [
        {"deadline": 0}, {"deadline": -1}, {"deadline": float("nan")}, {"wall_deadline": float("inf")},
        {"reset": "never"}, {"transport": "pigeon"}, {"engine": "v8"}, {"allocator": -1}, {"verify": -1},
    ],
)  # fmt: skip
def test_sandbox_options_out_of_range_are_refused(engine, guest, options):
    with pytest.raises(UsageError, match=next(iter(options))):
        Sandbox(guest(GOOD), **{"engine": engine, **options})
