"""Compiles generated Rust with rustc, and runs a program that decodes and encodes with it."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

from needs import missing

from hlfuzz.generate.plan import plan
from hlfuzz.generate.rust.names import Names
from hlfuzz.schema.ir import Record, RecordKind, Schema

# Reads frames of root number, length, bytes; writes frames of status, length, bytes.
_MAIN = """
use std::io::{Read, Write};
ITEMS
fn run<M: MODULE::wire::Message>(bytes: &[u8]) -> Vec<u8> {
    MODULE::wire::answer::<M, M>(bytes, Ok)
}
fn main() {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).unwrap();
    let (mut rest, mut output) = (&input[..], Vec::new());
    while let Some((head, tail)) = rest.split_first_chunk::<8>() {
        let root = u32::from_le_bytes(head[..4].try_into().unwrap());
        let len = u32::from_le_bytes(head[4..].try_into().unwrap()) as usize;
        let (bytes, after) = tail.split_at(len);
        rest = after;
        let record = match root {
            ROOTS
            _ => unreachable!(),
        };
        output.extend_from_slice(&(record.len() as u32).to_le_bytes());
        output.extend_from_slice(&record);
    }
    std::io::stdout().write_all(&output).unwrap();
}
"""


def rustc(source: Path, *options: str) -> None:
    """Compile, with every warning an error."""
    compiler = shutil.which("rustc")
    if compiler is None:
        missing("no rustc: install Rust from https://rustup.rs")
    run = subprocess.run(
        [compiler, "-D", "warnings", "--out-dir", str(source.parent), *options, str(source)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[:4000]


def write(schema: Schema, folder: Path) -> str:
    """Write the generated file, as `hlfuzz generate` does; the module's name."""
    [(name, text)] = plan([schema], ["rust"]).items()
    (folder / name).write_text(text, encoding="utf-8")
    return name.removesuffix(".rs")


def roots(schema: Schema) -> list[str]:
    """Full names of what can be encoded on its own."""
    return [d.name for d in schema.definitions if isinstance(d, Record) and d.kind is not RecordKind.STRUCT]


class Program:
    """A program that decodes buffers of a schema and encodes what it got."""

    def __init__(self, schema: Schema, folder: Path, *options: str) -> None:
        module, names = write(schema, folder), Names(schema)
        self._roots = roots(schema)
        arms = [f"{i} => run::<{module}::{names.type(name)}>(bytes)," for i, name in enumerate(self._roots)]
        text = _MAIN.replace("ITEMS", f"mod {module};").replace("MODULE", module)
        (folder / "main.rs").write_text(text.replace("ROOTS", "\n".join(arms)), encoding="utf-8")
        rustc(folder / "main.rs", "--edition", "2024", *options)
        self._path = folder / "main"

    def run(self, buffers: Iterable[tuple[str, bytes]]) -> list[tuple[int, bytes]]:
        """Status and payload of each response record."""
        frames = [struct.pack("<2I", self._roots.index(name), len(data)) + data for name, data in buffers]
        run = subprocess.run(
            [self._path], input=b"".join(frames), capture_output=True, check=True, timeout=300
        )
        results: list[tuple[int, bytes]] = []
        rest = memoryview(run.stdout)
        while rest:
            size, status, zero = struct.unpack_from("<3I", rest)
            assert zero == 0
            results.append((status, bytes(rest[12 : 4 + size])))
            rest = rest[4 + size :]
        assert len(results) == len(frames)
        return results
