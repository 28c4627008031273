"""A native guest that tells the registers it finds when a call reaches it, and then changes all it can.

The host reads a vCPU's registers through KVM, and sees what KVM believes; this guest sees what code sees.
KVM-PVM, for example, runs guests with the selectors of the host's thread.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Final

from hlfuzz.guest import Guest
from hlfuzz.sandbox import Sandbox

ELF: Final = zlib.decompress(
    base64.b85decode(
        b"c-n=NPiPZC6o=o&)l^*A9CGL(&;<5D4tp?=Ly<)jXk{0A@K`)q1YNM$qAf~UNFWrNHrAjXJSemjuRTYtb`&IdlU_7<spuiKUc`&w"
        b"pExr+Z)z%%S(fjcot-zkv%js3Pn=B{22e}DX%M|HMppJq@NX-@C>&8E;@+cuquD;LsX-#7K+ikYH!pXH{r3}1b#~R|u3Crasp~{j"
        b"G0D%od_RD2`qKQuLi`M(<<+|`{fG8QN&9_8+8=7S28`bwFg`sqa|JG5o4OuCICb?hoC^4|V*rl^wDSX6^$fsv51^8$*zZ4fx*Zq0"
        b"d}(_#jk}z$ex^)Zi^U>IlVnI75|^Y%;>8kCorvm0R41Z35!H#PPDFJgRVQdsILhs+slvx~=s+!{EpgX|h@p^msK!$JZp<Iw0QITA"
        b"HP@-&BAff_*G&`&^XnNLlC&@-nZ{wsB4#B$%uBj>QqsXu&IvxhBx#{9nZ|RH8Jv`K@Ped^p=1$fB|W^!xdo{lJh*LQm3JBzE(xS@"
        b"Ss;TA0TWjR9Bc}>c!#4U(p%W^?M(+6@Bg(+E5qfLS+m@hTN1RZ*;4!uam}lZDzMrQ!@kGLb-9iG8%w*%9~8_S@QCamI$Zp$0`rLi"
        b"!zeI}0>daUi~_?bFpL7jC@_oy!zeI}0>daUi~_?bFpL7jC@?|_JB>Gu&f;r({N?I9t}kL`TtCFR%XKf-Zur)6;GzF?QvMqN{$p)V"
        b"v_03ht?ik%EwZ4cO;-tYl|Zi%9L&&F0=-6{*Qj~&3m9|B8_B(qU%j4vV*hvZ4+{oP;Q"
    )
)
"""The assembled program; its source is tests/vm/register_probe.S, and a test assembles it again."""

# In the order in which the source stores them.
_GENERAL: Final = (
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rflags",
)  # fmt: skip
LOOP: Final = frozenset({"rax", "rip", "rflags"})
"""What the guest changes while it waits for a call, and the host therefore finds otherwise each time."""
_SELECTORS: Final = ("cs", "ss", "ds", "es", "fs", "gs")
_SELECTORS_AT: Final = 136
_XSAVE_AT: Final = 192
_BYTES: Final = 1024
_PARTS: Final = (("fcw", 0, 2), ("fsw", 2, 2), ("ftw", 4, 1), ("mxcsr", 24, 4))
"""Name, offset and bytes in the XSAVE area (Intel SDM vol. 1, 13.4). FOP, FIP and FDP are left out: some CPUs
save them only after an exception."""
_ST_AT, _XMM_AT, _YMM_AT = 32, 160, 576


@cache
def register_probe() -> Guest:
    """The guest: its export `look` gives the address of what it found; all three change every register, and
    `crash` and `hang` do what they are called."""
    return Guest.from_elf(ELF, name="hlfuzz.registers")


def look(box: Sandbox) -> dict[str, bytes]:
    """Registers at the entry of a call, by name, little endian; afterwards the guest has changed them, and
    the sandbox is reset. With the transport "spin" the guest waits in a loop that changes `LOOP` only."""
    with box.context() as context:
        address = context.call("look")
        assert isinstance(address, int)
        found = context.memory().read(address, _BYTES)
        context.finish()
    return dict(_registers(found))


def _registers(found: bytes) -> Iterator[tuple[str, bytes]]:
    for at, name in enumerate(_GENERAL):
        yield name, found[8 * at : 8 * at + 8]
    for at, name in enumerate(_SELECTORS):
        start = _SELECTORS_AT + 2 * at
        yield name, found[start : start + 2]
    area = found[_XSAVE_AT:]
    for name, start, length in _PARTS:
        yield name, area[start : start + length]
    for at in range(8):
        yield f"st{at}", area[_ST_AT + 16 * at : _ST_AT + 16 * at + 10]
    for at in range(16):
        low, high = area[_XMM_AT + 16 * at :], area[_YMM_AT + 16 * at :]
        yield f"ymm{at}", low[:16] + high[:16]
