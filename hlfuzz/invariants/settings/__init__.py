"""What a project and a guest's own file say: targets, engines, host functions, methods, seeds."""

from __future__ import annotations
