"""Fixtures of all tests: the engines, and guests written as WAT."""

from __future__ import annotations

from collections.abc import Callable
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest
import wasmtime
from hypothesis import HealthCheck, settings
from needs import install, require_kvm

from hlfuzz import Guest, Limits

pytest_plugins = ("pytester",)

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

MakeGuest = Callable[..., Guest]


def wat(text: str) -> bytes:
    """A binary module from its text."""
    return bytes(wasmtime.wat2wasm(text))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Installs the programs of the chosen tests, before any of their time limits runs."""
    if not session.config.option.collectonly:
        wanted = [n for item in session.items for mark in item.iter_markers("programs") for n in mark.args]
        with Path(__file__).open() as lock:
            flock(lock, LOCK_EX)  # of two workers of pytest-xdist one installs, and the other finds it done
            install(wanted)


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
