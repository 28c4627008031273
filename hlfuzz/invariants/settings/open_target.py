"""Opens a target of a project: a configured name, or a module's file, becomes a `Target`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hlfuzz.errors import UsageError
from hlfuzz.guest import Guest
from hlfuzz.invariants.describe import describe_guest
from hlfuzz.invariants.interface import refuse_missing
from hlfuzz.invariants.settings.config import Config, HostMode, find_config, load_config
from hlfuzz.invariants.settings.project import MAX_TIMEOUT, Project, ProjectTarget
from hlfuzz.invariants.settings.seeds import read_seeds
from hlfuzz.invariants.settings.tables import suggestion
from hlfuzz.invariants.target import EngineName, Target
from hlfuzz.invariants.typed import Typed
from hlfuzz.sandbox import Provider, Wasi


def find_target(project: Project, name: str) -> ProjectTarget:
    """The configured target of that name, else the module in the file of that name.

    Raises: UsageError when it is neither, with what was probably meant.
    """
    if name in project.targets:
        return project.targets[name]
    path = Path(name)
    if path.is_file():
        return ProjectTarget(name=path.stem, module=path.absolute())
    if path.is_dir():
        raise UsageError(f"a folder in the place of a target ({name}): name a module in it")
    where = project.path or "no [tool.hlfuzz.targets] in pyproject.toml"
    hint = suggestion(name, project.targets)
    if path.suffix:
        hint = f"build it, or mend its path; of targets {hint}"
    raise UsageError(f"no target and no module file {name!r} ({where}): {hint}")


def open_project_target(
    project: Project,
    target: str | ProjectTarget,
    *,
    engine: EngineName | None = None,
    timeout: float | None = None,
    methods: tuple[str, ...] = (),
    host: Mapping[str, HostMode] | None = None,
    providers: Mapping[str, Provider] | None = None,
    schema: Typed | None = None,
) -> Target:
    """Loads a target's module and everything that is needed to call it.

    `target`: a configured name, a module's file, or what `find_target` gave. `engine` and `timeout` (CPU
    seconds of one call) go before what the settings say; `methods` limits what is called to these; `host`
    allows further stand-ins; `providers` are real ones, as in `Target`; `schema` goes
    before that of the settings.

    Raises: UsageError, ModuleError, SchemaError; LinkError when the guest was built for another schema.
    """
    found = find_target(project, target) if isinstance(target, str) else target
    seconds = timeout or found.timeout or project.timeout
    if not 0 < seconds <= MAX_TIMEOUT:
        raise UsageError(f"timeout {seconds} is out of range ({found.name}): give seconds up to 3600")
    if not found.module.is_file():
        raise UsageError(f"no module ({found.module}, target {found.name!r}): build it, or mend its path")
    guest = Guest.load(found.module)
    config = _config(found)
    native = found.native or config.native
    interface = describe_guest(
        guest, config, only=methods, host=host, stub_imports=found.stub_imports, typed=schema
    )
    refuse_missing(guest.info, interface, wasi=found.wasi, given=providers or ())
    return Target(
        guest,
        interface,
        engine=engine or found.engine or project.engine,
        deadline=seconds,
        seeds=[seed for folder in found.corpus for seed in read_seeds(folder)],
        wasi=Wasi(allow="all") if found.wasi else None,
        host=providers,
        native=None if native is None else Guest.from_elf(native),
    )


def _config(target: ProjectTarget) -> Config:
    """What the hlfuzz.toml of the guest says, and over it what the project's table of the target says."""
    path = target.config or find_config(target.module)
    own = target.interface
    if path is None:
        return own
    read = load_config(path)
    return replace(
        read,
        host={**read.host, **own.host},
        methods={**read.methods, **own.methods},
        tenant_open=own.tenant_open or read.tenant_open,
        allocator=own.allocator if own.allocator is not None else read.allocator,
        schema=own.schema or read.schema,
        native=read.native,
    )
