"""Fixtures of the micro-VM tests: every way to run and reset a guest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import native
import pytest
from needs import require_kvm
from patient import CAN_SPIN, open_sandbox
from variants import Variant

from hlfuzz import Guest, Sandbox
from hlfuzz.sandbox import Provider

VARIANTS = [
    Variant(transport, reset, tracking)
    for transport in ("exit", "spin")
    for reset in ("strict", "memory")
    for tracking in ("ring", "log")
]
OpenBox = Callable[..., Sandbox]


@pytest.fixture(autouse=True)
def _kvm() -> None:
    require_kvm()


@pytest.fixture
def open_box(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenBox]:
    """Opens a guest in a micro-VM and closes it at the end: `open_box(guest, host, variant, ...)`."""
    with ExitStack() as stack:

        def open_one(
            guest: Guest, host: Mapping[str, Provider] | None, variant: Variant, **options: Any
        ) -> Sandbox:
            if variant.transport == "spin" and not CAN_SPIN:
                pytest.skip("the spin transport needs two CPUs")
            native.use_tracking(monkeypatch, variant.tracking)
            box = stack.enter_context(
                open_sandbox(
                    guest, host, engine="kvm", transport=variant.transport, reset=variant.reset, **options
                )
            )
            found = box.stats()
            assert (found.transport, found.tracking) == (variant.transport, variant.tracking)
            return box

        yield open_one


@pytest.fixture(params=VARIANTS, ids=str)
def variant(request: pytest.FixtureRequest) -> Variant:
    """Every transport, reset level and tracking of dirty pages."""
    return request.param


@pytest.fixture(params=["exit", "spin"])
def transport(request: pytest.FixtureRequest) -> str:
    if request.param == "spin" and not CAN_SPIN:
        pytest.skip("the spin transport needs two CPUs")
    return request.param
