"""Wire codecs and verifiers over the IR, one folder a format."""

from __future__ import annotations
