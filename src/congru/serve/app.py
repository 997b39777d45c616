"""The whole server as one ASGI application, and running it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from congru.errors import CongruError
from congru.serve.desk import Desk
from congru.serve.faults import Refused, refused
from congru.serve.guards import Guard
from congru.serve.http import model_router, run_router, service_router, session_router
from congru.serve.options import Options
from congru.serve.page import page_router
from congru.serve.runs import Runs
from congru.serve.transport import AbortingProtocol
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
    for kind in (CongruError, RequestValidationError, HTTPException):
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
    """Serve until Ctrl-C. `ready(port)` is called when the server listens."""
    _Server(make_config(make_app(options), options), ready).run()


class _Server(uvicorn.Server):
    """Tells when it listens, and on which port."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[int], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.servers:
            self._ready(self.servers[0].sockets[0].getsockname()[1])


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
    fault = refused(error)
    request.app.state.desk.meters.count("refused_total", f'code="{fault.code}"')
    return JSONResponse({"error": fault.as_json()}, fault.status)
