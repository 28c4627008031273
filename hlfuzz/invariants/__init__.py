"""The properties that hlfuzz checks; each checker says who is to blame: the platform or the guest."""

from __future__ import annotations

from typing import Final

from hlfuzz.invariants.base import Budget, Fault, Invariant, Kind, Row, Status, Subject, Verdict
from hlfuzz.invariants.bounds import Bounds
from hlfuzz.invariants.capability import Capability
from hlfuzz.invariants.case import Case, Secret, case_from_json, case_to_json
from hlfuzz.invariants.config import Config, HostMode, find_config, load_config, parse_host_option
from hlfuzz.invariants.context_dependence import ContextDependence
from hlfuzz.invariants.determinism import Determinism
from hlfuzz.invariants.differential import Differential
from hlfuzz.invariants.interface import Interface, Method, describe_interface, refuse_missing
from hlfuzz.invariants.memory_isolation import MemoryIsolation
from hlfuzz.invariants.observe import HostCall, Observation, observation_text
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.state_reset import StateReset
from hlfuzz.invariants.target import Target
from hlfuzz.invariants.tenant_independence import TenantIndependence

INVARIANTS: Final[dict[str, Invariant]] = {
    invariant.id: invariant
    for invariant in (
        StateReset(),
        Determinism(),
        MemoryIsolation(),
        Capability(),
        Bounds(),
        Differential(),
        ContextDependence(),
        TenantIndependence(),
    )
}
"""Every checker by its id, in the order of a report: platform first."""

__all__ = [
    "INVARIANTS",
    "Budget",
    "Case",
    "Config",
    "Fault",
    "HostCall",
    "HostMode",
    "Interface",
    "Invariant",
    "Kind",
    "Method",
    "Observation",
    "Row",
    "Secret",
    "Session",
    "Status",
    "Subject",
    "Target",
    "Verdict",
    "case_from_json",
    "case_to_json",
    "describe_interface",
    "find_config",
    "load_config",
    "observation_text",
    "parse_host_option",
    "refuse_missing",
]
