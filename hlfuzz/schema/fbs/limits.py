"""Bounds on schema sources: beyond them reading stops with an error instead of using up time or memory."""

from __future__ import annotations

from typing import Final

MAX_FILE_BYTES: Final = 16 << 20
MAX_TOTAL_BYTES: Final = 64 << 20
"""All files of one schema together."""
MAX_FILES: Final = 1_000
MAX_TOKENS: Final = 2_000_000
"""Tokens of all files together; about five seconds of reading."""
MAX_ITEMS: Final = 200_000
"""Definitions, fields, enum members and methods of all files together."""
MAX_FIELDS: Final = 32_765
"""Slots of a table: a vtable's own size, 4 + 2 bytes per slot, is a 16-bit number."""
MAX_NAME: Final = 512
"""Characters of an identifier."""
MAX_NUMBER: Final = 1_024
"""Characters of a number."""
MAX_STRING: Final = 65_536
"""Characters of a string constant as written."""
MAX_PARTS: Final = 32
"""Parts of a dotted name."""
MAX_DOTTED: Final = 1_024
"""Characters of a dotted name."""
MAX_FUNCTIONS: Final = 64
"""Conversion functions inside each other (flatc's parsing depth)."""
MAX_STRUCT_BYTES: Final = 0x7FFF_FFFF
MAX_INLINE_BYTES: Final = 65_531
"""Of a struct in a table: a table's size, with 4 bytes of offset to its vtable, is a 16-bit number."""
MAX_ARRAY: Final = 65_535
"""Elements of a fixed-size array (flatc keeps the length in 16 bits)."""
MAX_ALIGN: Final = 32
"""Largest `force_align` (FLATBUFFERS_MAX_ALIGNMENT)."""
