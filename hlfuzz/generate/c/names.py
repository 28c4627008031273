"""C names for what a schema names: valid in C and C++, no two alike, no macros, none of the runtime's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_KEYWORDS: Final = frozenset(
    re.findall(
        r"\w+",
        """
        auto break case char const continue default do double else enum extern float for goto if inline
        int long register restrict return short signed sizeof static struct switch typedef union
        unsigned void volatile while alignas alignof and and_eq asm atomic_cancel atomic_commit
        atomic_noexcept bitand bitor bool catch char8_t char16_t char32_t class co_await co_return
        co_yield compl concept consteval constexpr constinit const_cast contract_assert decltype delete
        dynamic_cast explicit export false friend module import mutable namespace new noexcept not
        not_eq nullptr operator or or_eq private protected public reflexpr reinterpret_cast requires
        static_assert static_cast synchronized template this thread_local throw true try typeid typename
        typeof typeof_unqual using virtual wchar_t xor xor_eq override final
        """,
    )
)
"""Of C23 and C++26: the header is read by both."""

_MACROS: Final = re.compile(
    r"NULL|EOF|HUGE_VAL|NAN|INFINITY|errno|assert|offsetof|stdin|stdout|stderr|setjmp|unreachable"
    r"|linux|unix|i386|wasm|HLG?_\w*"
    r"|U?INT\w*|PTRDIFF_\w*|SIZE_\w*|SIG_ATOMIC_\w*|WCHAR_\w*|WINT_\w*"
)
"""Macros of the headers that the code includes, of compilers, and the most common of libc."""

_TYPES: Final = re.compile(r"u?int\w*_t|size_t|ssize_t|ptrdiff_t|max_align_t|nullptr_t|hlg?_\w*")

_FUNCTIONS: Final = frozenset(
    re.findall(
        r"\w+",
        """
        main hl hlfuzz_alloc memcpy memmove memset memcmp memchr abort abs acos acosh asin asinh atan
        atan2 atanh bcmp bcopy bzero cabs calloc carg cbrt ceil cexp cimag clog conj copysign cos cosh
        cpow creal csin cos csqrt ctan erf erfc exit exp exp2 expm1 fabs fdim ffs floor fma fmax fmin
        fmod fprintf fputc fputs free frexp fscanf fwrite gamma hypot ilogb imaxabs index isalnum
        isalpha isblank iscntrl isdigit isgraph islower isprint ispunct isspace isupper isxdigit j0 j1
        jn labs ldexp lgamma llabs llrint llround log log10 log1p log2 logb lrint lround malloc modf nan
        nearbyint nextafter nexttoward pow printf putchar puts realloc remainder remquo rindex rint
        round scalb scalbln scalbn scanf signbit sin sinh snprintf sprintf sqrt sscanf strcat strchr
        strcmp strcpy strcspn strdup strlen strncat strncmp strncpy strpbrk strrchr strspn strstr tan
        tanh tgamma tolower toupper towlower towupper trunc vfprintf vprintf vscanf vsnprintf vsprintf
        y0 y1 yn
        """,
    )
)
"""Functions that compilers know without a declaration, and those that a guest has anyway."""


def identifier(name: str) -> str:
    """Any text as an identifier that is not reserved for the implementation. A dot becomes an underscore."""
    found = re.sub(r"[^A-Za-z0-9_]", "_", name)
    if re.match(r"__|_[A-Z]", found):
        return f"f{found}"
    return f"n{found}" if found[:1].isdigit() or not found else found


def is_reserved(name: str) -> bool:
    """Whether a name cannot be used inside a struct or as a parameter, whatever else is named there."""
    return name in _KEYWORDS or bool(_MACROS.fullmatch(name) or _TYPES.fullmatch(name))


class Scope:
    """Names that are taken. A name that is taken already, or reserved, gets underscores at its end; no name
    of the runtime ends in one."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def __contains__(self, name: str) -> bool:
        return name in self._taken

    def claim(self, wanted: str) -> str:
        """`wanted` or what comes next to it, taken from now on."""
        found = identifier(wanted)
        if is_reserved(found):
            # Whole families of names are reserved, with whatever end.
            found = f"n_{found}" if is_reserved(f"{found}_") else f"{found}_"
        while found in self._taken or self._refuses(found):
            found += "_"
        self._taken.add(found)
        return found

    def _refuses(self, name: str) -> bool:
        return False


class GlobalScope(Scope):
    """Names at file scope, where functions of the compiler are too."""

    def _refuses(self, name: str) -> bool:
        return name in _FUNCTIONS


class MemberScope(Scope):
    """Members of a struct. A member named as a type would change the meaning of that name in C++."""

    def __init__(self, outer: Scope) -> None:
        super().__init__({"hl_seen", "hl_empty"})
        self._outer = outer

    def _refuses(self, name: str) -> bool:
        return name in self._outer


def members(names: Iterable[str], outer: Scope) -> tuple[tuple[str, ...], MemberScope]:
    """Names for the members of a struct, and their scope. Those that need no change keep theirs."""
    given = list(names)
    scope = MemberScope(outer)
    found: dict[int, str] = {}
    for changed in (False, True):
        for index, name in enumerate(given):
            fits = identifier(name) == name and not is_reserved(name) and name not in outer
            if index not in found and (changed or (fits and name not in scope)):
                found[index] = scope.claim(name)
    return tuple(found[i] for i in range(len(given))), scope
