"""What README and documentation show works: Python, C, commands; pages and links exist."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from c_library import install
from markdown_blocks import Block, blocks, commands, promised_output
from packages import ROOT, Installed

pytestmark = [
    pytest.mark.timeout(1200),  # the first of these tests may build the wheel
    pytest.mark.programs("gcc", "g++", "pkg-config", "npm"),
]

PAGES = sorted(
    str(p.relative_to(ROOT)) for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("ci/*.md")]
)


@pytest.fixture
def shell(installed: Installed, tmp_path: Path):
    """Runs a command line as a reader would, in one folder; exit code 1 (findings) must be expected."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for program in ("hlfuzz", "pytest"):
        (tools / program).symlink_to(installed.bin / program)
    # The C compiler comes with this environment, and is not part of an installation.
    (tools / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    (tools / "python").chmod(0o755)
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "NO_COLOR": "1", "COLUMNS": "120"}

    def run(command: str, exit_code: int = 0) -> str:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == exit_code, f"$ {command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


def one(found: list[Block], language: str, containing: str) -> Block:
    (block,) = [b for b in found if b.language == language and containing in b.text]
    return block


def test_the_python_example_of_the_readme_runs(installed: Installed, tmp_path: Path) -> None:
    example = one(blocks("README.md"), "python", "hlfuzz.Sandbox")
    done = installed.run("python", "-c", example.text, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "guest: 1\nguest: 1\nguest: 1\nguest: 2\n"


def test_the_command_line_example_of_the_readme_runs(shell) -> None:
    for command, output in commands(one(blocks("README.md"), "console", "npm install")):
        printed = shell(command).splitlines()
        assert all(line in printed for line in output), (command, output, printed)


def test_the_make_targets_of_the_readme_exist() -> None:
    named = commands(one(blocks("README.md"), "console", "make demo"))
    assert [command for command, _ in named] == ["make demo", "make test"]
    for command, _ in named:
        subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def test_the_tutorial_runs_from_its_first_line_to_its_last(
    shell, installed: Installed, tmp_path: Path
) -> None:
    page = blocks("docs/tutorial.md")
    assert [b.language for b in page] == [
        "c",
        "console",
        *["python"] * 3,
        "console",
        "toml",
        *["console"] * 2,
    ]
    source, compiling, *programs, checking, settings, fuzzing, reproducing = page
    (tmp_path / "sum.c").write_text(source.text)
    for command, _ in commands(compiling):
        shell(command)

    program = "".join(block.text for block in programs)
    done = installed.run("python", "-c", program, cwd=tmp_path)
    assert done.stdout.split() == promised_output(program), done.stderr

    ((check, _),) = commands(checking)
    accused = shell(check, exit_code=1)
    assert re.search(r"context-dependence +guest +violated", accused)
    assert re.search(r"tenant-independence +guest +violated", accused)
    (tmp_path / "hlfuzz.toml").write_text(settings.text)
    assert "violated" not in shell(check)

    for command, _ in commands(fuzzing):
        assert "trap" in shell(command, exit_code=1)
    shutil.copy(tmp_path / "sum.wasm", tmp_path / "sum-fixed.wasm")
    for command, _ in commands(reproducing):
        shell(command, exit_code=1)


def test_the_tutorial_from_an_empty_folder_to_an_isolation_test_runs(
    shell, installed: Installed, tmp_path: Path
) -> None:
    installed.run("python", "-m", "pip", "install", "--quiet", "pytest", cwd=tmp_path)
    page = blocks("docs/tutorial-isolation.md")
    assert [b.language for b in page] == [
        *("c", "console", "toml", "console", "console", "c", "console", "python", "console")
    ]
    source, compiling, settings, checking, keeping, mended, again, own, pipeline = page
    (tmp_path / "filter.c").write_text(source.text)
    (tmp_path / "pyproject.toml").write_text(settings.text)
    ((compile_it, _),) = commands(compiling)
    shell(compile_it)
    ((check, _),) = commands(checking)
    accused = shell(check, exit_code=1)
    assert re.search(r"tenant-independence +guest +violated", accused)
    assert "hands 32 bytes of an earlier tenant's on_data to the next tenant" in accused
    assert (tmp_path / "report.html").is_file()

    (copy, _), (failing, _) = commands(keeping)
    shell(copy)
    assert "tenant-independence (accused: the guest)" in shell(failing, exit_code=1)

    *kept, last, closing = source.text.splitlines()
    assert last.strip() == "write(reply, sizeof reply);"
    (tmp_path / "filter.c").write_text("\n".join([*kept, mended.text.rstrip(), closing]))
    (compile_again, _), (passing, _), (check_again, _) = commands(again)
    shell(compile_again)
    assert "1 passed" in shell(passing)
    assert "violated" not in shell(check_again)
    (tmp_path / "test_own.py").write_text(own.text)
    (run_own, _), (run_all, _) = commands(pipeline)
    assert "1 passed" in shell(run_own)
    assert "failed" not in shell(run_all)
    (tmp_path / "filter.c").write_text(source.text)
    shell(compile_again)
    assert "hands 32 bytes" in shell(run_own, exit_code=1)


def test_the_tutorial_from_schema_to_call_runs_from_its_first_line_to_its_last(
    shell, installed: Installed, tmp_path: Path
) -> None:
    page = blocks("docs/tutorial-schema.md")
    assert [b.language for b in page] == ["fbs", "console", "c", "console", "python", "python", "python"]
    schema, generating, source, compiling, *programs = page
    (tmp_path / "words.fbs").write_text(schema.text)
    (tmp_path / "guest.c").write_text(source.text)
    ((command, printed),) = commands(generating)
    assert shell(command).splitlines() == printed
    for command, _ in commands(compiling):
        shell(command)
    program = "".join(block.text for block in programs)
    (tmp_path / "host.py").write_text(program)
    done = installed.run("python", "host.py", cwd=tmp_path)
    assert done.stdout.split() == promised_output(program), done.stderr
    ((check, _),) = commands(generating)
    assert shell(f"{check} --check") != ""
    (tmp_path / "words_hl.c").write_text("changed")
    assert "words_hl.c" in shell(f"{check} --check", exit_code=1)


@pytest.mark.parametrize("linking", ["static", "shared"])
def test_the_c_example_compiles_and_runs(linking: str, tmp_path: Path) -> None:
    main = """
#include <stdlib.h>
int main(int argc, char **argv) {
    static uint8_t wasm[65536];
    FILE *file = fopen(argv[1], "rb");
    size_t len = file ? fread(wasm, 1, sizeof wasm, file) : 0;
    return argc == 3 ? call_first(wasm, len, atoi(argv[2])) : 2;
}
"""
    guest = '(func (export "double") (param i32) (result i32) (i32.add (local.get 0) (local.get 0)))'
    assert run_c_example("c", main, linking, guest, tmp_path) == "returned 42\n"


def test_the_cpp_example_compiles_and_runs(tmp_path: Path) -> None:
    main = """
#include <fstream>
#include <iterator>
int main(int, char **argv) {
    std::ifstream file(argv[1], std::ios::binary);
    return add({std::istreambuf_iterator<char>(file), {}});
}
"""
    guest = '(func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))'
    assert run_c_example("cpp", main, "shared", guest, tmp_path) == "returned 42\n"


def run_c_example(language: str, main: str, linking: str, guest: str, folder: Path) -> str:
    import wasmtime

    (example,) = (b.text for b in blocks("docs/c-api.md") if b.language == language)
    source = folder / f"example.{language}"
    source.write_text(example + main)
    (folder / "guest.wasm").write_bytes(bytes(wasmtime.wat2wasm(f"(module {guest})")))
    program = install(folder / "prefix").build(source, folder / "example", linking)
    done = subprocess.run([program, folder / "guest.wasm", "21"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_are_python(page: str) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, page, "exec")


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}, target
