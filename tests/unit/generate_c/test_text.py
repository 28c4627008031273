"""Text of a schema in C source: names, comments, literals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hlfuzz.generate.c.names import GlobalScope, MemberScope, is_reserved, members
from hlfuzz.generate.c.text import assembled, comment, literal

NASTY = st.text(st.sampled_from("*/\\?\n\r\t \"'a\u202e\u2028\0é"), max_size=40)


@given(NASTY)
def test_a_comment_ends_where_it_should(text: str) -> None:
    lines = comment(text, "    ")
    # What a preprocessor does first: trigraphs, then lines that end in a backslash are joined.
    seen = "\n".join(lines).replace("??/", "\\").replace("\\\n", "")
    if lines:
        assert seen.strip().startswith("/*")
        assert seen.index("*/", seen.index("/*") + 2) == len(seen) - 2
        assert "/*" not in seen[seen.index("/*") + 2 :]
    assert all(c.isprintable() for line in lines for c in line)


@given(st.binary(max_size=40))
def test_a_literal_is_the_bytes_it_was_made_of(data: bytes) -> None:
    # Octal escapes are the same in Python.
    made = literal(data)
    assert eval(f'b"{made}"') == data
    assert "??" not in made


@given(st.binary(max_size=40))
def test_an_assembled_literal_is_escaped_twice(data: bytes) -> None:
    once = eval(f'b"{assembled(data)}"')  # as the C compiler reads it
    assert eval(b'b"' + once + b'"') == data  # as the assembler does
    assert not set(b"#;@%$\n") & set(once)


def test_names_that_are_taken_get_underscores() -> None:
    scope = GlobalScope()
    wanted = [
        "a",
        "a",
        "a_",
        "int",
        "printf",
        "hl_arena",
        "INT_MAX",
        "__x",
        "_Y",
        "1",
        "",
        "a.b",
        "a_b",
        "int32_t",
    ]
    made = [scope.claim(name) for name in wanted]
    assert made == [
        "a",
        "a_",
        "a__",
        "int_",
        "printf_",
        "n_hl_arena",
        "n_INT_MAX",
        "f__x",
        "f_Y",
        "n1",
        "n",
        "a_b",
        "a_b_",
        "int32_t_",
    ]
    assert not any(is_reserved(name) for name in made)


def test_members_that_need_no_change_keep_their_names() -> None:
    outer = GlobalScope()
    outer.claim("net_T")
    names, scope = members(["int", "int_", "net_T", "x", "hl_seen"], outer)
    assert names == ("int__", "int_", "net_T_", "x", "n_hl_seen")
    assert isinstance(scope, MemberScope)
    assert scope.claim("x") == "x_"
