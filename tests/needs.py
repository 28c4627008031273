"""What tests need of the machine: missing, they fail in CI and are skipped with the reason elsewhere."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from hlfuzz.sandbox import why_no_kvm


def require_kvm() -> None:
    """Skip where there is no micro-VM; in CI that is a failure."""
    reason = why_no_kvm()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"CI must have KVM: {reason}")
    if reason:
        pytest.skip(f"no micro-VM here: {reason}")


def missing(reason: str) -> NoReturn:
    """Skip because of a tool that is not there; in CI that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have it: {reason}")
    pytest.skip(reason)
