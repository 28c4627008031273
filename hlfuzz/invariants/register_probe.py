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
        b"c-n=N!D|yi6o+5psy!@h4twY!kQDYo4vQGbp-9jTSlNXNdMlnhg@A>65u_~SfeJ=L74fJbs30OeN3Avr61+(-"
        b"8oVf8Qv4HC;>_E56Spdzu=&2(-"
        b"FcIl`K7zGe5zO|fV3hU2i<#CsB%Aozgq;0aKJp#?;gxOt>ze+he9ZU9d{@<Zeb7e?+YDsP0a0ynMc?(_l1t(VRhAbeE^-"
        b"+_NDdp>^JCEGi#0iL$4B9KW!-cBW-nU?E)N2pxr*=Rj!(0CjlPs)6VVF=mfy_6rfw|dY`|IC*u&GsHwe8A0H^b`&n}Ed?v1l"
        b"FH#l>L_(2<NHddE>ZDR9l{%@^Nu^FIbyBI5nmWlq4!1QT$Am}e+)Uk>>I~_32m0$FnB$3i4(b@hy)w=*T`VzuoM$$$%4}kd8"
        b"RAi9fQyRDYJ9|WF=qOBhFQiHrdkFw#16B87nx1GthfcG1-N(1K~kN*i`O-"
        b"LyrEIXzJ`Mv8Ufzc2=R`>Ku4^;6MLHh4psk;t++Yg8u6Nw5mlos<VtI1C+fp1KMLO6VXMdcl;633Y?sQx_dTBwpPE!Wl2nkS"
        b"f+Q6rsUS%ONh(NEL6QoRRFI^CBo!p7AV~#DDo9d6k_s*Lo&JaZ_}Y7K>FvfRrEfAFD*c-"
        b"27p1$IPC6gm0Pe>xSNIR0^6=c+3u~{fZCiU~ZA&Z}ShH0UTP3k`B(o8=N@C|o>>Qlb-Lt=@Q?Ek$SbhTlG%@4"
    )
)
"""The assembled program; its source is tests/vm/register_probe.S, and a test assembles it again."""

# In the order in which the source stores them.
_GENERAL: Final = (
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rflags",
)  # fmt: skip
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
    """The guest: its export `look` gives the address of what it found."""
    return Guest.from_elf(ELF, name="hlfuzz.registers")


def look(box: Sandbox) -> dict[str, bytes]:
    """Registers at the entry of a call, by name, little endian; afterwards the guest has changed them, and
    the sandbox is reset. The sandbox has the transport "exit"."""
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
