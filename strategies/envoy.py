"""What a proxy asks of a network filter: connections that open, carry a stream in pieces and close.

The requests are those of `schemas/filter.fbs`; what no protocol decides comes from its generated strategies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from hypothesis import strategies as st

from strategies import http1, http2, tls
from strategies.chunks import chunks
from strategies.filter_hl import Closed, CloseReason, Connection, Data, Protocol
from strategies.filter_strategies import close_reasons
from strategies.filter_strategies import connections as generated_connections

Request: TypeAlias = Connection | Data | Closed
METHODS: Final[dict[type[Request], str]] = {
    Connection: "on_new_connection",
    Data: "on_data",
    Closed: "on_close",
}
"""The client's method for each kind of request."""


@dataclass(frozen=True)
class Step:
    """One call of the filter."""

    request: Request

    @property
    def method(self) -> str:
        """The method of the generated client."""
        return METHODS[type(self.request)]


_STREAMS: Final = {
    Protocol.HTTP1: (http1.pipelines(), http1.hostile_requests()),
    Protocol.TLS: (tls.connections(), tls.hostile_connections()),
    Protocol.UNKNOWN: (http2.streams(), st.one_of(http2.hostile_streams(), st.binary(max_size=64))),
}
"""Valid and hostile streams by what a listener's configuration calls them; HTTP/2 has no name there."""


@st.composite
def connection(draw: st.DrawFn, number: int, *, hostile: bool = False) -> list[Step]:
    """The life of one connection. The last piece ends the stream, unless the peer is just gone."""
    protocol = draw(st.sampled_from(list(_STREAMS)))
    opened = replace(draw(generated_connections()), id=number, protocol=protocol)
    pieces = draw(chunks(_STREAMS[protocol][hostile]))
    reason = draw(close_reasons())
    data = [Data(connection=number, bytes=piece) for piece in pieces]
    data[-1].end_of_stream = reason is not CloseReason.TIMEOUT
    return [Step(opened), *map(Step, data), Step(Closed(connection=number, reason=reason))]


@st.composite
def traffic(draw: st.DrawFn, *, most: int = 3, hostile: bool = False) -> list[Step]:
    """1 to `most` connections at a time: their calls in any order, those of each connection in their own."""
    count = draw(st.integers(1, most))
    waiting = [draw(connection(number, hostile=hostile)) for number in range(1, count + 1)]
    steps: list[Step] = []
    while waiting:
        i = draw(st.integers(0, len(waiting) - 1))
        steps.append(waiting[i].pop(0))
        waiting = [steps_left for steps_left in waiting if steps_left]
    return steps
