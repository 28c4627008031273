"""Fixtures of the npm tests: the packages, their modules, and engines side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from catalogue import SOURCES, Source, load_all
from npm_install import NpmUnavailable, installed
from twins import Twins

from hlfuzz import Guest
from hlfuzz.sandbox import why_no_kvm


def pytest_itemcollected(item: pytest.Item) -> None:
    """All tests of this folder need npm."""
    item.add_marker(pytest.mark.programs("npm"))


@pytest.fixture(scope="session")
def modules() -> dict[str, bytes]:
    """Every npm module by name. Without npm the tests are skipped; in CI that is a failure."""
    try:
        return load_all(installed())
    except NpmUnavailable as e:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have the npm modules: {e}")
        pytest.skip(str(e))


@pytest.fixture(scope="session")
def guests(modules: dict[str, bytes]) -> dict[str, Guest]:
    """Every npm module, loaded."""
    return {name: Guest.from_wasm(wasm, name=name) for name, wasm in modules.items()}


@pytest.fixture
def twins(guests: dict[str, Guest]) -> Iterator[Callable[..., Twins]]:
    """Opens a module by name in every engine: `twins("long")`."""
    reason = why_no_kvm()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"CI must have KVM: {reason}")
    if reason:
        pytest.skip(f"no micro-VM here: {reason}")
    opened: list[Twins] = []

    def open_twins(name: str, **options: float) -> Twins:
        source = SOURCES.get(name, Source(""))
        opened.append(Twins(guests[name], source.answers, source.given, **options))
        return opened[-1]

    yield open_twins
    for one in opened:
        one.close()
