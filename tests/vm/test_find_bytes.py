"""`Sandbox.find_bytes` looks at every byte that a guest could read."""

from __future__ import annotations

import native
import pytest
from variants import Variant

from hlfuzz import Sandbox, UsageError

SECRET = b"correct horse battery staple 0123456789"
KEEPS = """(module (memory (export "memory") 3)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "keep") (param i32 i32)
    ;; begins on one page and ends on the next
    (memory.copy (i32.const 131060) (local.get 0) (local.get 1))
    (memory.fill (local.get 0) (i32.const 0) (local.get 1))))"""


@pytest.fixture
def keeps(guest):
    return guest(KEEPS)


def test_what_a_call_left_in_memory_is_found_across_pages_and_gone_after_the_reset(open_box, keeps, variant):
    box = open_box(keeps, None, variant)
    with box.context() as context:
        context.call("keep", SECRET)
        at = box.find_bytes(SECRET)
        assert at is not None
        assert box.find_bytes(SECRET[20:]) == at + 20
        assert box.find_bytes(SECRET[::-1]) is None
        context.finish()
    assert box.find_bytes(SECRET) is None


def test_a_strict_reset_leaves_nothing_in_the_mailbox_and_its_sabotage_is_seen(open_box, keeps):
    box = open_box(keeps, None, Variant("exit", "strict", "ring"))
    with box.context() as context:
        context.call("keep", SECRET)
        assert box.find_bytes(SECRET, "mailbox") is not None
        context.finish()
    assert box.find_bytes(SECRET, "mailbox") is None
    native.plant(box, native.FORGET_MAILBOX)
    box.call("keep", SECRET)
    assert box.find_bytes(SECRET, "mailbox") is not None


def test_needles_that_cannot_be_looked_for_are_refused(open_box, keeps, guest):
    box = open_box(keeps, None, Variant("exit", "strict", "ring"))
    for needle in (b"", bytes(8)):
        with pytest.raises(UsageError, match="not all zero"):
            box.find_bytes(needle)
    missing = pytest.raises(UsageError, match=r"find_bytes\(\) needs a micro-VM")
    with Sandbox(keeps, engine="inprocess") as other, missing:
        other.find_bytes(SECRET)
