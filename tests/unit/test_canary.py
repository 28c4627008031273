"""A secret is recognised in the forms that leaks have, and nowhere else."""

from __future__ import annotations

import base64
from random import Random

import pytest

from hlfuzz.invariants.canary import is_secret, longest_leak, needles

SECRET = b"ABCDefgh0123456789zyxwvutsRQPONM"


@pytest.mark.parametrize(
    ("data", "form", "shown"),
    [
        (b".." + SECRET[5:20] + b"..", "as it is", SECRET[5:20]),
        (SECRET[28:] + SECRET[:4], "as it is", SECRET[28:] + SECRET[:4]),  # a window may hold it twice
        (SECRET * 2, "as it is", SECRET),
        (SECRET[::-1], "reversed", SECRET),
        (b"id=" + SECRET.hex().upper().encode(), "in hex", SECRET),
        (SECRET.hex().encode()[3:40], "in hex", SECRET[2:20]),
        (base64.b64encode(b"k" + SECRET + b"zz"), "in base64", SECRET[2:]),
        (base64.urlsafe_b64encode(SECRET), "in base64", SECRET[:30]),
        (bytes(b ^ 0x5A for b in SECRET), "under an xor with 0x5a", SECRET),
    ],
)
def test_a_leak_is_found_with_its_form_and_its_bytes(data: bytes, form: str, shown: bytes) -> None:
    found = longest_leak(SECRET, data)
    assert found is not None
    assert (found.form, found.shown) == (form, shown)


def test_four_bytes_are_a_leak_and_three_are_not() -> None:
    found = longest_leak(SECRET, b"....." + SECRET[9:13])
    assert found is not None
    assert (found.at, found.shown) == (5, SECRET[9:13])
    assert longest_leak(SECRET, b"....." + SECRET[9:12]) is None
    assert longest_leak(SECRET, b"") is None


def test_chance_is_no_leak() -> None:
    assert longest_leak(SECRET, Random(1).randbytes(20_000)) is None


@pytest.mark.parametrize("start", range(17))
def test_half_of_a_secret_in_memory_holds_a_needle(start: int) -> None:
    memory = bytes(100) + SECRET[start : start + 16] + bytes(100)
    assert any(needle in memory for _, needle in needles(SECRET))


def test_needles_find_whole_secrets_in_every_form() -> None:
    forms = [
        ("as it is", SECRET),
        ("reversed", SECRET[::-1]),
        ("in hex", SECRET.hex().encode()),
        ("in hex", SECRET.hex().upper().encode()),
        *(("in base64", base64.b64encode(before + SECRET)) for before in (b"", b".", b"..")),
        ("inverted", bytes(b ^ 0xFF for b in SECRET)),
    ]
    for form, data in forms:
        assert {name for name, needle in needles(SECRET) if needle in data} == {form}


def test_what_could_be_anywhere_is_no_secret() -> None:
    assert is_secret(SECRET)
    assert not is_secret(SECRET[:8])
    assert not is_secret(SECRET[:16] + bytes(16))
    assert not is_secret(b"a" * 32)
