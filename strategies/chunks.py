"""How a stream arrives: the same bytes in pieces, cut anywhere."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st


@st.composite
def chunks(draw: st.DrawFn, streams: st.SearchStrategy[bytes], *, most: int = 6) -> list[bytes]:
    """The bytes of a stream in 1 to `most` pieces, none of them empty unless the stream is."""
    data = draw(streams)
    if len(data) < 2:
        return [data]
    cuts = draw(st.sets(st.integers(1, len(data) - 1), max_size=most - 1))
    return [data[a:b] for a, b in pairwise([0, *sorted(cuts), len(data)])]
