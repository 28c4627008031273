"""Shortens the traceback of an error that hlfuzz raised about its use: what counts is the user's line."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from types import TracebackType
from typing import Final

import pytest
from _pytest._code import Traceback

import hlfuzz
from hlfuzz.errors import HlfuzzError

_PACKAGE: Final = str(Path(hlfuzz.__file__).parent)
_LIBRARY: Final = sysconfig.get_path("stdlib")


def shorten(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """Leaves the frames of hlfuzz and of Python's library out of an error of the tool, and the causes that
    show nothing else. The frames of host functions stay."""
    error = excinfo.value
    own = _without_ours(excinfo.tb)
    if not isinstance(error, HlfuzzError) or own is None:
        return
    excinfo.traceback = Traceback(own)
    while (cause := error.__cause__) is not None:
        theirs = _without_ours(cause.__traceback__)
        if theirs is None:
            error.__cause__ = None
            error.__suppress_context__ = True
            return
        cause.__traceback__ = theirs
        error = cause


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    if trace is None:
        return None
    rest = _without_ours(trace.tb_next)
    if _is_ours(trace.tb_frame.f_code.co_filename):
        return rest
    return TracebackType(rest, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)


def _is_ours(file: str) -> bool:
    library = file.startswith((_LIBRARY, "<frozen")) and "site-packages" not in file
    return library or file.startswith(_PACKAGE)
