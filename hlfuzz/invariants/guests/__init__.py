"""The checkers' own guests: what the guest under test may never try, these do."""

from __future__ import annotations
