"""Exported memories and globals: bounds, names, types."""

from __future__ import annotations

import pytest

from hlfuzz import Float32, Float64, Sandbox, UsageError

GUEST = """(module
  (memory $a (export "a") 1) (memory $b (export "b") 2)
  (global (export "i32") (mut i32) (i32.const -1)) (global (export "i64") (mut i64) (i64.const 2))
  (global (export "f32") (mut f32) (f32.const nan:0x200001)) (global (export "f64") (mut f64) (f64.const 0.5))
  (global (export "v128") (mut v128) (v128.const i64x2 1 2)) (global (export "constant") i32 (i32.const 9))
  (global (export "reference") (mut externref) (ref.null extern))
  (func (export "read_b") (result i32) (i32.load8_u $b (i32.const 3))))"""


@pytest.fixture
def box(engine, guest):
    with Sandbox(guest(GUEST), engine=engine) as box:
        yield box


def test_memories_are_reached_by_name_and_the_first_by_default(box):
    assert (box.memory().size, box.memory("a").size, box.memory("b").size) == (65536, 65536, 131072)
    box.memory("b").write(3, b"\x2a")
    assert box.memory("a").read(3, 1) == b"\0"
    assert box.call("read_b") == 42


def test_the_memory_named_memory_is_the_default(engine, guest):
    wat = '(module (memory (export "first") 1) (memory (export "memory") 2))'
    with Sandbox(guest(wat), engine=engine) as box:
        assert box.memory().size == 2 * 65536


@pytest.mark.parametrize(
    ("address", "length"), [(0, 65537), (65536, 1), (65535, 2), (2**32, 0), (2**64, 1), (-1, 1)]
)
def test_reads_outside_are_refused_with_the_range(box, address, length):
    with pytest.raises(UsageError, match=r"outside 0\.\.65536"):
        box.memory().read(address, length)
    with pytest.raises(UsageError, match=r"outside 0\.\.65536"):
        box.memory().write(address, bytes(length or 1))


def test_a_negative_length_is_refused(box):
    with pytest.raises(UsageError):
        box.memory().read(0, -1)


def test_the_edges_of_memory_can_be_used(box):
    memory = box.memory()
    memory.write(65530, b"the end"[:6])
    assert memory.read(65530, 6) == b"the en"
    assert memory.read(65536, 0) == b""
    memory.write(65536, b"")


def test_globals_of_every_type_are_read_and_set(box):
    globals_ = box.globals
    assert dict(globals_) == {
        "i32": -1, "i64": 2, "f32": Float32(0x7FA00001), "f64": 0.5,
        "v128": (1).to_bytes(8, "little") + (2).to_bytes(8, "little"), "constant": 9,
    }  # fmt: skip
    new = {
        "i32": 5,
        "i64": -(2**63),
        "f32": Float32(0xFF800001),
        "f64": Float64(0x7FF0000000000001),
        "v128": bytes(16),
    }
    for name, value in new.items():
        globals_[name] = value
    assert {name: globals_[name] for name in new} == new


def test_what_cannot_be_set_is_refused(box):
    with pytest.raises(UsageError, match="immutable"):
        box.globals["constant"] = 1
    with pytest.raises(UsageError, match="i32"):
        box.globals["i32"] = 2**32
    with pytest.raises(UsageError, match="externref"):
        box.globals["reference"] = None
    with pytest.raises(UsageError, match="externref"):
        box.globals["reference"]
    with pytest.raises(UsageError, match="did you mean 'i32'"):
        box.globals["i33"]
    assert "i32" in box.globals
    assert "reference" not in box.globals
    assert len(box.globals) == 6


def test_a_guest_without_an_exported_memory_says_so(engine, guest):
    with (
        Sandbox(guest("(module (memory 1))"), engine=engine) as box,
        pytest.raises(UsageError, match="no exported mem"),
    ):
        box.memory()
