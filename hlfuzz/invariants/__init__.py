"""The properties that hlfuzz checks; each checker says who is to blame: the platform or the guest."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

from hlfuzz.invariants.abi_conformity import AbiConformity
from hlfuzz.invariants.base import (
    Budget,
    Fault,
    Invariant,
    Kind,
    Problem,
    Row,
    Status,
    Subject,
    TraceInvariant,
    Verdict,
)
from hlfuzz.invariants.bounds import Bounds
from hlfuzz.invariants.callback_thread import CallbackThread
from hlfuzz.invariants.capability import Capability
from hlfuzz.invariants.case import Case, Injection, Secret, case_from_json, case_to_json
from hlfuzz.invariants.context_dependence import ContextDependence
from hlfuzz.invariants.context_finish import ContextFinish
from hlfuzz.invariants.context_persist import ContextPersist
from hlfuzz.invariants.decorator import invariants as _decorate
from hlfuzz.invariants.determinism import Determinism
from hlfuzz.invariants.differential import Differential
from hlfuzz.invariants.double_fetch import DoubleFetch
from hlfuzz.invariants.error_containment import ErrorContainment
from hlfuzz.invariants.events import (
    Called,
    ContextEnded,
    ContextOpened,
    Event,
    Run,
    SandboxClosed,
    SandboxOpened,
    SandboxReset,
    StrayHostCall,
)
from hlfuzz.invariants.interface import Interface, Method, describe_interface, refuse_missing
from hlfuzz.invariants.memory_isolation import MemoryIsolation
from hlfuzz.invariants.noninterference import Noninterference
from hlfuzz.invariants.observe import HostCall, Observation, observation_text
from hlfuzz.invariants.registry import INVARIANTS, choose, examine, register
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.settings.checkers import load_checkers
from hlfuzz.invariants.settings.config import Config, HostMode, find_config, load_config, parse_host_option
from hlfuzz.invariants.settings.open_target import find_target, open_project_target
from hlfuzz.invariants.settings.project import Project, ProjectTarget, find_project
from hlfuzz.invariants.settings.seeds import read_seeds
from hlfuzz.invariants.state_reset import StateReset
from hlfuzz.invariants.target import Target
from hlfuzz.invariants.tenant_independence import TenantIndependence

for _invariant in (
    StateReset(),
    ContextPersist(),
    ContextFinish(),
    Determinism(),
    MemoryIsolation(),
    Noninterference(),
    Capability(),
    AbiConformity(),
    CallbackThread(),
    DoubleFetch(),
    Bounds(),
    ErrorContainment(),
    Differential(),
    ContextDependence(),
    TenantIndependence(),
):
    register(_invariant)

__all__ = [
    "INVARIANTS",
    "Budget",
    "Called",
    "Case",
    "Config",
    "ContextEnded",
    "ContextOpened",
    "Event",
    "Fault",
    "HostCall",
    "HostMode",
    "Injection",
    "Interface",
    "Invariant",
    "Kind",
    "Method",
    "Observation",
    "Problem",
    "Project",
    "ProjectTarget",
    "Row",
    "Run",
    "SandboxClosed",
    "SandboxOpened",
    "SandboxReset",
    "Secret",
    "Session",
    "Status",
    "StrayHostCall",
    "Subject",
    "Target",
    "TraceInvariant",
    "Verdict",
    "case_from_json",
    "case_to_json",
    "choose",
    "describe_interface",
    "examine",
    "find_config",
    "find_project",
    "find_target",
    "load_checkers",
    "load_config",
    "observation_text",
    "open_project_target",
    "parse_host_option",
    "read_seeds",
    "refuse_missing",
    "register",
]

_Test = TypeVar("_Test", bound=Callable[..., object])


class _Decorator(ModuleType):
    """This package can be called: `@hlfuzz.invariants("state-reset")`."""

    def __call__(self, *chosen: str | Invariant) -> Callable[[_Test], _Test]:
        __tracebackhide__ = True
        return _decorate(*chosen)


sys.modules[__name__].__class__ = _Decorator
