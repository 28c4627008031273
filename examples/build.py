"""Compiles the example guests to freestanding Wasm with PyPI's ziglang, once for each change."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent
OUTPUT = EXAMPLES / "build"
FLAGS = (
    "--target=wasm32-freestanding",
    "-nostdlib",
    "-std=c11",
    "-O2",
    "-g0",
    "-fno-builtin",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-function",
    "-Wl,--no-entry",
    "-Wl,-z,stack-size=16384",
    "-Wl,--strip-all",
)


def _digest(source: Path) -> str:
    """SHA-256 over everything that decides the output: the source, its folder's headers, the flags, the
    compiler."""
    digest = hashlib.sha256(repr((FLAGS, metadata.version("ziglang"))).encode())
    for path in [source, *sorted(source.parent.glob("*.h"))]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _replace(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)


def _compile(source: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="hlfuzz-example-") as folder:
        wasm = Path(folder) / "guest.wasm"
        command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, "-o", str(wasm), str(source)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0 or not wasm.exists():
            raise SystemExit(f"cannot compile {source.relative_to(EXAMPLES)}:\n{done.stderr}")
        _replace(target, wasm.read_bytes())


def build(example: str = "network-filter", *, force: bool = False) -> dict[str, Path]:
    """Builds every C guest of one example folder.

    Returns: the Wasm file of each guest by its source's stem, for example {"filter": …/filter.wasm}. The
    example's hlfuzz.toml is put beside them.
    Raises: SystemExit with the compiler's message when a source does not compile; FileNotFoundError for an
    unknown example.
    """
    folder = EXAMPLES / example
    sources = sorted(folder.glob("*.c"))
    if not sources:
        raise FileNotFoundError(f"no C guest in {folder}")
    output = OUTPUT / example
    output.mkdir(parents=True, exist_ok=True)
    built: dict[str, Path] = {}
    for source in sources:
        wasm, stamp = output / f"{source.stem}.wasm", output / f".{source.stem}.stamp"
        digest = _digest(source)
        if force or not wasm.exists() or not stamp.exists() or stamp.read_text() != digest:
            _compile(source, wasm)
            _replace(stamp, digest.encode())
        built[source.stem] = wasm
    config = folder / "hlfuzz.toml"
    if config.exists():
        shutil.copyfile(config, output / config.name)
    return built


if __name__ == "__main__":
    for guest, path in build(force="--force" in sys.argv[1:]).items():
        print(f"{guest}: {path} ({path.stat().st_size} bytes)")
