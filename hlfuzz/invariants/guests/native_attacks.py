"""A native guest that attacks the limits of its micro-VM, built from native_attacks.c."""

from __future__ import annotations

import base64
import zlib
from typing import Final

from hlfuzz.guest import CallLimits
from hlfuzz.invariants.guests.hostile import HOST_CALLS, MEMORY_PAGES, Hostile

ELF: Final = zlib.decompress(
    base64.b85decode(
        "c-pNPZBSg*_3p9{UI<|~4T&W2<EcbLGcr6UwQMBLZnBAYovl?9l6L%v3oKzr*u~xZLi}jD%p;o18yq{+TH8)XZJcSR{m~ztD"
        "$&ZmWswb5ClIUS4_isJ;gP3?CJ}*<yq^2^5@C%_fAkI9bMLw5oO`}6m!ED6ZFf2xX#R7eI}lrKUh1>gK8{bhFOvYS4!K}lf<"
        "&8EKnp+LVmQw?4?TIn_=*?euk$U2{JRG&=5z61iK{F*e2ZW`C!dEd4)6UpX)Z?p`^S$%CGfl6_6tI-Z7s^<kLPt~-;2xgXO5"
        "LGhRB_VemdRHXwz)KnNt$Zj9)(&pieR1sQoAfqLkuX3EMuxP7G+}+YSyZK5JMx@0M}qq=c6Y1nKc3%nZJH<GE*H`|SMoNT_-"
        "Q-~N;cvJxNUN|>7FUvjpk0eUoh#PJ;@$vV!QDC(&w={`<Y;oglRw)8`*@aAdoy<+q+a2P$Cw<}Ah<>T`3VV5tzrjv(7KJ6>="
        "ARo?*IjILz?82I0T@7{}uH^e!;~C4c<SE%QUWG{?ON*=~{0@k+IpLRA=czQ|XE3vLDo}vtB<}iD1bk1)Ay<_qD1bYt6F6YpI"
        "0-`Nfcq6!m16{V4KgZ_^FuBtEkdT4nVfJ3N8ntbYFcCy4JJd#0mL`(y&)k9!m@zzaLnv^SQPQaMfnr?GxJjRC6Q;Qe4LK<l)"
        "1Zy$&%E}CgQRN%+I|e$_911yz?d&PLF&Xg6Z-OBv)ZN3hs4b#|+k%U|RM*2I^B;^{AD_bQ*Tgy=+gaC$V=VAxw;eCfItb$F="
        "H^>neQkxN;VDvq77bPM-T?i0WC0n0JJ%=qW3%D=Q(zt9A9LBMVV84O!1l{EN9+Pt}(oA~56^K%X_1Ujm;yAX6Yj<vF{!`tpf"
        "4c6|;NvBVflAA_<sMuFeIQ`Up@?IYj;)DWbT^gVfM2c{RWI+((}PgZ%({YlonMsf?*c8Ec(Uhk=Jre=erBsII8IH{$c{0L@>"
        "N1Z9@TutAyGMGO351(1CUJ^Q&(6iPMTYH#xuYobz6A;mpxR+D`bX7s>yu1c9qw9WagFuyNyiv>|x3fybbmh|w3!bUKT~Bz_Q"
        "Xe9vIpMiA`PdxP-Q6iW%v(izI#usMq`9}j(Np1}BkI^k_1hIU%K#tKc0K55-ouuj)NDej!Ze#c3ogJJQ&Otov`X*}tD+!iWq"
        "ZrKB{kcjtN}tsL&npq%fMqVfNyOnrohCGQr&!~kF^%8eww=fLH`3;|ITglu%Eu&fa%2@^j*MvaBrwe3{e=2XMo>Nb?Yc8X7y"
        "p#W354?AIMXwdM6?qdbc|4$qnobQJ%twrTLl@L<DVPtO(OuyO#u@Fn&A-+Ngt`0M+wn@AmKVH~4op?0{nG1EQB)JdahY#NGW"
        "4GzEIGbA@U-NTq7I+})1>W@5<6_C?Y#@i!;yReB%mU-%Z*)o^B72zvG8L&40L5bV+!j@%p6_KPfrKI7dvR+<orLr=468Md(@"
        "nlrutLnoeQ@@#1|8|*R|a}WfEyxHV3ocUP5U0H@xO4Ie=+=(qt7R)EO=>2odRd4pKg@y=*muYnxb_KK!F`(@)^Q#vf2d?t>Z"
        "o3rlPA1CzU6yVk)G4Slu6?EHMkejNgXKMN1G6inNvdVJyPpRwL*87XH2ox_837vba%Nn>lt2!2<!l2_Vy#nz(jVz@6?f}Itj"
        "|~e8Ski)gLSrd3xuf{k=KqC-8SD<y(7ux&{8v4yA5OwN-X0|7WqnMj%57YHb+;d9b`EReSp4c{Aw1Q^dA;Xt+}c)Kxeld1RY"
        "<nbGmFDn!FC6aQG^Og5I|i%R=6<gczzGgN~3qklK9Lv}GX@0*Wxq0`6CZN2giW#R9u>1Ky!zty<?$Zk+PDoa7p;?e|~}uZQj"
        "w^v*G1Cz!Ak*gKk(p-5G|&is3bj>*GzcFEQiQ%^Kb%~+P{@6Qw?SBQ>d%IY+8s@Pa_ffWX<0(3G!PlRampwHjC-C@TP(~p31"
        "&=;VmjSpGIyh#nS{WUu=^z^SG61eMhKHX*oFi*L?&*4N6fqve%AUvSG@cb%v&8+8onNItP**RmkJ6Nwx_uHZdS?aTb@IUB($"
        "iHWz9Votr&E^~5TmyX%+TFQ+b|6?HK&#snwA+tXmW5*MP*z}i3}?<rq%>`?9`GB88m0pfV7Pgq-9y_hh0LdSiRJ+Kgno{@&e"
        "#={u>|84h)J4V#>SUlg5f!J+DX2zP8TWFV9y^`vi1fEhP66ltCP81o-$O%!V1?I1QydY)-jjm%r}CpDdanyQifmh@Y*(S&v("
        "7AFs#La)&uI8g)^rmOt(TaU16?(Yu~+~ck7rI*?j|=RAo-MRFUU)@7Cc`qo>l$2={VVl`#s%Y#LZw>1GOR0%8DeyXp+~&Lmc"
        "2HRs0a_#|7naBoE&bnbtGFm@Z|gx_<q@>H5ljK8vL4~#A!N<ji6hcyIOwD~ce%&MFFffkW+IN}!-><HmG0J2UkD!dG{iN}C<"
        "2iC6UwXt!X$RNEY&Zv7`*8&I0Ge!WgfZP6cLjoFWzeq#at_i`$>+Fw9+;xEgB3di3nib76m&pa=%z2>IgvyG1NI;$dQ)6NZB"
        "ExJkzB|Q2Vra8=WG3a$u=>fQ5eD_#OB;6hcS0B5<=+i{1;^ij=|;G4rq8(#Y_Emk?m8HD`Cxbm!_aaM46z@<u<v0Q4zyzJ4y"
        "^5he80Ogq-~c%+TH81wokN1AR|GJ1JirO7We!9T086K-~tf+dmyDDlJ`Fde__nYx;YV+I+R32+80d_CEO;pD6u9IjmM<Ua8h"
        "atx3xu@5owJ`;pXN<B$<@rEmBy5nbJn2Xi^F{#`i^}jnbXbEeIsVqcIXmNWgk!l2}}d?C*#tNTm6zlfpzItuS=NlTn61or!p"
        "CuM|_-8$lL3FtJx@kHkol@q<e7rZ9;ozRtH$dV8cjo_Or*G+`+gCQ(pmuM$ZTsW~1=O0hVR9*M;}fi%iAf0S)4FsFqbCbh<a"
        "{<6{qhV2cvN0O*D+(tnAD2eQ8iZ@44OlfOFEp735Gir&pwe4w*gga0o(xfDk5d`QC)D~$Wh(wznL6O)#{#@8&n}{}{#XnK|2"
        "k|kwspA{oAuIVCqm{!8&c*MewH*Hlho2YhOB^5L@WX=r4IKX{hkC(&EyoiM=awwqzm4NNIow^kc;CnIk8}9v0{NKZf5PG3g8"
        "d(Ge2T+|3-<5l_@_8j3(mi99zU<&vc>y%Zr!>`S|5lsM#C{lzP0Aon%Z0BjT@RHjq<IET+LAk)g)V!BtgQBs0I=&Qp4YZH6*"
        "g1pqfOyIZVRy5znV>a()?Y&o65llQ1;J+gbLb|I@dWzfqm2@IAcv9gGUz!}DL|!nZhl4{-hmIDfKqF}<UJ|5}clKmQp2zrnG"
        "k`St6LZ|A@1GQYIwP5t6Bo<9W)QUU+>3i!Wzi(i?(a2<eO_UbD_1^<U|7ySR>8~B6#{My36aQ>UomF-^$i>?sYn>qh|=-d7G"
        "UovSh8v"
    )
)
"""The program, about 5 KB; the source's first lines say how it is built."""


def _native(export: str, expected: str, call_limits: CallLimits | None = None) -> Hostile:
    text = f"{export}() in native_attacks.c"
    return Hostile(text, ELF, expected, call_limits or CallLimits(), export=export, native=True)


NATIVE: Final[dict[str, Hostile]] = {
    "native-endless-loop": _native("loop", "timeout"),
    "native-stack-games": _native("games", "timeout"),
    "native-recursion": _native("recurse", "trap stack-overflow"),
    "native-heap": _native("fill_heap", f"exactly {MEMORY_PAGES}"),
    "native-host-call-flood": _native("flood", "limit host_calls", CallLimits(host_calls=HOST_CALLS)),
    "native-null-page": _native("null", "trap page-fault"),
    "native-writes-code": _native("write_code", "trap page-fault"),
    "native-halt": _native("halt", "trap general-protection"),
}
"""Attacks by name; each begins at one export."""
