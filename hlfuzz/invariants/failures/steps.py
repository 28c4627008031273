"""Native steps with a failure at each operation: booting, cloning, freezing, saving, loading, calling."""

from __future__ import annotations

import errno
import functools
import gc
import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from hlfuzz.errors import HlfuzzError
from hlfuzz.guest import Guest
from hlfuzz.invariants.case import Case, Injection
from hlfuzz.invariants.guests.patient import PREFIX, open_patient, patient, patient_guest
from hlfuzz.invariants.observe import outcome_text
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.target import Target
from hlfuzz.model import Call, Ok, Value
from hlfuzz.sandbox import Sandbox, Snapshot
from hlfuzz.vmm import Point, failing

POINT: Final = "step"
"""`Injection.point` of what this module does; the one call names the step, `Injection.kind` the error."""

LOOKS: Final = 3
"""Another thread may open a VM while this one counts them: what is left behind is left each time."""

_POINTS: Final[tuple[Point, ...]] = ("kvm", "run", "memory", "timer", "file")
_RETRIED: Final = "EINTR"
"""An operation of KVM that fails with this one is made again."""
_RETRIED_POINTS: Final[tuple[Point, ...]] = ("kvm", "run")
_ERRORS: Final = ("ENOMEM", "EMFILE", "ENOSPC")
_CALL: Final = Call("ask", (5,))
_ANSWER: Final = Ok((1000,))
_DEADLINE_SECONDS: Final = 1.0

# (module (import "env" "ask" (func $ask (param i32) (result i32)))
#   (func $start (drop (call $ask (i32.const 1)))) (start $start)
#   (func (export "ask") (param i32) (result i32) (i32.const 1000)))
_STARTER: Final = bytes.fromhex(
    "0061736d0100000001090260017f017f600000020b0103656e760361736b000003030201000707010361736b00020801010a"
    "0f020700410110001a0b050041e8070b0014046e616d65010d02000361736b01057374617274"
)


def _zero(*args: Value) -> int:
    return 0


_HOST: Final[dict[str, Callable[..., int]]] = {"env.ask": _zero}
_HOST_OF_PATIENT: Final = {**_HOST, "env.pair": _zero, "env.note": _zero}


@functools.cache
def _starter() -> Guest:
    """A guest that is booted for each of its sandboxes, because its start function asks the host."""
    return Guest.from_wasm(_STARTER, name="hlfuzz-starter")


class _Bench:
    """What steps work on: a sandbox that is used, one that only looks on, and a snapshot, also as a file."""

    def __init__(self, target: Target, folder: Path, step: str) -> None:
        self.folder = folder
        self.path = folder / "snapshot"
        self.target = target
        patients = patient(target)
        self._closes = step in _MAY_END_THE_SANDBOX
        self.used = self.clone() if self._closes else patients.session("strict", "used")
        self.bystander = patients.session("strict", "bystander")
        self.bystander.single(_CALL)
        if step in ("save", "load"):
            self.save()

    @functools.cached_property
    def snapshot(self) -> Snapshot:
        return self.used.box.snapshot()

    def boot(self) -> Sandbox:
        return Sandbox(_starter(), _HOST, engine="kvm", transport="exit", deadline=_DEADLINE_SECONDS)

    def clone(self) -> Session:
        return open_patient(self.target, deadline=_DEADLINE_SECONDS)

    def take(self) -> Snapshot:
        return self.used.box.snapshot()

    def save(self) -> None:
        self.snapshot.save(self.path)

    def load(self) -> Snapshot:
        return Snapshot.load(self.path, patient_guest())

    def call(self) -> Session:
        self.used.box.try_call(_CALL.function, *_CALL.args)
        return self.used

    def finish(self) -> Session:
        with self.used.box.context() as context:
            context.try_call(_CALL.function, *_CALL.args)
            context.finish()
        return self.used

    def use(self, made: Sandbox | Session | Snapshot | None) -> str:
        """ "" when what a step has made answers as it must; closes it."""
        if made is None:
            made = self.load()
        if isinstance(made, Snapshot):
            made = Sandbox(made.guest, _HOST_OF_PATIENT, snapshot=made, engine="kvm", transport="exit")
        box = made.box if isinstance(made, Session) else made
        outcome = box.try_call(_CALL.function, *_CALL.args)
        if made is not self.used and made is not self.bystander:
            made.close()
        return "" if outcome == _ANSWER else f"{outcome_text(outcome)}, and not 1000"

    def held(self) -> tuple[int, int, int]:
        """Descriptors and mapped bytes of VMs and snapshots in this process, and files in the folder."""
        names = [_link(path) for path in Path("/proc/self/fd").iterdir()]
        fds = sum(_is_of_a_vm(name) or name.startswith(str(self.folder)) for name in names)
        mapped = 0
        for line in Path("/proc/self/maps").read_text().splitlines():
            if _is_of_a_vm(line):
                start, _, end = line.partition(" ")[0].partition("-")
                mapped += int(end, 16) - int(start, 16)
        return fds, mapped, len(list(self.folder.iterdir()))

    def close(self) -> None:
        if self._closes:
            self.used.close()


_Step = Callable[[_Bench], Sandbox | Session | Snapshot | None]
STEPS: Final[dict[str, _Step]] = {
    "boot": _Bench.boot,
    "clone": _Bench.clone,
    "take": _Bench.take,
    "save": _Bench.save,
    "load": _Bench.load,
    "call": _Bench.call,
    "finish": _Bench.finish,
}
_MAY_END_THE_SANDBOX: Final = ("take", "call", "finish")
"""Steps after whose failure the sandbox that made them may be unable to go on; it says so."""


def cases(target: Target) -> Iterator[Case]:
    """Each operation of each step, failing."""
    with tempfile.TemporaryDirectory(prefix="hlfuzz-") as folder:
        counts = {name: _count(target, Path(folder), name) for name in STEPS}
    errors = itertools.cycle(_ERRORS)
    for at in range(max(counts.values())):
        for name in (n for n in STEPS if at < counts[n]):
            call = (Call(PREFIX + name),)
            yield Case(call, context=False, injection=Injection(POINT, next(errors), at))
            if at % 4 == 0:
                yield Case(call, context=False, injection=Injection(POINT, _RETRIED, at))


def judge(target: Target, step: str, injection: Injection) -> str:
    """Makes the step while its operation number `injection.at` fails. "" when what follows is in order, else
    what is not."""
    if step not in STEPS or injection.kind not in (*_ERRORS, _RETRIED):
        return ""
    problem = ""
    for _ in range(LOOKS):
        with tempfile.TemporaryDirectory(prefix="hlfuzz-") as folder:
            bench = _Bench(target, Path(folder), step)
            try:
                problem = _fail(bench, step, injection)
            finally:
                bench.close()
        if not problem.startswith(_LEFT):
            break
    return problem


_LEFT: Final = "it left behind"


def _fail(bench: _Bench, step: str, injection: Injection) -> str:
    act = STEPS[step]
    before = bench.held()
    made, failure = None, ""
    with failing(*_plan(injection)) as found:
        try:
            made = act(bench)
        except HlfuzzError as error:
            failure = str(error)
        except Exception as error:
            return f"it raised {type(error).__name__} ({error}) and not HlfuzzError"
    if not found.hit:
        bench.use(made)
        return ""
    if failure:
        if wrong := unclear(failure, injection.kind):
            return wrong
        if left := _left(before, bench):
            return left
    elif wrong := bench.use(made):
        return f"it did not fail, but what it made {wrong}"
    return _goes_on(bench, step, failed=bool(failure))


def _goes_on(bench: _Bench, step: str, *, failed: bool) -> str:
    """After a step with a failed operation: are others unharmed, and does it work again?"""
    if wrong := bench.use(bench.bystander):
        return f"a sandbox that had nothing to do with it {wrong}"
    if failed and step in _MAY_END_THE_SANDBOX:
        bench.used.close()
        bench.used = bench.clone()
    try:
        again = STEPS[step](bench)
        wrong = bench.use(again) or bench.use(bench.used)
    except HlfuzzError as error:
        return f"it does not work any more: {error}"
    return wrong and f"afterwards it {wrong}"


def _plan(injection: Injection) -> tuple[tuple[Point, ...], int, int]:
    points = _RETRIED_POINTS if injection.kind == _RETRIED else _POINTS
    return points, injection.at + 1, getattr(errno, injection.kind)


def unclear(message: str, kind: str) -> str:
    """What is wrong with the message of a failure that was made to be `kind`; "" when nothing is."""
    if kind == _RETRIED:
        return f"an interrupted operation was not made again: {message}"
    what, separator, rest = message.partition(f" (os error {getattr(errno, kind)})")
    if not separator or ":" not in what or not rest.strip("; "):
        return f"the message does not say which operation failed, why, and what to do: {message}"
    return ""


def _left(before: tuple[int, int, int], bench: _Bench) -> str:
    if bench.held() == before:
        return ""
    gc.collect()
    fds, mapped, files = (b - a for a, b in zip(before, bench.held(), strict=True))
    if fds <= 0 and mapped <= 0 and files <= 0:
        return ""
    return f"{_LEFT} {fds} descriptors, {mapped} mapped bytes and {files} files"


def _count(target: Target, folder: Path, step: str) -> int:
    bench = _Bench(target, folder, step)
    try:
        with failing(_POINTS) as found:
            made = STEPS[step](bench)
        bench.use(made)
    finally:
        bench.close()
    return found.count


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # the descriptor of the listing itself
        return ""


def _is_of_a_vm(name: str) -> bool:
    return "anon_inode:kvm-v" in name or "hlfuzz-snapshot" in name or name == "/dev/kvm"
