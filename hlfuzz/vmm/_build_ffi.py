"""Makes `hlfuzz.vmm._native` from the C header: run by setup.py, not imported by the package."""

from __future__ import annotations

import re
from pathlib import Path

from cffi import FFI  # pyright: ignore[reportMissingTypeStubs]

HEADER = Path("crates/capi/include/hlfuzz.h")


def declarations(header: str) -> str:
    """What cffi needs of the header: its types and functions, and each integer constant with a value that the
    compiler fills in."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header, flags=re.DOTALL)
    text = re.sub(r"#ifdef __cplusplus\b.*?#endif", "", text, flags=re.DOTALL)
    constants = re.findall(r"^#define[ \t]+(HL_\w+)[ \t]+\S", text, flags=re.MULTILINE)
    code = re.sub(r"^[ \t]*#.*$", "", text, flags=re.MULTILINE)
    return "\n".join(f"#define {name} ..." for name in constants) + "\n" + code


ffi = FFI()
ffi.cdef(declarations(HEADER.read_text(encoding="utf-8")))
ffi.set_source(
    "hlfuzz.vmm._native",
    f'#include "{HEADER.name}"\n',
    include_dirs=[str(HEADER.parent)],
    # What Rust's standard library needs (rustc --print native-static-libs).
    libraries=["gcc_s", "util", "rt", "pthread", "m", "dl"],
    extra_link_args=["-Wl,--gc-sections", "-Wl,--exclude-libs,ALL"],
    py_limited_api=True,
)
