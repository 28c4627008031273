"""A native guest that keeps what it is given in memory and registers, and shows all of it.

What `notebook` is for Wasm guests; built from native_notebook.c.
"""

from __future__ import annotations

import base64
import zlib
from typing import Final

from hlfuzz.guest import Guest
from hlfuzz.invariants.interface import describe_interface
from hlfuzz.invariants.settings.config import Config, HostMode
from hlfuzz.invariants.target import Target

ELF: Final = zlib.decompress(
    base64.b85decode(
        b"c-pNPZA=^I`D|=Bh{HLBrld`pOG`RXRm4?Ui&NU!iJ`AIFKZWQCnafPf+;isQ~M6+7c;sf&C7|Z()MH0CUuPdm{zHp6lo>dhR>Lm"
        b"(50)PAL@^7ak4cWao2cFN(~{oJ<s_FA4$7EJIU{J&-*;j`##_Az5Z#Pzus!GFpH0sd4xf1i^FZ;ZgbwvU1x#08pZ}=A;TKHc4qnG"
        b"UIEo&W(8!NIe>Ec%f+1TmC$@Ttt;hh=8rd3<}L0Ou-0T>gf<gC{+ZakV!!|KnA<T0@T)NV!Z59eTBH|V$mwoaSe)DQ*Q=mvLJ!T3"
        b"Aa4u@5<kzA`1F<qFFlIBkw=&)EG6ZS7a;ir?&wvD>yAuFZhb<!%n2lZjwgkqK00**%`k~~UwRG5UoMi9{>mhI=qL+og+CoHKsD3H"
        b"#|=xp^i<-6<ran)R1!a%*I!z2cuHJP2DY(8SC6eH4`(5!k~WNBh<Pn%SAu4RDPdyB=FZ_XGsK#&!+B1|P2wplbrMQ!M6quMoyky{"
        b"Nl$36>bfq>3cB_-ybNPnBnDYC*uoT@?00a7C&a?&+;-8XkEXwHC8c}iY;pHJ=pm;t1^%(QMkDJ9odk_-#4<;eLP8y%5a2$akWc9e"
        b"LbE`<^oH?LnIW!Z*gi82+Y$Y}e%tzEw%f>&Dd|g~CVU1f&0PAOpQ;IPf-5PO^gHrv90g+j230;~Nq{5LnxH0T{(+jS(b@t=wBzJg"
        b"z@N}Yu7MdAa6VXFJZ|Lca4wdqE#pic`Z^Um4wa%!g1o0eP<{0DiH$Jd=%X3>u`s)v&?`h9i;{tt%AJ?q6jYZM*+G=utWT*``%A6S"
        b"d7oGiov#<IRF}`4fj7x1&lPlUpzrB%LSOpGoi3KI*}Dtrm-@SiJ5jrnV2tu2MByA65X%AD${`xhL5UH%^;rXW%UNv~_?{>Y<t(AM"
        b"HsCCHrj+!(=zMmKn-Pn~?FWi;u{ol0hofkhvXiA3qP0#&Y#wN|^p`qmQcj(zt(Q2Wc+1_WZ3XC<ehg7(bUrMV6Pk#90xlr&G%r=c"
        b"Ze`#dOiUkWWq2!nUv$1xx*ZsiN1TpbMUTA>zBN`!+i}@Rs;1u`#%d+<=g~d;JbM$KhB{%wLr*sndUZGb5ayj^z+cY#DGb`HAn&27"
        b"eoD;8luOqVrIDqd3bWB#D<j@Ju+w6^+=Y9v!Ymo$7t`3zGEj-BJVL9D^7PVaE&nQLBab<~RL$-Eq~{4wqo<*9H|hI)7?=iaW**CW"
        b"0eAR)s55%CyF}J4VwtSlxWmuG%*?x1q_bk<%%7}S{^~Hc1acoX3KGxSeJ(ZflrNsL`}$Oz6Cd{}JuJr1t$nzl>vR+%aqJbWmI-6l"
        b"Psg>dz|fgja6Mx+n(*~$DC~m;{jNl0Es6irPWlo!Cl$r`wQgo+hZTeQqPcX>0=nv*;X9zmfZ-0MMj<w@(#d+29*0N1YU#brGf;QU"
        b">&k?SJ$<^WGfcN#p0jlo#p-dj%NERgkOpC!U*Tn4=MMh@wDh~i!$q<E$dd#f@N#_GPN)bu&^K-vc#bIDER=q--<E$^71`Qc<zIA7"
        b"O5=bh26jN0@)_~uiM$6E8<i^=SqEJzPLu~=tuY=mK8=wtLvwiT=Y~0|oVAGSF!Wyfj#hsKob(?IrqWzq=B4v>M?lBdjhuFDWip!q"
        b"+B?@UjL&sCyw>kZg;{@P3OYihH~R3`SzTvDKX4S!>AIJD+kWR9HZo$zQ_SmnH&QLvSfsmW-8QSZi6}izqL2#cPCnNHE_N0dJ4;-X"
        b"5dn%+R%_CK@zazrVPuz}-!%1D?Pv44p7xBy^BJ3;P7{iC8b6<}-F^iN128Ymc<EU`Z60%b2I?(FED1dWoMUb;y`cRKGv*ztrQ1&$"
        b"iJ``NArhqTLN49r?O>kt(6GhIKm<n2z6Id{?d`!L?A#TmUTLe*wJq~Ty94}=*l&!b#xV7<AUyj#PkEl6xg9uem`&sw-$En(7~0*X"
        b"5!?_gu|uod?lant;z&R-c1k6Len8?Ed9f&V8rIi-iObPZ2rwLG(C(pa7eVIJ@3ZMq@Cp5b^j$P6D6ZSJ0}zuKo^RS45HC6|XRYFc"
        b"ayCz@1bd`HY;TZYM5)m}%0sscvsyKZVBu=dfk-;7ZAF)jr~mB3rjYA&l7kF7&Du^sl<Rs+GuYxl>rpwSllTRm(4EjsOVTB9l5)#>"
        b"w@PT9(Knz;l?m!eRFlx!@|Y1A5j*gCXvq$3@|w|S$`a7jKJzqq=;hoA@p-it$0I~u*vuXM7^FF830HY*FN<$`AYwK%iA%S#0J+Ld"
        b"5rcF$u_T2lZr%PA=RD}-*0p8`)i`G!0d}a;$|$1(aQ*;DbxE%Bm=n+z!u6`$x*w*<Q0hlHGl^37DH+n1Fra0YFpUglO-xV^s++k#"
        b"I7;A1wwxmJJTHBL?)hH)TtVMCCdDv?$+gkV&>rhfb8j`CKGUA`a?Uy&U_*JVdXH!CKErx2nkU>__I{|c5e!nS0>1sUli;C|C~Ot0"
        b"M)XZYd8G2U0QxKA)F?HaVN9cE&?9ibT2tD~NTwHal)h>70i+OqZfQ+O8hAOCqYYlSoPw=`+7hOb!ORktA%oc^EURsVRVETdxpiX!"
        b"?rmR-0KQf#<HR)=-azDWj>yv)L~LZBv<6Pz3-H;1Ula1fU*iXaSPWu+%||i&2l?nws#E*l;Vu2!-9*`F#(7)LD!S=SWF4^G3GBbm"
        b"Neu$P3N#X)gN~p*csT}UZ#o8qKjH^8>AQkJWc3mvC)o7G>+E)I4e~1XhWuQOz<M5d)$FrSDrlxw{}tAVHg6PJIwSm>$p6Y{0mx2n"
        b"P2+CJ*+w`TpM>Z^Qr|`BHuwU_UgCP|t6|tx1H%(;7@i_9v^)kw$4_AB+7Cl-D^VUH$`g>zyUP4ZJ?~d`RS>0%)sxU7U>ysgkFzb@"
        b"C!T7f4J|;vu%4%($3SWA*$1C|3xb-S3Gkg#ILLRkg+(cFh;NZP4v1}`4!%1O;SU539SSxxVr!5OG&hHXkq94Z;R8IpNryzfEy4$y"
        b"LR~?A8~<qA4hB{VwRMQWFb|?PXXyy>!Jf`gSPV8V?GzAsu@#2SP^1kfnC@_>;~Bm~YHxzIaKrF3QhTsNjG#QI6gm(PL*X0cmapC("
        b"Y!8K>zmX@vcLc;XQ0N&c7!mpAP%y%Gghc*eN2nWE+fei8khIL47Tk<)4FUgkrB@jiX$^HV2ZO;*P(lnc!HzETe)F`UFS8x)UTup*"
        b"+xE_HxF^l6&E0i2n0KD8qLufzYbJf8N$)9KNq3m@_m~hrO_x7;=KK~Dvc)UukM7*Lov-i)o7w^$yl{Wj{Z-ZX3ES>%4mJt*OG2eN"
        b"#V}Qo)`%Du15Hd7+FNDb<*LMBkH}PoL(Ks(u;_qXNFs}9TYC<zYKp*cAk>bLW&Tgk8uO01c+Fk9&#t`3GOO;hi%;3AyYyaDey=J2"
        b"<eHWImR0h1nsbZ$A2;v)#~nGm+w$%5_gt6fSKNu+=6!$vDt>+y{@qpbOLys;^RLFem=l;MH~f#V>i>gpkoTGUSFf61{J-Km%+2jz"
        b"4)bmj*J)G!$IQ3;@4p$5UJ("
    )
)
"""The program; the source's first lines say how it is built."""


def open_native_notebook() -> Target:
    """A target on this guest, in micro-VMs."""
    guest = Guest.from_elf(ELF, name="hlfuzz.native-notebook")
    config = Config(host={"env.note": HostMode.BYTES})
    return Target(guest, describe_interface(guest.info, config), engine="kvm")
