"""Failures on purpose, at host calls, native steps and VM exits, and what must be true after each."""

from __future__ import annotations
