"""Compiles AssemblyScript guests with the compiler of this folder's package.json, once for each change."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
EXAMPLES = FOLDER.parent
OUTPUT = EXAMPLES / "build" / FOLDER.name
FLAGS = (
    "-O3",
    # The host allocates with __new and keeps alive with __pin.
    "--runtime=incremental",
    "--exportRuntime",
    # A failed assertion is a trap, not a call of the host.
    "--use=abort=",
)
NPM_FLAGS = ("--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


class CompilerUnavailable(Exception):
    """There is no Node.js, or npm could not fetch the compiler."""


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _run(command: list[str], folder: Path, timeout: float) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout
    )


def _compiler() -> list[str]:
    """The command that runs the compiler, installed into examples/build in the versions of package.json."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise CompilerUnavailable("no node or npm was found: install Node.js 20 or newer")
    manifest = (FOLDER / "package.json").read_bytes()
    packages = OUTPUT / f"npm-{_digest(manifest)[:16]}"
    if not packages.exists():
        with tempfile.TemporaryDirectory(dir=OUTPUT, prefix=".npm-") as temporary:
            fetched = Path(temporary, "npm")
            fetched.mkdir()
            (fetched / "package.json").write_bytes(manifest)
            done = _run([npm, "install", *NPM_FLAGS], fetched, 300)
            if done.returncode:
                raise CompilerUnavailable(f"npm install failed: {done.stderr.strip()[-500:]}")
            fetched.rename(packages)
    return [node, str(packages / "node_modules" / "assemblyscript" / "bin" / "asc.js")]


def build(folder: Path = FOLDER, *, force: bool = False) -> Path:
    """Builds the guest of an example folder, its filter.ts.

    Returns: the Wasm file, …/build/assemblyscript-filter/filter.wasm for this folder's.
    Raises: `CompilerUnavailable`; SystemExit with the compiler's message when the source does not compile.
    """
    OUTPUT.mkdir(parents=True, exist_ok=True)
    output = EXAMPLES / "build" / folder.name
    output.mkdir(exist_ok=True)
    wasm, stamp = output / "filter.wasm", output / ".filter.stamp"
    sources = [FOLDER / "package.json", *sorted(folder.glob("*.ts"))]
    digest = _digest(repr(FLAGS).encode(), *(p.name.encode() + b"\0" + p.read_bytes() for p in sources))
    with (OUTPUT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs at once
        if force or not wasm.exists() or not stamp.exists() or stamp.read_text() != digest:
            compiler = _compiler()
            with tempfile.TemporaryDirectory(dir=output, prefix=".tmp-") as temporary:
                made = Path(temporary, "filter.wasm")
                done = _run([*compiler, "filter.ts", "-o", str(made), *FLAGS], folder, 120)
                if done.returncode or not made.exists():
                    raise SystemExit(f"cannot compile {folder.name}/filter.ts:\n{done.stderr}{done.stdout}")
                made.replace(wasm)
            stamp.write_text(digest)
    return wasm


if __name__ == "__main__":
    try:
        path = build(force="--force" in sys.argv[1:])
    except CompilerUnavailable as error:
        raise SystemExit(str(error)) from None
    print(f"filter: {path} ({path.stat().st_size} bytes)")
