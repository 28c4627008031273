"""`Record`: the bytes of a typed value, which still say what they mean."""

from __future__ import annotations

from collections.abc import Callable


class Record(bytes):
    """Encoded bytes that are compared as bytes and shown as the value in them.

    `text` gives that value as Python text.
    """

    _describe: Callable[[bytes], str]

    @classmethod
    def of(cls, data: bytes, describe: Callable[[bytes], str]) -> Record:
        """The bytes, with a function that describes them when somebody looks."""
        record = cls(data)
        record._describe = describe
        return record

    @property
    def text(self) -> str:
        """The value as Python text."""
        return self._describe(self)
