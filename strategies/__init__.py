"""Domain strategies over generated ones: HTTP/1, HTTP/2, TLS, and what a proxy sends to a network filter.

Every module has valid traffic and, with `hostile` in the name, traffic that breaks a rule of its protocol.
"""

from __future__ import annotations
