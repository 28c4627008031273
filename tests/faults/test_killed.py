"""A process that is killed while it writes leaves whole files behind, and no others."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import wasmtime

from hlfuzz.files import write_file
from hlfuzz.fuzz.store import Store
from hlfuzz.vmm import Module

KILLS = 25
RANDOM = random.Random(20261123)


def checkable() -> bytes:
    data = os.urandom(200_000)
    return hashlib.sha256(data).digest() + data


def artifacts(folder: Path) -> Iterator[None]:
    """Compiles one module after the other into the cache."""
    number = os.getpid() << 20
    while True:
        text = f'(module (func (export "f") (result i64) (i64.const {number})))'
        Module(bytes(wasmtime.wat2wasm(text)), "a guest", max_bytes=0, cache=folder)
        number += 1
        yield


def inputs(folder: Path) -> Iterator[None]:
    """Keeps one input after the other in a campaign's corpus."""
    store = Store(folder)
    while True:
        store.add_input(checkable())
        yield


def versions(folder: Path) -> Iterator[None]:
    """Replaces a file again and again."""
    while True:
        write_file(folder / "file", checkable())
        yield


def is_whole_artifact(path: Path) -> bool:
    # crates/wasm/src/cache.rs: magic 8, version 4, payload length 8, key 32, SHA-256 32, payload
    data = path.read_bytes()
    head = 88 + int.from_bytes(data[84:88], "little")
    if data[head : head + 32] != hashlib.sha256(data[:head]).digest():
        return False
    payload = data[head + 32 :]
    length, key, digest = int.from_bytes(data[12:20], "little"), data[20:52], data[52:84]
    return length == len(payload) and key.hex() == path.name and digest == hashlib.sha256(payload).digest()


def is_whole_input(path: Path) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() == path.name and is_checked(path)


def is_checked(path: Path) -> bool:
    data = path.read_bytes()
    return data[:32] == hashlib.sha256(data[32:]).digest()


def killed_while(write: Callable[[Path], Iterator[None]], folder: Path) -> None:
    """Kill a child some time after it has written its first file."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for _ in write(folder):
                os.write(writer, b".")
        finally:
            os._exit(1)
    os.close(writer)
    assert os.read(reader, 1) == b".", "the child has failed"
    time.sleep(RANDOM.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)


@pytest.mark.parametrize(
    ("write", "is_whole"),
    [(artifacts, is_whole_artifact), (inputs, is_whole_input), (versions, is_checked)],
    ids=["artifact cache", "corpus", "replaced file"],
)
def test_a_kill_leaves_only_whole_files(
    write: Callable[[Path], Iterator[None]], is_whole: Callable[[Path], bool], tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    for _ in range(KILLS):
        killed_while(write, folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    # `write_file` gives a file that is whole a name of its own for a moment, and then its place
    checks = {path: is_checked if path.name.startswith(".tmp-") else is_whole for path in files}
    assert [path.name for path, check in checks.items() if not check(path)] == []
