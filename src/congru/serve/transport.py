"""uvicorn's connections with an end: of a client that reads nothing, that never finishes its request, or that answers no ping.

And with an end that the client learns of. A socket that is closed while something unread lies in it resets the connection, and
the answer that was on its way is lost. So a connection whose client may still be sending is closed as RFC 6455, 7.1.1 says: the
client is told that nothing more comes, and what it still sends is read and dropped, for so many bytes and seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

ABORT = (
    "congru.abort"  # in the scope of a connection: the function that drops it with all that waits to be sent
)
QUIET_SECONDS = 2.0  # without a byte from a client that was answered: then nothing is lost by closing


class Discarding(asyncio.Protocol):
    """Takes the connection over from a protocol that is done, and drops up to `most` bytes until the client closes its side."""

    def __init__(self, protocol: asyncio.Protocol, transport: asyncio.Transport, most: int) -> None:
        self._protocol, self._transport, self._left = protocol, transport, most
        self._quiet: asyncio.TimerHandle | None = None
        transport.set_protocol(self)
        if transport.can_write_eof():
            with contextlib.suppress(OSError):  # the client is gone
                transport.write_eof()
        transport.resume_reading()
        self.data_received(b"")

    def data_received(self, data: bytes) -> None:
        """Beyond the bytes nothing is read any more: the client has the rest of the seconds to read its answer."""
        self._cancel()
        self._left -= len(data)
        if self._left < 0:
            self._transport.pause_reading()
        else:
            self._quiet = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._transport.close)

    def pause_writing(self) -> None:
        """What is sent waits for the client."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """It has read."""
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The protocol ends as it would have."""
        self._cancel()
        self._protocol.connection_lost(exc)

    def _cancel(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None


class EndingTransport(asyncio.Transport):
    """A transport whose `close` ends within `seconds`, and loses nothing that was sent before.

    `sends()` says whether the client may still be sending; then up to `most` bytes of that are read and dropped.
    """

    def __init__(
        self, transport: asyncio.Transport, sends: Callable[[], bool], seconds: float, most: int
    ) -> None:
        super().__init__()
        self.sends, self.most = sends, most
        self._transport, self._seconds = transport, seconds
        self._ends: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """What is still to be sent and read has its time; to close again changes nothing."""
        if self.is_closing():
            return
        self._ends = asyncio.get_running_loop().call_later(self._seconds, self._transport.abort)
        if self.sends():
            protocol = cast("asyncio.Protocol", self._transport.get_protocol())
            Discarding(protocol, self._transport, self.most)
        else:
            self._transport.close()

    def lost(self) -> None:
        """The connection is gone: no timer is left."""
        if self._ends is not None:
            self._ends.cancel()

    def is_closing(self) -> bool:
        """Also while the rest of what the client sends is dropped."""
        return self._ends is not None or self._transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send, unless the end has begun."""
        if not self.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Unless the end has begun."""
        if not self.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Unless the end has begun."""
        if not self.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        """Now, with all that waits to be sent."""
        self._transport.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of the transport itself."""
        return self._transport.get_extra_info(name, default)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is told what comes."""
        return self._transport.get_protocol()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Who is told what comes from now on."""
        self._transport.set_protocol(protocol)


class AbortingProtocol(WebSocketsSansIOProtocol):
    """The WebSocket; a client that answers no ping is dropped."""

    async def run_asgi(self) -> None:
        """Serve one connection."""
        cast("dict[str, Any]", self.scope)[ABORT] = self.transport.abort
        await super().run_asgi()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It may send until it has said goodbye."""
        cast("EndingTransport", transport).sends = lambda: self.conn.close_rcvd is None
        super().connection_made(transport)

    def keepalive_timeout(self) -> None:
        """No pong came."""
        super().keepalive_timeout()
        self.transport.abort()

    def shutdown(self) -> None:
        """The server ends: a connection that has ended already is not waited for."""
        ends = self.transport.is_closing()
        super().shutdown()
        if ends:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """No timer is left."""
        cast("EndingTransport", self.transport).lost()
        super().connection_lost(exc)


class TimedHttp(H11Protocol):
    """HTTP; a client that takes too long over the head of a request, a piece of its body, or an answer is dropped.

    The limits are those of a subclass that :func:`timed_http` makes. What the server itself takes for an answer does not count.
    """

    receive_seconds = send_seconds = 20.0
    discard_bytes = 256 << 20
    _owes: asyncio.TimerHandle | None = None  # until when the client has to send
    _reads: asyncio.TimerHandle | None = None  # until when it has to read
    _surplus = 0  # bytes of the body of a request that is answered

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The head of the first request is due."""
        super().connection_made(
            EndingTransport(transport, self._sends, self.send_seconds, self.discard_bytes)
        )
        self._owes = self.loop.call_later(self.receive_seconds, self._end_if_owed)

    def data_received(self, data: bytes) -> None:
        """A piece of a body gives time for the next; a piece of a head does not. Of a body not asked for, so much is dropped."""
        super().data_received(data)
        if self._owes is None or self._in_body():
            self._cancel()
            self._owes = self.loop.call_later(self.receive_seconds, self._end_if_owed)
        if self._sends() and self.cycle is not None and self.cycle.response_complete:
            self._surplus += len(data)
            if self._surplus > self.discard_bytes:
                cast("EndingTransport", self.transport).most = 0
                self.transport.close()
        else:
            self._surplus = 0

    def on_response_complete(self) -> None:
        """Nothing is due; how long the connection may stay idle is uvicorn's."""
        self._cancel()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """For a request that is none; where an answer is on its way, or the body of an answered one is broken, the end."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        """What is sent waits for the client."""
        super().pause_writing()
        if self._reads is None:
            self._reads = self.loop.call_later(self.send_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        if self._reads is not None:
            self._reads.cancel()
            self._reads = None

    def shutdown(self) -> None:
        """The server ends: a connection that has ended already is not waited for."""
        ends = self.transport.is_closing()
        super().shutdown()
        if ends:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """No timer is left."""
        self._cancel()
        if self._reads is not None:
            self._reads.cancel()
        cast("EndingTransport", self.transport).lost()
        super().connection_lost(exc)

    def _cancel(self) -> None:
        if self._owes is not None:
            self._owes.cancel()
            self._owes = None

    def _sends(self) -> bool:
        """Whether the client is in the middle of a request, or of something that is none."""
        return self.conn.their_state in (h11.SEND_BODY, h11.ERROR)

    def _in_body(self) -> bool:
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and cycle.more_body

    def _end_if_owed(self) -> None:
        self._owes = None
        upgraded = self.transport.get_protocol() is not self
        in_head = self.cycle is None or (
            self.cycle.response_complete and self.timeout_keep_alive_task is None
        )
        if not upgraded and (in_head or self._in_body()):
            self.transport.abort()


def timed_http(receive_seconds: float, send_seconds: float, discard_bytes: int) -> type[TimedHttp]:
    """HTTP with these limits."""
    limits = {
        "receive_seconds": receive_seconds,
        "send_seconds": send_seconds,
        "discard_bytes": discard_bytes,
    }
    return type("TimedHttp", (TimedHttp,), limits)
