"""Sandboxes that run in threads of their own, for event loops: calls are awaited, host functions run in the
owner's thread.

A call is ordinary synchronous code: it runs in a greenlet of the owner's thread, which gives way while the
guest is at work, and while a coroutine of the host is awaited. So there is one way to make a call, whoever
waits for it.
"""

from __future__ import annotations
