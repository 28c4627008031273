"""Native operations that fail on purpose: only the chosen one, and only in the thread that asked for it."""

from __future__ import annotations

import errno
import threading
from typing import Any

import pytest
from needs import require_kvm

from hlfuzz import HlfuzzError, Sandbox
from hlfuzz.errors import EnvironmentProblem
from hlfuzz.vmm import failing

GUEST = '(module (memory (export "memory") 1) (func (export "f") (result i32) (i32.const 42)))'
MAKING = ("kvm", "memory")


@pytest.fixture
def opened(guest: Any) -> Any:
    require_kvm()
    module = guest(GUEST)
    Sandbox(module, engine="kvm", transport="exit").close()  # booted

    def open_() -> Sandbox:
        return Sandbox(module, engine="kvm", transport="exit")

    return open_


def test_each_operation_of_making_a_sandbox_can_fail_and_is_named(opened: Any) -> None:
    with failing(MAKING) as counted:
        opened().close()
    assert counted.count > 10
    said: list[str] = []
    for nth in range(1, counted.count + 1):
        with failing(MAKING, nth, errno.ENOMEM) as found:
            try:
                opened().close()
            except EnvironmentProblem as error:
                said.append(str(error))
        assert found.hit
    assert all("Cannot allocate memory (os error 12); " in text for text in said)
    assert len({text.partition(":")[0] for text in said}) > 5  # not one text for all
    assert opened().call("f") == 42


def test_an_interrupted_operation_is_made_again(opened: Any) -> None:
    with opened() as box:
        for nth in range(1, 6):
            with failing(("kvm", "run"), nth, errno.EINTR):
                assert [box.call("f") for _ in range(3)] == [42] * 3


def test_a_vcpu_that_cannot_run_ends_its_sandbox_and_says_why(opened: Any) -> None:
    with opened() as box, opened() as other:
        with (
            failing(("run",), 1, errno.EIO),
            pytest.raises(HlfuzzError, match=r"running the vCPU: .*os error 5"),
        ):
            box.call("f")
        with pytest.raises(HlfuzzError, match="cannot go on"):
            box.call("f")
        assert other.call("f") == 42


def test_other_threads_are_not_affected(opened: Any) -> None:
    results: list[int] = []

    def elsewhere() -> None:
        with opened() as box:
            results.append(box.call("f"))

    thread = threading.Thread(target=elsewhere)
    with failing(("kvm", "run", "memory", "timer"), 1, errno.ENOMEM) as found:
        thread.start()
        thread.join()
    assert results == [42]
    assert not found.hit


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENOMEM])
def test_a_shortage_is_an_error_and_no_reason_to_take_the_weaker_engine(guest: Any, error: int) -> None:
    require_kvm()
    module = guest(GUEST)
    with failing(("kvm",), 1, error), pytest.raises(EnvironmentProblem, match=f"os error {error}"):
        Sandbox(module)
    with Sandbox(module) as box:
        assert box.engine == "kvm"
