"""Generated C codecs as a program of this machine, built with the sanitizers: a fault in memory ends it."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from needs import program

from hlfuzz.generate.c import generate
from hlfuzz.generate.c.build import make_model
from hlfuzz.generate.naming import stem
from hlfuzz.schema.ir import Schema

_SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "{header}"


static bool echo(uint32_t type, hl_arena *arena, const uint8_t *data, uint32_t len, hl_bytes *out) {{
    switch (type) {{
{cases}
    default: abort();
    }}
}}

int main(void) {{
    uint32_t head[4]; /* type, length, bytes of arena, shift of the data's address */
    while (fread(head, 4, 4, stdin) == 4) {{
        /* Exactly as long as needed, so that a read or write beyond the end is seen. */
        size_t size = (size_t)head[1] + head[3];
        uint8_t *block = malloc(size ? size : 1), *memory = malloc(head[2] ? head[2] : 1);
        uint8_t *data = block + head[3];
        if (fread(data, 1, head[1], stdin) != head[1]) abort();
        hl_arena arena;
        hl_bytes out = {{NULL, 0}};
        hl_arena_init(&arena, memory, head[2]);
        uint32_t reply[2] = {{0, 0}};
        if (!echo(head[0], &arena, data, head[1], &out)) {{
            reply[0] = arena.failure.code;
            out.data = (const uint8_t *)arena.failure.text.data;
            out.len = arena.failure.text.len;
        }}
        reply[1] = out.len;
        fwrite(reply, 4, 2, stdout);
        if (out.len) fwrite(out.data, 1, out.len, stdout);
        free(block);
        free(memory);
    }}
    return 0;
}}
"""


@dataclass(frozen=True)
class Reply:
    """0 and the encoding of what was decoded, or an error code and its text."""

    code: int
    data: bytes


class Native:
    """Decodes and encodes again: many buffers in one run of the program. For schemas without services."""

    def __init__(self, schema: Schema, folder: Path) -> None:
        gcc = program("gcc")
        for name, text in generate(schema).items():
            (folder / name).write_text(text)
        header = f"{stem(schema)}_hl.h"
        model = make_model(schema)
        cases: list[str] = []
        self._types: dict[str, int] = {}
        for record in model.records.values():
            init, decode, encode = record.functions
            if not init:
                continue
            self._types[record.source.name] = record.index
            cases.append(
                f"    case {record.index}: {{ const {record.name} *v; "
                f"return {decode}(arena, data, len, &v) && {encode}(arena, v, out); }}"
            )
        (folder / "main.c").write_text(_MAIN.format(header=header, cases="\n".join(cases)))
        self._program = folder / "codec"
        source = folder / header.replace(".h", ".c")
        sources = [str(folder / "main.c"), str(source)]
        command = [gcc, "-std=c11", *_SANITIZERS, "-o", str(self._program), *sources]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def echo(
        self, type_name: str, buffers: Sequence[bytes], *, arena: int = 1 << 18, shift: int = 0
    ) -> list[Reply]:
        """What the program makes of each buffer; `arena` in bytes. Fails when a sanitizer stops it."""
        index = self._types[type_name]
        stream = b"".join(struct.pack("<4I", index, len(b), arena, shift) + b for b in buffers)
        # No quarantine of freed blocks: it would be half of the time.
        environment = {**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=1:allocator_may_return_null=0"}
        done = subprocess.run([str(self._program)], input=stream, capture_output=True, env=environment)
        assert done.returncode == 0, done.stderr.decode(errors="replace")[:4000]
        replies: list[Reply] = []
        at = 0
        for _ in buffers:
            code, size = struct.unpack_from("<2I", done.stdout, at)
            replies.append(Reply(code, done.stdout[at + 8 : at + 8 + size]))
            at += 8 + size
        return replies
