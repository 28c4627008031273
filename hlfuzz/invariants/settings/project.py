"""Reads a project's settings: [tool.hlfuzz] of pyproject.toml, or a hlfuzz.toml with [targets]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, cast

from hlfuzz.durations import seconds
from hlfuzz.errors import UsageError
from hlfuzz.invariants.settings.config import (
    CONFIG_NAME,
    INTERFACE_KEYS,
    PROJECT_KEYS,
    Config,
    check_version,
    read_interface,
)
from hlfuzz.invariants.settings.tables import Table, read_toml
from hlfuzz.invariants.target import EngineName, Reset

PYPROJECT_NAME: Final = "pyproject.toml"
DEFAULT_STORE: Final = Path(".hlfuzz")
DEFAULT_TIMEOUT: Final = 0.5
DEFAULT_TIME: Final = 20.0
ENGINES: Final = ("auto", "kvm", "inprocess")
RESETS: Final = ("strict", "memory")
MAX_TIMEOUT: Final = 3600.0
_PAGE: Final = "docs/pytest.md"
_TARGET_KEYS: Final = INTERFACE_KEYS | {
    "module",
    "config",
    "stub_imports",
    "wasi",
    "corpus",
    "invariants",
    "engine",
    "timeout",
}


@dataclass(frozen=True, slots=True)
class ProjectTarget:
    """One guest to check. Paths are absolute.

    `config`: its hlfuzz.toml, None for the one beside the module. `interface`: what its table says itself,
    which goes before what `config` says. `native`: a native guest built from the same source. `corpus`:
    folders of seeds. `invariants`, `engine`, `timeout`: None as the project says. `wasi`: give it all of WASI
    that costs nothing: arguments, clocks, output, no files.
    """

    name: str
    module: Path
    config: Path | None = None
    interface: Config = field(default_factory=Config)
    native: Path | None = None
    stub_imports: bool = False
    wasi: bool = False
    corpus: tuple[Path, ...] = ()
    invariants: tuple[str, ...] | None = None
    engine: EngineName | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """The settings of a project; the defaults are those of a project without any.

    `folder` is what its paths are relative to, `path` the file with the settings. `timeout`: CPU seconds of
    one call; `time`: seconds for all checkers together; `seed`: None for a random one in each run;
    `require_kvm`: a run without micro-VMs fails; `store`: where findings are kept; `checkers`: Python files
    that register invariants of its own.
    """

    folder: Path
    path: Path | None = None
    targets: Mapping[str, ProjectTarget] = field(default_factory=dict[str, ProjectTarget])
    engine: EngineName = "auto"
    reset: Reset = "strict"
    timeout: float = DEFAULT_TIMEOUT
    seed: int | None = 0
    time: float = DEFAULT_TIME
    require_kvm: bool = False
    store: Path = DEFAULT_STORE
    invariants: tuple[str, ...] | None = None
    checkers: tuple[Path, ...] = ()


def find_project(start: Path) -> Project:
    """The settings in `start` or the nearest folder above it that has some; the defaults where none has.

    Raises: UsageError naming file and key for an unknown key, a wrong type or value, or settings in both
    files of one folder.
    """
    for folder in (start.absolute(), *start.absolute().parents):
        found = [t for t in (_from_pyproject(folder), _from_hlfuzz_toml(folder)) if t is not None]
        if len(found) > 1:
            raise UsageError(
                f"settings in two files ({found[0].path} and {found[1].path}): keep them in one of them"
            )
        if found:
            return _read(folder, found[0])
    return Project(start.absolute(), store=start.absolute() / DEFAULT_STORE)


def _from_pyproject(folder: Path) -> Table | None:
    path = folder / PYPROJECT_NAME
    if not path.is_file():
        return None
    tools = Table(path, "", read_toml(path), page=_PAGE).table("tool")
    return tools.table("hlfuzz") if "hlfuzz" in tools else None


def _from_hlfuzz_toml(folder: Path) -> Table | None:
    path = folder / CONFIG_NAME
    if not path.is_file():
        return None
    top = Table(path, "", read_toml(path), page=_PAGE)
    if "targets" not in top:
        return None  # it describes the modules beside it, not a project
    check_version(top)
    return top


def _read(folder: Path, table: Table) -> Project:
    table.only(PROJECT_KEYS if table.key else PROJECT_KEYS | INTERFACE_KEYS | {"version"})
    targets = {name: _target(folder, name, inner) for name, inner in table.table("targets").tables()}
    store = table.get("store", str)
    return Project(
        folder=folder,
        path=table.path,
        targets=targets,
        engine=cast(EngineName, table.choice("engine", ENGINES) or "auto"),
        reset=cast(Reset, table.choice("reset", RESETS) or "strict"),
        timeout=_timeout(table) or DEFAULT_TIMEOUT,
        seed=_seed(table),
        time=_time(table),
        require_kvm=bool(table.get("require_kvm", bool)),
        store=folder / (store or DEFAULT_STORE),
        invariants=table.texts("invariants"),
        checkers=tuple(folder / text for text in table.texts("checkers") or ()),
    )


def _target(folder: Path, name: str, table: Table) -> ProjectTarget:
    if not name or any(c.isspace() or c in "/:[]" or not c.isprintable() for c in name):
        raise table.error("", f"target name {name!r} has a character that test ids cannot have")
    table.only(_TARGET_KEYS)
    module = table.get("module", str)
    if module is None:
        raise table.error("module", "a target needs its module: a .wasm file or a native guest")
    return ProjectTarget(
        name=name,
        module=folder / module,
        config=_path(folder, table, "config"),
        interface=read_interface(table),
        native=_path(folder, table, "native"),
        stub_imports=bool(table.get("stub_imports", bool)),
        wasi=bool(table.get("wasi", bool)),
        corpus=tuple(folder / text for text in table.texts("corpus") or ()),
        invariants=table.texts("invariants"),
        engine=cast(EngineName | None, table.choice("engine", ENGINES)),
        timeout=_timeout(table),
    )


def _path(folder: Path, table: Table, name: str) -> Path | None:
    text = table.get(name, str)
    return None if text is None else folder / text


def _timeout(table: Table) -> float | None:
    value = table.number("timeout")
    if value is not None and not 0 < value <= MAX_TIMEOUT:
        raise table.error("timeout", f"{value} is out of range: give seconds, above 0 and up to 3600")
    return value


def _seed(table: Table) -> int | None:
    value: Literal["random"] | int | None = cast("Literal['random'] | int | None", table.raw("seed"))
    if value == "random":
        return None
    if value is not None and (type(value) is not int or value < 0):
        raise table.error("seed", 'expected a number from 0 on, or "random"')
    return value or 0


def _time(table: Table) -> float:
    if isinstance(table.raw("time"), str):
        try:
            return seconds(str(table.raw("time")), "time")
        except UsageError as error:
            raise table.error("time", str(error)) from None
    value = table.number("time")
    if value is not None and not 0 < value < float("inf"):
        raise table.error("time", f'{value} is no time above zero: write "20s" or 20')
    return value or DEFAULT_TIME
