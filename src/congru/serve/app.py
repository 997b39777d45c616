"""The whole server as one ASGI application, and running it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from congru.errors import CongruError, SettingsError
from congru.serve.desk import Desk
from congru.serve.faults import Refused, refused
from congru.serve.guards import Guard
from congru.serve.http import model_router, run_router, service_router, session_router
from congru.serve.options import Options
from congru.serve.page import page_router
from congru.serve.runs import Runs
from congru.serve.transport import AbortingProtocol, timed_http
from congru.serve.views import explore_router, task_router
from congru.version import __version__


def make_app(options: Options) -> FastAPI:
    """The application for some options; `app.state.desk` is what it works with.

    Raises :class:`~congru.errors.SettingsError` for options that cannot be served.
    """
    desk = Desk(options.check())
    runs = Runs(desk.library, options)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(_sweep(desk))
        try:
            yield
        finally:
            sweeper.cancel()
            await asyncio.get_running_loop().run_in_executor(None, runs.close)
            desk.close()

    app = FastAPI(
        title="congru",
        version=__version__,
        summary="Models, sessions, runs and gates over HTTP and WebSocket.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    app.state.desk, app.state.runs = desk, runs
    for router in (
        model_router(desk, runs),
        session_router(desk),
        run_router(desk, runs),
        service_router(desk, runs),
        explore_router(desk),
        task_router(desk),
        page_router(),
    ):
        app.include_router(router)
    app.add_middleware(Guard, options=options, meters=desk.meters)
    for kind in (CongruError, RequestValidationError, HTTPException, ClientDisconnect, Exception):
        app.add_exception_handler(kind, _answer_fault)
    return app


def make_config(app: FastAPI, options: Options) -> uvicorn.Config:
    """How the application is served: sizes, pings and time-outs of its connections."""
    limits = options.limits
    return uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        http=timed_http(limits.receive_seconds, limits.send_seconds, limits.discard_bytes),
        ws=AbortingProtocol,
        ws_max_size=limits.message_bytes,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        ssl_certfile=options.certificate,
        ssl_keyfile=options.key,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=64 << 10,
    )


def run(options: Options, ready: Callable[[int], None]) -> None:
    """Serve until Ctrl-C. `ready(port)` is called when the server listens.

    Raises :class:`~congru.errors.SettingsError` for options that cannot be served, and an address that cannot be had.
    """
    app = make_app(options)
    listener = listen(options)
    leave = app.state.desk.fits.close
    server = _Server(make_config(app, options), lambda: ready(listener.getsockname()[1]), leave)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def listen(options: Options) -> socket.socket:
    """A socket at the address of the options. Raises :class:`~congru.errors.SettingsError` where it cannot be had."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host.strip("[]"), options.port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise SettingsError(
            f"port is {options.port} at {options.host!r} ({reason}), expected a free one: pass --port 0 for any"
        ) from None
    return listener


class _Server(uvicorn.Server):
    """Tells when it listens, and when it is about to end."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], leave: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready, self._leave = ready, leave

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what would be waited for, then wait."""
        self._leave()
        await super().shutdown(sockets)


async def _sweep(desk: Desk) -> None:
    """Close the sessions that nobody uses any more."""
    while True:
        await asyncio.sleep(min(30.0, desk.options.limits.idle_seconds / 2))
        desk.meters.count("evicted_total", amount=desk.sessions.evict())


async def _answer_fault(request: Request, error: Exception) -> JSONResponse:
    """Every fault in one form: {"error": {"message", "type", "param", "code"}}."""
    if isinstance(error, RequestValidationError):
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"] if part != "body") or "body"
        words = str(fault["msg"]).removeprefix("Input should be ")
        error = Refused(
            "input", 422, f"{where} is {fault.get('input')!r:.80}, expected {words[:1].lower()}{words[1:200]}"
        )
    elif isinstance(error, HTTPException):
        if isinstance(error.detail, dict):
            return JSONResponse({"error": error.detail}, error.status_code)
        path = request.url.path
        error = Refused(
            "path", error.status_code, f"{request.method} {path!r:.200}: {error.detail}, see /v1/openapi.json"
        )
    elif isinstance(error, ClientDisconnect):  # nobody reads the answer
        error = Refused("connection", 400, "body is cut, expected all of it: send it again")
    fault = refused(error)
    request.app.state.desk.meters.count("refused_total", f'code="{fault.code}"')
    return JSONResponse({"error": fault.as_json()}, fault.status)
