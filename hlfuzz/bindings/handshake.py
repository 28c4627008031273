"""The handshake: a guest carries the canonical text of its interface, and a host refuses another one by name.

The text is in the Wasm custom section `hlfuzz.v1`, or in an ELF note: a line "hlfuzz.v1 <schema id>", then
the canonical text, whose SHA-256 is the id (docs/handshake.md).
"""

from __future__ import annotations

import hashlib
from typing import Final

from hlfuzz.errors import LinkError
from hlfuzz.guest import HANDSHAKE, Guest
from hlfuzz.schema.canonical import canonical, first_difference
from hlfuzz.schema.ir import Schema

SECTION: Final = HANDSHAKE
"""Name of the custom section and first word of its text."""
MAX_SECTION_BYTES: Final = 16 << 20
"""Longest text that is compared; the interface of googleapis' largest file has less than a tenth of it."""


def section_text(schema: Schema) -> str:
    """What the section of a guest for this interface holds."""
    text = canonical(schema)
    return f"{SECTION} {hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def check_handshake(schema: Schema, guest: Guest) -> None:
    """Raise `LinkError` when `guest` was built for another interface, with the first difference, or says
    nothing about its interface."""
    content = guest.handshake
    if content is None:
        raise LinkError(
            f"the module does not say which interface it was built for ({guest.name}, no custom section "
            f"{SECTION!r}): link the generated guest code, or add the section with `hlfuzz stamp`"
        )
    if len(content) > MAX_SECTION_BYTES:
        raise LinkError(
            f"its custom section {SECTION!r} has {len(content)} bytes, more than {MAX_SECTION_BYTES} "
            f"({guest.name}): build it again"
        )
    wanted = section_text(schema)
    if content == wanted.encode():
        return
    head, _, theirs = content.decode("utf-8", "backslashreplace").partition("\n")
    word, _, claimed = head.partition(" ")
    if word != SECTION:
        raise LinkError(
            f"its custom section {SECTION!r} does not begin with its own name ({guest.name}): build it again "
            "with the generated code of this version"
        )
    if claimed != hashlib.sha256(content.partition(b"\n")[2]).hexdigest():
        raise LinkError(
            f"the schema id in its custom section {SECTION!r} is not the SHA-256 of the text that follows "
            f"({guest.name}): the module is damaged; build it again"
        )
    difference = first_difference(canonical(schema), theirs)
    raise LinkError(
        f"the module was built for another interface ({guest.name}): {difference}; build it again from the "
        f"host's schema ({schema.name}), or use the guest's"
    )
