"""Core files of Wasm guests: the frames of the trap, and every memory as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import wasmtime
from patient import CAN_SPIN, open_sandbox

from hlfuzz import Guest, Sandbox, UsageError
from hlfuzz.sandbox import Evidence

GUEST = """
(module
  (memory $hidden 1 4)
  (memory (export "memory") 1)
  (func $put (param i32 i32) (i32.store $hidden (local.get 0) (local.get 1)))
  (func $inner (param i32) (i32.store 1 (i32.const 70000) (local.get 0)))
  (func (export "run") (param i32)
    (call $put (i32.const 100) (i32.const 0x11223344))
    (drop (memory.grow $hidden (i32.const 1)))
    (call $put (i32.const 65540) (i32.const 0x55667788))
    (i32.store 1 (i32.const 5000) (i32.const 0x99))
    (call $inner (local.get 0)))
  (func (export "set") (call $put (i32.const 8) (i32.const 0x77)))
  (func (export "spin") (call $put (i32.const 4) (i32.const 0x66)) (loop br 0)))
"""


@pytest.fixture(scope="module")
def guest() -> Guest:
    return Guest.from_wasm(bytes(wasmtime.wat2wasm(GUEST)), name="two.wasm")


class Coredump:
    """What a coredump says (WebAssembly tool conventions, Coredump.md)."""

    def __init__(self, data: bytes) -> None:
        assert data[:8] == b"\0asm\1\0\0\0"
        self.custom: dict[str, bytes] = {}
        self.pages: list[int] = []
        self.segments: list[tuple[int, int, bytes]] = []
        rest = _Bytes(data[8:])
        while rest.data:
            kind, body = rest.take(1)[0], _Bytes(rest.take(rest.number()))
            if kind == 0:
                name = body.name()
                self.custom[name] = body.data
            elif kind == 5:
                self.pages = [body.limits() for _ in range(body.number())]
            elif kind == 11:
                self.segments = [body.segment() for _ in range(body.number())]

    @property
    def frames(self) -> list[tuple[int, int]]:
        stack = _Bytes(self.custom["corestack"])
        assert stack.take(1) == b"\0"
        assert stack.name() == "main"
        return list(stack.frames())

    def memory(self, index: int) -> bytes:
        content = bytearray(self.pages[index] * 65536)
        for memory, at, data in self.segments:
            if memory == index:
                content[at : at + len(data)] = data
        return bytes(content)


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, count: int) -> bytes:
        taken, self.data = self.data[:count], self.data[count:]
        assert len(taken) == count
        return taken

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def name(self) -> str:
        return self.take(self.number()).decode()

    def limits(self) -> int:
        assert self.take(1) == b"\0"
        return self.number()

    def segment(self) -> tuple[int, int, bytes]:
        kind = self.number()
        memory = self.number() if kind == 2 else 0
        assert self.take(1) == b"\x41"
        at = self.number()
        assert self.take(1) == b"\x0b"
        return memory, at, self.take(self.number())

    def frames(self) -> Iterator[tuple[int, int]]:
        for _ in range(self.number()):
            assert (self.take(1), self.number()) == (b"\0", 0)
            function, offset = self.number(), self.number()
            assert (self.number(), self.number()) == (0, 0)
            yield function, offset


def dumped(evidence: Evidence | None, folder: Path) -> Coredump:
    assert evidence is not None
    path = folder / "core.wasm"
    evidence.write_core(path)
    wasmtime.Module.validate(wasmtime.Engine(), path.read_bytes())
    return Coredump(path.read_bytes())


@pytest.mark.parametrize("transport", ["exit", "spin"])
def test_a_core_has_the_frames_and_every_memory_at_the_trap(
    guest: Guest, transport: str, tmp_path: Path
) -> None:
    if transport == "spin" and not CAN_SPIN:
        pytest.skip("the spin transport needs two CPUs")
    with open_sandbox(guest, engine="kvm", transport=transport, evidence=True) as box:
        trap = box.try_call("run", 1)
        assert box.verify() == 0
        core = dumped(box.evidence(), tmp_path)
        assert box.evidence() is None
    frames = trap.frames  # type: ignore[union-attr]
    assert core.frames == [(f.function_index, f.offset - f.start) for f in frames]
    assert [f.name for f in frames] == ["inner", "run"]
    assert core.pages == [2, 1]
    hidden, exported = core.memory(0), core.memory(1)
    assert hidden[100:104] == bytes.fromhex("44332211")
    assert hidden[65540:65544] == bytes.fromhex("88776655")
    assert exported[5000] == 0x99
    assert sum(map(bool, hidden)) + sum(map(bool, exported)) == 9
    assert b"two.wasm" in core.custom["core"]
    assert b"\x05inner" in core.custom["name"]


def test_the_state_after_a_trap_in_a_context_is_not_that_of_the_next_tenant(
    guest: Guest, tmp_path: Path
) -> None:
    with Sandbox(guest, engine="kvm", transport="exit", evidence=True) as box:
        context = box.context()
        context.call("set")
        context.try_call("run", 1)
        context.finish()
        core = dumped(box.evidence(), tmp_path)
        box.try_call("run", 2)
        assert core.memory(0)[8] == 0x77
        assert dumped(box.evidence(), tmp_path).memory(0)[8] == 0


def test_a_timeout_keeps_memory(guest: Guest, tmp_path: Path) -> None:
    with Sandbox(guest, engine="kvm", transport="exit", evidence=True, deadline=0.02) as box:
        box.try_call("spin")
        core = dumped(box.evidence(), tmp_path)
    assert core.memory(0)[4] == 0x66
    assert core.frames == []


def test_a_capture_in_a_context_and_in_a_host_function_is_the_state_there(tmp_path: Path) -> None:
    source = """(module (import "env" "look" (func $look)) (memory (export "memory") 1)
        (func (export "run") (i32.store (i32.const 16) (i32.const 5)) call $look))"""
    guest = Guest.from_wasm(bytes(wasmtime.wat2wasm(source)))
    seen: list[Coredump] = []

    def look() -> None:
        seen.append(dumped(box.capture(), tmp_path))

    with Sandbox(guest, {"env.look": look}, engine="kvm", transport="exit") as box:
        box.call("run")
        after = dumped(box.capture(), tmp_path)
        box.call("run")
        assert box.verify() == 0
    assert [core.memory(0)[16] for core in seen] == [5, 5]
    assert after.memory(0)[16] == 0


def test_evidence_outlives_its_sandbox_and_guest(tmp_path: Path) -> None:
    own = Guest.from_wasm(bytes(wasmtime.wat2wasm(GUEST)), name="own")
    with Sandbox(own, engine="kvm", transport="exit", evidence=True) as box:
        box.try_call("run", 1)
        evidence = box.evidence()
    del box, own
    assert dumped(evidence, tmp_path).memory(1)[5000] == 0x99


def test_a_core_that_cannot_be_written_is_an_error_and_leaves_no_file(guest: Guest, tmp_path: Path) -> None:
    from hlfuzz import EnvironmentProblem

    with Sandbox(guest, engine="kvm", transport="exit") as box:
        evidence = box.capture()
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentProblem):
        evidence.write_core(tmp_path / "file" / "core")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_there_is_no_capture_in_process(guest: Guest) -> None:
    with Sandbox(guest, engine="inprocess") as box, pytest.raises(UsageError, match="micro-VM"):
        box.capture()
