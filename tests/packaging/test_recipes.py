"""The recipes for CI and the documentation's configuration are valid YAML that names what exists."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from packages import ROOT, Installed
from typer.main import get_command

pytestmark = pytest.mark.timeout(1200)  # the first of these tests may build the wheel

RECIPES = ("ci/github-actions.yml", "ci/gitlab-ci.yml")


@pytest.fixture(scope="module")
def load(installed: Installed):
    """Parses a YAML file; the parser lives in the environment of the wheel."""
    done = installed.run("python", "-m", "pip", "install", "--quiet", "pyyaml", cwd=ROOT)
    assert done.returncode == 0, done.stderr

    def parse(path: str) -> Any:
        program = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1])), default=str))"
        read = installed.run("python", "-c", program, path, cwd=ROOT)
        assert read.returncode == 0, read.stderr
        return json.loads(read.stdout)

    return parse


def scripts(recipe: str, document: Any) -> list[str]:
    """The shell lines of a recipe."""
    if "github" in recipe:
        steps = document["jobs"]["guest"]["steps"]
        return [line for step in steps for line in step.get("run", "").splitlines()]
    return [*document["hlfuzz"]["before_script"], *document["hlfuzz"]["script"]]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_checks_and_fuzzes_with_options_that_exist(recipe: str, load) -> None:
    from hlfuzz.cli import app

    known = get_command(app).commands  # type: ignore[attr-defined]
    used = []
    for line in scripts(recipe, load(recipe)):
        match = re.search(r"hlfuzz (\w+)([^#>;]*)", line)
        if match and not line.startswith("pip") and match[1] in known:
            used.append(match[1])
            options = {name for parameter in known[match[1]].params for name in parameter.opts}
            assert set(re.findall(r"--[\w-]+", match[2])) <= options, line
    assert used == ["doctor", "check", "fuzz"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_keeps_the_corpus_and_the_findings(recipe: str) -> None:
    text = (ROOT / recipe).read_text(encoding="utf-8")
    assert ".hlfuzz/guest/corpus" in text
    assert ".hlfuzz/guest/findings" in text


def test_every_page_of_the_documentation_is_in_its_navigation(load) -> None:
    def pages(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        values = entry.values() if isinstance(entry, dict) else entry
        return [page for value in values for page in pages(value)]

    listed = pages(load("mkdocs.yml")["nav"])
    assert sorted(listed) == sorted(p.name for p in Path(ROOT / "docs").glob("*.md"))
