"""Typed calls over a schema: the run time of generated clients, and of clients without generated code."""

from __future__ import annotations

from hlfuzz.bindings.aio import AsyncTypedGuest
from hlfuzz.bindings.client import TypedGuest, client_of, schema_of
from hlfuzz.bindings.handshake import SECTION, check_handshake, section_text
from hlfuzz.bindings.interface import Interface
from hlfuzz.bindings.records import Code, HostRefusal
from hlfuzz.schema.values import Classes

__all__ = [
    "SECTION",
    "AsyncTypedGuest",
    "Classes",
    "Code",
    "HostRefusal",
    "Interface",
    "TypedGuest",
    "check_handshake",
    "client_of",
    "schema_of",
    "section_text",
]
