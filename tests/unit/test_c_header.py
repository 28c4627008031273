"""The C header says of everything in it what it is: a comment each, every parameter, every return value."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PATH = ROOT / "crates/capi/include/hlfuzz.h"
HEADER = PATH.read_text(encoding="utf-8")
PAGE = (ROOT / "docs/c-api.md").read_text(encoding="utf-8")
_COMMENT = r"(?:/\*\*\n(?P<comment>(?:\s*\*(?!/).*\n)*)\s*\*/\n)?"


class Function(NamedTuple):
    """A declaration of the header, with its comment."""

    name: str
    returns: str
    parameters: tuple[str, ...]
    comment: str


def functions() -> list[Function]:
    found: list[Function] = []
    pattern = _COMMENT + r"(?P<returns>[a-z][^;{}()#/]*?[ *])(?P<name>hl_\w+)\((?P<parameters>[^)]*)\);"
    for match in re.finditer("^" + pattern, HEADER, flags=re.MULTILINE):
        parameters = [part.strip() for part in match["parameters"].split(",")]
        names = tuple(re.split(r"[ *]", part)[-1] for part in parameters if part != "void")
        found.append(Function(match["name"], match["returns"].strip(), names, match["comment"] or ""))
    return found


FUNCTIONS = functions()


def test_all_functions_are_looked_at() -> None:
    assert {f.name for f in FUNCTIONS} == set(re.findall(r"\b(hl_\w+)\(", HEADER))
    assert len(FUNCTIONS) > 40


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.name)
def test_the_comment_of_a_function_names_each_parameter_and_what_it_returns(function: Function) -> None:
    assert function.comment, "no comment"
    documented = re.findall(r"@param (\w+) \S", function.comment)
    assert tuple(documented) == function.parameters
    assert ("@return " in function.comment) == (function.returns != "void")
    assert not function.comment.lstrip(" *").startswith("@"), "the first sentence says what it does"


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.name)
def test_each_function_is_on_the_page_of_the_c_api(function: Function) -> None:
    assert re.search(rf"\b{function.name}\b", PAGE)


def test_each_field_and_each_constant_has_a_comment() -> None:
    bare: list[str] = []
    for kind, name, body in re.findall(r"^typedef (struct|union) (hl_\w+) \{\n(.*?)^\}", HEADER, re.M | re.S):
        lines = [line for line in body.splitlines() if line.strip()]
        for above, line in pairwise(["", *lines]):
            if line.endswith(";") and not line.lstrip().startswith("*") and above.strip() != "*/":
                bare.append(f"{kind} {name}: {line.strip()}")
    lines = HEADER.splitlines()
    for above, line in pairwise(lines):
        if re.match(r"#define HL_\w+ ", line) and above.strip() != "*/":
            bare.append(line)
    assert bare == []


def test_every_error_code_is_on_the_page_of_the_c_api() -> None:
    codes = set(re.findall(r"#define (HL_E_\w+|HL_TRAP_\w+) ", HEADER))
    assert len(codes) > 20
    assert {code for code in codes if not re.search(rf"\b{code}\b", PAGE)} == set()


@pytest.mark.parametrize("header", ["hlfuzz.h", "hlfuzz.hpp"])
def test_clang_finds_no_fault_in_the_comments(header: str, tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    driver, suffix = ("cc", "c") if header.endswith(".h") else ("c++", "cpp")
    source = tmp_path / f"use.{suffix}"
    source.write_text(f'#include "{header}"\n')
    compiler = [sys.executable, "-m", "ziglang", driver, "-c", "-I", str(PATH.parent), "-o", os.devnull]
    checks = ["-Wall", "-Wextra", "-Wdocumentation", "-Werror"]
    done = subprocess.run([*compiler, *checks, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
