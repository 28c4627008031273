"""The guests that docs/guest-abi.md shows compile and answer; nesting to the limit fits their stack."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from needs import missing

from hlfuzz import Guest
from hlfuzz.bindings.client import client_of
from hlfuzz.bindings.interface import Interface
from hlfuzz.errors import GuestError
from hlfuzz.generate import c, cpp

ROOT = Path(__file__).resolve().parents[2]
HELLO = """
syntax = "proto3";
package hello;
message Name { string name = 1; }
message Greeting { string text = 1; }
service GreeterGuest { rpc greet(Name) returns (Greeting); }
"""
DEEP = {
    "fbs": "namespace deep; table T { x:int; c:[T]; } rpc_service DeepGuest { echo(T):T; }",
    "proto": """
syntax = "proto3";
package deep;
message T { int32 x = 1; repeated T c = 2; }
service DeepGuest { rpc echo(T) returns (T); }
""",
}
ECHO = """
#include "deep_hl.h"
hl_status deep_DeepGuest_echo(hl_call *call, const deep_T *request, deep_T *response) {
    (void)call;
    *response = *request;
    return HL_OK;
}
"""


def block(language: str) -> str:
    """The one block of the page in this language."""
    page = (ROOT / "docs" / "guest-abi.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return found


def compiled(interface: Interface, source: str, folder: Path, *, stem: str, suffix: str = ".c") -> Guest:
    """A guest made of generated code and a source, by the flags that the page shows."""
    if importlib.util.find_spec("ziglang") is None:
        missing("the C guests need ziglang: pip install ziglang")
    for name, text in (c.generate(interface.schema) | cpp.generate(interface.schema)).items():
        (folder / name).write_text(text)
    (folder / f"{stem}{suffix}").write_text(source)
    flags = re.search(r"ziglang cc (.*) \\$", block("sh"), re.MULTILINE)
    assert flags is not None
    objects: list[str] = []
    for file in (f"{stem}{suffix}", f"{stem}_hl.c"):
        compiler = ["c++", "-std=c++17", "-fno-exceptions", "-fno-rtti"] if file.endswith(".cpp") else ["cc"]
        objects.append(str(folder / f"{file}.o"))
        zig(*compiler, *flags[1].split(), "-I", str(folder), "-c", "-o", objects[-1], str(folder / file))
    zig("cc", *flags[1].split(), "-Wl,-z,stack-size=16384", "-o", str(folder / "guest.wasm"), *objects)
    return Guest.from_wasm(folder / "guest.wasm")


def zig(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "ziglang", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("language", "suffix", "answer"), [("c", ".c", "Hello, Ada"), ("cpp", ".cpp", "Ada")]
)
def test_the_complete_guest_of_the_page_answers(
    tmp_path: Path, language: str, suffix: str, answer: str
) -> None:
    (tmp_path / "hello.proto").write_text(HELLO)
    interface = Interface.load(tmp_path / "hello.proto")
    guest = compiled(interface, block(language), tmp_path, stem="hello", suffix=suffix)
    name = interface.classes.definitions["hello.Name"]
    with client_of(interface, "hello.GreeterGuest").open(guest) as client:
        assert client.invoke("greet", name(name="Ada")).text == answer
        with pytest.raises(GuestError, match="who is there") as caught:
            client.invoke("greet", name())
        assert caught.value.code == 16


@pytest.mark.parametrize("suffix", ["fbs", "proto"])
def test_64_levels_fit_16_kib_of_stack(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"deep.{suffix}").write_text(DEEP[suffix])
    interface = Interface.load(tmp_path / f"deep.{suffix}")
    record: Any = interface.classes.definitions["deep.T"]
    value = record(x=1)
    for _ in range(63):
        value = record(x=2, c=[value])
    guest = compiled(interface, ECHO, tmp_path, stem="deep")
    with client_of(interface, "deep.DeepGuest").open(guest) as client:
        assert client.invoke("echo", value) == value
