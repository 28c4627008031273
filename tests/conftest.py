"""Fixtures of all tests: the engines, and guests written as WAT."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import wasmtime

from hlfuzz import Guest, Limits
from hlfuzz.sandbox import why_no_kvm

MakeGuest = Callable[..., Guest]


def wat(text: str) -> bytes:
    """A binary module from its text."""
    return bytes(wasmtime.wat2wasm(text))


def require_kvm() -> None:
    """Skip where there is no micro-VM; in CI that is a failure."""
    reason = why_no_kvm()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"CI must have KVM: {reason}")
    if reason:
        pytest.skip(f"no micro-VM here: {reason}")


@pytest.fixture(params=["kvm", "inprocess"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn: what a guest does must not depend on it."""
    if request.param == "kvm":
        require_kvm()
    return request.param


@pytest.fixture
def guest() -> MakeGuest:
    """Makes a guest from WAT (or from bytes), with limits given by name."""

    def make(source: str | bytes, name: str = "test", **limits: float) -> Guest:
        wasm = source if isinstance(source, bytes) else wat(source)
        return Guest.from_wasm(wasm, name=name, limits=Limits(**limits))

    return make
