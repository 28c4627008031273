"""`Wasi`: what a guest built for WASI preview 1 is given."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Final, Literal

from hlfuzz.errors import UsageError
from hlfuzz.sandbox.wasi.abi import GROUPS
from hlfuzz.sandbox.wasi.files import tree

DEFAULT_CLOCK: Final = 946_684_800 * 10**9
"""2000-01-01T00:00:00Z in nanoseconds of Unix time."""

DEFAULT_STEP: Final = 1_000
DEFAULT_OUTPUT: Final = 1 << 20
_LAST_CLOCK: Final = (1 << 63) - 1


class Wasi:
    """What a WASI guest is given; immutable, for any number of sandboxes. Nothing is taken from this process,
    and what is not asked for here is refused: `Wasi()` gives nothing.

    Arguments:
        args: command line, the program's name first. Any allows "args".
        environ: environment variables. Any allow "environ".
        stdin: what standard input holds; then it is at its end. Any bytes allow "stdio".
        stdout_limit, stderr_limit: bytes kept of each; writing more fails with ENOSPC.
        files: a read-only directory, preopened as "/": content by path. Any allow "files".
        clock: Unix time in nanoseconds when the guest starts. Time passes by `clock_step` nanoseconds each
            time it is asked for, and at once when the guest sleeps.
        random_seed: what random bytes are made from, 0 or above.
        allow: further groups of functions, of "args", "environ", "clock", "random", "stdio", "files", "poll",
            "exit". "all" instead of groups: all of them, with "files" only if there are any.

    Raises `UsageError` for a value out of range, a NUL in a text, an unknown group, a wrong path.
    """

    __slots__ = (
        "_key",
        "allow",
        "args",
        "clock",
        "clock_step",
        "environ",
        "random_seed",
        "root",
        "stderr_limit",
        "stdin",
        "stdout_limit",
    )

    def __init__(
        self,
        args: Iterable[str] = (),
        environ: Mapping[str, str] | None = None,
        *,
        stdin: bytes = b"",
        stdout_limit: int = DEFAULT_OUTPUT,
        stderr_limit: int = DEFAULT_OUTPUT,
        files: Mapping[str, bytes] | None = None,
        clock: int = DEFAULT_CLOCK,
        clock_step: int = DEFAULT_STEP,
        random_seed: int = 0,
        allow: Iterable[str] | Literal["all"] = (),
    ) -> None:
        self.args = tuple(_text("args", a) for a in args)
        self.environ = tuple(_variable(name, value) for name, value in (environ or {}).items())
        self.stdin = bytes(stdin)
        self.stdout_limit = _number("stdout_limit", stdout_limit)
        self.stderr_limit = _number("stderr_limit", stderr_limit)
        self.root = tree(files or {})
        self.clock = _number("clock", clock)
        self.clock_step = _number("clock_step", clock_step)
        self.random_seed = _number("random_seed", random_seed)
        content = {"args": self.args, "environ": self.environ, "stdio": self.stdin, "files": files}
        self.allow = _groups(allow) | {group for group, given in content.items() if given}
        self._key: Hashable = (
            self.args,
            self.environ,
            self.stdin,
            self.stdout_limit,
            self.stderr_limit,
            tuple(sorted((path.removeprefix("/"), bytes(data)) for path, data in (files or {}).items())),
            self.clock,
            self.clock_step,
            self.random_seed,
            self.allow,
        )

    @property
    def key(self) -> Hashable:
        """Equal for two that give a guest the same."""
        return self._key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Wasi) and self._key == other.key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"<Wasi {' '.join(g for g in GROUPS if g in self.allow)}>"


def _groups(allow: Iterable[str]) -> frozenset[str]:
    if allow == "all":
        return frozenset(GROUPS) - {"files"}
    named = frozenset({allow} if isinstance(allow, str) else allow)
    unknown = sorted(named - set(GROUPS))
    if unknown:
        raise UsageError(
            f"unknown group (Wasi allow, {unknown[0]!r}): choose from {', '.join(GROUPS)}, or allow='all'"
        )
    return named


def _number(name: str, value: int) -> int:
    if not 0 <= value <= _LAST_CLOCK:
        raise UsageError(f"out of range (Wasi {name}={value}): choose from 0 to {_LAST_CLOCK}")
    return int(value)


def _text(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    if b"\0" in data:
        raise UsageError(f"a NUL in a text (Wasi {name}, {value!r}): guests read up to it; leave it out")
    return data


def _variable(name: str, value: str) -> bytes:
    if not name or "=" in name:
        raise UsageError(f"no name of a variable (Wasi environ, {name!r}): leave out '='")
    return _text("environ", f"{name}={value}")
