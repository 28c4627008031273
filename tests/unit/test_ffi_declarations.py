"""What the build reads from the C header."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEADER = """/* #define HL_NO 1 */
#ifndef H
#define H
#include <stdint.h>
#define HL_A 1 // one
#define HL_B UINT32_MAX
#ifdef __cplusplus
extern "C" {
#endif // c++
int f(void);
#ifdef __cplusplus
}
#endif
#endif
"""


def declarations(header: str) -> str:
    import os

    before = Path.cwd()
    os.chdir(ROOT)
    try:
        return runpy.run_path(str(ROOT / "hlfuzz/vmm/_build_ffi.py"))["declarations"](header)
    finally:
        os.chdir(before)


def test_directives_and_comments_go_and_constants_are_left_to_the_compiler():
    text = declarations(HEADER)
    assert [line for line in text.splitlines() if line.strip()] == [
        "#define HL_A ...",
        "#define HL_B ...",
        "int f(void);",
    ]


def test_every_function_and_constant_of_the_header_is_in_the_extension():
    import re

    from hlfuzz.vmm.library import lib

    header = (ROOT / "crates/capi/include/hlfuzz.h").read_text()
    functions = set(re.findall(r"^\S.*?\b(hl_\w+)\(", header, flags=re.MULTILINE))
    constants = set(re.findall(r"^#define (HL_\w+) ", header, flags=re.MULTILINE))
    assert len(functions) > 30
    assert functions | constants <= set(dir(lib))


def test_the_library_has_the_version_of_the_header():
    from hlfuzz.vmm.library import lib

    assert lib.hl_abi_version() == lib.HL_ABI_VERSION
