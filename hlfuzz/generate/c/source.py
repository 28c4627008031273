"""The source file: handshake, tables, the runtime for the schema's wire, codecs and methods."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources

from hlfuzz.generate.c.methods import definitions
from hlfuzz.generate.c.model import Model
from hlfuzz.generate.c.tables import tables
from hlfuzz.generate.c.text import assembled
from hlfuzz.schema.canonical import canonical, schema_id
from hlfuzz.schema.ir import Format, Schema

_WIRES = {Format.FBS: ("fb_decode.c", "fb_encode.c"), Format.PROTO: ("pb_decode.c", "pb_encode.c")}


def runtime(name: str) -> str:
    """A part of the C runtime."""
    return resources.files("hlfuzz.generate.c").joinpath("runtime", name).read_text("utf-8")


def source(model: Model, header: str) -> str:
    """The text of the source file, whose header is named `header`."""
    parts = [
        f'#include "{header}"\n',
        runtime("prelude.c"),
        runtime("tables.c"),
        _lines(tables(model)),
        runtime("core.c"),
        runtime("fault.c"),
        *(runtime(name) for name in _WIRES[model.schema.format]),
        runtime("native.c"),
        '#define HL_ALLOCATOR "hlfuzz_alloc"\n',
        runtime("memory.c"),
        runtime("calls.c"),
        _title("The interface"),
        _lines(_codecs(model)),
        _lines(definitions(model)),
        handshake(model.schema),
    ]
    return "\n".join(parts)


def _lines(lines: Iterator[str]) -> str:
    return "\n".join(lines) + "\n"


def _title(text: str) -> str:
    return f"/* ---- {text} ".ljust(107, "-") + " */\n"


def _codecs(model: Model) -> Iterator[str]:
    for record in model.records.values():
        if not record.functions[0]:
            continue
        init, decode, encode = record.functions
        name, index = record.name, record.index
        yield f"void {init}({name} *value) {{ hl_preset({index}, value); }}"
        yield f"bool {decode}(hl_arena *arena, const uint8_t *data, uint32_t len, const {name} **out) {{"
        yield "    const void *found;"
        yield f"    bool read = hl_decode(arena, {index}, data, len, &found);"
        yield "    *out = found;"
        yield "    return read;"
        yield "}"
        yield f"bool {encode}(hl_arena *arena, const {name} *value, hl_bytes *out) {{"
        yield f"    return hl_encode(arena, {index}, value, out);"
        yield "}"
        yield ""


def handshake(schema: Schema) -> str:
    """The handshake as a custom section of Wasm, or as an ELF note: the text that the host compares."""
    text = f"hlfuzz.v1 {schema_id(schema)}\n{canonical(schema)}".encode()
    lines = "\n".join(f'    ".ascii \\"{assembled(line)}\\"\\n"' for line in text.splitlines(keepends=True))
    return f"""{_title("The handshake: which interface this guest was built for")}
/* Assembly, because C has no way to make a custom section; and one statement, so that it stays in order. */
#define HL_HANDSHAKE \\
{lines.replace(chr(10), " " + chr(92) + chr(10))}

#if defined(__wasm__)
__asm__(".section .custom_section.hlfuzz.v1,\\"\\",@\\n" HL_HANDSHAKE ".text\\n");
#else
/* An ELF note: owner "hlfuzz", type 1. */
__asm__(".pushsection .note.hlfuzz,\\"a\\",%note\\n"
        ".balign 4\\n.long 7, {len(text)}, 1\\n.asciz \\"hlfuzz\\"\\n.balign 4\\n" HL_HANDSHAKE
        ".balign 4\\n.popsection\\n");
#endif
"""
