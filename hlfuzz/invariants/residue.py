"""What is left of calls in memory and registers, in words: evidence of `state-reset` and others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from hlfuzz.guest.data_map import DataMap
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.target import Target
from hlfuzz.model import Call, Difference, Ok, value_bits
from hlfuzz.sandbox import Sandbox

LINES: Final = 8
"""Lines of evidence at most: what a person reads."""
_LISTED: Final = 256
"""Differences that the first lines are chosen from."""


def differing_vm(box: Sandbox) -> tuple[str, ...]:
    """What of the micro-VM differs from the snapshot; places that the guest's author knows come first."""
    found = box.differences(limit=_LISTED)
    named = sorted(found, key=lambda d: d.place.startswith("the "))
    lines = [str(d) for d in named[:LINES]]
    if len(found) > LINES:
        more = "at least " if len(found) == _LISTED else ""
        lines.append(f"and {more}{len(found) - LINES} more places")
    return tuple(lines)


def parting_places(one: Session, two: Session, calls: Sequence[Call]) -> tuple[str, ...]:
    """Where in memory the two part when these calls are made once more in each; places that the guest's
    author knows come first. () in-process, and where they agree this time."""
    if one.vm is None or two.vm is None:
        return ()
    first, second = (_left_by(session, calls) for session in (one, two))
    parted = [(d, second.get(at)) for at, d in first.items() if second.get(at) != d]
    parted += [(d, None) for at, d in second.items() if at not in first]
    lines = [
        f"{a.place} ({a.address:#x}): {a.after.hex(' ')}, or {'as before' if b is None else b.after.hex(' ')}"
        for a, b in sorted(parted, key=lambda pair: (pair[0].place.startswith("the "), pair[0].address))
    ]
    return tuple(lines[:LINES])


def _left_by(session: Session, calls: Sequence[Call]) -> dict[int, Difference]:
    with session.box.context() as context:
        for call in calls:
            if not isinstance(session.observe(context, call).outcome, Ok):
                break
        left = {d.address: d for d in session.box.differences(limit=_LISTED)}
        context.finish()
    return left


def differing_registers(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[str, ...]:
    """The registers that are not what they were."""
    lines = [
        f"{name}: {value.hex()} became {after.get(name, b'').hex()} (little endian)"
        for name, value in before.items()
        if after.get(name) != value
    ]
    return tuple(lines[:LINES]) + ((f"and {len(lines) - LINES} more",) if len(lines) > LINES else ())


def differing_state(target: Target, session: Session) -> tuple[str, ...]:
    """Sizes and content of exported memories, and globals, that are not as in a sandbox that was just opened.
    Nothing is said of a native guest, all of whose memory is compared with the snapshot."""
    if target.guest.kind == "elf":
        return ()
    sizes = target.pristine.sizes
    grown = {name: size for name, size in session.memory_sizes().items() if size != sizes[name]}
    if grown:
        return tuple(
            f"memory {name!r} has {size} bytes, and {sizes[name]} in a fresh sandbox"
            for name, size in grown.items()
        )
    if session.state_digest() == target.pristine.digest:
        return ()
    with target.open() as fresh:
        lines = tuple(islice(_differences(target, fresh, session), LINES))
    return lines or ("what a fresh sandbox has is not the same each time",)


def _differences(target: Target, fresh: Session, used: Session) -> Iterator[str]:
    places = DataMap(target.guest.wasm)
    for name, size in fresh.memory_sizes().items():
        before, after = (session.box.memory(name).read(0, size) for session in (fresh, used))
        if before != after:
            at = next(i for i, (x, y) in enumerate(zip(before, after, strict=True)) if x != y)
            shown = f"{before[at : at + 16].hex(' ')} became {after[at : at + 16].hex(' ')}"
            yield f"{places.describe(places.index(name), at)}: {shown}"
    for name in fresh.box.globals:
        before, after = fresh.box.globals[name], used.box.globals[name]
        if value_bits(before) != value_bits(after):
            yield f"global {name!r}: {before!r} became {after!r}"
