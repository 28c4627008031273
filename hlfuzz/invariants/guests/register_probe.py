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
        b"c-n=NPiPZC6o=o&)fT$2Ipokopb6}Q9QI%!NRh=R&`K71@K`)q1PxehQHxR*5~zj7#wzN;gF-"
        b">P_8hg^QIOzGdePveqKDLa_Try7^LE~(sYoVlzHfGR-"
        b"t5l)wmLO^I$>GBEdi%M^}bsf>KEbPR)ldlqDR!VNBc%IecaH4Oh|&6cdTz-"
        b"_7MB8XWIJc=+hm&4l~f_nYQMTJaY7W0F}85i%U!KJ*bw`&${{_x?@G-4>fszxZNHwet*FD-"
        b"2D6{IDcjKY6U8@moLJ}P%b+O@N_^sJD}Aj0JggT)kM|(^rhWt``D37yPGN8m3;dvY2!vL4oiw9&Em26ECrSzmWb;_Tqo"
        b"i>5!Z>hPQ-"
        b"O0t`q4xVUxpAYSnBVKB>b!b$Y5YsIG0QzbBwyZ@F%xicz_q#$lp^Nn#2|i3Q9M1I!V9JWlj*Tyk2@FA^Or6H|DGn8q2R"
        b"hv$esR)_^$AO?6tato4Kcy!0cn(Q<jTvbTnErm2T6l`2q@bIpJkM|^+Dx&$Fvb*V_ko^N&u{K&-"
        b"Td+$ldhW1Q%M{}eMQTp(MqVucwA=@xRHwb_-"
        b"#y;4l^=^E2ewV#H`rN_vDiQK^YNPw$yW}E;E)IoiQte34vFB92o8zhkO&Tm;E)IoiQte34vFB92o8zhkSNLTG~PGbEAQ"
        b"N?H|rmzzK&H${T%DA)V)|cl@E>wkIOG+=zEaycxLRmu~){njlDFs#TGV=nJS^F5}Gx_-"
        b"V9SEG;4%rjpcyefOXBe?of#LPW<k6-I4u2?$}LwWq$$v2uzy"
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
    """The guest: its export `look` gives the address of what it found; all three change every register, and
    `crash` and `hang` do what they are called."""
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
