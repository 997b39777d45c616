"""uvicorn's WebSocket connection, with a way to cut it off at once: a client that reads nothing never lets it close in order."""

from __future__ import annotations

from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

ABORT = (
    "congru.abort"  # in the scope of a connection: the function that drops it with all that waits to be sent
)


class AbortingProtocol(WebSocketsSansIOProtocol):
    """The connection; a client that answers no ping is dropped, whatever is still to be sent."""

    async def run_asgi(self) -> None:
        """Serve one connection."""
        cast("dict[str, Any]", self.scope)[ABORT] = self.transport.abort
        await super().run_asgi()

    def keepalive_timeout(self) -> None:
        """No pong came."""
        super().keepalive_timeout()
        self.transport.abort()
