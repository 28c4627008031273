"""What tests need of the machine: missing, they fail in CI and are skipped with the reason elsewhere."""

from __future__ import annotations

import os

import pytest

from hlfuzz.sandbox import why_no_kvm


def require_kvm() -> None:
    """Skip where there is no micro-VM; in CI that is a failure."""
    reason = why_no_kvm()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"CI must have KVM: {reason}")
    if reason:
        pytest.skip(f"no micro-VM here: {reason}")
