"""uvicorn's connections with an end: of a client that reads nothing, that never finishes its request, or that answers no ping."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

ABORT = (
    "congru.abort"  # in the scope of a connection: the function that drops it with all that waits to be sent
)


class AbortingProtocol(WebSocketsSansIOProtocol):
    """The WebSocket; a client that answers no ping is dropped, and one that does not read what ends the conversation."""

    send_seconds = 20.0
    _ends: asyncio.TimerHandle | None = None

    async def run_asgi(self) -> None:
        """Serve one connection."""
        cast("dict[str, Any]", self.scope)[ABORT] = self.transport.abort
        await super().run_asgi()

    def keepalive_timeout(self) -> None:
        """No pong came."""
        super().keepalive_timeout()
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """After a goodbye, or a frame that is none, what is still to be sent has its time."""
        super().data_received(data)
        if self._ends is None and self.transport.is_closing():
            self._ends = self.loop.call_later(self.send_seconds, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """No timer is left."""
        if self._ends is not None:
            self._ends.cancel()
        super().connection_lost(exc)


class TimedHttp(H11Protocol):
    """HTTP; a client that takes too long over the head of a request, a piece of its body, or an answer is dropped.

    The seconds are those of a subclass that :func:`timed_http` makes. What the server itself takes for an answer does not count.
    """

    receive_seconds = send_seconds = 20.0
    _owes: asyncio.TimerHandle | None = None  # until when the client has to send
    _reads: asyncio.TimerHandle | None = None  # until when it has to read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The head of the first request is due."""
        super().connection_made(transport)
        self._owes = self.loop.call_later(self.receive_seconds, self._end_if_owed)

    def data_received(self, data: bytes) -> None:
        """A piece of a body gives time for the next; a piece of a head does not."""
        super().data_received(data)
        self._end_if_closing()
        if self._owes is None or self._in_body():
            self._cancel()
            self._owes = self.loop.call_later(self.receive_seconds, self._end_if_owed)

    def on_response_complete(self) -> None:
        """Nothing is due; how long the connection may stay idle is uvicorn's."""
        self._cancel()
        super().on_response_complete()
        self._end_if_closing()

    def timeout_keep_alive_handler(self) -> None:
        """Idle for too long."""
        super().timeout_keep_alive_handler()
        self._end_if_closing()

    def pause_writing(self) -> None:
        """What is sent waits for the client."""
        super().pause_writing()
        if self._reads is None:
            self._reads = self.loop.call_later(self.send_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        if self._reads is not None and not self.transport.is_closing():
            self._reads.cancel()
            self._reads = None

    def connection_lost(self, exc: Exception | None) -> None:
        """No timer is left."""
        self._cancel()
        if self._reads is not None:
            self._reads.cancel()
        super().connection_lost(exc)

    def _end_if_closing(self) -> None:
        if self.transport.is_closing() and self._reads is None:
            self._reads = self.loop.call_later(self.send_seconds, self.transport.abort)

    def _cancel(self) -> None:
        if self._owes is not None:
            self._owes.cancel()
            self._owes = None

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


def timed_http(receive_seconds: float, send_seconds: float) -> type[TimedHttp]:
    """HTTP with these limits."""
    return type("TimedHttp", (TimedHttp,), {"receive_seconds": receive_seconds, "send_seconds": send_seconds})


def timed_socket(send_seconds: float) -> type[AbortingProtocol]:
    """The WebSocket with this limit."""
    return type("AbortingProtocol", (AbortingProtocol,), {"send_seconds": send_seconds})
