"""Runs protoc of grpcio-tools in a child process with limits, on copies in a private folder."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hlfuzz.errors import EnvironmentProblem
from hlfuzz.schema.proto.runtime import DecodeError, descriptor_pb2
from hlfuzz.schema.proto.sources import Sources, well_known

TIMEOUT_S: Final = 60
"""Time that protoc may take, CPU and wall clock alike; the largest schema allowed takes a few seconds."""
MEMORY: Final = 2 << 30
"""Address space that protoc may use, in bytes."""
MAX_DESCRIPTORS: Final = 256 << 20
"""Longest output of protoc, in bytes."""
_MAX_TEXT: Final = 1 << 20
FOLDER: Final = "schema"
"""Where the copies are, seen from protoc's working folder; its messages name files so."""

# The limits are set in the child by itself: code between fork and exec is not safe where threads run.
_CHILD: Final = """
import resource, sys
folder, seconds, memory, output = sys.argv[1], *map(int, sys.argv[2:5])
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
resource.setrlimit(resource.RLIMIT_FSIZE, (output, output))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sys.path.insert(0, folder)
from grpc_tools import protoc
sys.exit(protoc.main(["protoc", *sys.argv[5:]]))
"""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What protoc made (a `FileDescriptorSet`, or None), what it said, and why it did not finish."""

    files: Any
    messages: str
    failure: str = ""

    @property
    def failed(self) -> bool:
        """Whether there are no descriptors."""
        return self.files is None


def compile_sources(sources: Sources) -> Compiled:
    """Run protoc on the main file. Raises `EnvironmentProblem` when it cannot be started."""
    with tempfile.TemporaryDirectory(prefix="hlfuzz-") as name:
        folder = Path(name)
        _write(sources, folder / FOLDER)
        output = folder / "descriptors"
        text, failure = _run(sources.main, folder, output)
        if failure is not None:
            return Compiled(None, text, failure)
        files = descriptor_pb2.FileDescriptorSet()
        try:
            files.ParseFromString(output.read_bytes())
        except (DecodeError, OSError) as error:
            return Compiled(None, text, f"protoc's output cannot be read: {error}")
        return Compiled(files, text)


def _write(sources: Sources, folder: Path) -> None:
    for source in sources.files.values():
        path = folder / source.name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source.data)
        except (OSError, ValueError) as error:
            # A name too long, or one file's name is the folder of another: protoc will miss it and say so.
            sources.problems[source.name] = f"cannot be copied: {error}"


def _run(main: str, folder: Path, output: Path) -> tuple[str, str | None]:
    """protoc's messages, and None when it succeeded, else why not ("" when its messages say so)."""
    arguments = [
        *(sys.executable, "-I", "-S", "-c", _CHILD),
        *(str(well_known().parents[1]), str(TIMEOUT_S), str(MEMORY), str(MAX_DESCRIPTORS)),
        *(f"-I{FOLDER}", f"--descriptor_set_out={output.name}"),
        *("--include_imports", "--include_source_info", "--retain_options"),
        f"{FOLDER}/{main}",
    ]
    try:
        process = subprocess.Popen(
            arguments,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"LC_ALL": "C"},
        )
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot start protoc ({sys.executable}): {error.strerror or error}", reason="io"
        ) from error
    with process:
        try:
            return _watch(process)
        finally:
            process.kill()


def _watch(process: subprocess.Popen[bytes]) -> tuple[str, str | None]:
    """Read what protoc says until it ends, says more than anyone reads, or takes too long."""
    assert process.stdout is not None
    deadline = time.monotonic() + TIMEOUT_S
    said = bytearray()
    late = f"protoc did not end within {TIMEOUT_S} s"
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(said) < _MAX_TEXT:
            if not selector.select(max(0, deadline - time.monotonic())):
                return _text(said), late
            chunk = os.read(process.stdout.fileno(), _MAX_TEXT)
            if not chunk:
                break
            said += chunk
        else:
            return _text(said[: said.rfind(b"\n") + 1]), ""
    try:
        status = process.wait(max(0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return _text(said), late
    if status < 0:
        return _text(said), f"protoc was ended by signal {-status}: the schema needs more than its limits"
    return _text(said), None if status == 0 else ""


def _text(said: bytes | bytearray) -> str:
    return said.decode(errors="replace")
